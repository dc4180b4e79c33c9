"""Which rules the weights of a loop were seen to follow, by the oracles of optimizers.

What was looked at of a step, some elements of each parameter and of its gradient, is a recorded run
of an optimizer, and is held against all that is known as one is by :func:`oracles.identify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from oracles.harness.arguments import Argument
from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.candidates import Candidate, combined
from oracles.harness.evidence.sifting import MARGINS, Sieve
from oracles.harness.evidence.witnesses import Recorded
from oracles.harness.subjects.trace import Trace
from oracles.harness.watching.events import Optimizer, Values
from oracles.harness.watching.loop import Loop, Movement, Update, listed
from oracles.optimizers.registry import ELEMENTWISE, RULES
from oracles.rule import Rule

DECAY, BATCH = "weight_decay", "batch_size"

DEEP = 2
"""So many conventions are combined at most."""

SEEN = 64
"""So many steps that move something are held against rules: which ones hold is plain by then, and
once a training has converged, no rule is excluded by moves as small as roundings."""

TUPLES = {name: parts for r in RULES.values() for name, parts in r.binding.tuples.items()}
"""Arguments of torch that hold several hyperparameters."""


def movements(loop: Loop) -> Iterator[Movement]:
    """Of all groups of the optimizers that were watched from their first step on."""
    for number, optimizer in enumerate(loop.log.optimizers):
        updates = loop.updates[number]
        seen = updates and optimizer.watched and optimizer.fresh
        if seen and all(u.stepped and u.stepped.calls in (None, 1) for u in updates):
            for group, parameters in enumerate(optimizer.groups):
                if found := _Group(loop, number, group, parameters).movement():
                    yield found


class _Group:
    """A group of an optimizer, all its updates, and those that are held against rules."""

    def __init__(self, loop: Loop, number: int, group: int, parameters: Sequence[int]) -> None:
        self.loop = loop
        self.number, self.group = number, group
        self.optimizer: Optimizer = loop.log.optimizers[number]
        self.parameters = tuple(dict.fromkeys(parameters))
        self.every = [u for u in loop.updates[number] if group < len(u.used.groups)]
        moves = (any(map(u.moved, self.parameters)) for u in self.every)
        self.updates = self.every[: _telling(moves)]

    @property
    def rules(self) -> Sequence[Rule]:
        """What it may follow: what torch's class of that name does, or anything."""
        if not self.optimizer.torchs:
            return ELEMENTWISE
        return [rule for rule in ELEMENTWISE if rule.name == self.optimizer.name.partition(" ")[0]]

    def movement(self) -> Movement | None:
        """What its weights follow; None if that cannot be told."""
        moving = [p for p in self.parameters if any(u.moved(p) for u in self.updates)]
        trace = self._trace(moving, self.updates)
        if trace is None or not self.rules:
            return None
        fit, counted = self._followed(trace)
        if fit is None:
            return None
        divided, multiplied = _scaled(fit)
        return Movement(
            self.number,
            self.group,
            str(fit),
            counted if divided else "",
            counted if multiplied else "",
            tuple(self._behind(fit.rule)),
        )

    def _followed(self, trace: Trace) -> tuple[Candidate | None, str]:
        """What fits, and in which words the count that it depends on is told."""
        for counted, counts in self._counts():
            hyper = {**trace.hyper, BATCH: counts} if counted else trace.hyper
            if fits := _fits(replace(trace, hyper=hyper), self.rules):
                return fits[0], counted
        return None, ""

    def _counts(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        """What weight decay may depend on: nothing at first, then whatever is more than 1."""
        yield "", ()
        passes = tuple(float(len(u.landed)) for u in self.updates)
        rows = tuple(float(sum(b.begun.loss.rows or 0 for b in u.landed)) for u in self.updates)
        for words, counts in (("{} rows", rows), ("{} backward passes", passes)):
            if min(counts) > 0 and max(counts) > 1:
                numbers = listed([f"{n:g}" for n in sorted(set(counts))])
                yield words.format(numbers), counts

    def _behind(self, rule: Rule) -> Iterator[int]:
        """Parameters that stay where they are, where the rule would have them move."""
        for p in self.parameters:
            given = [u for u in self.every if (g := u.taken(p)) and any(g.values)]
            late = len(given) < len(self.every) or self.optimizer.torchs
            if len(given) > 1 and late and not self.optimizer.hooked:
                trace = None if any(u.moved(p) for u in given) else self._trace([p], given[:SEEN])
                if trace is not None and _excluded(trace, rule):
                    yield p

    def _trace(self, parameters: Sequence[int], updates: Sequence[Update]) -> Trace | None:
        """What was seen of some parameters; None if that is too little, or no numbers."""
        dtypes = {self.loop.log.parameters[p].dtype for p in parameters}
        seen = {p: s for p in parameters if (s := _seen(p, updates)) is not None}
        if not seen or len(dtypes) != 1 or not dtypes <= set(DTYPES):
            return None
        names = {p: f"{p} {self.loop.log.parameters[p].name}" for p in seen}
        return Trace(
            self.optimizer.name,
            {names[p]: weights for p, (weights, _) in seen.items()},
            {names[p]: gradients for p, (_, gradients) in seen.items()},
            self._hyper(updates),
            dtypes.pop(),
        )

    def _hyper(self, updates: Sequence[Update]) -> dict[str, tuple[float, ...]]:
        """The settings of the group at each step, as a rule names them, the decay as meant."""
        columns: dict[str, list[float]] = {}
        meant = self.loop.log.meant.weight_decay
        for update in updates:
            settings = dict(_flat(update.used.groups[self.group]))
            if meant is not None and settings.get(DECAY):
                settings[DECAY] = meant
            for name, value in settings.items():
                columns.setdefault(name, []).append(value)
        return {n: tuple(column) for n, column in columns.items() if len(column) == len(updates)}


def _telling(moved: Iterable[bool]) -> int:
    """How many steps there are, up to the last that moves something, or the last of many such."""
    places = (place for place, moves in enumerate(moved, start=1) if moves)
    return max(islice(places, SEEN), default=0)


def _seen(
    parameter: int, updates: Sequence[Update]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """A parameter before each step and after the last, and its gradients."""
    looks = [u.used.look for u in updates] + [updates[-1].stepped and updates[-1].stepped.look]
    weights = [look.weight(parameter) if look else () for look in looks]
    taken = [u.taken(parameter) for u in updates]
    gradients: list[Values] = [g.values if g else () for g in taken]
    lengths = {len(row) for row in (*weights, *gradients)}
    if len(lengths) != 1 or lengths == {0}:
        return None
    found = np.array(weights, dtype=float), np.array(gradients, dtype=float)
    return found if all(np.isfinite(values).all() for values in found) else None


def _fits(trace: Trace, rules: Sequence[Rule]) -> tuple[Candidate, ...]:
    """What a run follows, the simplest first; weight decay may depend on the batch size."""
    for margin in MARGINS:
        sieve = Sieve(Recorded(trace), dict.fromkeys(rules, frozenset()), margin)
        found = sieve.simplest(DEEP).fits or _counting(sieve)
        if fits := tuple(c for c in found if not sieve.aside(c.rule)):
            return fits
    return ()


def _counting(sieve: Sieve) -> tuple[Candidate, ...]:
    """torch's rules, with a weight decay that is divided by the batch size, or multiplied."""
    return tuple(
        candidate
        for rule in sieve.rules
        if BATCH in sieve.witness.takes(rule) and DECAY in sieve.witness.takes(rule)
        for how in ("over m", "times m")
        for candidate in sieve.sift(rule, [Candidate(rule, (), (Argument((DECAY,), how),))]).fits
    )


def _excluded(trace: Trace, rule: Rule) -> bool:
    """Whether torch's rule does not hold a run, however its scalars are kept."""
    for margin in MARGINS:
        sieve = Sieve(Recorded(trace), {rule: frozenset()}, margin)
        found = sieve.sift(rule, combined(rule, 0))
        if found.fits or found.open:
            return False
    return True


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in settings.items():
        if not isinstance(value, tuple):
            yield name, value
        elif len(value) == len(TUPLES.get(name, ())):
            yield from zip(TUPLES[name], value, strict=True)


def _scaled(fit: Candidate) -> tuple[bool, bool]:
    """Whether a candidate divides weight decay by the batch size, or multiplies it with it."""
    hows = {argument.how for argument in fit.arguments if DECAY in argument.names}
    return "batch_scaled" in fit.names or "over m" in hows, "times m" in hows
