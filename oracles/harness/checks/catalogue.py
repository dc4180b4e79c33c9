"""The checks: one list that pytest, the command line and the ledger all walk.

A check is a question with a strategy for its cases and a function that asks one subject. It returns
a verdict and never raises for what a subject did wrong; :func:`examine` turns what a subject raises
into an ``errored`` verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracles.harness.cases import strategies
from oracles.harness.cases.case import LAYOUTS, MIXED, Case, Parameter
from oracles.harness.cases.enduring import late_cases, long_runs
from oracles.harness.cases.large import long_cases, many_cases, matrix_cases
from oracles.harness.cases.separating import separating_cases
from oracles.harness.cases.short import short_cases
from oracles.harness.cases.strategies import SHAPES, Lead
from oracles.harness.checks import names
from oracles.harness.checks.check import Check
from oracles.harness.checks.contract import closure, gradients_kept, order, restarts
from oracles.harness.checks.endurance import enduring, late
from oracles.harness.checks.large import enlarged, threaded
from oracles.harness.checks.surroundings import (
    WIDER,
    groups_kept,
    kept_alike,
    loading_changes_nothing,
    loading_shares_nothing,
    same_in,
    surroundings_kept,
)
from oracles.harness.checks.values import (
    agreement,
    rejection,
    skipped,
    splitting,
    transposing,
    zeroed,
)
from oracles.harness.subjects.paths import Path, Wrap
from oracles.harness.subjects.subject import World
from oracles.rule import Rule


def checks(rule: Rule) -> list[Check]:
    """All checks of a rule, in the order they are walked."""
    general = strategies.cases
    return [
        Check(names.AGREEMENT, general, agreement, weight=6),
        Check(names.GAPS, strategies.gaps_and_late_groups, agreement),
        Check(
            names.EDGE,
            strategies.edge_cases,
            agreement,
            weight=2,
        ),
        Check(names.SHORT, short_cases, agreement, weight=2),
        Check(
            names.SPARSE,
            strategies.sparse_cases,
            agreement,
        ),
        *_large(rule),
        *_enduring(rule),
        *(
            Check(
                f"rejects {convention.name}",
                partial(separating_cases, convention=convention),
                partial(rejection, convention),
                rejects=convention,
                weight=0.125,
            )
            for convention in rule.conventions[1:]
        ),
        Check(names.GRADIENTS, _general_or_single_option, gradients_kept, weight=2),
        Check(
            names.SURROUNDINGS,
            partial(general, members=2, lead=Lead(CUTTABLE, LAYOUTS)),
            surroundings_kept,
            applies=lambda path: not path.graph,
        ),
        *_restarted(),
        Check(
            names.CLOSURE,
            general,
            closure,
            applies=lambda path: path.wrap is not Wrap.SCALER,
            weight=0.25,
        ),
        Check(names.ORDER, partial(_unmixed, members=2, lead=Lead()), order, weight=0.25),
        *(_reshaped() if rule.elementwise else ()),
        Check(names.TO_NONE, partial(_zeroed, True), partial(zeroed, True), weight=0.5),
        Check(
            names.TO_ZERO,
            partial(_zeroed, False),
            partial(zeroed, False),
            # A differentiated step leaves gradients inside its graph, to be dropped only.
            applies=lambda path: not path.graph,
            weight=0.5,
        ),
        Check(
            names.SKIPPED,
            strategies.skipping_cases,
            skipped,
            applies=lambda path: path.wrap is Wrap.SCALER,
            weight=0.25,
        ),
        *_surroundings(),
    ]


CUTTABLE = ((2,), (17,), (33,), (3, 11), (2, 3), (9,), (200,), (5, 13), (41,))
"""Shapes of what can be cut into two; most halves are longer than a SIMD block, and have a tail."""

MATRICES = tuple(shape for shape in SHAPES if sum(length > 1 for length in shape) > 1)
"""Shapes of what looks otherwise when it is transposed."""

NUMBERS = (World.BFLOAT16, World.FLOAT64, World.AUTOCAST)
"""Worlds in which numbers may be rounded otherwise, which the simplest values do not show."""


def _restarted() -> list[Check]:
    """Checks of an optimizer that goes on from a copy of itself."""
    case = partial(strategies.cases, least=3, lead=Lead())
    saved, deep, pickled = (partial(restarts, how) for how in ("state_dict", "deepcopy", "pickle"))
    deepcopied, unpickled = names.COPIED
    return [
        Check(names.SAVED, partial(case, members=2), saved, applies=_saved, weight=1.5),
        Check(deepcopied, case, deep, applies=_saved, weight=0.5),
        Check(unpickled, case, pickled, applies=_saved, weight=0.5),
    ]


def _reshaped() -> list[Check]:
    """Checks of elementwise rules, to which the shape of a parameter is nothing."""
    cut, turned = (partial(_unmixed, lead=Lead(shapes)) for shapes in (CUTTABLE, MATRICES))
    return [
        Check(names.SPLITTING, cut, splitting, weight=0.75),
        Check(names.TRANSPOSING, turned, transposing, weight=0.25),
    ]


def _surroundings() -> list[Check]:
    """Checks of what a step has around it: a few cases each, since any case that moves shows."""
    few = partial(Check, cases=_moving, weight=0.125)
    return [
        *(
            Check(
                f"the same under {world}",
                _in_float32_too if world in NUMBERS else _moving,
                partial(same_in, world),
                applies=partial(_there, world),
                world=world,
                weight=0.25 if world in NUMBERS else 0.125,
            )
            for world in World
            if world is not World.PLAIN
        ),
        few(names.KEPT, ask=kept_alike, world=WIDER),
        few(names.GROUPS, ask=groups_kept, applies=_plain),
        few(names.LOADED, ask=loading_changes_nothing, applies=_saved),
        few(names.UNSHARED, ask=loading_shares_nothing, applies=_saved),
    ]


def _there(world: World, path: Path) -> bool:
    """Whether a path is in the world at all: torch up to 2.6 cannot fill complex float16."""
    return world is not World.DETERMINISTIC or path.wrap is not Wrap.COMPLEX


def _saved(path: Path) -> bool:
    """Whether the optimizer itself, with no graph around it, can be saved and copied."""
    return not path.graph and path.wrap is None


def _plain(path: Path) -> bool:
    """Whether nothing is switched on: what is handed over is no matter of a path."""
    return not path.switches and not path.tensors and path.wrap is None


def _large(rule: Rule) -> list[Check]:
    """Checks of size, each element of which costs what it costs torch: few cases are asked."""
    many = Check(names.MANY, many_cases, enlarged, weight=0.125)
    if rule.drawing.shapes:  # which are all that is known of its roundings
        return [many]
    if not rule.elementwise:
        return [many, Check(names.LARGE, matrix_cases, agreement, weight=0.25)]
    return [
        many,
        Check(names.LONG, long_cases, enlarged, weight=0.4),
        Check(
            names.THREADED,
            partial(long_cases, alone=True),
            threaded,
            applies=lambda path: path.wrap is None and not path.tensors,  # kernels of their own
            weight=0.125,
            shrinks=False,  # who waits on other threads may take seconds
        ),
    ]


def _enduring(rule: Rule) -> list[Check]:
    """Checks of many steps, of which a run of a thousand costs as much as all others."""
    counting = Check(names.LATE, late_cases, late, weight=1.5)
    return [
        Check(
            names.ENDURING,
            long_runs,
            enduring,
            applies=lambda path: path.wrap is None and not path.tensors,
            weight=0.05,
            shrinks=False,
        ),
        *([counting] if "step" in rule.states else []),
    ]


def _general_or_single_option(rule: Rule, **options: Any) -> st.SearchStrategy[Case]:
    return st.one_of(
        strategies.single_option_cases(rule, **options), strategies.cases(rule, **options)
    )


def _moving(rule: Rule, **options: Any) -> st.SearchStrategy[Case]:
    """General cases of some steps, at each of which something moves."""
    return strategies.cases(rule, least=2, lead=Lead(), **options)


def _unmixed(rule: Rule, **options: Any) -> st.SearchStrategy[Case]:
    """General cases whose parameters have one dtype, so that it does not hang on their number."""
    return strategies.cases(rule, **options).map(
        lambda case: replace(case, precisions=("float32",)) if MIXED in case.precisions else case
    )


def _in_float32_too(rule: Rule, **options: Any) -> st.SearchStrategy[Case]:
    """Cases of which something moves; in float32, too, which other defaults change the most."""

    def widened(case: Case) -> Case:
        both = dict.fromkeys((*case.precisions, "float32"))
        return case if MIXED in case.precisions else replace(case, precisions=tuple(both))

    return _moving(rule, **options).map(widened)


def _zeroed(to_none: bool, rule: Rule, **options: Any) -> st.SearchStrategy[Case]:
    """General cases with the last gradients that ``zero_grad`` leaves behind."""

    def emptied(p: Parameter) -> Iterator[Parameter]:
        had = p.gradients[-2] is not None
        last = np.zeros_like(p.initial) if had and not to_none else None
        yield replace(p, gradients=(*p.gradients[:-1], last))

    drawn = _moving(rule, **options)
    return drawn.map(lambda case: case.regrouped(emptied))
