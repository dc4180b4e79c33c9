"""Batch size for real: a model, a loss and a batch, from autograd to the optimizer's step.

Elsewhere gradients are supplied. Here they come from torch's autograd on linear and logistic
models, while the oracle derives them by hand and encloses them (`tests.support.models`), dot
products and sigmoid included. With c the loss' own factor, 1/m or 1, one step is

    β' = β − lr (c Σ s_i a_i + λβ)

m occurs in c and nowhere else: not in the decay, however the batch is repeated or cut in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.harness.cases.choices import VALUES
from oracles.harness.subjects.torch_optim import TorchSubject
from oracles.optimizers.sgd import RULE, Hyper
from oracles.rule import Convention, Rule
from tests.support.models import Problem, Slope, logits, moved, probabilities, squared

half = settings(max_examples=settings().max_examples // 2)
"""For questions whose first part, the step itself, has all examples to itself."""

BATCH_SCALED = RULE.convention("batch_scaled")


@pytest.fixture(scope="module")
def subjects(subjects_of: Callable[[Rule], list[TorchSubject]]) -> list[TorchSubject]:
    """Who is asked here: SGD on every chosen path, dtype and device."""
    return subjects_of(RULE)


@dataclass(frozen=True)
class Model:
    """A linear layer and a loss: torch's criterion, what comes before it, the slope by hand."""

    name: str
    criterion: Callable[..., nn.Module]
    slope: Slope
    activation: Callable[[torch.Tensor], torch.Tensor] = field(default=lambda z: z)
    binary: bool = True


LINEAR = Model("linear", nn.MSELoss, squared, binary=False)
LOGISTIC = Model("logistic", nn.BCEWithLogitsLoss, logits)
SIGMOID = Model("logistic, sigmoid then BCELoss", nn.BCELoss, probabilities, torch.sigmoid)
MODELS = (LINEAR, LOGISTIC, SIGMOID)


@dataclass(frozen=True, eq=False)
class Task:
    """One step of one model on one batch, in one dtype; β is weights, then bias."""

    model: Model
    rows: FloatArray
    targets: FloatArray
    beta: FloatArray
    h: Hyper
    reduction: str
    dtype: str

    def __repr__(self) -> str:
        m, k = self.rows.shape
        return f"Task({self.model.name}, {m=}, {k=}, {self.reduction}, {self.dtype}, {self.h})"

    def part(self, rows: slice) -> Task:
        """The same task on some of the rows."""
        return replace(self, rows=self.rows[rows], targets=self.targets[rows])

    def repeated(self, times: int) -> Task:
        """The same task with the whole batch repeated."""
        return replace(
            self,
            rows=np.tile(self.rows, (times, 1)),
            targets=np.tile(self.targets, times),
            h=self.h._replace(batch_size=self.h.batch_size * times),
        )

    @property
    def gradient(self) -> Enclosure:
        """What autograd may answer."""
        return self._problem.gradient(self.beta)

    def step(
        self, gradient: Enclosure | None = None, convention: Convention = RULE.torch
    ) -> Enclosure:
        """What the optimizer may answer, to this batch's gradient or another one."""
        gradient = self.gradient if gradient is None else gradient
        return moved(RULE, convention, self._problem.exact(self.beta), gradient, self.h)

    @property
    def _problem(self) -> Problem:
        return Problem(self.rows, self.targets, self.model.slope, self.reduction, self.dtype)


def autograd(
    pieces: Sequence[Task], shares: Sequence[float], device: str
) -> tuple[FloatArray, FloatArray]:
    """What torch leaves in ``.grad`` of weights and bias after a backward pass on each piece.

    Every piece's loss is first multiplied by its share, unless that is 1.
    """
    dtype = getattr(torch, pieces[0].dtype)

    def tensor(values: FloatArray) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    weights, bias = tensor(pieces[0].beta[None, :-1]), tensor(pieces[0].beta[-1:])
    weights.requires_grad_()
    bias.requires_grad_()
    for piece, share in zip(pieces, shares, strict=True):
        z = nn.functional.linear(tensor(piece.rows), weights, bias)[:, 0]
        loss = piece.model.criterion(reduction=piece.reduction)
        value = loss(piece.model.activation(z), tensor(piece.targets))
        (value if share == 1 else value * share).backward()
    assert weights.grad is not None
    assert bias.grad is not None
    return _read(weights.grad), _read(bias.grad)


def _read(tensor: torch.Tensor) -> FloatArray:
    return np.asarray(tensor.double().cpu().numpy())


def answers(
    subjects: list[TorchSubject], pieces: Sequence[Task], shares: Sequence[float] | None = None
) -> Iterator[tuple[TorchSubject, FloatArray]]:
    """β after autograd on the pieces and *one* step, on every path of the dtype."""
    task = pieces[0]
    shares = shares or [1.0] * len(pieces)
    cases: dict[str, Case] = {}
    for subject in (s for s in subjects if s.dtype == task.dtype):
        if subject.device not in cases:
            gradients = autograd(pieces, shares, subject.device)
            cases[subject.device] = supplied(task, *gradients)
        yield subject, subject.ask(cases[subject.device]).parameters[0]


def supplied(task: Task, weights: FloatArray, bias: FloatArray) -> Case:
    """The optimizer's part of a task as a case."""
    parameters = (
        Parameter(task.beta[None, :-1], (weights,)),
        Parameter(task.beta[-1:], (bias,)),
    )
    return Case((Group(parameters, (task.h,)),))


# --- Drawing ------------------------------------------------------------------------------------


@st.composite
def scattered(draw: st.DrawFn, *shape: int) -> FloatArray:
    """Values of the strategies' table, between -8 and 8 or ±10, from a start and an odd stride."""
    start, stride = draw(st.integers(0, 2**16 - 1)), 2 * draw(st.integers(0, 2**15 - 1)) + 1
    return VALUES[(start + stride * np.arange(np.prod(shape))) % len(VALUES)].reshape(shape)


@st.composite
def between(draw: st.DrawFn, low: float, high: float) -> float:
    """One of a thousand numbers, log-uniform."""
    return float(low * (high / low) ** (draw(st.integers(0, 999)) / 999))


def sizes(low: int, high: int) -> st.SearchStrategy[int]:
    """Batch sizes: any, and half of the time one of those people use."""
    usual = [m for m in (1, 2, 3, 16, 100, 1096, 4096) if low <= m <= high]
    return st.sampled_from(usual) | st.integers(low, high)


@st.composite
def tasks(
    draw: st.DrawFn,
    batch: tuple[int, int] = (1, 4096),
    reductions: Sequence[str] = ("mean", "sum"),
    dtypes: Sequence[str] = ("float64", "float32"),
) -> Task:
    """Models, batch sizes, features, values, lr, decay, reductions and dtypes.

    0.5 <= |β| <= 2, |y| <= 1.25, and a power of two scales the rows until |z| <= 6 + 2: there a
    stored float32 p stays so far from 1 that BCELoss keeps its gradient.
    """
    model = draw(st.sampled_from(MODELS))
    m, k = draw(sizes(*batch)), draw(st.integers(1, 8))
    sign = np.where(draw(scattered(k + 1)) < 0, -1.0, 1.0)
    beta = sign * (0.5 + np.abs(draw(scattered(k + 1))) % 1.5)
    rows = draw(scattered(m, k))
    reach = np.max(np.abs(rows) @ np.abs(beta[:-1]))
    rows = rows * 2.0 ** -np.ceil(np.log2(max(reach, 6) / 6))
    targets = draw(scattered(m)) / 8
    if model.binary:
        targets = (targets > 0).astype(np.float64)
    h = Hyper(lr=draw(between(0.01, 1)), weight_decay=draw(between(0.2, 1)), batch_size=float(m))
    reduction, dtype = draw(st.sampled_from(reductions)), draw(st.sampled_from(dtypes))
    rows, beta = round_to(dtype, rows), round_to(dtype, beta)
    return Task(model, rows, targets, beta, h, reduction, dtype)


def together(one: Enclosure, other: Enclosure) -> FloatArray:
    """Both radii: how far a value of one may be from the midpoint of the other if these agree."""
    return np.asarray(one.rad + other.rad)


# --- One step -------------------------------------------------------------------------------------


@pytest.mark.slow
@given(task=tasks())
def test_autograd_and_step_are_inside_the_enclosure(
    subjects: list[TorchSubject], task: Task
) -> None:
    """Every path, for batch sizes from 1 to 4096 and both reductions, and the gradient itself."""
    gradient = np.concatenate([g.ravel() for g in autograd([task], [1.0], "cpu")])
    assert task.gradient.contains(gradient).all()
    expected = task.step()
    assert np.isfinite(expected.rad).all()
    for subject, got in answers(subjects, [task]):
        assert expected.contains(got).all(), f"{subject}: {got} not in {expected}"


COARSE_SUMS = tasks((2, 128), ["sum"], ["float32"])
FULL = tasks((2, 4096), ["mean"]) | tasks((2, 4096), ["sum"], ["float64"])


@given(task=FULL | COARSE_SUMS)
def test_batch_scaled_decay_is_proven_to_be_another_rule(
    subjects: list[TorchSubject], task: Task
) -> None:
    """The two enclosures of the bias are disjoint, and every path is in the right one.

    By construction: the decays differ by lr λ(1 − 1/m)|β| >= lr/20, while |s| <= 2(8 + 1.25), so
    each radius of the bias is about lr γ c m 18.5 with γ = (m + 12)u, at most lr/200 for a mean in
    float32, and for a sum lr/50 if m <= 128. (For a sum of 4096 float32 terms the radius swallows
    the decay.)
    """
    right, wrong = task.step(), task.step(convention=BATCH_SCALED)
    assert np.abs(right.mid - wrong.mid)[-1] > together(right, wrong)[-1]
    for subject, got in answers(subjects, [task]):
        assert right.contains(got).all(), f"{subject}: {got} not in {right}"
        assert not wrong.contains(got).all(), f"{subject}: {got} in {wrong}"


@pytest.mark.slow
@half
@given(task=tasks((2, 4096)))
def test_the_decay_has_the_same_bits_for_every_batch_size(
    subjects: list[TorchSubject], task: Task
) -> None:
    """Rows of zeros leave the weights without gradient, so a step is their decay and no more."""
    task = replace(task, rows=np.zeros_like(task.rows))
    k = task.rows.shape[1]
    single = dict(answers(subjects, [task.part(slice(1))]))
    scaled = task.step(convention=BATCH_SCALED)
    for subject, got in answers(subjects, [task]):
        assert np.array_equal(got[:k], single[subject][:k]), subject
        assert not scaled.contains(got)[:k].any(), subject


# --- The same batch in other forms ----------------------------------------------------------------


@pytest.mark.slow
@half
@given(task=tasks((1, 512)), times=st.integers(2, 8))
def test_repeated_rows_count_in_a_sum_and_not_in_a_mean(
    subjects: list[TorchSubject], task: Task, times: int
) -> None:
    """The gradient is that of the batch itself, times the repetitions if it is a sum.

    More terms round more often, so the radius is that of the repeated batch.
    """
    factor = times if task.reduction == "sum" else 1
    expected = task.step(task.gradient * float(factor))
    repeated = task.repeated(times)
    reach = together(expected, repeated.step())
    for subject, got in answers(subjects, [repeated]):
        assert (np.abs(got - expected.mid) <= reach).all(), f"{subject}: {got} not {expected}"


@pytest.mark.slow
@half
@given(task=tasks((1, 512)))
def test_the_same_batch_twice_doubles_the_gradient_and_not_the_decay(
    subjects: list[TorchSubject], task: Task
) -> None:
    """Two backward passes, one step: β' = β − lr (2∇L + λβ)."""
    expected = task.step(task.gradient + task.gradient)
    for subject, got in answers(subjects, [task, task]):
        assert expected.contains(got).all(), f"{subject}: {got} not in {expected}"


@pytest.mark.slow
@half
@given(task=tasks((2, 1096)), data=st.data())
def test_micro_batches_add_up_and_are_decayed_once(
    subjects: list[TorchSubject], task: Task, data: Any
) -> None:
    """Pieces of any sizes; accumulated, their gradients are summed as the loss says.

    A sum over the batch is the sum over its pieces. A mean is their sum if each piece's loss is
    multiplied by its share of the rows; without that it is the sum of the pieces' own means.
    """
    m = len(task.rows)
    cuts = data.draw(st.sets(st.integers(1, m - 1), min_size=1, max_size=4))
    edges = [0, *sorted(cuts), m]
    pieces = [task.part(slice(a, b)) for a, b in pairwise(edges)]
    plain = task.step(reduce(add, (piece.gradient for piece in pieces)))
    for subject, got in answers(subjects, pieces):
        assert plain.contains(got).all(), f"{subject}: {got} not in {plain}"
    whole = task.step()
    if task.reduction == "sum":
        assert (np.abs(plain.mid - whole.mid) <= together(plain, whole)).all()
        return
    shares = [len(piece.rows) / m for piece in pieces]
    weighted = task.step(
        reduce(add, (p.gradient * Enclosure.exact(s) for p, s in zip(pieces, shares, strict=True)))
    )
    for subject, got in answers(subjects, pieces, shares):
        assert weighted.contains(got).all(), f"{subject}: {got} not in {weighted}"
        assert (np.abs(got - whole.mid) <= together(weighted, whole)).all(), subject


# --- The edge of the sigmoid ----------------------------------------------------------------------


def test_a_saturated_sigmoid_is_unknown_and_its_logit_is_not() -> None:
    """z = 20, y = 0 in float32: p is stored as 1, and BCELoss divides 1 by 1e-12, then times 0.

    The true slope is 1. The enclosure of BCELoss refuses to say anything; that of
    BCEWithLogitsLoss holds the slope.
    """
    beta, row = np.array([20.0, 0.0]), np.ones((1, 1))
    task = Task(SIGMOID, row, np.zeros(1), beta, Hyper(), "mean", "float32")
    assert task.gradient.unknown.all()
    assert [g.item() for g in autograd([task], [1.0], "cpu")] == [0.0, 0.0]
    stable = replace(task, model=LOGISTIC)
    assert not stable.gradient.unknown.any()
    assert stable.gradient.contains(np.ones(2)).all()
    assert [g.item() for g in autograd([stable], [1.0], "cpu")] == [1.0, 1.0]
