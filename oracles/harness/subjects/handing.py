"""In which form whatever makes an optimizer wants its parameters: as tensors, named, or as a model.

Groups are often chosen by name ("no decay for what has bias in its name"). Parameters are called so
that words and dimensions can be told apart: there are matrices and vectors with the usual words,
and a vector and a matrix without. Beside them there are names with the words that code asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any

import torch

from oracles.harness.subjects.asked_names import NotingName, Questions, noting
from oracles.harness.subjects.parameter_names import MODELS, NAMES, Vocabulary, called

Handing = Callable[[Iterable[torch.Tensor], Vocabulary], Any]


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


class Part(torch.nn.Module):
    """A part of a model that may be meant for something else: it is neither true nor a text."""

    def __bool__(self) -> bool:
        raise TypeError("a part of a model is no switch")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            raise TypeError("a part of a model is no text")
        return self is other

    __hash__ = torch.nn.Module.__hash__


class Parts(Part, torch.nn.ModuleList):
    """Those that have numbers."""


RESERVED = frozenset(dir(torch.nn.Module())) | {""}
"""What no part or parameter of a model may be called."""


def tensors(params: Iterable[torch.Tensor], names: Vocabulary) -> list[torch.Tensor]:
    """Parameters without names."""
    return list(params)


def named(params: Iterable[torch.Tensor], names: Vocabulary) -> list[tuple[str, torch.Tensor]]:
    """Pairs of a name and a parameter."""
    params = list(params)
    return list(zip(called([p.dim() for p in params], names), params, strict=True))


def model(params: Iterable[torch.Tensor], names: Vocabulary) -> torch.nn.Module:
    """A model that has these very parameters, and all parts that are asked for."""
    usual = {*chain(*NAMES.values())}
    asked = (name for name in chain(*names.values()) if name not in usual)
    return _modules(named(params, names), asked)[()]


Modules = dict[tuple[str, ...], torch.nn.Module]
"""A model and its parts, by their paths."""


def _modules(params: Iterable[tuple[str, torch.Tensor]], names: Iterable[str] = ()) -> Modules:
    """A model with parameters, and with the parts that others of these names would be in."""
    own = dict(params)
    paths = {name: name.split(".")[:-1] for name in (*own, *names)}
    lists = {tuple(p[:n]) for p in paths.values() for n, part in enumerate(p) if part.isdigit()}
    modules: Modules = {(): torch.nn.Module()}
    for path in paths.values():
        for n, part in enumerate(path):
            above, here = tuple(path[:n]), tuple(path[: n + 1])
            if here not in modules:
                modules[here] = _part(Parts if here in lists else TYPES.get(part, Part))
                modules[above].add_module(part, modules[here])
    for name, p in own.items():
        assert isinstance(p, torch.nn.Parameter)
        modules[tuple(paths[name])].register_parameter(name.rpartition(".")[2], p)
    return modules


def _part(kind: type[torch.nn.Module]) -> torch.nn.Module:
    """A part of a model, of a type, without parameters."""
    part = kind.__new__(kind)
    torch.nn.Module.__init__(part)
    return part


def that_note(form: str, names: Vocabulary) -> tuple[Any, Questions]:
    """Parameters with all these names in a form, and where it is noted what the names are asked."""
    questions = Questions()
    if form == TENSORS:
        return some_parameters(names), questions
    params = named(some_parameters(names), names)
    if form == NAMED:
        return [(NotingName.of(name, questions), p) for name, p in params], questions
    modules = _modules(params)
    for path, module in modules.items():
        noting(module, questions, ".".join(path))
    return modules[()], questions


def some_parameters(names: Vocabulary) -> list[torch.nn.Parameter]:
    """Vectors and matrices, so many that none of those that have names is missing."""
    shapes = ((3, 5, 7)[-dimension:] for dimension, some in names.items() for _ in some)
    return [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]


TENSORS, NAMED, MODEL, LAYERS = "tensors", "named tensors", "a model", "a model of layers"

HANDINGS: Mapping[str, Handing] = MappingProxyType(
    {TENSORS: tensors, NAMED: named, MODEL: model, LAYERS: model}
)
"""The forms, in the order in which they are tried."""


def names_of(form: str) -> Vocabulary:
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
    hints = {NAMED: ("named",), **dict.fromkeys((MODEL, LAYERS), (*MODELS, "self"))}
    hinted = [form for form, words in hints.items() if argument.startswith(words)]
    return list(dict.fromkeys([*hinted, *HANDINGS]))
