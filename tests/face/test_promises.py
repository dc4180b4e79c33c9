"""Each promise is broken by who breaks it, named, and by nobody else."""

from __future__ import annotations

import math
import os
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import oracles
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.settings import settings
from oracles.harness.promise import Line, NotAsked, Word, line
from oracles.harness.subjects.blackbox import Function
from oracles.harness.subjects.foreign import ForeignOptimizer
from oracles.harness.subjects.promises.functions import FUNCTION_PROMISES, FunctionTrial
from oracles.harness.subjects.promises.grouping import maximize, others
from oracles.harness.subjects.promises.optimizers import OPTIMIZER_PROMISES
from oracles.harness.subjects.surroundings import switches, undisturbed
from oracles.harness.subjects.trial import SHAPES, Arrangement, Trial, arranged
from oracles.optimizers.registry import RULES
from tests.support.breakers import BREAKERS, WAYS, Askew, Clean, DecaysVectors, Otherwise, Uneven
from tests.support.foreign import FOREIGN, Foreign
from tests.support.functions import adam_by
from tests.support.marks import skip_before, slow


def test_a_clean_optimizer_keeps_all() -> None:
    report = oracles.check(Clean, "SGD", dtypes=[])
    assert {line.word for line in report.promises} == {Word.KEPT}
    assert len(report.promises) == len(OPTIMIZER_PROMISES)
    assert report.ok


def test_every_promise_has_somebody_who_breaks_it() -> None:
    for breakers, promises in ((BREAKERS, OPTIMIZER_PROMISES), (FUNCTIONS, FUNCTION_PROMISES)):
        unbroken = {promise.name for promise in promises} - {*breakers}
        assert unbroken == (set() if hasattr(os, "fork") else {"one process"})


NAMED = [rule.name for rule in RULES.values() if rule.elementwise and not rule.sparse]

COUNTED = {"Adam", "AdamW", "Adamax", "NAdam", "RAdam", "ASGD"}
"""Rules that look at the number of a step, which these packages count for all parameters."""

COUNTED_APART = {"PlainAdam", "AdamWLike", "LateDecay", "BareDecay"}
"""Those of their classes that do not."""

SLOW = {"other tensors", "one process"}
"""Promises whose breakers take long in every run."""


@pytest.mark.one_in(8)
@pytest.mark.parametrize("promise", [name for name in BREAKERS if name not in SLOW])
def test_a_broken_promise_is_named_and_no_other(promise: str) -> None:
    report = oracles.check(BREAKERS[promise], "SGD", dtypes=[])
    assert [line.name for line in report.broken] == [promise]
    assert not report.ok


class Bare:
    """It has a step, and nothing else that torch's optimizers have."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        self.params, self.lr = list(params), lr

    @torch.no_grad()
    def step(self) -> None:
        for p in self.params:
            p.sub_(self.lr * p.grad)


def test_parameters_stay_themselves_in_what_has_no_groups() -> None:
    trial = Trial(ForeignOptimizer(Bare), Arrangement(SHAPES[0], {}))
    assert line(OPTIMIZER_PROMISES[0], trial, {}).word is Word.KEPT


class Ascending(Clean):
    """It maximizes where nothing is said."""

    def __init__(self, params: Any, lr: float = 0.1, maximize: bool = True) -> None:
        super().__init__(params, lr=lr, maximize=maximize)


def test_what_maximizes_by_default_is_held_to_what_minimizes() -> None:
    plain = ForeignOptimizer(Ascending)
    assert maximize(Trial(plain, arranged(plain))) == ""
    fixed = ForeignOptimizer(Ascending, fixed={"maximize": True})
    with pytest.raises(NotAsked, match="takes no maximize"):
        maximize(Trial(fixed, arranged(fixed)))


def test_settings_of_all_kinds_have_others() -> None:
    """But words have none."""
    told = [others(value) for value in ("plain", math.inf, None, 0.0, 5, True, (1, False))]
    assert told == [
        (),
        (0.01, 2.0),
        (0.01,),
        (0.01, 2.0),
        (6, 4),
        (False,),
        ((2, True), (0, True)),
    ]


@pytest.mark.parametrize(
    "promise", slow([name for name in BREAKERS if name in SLOW], "one process")
)
def test_a_promise_whose_breaker_takes_long(promise: str) -> None:
    box = ForeignOptimizer(BREAKERS[promise])
    (asked,) = (p for p in OPTIMIZER_PROMISES if p.name == promise)
    with undisturbed():
        found = line(asked, Trial(box, Arrangement(SHAPES[0], {})), {})
    assert found.word is Word.BROKEN


def test_numbers_are_those_that_were_there_before() -> None:
    """Of flushed subnormal numbers the oracles would compute others."""
    with undisturbed() as heard:
        torch.set_flush_denormal(True)
        torch.set_float32_matmul_precision("high")
        torch.autograd.set_detect_anomaly(True)
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)
        changed = heard.before.changed(switches())
    assert np.float64(1e-310) * 1 > 0
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.is_anomaly_enabled()
    assert changed == [
        "changes Python's recursion limit",
        "changes whether subnormal numbers are flushed to 0",
        "changes the precision of torch's matrix products",
        "changes whether torch looks for anomalies",
    ]


def test_warnings_in_the_place_of_errors_are_put_back() -> None:
    """An operation without a deterministic form then warns, before and after."""
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        with undisturbed():
            torch.use_deterministic_algorithms(False)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("sentence", WAYS)
def test_each_way(sentence: str) -> None:
    promise, breaker = WAYS[sentence]
    box = ForeignOptimizer(breaker)
    sgd = Candidate(RULES["SGD"])
    arrangement = Arrangement(SHAPES[0], {"mu": 0.9, "wd": 0.01})
    trial = Trial(box, arrangement, sgd, follows=lambda promise: False)
    (asked,) = (p for p in OPTIMIZER_PROMISES if p.name == promise)
    clean = Trial(ForeignOptimizer(Clean), arrangement, sgd)
    assert line(asked, clean, {}).word is Word.KEPT
    assert line(asked, trial, {}) == Line(promise, Word.BROKEN, sentence)


OF_OTHERS = [f for f in FOREIGN if f.rule in NAMED]


@pytest.mark.one_in(8)
@pytest.mark.parametrize("foreign", OF_OTHERS, ids=lambda f: f.id)
def test_optimizers_of_other_packages_keep_theirs(foreign: Foreign) -> None:
    """But that torch's schedulers look for a rate by its name, and that all count steps at once."""
    names = {k: v for k, v in foreign.names.items() if k in ("lr", "momentum", "weight_decay")}
    box = ForeignOptimizer(foreign.cls, names)
    trial = Trial(box, arranged(box), Candidate(RULES[foreign.rule]))
    known: dict[str, Line] = {}
    for promise in OPTIMIZER_PROMISES:
        known[promise.name] = line(promise, trial, known)
    broken = {name for name, told in known.items() if told.word is Word.BROKEN}
    schedulers = set() if names.get("lr", "lr") == "lr" else {"scheduler"}
    together = foreign.rule in COUNTED and foreign.cls.__name__ not in COUNTED_APART
    assert broken == schedulers | ({"late steps"} if together else set())


@pytest.mark.slow
def test_whoever_takes_sparse_gradients_only_is_given_those() -> None:
    """In all that is asked: numbers to work by hand, and promises."""
    skip_before("2.0", "products with sparse tensors had no sum")
    report = oracles.check(torch.optim.SparseAdam, "SparseAdam", dtypes=[])
    words = {line.name: line.word for line in report.promises}
    for name in ("non-contiguous gradients", "0-d parameters"):
        assert words.pop(name) is Word.NOT_ASKED
    assert {*words.values()} == {Word.KEPT}
    assert report.ok and not report.declined


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("cls", "broken"),
    [
        (Otherwise, []),
        (DecaysVectors, ["0-d parameters"]),
        (Askew, ["non-contiguous parameters"]),
        pytest.param(Uneven, ["non-contiguous gradients"], marks=pytest.mark.slow),
    ],
)
def test_what_lies_otherwise_is_held_to_the_rule(cls: type[Clean], broken: list[str]) -> None:
    """Bits are another matter."""
    report = oracles.check(cls, "SGD", dtypes=[])
    assert [line.name for line in report.promises if line.word is Word.BROKEN] == broken
    assert report.ok == (not broken)


adam = adam_by(lambda beta, t: 1 - beta**t)
"""A function that keeps every promise."""


REMEMBERED: dict[int, Any] = {}


def still(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return [params[0], params[1] - lr * grads[1]] if len(params) == 2 else params


def wild(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return [w - g / 0.0 for w, g in zip(params, grads, strict=True)]


def widening(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return [w.astype("float64") - lr * g for w, g in zip(params, grads, strict=True)]


def scaling(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    for g in grads:
        g *= lr
    return [w - g for w, g in zip(params, grads, strict=True)]


def both(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    for w, g in zip(params, grads, strict=True):
        w -= lr * g
    return [w.copy() for w in params]


def noisy(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    rate = lr * BREAKERS["deterministic"].noise.random()  # type: ignore[attr-defined]
    return [w - rate * g for w, g in zip(params, grads, strict=True)]


def averaging(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return [w - 2 * lr / len(params) * g for w, g in zip(params, grads, strict=True)]


def first_only(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    rate = 2 * lr if len(params) == 2 and params[0].ndim == 2 else lr
    return [w - rate * g for w, g in zip(params, grads, strict=True)]


def elsewhere(params: Any, grads: Any, state: Any, lr: Any, momentum: Any) -> Any:
    moved = []
    for n, (w, g) in enumerate(zip(params, grads, strict=True)):
        last = REMEMBERED.get(n) if state else None
        REMEMBERED[n] = g if last is None else momentum * last + g
        moved.append(w - lr * REMEMBERED[n])
    state["begun"] = True
    return moved


def drawing(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    random.random()
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


def switching(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    torch.set_default_dtype(torch.float64)
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


def patching(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    random.random = state.get
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


def forking(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    if not state and (other := os.fork()):
        os.waitpid(other, 0)
    state["begun"] = True
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


def two(params: Any, grads: Any, state: Any, lr: Any, wd: Any) -> Any:
    """Does not decay the third parameter."""
    decays = [wd if n < 2 else 0.0 for n in range(len(params))]
    return [w - lr * (g + d * w) for w, g, d in zip(params, grads, decays, strict=True)]


def in_place(params: Any, grads: Any, state: Any, lr: Any) -> None:
    for w, g in zip(params, grads, strict=True):
        w -= lr * g


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "moves": still,
    "finite": wild,
    "shapes and dtypes": widening,
    "gradients": scaling,
    "inputs": both,
    "deterministic": noisy,
    "independence": averaging,
    "order": first_only,
    "state": elsewhere,
    "random state": drawing,
    "global switches": switching,
    "functions of libraries": patching,
}
if hasattr(os, "fork"):
    FUNCTIONS["one process"] = forking


@pytest.mark.parametrize(("step", "rule"), [(adam, "Adam"), (in_place, "SGD")])
def test_a_clean_function_keeps_all(step: Any, rule: str) -> None:
    report = oracles.check(step, rule, dtypes=[])
    assert {promise.name: promise.word for promise in report.promises} == {
        promise.name: Word.KEPT for promise in FUNCTION_PROMISES
    }


@pytest.mark.one_in(4)
@pytest.mark.parametrize("promise", slow(FUNCTIONS, "one process"))
def test_a_function_s_broken_promise_is_named(promise: str) -> None:
    report = oracles.check(FUNCTIONS[promise], "SGD", dtypes=[])
    assert [line.name for line in report.broken] == [promise]


def fewer(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    return [params[0] - lr * grads[0]]


def emptying(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    moved = [w - lr * g for w, g in zip(params, grads, strict=True)]
    grads.clear()
    return moved


class Shared:
    """What stays the same in every copy."""

    steps = 0

    def __deepcopy__(self, memo: Any) -> Shared:
        other = type(self)()
        other.steps = -1
        return other


def uncopied(params: Any, grads: Any, state: Any, lr: Any) -> Any:
    rate = lr if state.setdefault("t", Shared()).steps == 0 else 2 * lr
    return [w - rate * g for w, g in zip(params, grads, strict=True)]


FUNCTION_WAYS: dict[str, tuple[str, Callable[..., Any]]] = {
    "returns 1 parameters for 2": ("shapes and dtypes", fewer),
    "returns float64 of shape (3,) for float32 of shape (3,)": ("shapes and dtypes", widening),
    "changes the gradients it is given, at step 1": ("gradients", emptying),
    "does not continue from copies": ("state", uncopied),
    "parameter 2 is stepped otherwise than one like it": ("independence", two),
    "steps to other bits when another run is stepped in turns": ("state", elsewhere),
}


@pytest.mark.parametrize("sentence", FUNCTION_WAYS)
def test_each_way_of_a_function(sentence: str) -> None:
    (promise, step), rule = FUNCTION_WAYS[sentence], RULES["SGD"]
    box = Function(step)
    case = next(settings(rule, box.takes(rule))).case
    trial = FunctionTrial(box, rule, case, known=True)
    (asked,) = (p for p in FUNCTION_PROMISES if p.name == promise)
    assert line(asked, trial, {}) == Line(promise, Word.BROKEN, sentence)


def test_what_is_not_promised_is_listed() -> None:
    report = oracles.check(BREAKERS["deepcopy"], "SGD", dtypes=[], not_promised=["deepcopy"])
    words = {line.name: line.word for line in report.promises}
    assert words["deepcopy"] is Word.NOT_PROMISED
    assert words["pickle"] is Word.NOT_ASKED
    assert report.ok
    with pytest.raises(ValueError, match="not_promised='depcopy' is no promise of this code"):
        oracles.check(Clean, "SGD", not_promised=["depcopy"])


def test_one_fault_is_one_sentence() -> None:
    """Whoever is random breaks all that hangs on being the same twice, and is told so once."""
    report = oracles.check(BREAKERS["deterministic"], "SGD", dtypes=[])
    (sentence,) = (s for s in report.faults() if s.startswith("deterministic"))
    hanging = sum(line.why == "deterministic is broken" for line in report.promises)
    assert hanging > 10
    assert sentence == (
        "deterministic: two runs on the same numbers give other bits "
        f"(so that {hanging} others were not asked)"
    )
