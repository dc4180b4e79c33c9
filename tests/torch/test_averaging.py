"""What averages do beside the questions: other kinds of numbers, and what they refuse."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from oracles.harness.subjects import averaging as subject
from oracles.loop.averaging import PARTS
from oracles.loop.batch_statistics import PART as STATISTICS
from oracles.schedules.registry import SCHEDULES
from tests.support.marks import skip_before

SWA: Any = torch.optim.swa_utils
HERE = [part.name for part in PARTS if subject.there(part.name)]


def moved(part: str, dtype: torch.dtype, device: str | None = None) -> Any:
    """What an average holds after 1, 2 and 6."""
    model = subject.Single(torch.ones(1, dtype=dtype))
    average = SWA.AveragedModel(model, device=device, **subject.functions(part, 0.25))
    for value in (1.0, 2.0, 6.0):
        model.weight.data.fill_(value)
        average.update_parameters(model)
    return average.module.weight.detach()


def test_everything_in_the_module_has_an_oracle() -> None:
    known = {part.name for part in PARTS} | {STATISTICS.name} | set(SCHEDULES)
    there = set(SWA.__all__) if hasattr(SWA, "__all__") else {"AveragedModel", "update_bn"}
    assert there <= known


@pytest.mark.parametrize("part", HERE)
def test_complex_numbers(part: str) -> None:
    """As two numbers each."""
    held = moved(part, torch.complex64)
    right = 3.0 if part == "AveragedModel" or "swa" in part else 0.25 * 1.75 + 0.75 * 6
    torch.testing.assert_close(held.real, torch.full((1,), right), rtol=2**-20, atol=0)
    assert not held.imag.any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="one device is all there is")
@pytest.mark.parametrize("part", HERE)
def test_a_device_of_its_own(part: str) -> None:
    """The average of a model on the CPU that is kept on CUDA."""
    held = moved(part, torch.float32, "cuda")
    assert held.device.type == "cuda"
    torch.testing.assert_close(held.cpu(), moved(part, torch.float32), rtol=2**-20, atol=0)


@pytest.mark.parametrize("part", [name for name in HERE if "ema" in name])
def test_the_decay_that_is_not_given(part: str) -> None:
    """0.999."""
    plain, given = (subject.Single(torch.ones(1)) for _ in range(2))
    held = []
    for model, function in ((plain, getattr(SWA, part)()), (given, getattr(SWA, part)(0.999))):
        name = "multi_avg_fn" if "multi" in part else "avg_fn"
        average = SWA.AveragedModel(model, **{name: function})
        for value in (1.0, 2.0):
            model.weight.data.fill_(value)
            average.update_parameters(model)
        held.append(average.module.weight.item())
    assert held[0] == held[1]
    assert held[0] > 1


@pytest.mark.parametrize("count", [3, torch.tensor(3)], ids=["int", "tensor"])
@pytest.mark.parametrize("part", [name for name in HERE if "_fn" in name])
def test_a_function_by_itself(part: str, count: Any) -> None:
    """Of 1 and 9, where three were averaged before, or with a decay of 1/4; one of each dtype."""
    function = getattr(SWA, part)(*((0.25,) if "ema" in part else ()))
    right = 7 if "ema" in part else 3
    kept = [torch.full((2,), 1.0), torch.full((), 1.0)]
    new = [torch.full((2,), 9.0), torch.full((), 9.0)]
    if "multi" in part:
        assert function(kept, new, count) is None
    else:
        kept = [function(own, other, count) for own, other in zip(kept, new, strict=True)]
    assert all(bool((own == right).all()) for own in kept)


def test_a_device_that_has_no_memory() -> None:
    """The copy and the count are where they are said to be."""
    model = torch.nn.Linear(1, 1)
    average = SWA.AveragedModel(model, device="meta")
    assert {own.device.type for own in (*average.parameters(), *average.buffers())} == {"meta"}
    here = SWA.AveragedModel(model)
    assert {own.device.type for own in (*here.parameters(), *here.buffers())} == {"cpu"}
    assert here.n_averaged.dtype == torch.long


def test_one_way_to_average_is_enough() -> None:
    if "multi_avg_fn" not in inspect.signature(SWA.AveragedModel).parameters:
        pytest.skip("this torch takes one only")
    with pytest.raises(AssertionError):
        SWA.AveragedModel(torch.nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max)


@pytest.mark.parametrize("part", [name for name in HERE if "ema" in name])
@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_decays_are_between_0_and_1(part: str, decay: float) -> None:
    if "raise" not in inspect.getsource(getattr(SWA, part)):
        pytest.skip("this torch takes any decay")
    with pytest.raises(ValueError, match="decay"):
        getattr(SWA, part)(decay)
    for end in (0.0, 1.0):
        getattr(SWA, part)(end)


def test_an_average_is_a_module() -> None:
    """It computes as its own copy does, and has the names of that in its state."""
    model = torch.nn.Linear(2, 1)
    average = SWA.AveragedModel(model)
    average.update_parameters(model)
    x = torch.ones(3, 2)
    assert torch.equal(average(x), model(x))
    assert torch.equal(average(input=x), model(x))
    assert set(average.state_dict()) == {"n_averaged", "module.weight", "module.bias"}
    assert not average.eval().module.training


def test_nothing_is_averaged_into_a_graph() -> None:
    """Neither by gradients of the model nor where gradients are recorded."""
    model = torch.nn.Linear(2, 1)
    average = SWA.AveragedModel(model)
    model(torch.ones(3, 2)).sum().backward()
    with torch.enable_grad():
        for _ in range(3):
            average.update_parameters(model)
    assert all(p.is_leaf and p.requires_grad and p.grad is None for p in average.parameters())


def test_buffers_are_copied_where_nothing_is_said() -> None:
    skip_before("2.0", "buffers stayed as they were")
    model: Any = torch.nn.BatchNorm1d(1)
    average = SWA.AveragedModel(model)
    for value in (1.0, 5.0):
        model.running_mean.fill_(value)
        average.update_parameters(model)
    assert average.module.running_mean.item() == 5


@pytest.mark.parametrize("part", [name for name in HERE if "ema" in name])
def test_several_whole_numbers(part: str) -> None:
    """Each is averaged."""
    model: Any = subject.Single(torch.ones(1), torch.tensor(10))
    model.register_buffer("other", torch.tensor([20, 30]))
    average = SWA.AveragedModel(model, **subject.functions(part, 0.5), use_buffers=True)
    average.update_parameters(model)
    model.counter.fill_(20)
    model.other.fill_(40)
    average.update_parameters(model)
    assert (average.module.counter.item(), average.module.other.tolist()) == (15, [30, 35])


def test_batches_are_brought_to_a_device() -> None:
    """A model without memory takes none that has some."""
    skip_before("2.1", "update_bn wanted statistics, as its row in the ledger says")
    layer = torch.nn.BatchNorm1d(2, device="meta", track_running_stats=False)
    seen = []
    layer.register_forward_hook(lambda _, given, made: seen.append(given[0].device.type))
    SWA.update_bn([torch.ones(2, 2), (torch.ones(2, 2), 1)], layer, device="meta")
    assert seen == ["meta", "meta"]


def test_frozen_parameters_are_averaged_as_well() -> None:
    model = torch.nn.Linear(1, 1, bias=False).requires_grad_(False)
    average = SWA.AveragedModel(model)
    for value in (1.0, 3.0):
        torch.nn.init.constant_(model.weight, value)
        average.update_parameters(model)
    assert average.module.weight.item() == 2


def test_other_layers_with_statistics_are_passed_over() -> None:
    """Instance norms are no batch norms."""
    layer: Any = torch.nn.InstanceNorm1d(2, momentum=0.25, track_running_stats=True)
    SWA.update_bn([torch.ones(2, 2, 3)], torch.nn.Sequential(layer))
    assert layer.momentum == 0.25
    assert not layer.running_mean.any()


def test_a_pass_over_nothing_forgets_the_statistics() -> None:
    """They are reset before the first batch is asked for."""
    layer: Any = torch.nn.BatchNorm1d(1)
    layer(torch.tensor([[1.0], [5.0]]))
    SWA.update_bn([], layer)
    assert (layer.running_mean.item(), layer.running_var.item()) == (0, 1)
    assert layer.num_batches_tracked == 0


def test_two_layers_see_what_comes_before_them() -> None:
    """The second takes its statistics of what the first makes, which trains: near 0, and not 3.

    Variances are v/(v + ε) of 4 and of 1, and twice that without bias: with a momentum of its own
    the second would be near 1 still.
    """
    first, second = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    model = torch.nn.Sequential(first, second).eval()
    SWA.update_bn([torch.tensor([[1.0], [5.0]]), torch.tensor([[2.0], [4.0]])], model)
    assert first.running_mean is not None
    assert second.running_mean is not None
    assert first.running_mean.item() == 3
    assert abs(second.running_mean.item()) < 1
    assert second.running_var is not None
    assert 2 / (1 + 1e-5) - 2**-20 < second.running_var.item() < 2 + 2**-20
    assert first.momentum == second.momentum == 0.1
