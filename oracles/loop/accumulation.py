r"""Accumulation: several backward passes, then one step.

Symbols
-------
B_i  micro-batch i of a window, n_i rows (or tokens) of it, N = Σ n_i of the window
L_i  loss of a micro-batch, the mean or the sum over its rows        c_i  what L_i is multiplied by
k    micro-batches that a window is meant to have; the last one of an epoch may have fewer
G    what has been accumulated       λ  weight decay       t  number of steps

One window (torch's documentation, "Automatic Mixed Precision examples", gradient accumulation)
----------------------------------------------------------------------------------------------
1.  G = 0                      zero_grad, once
2.  G = G + ∇(c_i L_i)         a backward pass for each micro-batch
3.  G = G min(1, c/(|G|+ε))    if somebody clips: once, what has been accumulated
4.  one step on G: t = t + 1, decay and momentum once

    c_i = n_i/N for means, 1 for sums:   Σ c_i ∇L_i  is the gradient of the same loss over N rows

Where all n_i are equal and the window is whole, n_i/N = 1/k, by which documentation divides.
In all other cases 1/k is a mean of means, in which a row of a small micro-batch weighs more; where
rows are tokens and micro-batches are padded, the n_i are hardly ever equal. (transformers#24725,
torchtune#1875; transformers' Trainer divided so until 4.46.)

Weight decay is not part of a loss: it is neither divided nor multiplied by any of these counts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from oracles.drawing import Hyper
from oracles.loop.clipping import clipped
from oracles.loop.part import Part, Variant
from oracles.numerics import Array, Scalar
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

Gradients = Sequence[Array]
"""By parameter."""


@dataclass(frozen=True)
class Micro:
    """A micro-batch.

    Attributes:
        gradient: of its loss times a factor, at the point where the loop stands when it is called.
        rows: n_i, a number that a quotient of two of them stays exact in, if anything is.
    """

    gradient: Callable[[Scalar], Gradients]
    rows: Scalar


@dataclass(frozen=True)
class Move:
    """One step of an optimizer.

    Attributes:
        gradients: what it steps on.
        decays: how often its weight decay is applied.
        counts: how many steps it takes it for.
    """

    gradients: Gradients
    decays: Scalar = 1
    counts: int = 1


@dataclass(frozen=True)
class Setting:
    """What holds for a loop.

    Attributes:
        reduction: ``"mean"`` or ``"sum"``, of each L_i.
        k: micro-batches that a window is meant to have.
        clip: the largest norm, or None.
    """

    reduction: str
    k: int
    clip: Scalar | None = None


Steps = Generator[Move, None, Gradients | None]
"""The steps of a window, each to be made before the next is asked for; and what is left in G."""

Weights = Callable[[Sequence[Micro], Setting], list[Scalar]]


def weights(window: Sequence[Micro], s: Setting) -> list[Scalar]:
    """c_i, so that all rows of the window count alike.

    >>> weights([Micro(None, 1), Micro(None, 3)], Setting("mean", k=2))
    [0.25, 0.75]
    """
    total = sum(m.rows for m in window)
    return [m.rows / total if s.reduction == "mean" else 1 for m in window]


def _undivided(window: Sequence[Micro], s: Setting) -> list[Scalar]:
    return [1 for _ in window]


def _divided_again(window: Sequence[Micro], s: Setting) -> list[Scalar]:
    return [c / s.k for c in weights(window, s)]


def _mean_of_means(window: Sequence[Micro], s: Setting) -> list[Scalar]:
    own = _one(window)
    return [own / len(window) for _ in window]


def _by_the_plan(window: Sequence[Micro], s: Setting) -> list[Scalar]:
    own = _one(window)
    return [own / s.k for _ in window]


def _one(window: Sequence[Micro]) -> Scalar:
    """1, as a number of the arithmetic that rows are of."""
    return window[0].rows / window[0].rows


def plus(one: Gradients | None, other: Gradients) -> Gradients:
    """G + g, where there may be no G."""
    return other if one is None else [a + b for a, b in zip(one, other, strict=True)]


def accumulated(
    window: Sequence[Micro], factors: Sequence[Scalar], left: Gradients | None = None
) -> Gradients:
    """G + Σ ∇(c_i L_i), in the order of the micro-batches."""
    total = left
    for m, c in zip(window, factors, strict=True):
        total = plus(total, m.gradient(c))
    assert total is not None
    return total


def step(
    window: Sequence[Micro],
    left: Gradients | None,
    s: Setting,
    *,
    weighted: Weights = weights,
    decays: Callable[[int], Scalar] = lambda n: 1,
    counts: Callable[[int], int] = lambda n: 1,
) -> Steps:
    """What torch does with a window, and what differs from it in a factor.

    Args:
        window: its micro-batches.
        left: what was in G before; not looked at, since G is cleared.
        s: what holds for the loop.
        weighted: c_i.
        decays, counts: of the step, by the number of micro-batches.
    """
    total = accumulated(window, weighted(window, s))
    yield Move(clipped(total, s.clip), decays(len(window)), counts(len(window)))
    return None


def _each(window: Sequence[Micro], left: Gradients | None, s: Setting) -> Steps:
    for m, c in zip(window, weights(window, s), strict=True):
        yield Move(clipped(m.gradient(c), s.clip))
    return None


def _last_only(window: Sequence[Micro], left: Gradients | None, s: Setting) -> Steps:
    found: list[Gradients] = [
        m.gradient(c) for m, c in zip(window, weights(window, s), strict=True)
    ]
    yield Move(clipped(found[-1], s.clip))
    return None


def _carried(window: Sequence[Micro], left: Gradients | None, s: Setting) -> Steps:
    total = clipped(accumulated(window, weights(window, s), left), s.clip)
    yield Move(total)
    return total


def _cut_early(window: Sequence[Micro], left: Gradients | None, s: Setting) -> Steps:
    c = weights(window, s)
    yield Move(clipped(accumulated(window[:1], c[:1], left), s.clip))
    return accumulated(window[1:], c[1:]) if len(window) > 1 else None


def _rest_dropped(window: Sequence[Micro], left: Gradients | None, s: Setting) -> Steps:
    if len(window) == s.k:
        yield from step(window, left, s)
    return None


def _rest_left(window: Sequence[Micro], left: Gradients | None, s: Setting) -> Steps:
    total = accumulated(window, weights(window, s), left)
    if len(window) < s.k:
        return total
    yield Move(clipped(total, s.clip))
    return None


def _clipped_each(window: Sequence[Micro], left: Gradients | None, s: Setting) -> Steps:
    total: Gradients | None = None
    for m, c in zip(window, weights(window, s), strict=True):
        total = plus(total, clipped(m.gradient(c), s.clip))
    assert total is not None
    yield Move(total)
    return None


def _clipped_running(window: Sequence[Micro], left: Gradients | None, s: Setting) -> Steps:
    total: Gradients | None = None
    for m, c in zip(window, weights(window, s), strict=True):
        total = clipped(plus(total, m.gradient(c)), s.clip)
    assert total is not None
    yield Move(total)
    return None


FACTORS = (
    Variant(
        name="undivided",
        equation="c_i = 1 for means",
        source="a loop that accumulates and does not divide",
        compute=partial(step, weighted=_undivided),
    ),
    Variant(
        name="divided_twice",
        equation="c_i = n_i/(N k)",
        source="a loss that is divided by hand, and by a library (Accelerate's backward) again",
        compute=partial(step, weighted=_divided_again),
    ),
    Variant(
        name="mean_of_means",
        equation="c_i = 1/(micro-batches of this window), whatever the n_i are",
        source="Trainer of transformers before 4.46, most loops written by hand",
        compute=partial(step, weighted=_mean_of_means),
    ),
    Variant(
        name="divided_by_the_plan",
        equation="c_i = 1/k in a window that has fewer than k, too",
        source="loss / accumulation_steps with a short last window",
        compute=partial(step, weighted=_by_the_plan),
    ),
)
"""What else a loss may be multiplied by."""

COUNTS = (
    Variant(
        name="decayed_each",
        equation="λk in the place of λ",
        source="a penalty in the loss of each micro-batch that nobody divides; decay in a loop of "
        "its own",
        compute=partial(step, decays=lambda n: n),
    ),
    Variant(
        name="decay_divided",
        equation="λ/k in the place of λ",
        source="a decay that is divided with the losses",
        compute=partial(step, decays=lambda n: Fraction(1, n)),
    ),
    Variant(
        name="counted_each",
        equation="t = t + k",
        source="bias corrections that count micro-batches",
        compute=partial(step, counts=lambda n: n),
    ),
)
"""What else may be counted."""

ORDERS = (
    Variant(
        name="stepped_each",
        equation="a step on ∇(c_i L_i) for each micro-batch",
        source="optimizer.step() inside the inner loop; an optimizer in backward, by design",
        compute=_each,
    ),
    Variant(
        name="last_only",
        equation="G = ∇(c_k L_k)",
        source="zero_grad inside the inner loop",
        compute=_last_only,
    ),
    Variant(
        name="carried",
        equation="G is never cleared",
        source="zero_grad forgotten",
        compute=_carried,
    ),
    Variant(
        name="cut_early",
        equation="the step comes after the first micro-batch of each window",
        source="if i % k == 0 in the place of (i + 1) % k == 0, i counted from 0",
        compute=_cut_early,
    ),
    Variant(
        name="rest_dropped",
        equation="no step on a window of fewer than k",
        source="a last window that is cleared without a step",
        compute=_rest_dropped,
    ),
    Variant(
        name="rest_left",
        equation="no step on a window of fewer than k, whose G goes into the next one",
        source="if (i + 1) % k == 0 with nothing after the epoch",
        compute=_rest_left,
    ),
    Variant(
        name="clipped_each",
        equation="G = Σ of clipped ∇(c_i L_i)",
        source="per-micro-batch clipping, as DP-SGD has it",
        compute=_clipped_each,
    ),
    Variant(
        name="clipped_running",
        equation="G is clipped after each micro-batch",
        source="clip_grad_norm_ after each backward",
        compute=_clipped_running,
    ),
)
"""When else somebody may clear, clip and step."""

PART = Part(
    name="backward",
    symbols="G accumulated gradient, L_i loss of a micro-batch of n_i rows, N rows of a window, "
    "k micro-batches of a whole window, c_i what L_i is multiplied by, λ weight decay, t steps",
    variants=(
        Variant(
            name="torch",
            equation="G = Σ ∇(c_i L_i), c_i = n_i/N for means and 1 for sums, cleared, clipped and "
            "stepped on once a window",
            source="torch.autograd; Automatic Mixed Precision examples, gradient accumulation",
            compute=step,
        ),
        *FACTORS,
        *COUNTS,
        *ORDERS,
    ),
)

OWNERS: dict[str, tuple[Rule, Hyper]] = {
    name: (RULES[name], RULES[name].hyper(**given))
    for name, given in (
        ("SGD", {"lr": 0.25, "momentum": 0.5, "weight_decay": 0.5}),
        ("Adam", {"lr": 0.25, "weight_decay": 0.5, "eps": 0.5}),
    )
}
"""Optimizers whose steps show what was accumulated: one goes by its size, and one counts."""
