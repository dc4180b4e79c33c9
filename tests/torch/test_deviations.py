"""The ledger of deviations is run: what it calls broken is broken, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.cases.case import MIXED, PRECISIONS, Case, Group, Parameter, single
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.names import AGREEMENT
from oracles.harness.deviations.ledger import Deviation, active, ledger, outside
from oracles.harness.deviations.regions import REGIONS, Asked
from oracles.harness.oracle import Oracle
from oracles.harness.runs.profiles import lasting
from oracles.harness.runs.runner import Refuted, run_check
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.harness.verdict import judge
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.meta.zoo import BatchScaledDecay  # type: ignore[attr-defined]

ROWS = [(row, RULES[name]) for row in ledger() for name in row.rules]
rows = pytest.mark.parametrize(("row", "rule"), ROWS, ids=[f"{r.id}-{u.name}" for r, u in ROWS])


@rows
def test_region_holds_its_reproducer(row: Deviation, rule: Rule) -> None:
    """Otherwise the property tests would run into what is known."""
    case = row.reproducer(rule)
    assert any(row.in_region(Asked(rule, case, dtype)) for dtype in row.dtypes or case.precisions)


@rows
def test_a_row_names_what_there_is(row: Deviation, rule: Rule) -> None:
    """A row with a slip of the pen would cover nothing, and its reproducer would be skipped."""
    assert row.check in {check.name for check in checks(rule)}
    assert row.paths
    assert set(row.paths) <= {path.name for path in PATHS}
    assert set(row.dtypes) <= set(PRECISIONS)
    assert set(row.devices) <= {"cpu", "cuda", "mps"}
    assert row.reason
    assert row.upstream.startswith("https://") or row.upstream == ""


# Next to a row's reproducer, but outside its region: what a region that is too wide would swallow.
SGD = RULES["SGD"]

H = SGD.hyper(lr=0.5)
ADAM = RULES["Adam"].hyper(lr=0.5)
ADAGRAD = RULES["Adagrad"].hyper(lr=0.5)
RADAM = RULES["RAdam"].hyper(lr=0.5, beta2=0.0, eps=0.5)
UNTOUCHED = RULES["RAdam"].hyper(lr=0.5, weight_decay=0.5, eps=0.0)
NESTEROV = SGD.hyper(lr=0.5, momentum=0.5, nesterov=True)
STAGGERED = tuple(Parameter(np.ones(1), (g, np.ones(1))) for g in (None, np.ones(1)))
MATRIX = [[1.0, 2.0], [3.0, 4.0]]
OUTSIDE = {
    "late_buffer": single([1.0], [None, [1.0]], SGD.hyper(lr=0.5, momentum=0.5)),
    "layouts_differ": single(MATRIX, [MATRIX], H),
    "odd_layout": single(MATRIX, [MATRIX], H),
    "half_vectors": single(np.ones(7), [np.ones(7)], H),
    "plain_nesterov": single([1.0], [[1.0]], NESTEROV._replace(weight_decay=0.5)),
    "plain_nesterov_expanded": single(MATRIX, [MATRIX], NESTEROV),
    "decayed": single([1.0], [[1.0]], H._replace(weight_decay=0.5, maximize=True)),
    "decayed_expanded": single(MATRIX, [MATRIX], H._replace(weight_decay=0.5)),
    "skips_first": single([1.0], [[1.0], [np.inf]], SGD.hyper(lr=0.5, momentum=0.5)),
    "zero_rate": single([1.0], [[1.0], [0.0]], ADAM._replace(lr=0.0)),
    "amsgrad_nonfinite": replace(
        single([1e9], [[1e9]], ADAM._replace(amsgrad=True, weight_decay=0.5)), edge=True
    ),
    "late_group": single([1.0], [[1.0]], H),
    "other_accumulator": single([1.0], [[1.0]], RULES["Adagrad"].hyper(lr=0.5)),
    "late_momentum": single(
        [1.0], [None, [1.0]], (RULES["RMSprop"].hyper(), RULES["RMSprop"].hyper(momentum=0.5))
    ),
    "waits_on_nothing": single([1.0], [[1.0]], RULES["RAdam"].hyper(lr=0.5)),
    "slow_float16": single([1.0], [[1.0]] * 6, RULES["RAdam"].hyper(lr=1.0)),
    "norm_over_rate": single([1.0], [[1e36]], RULES["Adamax"].hyper(lr=0.5)),
    "several_steps": single([1.0], [[1.0]], H),
    "no_elements": single(np.ones(0), [None], H),
    "no_columns": single(np.ones((0, 2)), [np.ones((0, 2))], RULES["Muon"].hyper(lr=0.5)),
    "staggered": single([1.0], [[1.0]], H),
    "no_look_ahead": single([1.0], [None, [1.0]], (H, NESTEROV)),
    "mixed_rates": Case((Group(STAGGERED, (RULES["Adafactor"].hyper(lr=0.5),) * 2),)),
    "half_betas": single([1.0], [[1.0]], ADAM._replace(beta1=0.9375)),
    "default_eps": single([1.0], [[1.0]], RULES["Adafactor"].hyper(lr=0.5, eps1=0.5)),
    "half_parameters": single([1.0], [[1.0]], H),
    "moves": single([1.0], [None], H),
    "with_momentum": single([1.0], [[1.0], None], (H, H._replace(momentum=0.5))),
    "without_momentum": single([1.0], [[1.0]], H._replace(momentum=0.5)),
    "matrices": single([1.0], [[1.0]], RULES["Adafactor"].hyper()),
    "sparse_ascent": single([1.0], [[1.0]], H._replace(maximize=True)),
    "bent_rate": single([1.0], [[1.0]], RULES["ASGD"].hyper(lr=0.5, alpha=1.0)),
    "ascends": single([1.0], [[1.0]], H),
    "decays": single([1.0], [[1.0]], H),
    "amsgrad": single([1.0], [[1.0]], RULES["Adam"].hyper(lr=0.5)),
    "nonfinite": single([1.0], [[1.0]], H),
    "nonfinite_decays": single([np.inf], [[1.0]], H),
    "scalars": single([1.0], [[1.0]], H),
    "eps_matters": single([1.0], [[1.0]] * 5, RULES["RAdam"].hyper()),
    "rate_in_float32": single([1.0], [[1.0]], RULES["Adagrad"].hyper(lr=0.5)),
    "low_rate_float16": single([1.0], [[1.0]], ADAM._replace(lr=2.0**-11)),
    "strided_parameter": single([1.0, 2.0], [[1.0, 1.0]], H),
    "counter_ends": replace(single([1.0], [[1.0]] * 2, ADAM), elapsed=2**24 - 1),
}


ENDS_IN = {
    "half_parameters": "float32",
    "rate_in_float32": "float64",
    "slow_float16": "float16",
    "low_rate_float16": "float16",
}
"""The precision it is asked on, where bfloat16 would say little."""


def asked(case: Case, precision: str) -> Asked:
    """The case of the rule whose hyperparameters it has."""
    hyper = type(case.groups[0].schedule[0])
    return Asked(next(rule for rule in RULES.values() if rule.hyper is hyper), case, precision)


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_ends(name: str) -> None:
    assert not REGIONS[name](asked(OUTSIDE[name], ENDS_IN.get(name, "bfloat16")))


@pytest.mark.parametrize(
    ("name", "precision", "case"),
    [
        ("zero_rate", "bfloat16", single([1.0], [[0.0]], ADAM)),
        ("waits_on_nothing", "float16", single([1.0], [[1.0]], RADAM)),
        ("waits_on_nothing", "float32", single([1.0], [[128.0]], RADAM)),
        ("eps_matters", "float32", single([1.0], [[1.0]] * 5, UNTOUCHED)),
        (
            "no_columns",
            "float32",
            single(
                np.ones((2, 0)),
                [np.ones((2, 0))],
                RULES["Muon"].hyper(lr=0.5, adjust_lr_fn="match_rms_adamw"),
            ),
        ),
        ("low_rate_float16", "float16", single([0.0], [[1.0]], ADAM._replace(lr=2.0**-13))),
        (
            "amsgrad_nonfinite",
            "float32",
            replace(
                single([1.0], [[np.inf]], ADAM._replace(amsgrad=True, weight_decay=0.5)), edge=True
            ),
        ),
        (
            "other_accumulator",
            "float32",
            Case(
                (
                    Group((Parameter(np.ones(1), (np.ones(1),) * 3),), (ADAGRAD,) * 3),
                    Group(
                        (Parameter(np.ones(1), (None, None, np.ones(1))),),
                        (*(ADAGRAD._replace(initial_accumulator_value=0.5),) * 2, ADAGRAD),
                        joins=1,
                    ),
                )
            ),
        ),
        (
            "mixed_rates",
            MIXED,
            Case((Group(STAGGERED, (RULES["Adafactor"].hyper(lr=0.8),) * 2),)),
        ),
    ],
)
def test_a_region_ends_on_other_sides_too(name: str, precision: str, case: Case) -> None:
    assert not REGIONS[name](asked(case, precision))


def test_a_dtype_may_hold_a_beta_and_not_what_is_left_of_it() -> None:
    """1 − 2⁻⁹ has nine bits, of which bfloat16 holds eight."""
    case = single([1.0], [[1.0]], ADAM._replace(beta1=2.0**-9))
    assert REGIONS["half_betas"](asked(case, "bfloat16"))
    assert not REGIONS["half_betas"](asked(case, "float16"))


def test_a_variance_vanishes_where_gradient_and_decay_cancel() -> None:
    """In bfloat16, where their sum is zero; the rule, in float64, has a remainder."""
    w, decay = -0.051025390625, 1.4834470226220255
    g = -float(round_to("bfloat16", [decay * w])[0])
    case = single([w], [[g]], RULES["Adam"].hyper(lr=0.0, eps=0.01, weight_decay=decay))
    assert g + decay * w != 0
    assert REGIONS["zero_rate"](asked(case, "bfloat16"))
    assert not REGIONS["zero_rate"](asked(case, "float64"))


def test_a_variance_vanishes_where_the_decay_may_cancel_the_gradient() -> None:
    """A step before, from 32 to 1/4, has left more uncertain in float16 than what remains."""
    moving = RULES["Adam"].hyper(lr=31.75, beta1=0.0, beta2=0.0, eps=0.0)
    resting = moving._replace(lr=0.0, weight_decay=1.0)
    case = single([32.0], [[1.0], [2.0**-7 - 0.25]], (moving, resting))
    assert REGIONS["zero_rate"](asked(case, "float16"))
    assert not REGIONS["zero_rate"](asked(case, "float32"))


def test_a_row_holds_for_its_versions_paths_and_dtypes_only() -> None:
    row = next(row for row in ledger() if row.id == "fused-cpu-half-vectors")
    for version, holds in (
        ("2.13.0+cpu", True),
        ("2.4.0a0+git1", True),
        ("2.14.0", False),
        ("2.3.1", False),
    ):
        assert row.holds_for(version) == holds
        assert (row in active("SGD", version)) == holds
    assert row not in active("another", "2.13.0")
    long = single(np.ones(64), [np.ones(64)], H)
    fused, loop = (next(p for p in PATHS if p.name == name) for name in ("fused", "for-loop"))
    for path, dtype, device, covers in (
        (fused, "float16", "cpu", True),
        (fused, "float32", "cpu", False),
        (loop, "float16", "cpu", False),
        (fused, "float16", "cuda", False),
        (fused, "float16", "cpu+cuda", True),
    ):
        subject = TorchSubject(SGD, torch.optim.SGD, path, dtype, device)
        assert row.covers("agreement", subject, long) == covers
    gradients = next(row for row in ledger() if row.id == "foreach-nesterov-gradient")
    assert not gradients.covers("agreement", TorchSubject(SGD, None, fused, "float32"), long)


LENGTHS = (3, 64)


@pytest.mark.parametrize(
    ("id", "path", "dtype", "changes", "left"),
    [
        ("fused-cpu-half-vectors", "fused", "float16", {}, {"sizes": [3, 1]}),
        ("fused-cpu-layout", "fused", "float32", {"layout": "strided"}, {"sizes": [3, 64]}),
        ("counter-ends", "for-loop", "float32", {"elapsed": 2**24}, {"elapsed": 2**23}),
        ("group-kept", "default", "float32", {}, None),
    ],
    ids=["short", "dense", "sooner", "nothing"],
)
def test_what_is_outside_of_a_region_is_left_of_a_case(
    id: str,
    path: str,
    dtype: str,
    changes: dict[str, Any],
    left: dict[str, Any] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A part that no row knows: short or dense parameters, or a count that goes on."""
    row = next(row for row in ledger() if row.id == id)
    monkeypatch.setattr("oracles.harness.deviations.ledger.active", lambda rule, version: (row,))
    layout = changes.get("layout", "contiguous")
    ones = [np.ones(n) for n in LENGTHS]
    members = tuple(Parameter(w, (w, w), layout=layout) for w in ones)
    rule = RULES[row.rules[0]]
    case = Case((Group(members, (rule.hyper(lr=0.5),) * 2),), elapsed=changes.get("elapsed", 0))
    of = next(p for p in PATHS if p.name == path)
    subject = TorchSubject(rule, getattr(torch.optim, rule.name), of, dtype)
    known, rest = outside(row.check, subject, case)
    assert known is row
    if left is None:
        assert rest is None
        return
    assert rest is not None
    assert not row.covers(row.check, subject, rest)
    told = {"sizes": [p.initial.size for p in rest.parameters], "elapsed": rest.elapsed}
    assert told == {"sizes": [3, 64], "elapsed": 0} | left


class ShortStays(torch.optim.SGD):
    """Leaves float16 parameters of one element as they are."""

    def step(self, closure: Any = None) -> Any:
        short = [
            p
            for g in self.param_groups
            for p in g["params"]
            if p.dtype == torch.float16 and p.numel() == 1
        ]
        before = [p.detach().clone() for p in short]
        loss = super().step(closure)
        with torch.no_grad():
            for p, kept in zip(short, before, strict=True):
                p.copy_(kept)
        return loss


def test_a_fault_beside_a_known_one_is_found() -> None:
    """Where each case that is drawn has a parameter which is known to go wrong."""
    subjects, _ = select(SGD, ["fused"], ["float16"], ["cpu"], optimizer=ShortStays)
    if not subjects:
        pytest.skip("this torch has no fused SGD on a CPU")
    agreement = next(check for check in checks(SGD) if check.name == AGREEMENT)
    agreement = replace(agreement, shrinks=False)
    with lasting("ci"), pytest.raises(Refuted, match="ShortStays"):
        run_check(agreement, SGD, subjects, Tally())


# What torch does with these is a trap, and no deviation: the format cannot hold what the rule says.
TRAPS = {
    # A constant gradient: v - a² is below the rounding of v and a², and comes out negative.
    "the root of a variance below zero": (
        "RMSprop",
        "for-loop",
        "bfloat16",
        single([1.0], [[1.96875]] * 9, RULES["RMSprop"].hyper(alpha=0.5, centered=True)),
    ),
    # ρ, a small difference of large numbers, is made from a float32 count.
    "a wait that ends early": (
        "RAdam",
        "for-loop, capturable",
        "float32",
        single([0.0], [[1.0], [2.0]], RULES["RAdam"].hyper(lr=0.5, beta2=0.9999)),
    ),
    # The paper's ε₁ squared is zero, and zero gradients are divided by its root.
    "the square of a small eps1": (
        "Adafactor",
        "for-loop",
        "float32",
        single([1.0, 2.0], [[0.0, 1.0]], RULES["Adafactor"].hyper(lr=0.5, eps1=1e-30)),
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_unknown_and_not_wrong(name: str) -> None:
    """torch's answer is not near the exact one, and the verdict leaves it open."""
    optimizer, path, dtype, case = TRAPS[name]
    rule = RULES[optimizer]
    subjects, _ = select(rule, [path], [dtype], ["cpu"])
    if not subjects:
        pytest.skip(f"this torch has no {optimizer} on this path")
    answer, oracle = subjects[0].ask(case), Oracle(rule, case)
    exact = exact_end(rule, case)
    assert not np.allclose(answer.parameters[-1], exact, rtol=0.1)
    verdict = judge(oracle, subjects[0], answer)
    assert not verdict.failed
    assert verdict.undecided > 0


def exact_end(rule: Rule, case: Case) -> FloatArray:
    """The last parameters, by the rule with no scalar in float32."""
    balls = Oracle(rule, case)()
    return np.asarray(balls.parameters.mid[balls.row("float64"), -1], dtype=np.float64)


def test_ids_are_unique() -> None:
    ids = [row.id for row in ledger()]
    assert len(set(ids)) == len(ids)


def test_what_torch_gets_wrong_excuses_nobody_else() -> None:
    row = next(row for row in ledger() if row.id == "foreach-nesterov-gradient")
    foreach = next(p for p in PATHS if p.name == "foreach")
    own = type("SGD", (torch.optim.Optimizer,), {"__init__": lambda self: None})
    for optimizer, excused in ((torch.optim.SGD, True), (BatchScaledDecay, True), (own, False)):
        assert row.concerns(TorchSubject(SGD, optimizer, foreach, "float32")) == excused
