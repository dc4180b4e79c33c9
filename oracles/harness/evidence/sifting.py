"""Which candidates hold all that is known of a piece of code, the simplest ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from oracles.harness.arguments import Argument, numeric
from oracles.harness.candidates import MOST, Candidate, candidates, combined
from oracles.harness.evidence.following import (
    exact,
    held,
    in_short_formats,
    look,
    near,
    plainly,
    plausible,
)
from oracles.harness.evidence.nearness import nearness
from oracles.harness.evidence.observation import Observation
from oracles.harness.evidence.witnesses import Witness
from oracles.harness.oracle import Margin
from oracles.harness.subjects.subject import SubjectError
from oracles.rule import Rule

ROUNDINGS = 16
"""How many roundings a text may make where a rule's own makes one. Rules that differ do so by parts
of the numbers themselves, which in float64 is ten orders of magnitude more."""

MARGINS = (Margin(ROUNDINGS), Margin(ROUNDINGS, scalars="float32"))
"""The narrower one first: who is inside it needs no wider one. JAX and MLX keep scalars in
float32."""


FIRST = 2
"""By so many observations candidates are ranked: those in which all is on that the code takes."""

DEEP = 2
"""Candidates of so many conventions are ranked."""


STILL = Argument(("lr",), "times", 0)
"""What becomes of the learning rate of parameters that are in no group."""


def still(candidate: Candidate) -> bool:
    """Whether nothing is ever stepped."""
    return STILL in candidate.arguments


def undecayed(candidate: Candidate) -> bool:
    """Whether there is no weight decay, whatever is given."""
    none = (("weight_decay",), 0)
    return "decay_ignored" in candidate.names or any(
        (argument.names, argument.by) == none for argument in candidate.arguments
    )


@dataclass(frozen=True)
class Exceptional:
    """Where another candidate holds than everywhere else.

    Attributes:
        where: in words.
        candidate: that holds there.
        shared: what becomes of arguments as everywhere else, and need not be said again.
    """

    where: str
    candidate: Candidate
    shared: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        own = self.candidate.hearing(*(a for a in self.candidate.arguments if a not in self.shared))
        arguments = ", ".join(own.heeded)
        if self.candidate.conventions or not arguments:
            arguments = str(own).partition("'s ")[2]
        return f"{arguments} {self.where}"


@dataclass(frozen=True)
class Sifted:
    """What is left of some candidates.

    Attributes:
        fits: those that hold everything, and for which something speaks.
        open: those that hold everything only because their margin holds almost anything.
        ruled_out: how many do not.
        exceptions: where something else holds than what fits.
    """

    fits: tuple[Candidate, ...] = ()
    open: tuple[Candidate, ...] = ()
    ruled_out: int = 0
    exceptions: tuple[Exceptional, ...] = ()

    def __add__(self, other: Sifted) -> Sifted:
        return Sifted(
            self.fits + other.fits, self.open + other.open, self.ruled_out + other.ruled_out
        )


Cut = Callable[[Observation], Observation | None]
"""What of an observation belongs to a part of what is known; None for nothing."""


def of(numbers: Sequence[int]) -> Cut:
    """What is known of some parameters, of which a case of its own shapes may lack some."""

    def cut(told: Observation) -> Observation | None:
        there = [n for n in numbers if n < len(told.case.parameters)]
        return told.only(there) if there else None

    return cut


@dataclass(frozen=True, eq=False)
class Sieve:
    """What decides whether a candidate is left.

    Attributes:
        witness: what is known.
        rules: of which candidates may be, and the hyperparameters of each that stay at their
            defaults, because the code makes nothing of them.
        margin: around each candidate.
        cut: what of an observation is looked at, if that is not all.
    """

    witness: Witness
    rules: Mapping[Rule, frozenset[str]]
    margin: Margin
    cut: Cut | None = None

    def only(self, *rules: Rule) -> Sieve:
        """The same for some of the rules."""
        return replace(self, rules={rule: self.rules[rule] for rule in rules})

    def takes(self, rule: Rule) -> frozenset[str]:
        """The hyperparameters of a rule that the code heeds."""
        return self.witness.takes(rule) - self.rules[rule]

    def lacks(self, rule: Rule) -> list[str]:
        """The numbers of a rule that the code does not take, or makes nothing of."""
        return [name for name in numeric(rule) if name not in self.takes(rule)]

    def observations(self, rule: Rule) -> Iterator[Observation]:
        """What is known, as cases of a rule."""
        known = self.witness.observations(rule, self.rules[rule])
        return known if self.cut is None else filter(None, map(self.cut, known))

    def known(self, rule: Rule) -> tuple[Observation, ...]:
        """All of them; nothing if the code does not take what this rule's cases are."""
        try:
            return tuple(self.observations(rule))
        except SubjectError:
            return ()

    def beyond(self, rule: Rule) -> tuple[Observation, ...]:
        """All that is known far from them."""
        far = self.witness.far
        return () if far is None else replace(self, witness=far).known(rule)

    @property
    def size(self) -> int:
        """How many moves of elements are known, at most of any rule's cases."""
        return max(sum(o.answer.size for o in self.known(rule)) for rule in self.rules)

    @cached_property
    def ranked(self) -> tuple[Candidate, ...]:
        """All candidates of a few conventions, the nearest first."""
        known = {rule: self.known(rule)[:FIRST] for rule in self.rules}
        off = {
            c: nearness(c, known[rule])
            for rule in known
            if known[rule]
            for c in candidates(rule, DEEP)
        }
        return tuple(sorted(off, key=lambda c: (off[c].typical, off[c].largest)))

    def look(self, rule: Rule, pool: Iterable[Candidate]) -> None:
        """Look at a rule's candidates in its first case, before each is held against all."""
        with suppress(SubjectError):
            look(pool, next(self.observations(rule)))

    def right(self, candidate: Candidate) -> frozenset[str]:
        """The cases in which a candidate holds everything, and something speaks for it.

        In a short format none does: its margin holds much else.
        """
        if in_short_formats(candidate.rule):
            return frozenset()
        holds: dict[str, bool] = {}
        for told in self.known(candidate.rule):
            there = near(candidate, told) and bool(self._held(candidate, told, known=False))
            holds[told.what] = there and holds.get(told.what, True)
        return frozenset(what for what, there in holds.items() if there)

    def not_finite(self, rule: Rule) -> str:
        """Where the code gives numbers that are not finite in cases of a rule; empty if nowhere."""
        told = (o.not_finite(self.takes(rule)) for o in self.known(rule))
        return next(filter(None, told), "")

    def fault(self) -> str:
        """Why nothing is known, as cases of the rule that it takes most of; empty if something is.

        What is asked as another rule may lack an argument that it must be given.
        """
        faults = {}
        for rule in self.rules:
            try:
                next(self.observations(rule))
            except SubjectError as error:
                faults[rule] = str(error)
            else:
                return ""
        return faults[max(faults, key=lambda rule: len(self.takes(rule)))]

    def simplest(self, most: int = MOST) -> Sifted:
        """All candidates, up to those with the fewest conventions of which some fits.

        Those with more conventions have some that nothing speaks for. Candidates that leave an
        argument of the code aside count where none fits that does not. In a short format, or where
        nothing moves, nearly all of them hold: they say nothing beside what is open already.
        """
        found, first = Sifted(), Sifted()
        for count in range(most + 1):
            for rule in self.rules:
                found += self.sift(rule, combined(rule, count))
            found = self._for_sure(found) if self.witness.vague else found
            first = first if first.fits else found
            if whole := tuple(c for c in found.fits if not self.aside(c.rule)):
                return replace(found, fits=whole)
            if self.witness.vague and found.open:
                break
        return replace(found, fits=first.fits)

    def with_one_more(self, found: Sifted) -> Sifted:
        """Candidates of one more convention than those that fit, for which cases far off may speak.

        Of ``eps_added`` beside another size of Muon's step nothing is seen but after one iteration.
        """
        more = Sifted()
        for rule in {c.rule for c in found.fits if not c.arguments}:
            own = [c.names for c in found.fits if c.rule is rule]
            pool = combined(rule, 1 + min(map(len, own)))
            more += self.sift(rule, [c for c in pool if any(names < c.names for names in own)])
        return more

    def _for_sure(self, found: Sifted) -> Sifted:
        """Without what holds by its width alone: another rule gives the same, and does not hold."""
        left = (*found.fits, *found.open)
        out = [c for rule in self.rules for c in combined(rule, 0) if c not in left]
        wide = tuple(c for c in found.fits if any(self._alike(c, other) for other in out))
        fits = tuple(c for c in found.fits if c not in wide)
        return replace(found, fits=fits, open=found.open + wide)

    def _alike(self, *two: Candidate) -> bool:
        """Whether both give the same but for a rounding."""
        known = [self.known(c.rule) for c in two]
        pairs = zip(*known, strict=False)
        return all(known) and all(
            (np.abs(plainly(two[0], o) - plainly(two[1], other)) <= o.rounding).all()
            for o, other in pairs
        )

    def aside(self, rule: Rule) -> frozenset[str]:
        """What the code takes beside all hyperparameters of a rule, as another rule's.

        Adadelta's ``square_late`` is gradient descent: it holds whatever a code with a momentum
        does as long as that is left alone. Code that is handed a dict takes whatever any rule has,
        which says nothing of it.
        """
        if len(self.rules) > 1 and all(
            self.witness.takes(each) >= {*each.hyper()._fields} for each in self.rules
        ):
            return frozenset()
        taken = {each: self.takes(each) for each in self.rules}
        more = [other for other in taken.values() if taken[rule] < other]
        return max(more, key=len, default=taken[rule]) - taken[rule]

    def sift(self, rule: Rule, pool: Iterable[Candidate]) -> Sifted:
        """Which of a rule's candidates hold everything.

        Who is near everywhere is found first: few are, and only they are held by their margin,
        which takes long: first by that of the case that most have left. What is another rule is
        left to that, if it is asked for.
        """
        asked_for = [other.name for other in self.rules]
        pool = [c for c in pool if not c.goes_by(asked_for)]
        left = pool
        asked: list[Observation] = []
        try:
            for observation in self.observations(rule):
                asked.append(observation)
                look(left, observation)
                left = [c for c in left if near(c, observation)]
                if not left:
                    break
            left = [c for c in left if not self._misplaced(c)]
        except SubjectError:  # the code does not take what this rule's cases are
            left = []
        spoken_for: set[Candidate] = set()
        for observation in sorted(asked, key=lambda o: -len(o.excluded)):
            told = {c: self._held(c, observation, known=c in spoken_for) for c in left}
            left = [c for c in left if told[c] is not None]
            observation.excluded.extend(c for c in told if told[c] is None)
            spoken_for |= {c for c in left if told[c]}
        fits = tuple(c for c in left if c in spoken_for and not alone(c, asked))
        rest = (c for c in left if c not in fits)
        open = tuple(c for c in rest if all(plausible(c, one) for one in asked))
        return Sifted(fits, open, len(pool) - len(fits) - len(open))

    def _held(self, candidate: Candidate, observation: Observation, *, known: bool) -> bool | None:
        """Whether a margin holds answers; one that others speak for need not be computed."""
        return (known and exact(candidate, observation)) or held(
            candidate, observation, self.margin
        )

    def _misplaced(self, candidate: Candidate) -> bool:
        """Whether it goes by the dimensions of parameters, and the code by where they stand."""
        return by_dimension(candidate) and self.witness.by_place(candidate.rule)


def by_dimension(candidate: Candidate) -> bool:
    """Whether it is told by what elements of a parameter have in common."""
    return any("vector" in convention.parts for convention in candidate.conventions)


def alone(candidate: Candidate, known: Iterable[Observation]) -> bool:
    """Whether it is told by that, and each has but one.

    What is divided by the norm of them all is a sign there, as with many rules.
    """
    ones = all(p.initial.size == 1 for told in known for p in told.case.parameters)
    return by_dimension(candidate) and ones
