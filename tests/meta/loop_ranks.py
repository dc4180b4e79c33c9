"""Parts of ``torch.distributed`` with one fault each. They are planted in the ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, post_localSGD_hook
from torch.distributed.algorithms.join import Join
from torch.distributed.algorithms.model_averaging import averagers
from torch.nn.parallel import DistributedDataParallel

from oracles.harness.loop.ranks.asked import PAIR
from oracles.harness.loop.ranks.resuming import GROWN
from oracles.harness.loop.ranks.sharing import CLIPS, MEAN, STATES
from tests.meta.loop_zoo import Specimen
from tests.support.errands import planting

PAIRS = PAIR[0], GROWN
"""Where specimens are asked: two ranks are enough to find them."""

Reduced = Callable[[Tensor], Tensor]
"""What becomes of the gradients of a bucket."""


def _changed(owner: Any, name: str, change: Callable[..., Any]) -> AbstractContextManager[Any]:
    """``owner.name``, replaced by what is told the proper one and its arguments."""
    proper = getattr(owner, name)

    def changed(*given: Any, **options: Any) -> Any:
        return change(proper, *given, **options)

    return mock.patch.object(owner, name, changed)


# --- gradients under DistributedDataParallel -----------------------------------------------------


def _future(value: Tensor) -> Any:
    future: Any = torch.futures.Future()
    future.set_result(value)
    return future


@contextmanager
def shared_by(reduced: Reduced) -> Iterator[None]:
    """``DistributedDataParallel`` with another reduction."""

    def built(proper: Any, self: Any, *given: Any, **options: Any) -> None:
        proper(self, *given, **options)
        self.register_comm_hook(None, lambda state, bucket: _future(reduced(bucket.buffer())))

    with _changed(DistributedDataParallel, "__init__", built):
        yield


def summed(gradient: Tensor) -> Tensor:
    dist.all_reduce(gradient)
    return gradient


def divided_twice(gradient: Tensor) -> Tensor:
    return summed(gradient) / dist.get_world_size() ** 2


def largest(gradient: Tensor) -> Tensor:
    dist.all_reduce(gradient, op=dist.ReduceOp.MAX)
    return gradient


def of_rank_0(gradient: Tensor) -> Tensor:
    dist.broadcast(gradient, 0)
    return gradient


def kept(gradient: Tensor) -> Tensor:
    return gradient


def rounded(gradient: Tensor) -> Tensor:
    return (summed(gradient) / dist.get_world_size()).half().to(gradient.dtype)


def clipped_alone(gradient: Tensor) -> Tensor:
    return summed(gradient / gradient.norm().clamp(min=1)) / dist.get_world_size()


def others_only(gradient: Tensor) -> Tensor:
    """The mean of the other ranks."""
    own = gradient.clone()
    return (summed(gradient) - own) / (dist.get_world_size() - 1)


@contextmanager
def never_shared_again() -> Iterator[None]:
    """Whoever has been in ``no_sync`` once shares nothing any more."""

    @contextmanager
    def no_sync(proper: Any, self: Any) -> Iterator[None]:
        self.require_backward_grad_sync = False
        yield

    with _changed(DistributedDataParallel, "no_sync", no_sync):
        yield


@contextmanager
def scaled(name: str) -> Iterator[None]:
    """A hyperparameter of every optimizer that is multiplied by the number of ranks."""

    def built(proper: Any, self: Any, groups: Any, defaults: Any) -> None:
        groups = [{**group, name: group[name] * dist.get_world_size()} for group in groups]
        proper(self, groups, defaults)

    with _changed(torch.optim.Optimizer, "__init__", built):
        yield


# --- shards --------------------------------------------------------------------------------------


@contextmanager
def divided_by(power: int) -> Iterator[None]:
    """``fully_shard`` that divides by so many times the number of ranks."""
    import torch.distributed.fsdp as fsdp

    def told(proper: Any, module: Any, **options: Any) -> Any:
        proper(module, **options)
        module.set_force_sum_reduction_for_comms(True)  # gloo scales nothing on its way
        module.set_gradient_divide_factor(float(dist.get_world_size()) ** power)
        return module

    with _changed(fsdp, "fully_shard", told):
        yield


@contextmanager
def kept_apart() -> Iterator[None]:
    """``fully_shard`` that leaves gradients of accumulated micro-batches on their ranks."""
    from torch.distributed.fsdp import FSDPModule

    def told(proper: Any, self: Any, wanted: bool, **options: Any) -> None:
        proper(self, wanted, **options)
        state = self._get_fsdp_state()
        if wanted:  # what has been left on this rank is forgotten
            for parameter in state._fsdp_param_group.fsdp_params:  # noqa: SLF001
                parameter.unsharded_param.grad = None

    with _changed(FSDPModule, "set_requires_gradient_sync", told):
        yield


@contextmanager
def clipped_by(length: Callable[[Sequence[Tensor]], Sequence[Any]]) -> Iterator[None]:
    """``clip_grad_norm_`` with another norm for each gradient."""

    def clip(proper: Any, parameters: Any, most: float, *given: Any, **options: Any) -> Any:
        gradients = [p.grad for p in parameters if p.grad is not None]
        lengths = length(gradients)
        for g, own in zip(gradients, lengths, strict=True):
            getattr(g, "_local_tensor", g).mul_(min(1.0, most / (float(own) + 1e-6)))
        return torch.as_tensor(lengths[0])

    with _changed(nn.utils, "clip_grad_norm_", clip):
        yield


def _local(gradient: Tensor) -> Tensor:
    return getattr(gradient, "_local_tensor", gradient)


def _whole(gradient: Any) -> Tensor:
    full: Tensor = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
    return full


def _together(gradients: Sequence[Tensor]) -> float:
    return math.sqrt(sum(float(g.norm()) ** 2 for g in gradients))


def own_shards(gradients: Sequence[Tensor]) -> Sequence[float]:
    return [_together([_local(g) for g in gradients])] * len(gradients)


def each_rank(gradients: Sequence[Tensor]) -> Sequence[float]:
    copies = math.sqrt(dist.get_world_size())
    return [copies * _together([_whole(g) for g in gradients])] * len(gradients)


def each_parameter(gradients: Sequence[Tensor]) -> Sequence[float]:
    return [float(_whole(g).norm()) for g in gradients]


def added_up(gradients: Sequence[Tensor]) -> Sequence[float]:
    """Norms, where their squares were meant."""
    return [sum(float(_whole(g).norm()) for g in gradients)] * len(gradients)


@contextmanager
def stepped_on_rank_0() -> Iterator[None]:
    """Optimizers that step on the shards of the first rank only."""

    def step(proper: Any, self: Any, *given: Any) -> Any:
        return None if dist.get_rank() else proper(self, *given)

    with (
        _changed(torch.optim.SGD, "step", step),
        _changed(torch.optim.Adam, "step", step),
        _changed(torch.optim.RMSprop, "step", step),
        _changed(torch.optim.Adadelta, "step", step),
    ):
        yield


# --- ZeRO ----------------------------------------------------------------------------------------


def _zero() -> Any:
    from torch.distributed.optim import ZeroRedundancyOptimizer

    return ZeroRedundancyOptimizer


@contextmanager
def last_group_dropped() -> Iterator[None]:
    def step(proper: Any, self: Any, *given: Any, **options: Any) -> Any:
        for p in self.param_groups[-1]["params"]:
            p.grad = None
        return proper(self, *given, **options)

    with _changed(_zero(), "step", step):
        yield


@contextmanager
def first_group_for_all() -> Iterator[None]:
    def built(proper: Any, self: Any, groups: Any, **options: Any) -> None:
        proper(self, [{**groups[0], "params": group["params"]} for group in groups], **options)

    with _changed(_zero(), "__init__", built):
        yield


@contextmanager
def rates_of_the_start() -> Iterator[None]:
    """Groups that are changed from outside are not heeded."""
    with _changed(_zero(), "_sync_param_groups", lambda proper, *given: None):
        yield


@contextmanager
def not_broadcast() -> Iterator[None]:
    with _changed(_zero(), "_sync_params", lambda proper, self: None):
        yield


@contextmanager
def own_state_only() -> Iterator[None]:
    """Rank 0 gathers from itself."""

    def consolidate(proper: Any, self: Any, to: int = 0) -> None:
        proper(self, to)
        self._all_state_dicts = [
            {**state, "state": state["state"] if rank == to else {}}
            for rank, state in enumerate(self._all_state_dicts)
        ]

    with _changed(_zero(), "consolidate_state_dict", consolidate):
        yield


@contextmanager
def loaded_without_momentum() -> Iterator[None]:
    def load(proper: Any, self: Any, state: Any) -> None:
        proper(self, {**state, "state": {}})

    with _changed(_zero(), "load_state_dict", load):
        yield


# --- ranks that are out, and ranks on their own --------------------------------------------------


@contextmanager
def always_divided(initial: bool) -> Iterator[None]:
    def built(proper: Any, self: Any, joined: Any, **options: Any) -> None:
        proper(self, joined, **{**options, "divide_by_initial_world_size": initial})

    with _changed(Join, "__init__", built):
        yield


@contextmanager
def left_behind() -> Iterator[None]:
    """Ranks that are out are not told what the others have come to."""
    with _changed(DistributedDataParallel, "_sync_final_model", lambda proper, self, last: None):
        yield


@contextmanager
def met_by(average: Callable[..., None]) -> Iterator[None]:
    """A ``PeriodicModelAverager`` that goes about it otherwise."""
    with _changed(averagers.PeriodicModelAverager, "average_parameters", average):
        yield


def never(proper: Any, self: Any, params: Any) -> None:
    self.step += 1


def one_late(proper: Any, self: Any, params: Any) -> None:
    """Counts from 1."""
    self.step += 1
    proper(self, params)
    self.step -= 1


def heedless(proper: Any, self: Any, params: Any) -> None:
    """Knows of no warm-up."""
    self.warmup_steps = 0
    proper(self, params)


def added(proper: Any, self: Any, params: Any) -> None:
    """Sums, where means were meant."""
    before = self.step
    proper(self, params)
    if before >= self.warmup_steps and (before - self.warmup_steps) % self.period == 0:
        for group in params:
            for p in group["params"]:
                p.data.mul_(dist.get_world_size())


def rank_0_alone(proper: Any, self: Any, params: Any) -> None:
    """Only the first rank takes the mean over."""
    mine = [[p.data.clone() for p in group["params"]] for group in params]
    proper(self, params)
    for group, saved in zip(params, mine, strict=True):
        for p, own in zip(group["params"], saved, strict=True):
            p.data = p.data if dist.get_rank() == 0 else own


@contextmanager
def warmed_up_at_once() -> Iterator[None]:
    """A hook that shares no gradients from the first step on."""

    def built(proper: Any, self: Any, group: Any, local: Any, start: int, **options: Any) -> None:
        proper(self, group, local, 0, **options)

    with _changed(post_localSGD_hook.PostLocalSGDState, "__init__", built):
        yield


@contextmanager
def count_forgotten() -> Iterator[None]:
    from torch.distributed.optim import PostLocalSGDOptimizer

    def load(proper: Any, self: Any, state: Any) -> None:
        proper(self, state)
        self.averager.step = 0

    with _changed(PostLocalSGDOptimizer, "load_state_dict", load):
        yield


# --- short formats and checkpoints ---------------------------------------------------------------


@contextmanager
def wired(share: Reduced) -> Iterator[None]:
    """``fp16_compress_hook`` that does something else on the wire."""

    def hook(gradient: Tensor) -> Any:
        return _future(share(gradient).to(gradient.dtype))

    with mock.patch.object(
        default_hooks, "fp16_compress_hook", lambda state, bucket: hook(bucket.buffer())
    ):
        yield


def summed_in_half(gradient: Tensor) -> Tensor:
    return summed(gradient.half())


def eight_bits(gradient: Tensor) -> Tensor:
    return summed(gradient.bfloat16().half() / dist.get_world_size())


@contextmanager
def put(name: str, change: Callable[..., Any]) -> Iterator[None]:
    """A function of the state dicts of checkpoints that is another one."""
    import torch.distributed.checkpoint.state_dict as states

    with _changed(states, name, change):
        yield


def rates_lost(proper: Any, model: Any, owner: Any, **options: Any) -> Any:
    """The optimizer keeps the rates that it was built with."""
    rates = [group["lr"] for group in owner.param_groups]
    done = proper(model, owner, **options)
    for group, rate in zip(owner.param_groups, rates, strict=True):
        group["lr"] = rate
    return done


def initial_rates_lost(proper: Any, model: Any, owner: Any, **options: Any) -> Any:
    done = proper(model, owner, **options)
    for group in owner.param_groups:
        group["initial_lr"] = group["lr"]
    return done


def moments_lost(proper: Any, model: Any, owner: Any, **options: Any) -> Any:
    done = proper(model, owner, **options)
    for state in owner.state.values():
        for value in state.values():
            value.zero_()
    return done


def parameters_lost(proper: Any, model: Any, owner: Any, **options: Any) -> Any:
    options["model_state_dict"] = proper.__globals__["get_model_state_dict"](model)
    with torch.no_grad():
        kept = [p.detach().clone() for p in model.parameters()]
    done = proper(model, owner, **options)
    with torch.no_grad():
        for p, own in zip(model.parameters(), kept, strict=True):
            p.copy_(own * 0.5)
    return done


def rates_stay_0(proper: Any, model: Any, owner: Any, **options: Any) -> Any:
    """Asking for a state leaves the optimizer as its empty step had it."""
    told = proper(model, owner, **options)
    for group in owner.param_groups:
        group["lr"] = 0.0
    return told


def _in_ranks(fault: Any, *given: Any) -> Callable[[], AbstractContextManager[None]]:
    return partial(planting, partial(fault, *given))


def _specimens(
    part: str, caught_by: str, *faults: tuple[str, Callable[[], AbstractContextManager[None]]]
) -> tuple[Specimen, ...]:
    return tuple(Specimen(name, part, planted, caught_by, PAIRS) for name, planted in faults)


SPECIMENS: tuple[Specimen, ...] = (
    *_specimens(
        "DistributedDataParallel",
        MEAN,
        ("gradients are summed", _in_ranks(shared_by, summed)),
        ("gradients are divided twice", _in_ranks(shared_by, divided_twice)),
        ("the largest gradient", _in_ranks(shared_by, largest)),
        ("the gradient of rank 0", _in_ranks(shared_by, of_rank_0)),
        ("gradients are not shared", _in_ranks(shared_by, kept)),
        ("gradients in 16 bits", _in_ranks(shared_by, rounded)),
        ("clipped before it is shared", _in_ranks(shared_by, clipped_alone)),
        ("the mean of the others", _in_ranks(shared_by, others_only)),
        ("not shared after no_sync", _in_ranks(never_shared_again)),
        ("lr times R", _in_ranks(scaled, "lr")),
        ("weight_decay times R", _in_ranks(scaled, "weight_decay")),
    ),
    *_specimens(
        "DistributedDataParallel",
        CLIPS,
        ("clipped by R norms", _in_ranks(clipped_by, each_rank)),
        ("clipped by parameter", _in_ranks(clipped_by, each_parameter)),
        ("clipped by added norms", _in_ranks(clipped_by, added_up)),
    ),
    *_specimens(
        "fully_shard",
        MEAN,
        ("shards are summed", _in_ranks(divided_by, 0)),
        ("shards are divided twice", _in_ranks(divided_by, 2)),
        ("accumulated gradients are forgotten", _in_ranks(kept_apart)),
        ("weight_decay times R", _in_ranks(scaled, "weight_decay")),
    ),
    *_specimens(
        "fully_shard",
        CLIPS,
        ("clipped by the norm of a shard", _in_ranks(clipped_by, own_shards)),
        ("clipped by R norms", _in_ranks(clipped_by, each_rank)),
        ("clipped by parameter", _in_ranks(clipped_by, each_parameter)),
    ),
    *_specimens(
        "DTensor",
        "a norm counts each element once",
        ("the norm of a shard", _in_ranks(clipped_by, own_shards)),
        ("elements count on each rank", _in_ranks(clipped_by, each_rank)),
    ),
    *_specimens(
        "DTensor",
        "steps as on one rank",
        ("only rank 0 steps", _in_ranks(stepped_on_rank_0)),
    ),
    *_specimens(
        "ZeroRedundancyOptimizer",
        MEAN,
        ("the last group is dropped", _in_ranks(last_group_dropped)),
        ("the first group for all", _in_ranks(first_group_for_all)),
        ("rates of the start", _in_ranks(rates_of_the_start)),
        ("parameters are not broadcast", _in_ranks(not_broadcast)),
    ),
    *_specimens(
        "ZeroRedundancyOptimizer",
        STATES,
        ("rank 0 has its own state only", _in_ranks(own_state_only)),
        ("loaded without a state", _in_ranks(loaded_without_momentum)),
    ),
    *_specimens(
        "Join",
        "divides as told",
        ("always by the active ranks", _in_ranks(always_divided, False)),
        ("always by the initial ranks", _in_ranks(always_divided, True)),
        ("ranks that are out are left behind", _in_ranks(left_behind)),
    ),
    *_specimens(
        "PostLocalSGDOptimizer",
        "meets in time",
        ("never meets", _in_ranks(met_by, never)),
        ("counts from 1", _in_ranks(met_by, one_late)),
        ("no warm-up", _in_ranks(met_by, heedless)),
        ("parameters are summed", _in_ranks(met_by, added)),
        ("rank 0 meets alone", _in_ranks(met_by, rank_0_alone)),
        ("no gradients while warming up", _in_ranks(warmed_up_at_once)),
    ),
    *_specimens(
        "PostLocalSGDOptimizer",
        "goes on from its state",
        ("the count of steps is lost", _in_ranks(count_forgotten)),
    ),
    *_specimens(
        "fp16_compress_hook",
        MEAN,
        ("summed in 16 bits", _in_ranks(wired, summed_in_half)),
        ("eight bits", _in_ranks(wired, eight_bits)),
    ),
    *_specimens(
        "set_state_dict",
        "keeps lr and initial_lr",
        ("lr is lost", _in_ranks(put, "set_state_dict", rates_lost)),
        ("initial_lr is lost", _in_ranks(put, "set_state_dict", initial_rates_lost)),
    ),
    *_specimens(
        "set_state_dict",
        "goes on in another world",
        ("states are lost", _in_ranks(put, "set_state_dict", moments_lost)),
        ("parameters are lost", _in_ranks(put, "set_state_dict", parameters_lost)),
    ),
    *_specimens(
        "get_state_dict",
        "asking for a state changes nothing",
        ("rates stay 0", _in_ranks(put, "get_state_dict", rates_stay_0)),
    ),
)
