"""Whatever a subject does, it is a sentence, and the report is whole."""

from __future__ import annotations

import builtins
import sys

import pytest
import torch

import oracles
from oracles.checking import Checking
from oracles.harness.runs.confined import REST, Lost, late
from tests.support import clock
from tests.support.breakers import Clean
from tests.support.hostile import BROKEN, ENDLESS, STOPPED, Closing, HalfVanishing, Printing

OURS = torch.zeros_like, builtins.len, torch.equal, torch.is_tensor

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only forked processes know classes of a test"
)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("cls", STOPPED)
def test_whoever_cannot_be_stepped_is_one_sentence(cls: type) -> None:
    report = oracles.check(cls, "SGD", dtypes=[], time_limit=60)
    assert report.faults() == [f"{cls.__name__} cannot be stepped: {STOPPED[cls]}"]
    assert str(report) == report.faults()[0]
    assert not report.ok


@pytest.mark.one_in(2)
@pytest.mark.parametrize("cls", ENDLESS)
def test_whoever_never_returns_is_ended(cls: type) -> None:
    with clock.stopped():
        report = oracles.check(cls, "SGD", dtypes=[], time_limit=3)
    assert str(report) == f"{cls.__name__} cannot be stepped: {late(1)}"


@pytest.mark.slow
def test_what_was_not_asked_in_time_is_no_success() -> None:
    checking = Checking(Clean, "SGD", dtypes=[])
    known = dict(checking.answers())
    answered = [question for question in known if question != "promise: pickle"]
    told = {question: known[question] for question in answered}
    report = checking.report({**told, REST: Lost("the time was up")})
    assert not report.ok
    assert report.faults() == ["the time was up, and 1 of the questions have no answer"]
    assert report.outcome("pickle") == (False, "the time was up")


@pytest.mark.slow
def test_a_dtype_that_ends_its_process_is_a_fault() -> None:
    report = oracles.check(
        HalfVanishing, "SGD", dtypes=["float32", "float16"], within=1, time_limit=60
    )
    assert report.faults() == ["float16: ends its process with exit code 3"]
    assert report.outcome("accuracy: float16") == (False, "ends its process with exit code 3")


@pytest.mark.one_in(3)
@pytest.mark.parametrize("cls", BROKEN)
def test_whoever_can_be_stepped_is_told_what_is_wrong(cls: type) -> None:
    report = oracles.check(cls, "SGD", dtypes=[], time_limit=60)
    assert any(BROKEN[cls] in sentence for sentence in report.faults())
    assert not report.ok
    assert (torch.zeros_like, builtins.len, torch.equal, torch.is_tensor) == OURS


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("cls", "limit"), [(Printing, None), (Printing, 60), (Closing, 60)])
def test_what_it_prints_is_counted_and_not_shown(
    cls: type, limit: float | None, capfd: pytest.CaptureFixture[str]
) -> None:
    report = oracles.check(cls, "SGD", dtypes=[], time_limit=limit)
    assert report.ok
    assert (report.printed > 0) == (cls is Printing)
    assert capfd.readouterr() == ("", "")
