"""The ledger of deviations is run: what it calls broken is broken, and nothing else is."""

from __future__ import annotations

import pytest

from oracles.harness.deviations import Deviation, ledger
from oracles.harness.runner import confirm
from oracles.harness.subjects.torch_optim import Subject
from oracles.harness.tally import Tally
from oracles.sgd import RULE


@pytest.mark.parametrize("row", ledger(), ids=lambda row: row.id)
def test_reproducer(row: Deviation, subjects: list[Subject], tally: Tally) -> None:
    """It fails wherever the row says so, and passes on the versions the row leaves out."""
    if not confirm(row, RULE, subjects, tally):
        pytest.skip(f"none of {', '.join(row.paths)} is among the chosen subjects")


@pytest.mark.parametrize("row", ledger(), ids=lambda row: row.id)
def test_region_holds_its_reproducer(row: Deviation) -> None:
    """Otherwise the property tests would run into what is known."""
    case = row.reproducer(RULE)
    assert any(row.in_region(case, dtype) for dtype in row.dtypes or case.axes)


def test_ids_are_unique() -> None:
    ids = [row.id for row in ledger()]
    assert len(set(ids)) == len(ids)
