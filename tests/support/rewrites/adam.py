"""Adam, AdamW and SparseAdam, written in other ways.

Symbols: w parameter, g gradient, d what the moments see, m and v the moments, cᵢ = 1 − βᵢᵗ, γ lr,
ε eps, λ weight decay. A text serves Adam and AdamW; without torch's switch, decay is decoupled.
"""

from __future__ import annotations

import numpy as np

from tests.support.rewrites.record import (
    EXACT,
    Array,
    Hyper,
    Kept,
    One,
    Rewrite,
    Rounding,
    Scalar,
    counted,
    form,
    in_scalars,
    root,
    rounded,
    signed,
    whole,
    zeros,
)

Moments = tuple[int, Array, Array]
"""t, m and v; with AMSGrad the largest v."""


def decoupled(h: Hyper) -> bool:
    return bool(h.get("decoupled_weight_decay", True))


def descent(w: Array, g: Array, h: Hyper) -> tuple[Array, Array]:
    """w after decoupled decay, and d."""
    if decoupled(h):
        return w * (1 - h["lr"] * h["weight_decay"]), signed(g, h)
    return w, signed(g, h) + h["weight_decay"] * w


def _largest(kept: Kept, v: Array, h: Hyper) -> Array:
    if not h.get("amsgrad", False):
        return v
    kept["largest"] = np.maximum(kept.get("largest", 0 * v), v)
    return kept["largest"]


def weighted(kept: Kept, d: Array, h: Hyper) -> Moments:
    """``βm + (1−β)d``."""
    zeros(kept, d, "m", "v")
    b1, b2 = h["betas"]
    kept["m"] = b1 * kept["m"] + (1 - b1) * d
    kept["v"] = b2 * kept["v"] + (1 - b2) * d * d
    return counted(kept), kept["m"], _largest(kept, kept["v"], h)


def nudged(kept: Kept, d: Array, h: Hyper) -> Moments:
    """``m + (1−β)(d − m)``."""
    zeros(kept, d, "m", "v")
    b1, b2 = h["betas"]
    kept["m"] = kept["m"] + (1 - b1) * (d - kept["m"])
    kept["v"] = kept["v"] + (1 - b2) * (d * d - kept["v"])
    return counted(kept), kept["m"], _largest(kept, kept["v"], h)


def pulled(kept: Kept, d: Array, h: Hyper) -> Moments:
    """``d + β(m − d)``."""
    zeros(kept, d, "m", "v")
    b1, b2 = h["betas"]
    kept["m"] = d + b1 * (kept["m"] - d)
    kept["v"] = d * d + b2 * (kept["v"] - d * d)
    return counted(kept), kept["m"], _largest(kept, kept["v"], h)


def corrections(t: Scalar, h: Hyper) -> tuple[Scalar, Scalar]:
    """c₁ and c₂."""
    b1, b2 = h["betas"]
    return 1 - b1**t, 1 - b2**t


def _plain(r: Rounding) -> One:
    """torch's own order, with √v/√c₂."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        w, d = map(r.array, descent(w, g, h))
        t, m, v = weighted(kept, d, h)
        kept["m"], kept["v"] = r.array(kept["m"]), r.array(kept["v"])
        c1, c2 = corrections(r.scalar(t), h)
        denominator = np.sqrt(r.array(v)) / root(c2) + h["eps"]
        return r.array(w - (h["lr"] / c1) * r.array(m) / denominator)

    return one


def _hatted(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``m̂ = m/c₁, v̂ = v/c₂, w − γ m̂/(√v̂ + ε)``."""
    w, d = descent(w, g, h)
    t, m, v = weighted(kept, d, h)
    c1, c2 = corrections(t, h)
    return w - h["lr"] * (m / c1) / (np.sqrt(v / c2) + h["eps"])


def _folded(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w − (γ√c₂/c₁) m/(√v + ε√c₂)``."""
    w, d = descent(w, g, h)
    t, m, v = nudged(kept, d, h)
    c1, c2 = corrections(t, h)
    return w - (h["lr"] * root(c2) / c1) * m / (np.sqrt(v) + h["eps"] * root(c2))


def _pulled(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Averages seen from the gradient: ``d + β(m − d)``."""
    w, d = descent(w, g, h)
    t, m, v = pulled(kept, d, h)
    c1, c2 = corrections(t, h)
    return w - h["lr"] * ((m / c1) / (np.sqrt(v / c2) + h["eps"]))


def _inverted(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Quotients as products with reciprocals that are made first."""
    w, d = descent(w, g, h)
    t, m, v = weighted(kept, d, h)
    c1, c2 = corrections(t, h)
    inverse = 1 / (np.sqrt(v) * (1 / root(c2)) + h["eps"])
    return w - (h["lr"] * (1 / c1)) * m * inverse


def _multiplied(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """βᵗ as a product that is carried along."""
    w, d = descent(w, g, h)
    b1, b2 = h["betas"]
    _, m, v = weighted(kept, d, h)
    kept["b1t"], kept["b2t"] = kept.get("b1t", 1) * b1, kept.get("b2t", 1) * b2
    rate = h["lr"] * root(1 - kept["b2t"]) / (1 - kept["b1t"])
    return w - rate * m / (np.sqrt(v) + h["eps"] * root(1 - kept["b2t"]))


def _joined(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Decay and move in one expression, the decay not applied before: ``(1 − γλ)w − γu``."""
    lr, wd = h["lr"], h["weight_decay"]
    d = signed(g, h) if decoupled(h) else signed(g, h) + wd * w
    t, m, v = weighted(kept, d, h)
    c1, c2 = corrections(t, h)
    u = m / (c1 * (np.sqrt(v / c2) + h["eps"]))
    return w * (1 - lr * wd) - lr * u if decoupled(h) else w - lr * u


def _chained(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Transformations of an update: adapt it, add the decay, scale it, add it."""
    lr, wd = h["lr"], h["weight_decay"]
    d = signed(g, h) if decoupled(h) else signed(g, h) + wd * w
    t, m, v = weighted(kept, d, h)
    c1, c2 = corrections(t, h)
    u = (m / c1) / (np.sqrt(v / c2) + h["eps"])
    u = u + wd * w if decoupled(h) else u
    return w + (-lr) * u


def _summed(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Moments as sums ``m = βm + d``, whose factor ``1 − β`` joins the correction."""
    w, d = descent(w, g, h)
    b1, b2 = h["betas"]
    zeros(kept, w, "m", "v")
    t = counted(kept)
    kept["m"] = b1 * kept["m"] + d
    kept["v"] = b2 * kept["v"] + d * d
    c1, c2 = corrections(t, h)
    v = _largest(kept, kept["v"], h) * ((1 - b2) / c2)
    return w - h["lr"] * ((1 - b1) / c1) * kept["m"] / (np.sqrt(v) + h["eps"])


def _debiased(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Corrected averages are kept: ``m̂ = β̂m̂ + (1−β̂)d`` with ``β̂ = (βᵗ − β)/(βᵗ − 1)``."""
    w, d = descent(w, g, h)
    zeros(kept, w, "m", "v")
    t = counted(kept)
    b1, b2 = ((beta**t - beta) / (beta**t - 1) for beta in h["betas"])
    kept["m"] = b1 * kept["m"] + (1 - b1) * d
    kept["v"] = b2 * kept["v"] + (1 - b2) * (d * d)
    return w - h["lr"] * kept["m"] / (np.sqrt(kept["v"]) + h["eps"])


def _of(rule: str) -> tuple[Rewrite, ...]:
    betas = ("betas",)
    return (
        form(rule, "hatted", _hatted, "Kingma & Ba, algorithm 1; optax"),
        form(rule, "corrections_folded", _folded, "section 2 of Kingma & Ba, with ε scaled"),
        form(rule, "pulled", _pulled, "interpolation from the new end"),
        form(rule, "inverted", _inverted, "kernels that avoid divisions"),
        form(rule, "products_carried", _multiplied, "TensorFlow's beta1_power", constant=betas),
        form(rule, "decay_joined", _joined, "fused loops with one store for each element"),
        form(rule, "chained", _chained, "optax: scale_by_adam, add_decayed_weights, scale"),
        form(rule, "summed", _summed, "momentum as SGD has it, undampened", constant=betas),
        form(rule, "debiased", _debiased, "optimi", lacks=("amsgrad",), constant=betas),
        whole(rule, _plain(EXACT)),
        *rounded(rule, _plain),
    )


# --- SparseAdam ---


def _stored(one: One) -> One:
    """The elements that the gradient stores, gathered, moved and put back."""

    def masked(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        zeros(kept, w, "m", "v")
        where = np.nonzero(np.ravel(g))[0]
        some = {"t": kept.get("t", 0), **{k: np.ravel(kept[k])[where] for k in ("m", "v")}}
        moved = np.ravel(w).copy()
        moved[where] = one(moved[where], np.ravel(g)[where], some, h)
        for name in ("m", "v"):
            whole = np.ravel(kept[name]).copy()
            whole[where] = some[name]
            kept[name] = whole.reshape(w.shape)
        kept["t"] = some["t"]
        return moved.reshape(w.shape)

    return masked


def _sparse_plain(r: Rounding) -> One:
    """The rate made first, ε added to the uncorrected root."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h, t = in_scalars(h, r), counted(kept)
        d, (b1, b2) = r.array(signed(g, h)), h["betas"]
        kept["m"] = r.array(kept["m"] + (1 - b1) * (d - kept["m"]))
        kept["v"] = r.array(kept["v"] + (1 - b2) * (d * d - kept["v"]))
        c1, c2 = corrections(r.scalar(t), h)
        rate = h["lr"] * root(c2) / c1
        return r.array(w - rate * (kept["m"] / (np.sqrt(kept["v"]) + h["eps"])))

    return _stored(one)


def _sparse_hatted(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Adam's own form, with ``ε/√c₂`` in the place of ε."""
    t, m, v = weighted(kept, signed(g, h), h)
    c1, c2 = corrections(t, h)
    return w - h["lr"] * (m / c1) / (np.sqrt(v / c2) + h["eps"] / root(c2))


def _sparse_inverted(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    t, m, v = pulled(kept, signed(g, h), h)
    c1, c2 = corrections(t, h)
    return w - m * (1 / (np.sqrt(v) + h["eps"])) * (h["lr"] * (root(c2) / c1))


def _sparse_multiplied(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """βᵗ by repeated multiplication from the first step on, as often as there were steps."""
    t, m, v = weighted(kept, signed(g, h), h)
    b1t, b2t = h["betas"]
    for _ in range(t - 1):
        b1t, b2t = b1t * h["betas"][0], b2t * h["betas"][1]
    return w - h["lr"] / (1 - b1t) * root(1 - b2t) * m / (np.sqrt(v) + h["eps"])


def _selected(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """All elements are computed, and those with a gradient are selected."""
    zeros(kept, w, "m", "v")
    old, t, d = dict(kept), counted(kept), signed(g, h)
    b1, b2 = h["betas"]
    stored = g != 0
    kept["m"] = np.where(stored, b1 * old["m"] + (1 - b1) * d, old["m"])
    kept["v"] = np.where(stored, b2 * old["v"] + (1 - b2) * d * d, old["v"])
    c1, c2 = corrections(t, h)
    move = (h["lr"] * root(c2) / c1) * kept["m"] / (np.sqrt(kept["v"]) + h["eps"])
    return np.where(stored, w - move, w)


def _masked(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """A mask of zeros and ones multiplies every change."""
    zeros(kept, w, "m", "v")
    t, d, mask = counted(kept), signed(g, h), np.where(g == 0, 0, 1).astype(w.dtype)
    b1, b2 = h["betas"]
    kept["m"] = kept["m"] + mask * ((1 - b1) * (d - kept["m"]))
    kept["v"] = kept["v"] + mask * ((1 - b2) * (d * d - kept["v"]))
    c1, c2 = corrections(t, h)
    return w - mask * (h["lr"] * root(c2) / c1 * (kept["m"] / (np.sqrt(kept["v"]) + h["eps"])))


SPARSE = (
    form("SparseAdam", "hatted", _stored(_sparse_hatted), "Adam's text with ε scaled"),
    form("SparseAdam", "inverted", _stored(_sparse_inverted), "kernels that avoid divisions"),
    form("SparseAdam", "products", _stored(_sparse_multiplied), "code without a power function"),
    form("SparseAdam", "selected", _selected, "dense code with where(), as in JAX"),
    form("SparseAdam", "masked", _masked, "dense code that multiplies by a mask"),
    whole("SparseAdam", _sparse_plain(EXACT)),
    *rounded("SparseAdam", _sparse_plain),
)

REWRITES = (*_of("Adam"), *_of("AdamW"), *SPARSE)
