"""State that an older torch saved: keys it lacks keep their meaning, its numbers become tensors.

``test_old_checkpoints.py`` works SGD's next step by hand; this asks every rule what is loaded.
"""

from __future__ import annotations

import itertools
from contextlib import nullcontext, suppress
from copy import deepcopy
from typing import Any

import pytest
import torch
from packaging.version import Version

from oracles.harness.subjects.classes import accepted
from oracles.harness.subjects.worlds import default_dtype
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.support.marks import skip_without

pytestmark = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.13"), reason="keys are those of 2.13"
)

PATH = ("foreach", "maximize", "differentiable")

COMPLETED: dict[str, tuple[str, ...]] = {
    "SGD": ("nesterov", "fused", *PATH),
    "Adam": ("amsgrad", "capturable", "fused", "decoupled_weight_decay", *PATH),
    "AdamW": ("amsgrad", "capturable", "fused", "decoupled_weight_decay", *PATH),
    "Adamax": ("capturable", *PATH),
    "NAdam": ("capturable", "decoupled_weight_decay", *PATH),
    "RAdam": ("capturable", "decoupled_weight_decay", *PATH),
    "Adagrad": ("fused", *PATH),
    "Adadelta": ("capturable", *PATH),
    "RMSprop": ("momentum", "centered", "capturable", *PATH),
    "Rprop": ("capturable", *PATH),
    "ASGD": ("capturable", *PATH),
    "Adafactor": ("foreach",),
}
"""Hyperparameters that came later than the class, which a group may lack."""

MEANING: dict[str, Any] = {"foreach": None, "fused": None, "momentum": 0}
"""What they mean where they are not said, if it is not False."""

OF_A_CLASS: dict[tuple[str, str], Any] = {
    ("SGD", "fused"): False,
    ("AdamW", "decoupled_weight_decay"): True,
}
"""Where a class means something else by it."""

NUMBERS = ("step", "eta", "mu", "mu_product")
"""Entries of the state that are tensors without dimensions, and were numbers."""

DTYPES = (torch.float32, torch.float64, torch.bfloat16)

counting = pytest.mark.parametrize(
    "rule",
    [RULES[name] for name in COMPLETED if set(NUMBERS) & set(RULES[name].states)],
    ids=lambda rule: rule.name,
)

completing = pytest.mark.parametrize(
    "rule", [RULES[name] for name in COMPLETED], ids=lambda rule: rule.name
)


def started(rule: Rule, dtype: torch.dtype | None = None, **options: Any) -> Any:
    """An optimizer of two groups after a step, in which one parameter of each had no gradient."""
    skip_without(rule.name)
    shape = (rule.drawing.shapes or ((2,),))[-1]
    groups = [[torch.ones(shape, dtype=dtype).requires_grad_() for _ in range(3)] for _ in "ab"]
    for p in (p for group in groups for p in group[::2]):
        p.grad = torch.ones_like(p)
    optimizer = getattr(torch.optim, rule.name)([{"params": g} for g in groups], lr=0.5, **options)
    # Of a step that can be captured the CPU is refused, once the state is there.
    with suppress(AssertionError) if options.get("capturable") else nullcontext():
        optimizer.step()
    return optimizer


@completing
def test_what_a_group_lacks_means_what_it_meant(rule: Rule) -> None:
    optimizer = started(rule)
    names = [name for name in COMPLETED[rule.name] if name in optimizer.param_groups[0]]
    saved = deepcopy(optimizer.state_dict())
    for group in saved["param_groups"]:
        for name in names:
            del group[name]
    optimizer.load_state_dict(saved)
    meant = {n: OF_A_CLASS.get((rule.name, n), MEANING.get(n, False)) for n in names}
    for group in optimizer.param_groups:
        # By repr, because False, 0 and None are told apart by a step.
        assert repr({name: group[name] for name in names}) == repr(meant)


@pytest.mark.parametrize("switch", ["", "capturable", "fused"])
@counting
def test_numbers_become_tensors(rule: Rule, switch: str) -> None:
    """Of torch's default dtype if that is float64, and float32 otherwise, as a fresh state has.

    All of them, or all but those of the first parameter.
    """
    for dtype, first in itertools.product(DTYPES, (0, 1)):
        optimizer = started(rule)
        saved = deepcopy(optimizer.state_dict())
        kept = [name for name in NUMBERS if name in saved["state"][0]]
        old = [own for _, own in numbered(saved)][first:]
        for own in old:
            own.update({name: float(own[name]) for name in kept})
        expected = [{name: own[name] for name in kept} for own in old]
        for group in saved["param_groups"]:
            group.update({switch: True} if switch in group else {})
        with default_dtype(dtype):
            optimizer.load_state_dict(saved)
        fused = "fused" in optimizer.param_groups[0] and switch == "fused"
        allowed = torch.float64 if dtype == torch.float64 and not fused else torch.float32
        new = [own for _, own in numbered(optimizer.state_dict())][first:]
        assert all(
            torch.is_tensor(own[name]) and own[name].ndim == 0 for own in new for name in kept
        )
        assert [{name: own[name].item() for name in kept} for own in new] == expected
        assert {own[name].dtype for own in new for name in kept} == {allowed}


def numbered(saved: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    return list(saved["state"].items())


@pytest.mark.parametrize("switch", ["", "fused", "capturable"])
@counting
def test_a_fresh_state_counts_in_such_tensors(rule: Rule, switch: str) -> None:
    """Fused kernels count in float32, whatever the default."""
    options = {switch: True} if switch in accepted(getattr(torch.optim, rule.name, object)) else {}
    for dtype in DTYPES:
        with default_dtype(dtype):
            optimizer = started(rule, torch.float32, **options)
        double = dtype == torch.float64 and "fused" not in options
        for _, own in numbered(optimizer.state_dict()):
            found = {own[name].dtype for name in NUMBERS if name in own}
            assert found == {torch.float64 if double else torch.float32}


def test_sparse_adam_that_knows_no_direction_descends() -> None:
    """It looks when it steps: its groups are not completed."""
    p = torch.ones(2, requires_grad=True)
    p.grad = torch.ones(2).to_sparse()
    optimizer: Any = torch.optim.SparseAdam([p], lr=0.5)
    optimizer.param_groups[0].pop("maximize", None)
    optimizer.step()
    assert (p < 1).all()


@completing
def test_tensors_stay_what_they_are(rule: Rule) -> None:
    optimizer = started(rule)
    before = [own for _, own in numbered(deepcopy(optimizer.state_dict()))]
    with default_dtype(torch.float64):
        optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
    after = [own for _, own in numbered(optimizer.state_dict())]
    for one, other in zip(before, after, strict=True):
        assert set(one) == set(other)
        assert repr(one) == repr(other)


def test_every_key_that_came_later_is_asked() -> None:
    """Of those rules that complete a group; the others never gained a key."""
    assert set(RULES) - set(COMPLETED) == {"Muon", "SparseAdam"}
