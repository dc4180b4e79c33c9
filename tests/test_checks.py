"""The list of checks, each asked of every path and dtype of ``torch.optim.SGD`` at once.

Within one example all paths are asked, because drawing a case costs more than asking one more
subject; a failing check names each subject that fails, one sentence each.
"""

from __future__ import annotations

import pytest

from oracles.harness.checks import Check, checks
from oracles.harness.runner import hold
from oracles.harness.subjects.torch_optim import Subject
from oracles.harness.tally import Tally
from oracles.sgd import RULE


@pytest.mark.parametrize("check", checks(RULE), ids=lambda check: check.name)
def test_check(check: Check, subjects: list[Subject], tally: Tally) -> None:
    if not hold(check, RULE, subjects, tally):
        pytest.skip("no chosen subject can be asked this")
