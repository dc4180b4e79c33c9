"""Whatever a subject does, it is a sentence, and the report is whole."""

from __future__ import annotations

import builtins
import sys

import pytest
import torch

import oracles
from oracles.checking import Checking
from tests.support.breakers import Clean
from tests.support.hostile import BROKEN, ENDLESS, STOPPED, Closing, Printing

OURS = torch.zeros_like, builtins.len, torch.equal, torch.is_tensor

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only forked processes know classes of a test"
)


@pytest.mark.parametrize("cls", STOPPED)
def test_whoever_cannot_be_stepped_is_one_sentence(cls: type) -> None:
    report = oracles.check(cls, "SGD", dtypes=[], time_limit=60)
    assert report.faults() == [f"{cls.__name__} cannot be stepped: {STOPPED[cls]}"]
    assert str(report) == report.faults()[0]
    assert not report.ok


@pytest.mark.parametrize("cls", ENDLESS)
def test_whoever_never_returns_is_ended(cls: type) -> None:
    report = oracles.check(cls, "SGD", dtypes=[], time_limit=3)
    assert str(report) == f"{cls.__name__} cannot be stepped: does not return within 1 s"


def test_what_was_not_asked_in_time_is_no_success() -> None:
    checking = Checking.of(Clean, "SGD", dtypes=[])
    known = dict(checking.answers())
    answered = [question for question in known if question != "promise: pickle"]
    report = checking.report({question: known[question] for question in answered})
    assert not report.ok
    assert report.faults() == ["the time was up, and 1 of the questions have no answer"]


@pytest.mark.parametrize("cls", BROKEN)
def test_whoever_can_be_stepped_is_told_what_is_wrong(cls: type) -> None:
    report = oracles.check(cls, "SGD", dtypes=[], time_limit=60)
    assert any(BROKEN[cls] in sentence for sentence in report.faults())
    assert not report.ok
    assert (torch.zeros_like, builtins.len, torch.equal, torch.is_tensor) == OURS


@pytest.mark.parametrize("cls", [Printing, Closing])
@pytest.mark.parametrize("limit", [None, 60])
def test_what_it_prints_is_counted_and_not_shown(
    cls: type, limit: float | None, capfd: pytest.CaptureFixture[str]
) -> None:
    if cls is Closing and limit is None:
        return
    report = oracles.check(cls, "SGD", dtypes=[], time_limit=limit)
    assert report.ok
    assert (report.printed > 0) == (cls is Printing)
    assert capfd.readouterr() == ("", "")
