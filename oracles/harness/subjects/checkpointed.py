"""What a rank saves and goes on from: states of wrappers, and ``torch.distributed.checkpoint``.

Where a wrapped optimizer should go on as another one does, both are given the same gradients, and
what differs to the bit is told in sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from oracles.harness.subjects.processes import Rank
from oracles.harness.subjects.ranks import (
    Held,
    halve,
    held,
    meeting,
    model,
    optimizer,
    redundant,
    replicated,
    steps,
)
from oracles.harness.subjects.sharded import shard, shards, unsynchronized
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.tensors import through_a_file
from oracles.harness.training.shards import Training

SHARDED, LATER = "saved from fully_shard", "goes on under fully_shard"
"""Among the options of a training; otherwise it is under ``DistributedDataParallel``."""

WAYS = (SHARDED, LATER) if shards() else ()
"""Those that this torch has."""

ELSEWHERE = 7.0
"""A learning rate that nobody has saved."""


def partitions(training: Training, place: Place, rank: Rank) -> list[str]:
    """What a ``ZeroRedundancyOptimizer`` has otherwise than one that has all parameters."""
    inner = model(training, place, rank)
    outer, owner = replicated(training, inner), redundant(training, inner)
    twin = deepcopy(inner)
    whole = optimizer(training, twin)
    for _ in steps(training, outer, owner, rank, outer.no_sync):
        follow(training, inner, twin, whole)
    found = [*differing(inner, twin), *_consolidated(owner, whole, rank)]
    saved = _broadcast(owner.state_dict() if rank.number == 0 else None)
    other = deepcopy(twin)
    again, beside = redundant(training, twin), optimizer(training, other)
    again.load_state_dict(saved)
    beside.load_state_dict(whole.state_dict())
    for _ in range(2):
        follow(training, inner, twin, again)
        follow(training, inner, other, beside)
        found += [f"once loaded, {each}" for each in differing(twin, other)]
    return found


def _consolidated(owner: Any, whole: Any, rank: Rank) -> list[str]:
    """What differs in the state that rank 0 has gathered."""
    owner.consolidate_state_dict(to=0)
    if rank.number:
        return []
    mine, its = whole.state_dict(), owner.state_dict()
    pairs = [
        (f"state {number}", kept, its["state"].get(number, {}))
        for number, kept in mine["state"].items()
    ]
    pairs += [
        (f"group {number}", kept, its["param_groups"][number])
        for number, kept in enumerate(mine["param_groups"])
    ]
    return [
        f"{where} has {name} {told.get(name)} and not {value}"
        for where, kept, told in pairs
        for name, value in kept.items()
        if not _same(value, told.get(name))
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    return bool(one == other)


def _broadcast(value: Any) -> Any:
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def follow(training: Training, leader: nn.Module, twin: nn.Module, owner: Any) -> None:
    """Step a twin with the gradients that another model has."""
    for p, q in zip(leader.parameters(), twin.parameters(), strict=True):
        q.grad = None if p.grad is None else p.grad.clone()
    owner.step()
    if training.halving:
        halve(owner)


def differing(one: nn.Module, other: nn.Module) -> list[str]:
    """The parameters that differ to the bit."""
    return [
        f"{name} is {p.tolist()} and not {q.tolist()}"
        for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True)
        if not torch.equal(p, q)
    ]


def meetings(training: Training, place: Place, warmup: int, period: int, rank: Rank) -> list[str]:
    """What a ``PostLocalSGDOptimizer`` that is loaded does otherwise than the one that is saved."""
    inner = model(training, place, rank)
    owner = meeting(training, inner, warmup, period)
    for _ in steps(training, inner, owner, rank):
        pass
    twin = deepcopy(inner)
    again = meeting(training, twin, warmup, period)
    again.load_state_dict(through_a_file(owner.state_dict()))
    found = []
    for _ in range(period + 1):
        follow(training, inner, twin, again)
        follow(training, inner, inner, owner)
        found += differing(twin, inner)
    return found


def saving(training: Training, place: Place, among: int, folder: str, rank: Rank) -> list[Held]:
    """Take so many steps, and save all of it; what is held after each step."""
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    run = _Run(training, place, rank, sharded=SHARDED in training.options)
    seen = [*run.taking(slice(among))]
    save(run.state(), storage_writer=FileSystemWriter(folder))
    return seen


def resuming(training: Training, place: Place, among: int, folder: str, rank: Rank) -> list[Held]:
    """Go on from there; what is held after each step."""
    run = _loaded(training, place, folder, rank)
    return [*run.taking(slice(among, None))]


def rates(
    training: Training, place: Place, folder: str, scheduled: bool, rank: Rank
) -> list[tuple[float, float]]:
    """The learning rate of each group and what it was at first, once they are loaded."""
    run = _loaded(training, place, folder, rank, scheduled=scheduled)
    return [(group["lr"], group.get("initial_lr")) for group in run.owner.param_groups]


def _loaded(
    training: Training, place: Place, folder: str, rank: Rank, *, scheduled: bool = True
) -> _Run:
    """What was saved, in a run that was built with rates of its own."""
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.state_dict_loader import load

    lost = replace(training, groups=tuple(h._replace(lr=ELSEWHERE) for h in training.groups))
    run = _Run(lost, place, rank, sharded=LATER in training.options, scheduled=scheduled)
    state = run.state()
    load(state, storage_reader=FileSystemReader(folder))
    run.load(state)
    return run


def saved_at_once(training: Training, place: Place, rank: Rank) -> list[Held]:
    """Ask for the state before the first step, and train."""
    run = _Run(training, place, rank, sharded=SHARDED in training.options)
    run.state()
    return [*run.taking(slice(None))]


class _Run:
    """A model, its optimizer and, if rates are halved, their scheduler."""

    def __init__(
        self,
        training: Training,
        place: Place,
        rank: Rank,
        *,
        sharded: bool,
        scheduled: bool = True,
    ) -> None:
        self.training, self.rank = training, rank
        self.inner = model(training, place, rank)
        wrap = partial(shard, place=place) if sharded else replicated
        self.outer: Any = wrap(training, self.inner)
        self.owner = optimizer(training, self.inner)
        factor = 0.5 if training.halving else 1.0
        self.schedule = (
            torch.optim.lr_scheduler.ExponentialLR(self.owner, factor) if scheduled else None
        )

    def taking(self, among: slice) -> Iterator[Held]:
        """Take some steps; what is held after each."""
        plain = replace(self.training, halving=False)  # which is left to the scheduler
        apart = unsynchronized(self.outer)
        for _ in steps(plain, self.outer, self.owner, self.rank, apart, among):
            if self.schedule:
                self.schedule.step()
            yield held(self.inner)

    def state(self) -> dict[str, Any]:
        """All that there is to save."""
        from torch.distributed.checkpoint.state_dict import get_state_dict

        parameters, owned = get_state_dict(self.outer, self.owner)
        kept = {"schedule": self.schedule.state_dict()} if self.schedule else {}
        return {"model": parameters, "optimizer": owned, **kept}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what was saved."""
        from torch.distributed.checkpoint.state_dict import set_state_dict

        set_state_dict(
            self.outer,
            self.owner,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
        )
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
