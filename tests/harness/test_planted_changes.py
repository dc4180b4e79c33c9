"""What is planted in a copy of a release is told in its cell: kind, optimizer, path and dtype.

Each is a torch class that runs, not a report that was edited: its golden answers are asked, and the
known deviations that it may have healed are rerun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch

from oracles.harness.runs.outcome import Outcome, outcome
from oracles.harness.runs.tally import Tally
from oracles.harness.runs.walk import walk
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import Place
from oracles.optimizers.registry import RULES
from oracles.reports.changes import terminal
from oracles.reports.comparison import WORSE, Change, Comparison, compare
from oracles.reports.run_report import Chosen, RunReport, report
from tests.support.copies import (
    Plant,
    defaulting,
    healed_gradients,
    healed_groups,
    hearing,
    lacking,
    refusing,
    same,
    wider,
)
from tests.support.marks import NADAM, skip_before

GROUPS, GRADIENTS = "known deviation group-kept", "known deviation foreach-nesterov-gradient"


PATHS, DTYPES = ("default", "for-loop", "foreach"), ("float64", "float32")

World = Callable[[], AbstractContextManager[None]]


class Planted(NamedTuple):
    """A change: what is planted in whom, and what is to be told of it, where.

    Attributes:
        optimizer: whose copy it is.
        plant: what is planted in it.
        told: kinds of change, each with paths, dtypes and what it is about; no paths if it is about
            the whole optimizer.
        world: of torch itself, for as long as it is asked.
        new: whether it is the later release; what has healed is planted, too, but comes first.
    """

    optimizer: str
    plant: Plant
    told: Sequence[tuple[Change, Sequence[str], Sequence[str], str]]
    world: World = nullcontext
    new: bool = True

    @property
    def cells(self) -> set[tuple[Change, Place, str]]:
        """What is to be told in which cell."""
        return {
            (change, Place(self.optimizer, path, dtype, "cpu" if path else ""), about)
            for change, paths, dtypes, about in self.told
            for path, dtype in (product(paths, dtypes) if paths else [("", "")])
        }


def rule(optimizer: str, path: str, dtype: str, **other: Any) -> Planted:
    told = (Change.RULE, (path,), (dtype,), "")
    return Planted(optimizer, hearing(path, dtype, **other), [told])


def rounding(optimizer: str, path: str) -> Planted:
    return Planted(optimizer, wider(path), [(Change.ROUNDING, (path,), ("float32",), "")])


def gone(optimizer: str) -> Planted:
    """One argument switches both paths."""
    places = (Change.VANISHED, ("for-loop", "foreach"), DTYPES, "")
    return Planted(
        optimizer, lacking("foreach"), [places, (Change.ARGUMENT_GONE, (), (), "foreach")]
    )


def refused(optimizer: str) -> Planted:
    return Planted(optimizer, refusing("float32"), [(Change.VANISHED, PATHS, ("float32",), "")])


def default(optimizer: str, argument: str, value: Any) -> Planted:
    told = (Change.DEFAULT, (), (), argument)
    return Planted(optimizer, defaulting(argument, value), [told])


def groups(optimizer: str, *, new: bool) -> Planted:
    change = Change.DEVIATES if new else Change.CONFORMS
    return Planted(
        optimizer, same, [(change, ("default",), DTYPES, GROUPS)], healed_groups, not new
    )


def gradients(*, new: bool) -> Planted:
    change = Change.DEVIATES if new else Change.CONFORMS
    told = (change, ("foreach",), DTYPES, GRADIENTS)
    return Planted("SGD", healed_gradients, [told], new=not new)


CHANGES = {
    # A rule changed on one path, in one dtype
    "SGD halves the decay": rule("SGD", "for-loop", "float64", weight_decay=lambda d: d / 2),
    "SGD ignores the decay": rule("SGD", "foreach", "float32", weight_decay=0.0),
    "SGD flips the decay": rule("SGD", "foreach", "float64", weight_decay=lambda d: -d),
    "SGD ignores dampening": rule("SGD", "for-loop", "float32", dampening=0.0),
    "SGD ignores nesterov": rule("SGD", "foreach", "float32", nesterov=False),
    "SGD ignores maximize": rule("SGD", "for-loop", "float64", maximize=False),
    "SGD has another rate": rule("SGD", "foreach", "float64", lr=lambda lr: lr * (1 + 2**-20)),
    "Adam swaps the betas": rule("Adam", "foreach", "float64", betas=lambda b: b[::-1]),
    "Adam doubles eps": rule("Adam", "for-loop", "float64", eps=lambda eps: 2 * eps),
    "Adam ignores the decay": rule("Adam", "foreach", "float32", weight_decay=0.0),
    "AdamW halves the decay": rule("AdamW", "for-loop", "float32", weight_decay=lambda d: d / 2),
    "RMSprop ignores the decay": rule("RMSprop", "foreach", "float64", weight_decay=0.0),
    "RMSprop has another alpha": rule("RMSprop", "for-loop", "float32", alpha=lambda a: a**2),
    "Adagrad ignores the rate's decay": rule("Adagrad", "foreach", "float32", lr_decay=0.0),
    "Adadelta has another rho": rule("Adadelta", "for-loop", "float64", rho=lambda r: r**2),
    "Adamax swaps the betas": rule("Adamax", "foreach", "float32", betas=lambda b: b[::-1]),
    "NAdam has no schedule": rule("NAdam", "for-loop", "float64", momentum_decay=0.0),
    "RAdam swaps the betas": rule("RAdam", "foreach", "float64", betas=lambda b: b[::-1]),
    "ASGD ignores lambd": rule("ASGD", "for-loop", "float32", lambd=0.0),
    "Rprop swaps the factors": rule("Rprop", "foreach", "float32", etas=lambda e: e[::-1]),
    # Only the rounding
    "SGD steps in float64": rounding("SGD", "for-loop"),
    "SGD's foreach steps in float64": rounding("SGD", "foreach"),
    "Adam steps in float64": rounding("Adam", "for-loop"),
    "AdamW's foreach steps in float64": rounding("AdamW", "foreach"),
    "RMSprop steps in float64": rounding("RMSprop", "for-loop"),
    "Adagrad's foreach steps in float64": rounding("Adagrad", "foreach"),
    "Adadelta steps in float64": rounding("Adadelta", "for-loop"),
    "Adamax steps in float64": rounding("Adamax", "for-loop"),
    "NAdam's foreach steps in float64": rounding("NAdam", "foreach"),
    "RAdam steps in float64": rounding("RAdam", "for-loop"),
    # A path that is gone
    **{f"{name} has no foreach": gone(name) for name in ("SGD", "Adam", "RMSprop", "Adagrad")},
    # A dtype that is refused
    **{f"{name} has no float32": refused(name) for name in ("SGD", "AdamW", "NAdam", "Rprop")},
    # Another default
    "SGD's momentum": default("SGD", "momentum", 0.9),
    "SGD's decay": default("SGD", "weight_decay", 1e-4),
    "Adam's eps": default("Adam", "eps", 1e-6),
    "AdamW's decay": default("AdamW", "weight_decay", 0.0),
    "RMSprop's alpha": default("RMSprop", "alpha", 0.9),
    "Adadelta's rate": default("Adadelta", "lr", 0.001),
    # A deviation that has healed
    "SGD's groups are its own": groups("SGD", new=False),
    "Adam's groups are its own": groups("Adam", new=False),
    "Rprop's groups are its own": groups("Rprop", new=False),
    "SGD's foreach leaves gradients": gradients(new=False),
    # A deviation that is new
    "SGD's groups are shared": groups("SGD", new=True),
    "AdamW's groups are shared": groups("AdamW", new=True),
    "Adagrad's groups are shared": groups("Adagrad", new=True),
    "SGD's foreach changes gradients": gradients(new=True),
}


@cache
def asked(optimizer: str, plant: Plant, world: World, rows: tuple[str, ...]) -> RunReport:
    """A release with that in it: golden answers, and what comes of some rows of the ledger."""
    rule = RULES[optimizer]
    with world():
        cls = plant(getattr(torch.optim, optimizer))
        subjects = select(rule, PATHS, DTYPES, ["cpu"], optimizer=cls)
        tasks = [task for task in walk(rule) if task.asks in rows]
        told = [(task, outcome(partial(task.run, subjects[0]), Tally())) for task in tasks]
        told = told or [(next(walk(rule)), Outcome("ok"))]
        return report(Chosen(PATHS, DTYPES, ("cpu",)), told, lambda name: subjects)


def compared(planted: Planted) -> Comparison:
    """A release and its copy, in the order in which they came."""
    rows = tuple({about for *_, about in planted.told} & {GROUPS, GRADIENTS})
    torches = asked(planted.optimizer, same, nullcontext, rows)
    other = asked(planted.optimizer, planted.plant, planted.world, rows)
    return compare(torches, other) if planted.new else compare(other, torches)


@pytest.mark.one_in(13)
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_told_in_its_cell_and_nowhere_else(what: str) -> None:
    planted = CHANGES[what]
    if planted.optimizer == "NAdam":
        skip_before("2.0", NADAM)
    found = compared(planted)
    named = {about for *_, about in planted.told}
    told = {(d.change, d.place, d.about if d.about in named else "") for d in found.differences}
    assert told == planted.cells
    assert bool(found.worse) == any(change in WORSE for change, *_ in planted.told)
    cells = {place for _, place, _ in planted.cells}
    places = {Place(planted.optimizer, *place, "cpu") for place in product(PATHS, DTYPES)}
    assert {*found.same} == places - cells


def test_a_copy_in_which_nothing_changed_is_the_same_to_the_bit() -> None:
    for optimizer in ("SGD", "Adam", "NAdam"):
        subjects = select(RULES[optimizer], PATHS, DTYPES, ["cpu"])
        told = [(next(walk(RULES[optimizer])), Outcome("ok"))]
        torches = report(
            Chosen(PATHS, DTYPES, ("cpu",)), told, dict.fromkeys([optimizer], subjects).__getitem__
        )
        assert not compare(torches, asked(optimizer, same, nullcontext, ())).differences


def test_none_is_hidden_by_another() -> None:
    """Five at once in one optimizer: each is told, in its cell, and has a row."""
    names = ["SGD halves the decay", "SGD ignores the decay", "SGD steps in float64"]
    names += ["SGD's momentum", "SGD's decay"]
    five = [CHANGES[name] for name in names]

    def plant(base: Any) -> Any:
        for planted in five:
            base = planted.plant(base)
        return base

    found = compared(Planted("SGD", plant, []))
    told = {(d.change, d.place) for d in found.differences}
    assert told == {(change, place) for planted in five for change, place, _ in planted.cells}
    lines = terminal(found, width=200).splitlines()
    assert any("rule changed" in x and "for-loop (float64); foreach (float32)" in x for x in lines)
    assert any("rounding changed" in x and x.endswith("for-loop (float32)") for x in lines)
    assert any("default changed" in x and "momentum: 0, now 0.9" in x for x in lines)
    assert any("default changed" in x and "weight_decay: 0, now 0.0001" in x for x in lines)
    assert "default changed 2" in lines[-1] and "rule changed 2" in lines[-1]
