r"""Averages of a model's parameters: ``torch.optim.swa_utils.AveragedModel`` and its functions.

Symbols
-------
w₀  the parameters of which the average was built     wₖ  those at the k-th update
aₖ  the average after the k-th update                 β   decay, for an exponential average

equal          a₁ = w₁,  aₖ = aₖ₋₁ + (wₖ − aₖ₋₁)/k           = (w₁ + ... + wₖ)/k
exponential    a₁ = w₁,  aₖ = βaₖ₋₁ + (1−β)wₖ

The average is built as a copy of w₀, and its first update copies w₁ over that, so that w₀ has no
part in it; ``n_averaged`` counts the updates. torch passes n = k − 1 to its functions, whose own
formula is then 1/(n+1). Buffers are averaged in the same way, or copied at each update.

Where sources disagree
----------------------
* *The start.* Most averages by hand, timm's among them, count the copy as the first model and move
  from it at once. optax and Adam start at 0, and divide by 1 − βᵏ, or do not.
* *The weight.* TensorFlow's, timm's and diffusers' averages grow into β: min(β, (1+k)/(10+k)).
* *The direction.* A momentum of 0.01 in batch normalization is a decay of 0.99 here.
* *The moment.* An update before the optimizer's step averages the parameters of the step before.

Equal averages: Polyak & Juditsky 1992; Izmailov et al. 2018 (arXiv:1803.05407, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from oracles.loop.part import Part, Variant
from oracles.numerics import Array, Scalar, lerp, one, share, zeros_like

Points = Sequence[Array]
"""w₀, w₁, ..., wₖ."""

Weight = Callable[[int, Scalar], Scalar]
"""``(k, β) -> what wₖ weighs``, at the k-th update of the average, from 1 on."""


def followed(start: Array, points: Points, weight: Weight, beta: Scalar) -> Iterator[Array]:
    """``aₖ = aₖ₋₁ + weight (wₖ − aₖ₋₁)`` from a start.

    >>> list(followed(0.0, [4.0, 8.0], lambda k, beta: 1 - beta, 0.5))
    [2.0, 5.0]
    """
    for k, point in enumerate(points, start=1):
        start = lerp(start, point, weight(k, beta))
        yield start


def _copied(weight: Weight) -> Callable[[Points, Scalar], list[Array]]:
    """a₁ = w₁."""
    return lambda points, beta: [
        points[1],
        *followed(points[1], points[2:], lambda k, b: weight(k + 1, b), beta),
    ]


def _started(weight: Weight) -> Callable[[Points, Scalar], list[Array]]:
    """a₀ = w₀."""
    return lambda points, beta: [*followed(points[0], points[1:], weight, beta)]


def _decayed(k: int, beta: Scalar) -> Scalar:
    return 1 - beta


def _warmed(k: int, beta: Scalar) -> Scalar:
    """1 − min(β, (1+k)/(10+k))."""
    return 1 - np.minimum(share(1 + k, 10 + k, beta), beta)


def _from_zero(points: Points, beta: Scalar) -> list[Array]:
    return [*followed(zeros_like(points[0]), points[1:], _decayed, beta)]


def _debiased(points: Points, beta: Scalar) -> list[Array]:
    return [a / (1 - beta**k) for k, a in enumerate(_from_zero(points, beta), start=1)]


def _before_the_step(compute: Callable[[Points, Scalar], list[Array]]) -> Callable[..., object]:
    """Each update sees the parameters as they were before the step that it follows."""
    return lambda points, beta: compute([points[0], *points[:-1]], beta)


EQUALLY = Variant(
    name="equal",
    equation="aₖ = aₖ₋₁ + (wₖ − aₖ₋₁)/k",
    source="torch.optim.swa_utils.AveragedModel, get_swa_avg_fn, get_swa_multi_avg_fn",
    compute=_copied(lambda k, beta: share(1, k, beta)),
)

EXPONENTIALLY = Variant(
    name="exponential",
    equation="a₁ = w₁, aₖ = βaₖ₋₁ + (1−β)wₖ",
    source="torch.optim.swa_utils.get_ema_avg_fn, get_ema_multi_avg_fn",
    compute=_copied(_decayed),
)

OF_EQUAL = (
    EQUALLY,
    Variant(
        name="start_counted",
        equation="aₖ = (w₀ + ... + wₖ)/(k+1)",
        source="averages that count the copy they were built as",
        compute=_started(lambda k, beta: share(1, k + 1, beta)),
    ),
    Variant(
        name="first_twice",
        equation="aₖ = (2w₁ + w₂ + ... + wₖ)/(k+1)",
        source="a copy at the first update that is counted as well",
        compute=_copied(lambda k, beta: share(1, k + 1, beta)),
    ),
    Variant(
        name="first_forgotten",
        equation="aₖ = (w₂ + ... + wₖ)/(k−1)",
        source="1/n in place of 1/(n+1)",
        compute=_copied(lambda k, beta: share(1, k - 1, beta)),
    ),
    Variant(
        name="polynomial",
        equation="aₖ = aₖ₋₁ + (wₖ − aₖ₋₁)·4/(k+3)",
        source="polynomial-decay averaging, η = 3 (Shamir & Zhang 2013, arXiv:1212.1824)",
        compute=_copied(lambda k, beta: share(4, k + 3, beta)),
    ),
    Variant(
        name="halved",
        equation="aₖ = (aₖ₋₁ + wₖ)/2",
        source="loops that average the average with the newest model",
        compute=_copied(lambda k, beta: share(1, 2, beta)),
    ),
    Variant(
        name="latest",
        equation="aₖ = wₖ",
        source="a copy in place of an average",
        compute=_copied(lambda k, beta: one(beta)),
    ),
    Variant(
        name="before_the_step",
        equation="aₖ = (w₀ + ... + wₖ₋₁)/k",
        source="loops that update the average before the optimizer's step",
        compute=_before_the_step(EQUALLY.compute),
    ),
)

OF_EXPONENTIAL = (
    EXPONENTIALLY,
    Variant(
        name="from_the_copy",
        equation="a₀ = w₀, aₖ = βaₖ₋₁ + (1−β)wₖ",
        source="timm ModelEmaV2 and most averages by hand",
        compute=_started(_decayed),
    ),
    Variant(
        name="from_zero",
        equation="a₀ = 0, aₖ = βaₖ₋₁ + (1−β)wₖ",
        source="optax.ema(debias=False)",
        compute=_from_zero,
    ),
    Variant(
        name="debiased",
        equation="a₀ = 0, aₖ = βaₖ₋₁ + (1−β)wₖ, divided by 1 − βᵏ when it is read",
        source="optax.ema; tf.train.ExponentialMovingAverage(zero_debias=True)",
        compute=_debiased,
    ),
    Variant(
        name="swapped",
        equation="aₖ = (1−β)aₖ₋₁ + βwₖ",
        source="the momentum of batch normalization taken for a decay",
        compute=_copied(lambda k, beta: beta),
    ),
    Variant(
        name="warmed_up",
        equation="a₀ = w₀, aₖ = βₖaₖ₋₁ + (1−βₖ)wₖ, βₖ = min(β, (1+k)/(10+k))",
        source="tf.train.ExponentialMovingAverage(num_updates=k); timm, diffusers in variations",
        compute=_started(_warmed),
    ),
    Variant(
        name="before_the_step",
        equation="a₁ = w₀, aₖ = βaₖ₋₁ + (1−β)wₖ₋₁",
        source="loops that update the average before the optimizer's step",
        compute=_before_the_step(EXPONENTIALLY.compute),
    ),
)

SYMBOLS = "wₖ parameters at update k, w₀ those it was built of, aₖ average, β decay"

EQUAL = {
    name: Part(name=name, symbols=SYMBOLS, variants=OF_EQUAL)
    for name in ("AveragedModel", "get_swa_avg_fn", "get_swa_multi_avg_fn")
}

EXPONENTIAL = {
    name: Part(name=name, symbols=SYMBOLS, variants=OF_EXPONENTIAL)
    for name in ("get_ema_avg_fn", "get_ema_multi_avg_fn")
}

PARTS = (*EQUAL.values(), *EXPONENTIAL.values())
"""All that torch has."""
