"""Numbers that are written in code, solved for from what it answers: all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.drawing import Hyper
from oracles.harness.arguments import HOWS, Argument
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.following import Column, Heard, follow
from oracles.harness.evidence.newton import WORTH, Bounds, changes, least_squares
from oracles.harness.evidence.observation import Observation
from oracles.harness.evidence.shorter import in_digits

STARTS = 5
"""Of how many values beside torch's own a solution is looked for."""

FACTORS, OTHERS = (0.1, 10.0), (0.05, 0.5)
"""Where these are: of what an argument is multiplied with, and of what is no matter where
conventions are told apart."""

SMALL, SMALLEST = 1e-3, 1e-9
"""What is called small of torch's own numbers, and from where on they are looked for."""

LARGEST, REMEMBERED = 1e4, 30.0
"""Of any number, and of what is gone once e to that power has been forgotten."""

DIGITS = (1, 2, 3, 4, 6, 8, 9, 12, 15)
"""With how many a value is tried: people write few."""

OFTEN = ("lr", "weight_decay")
"""What people write in code; of numbers that make up for one another these stay."""

SLACK = 64
"""So many roundings of a parameter may be between it and what values of few digits give."""

REFINED, NUDGE, LITTLE = 4, 1e-7, 1e-3
"""How often values are brought nearer to the last digit, and by which part they, or so much, are
changed to see what that does."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A candidate of which some numbers are not known.

    Attributes:
        candidate: whose; it has what becomes of other arguments.
        names: of hyperparameters.
        how: what becomes of each of them, as a word of
            :data:`~oracles.harness.arguments.HOWS`.
        known: what is to be explained.
        by_powers: whether a small number, too, is looked for by its powers: where it stands beside
            what grows from nothing, as Adadelta's ε, the valley is straight in these.
    """

    candidate: Candidate
    names: tuple[str, ...]
    how: Mapping[str, str]
    known: Sequence[Observation]
    by_powers: bool = False

    @cached_property
    def plain(self) -> FloatArray:
        """The values with which nothing becomes of them."""
        h = self.candidate.rule.hyper()
        return np.array([1.0 if self.how[n] == "times" else getattr(h, n) for n in self.names])

    def with_values(self, values: FloatArray) -> Candidate:
        """The candidate with what becomes of its hyperparameters with these values."""
        some = zip(self.names, map(float, values), self.plain, strict=True)
        own = [
            Argument((n,), self.how[n], value)
            for n, value, plain in some
            if value != plain or (n == "lr" and self.how[n] == "is")  # which changes if it is given
        ]
        return self.candidate.hearing(*own, *self.candidate.arguments)

    @cached_property
    def kind(self) -> tuple[Any, ...]:
        """What is the same of problems that are solved together."""
        return self.candidate.rule, self.names, (*self.how.items(),), self.by_powers

    def without(self, name: str) -> Problem:
        """The same where nothing becomes of one of them."""
        return replace(self, names=tuple(n for n in self.names if n != name))

    # --- How far values are off -------------------------------------------------------------------

    def _given(self, h: Hyper, values: Mapping[str, Any]) -> Hyper:
        """Of given hyperparameters those that the rule sees, whatever it allows."""
        for argument in self.candidate.arguments:
            h = argument.heard(h)
        seen = {n: HOWS[self.how[n]].becomes(getattr(h, n), x, h) for n, x in values.items()}
        columns = {n: x.view(Column) if np.ndim(x) else x for n, x in seen.items()}
        return h._replace(**columns)

    def _followed(
        self, known: Observation, values: Mapping[str, Any]
    ) -> Iterator[tuple[Any, int, Any]]:
        """As :func:`~oracles.harness.evidence.following.follow` does."""
        (group,) = known.case.groups
        schedule = tuple(self._given(h, values) for h in group.schedule)
        multiplied = group.schedule if self.candidate.arguments else ()
        factors = tuple(map(self.candidate.gradient, multiplied))
        rows = max(np.size(x) for x in values.values())
        yield from follow(self._bare, known, heard=Heard(schedule, factors, rows))

    @cached_property
    def _bare(self) -> Candidate:
        return self.candidate.hearing()

    def answers(self, rows: FloatArray, known: Observation) -> FloatArray:
        """What rows of values give: (rows, steps, elements); all at once, if the text takes them.

        Some texts ask more of a number than whether it is 0, or sum over elements.
        """
        if not self.candidate.rule.elementwise:
            return np.stack([self.answer(row, known) for row in rows])
        found = np.empty((len(rows), *known.answer.shape))
        columns = {name: rows[:, [number]] for number, name in enumerate(self.names)}
        with np.errstate(all="ignore"):
            try:
                for where, step, w in self._followed(known, columns):
                    found[:, step, where] = w
            except (TypeError, ValueError):
                found = np.stack([self.answer(row, known) for row in rows])
        return found

    def answer(self, values: FloatArray, known: Observation) -> FloatArray:
        """What one row of values gives: (steps, elements)."""
        found = np.full(known.answer.shape, np.inf)
        one = dict(zip(self.names, map(float, values), strict=True))
        with np.errstate(all="ignore"), suppress(ArithmeticError):  # of Python's numbers
            for where, step, w in self._followed(known, one):
                found[step, where] = np.ravel(w)
        return found

    def residuals(self, rows: FloatArray) -> FloatArray:
        """What is off, in parts of each step's largest move: (rows, elements of all steps)."""
        off = [
            (self.answers(rows, one) - one.answer) / np.where(one.moves, one.moves, 1.0)
            for one in self.known
        ]
        found = np.concatenate([each.reshape(len(rows), -1) for each in off], axis=1)
        clipped: FloatArray = np.clip(np.nan_to_num(found, nan=LARGEST), -LARGEST, LARGEST)
        return clipped

    def off(self, values: FloatArray) -> float:
        """The most of it."""
        return float(np.abs(self.residuals(values[None])).max())

    def roundings(self, values: FloatArray) -> float:
        """What is off at most, in roundings of the parameters."""
        return max((self._roundings(values, one) for one in self.known), default=0.0)

    def good(self, values: FloatArray, most: float) -> bool:
        """Whether no more roundings than that are off."""
        return all(self._roundings(values, one) <= most for one in self.known)

    def _roundings(self, values: FloatArray, known: Observation) -> float:
        with np.errstate(all="ignore"):
            off = np.abs(self.answer(values, known) - known.answer)
            part = np.where(off == 0, 0.0, off / known.rounding)
        return float(np.where(np.isnan(part), np.inf, part).max())

    # --- Solving ----------------------------------------------------------------------------------

    def starts(self) -> FloatArray:
        """Values to start from: torch's own, and a few of where conventions are told apart."""
        spans = self.candidate.rule.drawing.full.hyper
        low, high = np.array(
            [FACTORS if self.how[n] == "times" else spans.get(n, OTHERS) for n in self.names]
        ).T
        low = np.where(self.by_powers & self.small, SMALLEST, low)
        drawn = np.random.Generator(np.random.PCG64(0)).random((STARTS, len(self.names)))
        return self._scaled(np.concatenate([self.plain[None], low * (high / low) ** drawn]))

    def _scaled(self, rows: FloatArray) -> FloatArray:
        """With the learning rate that makes moves as long as what was seen."""
        if "lr" not in self.names:
            return rows
        number, still = self.names.index("lr"), rows.copy()
        still[:, number] = 0.0
        seen, other = self.residuals(still), self.residuals(rows)
        moves = other - seen
        along = -(moves * seen).sum(axis=1) / np.maximum((moves**2).sum(axis=1), 1e-300)
        still[:, number] = rows[:, number] * np.clip(np.abs(along), 1e-6, 1e6)
        return still

    def solved(self, rows: FloatArray) -> FloatArray:
        """The best of what these come to."""
        values: FloatArray = solved([self], rows[None])[0]
        return values

    def refined(self, values: FloatArray) -> FloatArray:
        """Values that are nearly right, to the last digit.

        Gauss' and Newton's method, in which what is off counts in roundings: what is off by a part
        of a small move says as much of a number as what is off by that part of a large one.
        """
        found: list[tuple[float, FloatArray]] = []
        for _ in range(REFINED + 1):
            near = values * (1 + NUDGE * np.concatenate([0 * values[None], np.eye(len(values))]))
            off = self._in_roundings(near)
            found.append((float(np.linalg.norm(off[0])), values))
            if len(found) > 1 and found[-1][0] > WORTH * found[-2][0]:  # no nearer any more
                break
            values = values * (1 + changes(off, NUDGE))
        return min(found, key=itemgetter(0))[1]

    def _in_roundings(self, rows: FloatArray) -> FloatArray:
        """What is off, in roundings of the parameters: (rows, elements of all steps)."""
        with np.errstate(all="ignore"):
            off = [(self.answers(rows, one) - one.answer) / one.rounding for one in self.known]
        found = np.concatenate([each.reshape(len(rows), -1) for each in off], axis=1)
        return np.where(np.isfinite(found).all(axis=0), found, 0.0)

    @cached_property
    def _rates(self) -> NDArray[np.bool_]:
        """Which of them are parts that are kept: their terms are −log(1 − β)."""
        domains = self.candidate.rule.drawing.domains
        return np.array([self.how[n] == "is" and domains[n].high < 1 for n in self.names])

    @cached_property
    def _factor(self) -> NDArray[np.bool_]:
        """Which is the learning rate: its term is log γ."""
        return np.array([n == "lr" for n in self.names]) | (self.by_powers & self.small)

    @cached_property
    def small(self) -> NDArray[np.bool_]:
        """Which is small where torch has it."""
        return (self.plain > 0) & (self.plain < SMALL)

    @cached_property
    def bounds(self) -> Bounds:
        """Of terms."""
        factors = self._factor | self._rates
        least = np.where(self._factor, -LARGEST, 0.0)
        most = np.where(self._rates, REMEMBERED, LARGEST)
        return Bounds(least, most, np.where(factors, 2.0, np.inf))

    def terms(self, values: FloatArray) -> FloatArray:
        """In what values are solved for."""
        with np.errstate(all="ignore"):
            rates = np.where(self._rates, -np.log1p(-values), values)
            terms = np.where(self._factor, np.log(values), rates)
        return np.clip(terms, self.bounds.least, self.bounds.most)

    def values(self, terms: FloatArray) -> FloatArray:
        """What these terms are of."""
        with np.errstate(all="ignore"):
            rates = np.where(self._rates, -np.expm1(-terms), terms)
            return np.where(self._factor, np.exp(terms), rates)

    def nudges(self, terms: FloatArray) -> FloatArray:
        """By how much terms are changed to see what that does."""
        part = NUDGE * np.maximum(terms, LITTLE)
        return np.where(self._factor | self._rates, NUDGE, part)

    # --- As people write them ---------------------------------------------------------------------

    def simplest(self, values: FloatArray) -> tuple[Problem, FloatArray]:
        """What is left of it, with the fewest and shortest values that are as good."""
        problem, allowed = self, max(SLACK, 2 * self.roundings(values))
        for name in sorted(self.names, key=lambda name: (name in OFTEN, -self.names.index(name))):
            kept = [n != name for n in problem.names]
            if sum(kept):
                fewer = problem.without(name)
                others = fewer.solved(values[None, kept])
                if fewer.good(others, allowed):
                    problem, values = fewer, others
        return problem, problem.shortest(values, lambda v: problem.good(v, allowed))

    def shortest(self, values: FloatArray, good: Callable[[FloatArray], bool]) -> FloatArray:
        """Values with few digits that are still good."""
        whole = (np.array([*map(float, each)]) for each in zip(*map(_shorter, values), strict=True))
        values = next((v for v in whole if good(v)), values)
        for number, value in enumerate(values):
            for short in (self.plain[number], 0.0, *_shorter(value)):
                other = np.where(np.arange(len(values)) == number, short, values)
                if good(other):
                    values = other
                    break
        return values


def solved(problems: Sequence[Problem], rows: FloatArray) -> FloatArray:
    """The best of what rows of values come to in problems of one kind.

    A learning rate goes by factors, and so does what a rate of decay forgets: in these terms the
    valleys in which they make up for one another are straight.

    Args:
        problems: of one kind.
        rows: of values to start from, (problems, rows, values).

    Returns:
        The values of each, (problems, values).
    """
    first, count = problems[0], rows.shape[2]
    more = np.concatenate([np.zeros((1, count)), np.eye(count)])

    def sloping(numbers: NDArray[np.intp], terms: FloatArray) -> tuple[FloatArray, FloatArray]:
        nudges = first.nudges(terms)
        near = first.values(terms[:, :, None] + more * nudges[:, :, None])
        given = zip(numbers, near.reshape(len(near), -1, count), strict=True)
        found = np.stack([problems[n].residuals(values) for n, values in given])
        found = found.reshape(*near.shape[:3], -1)
        off = found[:, :, 0]
        return off.copy(), (found[:, :, 1:] - off[:, :, None]) / nudges[..., None]

    return first.values(least_squares(sloping, first.terms(rows), first.bounds))


def _shorter(value: float) -> tuple[float, ...]:
    """A number with more and more digits; at last it itself."""
    return (*in_digits(value, DIGITS), value)
