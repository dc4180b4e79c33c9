"""Rational numbers that know their exact square roots, and runs of a rule on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from oracles.drawing import Hyper
from oracles.rule import Rule, State


class Rooted(Fraction):
    """A rational number whose root is rational too, or nan.

    A rule may take a root that it does not use; a result that hangs on such a root is nan, which
    equals nothing.
    """

    def sqrt(self) -> Any:
        """The exact root (what ``numpy.sqrt`` calls)."""
        if self < 0:
            return math.nan
        n, d = math.isqrt(self.numerator), math.isqrt(self.denominator)
        return Rooted(n, d) if self == Fraction(n * n, d * d) else math.nan


def _closed(name: str) -> Callable[..., Any]:
    operation = getattr(Fraction, name)

    def closed(*operands: Any) -> Any:
        result = operation(*operands)
        return Rooted(result) if isinstance(result, Fraction) else result

    return closed


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow"):
    setattr(Rooted, f"__{_name}__", _closed(f"__{_name}__"))
for _name in ("neg", "abs"):
    setattr(Rooted, f"__{_name}__", _closed(f"__{_name}__"))


def lifted(h: Hyper, number: Callable[[Any], Any] = Rooted) -> Hyper:
    """Hyperparameters in another arithmetic; switches, words and None stay what they are."""
    return type(h)(*(v if v is None or isinstance(v, bool | str) else number(v) for v in h))


def follow(
    rule: Rule,
    name: str,
    w: Any,
    gradients: Sequence[Any],
    schedule: Sequence[Hyper],
    number: Callable[[Any], Any] = Rooted,
) -> list[tuple[Any, State]]:
    """One number under the convention of that name: itself and its state after each step."""
    numbers = [None if g is None else number(g) for g in gradients]
    run = rule.run(rule.convention(name), number(w), numbers, [lifted(h, number) for h in schedule])
    return list(run)


def path(
    rule: Rule, name: str, w: Any, gradients: Sequence[Any], schedule: Sequence[Hyper]
) -> list[Any]:
    """The number alone, after each step."""
    return [w for w, _ in follow(rule, name, w, gradients, schedule)]
