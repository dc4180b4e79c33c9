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

PARTS: Mapping[str, Home] = MappingProxyType(
    {
        **{name: Home(schedule.home, f"{HERE}.scheduling") for name, schedule in SCHEDULES.items()},
        "SequentialLR": Home(SCHEDULERS, f"{HERE}.composing"),
        "ChainedScheduler": Home(SCHEDULERS, f"{HERE}.composing"),
        "ReduceLROnPlateau": Home(SCHEDULERS, f"{HERE}.plateaus"),
        **dict.fromkeys((*EQUAL, *EXPONENTIAL), Home(AVERAGES, f"{HERE}.averaging")),
        "update_bn": Home(AVERAGES, f"{HERE}.batch_statistics"),
        **dict.fromkeys(CLIPPED, Home("torch.nn.utils", f"{HERE}.clipping")),
        # In torch.amp since 2.3, and by this name in all releases.
        "GradScaler": Home("torch.cuda.amp", f"{HERE}.scaling"),
        "backward": Home("torch.autograd", f"{HERE}.accumulating"),
        **dict.fromkeys((*EQUAL, *EXPONENTIAL), Home(SWA, f"{HERE}.averaging")),
        "update_bn": Home(SWA, f"{HERE}.batch_statistics"),
        **{part.name: Home("torch.nn.utils", f"{HERE}.clipping") for part in CLIPPING},
        "DistributedDataParallel": Home("torch.nn.parallel", f"{HERE}.ranks"),
    }
)
"""All parts, in the order in which they are walked."""


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a part."""
    module = importlib.import_module(PARTS[part].questions)
    found: tuple[Question, ...] = module.questions(part)
    return found
