"""In which form whatever makes an optimizer wants its parameters: as tensors, named, or as a model.

Groups are often chosen by name ("no decay for what has bias in its name"). Parameters are called so
that words and dimensions can be told apart: there are matrices and vectors with the usual words,
and a vector and a matrix without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from oracles.harness.subjects.parameter_names import NAMES, Names, called

Handing = Callable[[Iterable[torch.Tensor]], Any]


class Norm(torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.BatchNorm1d, torch.nn.BatchNorm2d):
    """Whatever somebody looks for who exempts normalizations by their type."""


TYPES: Mapping[str, type[torch.nn.Module]] = MappingProxyType(
    {
        "encoder": torch.nn.Linear,
        "norm": Norm,
        "image_norm": Norm,
        "embedding": torch.nn.Embedding,
    }
)
"""What these parts of a model are, for whoever looks; others are plain modules."""

LAYER_TYPES = ("encoder", "norm", "embedding")
"""Those that are in any model."""


def named(params: Iterable[torch.Tensor]) -> list[tuple[str, torch.Tensor]]:
    """Pairs of a name and a parameter."""
    params = list(params)
    return list(zip(called([p.dim() for p in params]), params, strict=True))


def model(params: Iterable[torch.Tensor]) -> torch.nn.Module:
    """A model that has these very parameters."""
    whole = torch.nn.Module()
    parts: dict[str, torch.nn.Module] = {}
    for name, p in named(params):
        part, _, own = name.partition(".")
        if part not in parts:
            kind = TYPES.get(part, torch.nn.Module)
            parts[part] = kind.__new__(kind)
            torch.nn.Module.__init__(parts[part])
            whole.add_module(part, parts[part])
        assert isinstance(p, torch.nn.Parameter)
        parts[part].register_parameter(own, p)
    return whole


TENSORS, NAMED, MODEL, LAYERS = "tensors", "named tensors", "a model", "a model of layers"

HANDINGS: Mapping[str, Handing] = MappingProxyType(
    {TENSORS: list, NAMED: named, MODEL: model, LAYERS: model}
)
"""The forms, in the order in which they are tried."""


def names_of(form: str) -> Mapping[int, Names]:
    """By dimension, what parameters are called in a form.

    Layers have their own alone, for who asks that each parameter is the weight or bias of one.
    """
    if form != LAYERS:
        return NAMES
    return {
        dimension: [name for name in names if name.partition(".")[0] in LAYER_TYPES]
        for dimension, names in NAMES.items()
    }


def tried(argument: str) -> list[str]:
    """In which order, by what the argument is called.

    >>> tried("named_params")[0], tried("model_or_params")[0], tried("params")[0]
    ('named tensors', 'a model', 'tensors')
    """
    hints = {NAMED: ("named",), **dict.fromkeys((MODEL, LAYERS), ("model", "module", "net"))}
    hinted = [form for form, words in hints.items() if argument.startswith(words)]
    return list(dict.fromkeys([*hinted, *HANDINGS]))
