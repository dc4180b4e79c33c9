"""What surrounds a step: worlds are entered and left, and who keeps to himself is not refused."""

from __future__ import annotations

import pytest
import torch

from oracles.harness.cases.case import Case, plain, single
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.names import AGREEMENT, GROUPS, LOADED, UNSHARED
from oracles.harness.deviations.ledger import ledger, usable
from oracles.harness.oracle import Oracle
from oracles.harness.runs.asking import ask, concerned
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.subject import World
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.harness.subjects.worlds import WORLDS
from oracles.harness.verdict import Verdict
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.meta.trespass import (
    SIGNS,
    CopiesGroups,
    CopiesLoaded,
    planted,
)
from tests.support.marks import skip_without

DEFAULT = next(path for path in PATHS if path.name == "default")

there = pytest.mark.parametrize("world", [world for world in SIGNS if world in WORLDS])


@there
def test_a_world_is_entered_and_left(world: World) -> None:
    assert not SIGNS[world]()
    with WORLDS[world]():
        assert SIGNS[world]()
    assert not SIGNS[world]()


@there
def test_a_world_is_left_after_an_error(world: World) -> None:
    with pytest.raises(KeyError), WORLDS[world]():
        raise KeyError
    assert not SIGNS[world]()


def test_deterministic_algorithms_are_left_as_they_were() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        with WORLDS[World.DETERMINISTIC]():
            assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@there
def test_only_the_optimizer_is_in_the_world(world: World) -> None:
    """What the harness itself makes, a tensor learning rate, say, is made outside."""
    path = next(path for path in PATHS if path.name == "for-loop, tensor lr")
    case = single([1.0], [[1.0], [1.0]], [RULES["SGD"].hyper(lr=lr) for lr in (0.5, 0.25)])
    subject = TorchSubject(RULES["SGD"], torch.optim.SGD, path, "float64")
    run = subject.start(case, world)
    for t in range(case.steps):
        run.load(t)
        run.step()
        run.record()
        assert not SIGNS[world]()
    assert run.answer().has_the_bits_of(subject.ask(case))


def asked(rule: Rule, check: str, broken: type, case: Case) -> Verdict:
    """What a check says of torch's optimizer behind a class, where no row of the ledger looks."""
    optimizer = planted(rule, broken)
    subject = TorchSubject(rule, optimizer, DEFAULT, "float32")
    found = next(each for each in checks(rule) if each.name == check)
    assert concerned(found, subject, case)
    return ask(found, subject, Oracle(rule, case))


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@pytest.mark.parametrize(
    ("check", "kept"), [(GROUPS, CopiesGroups), (LOADED, CopiesLoaded), (UNSHARED, CopiesLoaded)]
)
def test_who_copies_is_not_refused(rule: Rule, check: str, kept: type) -> None:
    skip_without(rule.name)
    own = TorchSubject(rule, getattr(torch.optim, rule.name), DEFAULT, "float32")
    if not usable(AGREEMENT, own):
        pytest.skip(f"{rule.name} of torch {torch.__version__} is wrong itself")
    verdict = asked(rule, check, kept, plain(rule))
    assert not verdict.failed, verdict.sentence


def test_what_the_base_class_does_is_held_against_nobody_who_inherits_it() -> None:
    row = next(row for row in ledger() if row.id == "group-kept")
    own = type("Own", (torch.optim.Optimizer,), {})
    copies = type("Own", (CopiesGroups, torch.optim.Optimizer), {})
    for optimizer, excused in ((torch.optim.SGD, True), (own, True), (copies, False)):
        assert row.concerns(TorchSubject(RULES["SGD"], optimizer, DEFAULT, "float32")) == excused


def test_every_world_is_asked() -> None:
    assert {check.world for check in checks(RULES["SGD"])} == set(World)


def test_who_lacks_a_world_is_not_asked_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check = next(check for check in checks(RULES["SGD"]) if check.world is World.AUTOCAST)
    subject = TorchSubject(RULES["SGD"], torch.optim.SGD, DEFAULT, "float32")
    case = plain(RULES["SGD"])
    assert concerned(check, subject, case)
    monkeypatch.setattr(TorchSubject, "has", lambda self, world: False)
    assert not concerned(check, subject, case)


class LeavesGradMode(torch.optim.SGD):
    """A step leaves grad mode off."""

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        super().step()
        torch.set_grad_enabled(False)


def test_a_grad_mode_left_behind_does_not_reach_the_next_test() -> None:
    subject = TorchSubject(RULES["SGD"], LeavesGradMode, DEFAULT, "float32")
    check = next(c for c in checks(RULES["SGD"]) if c.name == "nothing else changes")
    case = plain(RULES["SGD"])
    verdict = ask(check, subject, Oracle(RULES["SGD"], case))
    assert "grad mode" in verdict.sentence
    assert torch.is_grad_enabled()
