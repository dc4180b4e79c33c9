"""Adafactor and Muon, written in other ways.

Symbols: w parameter, R and C row and column means of g², V estimate of g², u update, α step size;
b momentum buffer, X orthogonal factor, a b₃ b₅ coefficients, r ratio of the rate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.support.rewrites.record import (
    Array,
    Hyper,
    Kept,
    One,
    Rounding,
    Scalar,
    counted,
    form,
    in_scalars,
    root,
    rounded,
    signed,
)

# --- Adafactor ---


def _rms(x: Array) -> Scalar:
    """√mean(x²) of all elements."""
    return np.sqrt(np.sum(x * x) / x.size)


def _floor(w: Array, h: Hyper) -> Scalar:
    """ε₁, which is the resolution of w's format unless given."""
    if h["eps"][0] is not None:
        return h["eps"][0]
    return float(np.finfo(w.dtype if w.dtype.kind == "f" else np.float64).eps)


def _alpha(w: Array, t: Scalar, h: Hyper) -> Scalar:
    """α = max(ε₂, RMS(w)) min(γ, 1/√t)."""
    return max(h["eps"][1], _rms(w)) * min(h["lr"], 1 / root(t))


def _count(kept: Kept, h: Hyper) -> Scalar:
    """The number of gradients seen, as a number of the arithmetic in use: its root is taken."""
    return type(h["lr"])(counted(kept))


def _mean(x: Array, axis: int) -> Array:
    return np.sum(x, axis=axis, keepdims=True) / x.shape[axis]


def _remembered(kept: Kept, name: str, new: Array, fresh: Scalar) -> Array:
    """``old + (1−β₂)(new − old)``."""
    old = kept.get(name, 0 * new)
    kept[name] = old + fresh * (new - old)
    return kept[name]


def _averages(kept: Kept, g: Array, t: Scalar, h: Hyper) -> tuple[Array, Array]:
    """R and C."""
    fresh = t ** h["beta2_decay"]
    return (
        _remembered(kept, "R", _mean(g * g, -1), fresh),
        _remembered(kept, "C", _mean(g * g, -2), fresh),
    )


def _shrunk(w: Array, h: Hyper) -> Array:
    return w * (1 - h["lr"] * h["weight_decay"])


def _adafactor(r: Rounding) -> One:
    """V with its floor, its root, the clipped update."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        g, t, floor = r.array(signed(g, h)), r.scalar(_count(kept, h)), r.scalar(_floor(w, h))
        alpha, w = _alpha(w, t, h), _shrunk(w, h)
        v = np.maximum(_estimate(kept, g, t, h, floor), floor * floor)
        u = r.array(g / np.sqrt(v))
        return r.array(w - alpha / max(1, _rms(u) / h["d"]) * u)

    return one


def _estimate(kept: Kept, g: Array, t: Scalar, h: Hyper, floor: Scalar) -> Array:
    """V without its floor."""
    if g.ndim < 2:
        return _remembered(kept, "V", g * g, t ** h["beta2_decay"])
    rows, columns = _averages(kept, g, t, h)
    return rows * columns / np.maximum(_mean(rows, -2), floor)


def _roots(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The floor applied to roots, which are taken of the factors: ``√R/√mean · √C``."""
    g, t, floor = signed(g, h), _count(kept, h), _floor(w, h)
    alpha = _alpha(w, t, h)
    if g.ndim < 2:
        scale = np.sqrt(_estimate(kept, g, t, h, floor))
    else:
        rows, columns = _averages(kept, g, t, h)
        scale = np.sqrt(rows / np.maximum(_mean(rows, -2), floor)) * np.sqrt(columns)
    u = g / np.maximum(scale, floor)
    return _shrunk(w, h) - alpha * u / max(1, _rms(u) / h["d"])


def _inverted(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The reciprocal root, and the clipping as a factor ``min(1, d/RMS(u))``."""
    g, t, floor = signed(g, h), _count(kept, h), _floor(w, h)
    alpha = _alpha(w, t, h)
    u = g * (1 / np.sqrt(np.maximum(_estimate(kept, g, t, h, floor), floor * floor)))
    size = _rms(u)
    clip = h["d"] / size if size > h["d"] else 1
    return w - h["lr"] * h["weight_decay"] * w - (alpha * clip) * u


def _outer(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """V as a matrix product of column and row."""
    g, t, floor = signed(g, h), _count(kept, h), _floor(w, h)
    alpha = _alpha(w, t, h)
    if g.ndim < 2:
        v = _estimate(kept, g, t, h, floor)
    else:
        rows, columns = _averages(kept, g, t, h)
        v = (rows / np.maximum(_mean(rows, -2), floor)) @ columns
    u = g / np.sqrt(np.maximum(v, floor * floor))
    return w * (1 - h["lr"] * h["weight_decay"]) - alpha * (u / max(1, _rms(u) / h["d"]))


def _sums(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Sums of rows and columns are averaged, ``β₂ = 1 − t^τ``, and divided by lengths later."""
    g, t, floor = signed(g, h), _count(kept, h), _floor(w, h)
    alpha, beta = _alpha(w, t, h), 1 - t ** h["beta2_decay"]

    def averaged(name: str, new: Array) -> Array:
        kept[name] = beta * kept.get(name, 0 * new) + (1 - beta) * new
        return kept[name]

    if g.ndim < 2:
        v = averaged("V", g * g)
    else:
        height, width = g.shape[-2:]
        rows = averaged("R", np.sum(g * g, axis=-1, keepdims=True))
        columns = averaged("C", np.sum(g * g, axis=-2, keepdims=True))
        total = np.maximum(np.sum(rows, axis=-2, keepdims=True), floor * (height * width))
        v = rows * columns / total
    u = g / np.sqrt(np.maximum(v, floor * floor))
    return _shrunk(w, h) - alpha / max(1, _rms(u) / h["d"]) * u


def _norms(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Norms beside √N in place of root mean squares."""
    g, t, floor, whole = signed(g, h), _count(kept, h), _floor(w, h), root(w.size)
    rate = np.maximum(h["eps"][1] * whole, np.sqrt(np.sum(w * w))) * min(h["lr"], 1 / root(t))
    u = g / np.sqrt(np.maximum(_estimate(kept, g, t, h, floor), floor * floor))
    length = np.sqrt(np.sum(u * u))
    return _shrunk(w, h) - rate / np.maximum(whole, length / h["d"]) * u


ADAFACTOR = (
    form("Adafactor", "roots", _roots, "transformers and fairseq: roots of the factors"),
    form("Adafactor", "inverted", _inverted, "tensor2tensor: rsqrt"),
    form("Adafactor", "outer", _outer, "code that multiplies the factors as matrices"),
    form("Adafactor", "sums", _sums, "the paper's algorithm 4, whose R and C are sums"),
    form("Adafactor", "norms", _norms, "code that has norms and no means"),
    *rounded("Adafactor", _adafactor),
)

# --- Muon ---


def _ratio(shape: tuple[int, ...], h: Hyper) -> float:
    rows, columns = shape
    if h["adjust_lr_fn"] == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def _direction(kept: Kept, g: Array, h: Hyper) -> Array:
    """What is orthogonalized, of an averaged buffer."""
    mu = h["momentum"]
    kept["b"] = mu * kept.get("b", 0 * g) + (1 - mu) * g
    return (1 - mu) * g + mu * kept["b"] if h["nesterov"] else kept["b"]


def _unit(u: Array, eps: Scalar) -> Array:
    return u / np.maximum(np.sqrt(np.sum(u * u)), eps)


def _gram_once(x: Array, h: Hyper) -> Array:
    """``A = XXᵀ, B = b₃A + b₅A², X = aX + BX`` on the shorter side."""
    if x.shape[0] > x.shape[1]:
        return _gram_once(x.T, h).T
    a, b, c = h["ns_coefficients"]
    for _ in range(int(h["ns_steps"])):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


def _muon(r: Rounding) -> One:
    """torch's own order, in the format of w throughout."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        x = _gram_once(_unit(r.array(_direction(kept, g, h)), h["eps"]), h)
        kept["b"] = r.array(kept["b"])
        rate = h["lr"] * r.scalar(_ratio(w.shape, h))
        return r.array(_shrunk(w, h) - rate * r.array(x))

    return one


def _documented(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``b = μb + g, u = g + μb``, both 1/(1−μ) times too long, and ε with them; for μ below 1."""
    mu = h["momentum"]
    kept["b"] = mu * kept.get("b", 0 * g) + g
    u = g + mu * kept["b"] if h["nesterov"] else kept["b"]
    x = _gram_once(_unit(u, h["eps"] / (1 - mu)), h)
    return _shrunk(w, h) - h["lr"] * _ratio(w.shape, h) * x


def _other_side(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``X = aX + X(b₃G + b₅G²)`` with ``G = XᵀX``, whichever side is shorter."""
    a, b, c = h["ns_coefficients"]
    x = _unit(_direction(kept, g, h), h["eps"])
    for _ in range(int(h["ns_steps"])):
        gram = x.T @ x
        x = a * x + x @ (b * gram + c * (gram @ gram))
    return _shrunk(w, h) - h["lr"] * (_ratio(w.shape, h) * x)


def _identity(size: int, like: Array) -> Any:
    return np.eye(size).astype(like.dtype) if like.dtype.kind == "f" else np.eye(size, dtype=int)


def _horner(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``X = (aI + A(b₃I + b₅A)) X``."""
    a, b, c = h["ns_coefficients"]
    x = _unit(_direction(kept, g, h), h["eps"])
    eye = _identity(x.shape[0], x)
    for _ in range(int(h["ns_steps"])):
        gram = x @ x.T
        x = (a * eye + gram @ (b * eye + c * gram)) @ x
    return _shrunk(w, h) - (h["lr"] * _ratio(w.shape, h)) * x


def _joined(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Decay and move in one expression, the buffer nudged, the look-ahead from b."""
    mu = h["momentum"]
    old = kept.get("b", 0 * g)
    kept["b"] = old + (1 - mu) * (g - old)
    u = kept["b"] + (1 - mu) * (g - kept["b"]) if h["nesterov"] else kept["b"]
    x = _gram_once(_unit(u, h["eps"]), h)
    return w - h["lr"] * (_ratio(w.shape, h) * x + h["weight_decay"] * w)


def _unrolled(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``X = aX + b₃(A X) + b₅(A (A X))``: three products with X in place of A²."""
    a, b, c = h["ns_coefficients"]
    x = _unit(_direction(kept, g, h), h["eps"])
    for _ in range(int(h["ns_steps"])):
        once = x @ (x.T @ x)
        twice = once @ (x.T @ x)
        x = a * x + b * once + c * twice
    return w * (1 - h["lr"] * h["weight_decay"]) - (h["lr"] * _ratio(w.shape, h)) * x


MUON = (
    form(
        "Muon",
        "documented",
        _documented,
        "torch's documentation; Jordan's first version",
        constant=("momentum",),
    ),
    form("Muon", "other_side", _other_side, "code for weights stored as (in, out)"),
    form("Muon", "horner", _horner, "polynomials of matrices by Horner's rule"),
    form("Muon", "decay_joined", _joined, "Moonlight (arXiv:2502.16982), equation 4"),
    form("Muon", "unrolled", _unrolled, "code for wide matrices that never squares A"),
    *rounded("Muon", _muon),
)

REWRITES = (*ADAFACTOR, *MUON)
