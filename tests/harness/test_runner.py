"""The runner says no when it must: a failing subject, a vacuous check, a stale ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis.database import InMemoryExampleDatabase
from packaging.specifiers import SpecifierSet

from oracles.harness.cases.case import PRECISIONS, single
from oracles.harness.checks import values
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import SHARE
from oracles.harness.checks.names import AGREEMENT, CLOSURE, LATE
from oracles.harness.checks.values import rejection, skipped
from oracles.harness.deviations.ledger import Deviation, ledger
from oracles.harness.oracle import Oracle
from oracles.harness.runs import runner
from oracles.harness.runs.asking import ask, examine
from oracles.harness.runs.outcome import Outcome, outcome
from oracles.harness.runs.profiles import lasting
from oracles.harness.runs.runner import Refuted, Report, confirm, run_check
from oracles.harness.runs.tally import Line, Tally, count_decided
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import Answer, Place
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.harness.verdict import INSIDE, OUTSIDE, Vacuous, Verdict, separation
from oracles.optimizers.registry import RULES
from oracles.optimizers.sgd import RULE
from oracles.rule import Rule
from tests.meta.zoo import BatchScaledDecay  # type: ignore[attr-defined]
from tests.support.marks import skip_before
from tests.support.told import Told

CHECKS = {check.name: check for check in checks(RULE)}
DECAYED = Oracle(
    RULE,
    single([1.0], [[1.0]] * 3, RULE.hyper(lr=0.5, weight_decay=0.5, batch_size=2)),
)
ROW = next(row for row in ledger() if row.id == "foreach-nesterov-gradient")


@pytest.fixture(autouse=True)
def the_same_cases() -> Iterator[None]:
    """Of a few, not all show what is wrong, whichever they are."""
    with lasting("ci"):
        yield


def on(path: str) -> list[TorchSubject]:
    subjects, _ = select(RULE, [path], ["float64"], ["cpu"])
    return subjects


def adams() -> list[TorchSubject]:
    return select(RULES["Adam"], ["for-loop"], ["float64"], ["cpu"])[0]


def test_a_wrong_optimizer_is_refuted_by_name() -> None:
    subjects, _ = select(RULE, ["for-loop"], ["float64"], ["cpu"], optimizer=BatchScaledDecay)
    tally = Tally()
    with pytest.raises(Refuted, match=r"BatchScaledDecay \[for-loop.*the values fit batch_scaled"):
        run_check(CHECKS["rejects batch_scaled"], RULE, subjects, tally)
    assert sum(line.failed for line in tally.lines.values()) > 0


class Uncalled(torch.optim.SGD):
    """Right but for closures, which it does not call."""

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        super().step()


@pytest.mark.parametrize(
    ("optimizer", "name", "shrinks"),
    [
        (BatchScaledDecay, AGREEMENT, True),
        (BatchScaledDecay, CLOSURE, False),
        (Uncalled, CLOSURE, True),
    ],
)
def test_a_failure_is_shrunk_where_it_shows_alone(
    optimizer: type, name: str, shrinks: bool
) -> None:
    """Once one case has failed, others are asked only to find a smaller one; all paths are told."""
    subjects, _ = select(RULE, ["for-loop", "foreach"], ["float64"], ["cpu"], optimizer=optimizer)
    tally = Tally()
    with pytest.raises(Refuted) as refuted:
        run_check(CHECKS[name], RULE, subjects, tally)
    assert all(
        f"{optimizer.__name__} [{path}, " in str(refuted.value) for path in ("for-loop", "foreach")
    )
    failed = [line.failed for line in tally.lines.values()]
    assert (max(failed) > 1) == shrinks


class Doubling(torch.optim.SGD):
    """Right but for closures, with which it goes two steps."""

    def step(self, closure: Any = None) -> Any:
        if closure is not None:
            super().step()
        return super().step(closure)


class Uncopied(BatchScaledDecay):  # type: ignore[misc]
    """Cannot be copied, beside what is wrong with its decay."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("one of a kind")


class Refusing(BatchScaledDecay):  # type: ignore[misc]
    """Raises at each step."""

    def step(self, closure: Any = None) -> Any:
        raise ValueError(f"not with {self.param_groups[0]['lr']}")


@pytest.mark.parametrize("path", ["for-loop", "foreach"])
@pytest.mark.parametrize(
    ("optimizer", "name", "fault"),
    [
        (BatchScaledDecay, AGREEMENT, "agreement, {loop}"),
        (BatchScaledDecay, "zero_grad to none", "agreement, {loop}"),
        (BatchScaledDecay, "rejects batch_scaled", "agreement, {loop}"),
        (Doubling, CLOSURE, f"{CLOSURE}, {{loop}}"),
        (Uncalled, CLOSURE, "called the closure with grad modes [], not [True]"),
        (Uncopied, "deepcopy in mid-run continues", "raised TypeError: one of a kind"),
        (Refusing, "zero_grad to none", "agreement raises, {loop}"),
    ],
    ids=("itself", "another", "a rejection", "its own", "a promise", "an error", "each step"),
)
def test_a_fault_has_one_name_whoever_meets_it(
    optimizer: type, name: str, fault: str, path: str
) -> None:
    """It is agreement's where plain steps of the case fail in the same way, and no other."""
    (subject,), _ = select(RULE, [path], ["float64"], ["cpu"], optimizer=optimizer)
    assert str(ask(CHECKS[name], subject, DECAYED).fault()) == fault.format(loop=path)


@pytest.mark.parametrize(
    ("optimizer", "names", "where"),
    [
        (Uncalled, ["called the closure with grad modes [], not [True]"], ""),
        (Doubling, [f"{CLOSURE}, for-loop", f"{CLOSURE}, foreach"], ": for-loop, foreach"),
    ],
)
def test_a_fault_is_a_sentence_and_a_count(optimizer: type, names: list[str], where: str) -> None:
    """One for all loops in which it is."""

    def fails(tally: Tally) -> int:
        raise Refuted(Report(examine(CHECKS[CLOSURE], wrong, DECAYED, tally)))

    wrong, _ = select(RULE, ["foreach", "for-loop"], ["float64"], ["cpu"], optimizer=optimizer)
    told = outcome(fails, Tally())
    assert [*told.faults] == names
    (sentence,) = {*told.faults.values()}
    assert sentence.startswith(f"{optimizer.__name__} [for-loop, float64, cpu] ")
    assert sentence.endswith(f" (and 1 more subject fails in the same way{where})")
    assert Outcome.from_json(json.loads(json.dumps(told.to_json()))) == told


@pytest.mark.slow
def test_what_failed_is_kept_for_the_check_that_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that passes neither asks nor throws away what another one has found.

    So it is where cases are fresh each time: under a seed Hypothesis keeps none.
    """
    monkeypatch.setattr(runner, "seeded", lambda name: lambda test: test)
    before, kept = settings.get_current_profile_name(), InMemoryExampleDatabase()
    settings.register_profile("kept", settings.default, database=kept)
    settings.load_profile("kept")
    wrong, _ = select(RULE, ["for-loop"], ["float64"], ["cpu"], optimizer=BatchScaledDecay)
    try:
        with pytest.raises(Refuted):
            run_check(CHECKS[AGREEMENT], RULE, wrong, Tally())
        found = {key: set(values) for key, values in kept.data.items()}
        run_check(CHECKS[AGREEMENT], RULES["Adam"], adams(), Tally())
        run_check(CHECKS["zero_grad to none"], RULE, on("for-loop"), Tally())
        assert {key: kept.data[key] for key in found} == found
        tally = Tally()
        with pytest.raises(Refuted):
            run_check(CHECKS[AGREEMENT], RULE, wrong, tally)
        assert sum(line.runs - line.failed for line in tally.lines.values()) == 0, "found at once"
    finally:
        settings.load_profile(before)


def test_each_rule_is_asked_cases_of_its_own() -> None:
    """The same each time; of few cases, the second is not of one dtype for all rules."""

    def drawn(rule: Rule) -> list[tuple[str, ...]]:
        asked = []

        def note(subject: Any, oracle: Oracle) -> Verdict:
            asked.append(oracle.case.precisions)
            return Verdict(INSIDE, elements=1)

        check = next(check for check in checks(rule) if check.name == "zero_grad to none")
        run_check(replace(check, ask=note), rule, select(rule, ["for-loop"])[0], Tally())
        return asked

    some = [RULES[name] for name in ("SGD", "Adam", "Adamax", "RMSprop")]
    first = [drawn(rule) for rule in some]
    assert first == [drawn(rule) for rule in some]
    assert len({*map(tuple, first)}) > 1


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed"])
def test_cases_are_drawn_for_those_who_are_asked(dtype: str) -> None:
    subjects, _ = select(RULE, ["for-loop"], [dtype], ["cpu"])
    check, tally = CHECKS["agreement"], Tally()
    run_check(check, RULE, subjects, tally)
    (draw,) = check.draws(RULE, settings().max_examples * SHARE, (dtype,))
    assert tally.cases["agreement"] == draw.number


def test_a_check_of_few_cases_leaves_no_dtype_out() -> None:
    adam, tally = RULES["Adam"], Tally()
    check = next(check for check in checks(adam) if check.name == LATE)
    skip_before("2.2", "Adam did not step in float16 on a CPU")
    run_check(check, adam, select(adam, ["for-loop"], on=("cpu",))[0], tally)
    assert {place.dtype for place in tally.lines} == {*PRECISIONS}


def test_cases_are_drawn_where_no_deviation_leaves_all_of_them_out() -> None:
    """load_state_dict spoils what NAdam keeps beside all but float32 parameters."""
    rule = RULES["NAdam"]
    check = next(c for c in checks(rule) if c.name == "state_dict in mid-run continues")
    subjects, _ = select(rule, ["foreach"], [], ["cpu"])
    tally = Tally()
    run_check(check, rule, subjects, tally)
    assert {place.dtype for place in tally.lines} == {"float32"}
    assert "reloaded-product" not in tally.deviations


def test_rejections_bear_the_name_of_who_was_asked() -> None:
    mine = type("Mine", (torch.optim.SGD,), {})
    subjects, _ = select(RULE, ["for-loop"], ["float64"], ["cpu"], optimizer=mine)
    tally = Tally()
    run_check(CHECKS["rejects decoupled"], RULE, subjects, tally)
    assert list(tally.rejected) == [("Mine", "decoupled")]


def test_nobody_to_ask_is_no_success() -> None:
    assert run_check(CHECKS["agreement at the edge"], RULE, [], Tally()) == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (Line(runs=20, undecided=11), "55.0% of"),
        (Line(runs=30, edge=20, undecided_edge=11), "55.0% of"),
        (Line(runs=20, empty=20, undecided=10), "nothing"),
    ],
)
def test_a_check_that_decides_little_is_vacuous(line: Line, said: str) -> None:
    seen = Tally()
    seen.lines[Place("SGD", "for-loop", "float64", "cpu")] = line
    with pytest.raises(Vacuous, match=said):
        count_decided(AGREEMENT, seen)


def test_half_of_a_check_is_enough() -> None:
    seen = Tally()
    seen.lines[Place("SGD", "for-loop", "float64", "cpu")] = Line(runs=20, undecided=10)
    assert count_decided(AGREEMENT, seen) == 20


@pytest.mark.parametrize(
    ("line", "decided"),
    [
        (Line(runs=19, empty=19, undecided=19), 0),
        (Line(runs=39, edge=19, undecided_edge=19), 39),
        (Line(runs=39, edge=20, undecided=19), 39),
    ],
)
def test_a_few_verdicts_are_not_judged(line: Line, decided: int) -> None:
    """Nor are a few of many: those at the edge, or away from it."""
    seen = Tally()
    seen.lines[Place("SGD", "for-loop", "float64", "cpu")] = line
    assert count_decided(AGREEMENT, seen) == decided


@pytest.mark.parametrize("decay", [0.0, 2.0**-12])
def test_a_case_that_separates_too_little_is_vacuous(decay: float) -> None:
    """Not at all without decay; by less than bfloat16 resolves with a small one."""
    h = RULE.hyper(lr=0.5, weight_decay=decay, batch_size=2)
    oracle = Oracle(RULE, single([1.0], [[1.0]], h))
    batch_scaled = RULE.convention("batch_scaled")
    assert (separation(oracle(), oracle(batch_scaled), "bfloat16") > 0) == (decay > 0)
    (subject,), _ = select(RULE, ["for-loop"], ["bfloat16"], ["cpu"])
    with pytest.raises(Vacuous, match="does not separate batch_scaled"):
        rejection(batch_scaled, subject, oracle)


@pytest.mark.parametrize(("apart", "enough"), [(0.95, False), (1.0, False), (1.0625, True)])
def test_enclosures_that_touch_are_not_separated(
    apart: float, enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (subject,), oracle = on("for-loop"), Oracle(RULE, single([1.0], [[1.0]], RULE.hyper(lr=0.5)))
    monkeypatch.setattr(values, "separation", lambda *asked: apart)
    if enough:
        assert rejection(RULE.conventions[1], subject, oracle).separation == apart
        return
    with pytest.raises(Vacuous, match="does not separate"):
        rejection(RULE.conventions[1], subject, oracle)


@pytest.mark.parametrize(("start", "outcome"), [(0.0, INSIDE), (0.5, OUTSIDE)])
def test_a_skipped_step_may_start_buffers_from_their_start_only(start: float, outcome: str) -> None:
    """Of a stand-in that is right after each step, and has its buffers since the skipped one."""
    rule = RULES["Adam"]
    h = rule.hyper(lr=0.5)
    right = Oracle(rule, single([1.0], [None, [1.0]], h))()
    row = right.row("float64")
    states = {name: balls.mid[row].astype(np.float64) for name, balls in right.states.items()}
    states["exp_avg"][0] = start
    there = {name: present | (name == "exp_avg") for name, present in right.present.items()}
    answer = Answer(right.parameters.mid[row].astype(np.float64), states, there)
    subject = Told("float64", answer=answer)
    verdict = skipped(subject, Oracle(rule, single([1.0], [[np.inf], [1.0]], h)))
    assert verdict.outcome == outcome
    assert ("step 1, parameter 0: no exp_avg expected" in verdict.sentence) == verdict.failed


def test_a_known_deviation_is_left_out_and_counted() -> None:
    """Where the row covers it; on other cases the same subject is asked."""
    known, tally = ROW.reproducer(RULE), Tally()
    assert examine(CHECKS[ROW.check], on("foreach"), Oracle(RULE, known), tally) == []
    met = {ROW.id: {on("foreach")[0].place: 1}}
    assert (tally.deviations, tally.lines) == (met, {})
    other = single([1.0], [[1.0]], RULE.hyper(lr=0.5))
    assert examine(CHECKS[ROW.check], on("foreach"), Oracle(RULE, other), tally) == []
    assert (tally.deviations, tally.whole().runs) == (met, 1)


def test_a_deviation_that_fails_where_it_should_is_confirmed() -> None:
    tally = Tally()
    assert confirm(ROW, RULE, on("foreach"), tally) == 1
    assert (tally.confirmed, tally.healed) == ({ROW.id: {on("foreach")[0].place}}, {})


def test_a_case_that_nobody_was_asked_is_not_counted() -> None:
    tally, oracle = Tally(), Oracle(RULE, single([1.0], [[1.0]], RULE.hyper(lr=0.5)))
    examine(CHECKS["agreement"], [], oracle, tally)
    assert tally.cases["agreement"] == 0
    examine(CHECKS["agreement"], on("for-loop"), oracle, tally)
    assert tally.cases["agreement"] == 1


def test_a_deviation_that_passes_where_it_should_fail_has_healed() -> None:
    row = replace(ROW, paths=("for-loop",))
    tally = Tally()
    with pytest.raises(Refuted, match="has healed"):
        confirm(row, RULE, on("for-loop"), tally)
    assert tally.healed == {ROW.id: {on("for-loop")[0].place}}


def test_a_deviation_that_fails_where_it_should_pass_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row: Deviation = replace(ROW, versions=SpecifierSet(">=99"))
    assert confirm(row, RULE, on("foreach"), Tally()) == 1  # another row knows it: ROW itself
    monkeypatch.setattr(runner, "known", lambda *asked: None)
    tally = Tally()
    with pytest.raises(Refuted, match="is back"):
        confirm(row, RULE, on("foreach"), tally)
    assert tally.whole().failed == 1


def test_an_error_of_our_own_is_not_the_subjects() -> None:
    def broken(subject: TorchSubject, oracle: Oracle) -> None:
        raise ZeroDivisionError

    check = replace(CHECKS["agreement"], ask=broken)  # type: ignore[arg-type]
    (subject,) = on("for-loop")
    with pytest.raises(ZeroDivisionError):
        ask(check, subject, Oracle(RULE, ROW.reproducer(RULE)))
