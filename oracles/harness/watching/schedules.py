"""Schedulers that go on too often, too early, never, or for nobody; rates that are set twice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from oracles.harness.watching.events import (
    Advanced,
    Built,
    Event,
    Optimizer,
    Scheduler,
    Skipped,
    Stepped,
    Used,
    Values,
)
from oracles.harness.watching.loop import Loop, Update, advances


def each_pass(loop: Loop) -> Iterator[str]:
    """A scheduler goes on after each of the micro-batches that make a step, and past its end."""
    for number, scheduler, optimizer, passes in _per_pass(loop):
        if made := _past(loop, number):
            yield (
                f"{scheduler.name} goes on {passes} times for each step of {optimizer.name}, once "
                f"after each backward pass, and {made} times in all: past its end, which is step "
                f"{scheduler.length}"
            )


def counts_passes(loop: Loop) -> Iterator[str]:
    """A scheduler goes on after each of the micro-batches that make a step, maybe to its end."""
    for number, scheduler, optimizer, passes in _per_pass(loop):
        exact = loop.log.whole and len(advances(number, loop.log.events)) == scheduler.length
        if not exact and not _past(loop, number):
            yield (
                f"whether {scheduler.name} is to count backward passes: it goes on {passes} times "
                f"for each step of {optimizer.name}, once after each pass"
            )


def _past(loop: Loop, number: int) -> int:
    """How often a scheduler that is past its end has gone on; 0 if it is not."""
    scheduler, made = loop.log.schedulers[number], len(advances(number, loop.log.events))
    return made if scheduler.fresh and 0 < (scheduler.length or 0) < made else 0


def several_times(loop: Loop) -> Iterator[str]:
    """A scheduler goes on several times, as often for each step."""
    per_pass = {number for number, *_ in _per_pass(loop)}
    for number, scheduler, optimizer, updates in loop.scheduled:
        counts = {len(advances(number, u.window)) for u in updates if u.previous}
        if number not in per_pass and len(updates) > 2 and len(counts) == 1 and max(counts) > 1:
            yield (
                f"whether {scheduler.name} is to count anything but steps: it goes on "
                f"{max(counts)} times for each step of {optimizer.name}"
            )


def _per_pass(loop: Loop) -> Iterator[tuple[int, Scheduler, Optimizer, int]]:
    """Schedulers that go on after each backward pass, of which several make a step: how many."""
    for number, scheduler, optimizer, updates in loop.scheduled:
        windows = [u for u in updates if u.previous]
        counts = {len(u.backwards) for u in windows}
        if len(windows) > 1 and min(counts) > 1 and all(_alternates(number, u) for u in windows):
            yield number, scheduler, optimizer, len(windows[0].backwards)


def _alternates(scheduler: int, update: Update) -> bool:
    """Whether there is one advance for each pass, and one between each and the next."""
    places = advances(scheduler, update.window)
    ends = [update.window.index(b.ended) for b in update.backwards]
    between = (sum(start < place < end for place in places) for start, end in pairwise(ends))
    return len(places) == len(ends) and all(count == 1 for count in between)


def past_end(loop: Loop) -> Iterator[str]:
    """A schedule that comes to its end goes on, and a cosine rises again."""
    per_pass = {number for number, *_ in _per_pass(loop)}
    for number, scheduler, optimizer, _ in loop.scheduled:
        if (made := _past(loop, number)) and number not in per_pass:
            yield (
                f"whether {scheduler.name} is to go past its end, which is step "
                f"{scheduler.length}: it has gone on {made} times for {optimizer.name}"
            )


def made_anew(loop: Loop) -> Iterator[str]:
    """A schedule is built again and again, and each goes on once, from the beginning."""
    for owner, optimizer in enumerate(loop.log.optimizers):
        mine = [
            (scheduler, places[0])
            for number, scheduler in enumerate(loop.log.schedulers)
            if scheduler.optimizer == owner and not scheduler.part
            if len(places := advances(number, loop.log.events)) == 1
        ]
        others = [s for s in loop.log.schedulers if s.optimizer == owner and not s.part]
        if optimizer.watched and len(mine) == len(others) > 2 and _begins_again(loop, owner, mine):
            yield (
                f"{len(mine)} schedulers, {mine[0][0].name}, are built one after the other for "
                f"{optimizer.name}, and each goes on once: the schedule never gets beyond its "
                "first step"
            )


def _begins_again(loop: Loop, owner: int, made: Sequence[tuple[Scheduler, int]]) -> bool:
    """Whether schedulers are alike, with steps in between, and do the same from the beginning."""
    alike = len({(s.name, s.fresh, s.length, s.metric) for s, _ in made}) == 1
    first, events = made[0][0], loop.log.events
    advanced = (events[place] for _, place in made)
    moves = {(e.before, e.after) for e in advanced if isinstance(e, Advanced)}
    between = all(
        any(isinstance(e, Stepped) and e.optimizer == owner for e in events[start:end])
        for (_, start), (_, end) in pairwise(made)
    )
    whole = first.fresh and not first.metric and (len(moves) == 1 or (first.length or 0) > 1)
    return alike and whole and between


def never(loop: Loop) -> Iterator[str]:
    """A scheduler is there, and has not gone on when the training is over.

    Where others go on, its turn may not have come.
    """
    for number, scheduler, optimizer, updates in loop.adjusted:
        turns = any(
            _calls(loop, n) and (n == number or not _relieves(loop, n))
            for n, other in enumerate(loop.log.schedulers)
            if other.optimizer == scheduler.optimizer
        )
        if loop.log.whole and len(updates) > 1 and not turns:
            yield (
                f"{scheduler.name} never goes on: {optimizer.name} has made {updates[-1].step} "
                "steps, and the training is over"
            )


def _relieves(loop: Loop, number: int) -> bool:
    """Whether a scheduler that others leave the end to has left them a time before it.

    That is so if its first step is at least twice as late as any other comes after the one before.
    """
    made, _ = _between(loop, number)
    return loop.log.schedulers[number].last and 0 < 2 * max(made[1:], default=0) <= made[0]


def _calls(loop: Loop, number: int) -> list[Event]:
    return [e for e in loop.log.events if isinstance(e, Advanced) and e.scheduler == number]


def not_yet(loop: Loop) -> Iterator[str]:
    """A scheduler has not gone on, and the training was not watched to its end."""
    for number, scheduler, optimizer, updates in loop.adjusted:
        if not loop.log.whole and len(updates) > 1 and not _calls(loop, number):
            yield (
                f"whether {scheduler.name} goes on: it has not in {updates[-1].step} steps of "
                f"{optimizer.name}"
            )


def before_step(loop: Loop) -> Iterator[str]:
    """A scheduler goes on before the first step, which the first rate was meant for."""
    for number, scheduler, optimizer, updates in loop.scheduled:
        if (
            scheduler.fresh
            and optimizer.fresh
            and len(updates) > 1
            and _early(loop, number, updates)
        ):
            yield (
                f"{scheduler.name} goes on before the first step of {optimizer.name}: the first "
                "rate of the schedule is used by no step"
            )


def _early(loop: Loop, number: int, updates: tuple[Update, ...]) -> bool:
    """Whether each step comes right after an advance, and not the other way round.

    The advance is between the last backward pass and the step; or one precedes each step, or as
    many steps each time, and none follows the last one. Whoever takes up a schedule in the middle,
    by steps before the training, is not among them: there each step is followed by an advance. Nor
    is who leaves out a first rate of 0, or one that is the second one, too.
    """
    first = updates[0].window
    places = advances(number, first)
    if len(places) != 1 or any(isinstance(e, Skipped) for e in first):
        return False
    advanced = first[places[0]]
    assert isinstance(advanced, Advanced)
    if advanced.before and (not any(advanced.before) or advanced.before == advanced.after):
        return False
    if all(_within(number, u) for u in updates):
        return True
    ended = loop.log.cut or loop.log.error
    epochs = [*_epochs(loop, number, updates)]
    return not ended and len(epochs) > 1 and len(set(epochs)) == 1


def _epochs(loop: Loop, number: int, updates: tuple[Update, ...]) -> Iterator[int]:
    """How many steps come after each advance, up to the next one, or to the end."""
    mine = {u.used for u in updates}
    places = advances(number, loop.log.events)
    for start, end in pairwise((*places, None)):
        yield sum(e in mine for e in loop.log.events[start:end])


def _within(number: int, update: Update) -> bool:
    """Whether the one advance is between the last pass and the step."""
    places = advances(number, update.window)
    ends = [update.window.index(b.ended) for b in update.backwards]
    return len(places) == 1 and bool(ends) and places[0] > ends[-1]


def at_skipped(loop: Loop) -> Iterator[str]:
    """A scheduler that goes on once a step goes on where the step was left out."""
    for number, scheduler, optimizer, _ in loop.scheduled:
        if not (scheduler.fresh and optimizer.fresh):
            continue
        made, skipped = _between(loop, number)
        idle = [n for n, left in enumerate(skipped) if left]
        if idle and all(m + s == 1 for m, s in zip(made, skipped, strict=True)):
            yield (
                f"{scheduler.name} goes on, as its call {idle[0] + 1}, for a step of "
                f"{optimizer.name} that the scaler has left out"
            )


def _between(loop: Loop, number: int) -> tuple[list[int], list[int]]:
    """Before each advance, since the one before: how many steps were made, how many left out."""
    owner = loop.log.schedulers[number].optimizer
    made, skipped = [], []
    start = 0
    for place in advances(number, loop.log.events):
        events = loop.log.events[start:place]
        made.append(sum(isinstance(e, Used) and e.optimizer == owner for e in events))
        skipped.append(sum(isinstance(e, Skipped) and e.optimizer == owner for e in events))
        start = place
    return made, skipped


def overwritten(loop: Loop) -> Iterator[str]:
    """A rate that was set by hand, or cut at a plateau, is replaced by a schedule of its own."""
    for number, scheduler, optimizer, _ in loop.scheduled:
        if scheduler.closed:
            if edit := next(_edits(loop, number), None):
                by_hand, after = edit
                yield (
                    f"the rate of {optimizer.name} was set to {by_hand:g} by hand, and "
                    f"{scheduler.name} has set it to {after:g} before any step has used it"
                )
            if last := next(_cuts(loop, number), None):
                who, cut, after = last
                yield (
                    f"{who} has cut the rate of {optimizer.name} to {cut:g}, and {scheduler.name} "
                    f"sets it to {after:g} after it: no cut can last"
                )


def _advanced(loop: Loop, owner: int | None) -> Iterator[Used | Built | Advanced]:
    """Steps of an optimizer, and whatever schedulers do to its rates."""
    for event in loop.log.events:
        mine = isinstance(event, Used | Built) and event.optimizer == owner
        moved = isinstance(event, Advanced) and loop.log.schedulers[event.scheduler]
        if mine or (moved and moved.optimizer == owner):
            yield event  # type: ignore[misc]


def _rates(event: Used | Built | Advanced) -> Values:
    """The rates of the groups from an event on."""
    if isinstance(event, Used):
        return tuple(float(group.get("lr", math.nan)) for group in event.groups)
    return event.rates if isinstance(event, Built) else event.after


def _edits(loop: Loop, number: int) -> Iterator[tuple[float, float]]:
    """Rates that somebody has set since the last step or advance, and what became of them.

    What the scheduler begins with may have been set, too: its rates are meant then. To put back
    what a scheduler has set is to set nothing, as who dampens the rates of the first steps does.
    """
    known: Values = ()
    for event in _advanced(loop, loop.log.schedulers[number].optimizer):
        if isinstance(event, Advanced):
            mine = event.scheduler == number and not (event.placed or event.based)
            if mine and len(known) == len(event.before):
                rates = (known, event.left or known, event.before, event.after)
                moved = [
                    (now, after)
                    for was, left, now, after in zip(*rates, strict=True)
                    if now not in (was, left, after)
                ]
                yield from moved[:1]  # the groups' are one edit
        known = _rates(event)


def _cuts(loop: Loop, number: int) -> Iterator[tuple[str, float, float]]:
    """Rates that were cut at a plateau, and set to more by a scheduler that takes turns with it.

    It has gone on since the metric was told for the first time, and before the cut: whoever begins
    with it later has it in another phase.
    """
    turns = told = False
    cut: tuple[str, Values] | None = None
    for event in _advanced(loop, loop.log.schedulers[number].optimizer):
        if isinstance(event, Built):
            cut = None
        elif isinstance(event, Advanced):
            other = loop.log.schedulers[event.scheduler]
            if event.scheduler == number:
                if cut and event.before == cut[1] and not event.based:
                    pairs = zip(cut[1], event.after, strict=False)  # groups may have come
                    yield from ((cut[0], low, high) for low, high in pairs if high > low)
                turns, cut = told, None
            elif other.metric:
                lower = any(a < b for a, b in zip(event.after, event.before, strict=False))
                cut = (other.name, event.after) if turns and lower else cut
                told = True


def of_nobody(loop: Loop) -> Iterator[str]:
    """A scheduler sets the rates of an optimizer that another one has taken the place of."""
    for scheduler, dead in _idle(loop):
        for optimizer, updates in loop.watched:
            shared = set(dead.parameters) & set(optimizer.parameters)
            if shared and len(updates) > 1:
                yield (
                    f"{scheduler.name} sets the rates of an optimizer that makes no step: the "
                    f"parameters are those of another one, {optimizer.name}, by now"
                )
                break


def of_others(loop: Loop) -> Iterator[str]:
    """A scheduler goes on for an optimizer that makes no step, and another has none."""
    for scheduler, idle in _idle(loop):
        for optimizer, updates in loop.watched:
            apart = set(idle.parameters).isdisjoint(optimizer.parameters)
            if apart and _unscheduled(loop, updates):
                yield (
                    f"whether {scheduler.name} is to set the rates of {idle.name}, which makes no "
                    f"step, and nobody those of {optimizer.name}"
                )
                break
    for scheduler, former, optimizer in _outlived(loop):
        yield (
            f"whether {scheduler.name} is to set the rates of {former.name}, which makes no step "
            f"any more, and nobody those of {optimizer.name}, which goes on with its parameters"
        )


def _outlived(loop: Loop) -> Iterator[tuple[Scheduler, Optimizer, Optimizer]]:
    """Schedulers that go on for an optimizer that another one has come after."""
    places = {event: place for place, event in enumerate(loop.log.events)}
    for number, scheduler, former, made in loop.adjusted:
        for optimizer, updates in loop.watched:
            start = places[updates[0].used]
            after = places[made[-1].used] < start
            heir = after and set(former.parameters) & set(optimizer.parameters)
            goes_on = len(advances(number, loop.log.events[start:])) > 1
            if heir and goes_on and _unscheduled(loop, updates):
                yield scheduler, former, optimizer


def _idle(loop: Loop) -> Iterator[tuple[Scheduler, Optimizer]]:
    """Schedulers that go on for optimizers that make no step."""
    for number, scheduler in enumerate(loop.log.schedulers):
        owner = scheduler.optimizer
        if owner is not None and not loop.updates[owner] and len(_calls(loop, number)) > 1:
            yield scheduler, loop.log.optimizers[owner]


def _unscheduled(loop: Loop, updates: Sequence[Update]) -> bool:
    """Whether an optimizer has no scheduler, and steps at the same rates all the time."""
    scheduled = {s.optimizer for s in loop.log.schedulers}
    rates = {_rates(u.used) for u in updates}
    return updates[0].used.optimizer not in scheduled and len(updates) > 1 and len(rates) == 1


def short_lived(loop: Loop) -> Iterator[str]:
    """A rate that was set by hand was used, and then replaced; or a scheduler goes on from it."""
    for number, scheduler, optimizer, _ in loop.scheduled:
        if scheduler.closed and (found := _replaced(loop, number)):
            yield (
                f"whether the rate {found[0]:g}, set by hand for {optimizer.name}, was to last: "
                f"{scheduler.name} has set {found[1]:g} after it"
            )
        if not scheduler.closed and len(edits := [*_edits(loop, number)]) > 1:
            yield (
                f"whether the rate of {optimizer.name} is to be set both by hand and by "
                f"{scheduler.name}, which has gone on {len(edits)} times from what was set by hand"
            )


def _replaced(loop: Loop, number: int) -> tuple[float, float] | None:
    """A rate that a step has used and no scheduler had set, and the one that followed it."""
    known: Values = ()
    own: Values = ()
    for event in _advanced(loop, loop.log.schedulers[number].optimizer):
        rates = _rates(event)
        if isinstance(event, Advanced):
            mine = event.scheduler == number and not event.based
            if own and mine and event.before == own and event.after != own:
                return own[0], event.after[0]
        if not isinstance(event, Used):
            own = ()
        elif known and rates != known:
            own = rates
        known = rates
    return None
