"""check says which rule, and how accurate; a wrong or strange subject is one sentence."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
import torch

import oracles
from oracles.accuracy import Accuracy, accuracy
from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.candidates import Candidate
from oracles.harness.cases.case import Case, single
from oracles.harness.evidence.sifting import Exceptional
from oracles.harness.evidence.witnesses import Asked
from oracles.harness.promise import Line, Word
from oracles.harness.subjects.asking import black_box
from oracles.harness.subjects.blackbox import Function
from oracles.harness.subjects.promises.grouping import COUNTS
from oracles.harness.subjects.subject import SubjectError
from oracles.inquiry import Inquiry, Watched
from oracles.optimizers.registry import RULES
from oracles.report import Claim, Report
from oracles.reports.checked import render
from oracles.rule import Rule
from oracles.schedule_checking import ScheduleReport
from oracles.scheduling import identify_schedule
from tests.support.breakers import Clean, DecaysWhole
from tests.support.functions import adam_by, batch_scaled
from tests.support.odd_forms import FoldedAdamW
from tests.support.planted import Planted

adam = adam_by(lambda beta, t: float(1 - np.float32(beta) ** np.float32(t)))
"""Adam with its counter in float32, as frameworks keep it that have no float64."""


def test_torch_s_own_is_within_its_own_enclosure() -> None:
    report = oracles.check(torch.optim.Adam)
    assert str(report.found) == "Adam follows Adam's coupled_unscaled"
    assert {a.dtype for a in report.accuracies} >= {"float64", "float32"}  # CPUs had no float16
    assert all(a.radii <= 1 for a in report.accuracies)


@pytest.mark.slow
def test_the_operation_that_loses_digits_is_named() -> None:
    report = oracles.check(adam, "Adam", dtypes=["float64", "float32"])
    double, single = report.accuracies
    assert report.follows
    assert report.found is not None
    assert report.found.scalars == "float32"
    assert double.radii > 1e3
    assert double.cause == "counters in float32, so that 1 − βᵗ loses digits"
    assert single.radii <= 1
    assert str(report).startswith("adam follows Adam's coupled_unscaled; float64 within ")


@dataclasses.dataclass(frozen=True)
class Off(Planted):
    """Off by so many units in the last place of its last move, unless it is to maximize.

    NumPy says what these units are in float32.
    """

    by: int

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        case = case.regrouped(lambda p: [p.each(functools.partial(round_to, dtype))])
        (group,) = case.groups
        answer = super().run(rule, case, dtype)
        start = np.concatenate([p.initial.ravel() for p in group.parameters])
        moves = np.abs(np.diff(answer, axis=0, prepend=start[None]))
        units = self.by * np.spacing(moves[-1].astype(np.float32)).astype(np.float64)
        answer[-1] += units * (not getattr(group.schedule[0], "maximize", False))
        return answer


@pytest.mark.parametrize("by", [1, 3])
def test_ulps_are_of_the_last_place_of_a_move(by: int) -> None:
    own = Candidate(RULES["SGD"])
    assert round(accuracy(Off(own, by), own, "float32").ulps, 3) == by


@pytest.mark.slow
def test_a_dtype_that_is_not_taken_is_told() -> None:
    report = oracles.check(adam, "Adam", dtypes=["bfloat16"])
    assert [dtype for dtype, _ in report.refused] == ["bfloat16"]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TypeError("no"), "refused"),
        (NotImplementedError("no"), "refused"),
        (RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'"), "refused"),
        (RuntimeError("mat1 and mat2 must have the same dtype, but got Half and Float"), "refused"),
        (RuntimeError("not today"), "failed"),
        (ZeroDivisionError("float division by zero"), "failed"),
    ],
    ids=["type", "not_implemented", "kernel", "dtypes", "other", "arithmetic"],
)
def test_who_fails_in_a_dtype_is_told_from_who_does_not_take_it(
    error: Exception, word: str
) -> None:
    class Single(Clean):
        def update(self, p: Any, g: Any, group: Any) -> None:
            if p.dtype is torch.float16:
                raise error
            super().update(p, g, group)

    report = oracles.check(Single, "SGD", dtypes=["float32", "float16"], within=1)
    assert [dtype for dtype, _ in getattr(report, word)] == ["float16"]
    assert report.ok is (word == "refused")
    assert [a.dtype for a in report.accuracies] == ["float32"]


def test_names_of_one_s_own() -> None:
    class Mine(torch.optim.Optimizer):
        def __init__(self, params: Any, speed: float = 0.1, shrink: float = 0.0) -> None:
            super().__init__(params, {"speed": speed, "shrink": shrink})

        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(1 - group["speed"] * group["shrink"]).sub_(group["speed"] * p.grad)

    report = oracles.check(
        Mine, "SGD", names={"lr": "speed", "weight_decay": "shrink"}, dtypes=["float64"]
    )
    assert report.follows


def raising(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    raise RuntimeError("not today")


def test_code_that_raises_is_one_sentence() -> None:
    report = oracles.check(raising, "SGD")
    assert not report.follows
    assert str(report) == "raising cannot be stepped: raises RuntimeError: not today"


class Careful(Clean):
    """Takes no learning rate that is large."""

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        if lr > 1e-2:
            raise ValueError(f"lr={lr} is too large")
        super().__init__(params, lr)


def test_settings_that_are_refused_are_told() -> None:
    """No rule could be told then, and not because none fits."""
    report = oracles.check(Careful, "SGD", dtypes=[])
    assert not report.follows
    assert "raises ValueError: lr=" in report.declined["SGD"]
    assert "is too large when asked as these are: SGD" in render(report)
    other = dataclasses.replace(report, declined={"SparseAdam": "raises nothing"})
    assert "SparseAdam" not in render(other), "who takes dense gradients need not take sparse ones"
    sparse = dataclasses.replace(other, claim=Claim.of("SparseAdam"))
    assert "raises nothing when asked as these are: SparseAdam" in render(sparse)


def test_the_first_refusal_is_the_one_that_is_told() -> None:
    def step(params: Any, grads: Any, state: Any, lr: Any, momentum: Any) -> Any:
        if not momentum:
            raise ValueError(f"lr={lr}")
        return [w / (momentum - 1) for w in params]

    watched, rule = Watched(Function(step)), RULES["SGD"]
    for h in (rule.hyper(lr=0.5, momentum=1.0), rule.hyper(lr=0.25)):
        with pytest.raises(SubjectError):
            watched.run(rule, single([1.0], [[1.0]], h))
    assert watched.refused == {"SGD": "gives numbers that are not finite"}
    other = Watched(Function(step))
    for lr in (0.5, 0.25):
        with pytest.raises(SubjectError):
            other.run(rule, single([1.0], [[1.0]], rule.hyper(lr=lr)))
    assert other.refused == {"SGD": "raises ValueError: lr=0.5"}
    assert watched.run(rule, single([1.0], [[1.0]], rule.hyper(momentum=0.5))).tolist() == [[-2.0]]


def test_a_claim_is_a_rule_or_a_convention_of_it() -> None:
    for claim, ok in (("SGD", False), ("SGD's batch_scaled", True)):
        report = oracles.check(batch_scaled, claim, dtypes=[])
        assert (report.follows, report.ok) == (ok, ok)
    with pytest.raises(ValueError, match="SGD has no convention 'x'; allowed: coupled"):
        oracles.check(batch_scaled, "SGD's x")


CLAMPED = "SGD", "Rprop", "ASGD", "Adafactor"
"""Rules with arguments that make no difference beside some values of others."""


def test_whoever_ignores_a_hyperparameter_does_not_follow_the_claimed_rule() -> None:
    def deaf(params: Any, grads: Any, state: Any, lr: Any, momentum: Any) -> Any:
        return [w - lr * g for w, g in zip(params, grads, strict=True)]

    report = oracles.check(deaf, "SGD", dtypes=["float64"])
    assert report.accuracies[0].radii <= 1  # of what it does with the rest
    assert report.faults() == [
        "deaf follows SGD's coupled_unscaled, ignoring momentum; its author claims SGD's "
        "coupled_unscaled"
    ]
    assert report.found is not None and not report.found.torchs


@pytest.mark.parametrize("name", [n for n in CLAMPED if hasattr(torch.optim, n)])
def test_of_what_torch_s_classes_take_nothing_is_called_ignored(name: str) -> None:
    """Some of it makes no difference beside other values: nesterov beside dampening, clamps, t0."""
    assert not Asked(black_box(getattr(torch.optim, name), {}, {})).ignores(RULES[name])


@pytest.mark.slow
def test_a_rule_of_one_s_own_need_not_be_known() -> None:
    def signs(params: Any, grads: Any, state: Any, lr: Any) -> Any:
        return [w - lr * np.sign(g) * abs(g) ** 0.25 for w, g in zip(params, grads, strict=True)]

    (sentence,) = oracles.check(signs, "SGD", dtypes=[]).faults()
    assert sentence.startswith("signs follows no known rule")
    report = oracles.check(signs, "SGD", dtypes=[], not_promised=["rule"])
    assert report.ok
    assert not report.follows
    assert report.outcome("rule") == (None, "not promised")


@pytest.mark.slow
def test_a_bound_without_a_figure_is_no_success() -> None:
    report = oracles.check(adam, "Adam", dtypes=["bfloat16"], within=1)
    assert report.faults() == ["there is no figure that the bound of 1 radii can hold"]


def test_what_is_not_a_number_is_infinitely_far() -> None:
    def step(params: Any, grads: Any, state: Any, lr: Any) -> Any:
        good = [w - lr * g for w, g in zip(params, grads, strict=True)]
        return [w if w.dtype == np.float64 else w * np.nan for w in good]

    report = oracles.check(step, "SGD", dtypes=["float64", "float32"], within=1)
    assert [a.radii <= 1 for a in report.accuracies] == [True, False]
    assert [a.dtype for a in report.too_far] == ["float32"]
    assert report.to_json()["accuracy"][1]["radii"] is None


def test_as_torch_asks_for_states_as_well() -> None:
    """In the short profile, on what torch's own class is asked."""
    report = oracles.check(Clean, "SGD", as_torch=True)
    told = {line.name: line for line in report.as_torch}
    assert told["SGD: agreement"].word is Word.KEPT
    assert "keeps more state than the rule" in told["SGD: nothing else changes"].why
    assert not report.ok
    with pytest.raises(ValueError, match="as_torch=True asks a class of optimizers"):
        oracles.check(adam, as_torch=True)


def test_a_fault_that_many_questions_meet_is_told_once() -> None:
    """What is new about one of them is told, and all that is known is in the JSON."""
    values, raises = {"agreement, foreach": "is 1 off"}, {"raised X": "raised X at step 2"}
    asked = {"agreement": values, "closure": values, "pickle": values | raises, "order": raises}
    lines = tuple(
        Line(name, Word.BROKEN, why="is off", faults=faults) for name, faults in asked.items()
    )
    report = Report("x", as_torch=lines)
    assert report.faults()[-2:] == [
        "agreement: is 1 off (and 1 further promise breaks in the same way)",
        "pickle: raised X at step 2 (and 1 further promise breaks in the same way)",
    ]
    assert {one["name"]: one["faults"] for one in report.to_json()["as_torch"]} == asked
    found: Any = "x follows SGD"
    assert str(dataclasses.replace(report, found=found)) == (
        "x follows SGD; breaks: agreement, pickle and 2 more alike"
    )


def test_a_call_that_is_off() -> None:
    with pytest.raises(ValueError, match="rule='Lion' is not known; allowed: SGD"):
        oracles.check(adam, "Lion")
    with pytest.raises(ValueError, match="dtypes='int8' is not known; allowed: float64"):
        oracles.check(adam, dtypes=["int8"])
    with pytest.raises(ValueError, match="within=-1 must be a finite number above 0, or None"):
        oracles.check(adam, within=-1)
    with pytest.raises(ValueError, match="give one of them"):
        oracles.check(Clean, as_torch=True, time_limit=3)
    with pytest.raises(ValueError, match=r"all dtypes: no names$"):
        oracles.check(Clean, as_torch=True, names={"momentum": "mu"})
    with pytest.raises(ValueError, match=r"all dtypes: no fixed$"):
        oracles.check(Clean, as_torch=True, fixed={"mu": 0.5})
    with pytest.raises(ValueError, match=r"all dtypes: no dtypes$"):
        oracles.check(Clean, as_torch=True, dtypes=["float32"])
    with pytest.raises(ValueError, match="rule=SGD, a rule of one's own, and time_limit=3"):
        oracles.check(adam, dataclasses.replace(RULES["SGD"]), time_limit=3)
    with pytest.raises(ValueError, match=r"within=1 bounds errors, and dtypes=\[\] measures none"):
        oracles.check(adam, dtypes=[], within=1)
    with pytest.raises(TypeError, match="subject=3 cannot be asked; allowed"):
        oracles.check(3)
    made = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    for ask in (oracles.check, oracles.identify):
        with pytest.raises(TypeError, match=r"made already; allowed: the class, SGD, or a"):
            ask(made)


def test_a_claim_is_of_all_that_is_asked() -> None:
    """Code that follows it except somewhere, or with a hyperparameter that it does not know."""
    report = oracles.check(batch_scaled, "SGD's batch_scaled", dtypes=[])
    found = report.found
    assert found and report.follows
    somewhere = dataclasses.replace(found, exceptions=(Exceptional("for the bias", found.fits[0]),))
    assert not dataclasses.replace(report, found=somewhere).follows


def test_torchs_own_rule_has_no_exceptions() -> None:
    def step(params: Any, grads: Any, state: Any, lr: Any) -> Any:
        return [w - lr * g for w, g in zip(params, grads, strict=True)]

    found = oracles.identify(step)
    assert found.torchs
    assert not dataclasses.replace(found, ignores=frozenset({"lr"})).torchs
    assert not dataclasses.replace(found, exceptions=(Exceptional("late", found.fits[0]),)).torchs


KEPT = (Line("pickle", Word.KEPT),)


class Fast(Clean):
    """Calls its learning rate otherwise."""

    def __init__(self, params: Any, speed: float = 1e-3) -> None:
        super().__init__(params, speed)


def test_who_has_no_learning_rate_by_a_usual_name_is_told_how_to_say_it() -> None:
    report = oracles.check(Fast, dtypes=[])
    assert "which argument it is, by names={'lr': 'OWN'}" in str(report)
    report = oracles.check(Fast, "SGD", names={"lr": "speed"}, dtypes=[])
    assert report.follows


def test_a_rule_that_is_broken_in_one_dtype_is_no_figure() -> None:
    report = oracles.check(DecaysWhole, "SGD")
    assert [a.dtype for a in report.left] == ["float16"]
    (fault,) = report.faults()
    assert fault.startswith("in float16 it does not follow SGD's coupled_unscaled: off by ")
    assert report.outcome("accuracy: float16")[0] is False
    assert str(report).startswith(
        "DecaysWhole follows SGD's coupled_unscaled in float64, float32, bfloat16; float64 within "
    )
    assert f"in float16 it does not ({report.left[0].radii:.2g} radii)" in str(report)
    assert report.to_json()["accuracy"][-1]["left"]


@pytest.mark.slow
def test_a_late_parameter_in_a_group_that_counts_for_all_is_told() -> None:
    report = oracles.check(FoldedAdamW, "AdamW", dtypes=[])
    assert report.follows
    assert report.faults() == [f"late steps: {COUNTS}"]


def test_one_fault_in_several_dtypes_is_one_sentence() -> None:
    some = [Accuracy("float64", 1.5, 3.0, "all"), Accuracy("float32", 2.5, 3.0, "momentum=0")]
    lost = [("bfloat16", "raises KeyError"), ("float16", "raises KeyError")]
    report = Report("X", accuracies=(*some,), bound=1, failed=(*lost,), own=True, promises=KEPT)
    assert report.faults() == [
        "float64, float32 are off by up to 2.5 radii (float32, momentum=0); "
        "its author's bound is 1",
        "bfloat16, float16: raises KeyError",
    ]


def test_another_timing_is_a_fault_that_is_said() -> None:
    found = identify_schedule(lambda t, base, gamma: base * gamma ** (t + 1))
    told = str(ScheduleReport("Mine", "ExponentialLR", found, KEPT)).splitlines()
    assert told[1:] == ["promises: 1 kept", f"FAILED    {found}"]


nameless = functools.partial(Clean)


@pytest.mark.parametrize("name", ["nameless", "Clean"])
def test_what_is_asked_by_its_place_is_called_as_it_is_there(name: str) -> None:
    assert Inquiry(f"{__name__}:{name}").named().name == name
