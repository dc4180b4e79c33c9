"""``torch.amp.GradScaler``, where no question about a scaler goes.

What it does iteration by iteration ``oracles.harness.loop`` asks, through ``test_checks.py``.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

Scaler: Any = getattr(torch.amp, "GradScaler", None)

pytestmark = pytest.mark.skipif(Scaler is None, reason="this torch has scalers for CUDA only")

INF = float("inf")


def parameter(gradient: float | None = 16.0, **options: Any) -> torch.Tensor:
    w = torch.ones(1, requires_grad=True, **options)
    w.grad = None if gradient is None else torch.full_like(w, gradient)
    return w


def scaler(**options: Any) -> Any:
    """One with a scale of 8, in the middle of an iteration."""
    made = Scaler("cpu", init_scale=8.0, **options)
    made.scale(torch.zeros(()))
    return made


@contextmanager
def doubles() -> Iterator[None]:
    """New tensors have float64, if nobody says otherwise."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def test_outputs_are_multiplied_in_every_iteration() -> None:
    made = Scaler("cpu", init_scale=8.0)
    for value in (3.0, -0.5):
        assert made.scale(torch.tensor(value)).item() == 8 * value
        assert [one.item() for one in made.scale([torch.tensor(value)] * 2)] == [8 * value] * 2


def test_a_scaler_for_cuda_without_cuda_is_off_and_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is CUDA")
    with pytest.warns(UserWarning, match="CUDA is not available"):
        made = Scaler()
    assert made.is_enabled() is False
    assert made.scale(torch.tensor(3.0)).item() == 3.0


def test_a_scaler_that_is_off_hands_everything_on() -> None:
    seen: list[Any] = []

    class Noting(torch.optim.SGD):
        def step(self, *args: Any, **kwargs: Any) -> Any:
            seen.append((args, kwargs))

    made = Scaler("cpu", enabled=False)
    made.step(Noting([parameter()], lr=0.5), 1, more=2)
    assert seen == [((1,), {"more": 2})]
    assert not pickle.loads(pickle.dumps(made)).is_enabled()


def test_all_groups_are_unscaled_and_looked_at() -> None:
    one, two = parameter(), parameter()
    owner = torch.optim.SGD([{"params": [one]}, {"params": [two]}], lr=0.5)
    made = scaler()
    made.unscale_(owner)
    assert one.grad is not None
    assert two.grad is not None
    assert (one.grad.item(), two.grad.item()) == (2.0, 2.0)
    two.grad.fill_(INF)
    made.update(8.0)
    made.step(owner)
    assert (one.item(), two.item()) == (1.0, 1.0), "one of them is spoilt"


def test_what_is_spoilt_in_any_optimizer_lowers_the_scale() -> None:
    for spoilt in range(3):
        made = scaler(backoff_factor=0.25)
        members = [parameter(INF if number == spoilt else 1.0) for number in range(3)]
        owners = [torch.optim.SGD([w], lr=0.5) for w in members]  # a scaler knows them by their ids
        for owner in owners:
            made.step(owner)
        made.update()
        assert made.get_scale() == 2.0, spoilt


def test_numbers_of_a_scaler_have_float32() -> None:
    """Whatever new tensors have."""
    with doubles():
        made = Scaler("cpu", init_scale=8.0)
        assert made.scale(torch.ones((), dtype=torch.float32)).dtype == torch.float32
        w = parameter(dtype=torch.float32)
        owners = [torch.optim.SGD([w], lr=0.5), Aware([parameter(dtype=torch.float32)])]
        for owner in owners:
            made.step(owner)
        made.update()
        assert w.item() == 0.0


def test_a_gradient_with_a_graph_is_unscaled() -> None:
    w = parameter(None)
    made = Scaler("cpu", init_scale=8.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the graph keeps alive
        made.scale((w**3).sum()).backward(create_graph=True)
    made.unscale_(torch.optim.SGD([w], lr=0.5))
    assert w.grad is not None
    assert w.grad.item() == 3.0


def test_a_scale_in_a_tensor_is_taken() -> None:
    made = scaler()
    made.update(torch.tensor(4.0))
    assert made.get_scale() == 4.0


# --- Optimizers that unscale by themselves --------------------------------------------------------


class Aware(torch.optim.Optimizer):
    """Notes what a scaler writes into it."""

    _step_supports_amp_scaling = True
    grad_scale: Any
    found_inf: Any

    def __init__(self, members: Any) -> None:
        super().__init__(members, {})
        self.seen: list[Any] = []

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        scale = self.grad_scale
        self.seen.append((None if scale is None else float(scale), float(self.found_inf)))


def test_what_was_found_as_gradients_were_unscaled_counts() -> None:
    """Also where somebody has mended them since."""
    w = parameter(INF)
    owner, made = Aware([w]), scaler()
    made.unscale_(owner)
    assert w.grad is not None
    w.grad.zero_()
    made.step(owner)
    assert owner.seen == [(None, 1.0)]


def test_a_scale_of_its_own_stays_where_gradients_have_been_unscaled() -> None:
    owner, made = Aware([parameter()]), scaler()
    made.unscale_(owner)
    owner.grad_scale = torch.tensor(2.0)
    made.step(owner)
    if owner.seen == [(None, 0.0)]:
        pytest.skip("this torch writes over it (own-scale-lost)")
    assert owner.seen == [(2.0, 0.0)]


def test_whoever_takes_a_scaler_is_told_that_none_will_be_handed_on() -> None:
    class Older(Aware):
        def step(  # type: ignore[override]
            self, closure: Any = None, grad_scaler: Any = None
        ) -> None: ...

    with pytest.warns(FutureWarning, match="stop passing itself"):
        scaler().step(Older([parameter()]))


def test_a_fused_step_is_made_once() -> None:
    owner, made = Aware([parameter()]), scaler()
    made.step(owner)
    with pytest.raises(RuntimeError, match="already been called"):
        made.step(owner)
