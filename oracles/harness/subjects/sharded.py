"""What a rank does with shards: ``fully_shard``, DTensors, and optimizers that step on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn

from oracles.harness.subjects.owners import owner, paths_of
from oracles.harness.subjects.processes import Rank
from oracles.harness.subjects.ranks import Held, held, model, optimizer, steps, whole
from oracles.harness.subjects.subject import Place
from oracles.harness.training.shards import Spread, Stepped, Training

EACH, GATHERED = "each term by itself", "kept gathered"
"""What ``fully_shard`` can be told: to shard the model's terms one by one, and not to let go of
what it has gathered between the passes."""


def shards() -> bool:
    """Whether this torch has ``fully_shard`` for a CPU.

    torch 2.6 asks streams of the CPU for events, which they have since 2.7.
    """
    try:
        from torch.distributed.fsdp import fully_shard  # noqa: F401
    except Exception:  # or cannot be imported by this Python
        return False
    return hasattr(torch.cpu.Stream, "record_event")


def mesh(place: Place) -> Any:
    """The ranks of a place: in a row, or in rows each of which has all shards."""
    return _mesh(place.device, *(int(word) for word in place.path.split() if word.isdigit()))


@cache  # which makes groups of processes
def _mesh(device: str, *shape: int) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    names = ("replicas", "shards")[-len(shape) :]
    return init_device_mesh(device, shape, mesh_dim_names=names)


def shard(training: Training, inner: nn.Module, place: Place) -> Any:
    """The model, fully sharded."""
    from torch.distributed.fsdp import fully_shard

    options = {"mesh": mesh(place), "reshard_after_forward": GATHERED not in training.options}
    if EACH in training.options and not training.tied:  # what is tied has to be in one group
        for term in inner.children():
            fully_shard(term, **options)
    fully_shard(inner, **options)
    return inner


def fully_sharded(training: Training, place: Place, rank: Rank) -> list[Held]:
    """Under ``fully_shard``: what the parameters are, all shards together, after each step."""
    inner = shard(training, model(training, place, rank), place)
    stepping = optimizer(training, inner)
    return [held(inner) for _ in steps(training, inner, stepping, rank, unsynchronized(inner))]


def unsynchronized(outer: Any) -> Callable[[], AbstractContextManager[None]]:
    """Inside which a wrapped model leaves gradients on their ranks."""

    @contextmanager
    def apart() -> Iterator[None]:
        outer.set_requires_gradient_sync(False)
        yield
        outer.set_requires_gradient_sync(True)

    return getattr(outer, "no_sync", apart)


def kernels(name: str) -> list[str]:
    """In which ways torch's optimizer of that name can be told to step; none if there is none."""
    found = getattr(torch.optim, name, None)
    return [] if found is None else paths_of(found)


STEPS = 3
"""How many steps are taken on a parameter that is spread."""


def stepped(case: Stepped, place: Place, rank: Rank) -> list[list[float]]:
    """All elements of a parameter that is spread over ranks, after each step."""
    mesh_of = mesh(place)
    parameter = nn.Parameter(_spread(case.spread, 0, place, mesh_of))
    stepping = owner(case.rule, case.rule.drawing.trial, [parameter], case.kernel)
    seen = []
    for number in range(1, STEPS + 1):
        parameter.grad = _spread(case.spread, number, place, mesh_of)
        stepping.step()
        seen.append(whole(parameter).double().reshape(-1).tolist())
    return seen


def clipped(
    spread: Sequence[Spread], most: float, place: Place, rank: Rank
) -> tuple[float, list[list[float]]]:
    """The norm of gradients that are spread over ranks, and what is left of them."""
    mesh_of = mesh(place)
    parameters = []
    for each in spread:
        gradient = _spread(each, 0, place, mesh_of)
        parameters.append(nn.Parameter(torch.zeros_like(gradient)))
        parameters[-1].grad = gradient
    norm = whole(nn.utils.clip_grad_norm_(parameters, most))
    left = [whole(p.grad).double().reshape(-1).tolist() for p in parameters if p.grad is not None]
    return float(norm), left


def _spread(spread: Spread, number: int, place: Place, mesh_of: Any) -> Any:
    """A DTensor of the values of that number."""
    from torch.distributed import tensor

    values = torch.tensor(spread.values(number).tolist(), dtype=getattr(torch, place.dtype))
    way, _, axis = spread.dealt.partition("(")
    if way != "Partial":
        dealt = getattr(tensor, way)(*map(int, axis.rstrip(")") or ()))
        return tensor.distribute_tensor(values.to(place.device), mesh_of, [dealt])
    mine = values if mesh_of.get_rank() == 0 else torch.zeros_like(values)
    return tensor.DTensor.from_local(mine.to(place.device), mesh_of, [tensor.Partial()])
