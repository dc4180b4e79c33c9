"""What SGD's constructor refuses, and what the other entries refuse; of all: ``test_refusals.py``.

A refusal must come before anything has moved: a user who catches the error keeps the parameters.
"""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from oracles.optimizers.sgd import RULE, Hyper

VALUES = (-1.0, -1e-300, 0.0, 1e-300, 0.5)
"""A sign is what decides, so the smallest number of either sign is asked too."""


def parameter() -> torch.Tensor:
    p = torch.ones(2, requires_grad=True)
    p.grad = torch.ones(2)
    return p


def functional() -> Any:
    """The function ``torch.optim.sgd.sgd`` of the module that the class is from."""
    return vars(sys.modules[torch.optim.SGD.__module__])["sgd"]


def accepted(options: dict[str, Any]) -> dict[str, Any]:
    """Those options that this torch's constructor knows."""
    names = inspect.signature(torch.optim.SGD).parameters
    return {name: value for name, value in options.items() if name in names}


def needs(*names: str) -> None:
    if len(accepted(dict.fromkeys(names))) < len(names):
        pytest.skip(f"SGD of torch {torch.__version__} does not take all of {', '.join(names)}")


def hypers() -> Iterator[Hyper]:
    """Every combination of signs, with and without Nesterov."""
    for lr, momentum, dampening, decay in itertools.product(VALUES, VALUES, VALUES, VALUES):
        for nesterov in (False, True):
            yield Hyper(lr, momentum, dampening, decay, nesterov)


def test_refuses_what_the_rule_refuses() -> None:
    for h in hypers():
        try:
            torch.optim.SGD([parameter()], **accepted(h._asdict()))
        except ValueError as error:
            reason = str(error)
        else:
            reason = ""
        constraint = RULE.constraint(h)
        assert bool(reason) == (constraint is not None), f"{h}: {reason or 'taken'}; {constraint}"


@pytest.mark.parametrize("shape", [(2,), (1, 2), (3, 1)], ids=str)
def test_refuses_a_learning_rate_of_several_elements(shape: tuple[int, ...]) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        torch.optim.SGD([parameter()], lr=torch.ones(shape), foreach=False)


@pytest.mark.parametrize("lr", [0.5, 0.0, -0.5])
def test_a_learning_rate_in_a_tensor_is_held_to_the_same(lr: float) -> None:
    refused = RULE.constraint(Hyper(lr=lr)) is not None
    for shape in ((), (1,)):
        try:
            torch.optim.SGD([parameter()], lr=torch.full(shape, lr), foreach=False)
        except ValueError:
            assert refused
        else:
            assert not refused


def test_fused_refuses_sparse_gradients() -> None:
    needs("fused")
    p = parameter()
    p.grad = torch.ones(2).to_sparse()
    optimizer = torch.optim.SGD([p], lr=0.5, fused=True)
    with pytest.raises(RuntimeError):
        optimizer.step()
    assert p.tolist() == [1, 1]


def test_fused_refuses_complex_parameters() -> None:
    needs("fused")
    p = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    p.grad = torch.ones_like(p)
    with pytest.raises(RuntimeError):
        torch.optim.SGD([p], lr=0.5, fused=True).step()
    assert p.tolist() == [1, 1]


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("given", ["grad_scale", "found_inf"])
def test_only_fused_takes_what_a_grad_scaler_hands_over(foreach: bool, given: str) -> None:
    sgd = functional()
    if given not in inspect.signature(sgd).parameters:
        pytest.skip(f"sgd of torch {torch.__version__} takes no {given}=")
    p = parameter()
    hyper: dict[str, Any] = {"lr": 0.5, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0}
    flags = {"nesterov": False, "maximize": False, "foreach": foreach, "fused": False}
    with torch.no_grad(), pytest.raises(AssertionError):
        sgd([p], [p.grad], [None], **hyper, **flags, **{given: torch.ones(1)})
    assert p.tolist() == [1, 1]


def test_a_plain_step_returns_nothing_and_keeps_nothing() -> None:
    """Without a closure there is no loss; without momentum there is no buffer to save."""
    optimizer = torch.optim.SGD([parameter()], lr=0.5)
    assert optimizer.step() is None
    # Before 2.3 the state of such a parameter was {"momentum_buffer": None}.
    assert not [v for state in optimizer.state.values() for v in state.values() if v is not None]


def test_the_functional_entry_need_not_be_told_a_path() -> None:
    """A sparse gradient is one that the fused path, which nobody chose, would refuse."""
    p = torch.ones(2)
    with torch.no_grad():
        functional()(
            [p],
            [torch.tensor([2.0, 0.0]).to_sparse()],
            [None],
            lr=0.25,
            momentum=0.0,
            dampening=0.0,
            weight_decay=0.0,
            nesterov=False,
            maximize=False,
        )
    assert p.tolist() == [0.5, 1.0]
