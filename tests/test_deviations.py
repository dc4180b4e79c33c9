"""The ledger of deviations is run: what it calls broken is broken, and nothing else is."""

from __future__ import annotations

import pytest

from oracles.harness.checks import ask, checks, concerned
from oracles.harness.deviations import Deviation, ledger
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.torch_optim import Subject
from oracles.harness.tally import Tally
from oracles.sgd import RULE

CHECKS = {check.name: check for check in checks(RULE)}


@pytest.mark.parametrize("row", ledger(), ids=lambda row: row.id)
def test_reproducer(row: Deviation, subjects: list[Subject], tally: Tally) -> None:
    """It fails wherever the row says so, and passes on the versions the row leaves out."""
    check, case = CHECKS[row.check], row.reproducer(RULE)
    asked = [s for s in subjects if row.concerns(s) and concerned(check, s, case)]
    if not asked:
        pytest.skip(f"none of {', '.join(row.paths)} is among the chosen subjects")
    for subject in asked:
        assert row.covers(check.name, subject, case), "the region must hold its own reproducer"
        verdict = ask(check, subject, Oracle(RULE, case))
        if row.holds_for(subject.version):
            if not verdict.failed:
                tally.healed.add(row.id)
            assert verdict.failed, (
                f"{row.id} has healed on {subject} in torch {subject.version}: bound its versions "
                f"({row.versions}) in deviations.toml"
            )
            tally.confirmed.add(row.id)
        else:
            assert not verdict.failed, f"{row.id} is back: {verdict.sentence}"


def test_ids_are_unique() -> None:
    ids = [row.id for row in ledger()]
    assert len(set(ids)) == len(ids)
