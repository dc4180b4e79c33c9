"""Strategies and runs of the SGD rule in exact rational arithmetic."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from oracles.optimizers.sgd import RULE, Hyper

ZERO, ONE = Fraction(0), Fraction(1)


def _fractions(*pairs: tuple[int, int]) -> tuple[Fraction, ...]:
    return tuple(Fraction(n, d) for n, d in pairs)


VALUES = tuple(Fraction(n * (-1) ** n, 5) for n in range(25))
RATES = _fractions((1, 2), (1, 1), (1, 10), (3, 1), (2, 7))
MOMENTA = _fractions((1, 2), (9, 10), (1, 3), (1, 1))
SHARES = (ZERO, *MOMENTA)
FLAGS = (False, True)
SIZES = (1, 4, 3, 16)

HYPERS: dict[str, Sequence[Any]] = {
    "lr": RATES,
    "momentum": SHARES,
    "dampening": SHARES,
    "weight_decay": (*SHARES, *RATES),
    "nesterov": FLAGS,
    "maximize": FLAGS,
    "batch_size": SIZES,
}
"""What hyperparameters are drawn from: what torch refuses (Nesterov with dampening) has its
algebra too."""

values = st.sampled_from(VALUES)
rates = st.sampled_from(RATES)
momenta = st.sampled_from(MOMENTA)
shares = st.sampled_from(SHARES)
flags = st.sampled_from(FLAGS)
sizes = st.sampled_from(SIZES)

Run = tuple[Fraction, list[Fraction], list[Hyper]]
"""Start, gradients and schedule of one parameter."""

STEPS = 4


def _decoded(codes: Iterator[int], choices: Mapping[str, Sequence[Any]]) -> Hyper:
    return Hyper(**{name: table[next(codes) % len(table)] for name, table in choices.items()})


def hypers(**choices: Sequence[Any]) -> st.SearchStrategy[Hyper]:
    """Any hyperparameters; ``choices`` replace what some are drawn from.

    One byte string is drawn and decoded, which costs a tenth of seven draws.
    """
    tables = HYPERS | choices
    return st.binary(min_size=len(tables), max_size=len(tables)).map(
        lambda codes: _decoded(iter(codes), tables)
    )


def runs(*, constant: Container[str] = (), **choices: Sequence[Any]) -> st.SearchStrategy[Run]:
    """One to four steps, in which every hyperparameter changes but those that are ``constant``."""
    tables = HYPERS | choices
    kept = [name for name in tables if name in constant]

    def decode(codes: bytes) -> Run:
        steps = 1 + codes[0] % STEPS
        rest = iter(codes[1:])
        w, *gradients = (VALUES[next(rest) % len(VALUES)] for _ in range(1 + steps))
        schedule = [_decoded(rest, tables) for _ in range(steps)]
        same = {name: getattr(schedule[0], name) for name in kept}
        return w, gradients, [h._replace(**same) for h in schedule]

    size = 2 + STEPS * (1 + len(tables))
    return st.binary(min_size=size, max_size=size).map(decode)


def trajectory(
    name: str,
    w: Fraction,
    gradients: Sequence[Fraction | None],
    schedule: Sequence[Hyper],
    *,
    ndim: int = 1,
) -> list[Fraction]:
    """The parameter after each step under the convention of that name."""
    return [w for w, _ in states(name, w, gradients, schedule, ndim=ndim)]


def states(
    name: str,
    w: Fraction,
    gradients: Sequence[Fraction | None],
    schedule: Sequence[Hyper],
    *,
    ndim: int = 1,
) -> list[tuple[Fraction, Fraction | None]]:
    """Parameter and buffer (None: no buffer yet) after each step."""
    convention = RULE.convention(name)
    run = RULE.run(convention, w, gradients, schedule, decays=convention.decays(ndim))
    return [(w, state.get("momentum_buffer")) for w, state in run]
