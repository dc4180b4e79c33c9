"""identify names what a training loop minimizes and by which rule, and never what it does not."""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

import oracles
from oracles.fitting import identify_fit
from oracles.harness.evidence.fits.answer import BY_CHANCE, IN_ORDER, FitIdentification
from oracles.harness.evidence.fits.conclusion import order
from oracles.harness.evidence.fits.hunt import Hunt
from oracles.harness.evidence.fits.search import evidences
from oracles.harness.evidence.fits.settings import settings
from oracles.harness.oracle import Margin
from oracles.harness.subjects.fits.fit import Call, Fit
from oracles.harness.subjects.fits.forms import Form
from oracles.harness.subjects.subject import SubjectError
from oracles.optimizers.registry import RULES
from oracles.reports.identification import render
from tests.support.fits import (
    OTHERS,
    PLANTED,
    REWRITES,
    Planted,
    Written,
    adagrad_of_another,
    adamw_off_by_a_line,
    answer,
    closed_form,
    coordinate_descent,
    course,
    implicit_in_float32,
    lasso,
    newton,
    plus_and_minus,
    question,
    shuffled_off,
    slowing,
)
from tests.support.marks import slow


def account(found: str) -> str:
    """What is said of a loop first: without its name and without other readings."""
    return found.partition(" minimizes ")[2].partition("; the same as ")[0]


@pytest.mark.one_in(8)
@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.expected[:60])
def test_a_planted_loop_is_named(planted: Planted) -> None:
    assert account(str(identify_fit(Fit(planted.fit())))) == planted.expected


def _name(written: Written) -> str:
    return str(written.fit.__name__)


LONG = (
    *("adam_by_hand", "rmsprop_by_hand", "adagrad_by_hand"),
    *("looking_ahead", "summed_with_a_decay_of_its_own"),
)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("written", slow(REWRITES, *LONG, by=_name), ids=_name)
def test_whoever_writes_it_otherwise(written: Written) -> None:
    found = identify_fit(Fit(written.fit, values=written.values))
    assert account(str(found)) == written.expected


DEAR = (
    *(adagrad_of_another, adamw_off_by_a_line, closed_form, coordinate_descent),
    *(implicit_in_float32, newton, slowing),
)


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "other",
    slow(OTHERS, *DEAR),
    ids=lambda other: other.__name__,
)
def test_what_is_no_such_loop_is_not_named(other: Any) -> None:
    found = identify_fit(Fit(other))
    assert not found.fits, str(found)
    assert "follows no known account of a linear model" in str(found)
    assert {*found.remarks()} <= {IN_ORDER}


def asked(fit: Any, **more: Any) -> FitIdentification:
    return identify_fit(Fit(fit, **more))


def test_torch_s_own_numbers_for_it() -> None:
    """As the published answer says: λ is divided by m there; torch's is not."""
    found = asked(question)
    assert [str(loop.candidate) for loop in found.fits] == ["SGD's batch_scaled"]
    assert [(str(c.loss), str(c.candidate), c.lr, c.weight_decay) for c in found.also] == [
        ("the mean logistic loss", "SGD's coupled_unscaled", "", "/m")
    ]
    assert not found.torchs
    assert asked(answer).torchs


def test_a_sum_is_a_mean_at_another_rate() -> None:
    summed = Planted("", "linear", 1, "sum", bias=False, returns="weights").fit()
    (also,) = asked(summed).also
    assert (also.loss.reduction, also.lr, also.weight_decay) == ("mean", "·m", "/m")


def test_decay_times_m_at_a_rate_over_m_is_torch_s() -> None:
    """−(γ/m)(Σ + λmw): what cancels is no convention."""

    def fit(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
        w = np.zeros(X.shape[1])
        for _ in range(epochs):
            w = w - lr / len(y) * (X.T @ (X @ w - y) + lam * len(y) * w)
        return w

    assert str(asked(fit)) == "fit minimizes half the mean squared error by SGD's coupled_unscaled"


def test_numbers_to_work_by_hand() -> None:
    """w = 0, b = 0, σ = 1/2: slopes 1/2 and −1/2, so w = −γ(1/2 − 1)/2 = 1/8 after one epoch."""
    example = asked(question).example
    assert example is not None
    assert (dict(example.given), example.epoch) == ({"lr": 0.5, "weight_decay": 0.5}, 2)
    w, b = 1 / 8, 0.0
    s1, s2 = 1 / (1 + math.exp(-w - b)), 1 / (1 + math.exp(-2 * w - b)) - 1
    scaled, plain = ((s1 + 2 * s2 + 0.5 * w) / 2, (s1 + 2 * s2) / 2 + 0.5 * w)
    got, torchs = example.got[0], example.torchs[0]  # the weight; then the bias
    assert f"{got:.9f} {torchs:.9f}" == f"{w - 0.5 * scaled:.9f} {w - 0.5 * plain:.9f}"
    assert "by hand: x = 1 and 2 with labels 0 and 1, lr = 0.5, weight_decay = 0.5" in str(example)


def rprop(X: Any, y: Any, lr: float, etaminus: float, etaplus: float, epochs: int) -> Any:
    """Only the signs of its gradients matter, and it has no decay."""
    w, step = np.zeros(X.shape[1]), np.full(X.shape[1], lr)
    before = 0 * w
    for _ in range(epochs):
        g = X.T @ (X @ w - y)
        turned = np.sign(g * before)
        factor = np.where(turned > 0, etaplus, np.where(turned < 0, etaminus, 1))
        step = np.clip(step * factor, 1e-6, 50)
        before = np.where(turned < 0, 0, g)
        w = w - step * np.sign(before)
    return w


@pytest.mark.slow
def test_a_rule_that_hardly_sees_the_scale_of_a_loss() -> None:
    """The simplest one is named, and the others beside it."""
    found = asked(rprop)
    assert account(str(found)) == "the mean squared error by Rprop's irprop_minus"
    assert found.torchs and not found.also
    assert found.untold[0] == (
        "the same rule on the sum of squared errors, or half the mean squared error, or half the "
        "sum of squared errors leads to the same"
    )


@pytest.mark.slow
def test_what_is_told_beside() -> None:
    found = asked(shuffled_off, values={"momentum": 0.9})
    assert found.remarks()[0].startswith("lr_in_velocity (v = μv + (1−τ)γd, w = w − v) is the same")
    plain = Planted("", momentum="torch").fit()
    assert any(line.startswith("lr_in_velocity") for line in asked(plain).untold)
    assert (
        "it takes no weight_decay: what it would do with one is not known" in asked(course).untold
    )
    assert asked(plus_and_minus).form == "labels -1 and 1"


REPORTS = Path(oracles.__file__).parent / "reports"

SCHEMA = json.loads((REPORTS / "identification.schema.json").read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "loop", slow([question, answer, course, lasso], lasso), ids=lambda loop: loop.__name__
)
def test_a_plain_record_of_it(loop: Any) -> None:
    told = json.loads(json.dumps(oracles.identify(loop).to_json()))
    jsonschema.validate(told, SCHEMA)
    assert [c["name"] for c in told["fits"]] == [str(c.candidate) for c in asked(loop).fits]
    assert told["summary"] == str(asked(loop))


def test_identify_takes_loops() -> None:
    """The face, with names, further arguments and numbers of one's own; and what is printed."""

    def fit(X: Any, y: Any, speed: float, rounds: int, penalty: Any = None) -> Any:
        w = np.zeros(X.shape[1])
        for _ in range(rounds):
            w = w - speed * (X.T @ (X @ w - y) + 0.5 * w) / len(y)
        return w

    names, values = {"lr": "speed", "epochs": "rounds"}, {"weight_decay": 0.5}
    found = oracles.identify(fit, names=names, fixed={"penalty": None}, values=values)
    assert [str(c) for c in found.fits] == ["SGD's batch_scaled"]
    assert not found.torchs
    assert oracles.identify(answer, ["SGD"]).torchs
    assert "by hand: x = 1 and 2" in render(oracles.identify(question))
    unasked = oracles.identify(fit)
    assert not unasked.fits
    assert str(unasked).startswith("fit cannot be asked: fit takes no number of epochs")


def test_rows_in_another_order_show_in_batches_only() -> None:
    def fit(X: Any, y: Any, lr: float, epochs: int, batch_size: int) -> Any:
        w, order = np.zeros(X.shape[1]), np.random.default_rng(1)
        for _ in range(epochs):
            rows = order.permutation(len(y))
            for i in range(0, len(y), batch_size):
                some = rows[i : i + batch_size]
                w = w - lr * X[some].T @ (X[some] @ w - y[some]) / len(some)
        return w

    found = asked(fit)
    assert "this holds on all rows at once; in batches it follows no known account" in str(found)
    assert not found.torchs


WHOLE: list[Any] = [slice(None)]


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        (lambda n: [], ""),
        (lambda n: np.random.default_rng().integers(n, size=(n // 9, 1)), BY_CHANCE),
        (lambda n: np.arange(n)[:, None], IN_ORDER),
    ],
    ids=["all at once", "by chance", "one by one"],
)
def test_of_what_follows_nothing_it_is_said_whether_rows_may_be_why(
    batches: Any, said: str
) -> None:
    def fit(X: Any, y: Any, lr: float, epochs: int) -> Any:
        w = np.zeros(X.shape[1])
        for _ in range(epochs):
            for i in [*WHOLE, *batches(len(y))]:
                w = w - lr * np.sin(X[i].T @ (X[i] @ w - y[i]))
        return w

    box, rule = Fit(fit), RULES["SGD"]
    (evidence, *_) = evidences(box, rule)
    assert order(Hunt(evidence, rule, settings(rule, box))) == said


def test_a_start_that_cannot_be_seen_is_assumed() -> None:
    def fit(X: Any, y: Any, lr: float, epochs: int) -> Any:
        if not (lr and epochs):
            raise ValueError("nothing to do")
        w = np.zeros(X.shape[1])
        for _ in range(epochs):
            w = w - lr * X.T @ (X @ w - y) / len(y)
        return w

    found = asked(fit)
    assert found.fits
    assert found.untold[-1].endswith("that it starts at 0 is assumed")


def test_so_is_that_of_a_bias() -> None:
    def fit(X: Any, y: Any, lr: float, epochs: int) -> Any:
        if not (lr and epochs):
            raise ValueError("nothing to do")
        w, b = np.zeros(X.shape[1]), 0.0
        for _ in range(epochs):
            off = X @ w + b - y
            w, b = w - lr * X.T @ off / len(y), b - lr * off.mean()
        return w, b

    assert asked(fit).fits


def test_a_bias_that_is_not_returned() -> None:
    """What it does to the weights shows."""

    def fit(X: Any, y: Any, lr: float, wd: float, epochs: int) -> Any:
        w, b = 0 * X[0], 0.0
        for _ in range(epochs):
            off = X @ w + b - y
            w, b = w - lr * (X.T @ off / len(y) + wd * w), b - lr * off.mean()
        return w

    found = identify_fit(Fit(fit))
    said = "half the mean squared error by SGD's coupled_unscaled; the bias is not decayed"
    assert account(str(found)) == said
    assert "it has a bias that it does not return, and that starts at 0" in found.remarks()


@pytest.mark.parametrize("refusal", [ValueError, None])
def test_a_start_is_seen_where_nothing_moves(refusal: type[Exception] | None) -> None:
    """At a rate of 0 the decay would still move it; no epochs give nothing, or no number."""

    def fit(X: Any, y: Any, lr: float, wd: float, epochs: int) -> Any:
        if not epochs and refusal:
            raise refusal("nothing to do")
        w = np.full(X.shape[1], 0.25)
        for _ in range(epochs):
            w = w * (1 - wd) - lr * X.T @ (X @ w - y) / len(y)
        return w if epochs else w * np.nan

    found = asked(fit)
    assert str(found).startswith("fit minimizes half the mean squared error by SGD's decoupled")
    assert not any("assumed" in line for line in found.untold)


def test_where_a_rate_is_written_in_the_code_one_epoch_is_no_start() -> None:
    def fit(X: Any, y: Any, wd: float, epochs: int) -> Any:
        if not epochs:
            raise ValueError("nothing to do")
        w = np.zeros(X.shape[1])
        for _ in range(epochs):
            w = w - 0.05 * (X.T @ (X @ w - y) / len(y) + wd * w)
        return w

    found = asked(fit, values={"lr": 0.05})
    assert account(str(found)).startswith("half the mean squared error by SGD's coupled_unscaled")
    assert found.untold[-1].endswith("that it starts at 0 is assumed")


@pytest.mark.slow
def test_a_number_written_in_the_code() -> None:
    def fit(X: Any, y: Any, epochs: int) -> Any:
        w = np.zeros(X.shape[1])
        for _ in range(epochs):
            w = w - 0.05 * (X.T @ (X @ w - y) + 0.1 * w) / len(y)
        return w

    with pytest.raises(SubjectError, match=r"fit takes no learning rate.*values=\{'lr'"):
        asked(fit)
    found = asked(fit, values={"lr": 0.05, "weight_decay": 0.1})
    assert account(str(found)) == "half the mean squared error by SGD's batch_scaled"
    assert str(asked(fit, values={"lr": 0.05})) == str(found)


@pytest.mark.slow
def test_names_of_its_own() -> None:
    def fit(X: Any, y: Any, speed: float, shrink: float = 0.5, rounds: int = 3) -> Any:
        w = np.zeros(X.shape[1])
        for _ in range(rounds):
            w = w - speed * (X.T @ (X @ w - y) / len(y) + shrink * w)
        return w

    names = {"lr": "speed", "epochs": "rounds"}
    found = asked(fit, names={**names, "weight_decay": "shrink"})
    assert found.torchs
    assert str(asked(fit, names=names)).endswith("what shrink may mean is not known")
    assert asked(fit, names=names, fixed={"shrink": 0.0}).torchs
    with pytest.raises(SubjectError, match=r"fit takes no number of epochs.*names=\{'epochs'"):
        asked(fit)


@pytest.mark.slow
def test_what_cannot_be_asked_says_why() -> None:
    def broken(X: Any, y: Any, lr: float, epochs: int) -> Any:
        raise RuntimeError("not today")

    def needs(X: Any, y: Any, activation: Any, lr: float, epochs: int) -> Any: ...

    def still(X: Any, y: Any, lr: float, epochs: int) -> Any:
        return np.ones(X.shape[1])

    def in_two(X: Any, y: Any, lr: float, epochs: int) -> Any:
        return np.full((X.shape[1], 2), epochs + y @ y)  # which raises for labels as a column

    def in_turn(X: Any, y: Any, lr: float, epochs: int) -> Any:
        yield np.full(X.shape[1], epochs)

    def noisy(X: Any, y: Any, lr: float, epochs: int) -> Any:
        return np.random.default_rng().normal(size=X.shape[1])

    for fit, reason in (
        (broken, "RuntimeError: not today"),
        (needs, "needs needs activation, which is not known"),
        (in_two, r"returns weights of shape \(3, 2\) .for 3 numbers a row"),
        (
            still,
            "still gives no weights that another epoch moves .for 3 numbers a row: 3, or 4 with a "
            "bias.; does it stop early, or return its best ones?",
        ),
        (in_turn, "in_turn is a generator, which trains as far as somebody goes through it"),
        (noisy, "noisy is random: two calls that are the same differ before the first epoch"),
    ):
        with pytest.raises(SubjectError, match=reason):
            asked(fit)


def test_an_early_end_is_put_off() -> None:
    def impatient(
        X: Any, y: Any, lr: float, epochs: int, patience: int = 2, early_stopping: bool = True
    ) -> Any:
        w, best, waited = np.zeros(X.shape[1]), np.inf, 0
        for _ in range(epochs):
            off = X @ w - y
            better = off @ off < 0.9 * best
            best, waited = min(best, off @ off), 0 if better else waited + 1
            if waited >= patience or (early_stopping and not better):
                break
            w = w - lr * X.T @ off / len(y)
        return w

    assert str(oracles.identify(impatient, ["SGD"])) == (
        "impatient minimizes half the mean squared error by SGD's coupled_unscaled"
    )


def test_what_draws_in_its_epochs_is_told_from_what_draws_where_it_starts() -> None:
    def jumping(X: Any, y: Any, lr: float, epochs: int) -> Any:
        return epochs * np.random.default_rng().uniform(size=X.shape[1])

    with pytest.raises(SubjectError, match="those for no epochs do not: it draws in its epochs"):
        Fit(jumping).readings(Call(Form(), 7, 7, 1, (("lr", 0.1),)))


def test_the_world_is_left_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    def fit(X: Any, y: Any, lr: float, epochs: int) -> Any:
        print("epoch")
        os.environ["PLANTED"] = "by a loop"
        w = np.random.normal(size=X.shape[1]) + torch.rand(1).item() + random.random()  # noqa: NPY002
        for _ in range(epochs):
            w -= lr * X.T @ (X @ w - y) / len(y)
        X[:], y[:] = 0, 0
        return w

    before = repr(np.random.get_state()), random.getstate(), torch.get_rng_state()  # noqa: NPY002
    assert asked(fit).torchs
    after = repr(np.random.get_state()), random.getstate(), torch.get_rng_state()  # noqa: NPY002
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    assert capsys.readouterr().out == ""
    assert "PLANTED" not in os.environ


@pytest.mark.slow
@pytest.mark.parametrize("number", slow([0, 3, 10, 24, 27], 3, 24))
def test_it_is_margins_that_decide(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What plain float64 spares them changes no answer, however little that is."""
    planted = PLANTED[number]
    expected = asked(planted.fit())
    monkeypatch.setattr("oracles.harness.evidence.fits.evidence.NEAR", 0.3)
    found = asked(planted.fit())
    assert account(str(found)) == planted.expected
    assert str(found) == str(expected)


def test_a_margin_that_holds_anything_proves_nothing() -> None:
    box, rule = Fit(answer), RULES["SGD"]
    (evidence, *_) = evidences(box, rule)
    hunt = Hunt(evidence, rule, settings(rule, box))
    (loop,) = hunt.proven(hunt.accounts())
    assert hunt.speaks(loop, Margin(16))
    wide = Margin(10**13)
    assert all(evidence.within(loop, wide, setting)[0] for setting in hunt.full)
    assert not hunt.speaks(loop, wide)


# --- what shows in other numbers, or in the end ---


def stepping(
    move: Callable[..., Any], stops: Callable[[float, float], bool] = lambda loss, before: False
) -> Callable[..., Any]:
    """A loop on half a mean of squares that moves by what is made of its numbers."""

    def fit(X: Any, y: Any, lr: float, wd: float, epochs: int) -> Any:
        w, before = np.zeros(X.shape[1]), math.inf
        for epoch in range(epochs):
            off = X @ w - y
            loss = off @ off / len(y) / 2
            if stops(loss, before):
                break
            w, before = w - move(X.T @ off / len(y), w, lr, wd, len(y), epoch), loss
        return w

    return fit


def test_such_a_loop_is_torchs_and_it_is_told_where_that_was_seen() -> None:
    found = oracles.identify(stepping(lambda g, w, lr, wd, m, epoch: lr * (g + wd * w)))
    assert found.torchs and found.loop is not None and (seen := found.loop.seen) is not None
    assert (seen.hyper["lr"], seen.rows, seen.epochs) == ((1e-4, 1.0), (2, 1000), 60)
    assert seen.hyper["weight_decay"] == (0.0, 4.0) and seen.gradients > 5
    assert f"seen with {seen}" in render(found, width=1000)
    assert found.to_json()["loop"]["seen"]["hyper"] == seen.hyper


FAR: dict[str, tuple[Any, str]] = {
    "no rate is above a tenth": (
        stepping(lambda g, w, lr, wd, m, epoch: min(lr, 0.1) * (g + wd * w)),
        "lr=1, weight_decay=1e-06 over 5 epochs",
    ),
    "no gradient is longer than 1": (
        stepping(lambda g, w, lr, wd, m, epoch: lr * (g / max(1, np.linalg.norm(g)) + wd * w)),
        "lr=1, weight_decay=1e-06 over 5 epochs",
    ),
    "no decay is above 1": (
        stepping(lambda g, w, lr, wd, m, epoch: lr * (g + min(wd, 1) * w)),
        "lr=0.02, weight_decay=4 over 5 epochs",
    ),
    "no rate is below a thousandth": (
        stepping(lambda g, w, lr, wd, m, epoch: max(lr, 1e-3) * (g + wd * w)),
        "lr=0.0001, weight_decay=0.9 over 5 epochs",
    ),
    "the rate is halved in the end": (
        stepping(lambda g, w, lr, wd, m, epoch: lr / (1 + (epoch > 4)) * (g + wd * w)),
        "lr=0.02, weight_decay=0.9 over 60 epochs",
    ),
    "it ends where a loss stays": (
        stepping(
            lambda g, w, lr, wd, m, epoch: lr * (g + wd * w),
            lambda loss, before: abs(loss - before) < 1e-4,
        ),
        "lr=0.02, weight_decay=0.9 over 60 epochs",
    ),
}


@pytest.mark.parametrize("what", FAR)
def test_what_is_another_far_off_is_not_named(what: str) -> None:
    fit, where = FAR[what]
    found = asked(fit)
    assert not (found.fits or found.torchs or found.example)
    assert f"but with {where} nothing known holds" in str(found)


def test_numbers_by_hand_agree_with_what_is_said() -> None:
    """What is shown to be worked by hand was asked as well."""

    def fit(X: Any, y: Any, lr: float, wd: float, epochs: int) -> Any:
        w = np.zeros(X.shape[1])
        for _ in range(epochs):
            w = w - (0.1 if lr == 0.5 else lr) * (X.T @ (X @ w - y) / len(y) + wd * w)
        return w

    found = asked(fit)
    assert not found.fits
    assert "but with numbers by hand nothing known holds" in str(found)


def test_many_rows_may_be_something_else() -> None:
    over = stepping(lambda g, w, lr, wd, m, epoch: lr * (g + wd / (m if m > 200 else 1) * w))
    found = asked(over)
    assert not found.torchs and found.seen is not None
    assert "this holds on few rows; on 1,000 it follows no known account" in str(found)
    assert found.seen.rows[1] < 1000
