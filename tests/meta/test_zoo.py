"""Every wrong optimizer of the zoo is caught, on every path it can be planted in.

``python -m tests.meta.test_zoo 20`` tries as many random seeds and prints what survives.
"""

from __future__ import annotations

import sys

import pytest
from hypothesis import Phase, given, seed, settings

from oracles.harness.case import Case
from oracles.harness.checks import Check, checks, examine
from oracles.harness.oracle import Oracle
from oracles.harness.profiles import EXAMPLES
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import Subject, quiet
from oracles.harness.tally import Tally
from oracles.sgd import RULE
from tests.meta.zoo import ZOO, Specimen

CHECKS = {check.name: check for check in checks(RULE)}

PAIRS = [(specimen, CHECKS[name]) for specimen in ZOO for name in specimen.caught_by]


class AllCaught(Exception):
    """Every path has been caught at least once."""


def planted(specimen: Specimen) -> list[Subject]:
    """The specimen on its paths; none where this torch has none of them."""
    try:
        return select(RULE, specimen.paths, on=("cpu",), optimizer=specimen.optimizer)[0]
    except ValueError:
        return []


def survivors(subjects: list[Subject], check: Check, random_seed: int) -> set[str]:
    """Paths on which the default profile finds nothing wrong."""
    alive = {s.path.name for s in subjects if check.applies(s.path)}

    @seed(random_seed)
    @settings(
        max_examples=round(EXAMPLES["default"] * check.weight),
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        derandomize=False,
    )
    @given(check.cases(RULE))
    def hunt(case: Case) -> None:
        oracle = Oracle(RULE, case)
        for subject in subjects:
            if subject.path.name in alive and examine(check, [subject], oracle, Tally()):
                alive.discard(subject.path.name)
        if not alive:
            raise AllCaught

    try:
        hunt()
    except AllCaught:
        return set()
    return alive


@pytest.mark.parametrize(
    ("specimen", "check"), PAIRS, ids=[f"{specimen}-{check.name}" for specimen, check in PAIRS]
)
def test_it_is_caught(specimen: Specimen, check: Check) -> None:
    if not (subjects := planted(specimen)):
        pytest.skip(f"this torch has none of {', '.join(specimen.paths)}")
    assert not survivors(subjects, check, random_seed=1)


def test_every_check_claims_a_specimen() -> None:
    """A check that no specimen names has never been seen to fail."""
    claimed = {name for specimen in ZOO for name in specimen.caught_by}
    assert not set(CHECKS) - claimed


def main() -> None:
    """Hunt with many seeds; print each survivor and the share caught."""
    quiet()
    tries = int(sys.argv[1])
    alive = 0
    for specimen, check in PAIRS:
        for random_seed in range(tries):
            escaped = survivors(planted(specimen), check, random_seed)
            alive += bool(escaped)
            if escaped:
                print(f"{specimen} escapes '{check.name}' with seed {random_seed}: {escaped}")
    print(f"{len(PAIRS) * tries - alive} of {len(PAIRS) * tries} hunts caught every path")


if __name__ == "__main__":
    main()
