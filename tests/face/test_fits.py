"""identify names what a training loop minimizes and by which rule, and never what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from oracles.fitting import identify_fit
from oracles.harness.subjects.fits.fit import Fit
from tests.support.fits import OTHERS, PLANTED, REWRITES, Planted, Written


def account(found: str) -> str:
    """What is said of a loop first: without its name and without other readings."""
    return found.partition(" minimizes ")[2].partition("; the same as ")[0]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.expected[:60])
def test_a_planted_loop_is_named(planted: Planted) -> None:
    assert account(str(identify_fit(Fit(planted.fit())))) == planted.expected


@pytest.mark.parametrize("written", REWRITES, ids=lambda written: written.fit.__name__)
def test_whoever_writes_it_otherwise(written: Written) -> None:
    found = identify_fit(Fit(written.fit, values=written.values))
    assert account(str(found)) == written.expected


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.__name__)
def test_what_is_no_such_loop_is_not_named(other: Any) -> None:
    found = identify_fit(Fit(other))
    assert not found.fits, str(found)
    assert "follows no known account" in str(found)
