"""Soak: long cases drawn by NumPy, and how what fails in one comes back small."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from oracles.harness.cases.case import single
from oracles.harness.oracle import Oracle
from oracles.harness.runs import soak as soaking
from oracles.harness.runs.runner import Refuted
from oracles.harness.runs.soak import decisions, endless, find_culprit, simplified, soak
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.harness.verdict import Vacuous
from oracles.optimizers.registry import RULES
from oracles.optimizers.sgd import RULE
from oracles.rule import Rule
from tests.support.stints import HalfDecay, LateSpot
from tests.support.told import Told

CASES = 200


class SecondSpot(torch.optim.SGD):
    """Wrong: the second parameter moves where the first one does."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        first, *others = (p for group in self.param_groups for p in group["params"])
        if first.grad is not None and others and others[0].numel():
            others[0].view(-1)[0] += 1


def planted(optimizer: type[torch.optim.Optimizer]) -> list[TorchSubject]:
    path = next(path for path in PATHS if path.name == "for-loop")
    return [TorchSubject(RULE, optimizer, path, dtype) for dtype in ("float64", "bfloat16")]


@pytest.mark.slow
def test_released_optimizers_hold_out(subjects_of: Callable[[Rule], list[TorchSubject]]) -> None:
    subjects = subjects_of(RULE)
    tally = Tally()
    soak(RULE, subjects, tally, cases=12, seed=3)
    assert sum(tally.cases.values()) == 12
    assert {key[1:] for key in tally.lines} <= {(s.path.name, s.dtype, s.device) for s in subjects}


def test_a_seed_names_its_cases() -> None:
    """Same numbers for the same seed, and other ones for another."""
    one, same, other = (next(endless(RULE, seed)) for seed in (5, 5, 6))
    assert one.groups[0].schedule == same.groups[0].schedule != other.groups[0].schedule
    np.testing.assert_array_equal(one.parameters[0].initial, same.parameters[0].initial)


def test_the_generator_reaches_the_whole_rule() -> None:
    drawn = [case for case, _ in zip(endless(RULE, 0), range(CASES), strict=False)]
    hypers = [h for case in drawn for h in case.groups[0].schedule]
    assert any(h.nesterov and h.maximize and h.weight_decay for h in hypers)
    assert any(h.momentum and h.dampening for h in hypers)
    assert {h.lr for h in hypers} >= set(RULE.drawing.domains["lr"].special)
    assert any(len(set(case.groups[0].schedule)) > 1 for case in drawn)
    assert any(case.edge for case in drawn)
    assert any(all(p.initial.size < 8 for p in case.parameters) for case in drawn)
    assert any(g is None for case in drawn for p in case.parameters for g in p.gradients)
    assert {p.layout for case in drawn for p in case.parameters} > {"contiguous", "transposed"}
    values = np.concatenate([p.initial.ravel() for case in drawn for p in case.parameters])
    assert (values == 0).any() and np.isnan(values).any()


def test_what_fails_is_shrunk_to_a_case_a_person_can_read() -> None:
    with pytest.raises(Refuted) as refuted:
        soak(RULE, planted(HalfDecay), Tally(), cases=CASES, seed=1)
    message = str(refuted.value)
    assert "HalfDecay [for-loop, float64, cpu] at step 1, parameter 0[0]" in message
    assert "HalfDecay [for-loop, bfloat16, cpu]" in message
    assert "lr=1.0 momentum=0.0 dampening=0.0 weight_decay=1.0 nesterov=False" in message
    assert "parameter 0, contiguous [1]: [1.]; gradients [0.]" in message
    assert "of seed=1" in message


@pytest.mark.slow
def test_what_needs_two_parameters_keeps_them() -> None:
    with pytest.raises(Refuted) as refuted:
        soak(RULE, planted(SecondSpot), Tally(), cases=CASES, seed=1)
    assert re.search(r"at step 1, parameter 1(\[0\])? ", str(refuted.value))
    assert "parameter 0, contiguous [1]" in str(refuted.value)
    assert "parameter 1, contiguous" in str(refuted.value)


def test_what_fails_once_and_never_again_is_told() -> None:
    class Once(torch.optim.SGD):
        """Wrong in its very first step, and in no other."""

        steps = 0

        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            type(self).steps += 1
            if type(self).steps == 1:
                self.param_groups[0]["params"][0].add_(1)

    with pytest.raises(Refuted, match=r"(?s)Once \[for-loop, .*and not when asked again"):
        soak(RULE, planted(Once), Tally(), cases=CASES, seed=1)


def test_a_soak_that_decides_little_is_vacuous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "vacuities", lambda tally: ["planted"])
    with pytest.raises(Vacuous, match="planted"):
        soak(RULE, planted(torch.optim.SGD), Tally(), cases=2)


def test_what_needs_a_long_parameter_keeps_it() -> None:
    with pytest.raises(Refuted) as refuted:
        soak(RULE, planted(LateSpot), Tally(), cases=CASES, seed=1)
    assert "at step 2, parameter 0[" in str(refuted.value)
    assert "lr=1.0 momentum=0.5 dampening=0.0 weight_decay=0.0" in str(refuted.value)


@pytest.mark.parametrize("where", ["parameters", "momentum_buffer"])
def test_the_element_that_is_kept_is_the_one_outside(where: str) -> None:
    case = single(np.ones(5), [np.ones(5)] * 2, RULE.hyper(lr=0.5, momentum=0.5))
    answer = planted(torch.optim.SGD)[0].ask(case)
    values = answer.parameters if where == "parameters" else answer.states[where]
    values[-1, 3] += 1
    subject = Told("float64", answer=answer)
    assert find_culprit(Oracle(RULE, case), subject) == 3


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_case_is_among_its_simplifications(rule: Rule) -> None:
    """The last option everywhere is the case itself, the first everywhere is next to nothing."""
    for case, _ in zip(endless(rule, 8), range(20 if rule is RULE else 3), strict=False):
        culprit = case.offsets[-1] - 1
        size = decisions(case)
        original = simplified(rule, case, culprit, b"\xff" * size)
        assert original.groups[0].schedule == case.groups[0].schedule
        for one, other in zip(original.parameters, case.parameters, strict=True):
            assert (one.layout, one.gradient_layout) == (other.layout, other.gradient_layout)
            np.testing.assert_equal(one.initial, other.initial)
            np.testing.assert_equal(one.gradients, other.gradients)
        simplest = simplified(rule, case, culprit, bytes(size))
        assert (simplest.steps, simplest.offsets[-1]) == (1, 1)
