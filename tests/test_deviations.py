"""The ledger of deviations is run: what it calls broken is broken, and nothing else is."""

from __future__ import annotations

import pytest

from oracles import RULES
from oracles.harness.case import AXES
from oracles.harness.checks import checks
from oracles.harness.deviations import Deviation, ledger
from oracles.harness.runner import confirm
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.torch_optim import Subject
from oracles.harness.tally import Tally

rows = pytest.mark.parametrize("row", ledger(), ids=lambda row: row.id)


@rows
def test_reproducer(row: Deviation, subjects: list[Subject], tally: Tally) -> None:
    """It fails wherever the row says so, and passes on the versions the row leaves out."""
    rule = RULES[row.rule]
    if not confirm(row, rule, [s for s in subjects if s.rule is rule], tally):
        pytest.skip(f"none of {', '.join(row.paths)} is among the chosen subjects")


@rows
def test_region_holds_its_reproducer(row: Deviation) -> None:
    """Otherwise the property tests would run into what is known."""
    case = row.reproducer(RULES[row.rule])
    assert any(row.in_region(case, dtype) for dtype in row.dtypes or case.axes)


@rows
def test_a_row_names_what_there_is(row: Deviation) -> None:
    """A row with a slip of the pen would cover nothing, and its reproducer would be skipped."""
    assert row.check in {check.name for check in checks(RULES[row.rule])}
    assert row.paths
    assert set(row.paths) <= {path.name for path in PATHS}
    assert set(row.dtypes) <= set(AXES)
    assert set(row.devices) <= {"cpu", "cuda", "mps"}
    assert row.reason
    assert row.upstream.startswith("https://") or row.upstream == ""


def test_ids_are_unique() -> None:
    ids = [row.id for row in ledger()]
    assert len(set(ids)) == len(ids)
