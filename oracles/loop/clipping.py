r"""Clipping of gradients: ``clip_grad_norm_`` and its kin in ``torch.nn.utils``.

Symbols
-------
g   all gradients as one vector      gᵢ  the gradient of parameter i, of nᵢ elements, n of all
N   length of g, of order p          M   the largest length that is allowed (max_norm)
V   the largest value (clip_value)   ε   1e-6

``get_total_norm``           N = (Σ|g|ᵖ)^(1/p); for p = ∞ the largest magnitude, for −∞ the
                             smallest, for 0 how many elements are not 0
``clip_grads_with_norm_``    gᵢ = c gᵢ,  c = min(1, M/(N + ε)),  of an N that is given
``clip_grad_norm_``          both, and gives back N
``clip_grad_value_``         g = min(max(g, −V), V), element by element; a nan stays nan

A parameter without gradient has no part in it, and one that is listed twice is one parameter. A
gradient without elements adds nothing, whatever the order. Lengths of tensors are stored in their
dtype and joined in a dtype that holds them all, in which c is computed. Where N is infinite, c is 0
and so are finite gradients, while ∞ becomes nan; where N is nan, so is everything.

Where sources disagree
----------------------
* *Whose length.* Pascanu et al. (2013, arXiv:1211.5063, algorithm 1) mean the whole gradient's.
  Keras' ``clipnorm`` and ``tf.clip_by_norm`` take each variable's own, which turns g.
* *ε.* TensorFlow's and optax's clip_by_global_norm have none: M/max(N, M). With ε a gradient that
  is longer than M becomes a little shorter than M, by N's 1e-6, which float32 sees.
* *Only down.* Without the minimum a short gradient is made as long as M (normalized descent).
* *What is clipped.* In torch the gradient, so that decay, which the optimizer adds, is not; where
  decay is part of the loss or comes first in a chain of updates, it is (``clipped_step.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from oracles.loop.part import Part, Variant
from oracles.numerics import Array, Scalar, capped_quotient, entering, one, scaled, vector_norm

EPSILON = 1e-6
"""torch's ε."""

ORDER = 2
"""Of the length; torch's default."""

Arrays = Sequence[Array]
"""Gradients, one a parameter."""

Length = Callable[[Arrays, float], Scalar]
"""``(gradients, p) -> N``."""

Factor = Callable[[Scalar, Scalar, Scalar], Scalar]
"""``(N, M, ε) -> c``."""


def total_norm(gradients: Arrays, order: float) -> Scalar:
    """The length of all gradients as one vector.

    >>> float(total_norm([np.array([3.0, 0.0]), np.array(-4.0)], 2))
    5.0
    """
    norms = [vector_norm(g, order) for g in gradients if 0 not in np.shape(g)]
    return vector_norm(np.stack(norms), order or 1) if norms else 0.0  # counts are added up


def factor(norm: Scalar, max_norm: Scalar, epsilon: Scalar = EPSILON) -> Scalar:
    """What gradients of that length are multiplied with.

    >>> float(factor(0.5, 1.0)), round(float(factor(4.0, 1.0)), 4)
    (1.0, 0.25)
    """
    return capped_quotient(norm + epsilon, max_norm)


def _stretch(norm: Scalar, max_norm: Scalar, epsilon: Scalar) -> Scalar:
    """``M/(N + ε)``, as a quotient or as a product with 1/(N + ε)."""
    return scaled(max_norm, one(norm), norm + epsilon)


def _times(gradients: Arrays, c: Scalar) -> list[Array]:
    return [entering(c, g) * g for g in gradients]


def _clipped(length: Length = total_norm, c: Factor = factor) -> Callable[..., object]:
    """``(gradients, M, p, ε) -> (N, gradients)`` by all gradients' length."""

    def clip(gradients: Arrays, max_norm: Scalar, order: float, epsilon: Scalar) -> object:
        norm = length(gradients, order)
        return norm, _times(gradients, c(norm, max_norm, epsilon))

    return clip


def _bare(norm: Scalar, max_norm: Scalar, epsilon: Scalar) -> Scalar:
    return max_norm / np.maximum(norm, max_norm)


def _each(gradients: Arrays, max_norm: Scalar, order: float, epsilon: Scalar) -> object:
    factors = [_bare(total_norm([g], order), max_norm, epsilon) for g in gradients]
    clipped = [entering(c, g) * g for c, g in zip(factors, gradients, strict=True)]
    return total_norm(gradients, order), clipped


def _by_value(gradients: Arrays, max_norm: Scalar, order: float, epsilon: Scalar) -> object:
    return total_norm(gradients, order), clamped(gradients, max_norm)


def _square(gradients: Arrays, order: float) -> Scalar:
    return total_norm(gradients, order) * total_norm(gradients, order)


def _sum_of_norms(gradients: Arrays, order: float) -> Scalar:
    return np.sum(np.stack([total_norm([g], order) for g in gradients]))


def _largest_norm(gradients: Arrays, order: float) -> Scalar:
    return np.max(np.stack([total_norm([g], order) for g in gradients]))


def _mean_square(gradients: Arrays, order: float) -> Scalar:
    count = sum(int(np.prod(np.shape(g))) for g in gradients)
    return total_norm(gradients, order) / count ** (1 / 2)


TORCH = Variant(
    name="global_norm",
    equation="c = min(1, M/(N + ε)), N of all gradients as one vector",
    source="torch.nn.utils.clip_grad_norm_; Megatron-LM, DeepSpeed",
    compute=_clipped(),
)

LENGTHS: dict[str, tuple[str, str, Length]] = {
    "squared": ("N = Σ|g|², its root forgotten", "loops by hand", _square),
    "sum_of_norms": ("N = Σ Nᵢ", "loops that add lengths of tensors up", _sum_of_norms),
    "largest_norm": ("N = max Nᵢ", "loops that log the longest tensor", _largest_norm),
    "mean_square": (
        "N = √(Σg²/n)",
        "Adafactor's clipping of updates (Shazeer & Stern 2018, section 6), threshold M",
        _mean_square,
    ),
}
"""What is taken for the length: equation and source."""

NORM = Part(
    name="clip_grad_norm_",
    symbols="g gradients, gᵢ of one parameter, N length of order p, M max_norm, ε = 1e-6, c factor",
    variants=(
        TORCH,
        Variant(
            name="each_tensor",
            equation="cᵢ = M/max(Nᵢ, M), each tensor by its own length",
            source="Keras clipnorm; tf.clip_by_norm; Paddle ClipGradByNorm",
            compute=_each,
        ),
        Variant(
            name="no_epsilon",
            equation="c = M/max(N, M)",
            source="tf.clip_by_global_norm, optax.clip_by_global_norm; Keras global_clipnorm",
            compute=_clipped(c=_bare),
        ),
        Variant(
            name="always_scaled",
            equation="c = M/(N + ε), also above 1",
            source="normalized gradient descent; loops without the comparison",
            compute=_clipped(c=_stretch),
        ),
        Variant(
            name="by_value",
            equation="g = min(max(g, −M), M)",
            source="clip_grad_value_ in its place; Keras clipvalue",
            compute=_by_value,
        ),
        *(
            Variant(name=name, equation=equation, source=source, compute=_clipped(length))
            for name, (equation, source, length) in LENGTHS.items()
        ),
    ),
)


def clipped(gradients: Arrays, max_norm: Scalar | None) -> list[Array]:
    """What ``clip_grad_norm_`` makes of them, by the length of all of them end to end.

    >>> [float(g[0]) for g in clipped([np.array([3.0]), np.array([4.0])], 10.0)]
    [3.0, 4.0]
    """
    if max_norm is None:
        return list(gradients)
    _, found = NORM.torch.compute(gradients, max_norm, ORDER, EPSILON)
    return list(found)


TOTAL = Part(
    name="get_total_norm",
    symbols="g gradients, gᵢ of one parameter, n elements, N length of order p",
    variants=(
        Variant(
            name="norm_of_all",
            equation="N = (Σ|g|ᵖ)^(1/p)",
            source="torch.nn.utils.get_total_norm; optax.global_norm for p = 2",
            compute=total_norm,
        ),
        *(
            Variant(name=name, equation=equation, source=source, compute=length)
            for name, (equation, source, length) in LENGTHS.items()
        ),
    ),
)


def _given(c: Factor) -> Callable[..., object]:
    """``(gradients, N, M, ε) -> gradients``."""
    return lambda gradients, norm, max_norm, epsilon: _times(gradients, c(norm, max_norm, epsilon))


GIVEN = Part(
    name="clip_grads_with_norm_",
    symbols="g gradients, N the length that is given, M max_norm, ε = 1e-6, c factor",
    variants=(
        Variant(
            name="given_norm",
            equation="c = min(1, M/(N + ε))",
            source="torch.nn.utils.clip_grads_with_norm_",
            compute=_given(factor),
        ),
        Variant(
            name="no_epsilon",
            equation="c = M/max(N, M)",
            source="tf.clip_by_global_norm(use_norm=N)",
            compute=_given(_bare),
        ),
        Variant(
            name="always_scaled",
            equation="c = M/(N + ε), also above 1",
            source="loops without the comparison",
            compute=_given(_stretch),
        ),
        Variant(
            name="own_norm",
            equation="N of g, and not the one that is given",
            source="clip_grad_norm_ in its place",
            compute=lambda gradients, norm, max_norm, epsilon: _times(
                gradients, factor(total_norm(gradients, 2), max_norm, epsilon)
            ),
        ),
    ),
)


def clamped(gradients: Arrays, value: Scalar) -> list[Array]:
    """Each element no farther from 0 than ``value``.

    >>> clamped([np.array([3.0, -0.5, -7.0])], 2.0)[0].tolist()
    [2.0, -0.5, -2.0]
    """
    return [np.minimum(np.maximum(g, -value), value) for g in gradients]


VALUE = Part(
    name="clip_grad_value_",
    symbols="g an element of a gradient, V clip_value",
    variants=(
        Variant(
            name="both_sides",
            equation="g = min(max(g, −V), V)",
            source="torch.nn.utils.clip_grad_value_; optax.clip; Keras clipvalue",
            compute=clamped,
        ),
        Variant(
            name="upper_only",
            equation="g = min(g, V)",
            source="loops that forget the other side",
            compute=lambda gradients, value: [np.minimum(g, value) for g in gradients],
        ),
        Variant(
            name="zeroed",
            equation="g = 0 where |g| > V",
            source="loops that drop what they meant to clip",
            compute=lambda gradients, value: [np.where(abs(g) > value, 0, g) for g in gradients],
        ),
        Variant(
            name="whole_tensor",
            equation="gᵢ = gᵢ V/max(V, max|gᵢ|)",
            source="clipping by the infinity norm of each tensor",
            compute=lambda gradients, value: [
                g if 0 in np.shape(g) else g * (value / np.maximum(np.max(abs(g)), value))
                for g in gradients
            ],
        ),
    ),
)

CLIPPING = (NORM, VALUE, TOTAL, GIVEN)
"""All that torch has."""
