"""What is planted in a part of the loop is told in its cell, as it is of an optimizer.

What came of the questions is made up, at all places that this torch has, and goes through the
report as it does in a run; that a faulty part fails where it is faulty is shown by one that runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial, wraps
from typing import Any

import pytest
import torch

from oracles.everybody import present, tasks_of
from oracles.harness.deviations.flaws import Flaw
from oracles.harness.loop.question import Question
from oracles.harness.loop.rating import PLAIN, TENSOR
from oracles.harness.runs.outcome import FAILED, OK, Outcome, outcome
from oracles.harness.runs.parts import Site
from oracles.harness.runs.tally import Line, Tally
from oracles.harness.runs.walk import Task
from oracles.harness.subjects.subject import Place
from oracles.reports.changes import terminal
from oracles.reports.comparison import WORSE, Change, Comparison, compare
from oracles.reports.run_report import Chosen, Result, RunReport, report
from oracles.schedules.registry import SCHEDULES
from tests.support.marks import skip_before

PARTS = ("StepLR", "AveragedModel", "GradScaler", "clip_grad_norm_", "DistributedDataParallel")
"""A schedule, an average, a scaler, clipping, and what runs on ranks."""

Told = Callable[[Task, list[Place]], Outcome]


def sites(part: str) -> list[Site]:
    there = present(part)[0]
    if not there:
        pytest.skip(f"this torch has no {part}")
    return there


def passed(task: Task, places: list[Place]) -> Outcome:
    """All is well, and no row of the ledger is about this release."""
    asked = [] if isinstance(task.what, Flaw) else places
    return Outcome(OK, tally=Tally(lines={place: Line(runs=1) for place in asked}))


def fails(wrong: Place, task: Task, places: list[Place]) -> Outcome:
    """The first question, at one place."""
    told = passed(task, places)
    if wrong not in told.tally.lines or task.name != next(tasks_of(task.whose)).name:
        return told
    told.tally.lines[wrong] = Line(runs=1, failed=1)
    return replace(told, word=FAILED, text=f"{wrong} is outside")


def deviates(at: Place, state: str, task: Task, places: list[Place]) -> Outcome:
    """The reproducer of the part's first row of the ledger."""
    told = passed(task, places)
    if isinstance(task.what, Flaw) and task.what == row(task.whose):
        getattr(told.tally, state)[task.what.id] = {at}
    return told


def row(part: str) -> Flaw:
    return next(task.what for task in tasks_of(part) if isinstance(task.what, Flaw))


def run(part: str, there: list[Site], told: Told = passed) -> RunReport:
    """A release in which that came of each question."""
    places = [site.place for site in there]
    outcomes = [(task, told(task, _of(task, places))) for task in tasks_of(part)]
    return report(Chosen(), outcomes, lambda name: (there, {}))


def _of(task: Task, places: list[Place]) -> list[Place]:
    if isinstance(task.what, Flaw):
        return places
    assert isinstance(task.what, Question)
    can = {*task.what.places()}
    return [place for place in places if place in can]


def named(found: Comparison) -> set[tuple[Change, Place]]:
    return {(d.change, d.place) for d in found.differences}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_in_which_nothing_changed(part: str) -> None:
    there = sites(part)
    found = compare(run(part, there), run(part, there))
    exact = sum(site.place.path in (PLAIN, TENSOR) for site in there) if part in SCHEDULES else 0
    assert not found.differences and (len(found.same), found.exact) == (len(there), exact)
    told = " ".join(terminal(found).split())  # in lines as long as the terminal is wide
    assert told.endswith(f"to the bit, and {len(there) - exact} as far as checks tell")


@pytest.mark.one_in(2)
@pytest.mark.parametrize("part", PARTS)
def test_a_rule_that_changed_in_one_path(part: str) -> None:
    there = sites(part)
    before = run(part, there)
    asked = _of(next(tasks_of(part)), [site.place for site in there])
    for place in asked:
        found = compare(before, run(part, there, partial(fails, place)))
        assert named(found) == {(Change.FAILS, place)} and found.worse
        assert {*found.same} == {site.place for site in there} - {place}
        assert f"WORSE fails  {part}" in terminal(found)
        assert named(compare(run(part, there, partial(fails, place)), before)) == {
            (Change.HEALED, place)
        }


@pytest.mark.one_in(3)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("of", ["path", "dtype"])
def test_a_path_that_is_removed_and_a_dtype_that_is_refused(part: str, of: str) -> None:
    there = sites(part)
    for gone in [*dict.fromkeys(getattr(site.place, of) for site in there)][:3]:
        left = [site for site in there if getattr(site.place, of) != gone]
        lost = {site.place for site in there} - {site.place for site in left}
        found = compare(run(part, there), run(part, left))
        told = {(change, place) for change, place in named(found) if place.path}
        assert told == {(Change.VANISHED, place) for place in lost} and found.worse
        assert named(compare(run(part, left), run(part, there))) >= {
            (Change.APPEARED, place) for place in lost
        }


def defaulting(site: Site, name: str) -> Site:
    """A part that takes the same, with another default."""

    def stand_in() -> None: ...

    taken = inspect.signature(site.optimizer)
    others = [
        parameter.replace(default="another") if parameter.name == name else parameter
        for parameter in taken.parameters.values()
    ]
    stand_in.__signature__ = taken.replace(parameters=others)  # type: ignore[attr-defined]
    return replace(site, optimizer=stand_in)


@pytest.mark.parametrize("part", PARTS)
def test_another_default(part: str) -> None:
    there = sites(part)
    taken = [*inspect.signature(there[0].optimizer).parameters.values()]
    name = next(p.name for p in taken[1:] if p.default is not p.empty)
    other = run(part, [defaulting(site, name) for site in there])
    (told,) = compare(run(part, there), other).differences
    assert (told.change, told.optimizer, told.about) == (Change.DEFAULT, part, name)
    assert told.detail.endswith(", now 'another'") and told.worse


@pytest.mark.one_in(3)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (None, Result.CONFIRMED, Change.DEVIATES),
        (Result.CONFIRMED, None, Change.CONFORMS),
        (Result.CONFIRMED, Result.HEALED, Change.CONFORMS),
    ],
    ids=["new", "gone", "healed"],
)
def test_a_deviation_that_is_new_or_has_healed(
    part: str, before: str | None, after: str | None, change: Change
) -> None:
    there = sites(part)
    place = there[0].place

    def of(state: str | None) -> RunReport:
        return run(part, there, partial(deviates, place, state) if state else passed)

    found = compare(of(before), of(after))
    assert named(found) == {(change, place)}
    assert bool(found.worse) == (change in WORSE)
    assert row(part).id in terminal(found, width=200)


def test_none_is_hidden_by_another() -> None:
    """All at once, in a part each: every one has a row of its own."""
    there = {part: sites(part) for part in PARTS}

    def whole(told: Iterable[RunReport]) -> RunReport:
        first, *others = told
        header = {**first.header, "rules": [*PARTS]}
        return RunReport(header, tuple(line for each in (first, *others) for line in each.lines))

    one, two, three, four, five = PARTS
    places = {part: there[part][0].place for part in PARTS}
    after = [
        run(one, there[one], partial(fails, places[one])),
        run(two, [site for site in there[two] if site.place != places[two]]),
        run(three, there[three], partial(deviates, places[three], "confirmed")),
        run(four, [defaulting(site, "norm_type") for site in there[four]]),
        run(five, there[five]),
    ]
    found = compare(whole(run(part, there[part]) for part in PARTS), whole(after))
    assert {(d.change, d.optimizer) for d in found.differences if d.path or d.about} == {
        (Change.FAILS, one),
        (Change.VANISHED, two),
        (Change.DEVIATES, three),
        (Change.DEFAULT, four),
    }
    lines = terminal(found, width=200).splitlines()
    for change, part in ((Change.FAILS, one), (Change.VANISHED, two), (Change.DEVIATES, three)):
        assert any(line.startswith(f"WORSE {change}") and part in line for line in lines)


# Parts that run


@pytest.mark.parametrize(("late", "change"), [(0, Change.ROUNDING), (1, Change.RULE)])
def test_rates_in_another_text_and_those_of_another_rule(
    late: int, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power is another rounding than a product of factors, and that of the next epoch no rate."""
    cls = torch.optim.lr_scheduler.ExponentialLR
    there = [site for site in sites("ExponentialLR") if site.place.path == PLAIN]
    before = run("ExponentialLR", there)

    def powers(self: Any) -> list[float]:
        return [base * self.gamma ** (self.last_epoch + late) for base in self.base_lrs]

    monkeypatch.setattr(cls, "get_lr", powers)
    found = compare(before, run("ExponentialLR", there))
    assert named(found) == {(change, there[0].place)}
    assert bool(found.worse) == (change is Change.RULE)


@pytest.mark.slow
def test_a_faulty_part_fails_where_it_is_faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of tensors are clipped to half of what was asked for."""
    skip_before("2.0", "clipping walked no lists of tensors")
    there = [site for site in sites("clip_grad_norm_") if site.place.dtype == "float64"]
    real = torch.nn.utils.clip_grad_norm_

    @wraps(real)
    def halved(parameters: Any, most: float, *args: Any, **more: Any) -> Any:
        return real(parameters, most / 2 if more.get("foreach") else most, *args, **more)

    def asked(task: Task, places: list[Place]) -> Outcome:
        if task.asks != "values":
            return passed(task, places)
        return outcome(partial(task.run, there), Tally())

    before = run("clip_grad_norm_", there, asked)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", halved)
    found = compare(before, run("clip_grad_norm_", there, asked))
    assert {(d.change, d.path, d.about) for d in found.differences} == {
        (Change.FAILS, "foreach", "values")
    }
