"""Strategies and runs of the SGD rule in exact rational arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from oracles.sgd import RULE, Hyper

ZERO, ONE = Fraction(0), Fraction(1)

values = st.integers(-24, 24).map(lambda n: Fraction(n, 5))
rates = st.sampled_from([Fraction(n, d) for n, d in ((1, 2), (1, 1), (1, 10), (3, 1), (2, 7))])
shares = st.sampled_from([Fraction(n, d) for n, d in ((0, 1), (1, 2), (1, 1), (9, 10), (1, 3))])
momenta = st.sampled_from([Fraction(n, d) for n, d in ((1, 2), (9, 10), (1, 3), (1, 1))])
flags = st.booleans()
sizes = st.sampled_from([1, 4, 3, 16])

hypers = st.builds(
    Hyper,
    lr=rates,
    momentum=shares,
    dampening=shares,
    weight_decay=st.one_of(shares, rates),
    nesterov=flags,
    maximize=flags,
    batch_size=sizes,
)
"""Any hyperparameters: what torch refuses (Nesterov with dampening) has its algebra too."""


@st.composite
def runs(
    draw: st.DrawFn, /, *, constant: frozenset[str] = frozenset(), **fixed: st.SearchStrategy[Any]
) -> tuple[Fraction, list[Fraction], list[Hyper]]:
    """Start, gradients and schedule of one to four steps.

    Args:
        draw: given by Hypothesis.
        constant: hyperparameters that keep their first value.
        **fixed: strategies that replace those of :data:`hypers`, by hyperparameter.
    """
    steps = draw(st.integers(1, 4))
    schedule: list[Hyper] = []
    for _ in range(steps):
        h = draw(hypers)._replace(**{name: draw(s) for name, s in fixed.items()})
        kept = {name: getattr(schedule[0], name) for name in constant} if schedule else {}
        schedule.append(h._replace(**kept))
    return draw(values), [draw(values) for _ in range(steps)], schedule


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
