"""The parts of the loop that are asked about, by the name torch gives them, and their questions."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from oracles.harness.loop.question import Question
from oracles.loop.averaging import EQUAL, EXPONENTIAL
from oracles.loop.clipping import CLIPPING
from oracles.schedules.registry import SCHEDULES

EDITS, LATE = OF_RECURRENCES = ("edited rates", "late groups")
"""Questions of schedules that hang on how a rate is made of the one before."""


@dataclass(frozen=True)
class Home:
    """Where a part is in torch, and where its questions are here.

    Attributes:
        torch: the module of torch.
        questions: the module with a function ``questions(part)``, which may import torch.
    """

    torch: str
    questions: str


HERE, SCHEDULERS = "oracles.harness.loop", "torch.optim.lr_scheduler"
SWA = "torch.optim.swa_utils"
HOOKS = "torch.distributed.algorithms.ddp_comm_hooks.default_hooks"
STATE_DICTS = "torch.distributed.checkpoint.state_dict"
SHARING = f"{HERE}.ranks.sharing"

PARTS: Mapping[str, Home] = MappingProxyType(
    {
        **{name: Home(schedule.home, f"{HERE}.scheduling") for name, schedule in SCHEDULES.items()},
        "SequentialLR": Home(SCHEDULERS, f"{HERE}.composing"),
        "ChainedScheduler": Home(SCHEDULERS, f"{HERE}.composing"),
        "ReduceLROnPlateau": Home(SCHEDULERS, f"{HERE}.plateaus"),
        **dict.fromkeys((*EQUAL, *EXPONENTIAL), Home(SWA, f"{HERE}.averaging")),
        "update_bn": Home(SWA, f"{HERE}.batch_statistics"),
        **{part.name: Home("torch.nn.utils", f"{HERE}.clipping") for part in CLIPPING},
        # In torch.amp since 2.3, and by this name in all releases.
        "GradScaler": Home("torch.cuda.amp", f"{HERE}.scaling"),
        "backward": Home("torch.autograd", f"{HERE}.accumulating"),
        "DistributedDataParallel": Home("torch.nn.parallel", SHARING),
        "fp16_compress_hook": Home(HOOKS, SHARING),
        "bf16_compress_hook": Home(HOOKS, SHARING),
        "ZeroRedundancyOptimizer": Home("torch.distributed.optim", SHARING),
        "Join": Home("torch.distributed.algorithms", f"{HERE}.ranks.uneven"),
        "PostLocalSGDOptimizer": Home("torch.distributed.optim", f"{HERE}.ranks.local"),
        "get_state_dict": Home(STATE_DICTS, f"{HERE}.ranks.resuming"),
        "set_state_dict": Home(STATE_DICTS, f"{HERE}.ranks.resuming"),
        "DTensor": Home("torch.distributed.tensor", f"{HERE}.ranks.tensors"),
        "fully_shard": Home("torch.distributed.fsdp", SHARING),
    }
)
"""All parts, in the order in which they are walked."""


def on_ranks(name: str) -> bool:
    """Whether that is a part which is asked on several processes."""
    return name in PARTS and PARTS[name].questions.startswith(f"{HERE}.ranks.")


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a part."""
    module = importlib.import_module(PARTS[part].questions)
    found: tuple[Question, ...] = module.questions(part)
    return found
