"""What a rank does with shards: ``fully_shard``, DTensors, and optimizers that step on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn

from oracles.harness.subjects.processes import Rank
from oracles.harness.subjects.ranks import Held, held, model, optimizer, steps
from oracles.harness.subjects.subject import Place
from oracles.harness.training.shards import Training

EACH, GATHERED = "each term by itself", "kept gathered"
"""What ``fully_shard`` can be told: to shard the model's terms one by one, and not to let go of
what it has gathered between the passes."""


def mesh(place: Place) -> Any:
    """The ranks of a place: in a row, or in rows each of which has all shards."""
    from torch.distributed.device_mesh import init_device_mesh

    *rows, columns = (int(word) for word in place.path.split() if word.isdigit())
    names = ("replicas", "shards") if rows else ("shards",)
    return init_device_mesh(place.device, (*rows, columns), mesh_dim_names=names)


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
    owner = optimizer(training, inner)
    return [held(inner) for _ in steps(training, inner, owner, rank, unsynchronized(inner))]


def unsynchronized(outer: Any) -> Callable[[], AbstractContextManager[None]]:
    """Inside which a wrapped model leaves gradients on their ranks."""

    @contextmanager
    def apart() -> Iterator[None]:
        outer.set_requires_gradient_sync(False)
        yield
        outer.set_requires_gradient_sync(True)

    return getattr(outer, "no_sync", apart)
