"""State that an older torch saved lacks the newer keys: it loads, and they mean what they meant."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch

MEANING = {
    "nesterov": False,
    "maximize": False,
    "foreach": None,
    "differentiable": False,
    "fused": False,
}
"""A feature that did not exist was off; which loop runs was, and is, torch's choice."""

KEYS = ["nesterov", "maximize", "foreach", "differentiable", "fused", "all of them"]


def started() -> tuple[torch.Tensor, torch.optim.SGD]:
    """An optimizer after one step, its buffer filled. All numbers are exact in float32."""
    p = torch.tensor([1.0, 2.0], requires_grad=True)
    p.grad = torch.tensor([4.0, -8.0])
    optimizer = torch.optim.SGD([p], lr=0.5, momentum=0.5, weight_decay=0.25)
    optimizer.step()
    return p, optimizer


def forget(group: dict[str, Any], key: str) -> dict[str, Any]:
    """Take a key, or all, out of a group, as the torch before it would have left it."""
    lost = {k: v for k, v in MEANING.items() if k in group and key in (k, KEYS[-1])}
    if not lost:
        pytest.skip(f"SGD of torch {torch.__version__} has no {key} to forget")
    for name in lost:
        del group[name]
    return lost


def check(optimizer: Any, p: torch.Tensor, lost: dict[str, Any]) -> None:
    """What was lost is back, and the next step is w - lr(μb + g + λw), worked by hand."""
    group = optimizer.param_groups[0]
    found = {name: group[name] for name in lost}
    assert repr(found) == repr(lost)  # by repr, because False == 0 and None differ to torch
    # First step: b = [4.25, -7.5], w = [-1.125, 5.75]. Second: b = b/2 + g + w/4, w = w - b/2.
    p.grad = torch.tensor([4.0, -8.0])
    optimizer.step()
    assert optimizer.state[p]["momentum_buffer"].tolist() == [5.84375, -10.3125]
    assert p.tolist() == [-4.046875, 10.90625]


@pytest.mark.parametrize("key", KEYS)
def test_state_dict_without(key: str) -> None:
    p, optimizer = started()
    saved = deepcopy(optimizer.state_dict())
    lost = forget(saved["param_groups"][0], key)
    fresh = torch.optim.SGD([p], lr=1.0)
    fresh.load_state_dict(saved)
    check(fresh, p, lost)


@pytest.mark.parametrize("key", KEYS)
def test_copy_without(key: str) -> None:
    """``deepcopy`` and ``pickle`` both come back through ``__setstate__``."""
    p, optimizer = started()
    lost = forget(optimizer.param_groups[0], key)
    p, optimizer = deepcopy((p, optimizer))
    check(optimizer, p, lost)


def test_every_group_is_completed() -> None:
    _, optimizer = started()
    optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
    saved = deepcopy(optimizer.state_dict())
    lost = [forget(group, "all of them") for group in saved["param_groups"]]
    optimizer.load_state_dict(saved)
    found = [{k: group[k] for k in lost[0]} for group in optimizer.param_groups]
    assert repr(found) == repr(lost)
