"""Adamax, NAdam and RAdam, written in other ways.

Symbols: those of Adam; u the infinity norm; μₜ the momentum of a step and Π their product; ρ the
length of the average behind v, ρ∞ its limit and r the rectification.
"""

from __future__ import annotations

import numpy as np

from oracles.optimizers.nadam import falling
from tests.support.rewrites.adam import corrections, decoupled, descent, nudged, pulled, weighted
from tests.support.rewrites.record import (
    EXACT,
    Array,
    Hyper,
    Kept,
    One,
    Rounding,
    Scalar,
    counted,
    coupled,
    form,
    in_scalars,
    root,
    rounded,
    signed,
    whole,
    zeros,
)

# --- Adamax ---


def _adamax(r: Rounding) -> One:
    """``w − (γ/c₁) m/u``."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        zeros(kept, w, "m", "u")
        (b1, b2), d, t = h["betas"], r.array(coupled(w, g, h)), r.scalar(counted(kept))
        kept["m"] = r.array(b1 * kept["m"] + (1 - b1) * d)
        kept["u"] = r.array(np.maximum(b2 * kept["u"], abs(d) + h["eps"]))
        return r.array(w - (h["lr"] / (1 - b1**t)) * kept["m"] / kept["u"])

    return one


def _averaged(w: Array, g: Array, kept: Kept, h: Hyper) -> tuple[Array, Array]:
    """c₁-corrected m, and what the norm is asked to hold."""
    zeros(kept, w, "m", "u")
    d, b1 = coupled(w, g, h), h["betas"][0]
    kept["m"] = kept["m"] + (1 - b1) * (d - kept["m"])
    return kept["m"] / (1 - b1 ** counted(kept)), abs(d) + h["eps"]


def _hatted_norm(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w − γ (m/c₁)/u``."""
    mean, size = _averaged(w, g, kept, h)
    kept["u"] = np.maximum(h["betas"][1] * kept["u"], size)
    return w - h["lr"] * mean / kept["u"]


def _stacked(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The largest along a new axis."""
    mean, size = _averaged(w, g, kept, h)
    kept["u"] = np.max(np.stack([h["betas"][1] * kept["u"], size]), axis=0)
    return w - h["lr"] * (mean / kept["u"])


def _compared(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """A comparison in place of the maximum, and the reciprocal of u."""
    mean, size = _averaged(w, g, kept, h)
    faded = h["betas"][1] * kept["u"]
    kept["u"] = np.where(faded > size, faded, size)
    return w - (h["lr"] * mean) * (1 / kept["u"])


def _rectified_norm(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``max(a, b) = a + max(b − a, 0)``."""
    mean, size = _averaged(w, g, kept, h)
    kept["u"] = size + np.maximum(h["betas"][1] * kept["u"] - size, 0 * size)
    return w - h["lr"] * mean / kept["u"]


def _adamax_multiplied(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """β₁ᵗ as a product that is carried along, m as a sum without its factor 1 − β₁."""
    zeros(kept, w, "m", "u")
    (b1, b2), d = h["betas"], coupled(w, g, h)
    kept["b1t"] = kept.get("b1t", 1) * b1
    kept["m"] = b1 * kept["m"] + d
    kept["u"] = np.maximum(b2 * kept["u"], abs(d) + h["eps"])
    return w - h["lr"] * (1 - b1) / (1 - kept["b1t"]) * kept["m"] / kept["u"]


ADAMAX = (
    form("Adamax", "hatted", _hatted_norm, "Kingma & Ba, algorithm 2, with ε where torch has it"),
    form("Adamax", "stacked", _stacked, "torch 1: cat and amax"),
    form("Adamax", "compared", _compared, "kernels that select"),
    form("Adamax", "rectified", _rectified_norm, "graphs that have relu and no maximum"),
    form(
        "Adamax", "products_carried", _adamax_multiplied, "Paddle's beta1_pow", constant=("betas",)
    ),
    whole("Adamax", _adamax(EXACT)),
    *rounded("Adamax", _adamax),
)

# --- NAdam ---


def _momentum(t: Scalar, h: Hyper) -> Scalar:
    return h["betas"][0] * (1 - falling(t * h["momentum_decay"]) / 2)


def _ahead(kept: Kept, t: Scalar, h: Hyper) -> tuple[Scalar, Scalar]:
    """What d and m are multiplied by, next to γ."""
    mu, following = _momentum(t, h), _momentum(t + 1, h)
    kept["product"] = kept.get("product", 1) * mu
    return (1 - mu) / (1 - kept["product"]), following / (1 - kept["product"] * following)


def _nadam(r: Rounding) -> One:
    """Two quotients with a denominator in common."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        w, d = map(r.array, descent(w, g, h))
        t, m, v = weighted(kept, d, h)
        kept["m"], kept["v"] = m, v = r.array(m), r.array(v)
        t = r.scalar(t)
        now, ahead = map(r.scalar, _ahead(kept, t, h))
        denominator = np.sqrt(v) / root(corrections(t, h)[1]) + h["eps"]
        return r.array(w - (h["lr"] * now) * d / denominator - (h["lr"] * ahead) * m / denominator)

    return one


def _one_quotient(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w − γ (a d + b m)/D``."""
    w, d = descent(w, g, h)
    t, m, v = nudged(kept, d, h)
    now, ahead = _ahead(kept, t, h)
    return w - h["lr"] * (now * d + ahead * m) / (np.sqrt(v / corrections(t, h)[1]) + h["eps"])


def _nadam_folded(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """√c₂ in the rate, and in ε."""
    w, d = descent(w, g, h)
    t, m, v = weighted(kept, d, h)
    now, ahead = _ahead(kept, t, h)
    c = root(corrections(t, h)[1])
    inverse = h["lr"] * c / (np.sqrt(v) + h["eps"] * c)
    return w - inverse * (now * d) - inverse * (ahead * m)


def _nadam_chained(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The update by itself, the decay added to it."""
    lr, wd = h["lr"], h["weight_decay"]
    d = signed(g, h) if decoupled(h) else signed(g, h) + wd * w
    t, m, v = pulled(kept, d, h)
    now, ahead = _ahead(kept, t, h)
    u = (now * d + ahead * m) * (1 / (np.sqrt(v / corrections(t, h)[1]) + h["eps"]))
    return w - lr * (u + wd * w) if decoupled(h) else w - lr * u


def _following_kept(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """μₜ₊₁ and Πμₜ₊₁ are kept for the next step, where they are μₜ and Π; so is 0.96^(tψ)."""
    w, d = descent(w, g, h)
    b1, factor = h["betas"][0], falling(h["momentum_decay"])
    if "power" not in kept:
        kept["power"] = factor
        kept["mu"] = kept["product"] = b1 * (1 - factor / 2)
    t, m, v = weighted(kept, d, h)
    mu, product = kept["mu"], kept["product"]
    kept["power"] = kept["power"] * factor
    kept["mu"] = b1 * (1 - kept["power"] / 2)
    kept["product"] = product * kept["mu"]
    u = (1 - mu) / (1 - product) * d + kept["mu"] / (1 - kept["product"]) * m
    return w - h["lr"] * u / (np.sqrt(v / corrections(t, h)[1]) + h["eps"])


def _product_remade(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Π is made of all its factors at every step."""
    w, d = descent(w, g, h)
    t, m, v = weighted(kept, d, h)
    product = 1
    for i in range(1, t + 1):
        product = product * _momentum(i, h)
    mu, following = _momentum(t, h), _momentum(t + 1, h)
    root_v = np.sqrt(v / corrections(t, h)[1]) + h["eps"]
    w = w - h["lr"] * (1 - mu) / (1 - product) * (d / root_v)
    return w - h["lr"] * following / (1 - product * following) * (m / root_v)


NADAM = (
    form("NAdam", "one_quotient", _one_quotient, "Keras: m_bar over one root"),
    form("NAdam", "corrections_folded", _nadam_folded, "code that scales ε and the rate by √c₂"),
    form("NAdam", "chained", _nadam_chained, "update functions, as in optax"),
    form(
        "NAdam",
        "following_kept",
        _following_kept,
        "Dozat's schedule carried along, as Keras carries its product",
        constant=("betas", "momentum_decay"),
    ),
    form(
        "NAdam",
        "product_remade",
        _product_remade,
        "code without state beside the moments and t",
        constant=("betas", "momentum_decay"),
    ),
    whole("NAdam", _nadam(EXACT)),
    *rounded("NAdam", _nadam),
)

# --- RAdam ---

THRESHOLD = 5


def _lengths(t: Scalar, h: Hyper) -> tuple[Scalar, Scalar]:
    """ρ and ρ∞."""
    b2 = h["betas"][1]
    limit = 2 / (1 - b2) - 1
    return limit - 2 * t * b2**t / (1 - b2**t), limit


def _rectification(length: Scalar, limit: Scalar) -> Scalar:
    return root((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length))


def _radam(r: Rounding) -> One:
    """``w − (γ/c₁ r√c₂) m/(√v + ε)``."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        w, d = map(r.array, descent(w, g, h))
        t, m, v = weighted(kept, d, h)
        kept["m"], kept["v"] = m, v = r.array(m), r.array(v)
        t = r.scalar(t)
        c1, c2 = corrections(t, h)
        length, limit = _lengths(t, h)
        if length <= THRESHOLD:
            return r.array(w - h["lr"] / c1 * m)
        rate = h["lr"] / c1 * (_rectification(length, limit) * root(c2))
        return r.array(w - rate * m / (np.sqrt(v) + h["eps"]))

    return one


def _authors(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """One root over everything without dimension."""
    w, d = descent(w, g, h)
    t, m, v = weighted(kept, d, h)
    c1, c2 = corrections(t, h)
    n, most = _lengths(t, h)
    if n <= THRESHOLD:
        return w - (h["lr"] * (1 / c1)) * m
    size = root(c2 * (n - 4) / (most - 4) * (n - 2) / n * most / (most - 2)) / c1
    return w - (h["lr"] * size) * m / (np.sqrt(v) + h["eps"])


def _separate_roots(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``m/c₁ · (√c₂/(√v + ε)) · √a/√b``, and ``ρ∞ = (1+β₂)/(1−β₂)``."""
    w, d = descent(w, g, h)
    t, m, v = nudged(kept, d, h)
    (c1, c2), b2 = corrections(t, h), h["betas"][1]
    most = (1 + b2) / (1 - b2)
    n = most - 2 * t * (1 - c2) / c2
    mean = m / c1
    if n <= THRESHOLD:
        return w - h["lr"] * mean
    above, below = (n - 4) * (n - 2) * most, (most - 4) * (most - 2) * n
    return w - h["lr"] * mean * (root(c2) / (np.sqrt(v) + h["eps"])) * (root(above) / root(below))


def _radam_hatted(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``γ r m̂/(√v̂ + ε/√c₂)``."""
    w, d = descent(w, g, h)
    t, m, v = pulled(kept, d, h)
    c1, c2 = corrections(t, h)
    length, limit = _lengths(t, h)
    if length <= THRESHOLD:
        return w - h["lr"] * (m / c1)
    denominator = np.sqrt(v / c2) + h["eps"] / root(c2)
    return w - h["lr"] * _rectification(length, limit) * (m / c1) / denominator


def _without_branch(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w − a m/(√v + ε) − bm``, one of a and b being 0."""
    w, d = descent(w, g, h)
    t, m, v = weighted(kept, d, h)
    c1, c2 = corrections(t, h)
    length, limit = _lengths(t, h)
    rate = h["lr"] / c1
    long = length > THRESHOLD
    a = rate * root(c2) * _rectification(length, limit) if long else 0
    b = 0 if long else rate
    return w - a * m / (np.sqrt(v) + h["eps"]) - b * m


def _radam_chained(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The update by itself, the decay added to it; βᵗ as products that are carried along."""
    lr, wd = h["lr"], h["weight_decay"]
    d = signed(g, h) if decoupled(h) else signed(g, h) + wd * w
    b1, b2 = h["betas"]
    t, m, v = weighted(kept, d, h)
    kept["b1t"], kept["b2t"] = kept.get("b1t", 1) * b1, kept.get("b2t", 1) * b2
    c1, c2 = 1 - kept["b1t"], 1 - kept["b2t"]
    limit = 2 / (1 - b2) - 1
    length = limit - 2 * t * kept["b2t"] / c2
    u = m / c1
    if length > THRESHOLD:
        u = u * _rectification(length, limit) / (np.sqrt(v) + h["eps"]) * root(c2)
    return w - lr * (u + wd * w) if decoupled(h) else w - lr * u


RADAM = (
    form("RAdam", "authors", _authors, "github.com/LiyuanLucasLiu/RAdam, from ρ > 5 on"),
    form("RAdam", "separate_roots", _separate_roots, "optax: sqrt(a / b) taken apart"),
    form("RAdam", "hatted", _radam_hatted, "algorithm 2 of the paper, with ε scaled"),
    form("RAdam", "without_branch", _without_branch, "code for many tensors at once"),
    form("RAdam", "chained", _radam_chained, "update functions, as in optax", constant=("betas",)),
    whole("RAdam", _radam(EXACT)),
    *rounded("RAdam", _radam),
)

REWRITES = (*ADAMAX, *NADAM, *RADAM)
