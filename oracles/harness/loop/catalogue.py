"""The parts of the loop that are asked about, by the name torch gives them, and their questions."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from oracles.harness.loop.question import Question
from oracles.loop.averaging import EQUAL, EXPONENTIAL
from oracles.loop.clipping import GIVEN, NORM, TOTAL, VALUE
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

AVERAGING = Home("torch.optim.swa_utils", "oracles.harness.loop.averaging")
STATISTICS = Home("torch.optim.swa_utils", "oracles.harness.loop.batch_statistics")
CLIPPING = Home("torch.nn.utils", "oracles.harness.loop.clipping")

PARTS: Mapping[str, Home] = MappingProxyType(
    dict.fromkeys(SCHEDULES, SCHEDULING)
    | dict.fromkeys((*EQUAL, *EXPONENTIAL), AVERAGING)
    | {"update_bn": STATISTICS}
    | dict.fromkeys((part.name for part in (NORM, VALUE, TOTAL, GIVEN)), CLIPPING)
)
"""All parts, in the order in which they are walked."""


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a part."""
    module = importlib.import_module(PARTS[part].questions)
    found: tuple[Question, ...] = module.questions(part)
    return found
