"""The parts of the loop that are asked about, by the name torch gives them, and their questions."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from oracles.harness.loop.question import Question
from oracles.schedules.registry import SCHEDULES


@dataclass(frozen=True)
class Home:
    """Where a part is in torch, and where its questions are here.

    Attributes:
        torch: the module of torch.
        questions: the module with a function ``questions(part)``, which may import torch.
    """

    torch: str
    questions: str


SCHEDULING = Home("torch.optim.lr_scheduler", "oracles.harness.loop.scheduling")

RANKS = "oracles.harness.loop.ranks"

SHARING = f"{RANKS}.sharing"

HOOKS = "torch.distributed.algorithms.ddp_comm_hooks.default_hooks"

PARTS: Mapping[str, Home] = MappingProxyType(
    dict.fromkeys(SCHEDULES, SCHEDULING)
    | {
        "DistributedDataParallel": Home("torch.nn.parallel", SHARING),
        "fp16_compress_hook": Home(HOOKS, SHARING),
        "bf16_compress_hook": Home(HOOKS, SHARING),
        "ZeroRedundancyOptimizer": Home("torch.distributed.optim", SHARING),
        "Join": Home("torch.distributed.algorithms", f"{RANKS}.uneven"),
        "PostLocalSGDOptimizer": Home("torch.distributed.optim", f"{RANKS}.local"),
        "get_state_dict": Home("torch.distributed.checkpoint.state_dict", f"{RANKS}.resuming"),
        "set_state_dict": Home("torch.distributed.checkpoint.state_dict", f"{RANKS}.resuming"),
        "DTensor": Home("torch.distributed.tensor", f"{RANKS}.tensors"),
        "fully_shard": Home("torch.distributed.fsdp", SHARING),
    }
)
"""All parts, in the order in which they are walked."""


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a part."""
    module = importlib.import_module(PARTS[part].questions)
    found: tuple[Question, ...] = module.questions(part)
    return found
