"""Questions about parts of the loop: who has raised what is raised?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from oracles.harness.deviations.flaws import flaws
from oracles.harness.loop.catalogue import questions
from oracles.harness.runs.parts import confirm_flaw, run_question, sites
from oracles.harness.runs.runner import Refuted
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import Verdict
from oracles.optimizers.registry import RULES

QUESTION = questions("StepLR")[0]


def of_the_oracle(case: Any, place: Place) -> Verdict:
    raise AssertionError(RULES["SGD"].convention("nobody's"))


def of_torch(case: Any, place: Place) -> Verdict:
    raise AssertionError(torch.optim.SGD([], lr=-1.0))


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (of_the_oracle, r"the question itself, not torch, raised \w+: "),
        (of_torch, r"\] raised ValueError: "),
    ],
)
def test_whose_error_it_is(ask: Any, told: str) -> None:
    """Neither passes; and nobody is sent to look for a fault in torch that is not there."""
    asked, _ = sites("StepLR", paths=["plain"])
    with pytest.raises(Refuted, match=told):
        run_question(replace(QUESTION, ask=ask), asked, Tally())


def test_a_program_that_has_rotted_does_not_show_what_it_is_about() -> None:
    row = next(row for row in flaws() if row.id == "constant-no-way-back")
    asked, _ = sites("ConstantLR")
    assert confirm_flaw(row, "ConstantLR", asked, Tally()) == 1
    for program in ("import torch.nowhere", "assert False", "1 + 'a'"):
        with pytest.raises(Refuted, match="fails in another way in torch"):
            confirm_flaw(replace(row, reproducer=program), "ConstantLR", asked, Tally())
    with pytest.raises(Refuted, match="has healed"):
        confirm_flaw(replace(row, reproducer="pass"), "ConstantLR", asked, Tally())
