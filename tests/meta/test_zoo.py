"""Every wrong optimizer of the zoo is caught within the examples of the thorough profile.

Four kinds are planted: SGD with one thing broken (``zoo.py``), any optimizer with one thing broken
(``sabotage.py``), any that follows or spoils what surrounds a step (``trespass.py``), and
optimizers made of a rule's own text with a wrong convention (``impostors.py``). A test plants half
of the second and third kind, each in one of its paths; ``python -m tests.meta.test_zoo --tries 20``
plants all in all of them, with as many random seeds, and prints what survives.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from unittest import SkipTest
from zlib import crc32

import pytest
import torch
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from packaging.version import Version

from oracles.harness.cases.case import PRECISIONS, Case
from oracles.harness.cases.strategies import cases
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import Check
from oracles.harness.checks.names import AGREEMENT, SHORT, SPARSE
from oracles.harness.deviations.ledger import usable
from oracles.harness.oracle import Oracle
from oracles.harness.runs.asking import examine
from oracles.harness.runs.profiles import EXAMPLES, IGNORED
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.subjects.torch_optim import TorchSubject, quiet
from oracles.harness.subjects.worlds import WORLDS
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.meta.impostors import IMPOSTORS
from tests.meta.planting import Specimen
from tests.meta.sabotage import specimens, untouched
from tests.meta.trespass import trespassers
from tests.meta.zoo import ZOO

SURVIVES = {
    "ASGD_rounded_alpha": "nothing but eta sees it, which torch keeps in float32",
    "NAdam_rounded_momentum_decay": "nothing but products of momenta see it, kept in float32",
    "Adagrad_stale_initial_accumulator_value": "torch reads it at construction, too",
    "Muon_rounded_eps": "nothing but updates of a norm below it see it",
    "Muon_stale_eps": "nothing but updates of a norm below it see it",
    "Adagrad_rounded_initial_accumulator_value": "torch reads it at construction, before a step",
}
"""What the checks do not find, and why."""

INNOCENT = 20
"""Cases that the right impostor is asked in a hunt."""

DEFAULT = next(path for path in PATHS if path.name == "default")


class AllCaught(SkipTest):
    """Everything planted has been caught: Hypothesis stops at a skip, and repeats nothing."""


@cache
def subjects(rule: Rule) -> dict[str, list[TorchSubject]]:
    """What torch itself has on this machine's CPU, and has right, by path."""
    found: dict[str, list[TorchSubject]] = {}
    for subject in select(rule, on=("cpu",))[0]:
        if not usable(AGREEMENT, subject):
            continue
        found.setdefault(subject.path.name, []).append(subject)
    return found


def claimed(rule: Rule, check: Check) -> list[Specimen]:
    """The specimens a check claims to catch."""
    known = (*(ZOO if rule.name == "SGD" else ()), *specimens(rule), *trespassers(rule))
    return [s for s in known if check.name in s.caught_by and str(s) not in SURVIVES]


def planted(rule: Rule, check: Check, *, everywhere: bool) -> Iterator[list[TorchSubject]]:
    """What a check claims to catch, in every dtype.

    Specimens on all of their paths or, of those with an even number, on one.
    """
    for specimen in claimed(rule, check):
        places = list(on_paths(rule, specimen, check))
        number = crc32(str(specimen).encode())
        if everywhere or not places:
            yield from places
        elif specimen in ZOO or number % 2 == 0:
            yield places[number // 2 % len(places)]
    for convention in rule.conventions[1:]:
        if check.name == AGREEMENT or check.rejects is convention:
            yield impostor(rule, convention.name)


def on_paths(rule: Rule, specimen: Specimen, check: Check) -> Iterator[list[TorchSubject]]:
    """The specimen on those of its paths that can be asked; on the default one if it has none."""
    there = subjects(rule)
    for path in [p for p in specimen.paths if p in there] or [p for p in there if p == "default"]:
        if asks(check, there[path]):
            yield [replace(s, optimizer=specimen.optimizer) for s in there[path]]


def asks(check: Check, on_path: Sequence[TorchSubject]) -> bool:
    """Whether a check asks the subjects of a path."""
    takes = check.name != SPARSE or any(s.takes_sparse for s in on_path)
    return takes and check.applies(on_path[0].path)


def impostor(rule: Rule, convention: str) -> list[TorchSubject]:
    """The rule's text with one of its conventions."""
    made = IMPOSTORS[rule.name][convention]
    return [TorchSubject(rule, made, DEFAULT, precision) for precision in PRECISIONS]


def survivors(
    rule: Rule,
    check: Check,
    wrong: Iterable[Sequence[TorchSubject]],
    random_seed: int,
    profile: str = "thorough",
) -> set[str]:
    """Who escapes a profile, and how the right impostor was refused, if it was."""
    alive = {f"{each[0].optimizer.__name__} [{each[0].path.name}]": each for each in wrong}
    # A text in float64 does not know the resolution that eps1 = None stands for elsewhere.
    known = getattr(rule.hyper(), "eps1", 0) is not None
    right = impostor(rule, rule.torch.name) if check.applies(DEFAULT) and known else []
    refused: list[str] = []
    seen = {name: Tally() for name in alive}
    asked = 0
    # Who lacks a switch, in an older torch, is asked half of the cases.
    lacking = max((len(each[0].unsupported) for each in alive.values()), default=0)

    @seed(random_seed)
    @settings(
        max_examples=check.examples(EXAMPLES[profile]) << lacking,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=IGNORED,
    )
    @given(check.cases(rule))
    def hunt(case: Case) -> None:
        nonlocal asked
        asked += 1
        oracle = Oracle(rule, case)
        for name, each in list(alive.items()):
            if examine(check, each, oracle, seen[name]):
                del alive[name]
        # Where a format ends it matters that it computes in float64.
        if asked <= INNOCENT and not case.edge:
            refused.extend(v.sentence for v in examine(check, right, oracle, Tally()))
        if not alive:
            raise AllCaught("nobody is left")

    with suppress(AllCaught):
        hunt()
    # Whom a known deviation keeps from being asked at all, nobody can catch.
    escaped = {name for name in alive if seen[name].lines or not seen[name].deviations}
    return escaped | set(refused)


PAIRS = [
    (rule, check)
    for rule in RULES.values()
    for check in checks(rule)
    if any(planted(rule, check, everywhere=False))
]


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
    if not hasattr(torch.optim, rule.name):
        pytest.skip(f"torch {torch.__version__} has no {rule.name}")
    there = [c for c in checks(rule) if c.rejects is None and c.world in WORLDS]
    idle = {c.name for c in there if not claimed(rule, c)}
    assert not idle


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


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
@settings(max_examples=5, phases=(Phase.generate,), derandomize=True)
@given(st.data())
def test_planting_itself_breaks_nothing(rule: Rule, data: st.DataObject) -> None:
    case = data.draw(cases(rule))
    for plain in subjects(rule).get("default", []):
        if plain.dtype not in case.precisions or (case.has("sparse") and not plain.takes_sparse):
            continue
        planted = replace(plain, optimizer=untouched(rule))
        try:
            answer = plain.ask(case)
        except SubjectError as error:
            with pytest.raises(SubjectError, match=re.escape(str(error))):
                planted.ask(case)
        else:
            assert planted.ask(case).has_the_bits_of(answer)


@pytest.mark.parametrize("name", SURVIVES)
def test_what_is_excused_survives(name: str) -> None:
    """Whoever is found, or is not there, needs no excuse."""
    rule = RULES[name.split("_")[0]]
    if not hasattr(torch.optim, rule.name):
        pytest.skip(f"torch {torch.__version__} has no {rule.name}")
    (specimen,) = (s for s in specimens(rule) if str(s) == name)
    check = next(check for check in checks(rule) if check.name == AGREEMENT)
    places = list(on_paths(rule, specimen, check))
    assert len(survivors(rule, check, places, 1, "default")) == len(places) > 0


def main() -> None:
    """Hunt with many seeds; print each survivor and the share caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.meta.test_zoo", description=__doc__)
    parser.add_argument("--tries", type=int, default=1, help="seeds of each hunt")
    parser.add_argument("--profile", choices=EXAMPLES, default="thorough", help="how long to hunt")
    parser.add_argument("--rule", nargs="+", choices=RULES, default=list(RULES), metavar="RULE")
    options = parser.parse_args()
    quiet()
    hunted = alive = 0
    for rule, check in PAIRS:
        if rule.name not in options.rule:
            continue
        for random_seed in range(options.tries):
            wrong = list(planted(rule, check, everywhere=True))
            escaped = survivors(rule, check, wrong, random_seed, options.profile)
            hunted += len(wrong)
            alive += len(escaped)
            for who in sorted(escaped):
                print(f"{who} escapes '{rule.name}: {check.name}', seed {random_seed}", flush=True)
    print(f"{hunted - alive} of {hunted} were caught")


if __name__ == "__main__":
    main()
