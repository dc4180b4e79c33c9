"""Hunts for the wrong optimizers of the zoo: who is planted where, and who escapes a check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from unittest import SkipTest
from zlib import crc32

from hypothesis import Phase, given, seed, settings

from oracles.harness.cases.case import PRECISIONS, Case
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import SHARE, Check
from oracles.harness.checks.names import AGREEMENT, SPARSE
from oracles.harness.deviations.ledger import usable
from oracles.harness.oracle import Oracle
from oracles.harness.runs.asking import examine
from oracles.harness.runs.profiles import EXAMPLES, IGNORED
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.meta.impostors import IMPOSTORS
from tests.meta.planting import Specimen
from tests.meta.sabotage import specimens
from tests.meta.trespass import trespassers
from tests.meta.zoo import ZOO

SURVIVES = {
    "ASGD_rounded_alpha": "nothing but eta sees it, which torch keeps in float32",
    "Adagrad_stale_initial_accumulator_value": "torch reads it at construction, too",
    "Muon_rounded_eps": "nothing but updates of a norm below it see it",
    "Adagrad_rounded_initial_accumulator_value": "torch reads it at construction, before a step",
}
"""What the checks do not find, and why."""

INNOCENT = 4
"""Cases in each dtype that the right impostor is asked in a hunt."""

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


def named(planted: Sequence[TorchSubject]) -> str:
    """A wrong optimizer, and the path it is planted in."""
    return f"{planted[0].optimizer.__name__} [{planted[0].path.name}]"


def survivors(
    rule: Rule,
    check: Check,
    wrong: Iterable[Sequence[TorchSubject]],
    random_seed: int,
    profile: str = "thorough",
) -> set[str]:
    """Who escapes a profile, and how the right impostor was refused, if it was."""
    alive = {named(each): each for each in wrong}
    # A text in float64 does not know the resolution that eps1 = None stands for elsewhere.
    known = getattr(rule.hyper(), "eps1", 0) is not None
    right = impostor(rule, rule.torch.name) if check.applies(DEFAULT) and known else []
    refused: list[str] = []
    seen = {name: Tally() for name in alive}
    asked = Counter[Sequence[str]]()
    # Who lacks a switch, in an older torch, is asked half of the cases.
    lacking = max((len(each[0].unsupported) for each in alive.values()), default=0)

    def hunt(case: Case) -> None:
        asked[case.precisions] += 1
        oracle = Oracle(rule, case)
        for name, each in list(alive.items()):
            if examine(check, each, oracle, seen[name]):
                del alive[name]
        # Where a format ends it matters that it computes in float64.
        if asked[case.precisions] <= INNOCENT and not case.edge:
            refused.extend(v.sentence for v in examine(check, right, oracle, Tally()))
        if not alive:
            raise AllCaught("nobody is left")

    with suppress(AllCaught):
        for draw in check.draws(rule, EXAMPLES[profile] * SHARE):
            ask = given(draw.cases)(hunt)
            hunting = settings(
                max_examples=draw.number << lacking,
                phases=(Phase.generate,),
                database=None,
                deadline=None,
                derandomize=False,
                suppress_health_check=IGNORED,
            )
            seed(f"{random_seed} {draw.name}")(hunting(ask))()
    # Whom a known deviation keeps from being asked at all, nobody can catch.
    escaped = {name for name in alive if seen[name].lines or not seen[name].deviations}
    return escaped | set(refused)


PAIRS = [
    (rule, check)
    for rule in RULES.values()
    for check in checks(rule)
    if any(planted(rule, check, everywhere=False))
]
