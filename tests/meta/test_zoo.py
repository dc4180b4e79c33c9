"""Every wrong optimizer of the zoo is caught within the examples of the thorough profile.

Four kinds are planted: SGD with one thing broken (``zoo.py``), any optimizer with one thing broken
(``sabotage.py``), any that follows or spoils what surrounds a step (``trespass.py``), and
optimizers made of a rule's own text with a wrong convention (``impostors.py``). A test plants half
of the second and third kind, each in one of its paths; ``python -m tests.meta.luck --zoo
optimizers`` plants all in all of them, under many seeds, and prints what survives.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from oracles.harness.cases.strategies import cases
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import Check
from oracles.harness.checks.names import AGREEMENT, SHORT
from oracles.harness.runs.walk import Task
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.subjects.worlds import WORLDS
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.meta.sabotage import specimens, untouched
from tests.meta.wrong_optimizers import (
    PAIRS,
    SURVIVES,
    asks,
    claimed,
    on_paths,
    planted,
    subjects,
    survivors,
)
from tests.support.daily import SLOW
from tests.support.marks import NADAM, skip_before, skip_without


@pytest.mark.one_in(9)
@pytest.mark.parametrize(
    ("rule", "check"), PAIRS, ids=[f"{rule.name}: {check.name}" for rule, check in PAIRS]
)
def test_all_are_caught(rule: Rule, check: Check) -> None:
    wrong = planted(rule, check, everywhere=False)
    if check.name == SHORT and not select(rule, ["default"], ["float16"], ["cpu"])[0]:
        pytest.skip("no float16 on this torch's CPU, in which alone some of these are wrong")
    escaped = survivors(rule, check, wrong, random_seed=1)
    assert not escaped, "\n".join(["", *sorted(escaped)])


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_every_check_claims_somebody(rule: Rule) -> None:
    """A check that claims nobody has never been seen to fail."""
    skip_without(rule.name)
    there = [c for c in checks(rule) if c.rejects is None and c.world in WORLDS]
    idle = {c.name for c in there if not claimed(rule, c)}
    assert not idle


def test_every_kind_is_caught_by_what_is_asked_by_day() -> None:
    """In some rule: what is asked of which takes turns (``daily.py``)."""
    if Version(torch.__version__) < Version("2.5"):
        pytest.skip("on older torch some kinds are of fewer rules")
    kinds: dict[str, bool] = {}
    for rule in RULES.values():
        for check in checks(rule):
            daily = Task(rule, check).name not in SLOW
            for specimen in claimed(rule, check):
                kind = str(specimen).removeprefix(f"{rule.name}_")
                kinds[kind] = kinds.get(kind, False) or daily
    assert not [kind for kind, caught in kinds.items() if not caught]


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_every_claim_is_put_to_the_test(rule: Rule) -> None:
    """A check that is asked of fewer paths than its specimens are planted in would lose them."""
    if Version(torch.__version__) < Version("2.3"):
        pytest.skip("on older torch some paths are not there, or wrong themselves")
    lost = {
        f"{check.name}: {specimen}"
        for check in checks(rule)
        if any(asks(check, on_path) for on_path in subjects(rule).values())
        for specimen in claimed(rule, check)
        if not any(on_paths(rule, specimen, check))
    }
    assert not lost


@pytest.mark.one_in(4)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@settings(max_examples=5, phases=(Phase.generate,), derandomize=True)
@given(st.data())
def test_planting_itself_breaks_nothing(rule: Rule, data: st.DataObject) -> None:
    skip_without(rule.name)
    if rule.name == "NAdam":
        skip_before("2.0", NADAM)
    case = data.draw(cases(rule))
    asked = [
        plain
        for plain in subjects(rule)["default"]
        if plain.dtype in case.precisions and not (case.has("sparse") and not plain.takes_sparse)
    ]
    if not asked:
        skip_before("2.2", "not all optimizers stepped in float16 on a CPU")
    assert asked
    for plain in asked:
        planted = replace(plain, optimizer=untouched(rule))
        try:
            answer = plain.ask(case)
        except SubjectError as error:
            with pytest.raises(SubjectError, match=re.escape(str(error))):
                planted.ask(case)
        else:
            assert planted.ask(case).has_the_bits_of(answer)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", SURVIVES)
def test_what_is_excused_survives(name: str) -> None:
    """Whoever is found, or is not there, needs no excuse."""
    rule = RULES[name.split("_")[0]]
    skip_without(rule.name)
    (specimen,) = (s for s in specimens(rule) if str(s) == name)
    check = next(check for check in checks(rule) if check.name == AGREEMENT)
    places = list(on_paths(rule, specimen, check))
    assert len(survivors(rule, check, places, 1, "default")) == len(places) > 0
