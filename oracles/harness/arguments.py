"""What a piece of code makes of an argument before its rule sees it: data, and what it means.

Code may have an argument for something and act with another value: a constant, twice or half of
what is given, what a shorter format holds of it. Or it has no such argument and acts with a value
all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import round_to
from oracles.rule import Rule

GRADIENT = "gradient"
"""The name under which the gradient is an argument like others: it is multiplied."""


@dataclass(frozen=True)
class Argument:
    """What becomes of some hyperparameters, or of the gradient.

    Attributes:
        names: theirs.
        how: a word of :data:`HOWS`.
        by: the number, the format or the other hyperparameter of which it speaks.

    >>> from oracles.optimizers.sgd import Hyper
    >>> doubled = Argument(("weight_decay",), "times", 2)
    >>> str(doubled), doubled.heard(Hyper(weight_decay=0.25)).weight_decay
    ('weight_decay × 2', 0.5)
    """

    names: tuple[str, ...]
    how: str
    by: Any = None

    def __str__(self) -> str:
        return HOWS[self.how].words.format(" and ".join(self.names), self.by)

    def heard(self, h: Hyper) -> Hyper:
        """The hyperparameters that the rule sees."""
        becomes = HOWS[self.how].becomes
        values = {n: becomes(getattr(h, n), self.by, h) for n in self.names if n != GRADIENT}
        return h._replace(**values)

    def gradient(self, h: Hyper) -> float:
        """What the gradient is multiplied with."""
        becomes = HOWS[self.how].becomes
        return float(becomes(1.0, self.by, h)) if GRADIENT in self.names else 1.0


@dataclass(frozen=True)
class How:
    """A way in which an argument becomes another.

    Attributes:
        words: of it, with places for the name and the number.
        becomes: ``(value, by, h) -> value``.
    """

    words: str
    becomes: Callable[[Any, Any, Hyper], Any]


HOWS: Mapping[str, How] = MappingProxyType(
    {
        "is": How("{0} = {1!r} whatever is given", lambda value, by, h: by),
        "as": How("{0} = {1}", lambda value, by, h: getattr(h, by)),
        "times": How("{0} × {1!r}", lambda value, by, h: by * value),
        "over m": How("{0} / batch_size", lambda value, by, h: value / h.batch_size),
        "times m": How("{0} × batch_size", lambda value, by, h: value * h.batch_size),
        "one minus": How("1 − {0} in its place", lambda value, by, h: 1 - value),
        "in": How("{0} in {1}", lambda value, by, h: float(round_to(by, value))),
    }
)
"""By word."""

FACTORS = (("times", 2), ("times", 0.5), ("over m", None), ("times m", None))
SHORT = (("in", "bfloat16"), ("in", "float16"), ("in", "float32"))

TIED: Mapping[str, str] = MappingProxyType(
    {"dampening": "momentum", "beta2": "beta1", "beta1": "beta2"}
)
"""What is written with one number for two: a momentum that begins with the whole first gradient and
is an average from then on has torch's dampening."""

USUAL: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "eps": (1e-8, 1e-7, 1e-6, 1e-10, 1e-5, 1e-3, 1e-15, 0.0),
        "momentum": (0.9, 0.95, 0.99, 0.5),
        "beta1": (0.9, 0.95, 0.0),
        "beta2": (0.999, 0.99, 0.98, 0.95),
        "alpha": (0.99, 0.9, 0.95),
        "rho": (0.9, 0.95),
        "weight_decay": (0.0, 1e-4, 5e-4, 1e-3, 1e-2, 0.1),
        "initial_accumulator_value": (0.1, 1.0),
        "eps1": (1e-30, 1e-16, 1e-8),
        "eps2": (1e-3, 1e-8),
    }
)
"""Defaults that frameworks have, by torch's name."""


def likely(rule: Rule, takes: frozenset[str]) -> Iterator[Argument]:
    """What code may make of one argument of a rule, or of those that are alike.

    Args:
        rule: whose hyperparameters are spoken of.
        takes: those whose values the code heeds; the others may act with a value of their own.
    """
    h = rule.hyper()
    numbers = numeric(rule)
    hows = [how for how in FACTORS if "batch_size" in takes or how[0] == "times"]
    for name in (*(n for n in numbers if n in takes), GRADIENT):
        yield from (Argument((name,), *how) for how in hows)
        if name == "weight_decay":
            yield Argument((name,), "times", -1)
    for name in numbers:
        if name not in takes:
            others = (v for v in USUAL.get(name, ()) if v != getattr(h, name))
            yield from (Argument((name,), "is", value) for value in others)
            if TIED.get(name) in takes:
                yield Argument((name,), "as", TIED[name])
        elif name != "lr":
            yield from (Argument((name,), *how) for how in (*SHORT, ("one minus", None)))
    rates = tuple(n for n in numbers if n in takes)
    yield from (Argument(rates, *how) for how in SHORT)
    for name, value in h._asdict().items():
        if isinstance(value, bool) and name not in takes:
            yield Argument((name,), "is", not value)


def numeric(rule: Rule) -> list[str]:
    """The hyperparameters of a rule that may be any number of a range."""
    h = rule.hyper()._asdict()
    domains = rule.drawing.domains
    return [n for n, v in h.items() if n in domains and domains[n].high and v is not None]


def pairs(arguments: Iterable[Argument]) -> Iterator[tuple[Argument, Argument]]:
    """Two of them that speak of different names."""
    for one, other in combinations(arguments, 2):
        if not set(one.names) & set(other.names):
            yield one, other
