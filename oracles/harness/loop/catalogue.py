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

SCALING = Home("torch.cuda.amp", "oracles.harness.loop.scaling")
"""``torch.amp.GradScaler``, by the name under which older releases have it as well."""

ACCUMULATION = Home("torch.autograd", "oracles.harness.loop.accumulating")

PARTS: Mapping[str, Home] = MappingProxyType(
    dict.fromkeys(SCHEDULES, SCHEDULING) | {"GradScaler": SCALING, "backward": ACCUMULATION}
)
"""All parts, in the order in which they are walked."""


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a part."""
    module = importlib.import_module(PARTS[part].questions)
    found: tuple[Question, ...] = module.questions(part)
    return found
