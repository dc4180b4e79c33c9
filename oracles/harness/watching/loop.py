"""The course of a loop: what lies between one step of an optimizer and the next.

What became of a gradient is told by looks at it: which tensor it is, how often it was written into,
and what some of its elements are. Whoever clears or multiplies gradients by hand is seen like those
who call torch's functions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import NamedTuple

from oracles.harness.arithmetic.formats import FORMATS
from oracles.harness.watching.events import (
    Advanced,
    Begun,
    Clipped,
    Ended,
    Event,
    Gradient,
    Log,
    Look,
    Model,
    Optimizer,
    Scheduler,
    Skipped,
    Stepped,
    Used,
)

ROUNDINGS = 4
"""A gradient is multiplied twice at most, by a count and by a scale; each factor is rounded, and
each product."""

NOWHERE = Look()


class Movement(NamedTuple):
    """Which rule the weights of a group were seen to follow.

    Attributes:
        optimizer: the number of the optimizer.
        group: the number of the group.
        follows: the rule, in words; empty if it could not be told.
        divided: the count by which the weight decay is divided, in words.
        multiplied: the count with which it is multiplied, in words.
        behind: parameters that do not move, though others do by the same rule.
    """

    optimizer: int
    group: int
    follows: str = ""
    divided: str = ""
    multiplied: str = ""
    behind: tuple[int, ...] = ()


_HALF = float(FORMATS["float16"].u)
_NORMAL = 2.0**-14
"""Below it a product in float16 is rounded by more than its unit of roundoff."""

_SMALLEST = math.ulp(0.0)


def multiplied(value: float, seen: Iterable[tuple[float, float]]) -> float | None:
    """The product of all factors between what a number was left as and what it was then found as.

    None if one was infinite or nan, or had become 0 by what is left out, which hides all factors
    after that.

    >>> multiplied(4.0, [(2.0, 1.0), (0.5, 0.5)]), multiplied(4.0, [(4.0, 0.0), (0.0, 0.0)])
    (0.25, None)
    """
    factor = 1.0
    for found, left in seen:
        if not math.isfinite(value) or not (value or factor == found == 0):
            return None
        factor *= found / value if value else 1.0
        value = left
    return factor


def unit(dtype: str) -> float:
    """Roundoff of what multiplies gradients of a dtype: scalers keep their scale in float32."""
    return max(float(FORMATS[d].u) for d in ("float32", dtype) if d in FORMATS)


@dataclass(frozen=True, eq=False)
class Backward:
    """A backward pass.

    Attributes:
        begun, ended: its ends.
    """

    begun: Begun
    ended: Ended

    def before(self, parameter: int) -> Gradient | None:
        return (self.begun.look or NOWHERE).gradient(parameter)

    def after(self, parameter: int) -> Gradient | None:
        return (self.ended.look or NOWHERE).gradient(parameter)

    def reached(self, parameter: int) -> bool:
        """Whether it has left something in the gradient of a parameter."""
        before, after = self.before(parameter), self.after(parameter)
        return after is not None and before != after


@dataclass(frozen=True, eq=False)
class Update:
    """The gradients that an optimizer takes once, and what happened since it took some before.

    Attributes:
        optimizer: which.
        step: which of its steps, counted from 1.
        previous: when it took some before; None if it was not seen to.
        window: what happened since then, or since the beginning, but for steps of optimizers that
            have none of its parameters.
        used: the moment at which it takes them.
        stepped: its step is over; None if it takes gradients again before that.
        unit: roundoff of what multiplies its gradients.
    """

    optimizer: Optimizer
    step: int
    previous: Used | None
    window: tuple[Event, ...]
    used: Used
    stepped: Stepped | None
    unit: float

    @property
    def parameters(self) -> tuple[int, ...]:
        """What the optimizer has when it takes them; groups may come later."""
        return tuple(self.used.gradients)

    def taken(self, parameter: int) -> Gradient | None:
        """The gradient of a parameter that the step takes."""
        return self.used.gradients.get(parameter)

    def earlier(self, parameter: int) -> tuple[Gradient, ...]:
        """The gradient of a parameter that was taken before, and what the step then left of it.

        Nothing was taken by a step that has left the parameter where it was, or did not have it.
        """
        if self.previous is None or parameter not in self.previous.gradients:
            return ()
        after = (e for e in self.window[:1] if isinstance(e, Stepped))
        looks = [e.look for e in (self.previous, *after) if e.look]
        weights = {look.weight(parameter) for look in looks}
        if len(looks) > 1 and len(weights) == 1 and any(weights):
            return ()
        return tuple(g for look in looks if (g := look.gradient(parameter)) is not None)

    def moved(self, parameter: int) -> bool:
        """Whether the step has changed a parameter, as far as that was looked at."""
        after = self.stepped and self.stepped.look
        before = self.used.look
        return bool(after and before and after.weight(parameter) != before.weight(parameter))

    @cached_property
    def looks(self) -> tuple[Look, ...]:
        """All looks since, the one of the step included."""
        return tuple(e.look for e in (*self.window, self.used) if e.look is not None)

    @cached_property
    def begun(self) -> tuple[Begun, ...]:
        return tuple(e for e in self.window if isinstance(e, Begun))

    @cached_property
    def passes(self) -> tuple[Backward, ...]:
        """All backward passes since, whatever they reached."""
        return tuple(paired(self.window))

    @cached_property
    def backwards(self) -> tuple[Backward, ...]:
        """Those that have reached parameters of the optimizer."""
        return tuple(b for b in self.passes if any(map(b.reached, self.parameters)))

    def after(self, event: Event) -> tuple[Event, ...]:
        """What happened after an event, up to the step."""
        place = next(n for n, e in enumerate(self.window) if e is event)
        return (*self.window[place + 1 :], self.used)

    def kept(self, backward: Backward, parameter: int) -> bool | None:
        """Whether what a pass left of a gradient is in what the step takes; None if none can tell.

        It is not if there was none, or one of zeros, in between, unless a clip has multiplied it
        with 0. What somebody has put in its place may have been made of it.
        """
        left = backward.after(parameter)
        if left is None or not backward.reached(parameter) or not any(left.values):
            return None
        gone = self.vanished(parameter)
        events = takewhile(lambda e: e is not gone, self.after(backward.ended))
        looks = [e.look.gradient(parameter) for e in events if e.look]
        if not all(g and any(g.values) for g in looks):
            return False
        tensors = {g.tensor for g in (*looks, self.taken(parameter)) if g}
        return True if tensors == {left.tensor} else None

    @property
    def inside(self) -> bool:
        """Whether the step is made while a pass goes on: as soon as its own gradients are there."""
        ends = [e for e in self.window if isinstance(e, Begun | Ended)]
        return bool(ends) and isinstance(ends[-1], Begun)

    @property
    def takes_any(self) -> bool:
        """Whether the step takes anything but zeros."""
        taken = (self.taken(p) for p in self.parameters)
        return any(g and any(g.values) for g in taken)

    def vanished(self, parameter: int) -> Clipped | None:
        """The clip that has made zeros of a gradient, which the step takes as they are.

        It has divided by a norm that is infinite, or close to it.
        """
        taken = self.taken(parameter)
        if taken is None or any(taken.values):
            return None
        since = takewhile(lambda e: not isinstance(e, Begun), reversed(self.window))
        for clip in (e for e in since if isinstance(e, Clipped) and e.by_norm and e.limit > 0):
            before = clip.before.gradient(parameter)
            after = (clip.look or NOWHERE).gradient(parameter)
            if before and after and after.tensor == taken.tensor and any(before.values):
                return None if any(after.values) else clip
        return None

    @cached_property
    def landed(self) -> tuple[Backward, ...]:
        """The passes whose gradients the step takes."""
        return tuple(b for b in self.backwards if True in self._fates(b))

    @cached_property
    def lost(self) -> tuple[Backward, ...]:
        """The passes whose gradients were cleared before the step."""
        return tuple(b for b in self.backwards if self._fates(b) == {False})

    def excused(self, backward: Backward) -> bool:
        """Whether a pass was none of the step's: a step of another optimizer has come after it.

        Or the step that was to take its gradients was left out.
        """
        number, since = self.used.optimizer, self.after(backward.ended)
        skipped = any(isinstance(e, Skipped) and e.optimizer == number for e in since)
        before = takewhile(lambda e: not isinstance(e, Begun), since)
        return skipped or any(isinstance(e, Used) and e.optimizer != number for e in before)

    @property
    def sure(self) -> bool:
        """Whether it is known of each pass if the step takes its gradients."""
        return len(self.landed) + len(self.lost) == len(self.backwards)

    def _fates(self, backward: Backward) -> set[bool | None]:
        return {self.kept(backward, p) for p in self.parameters} - {None}

    @property
    def factor(self) -> float | None:
        """What the gradients were multiplied with after the last pass, clipping left out.

        None if that is no one number.
        """
        return None if self.uneven or not self._factors else self._factors[0]

    @property
    def uneven(self) -> bool:
        """Whether elements of the gradients were multiplied with different numbers."""
        found = self._factors
        return bool(found) and not all(self.near(factor, found[0]) for factor in found)

    @cached_property
    def _factors(self) -> tuple[float, ...]:
        """For each element that was looked at, what it was multiplied with after the last pass."""
        if not self.landed:
            return ()
        return tuple(f for p in self.parameters for f in self._multiplied(self.landed[-1], p))

    def _multiplied(self, last: Backward, parameter: int) -> Iterator[float]:
        left = last.after(parameter)
        if left is None or not self.kept(last, parameter):
            return
        pairs = [
            (
                (e.before if isinstance(e, Clipped) else e.look).gradient(parameter),
                e.look.gradient(parameter),
            )
            for e in self.after(last.ended)
            if e.look is not None
        ]
        if not all(now and then for now, then in pairs):
            return
        least = min(max(map(abs, left.values)), _NORMAL if self.unit == _HALF else _SMALLEST)
        for place, value in enumerate(left.values):
            seen = [(now.values[place], then.values[place]) for now, then in pairs if now and then]
            factor = multiplied(value, seen)
            if abs(value) >= least and factor is not None:
                yield factor

    def near(self, value: float | None, target: float) -> bool:
        """Whether a product of factors is a number, but for roundings."""
        return value is not None and abs(value - target) <= ROUNDINGS * self.unit * abs(target)


@dataclass(frozen=True, eq=False)
class Loop:
    """A log, read.

    Attributes:
        log: that.
        movements: which rules its weights were seen to follow.
    """

    log: Log
    movements: tuple[Movement, ...] = ()

    @cached_property
    def updates(self) -> tuple[tuple[Update, ...], ...]:
        """By the number of the optimizer."""
        steps: list[list[int]] = [[] for _ in self.log.optimizers]
        others: list[int] = []
        for place, event in enumerate(self.log.events):
            mine = steps[event.optimizer] if isinstance(event, Used | Stepped) else others
            mine.append(place)
        own = [sorted(others + [p for k in kin for p in steps[k]]) for kin in self._kin()]
        return tuple(tuple(self._updates(n, places)) for n, places in enumerate(own))

    def _kin(self) -> list[set[int]]:
        """By optimizer, those that have parameters in common with it, itself included."""
        owners: dict[int, set[int]] = defaultdict(set)
        for number, optimizer in enumerate(self.log.optimizers):
            for parameter in optimizer.parameters:
                owners[parameter].add(number)
        return [
            {number}.union(*(owners[p] for p in optimizer.parameters))
            for number, optimizer in enumerate(self.log.optimizers)
        ]

    def _updates(self, number: int, places: Sequence[int]) -> Iterator[Update]:
        """Those of an optimizer, by the events that are not steps of strangers."""
        optimizer = self.log.optimizers[number]
        events = tuple(self.log.events[place] for place in places)
        mine = [
            (place, event)
            for place, event in enumerate(events)
            if isinstance(event, Used | Stepped) and event.optimizer == number
        ]
        dtypes = [self.log.parameters[p].dtype for p in optimizer.parameters]
        worst = max(map(unit, dtypes), default=unit("float32"))
        previous, start, step = None, 0, 1
        for index, (place, event) in enumerate(mine):
            if isinstance(event, Stepped):
                step += 1
                continue
            following = mine[index + 1][1] if index + 1 < len(mine) else None
            stepped = following if isinstance(following, Stepped) else None
            window = events[start:place]
            yield Update(optimizer, step, previous, window, event, stepped, worst)
            previous, start = event, place + 1

    @property
    def watched(self) -> Iterator[tuple[Optimizer, tuple[Update, ...]]]:
        """Those that are asked about and have stepped, and their updates."""
        for optimizer, updates in zip(self.log.optimizers, self.updates, strict=True):
            if optimizer.watched and updates:
                yield optimizer, updates

    def where(self, test: Callable[[Update], object]) -> Iterator[tuple[str, list[Update]]]:
        """Which updates of an optimizer are such, in words, and these updates."""
        for optimizer, updates in self.watched:
            if told := [update for update in updates if test(update)]:
                yield of(optimizer, told), told

    @cached_property
    def passes(self) -> tuple[Backward, ...]:
        """All backward passes."""
        return tuple(paired(self.log.events))

    @cached_property
    def followed(self) -> tuple[Backward, ...]:
        """The backward passes that a step has come after."""
        before = {id(begun) for updates in self.updates for u in updates for begun in u.begun}
        return tuple(b for b in self.passes if id(b.begun) in before)

    def reached(self, parameter: int) -> bool:
        """Whether any pass has reached a parameter."""
        return any(backward.reached(parameter) for backward in self.passes)

    def owners(self, parameter: int) -> list[Optimizer]:
        """The optimizers that have a parameter."""
        return [o for o in self.log.optimizers if parameter in o.parameters]

    @property
    def scheduled(self) -> Iterator[tuple[int, Scheduler, Optimizer, tuple[Update, ...]]]:
        """Schedulers that count their steps, by number, with their optimizers."""
        yield from (entry for entry in self.adjusted if not entry[1].metric)

    @property
    def adjusted(self) -> Iterator[tuple[int, Scheduler, Optimizer, tuple[Update, ...]]]:
        """All schedulers that somebody is to call, those that go by a metric among them."""
        for number, scheduler in enumerate(self.log.schedulers):
            if scheduler.optimizer is not None and not scheduler.part:
                optimizer = self.log.optimizers[scheduler.optimizer]
                if optimizer.watched and self.updates[scheduler.optimizer]:
                    yield number, scheduler, optimizer, self.updates[scheduler.optimizer]

    def names(self, parameters: Sequence[int], most: int = 3) -> str:
        """Parameters in words: the first ones by name."""
        named = [self.log.parameters[p].name for p in parameters]
        rest = len(named) - most
        return listed(named if rest < 1 else [*named[:most], f"{rest} more"])

    def trained(self) -> Iterator[Model]:
        """Models that some backward pass has reached."""
        for model in self.log.models:
            if any(map(self.reached, model.parameters)):
                yield model


def paired(events: Sequence[Event]) -> Iterator[Backward]:
    """The backward passes that begin and end among some events."""
    begun: Begun | None = None
    for event in events:
        if isinstance(event, Begun):
            begun = event
        elif isinstance(event, Ended) and begun is not None:
            yield Backward(begun, event)
            begun = None


def advances(scheduler: int, events: Sequence[Event]) -> list[int]:
    """Where, among events, a scheduler goes on by one."""
    return [
        place
        for place, e in enumerate(events)
        if isinstance(e, Advanced) and e.scheduler == scheduler and not e.placed
    ]


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def verb(told: Sequence[object], one: str, more: str) -> str:
    """A verb for one thing, or for more."""
    return more if len({*told}) > 1 else one


def of(optimizer: Optimizer, told: Sequence[Update]) -> str:
    """Some steps of an optimizer in words."""
    return f"{steps([update.step for update in told])} of {optimizer.name}"


def steps(numbers: Sequence[int]) -> str:
    """Numbers of steps in words; runs of them by their ends.

    >>> steps([1]), steps([2, 3]), steps([1, 2, 3, 5])
    ('step 1', 'steps 2 and 3', 'steps 1 to 3 and 5')
    """
    runs: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(sorted(set(numbers))):
        runs[number - index].append(number)
    told = [
        [f"{run[0]} to {run[-1]}"] if len(run) > 2 else list(map(str, run)) for run in runs.values()
    ]
    words = [word for run in told for word in run]
    return f"step{'s' if len(set(numbers)) > 1 else ''} {listed(words)}"
