"""Optimizers of frameworks, each as a version of it was seen to act.

``frameworks.json`` beside this file is written by ``python -m benchmarks.frameworks``, which runs
them; what is said here by hand is of objectives, whose solvers take no steps that could be asked,
and of numbers under which something acts otherwise than it was seen to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from oracles.dictionary.arguments import ARGUMENTS
from oracles.dictionary.entry import ALWAYS, Manner, Range, constant
from oracles.dictionary.preset import Preset, convention, spoken_as_adam
from oracles.optimizers.registry import RULES


@dataclass(frozen=True)
class Seen:
    """An optimizer as it was seen to act.

    Attributes:
        name: ``framework.Optimizer``.
        version: the package that was installed, and its version.
        rule: whose it is.
        conventions: in which it differs from torch's; None if what was seen fits none.
        names: by torch's name, what it calls what it takes.
        defaults: by its own name, what it takes where nothing is given; None is off.
        decays_biases: whether parameters of one dimension are decayed; None if there is no decay.
        always: by torch's name, what it acts with and takes no argument for.
    """

    name: str
    version: str
    rule: str
    conventions: tuple[str, ...] | None
    names: Mapping[str, str]
    defaults: Mapping[str, Any]
    decays_biases: bool | None
    always: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As a row of the table: what :data:`ARGUMENTS` says stays there."""
        row = {name: value for name, value in asdict(self).items() if name not in SAID}
        return row if self.always else {n: value for n, value in row.items() if n != "always"}

    @property
    def manner(self) -> Manner:
        """Its conventions as the dictionary takes them."""
        names = frozenset(self.conventions or ())
        if self.decays_biases is False:
            names |= {"bias_undecayed"}
        return spoken_as_adam(names) if self.rule == "AdamW" else names


SAID = ("rule", "names")
"""Of an optimizer, what is no finding."""


def _read() -> Iterator[Seen]:
    path = Path(__file__).parent / "frameworks.json"
    for row in json.loads(path.read_bytes()):
        conventions = row.pop("conventions")
        row |= zip(SAID, ARGUMENTS[row["name"]], strict=True)
        yield Seen(conventions=None if conventions is None else tuple(conventions), **row)


SEEN = tuple(_read())
"""All that were run."""

ALSO_CALLED = (
    ("sklearn.MLPRegressor", "sklearn.MLPClassifier"),
    ("sklearn.SGDRegressor", "sklearn.SGDClassifier"),
)
"""Classes that share their optimizer with one that was run."""

STOPPING = Range(
    "eta0 × alpha is at most 1",
    lambda schedule: all(h.lr * h.weight_decay <= 1 for h in schedule),
)
"""Else w = max(1 − γλ, 0)w − γg: its decay stops at 0."""

ITS_POWER = Range("b1 is constant", constant("beta1").holds)
"""Else it corrects by a power of this step's b1, and torch by the product of what it was."""

WHERE: Mapping[str, Range] = MappingProxyType(
    {
        "sklearn.SGDRegressor": STOPPING,
        "optax.nadam": ITS_POWER,
        "optax.nadamw": ITS_POWER,
    }
)
"""Of optimizers that act as they were seen to under some numbers only, by their names."""


LARGEST: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        name: MappingProxyType({"momentum": 1})
        for name in ("keras.SGD", "keras.SGD(regularizers.L2)", "sklearn.MLPRegressor(sgd)")
    }
)
"""Of optimizers that refuse what torch takes: by torch's name, the largest that they take."""


def _presets() -> Iterator[Preset]:
    for name in RULES:
        own = convention(name)
        names = {n: n for n in own.names if n != "batch_size"}
        yield Preset(
            name=f"torch.{name}",
            seen="torch 2.13.0",
            rule=name,
            manner=own.manner,
            names=names,
            defaults=RULES[name].hyper()._asdict(),
        )
    for row in SEEN:
        if row.conventions is None:
            continue
        yield _preset(row, row.name, row.version)
        for known, other in ALSO_CALLED:
            if row.name.startswith(known):
                said = f"{row.version}, by its {known.partition('.')[2]}"
                yield _preset(row, row.name.replace(known, other), said)
    yield from _objectives()


def _preset(row: Seen, name: str, seen: str) -> Preset:
    return Preset(
        name=name,
        seen=seen,
        rule=row.rule,
        manner=row.manner,
        names=row.names,
        defaults=row.defaults,
        always=row.always,
        framework=True,
        where=WHERE.get(row.name, ALWAYS),
        largest=LARGEST.get(row.name, {}),
    )


def _objectives() -> Iterator[Preset]:
    """½|w|² + C Σ losses: of the weights, the bias is left out."""
    yield Preset(
        name="sklearn.LogisticRegression",
        seen="scikit-learn 1.9.1",
        rule="SGD",
        manner=frozenset({"inverse_strength", "bias_undecayed"}),
        names={"weight_decay": "C"},
        defaults={"C": 1.0},
        silent=frozenset(RULES["SGD"].hyper()._fields) - {"weight_decay", "batch_size"},
        framework=True,
    )


PRESETS: Mapping[str, Preset] = MappingProxyType({p.name: p for p in _presets()})
"""By name."""
