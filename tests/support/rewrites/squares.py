"""Adagrad, Adadelta and RMSprop, written in other ways.

Symbols: w parameter, d = g + λw, s sum and v mean of squares, u mean square of updates Δ, a mean of
d, b momentum buffer, γ lr, η its decay, α or ρ smoothing constant, ε eps, μ momentum, τ what s
starts at, which is read at construction and taken to stay.
"""

from __future__ import annotations

import numpy as np

from tests.support.rewrites.record import (
    EXACT,
    Array,
    Hyper,
    Kept,
    One,
    Rounding,
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

# --- Adagrad ---


def _adagrad(r: Rounding) -> One:
    """``w − γ̃ d/(√s + ε)``."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        d, t = r.array(coupled(w, g, h)), r.scalar(counted(kept))
        kept["s"] = r.array(kept.get("s", 0 * w + h["initial_accumulator_value"]) + d * d)
        rate = h["lr"] / (1 + (t - 1) * h["lr_decay"])
        return r.array(w - rate * d / (np.sqrt(kept["s"]) + h["eps"]))

    return one


def _late_start(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """A sum from 0, to which τ is added under the root; the rate divides last."""
    d, t = coupled(w, g, h), counted(kept)
    kept["s"] = kept.get("s", 0 * w) + d * d
    adapted = d / (np.sqrt(kept["s"] + h["initial_accumulator_value"]) + h["eps"])
    return w - h["lr"] * adapted / (1 + (t - 1) * h["lr_decay"])


def _adagrad_inverted(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """A reciprocal root for each element."""
    d, t = coupled(w, g, h), counted(kept)
    kept["s"] = kept.get("s", 0 * w + h["initial_accumulator_value"]) + d * d
    inverse = 1 / (np.sqrt(kept["s"]) + h["eps"])
    return w + (-h["lr"] / (1 + (t - 1) * h["lr_decay"])) * inverse * d


def _root_kept(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The root is kept, and grows as a hypotenuse does."""
    d, t = coupled(w, g, h), counted(kept)
    old = kept.get("root", 0 * w + root(h["initial_accumulator_value"]))
    kept["root"] = np.sqrt(old * old + d * d)
    return w - h["lr"] / (1 + (t - 1) * h["lr_decay"]) * (d / (kept["root"] + h["eps"]))


def _mean_kept(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The mean of squares is kept, and multiplied by their number."""
    d, t = coupled(w, g, h), counted(kept)
    kept["mean"] = kept.get("mean", 0 * w)
    kept["mean"] = kept["mean"] + (d * d - kept["mean"]) / t
    s = h["initial_accumulator_value"] + t * kept["mean"]
    return w - (h["lr"] / (1 + (t - 1) * h["lr_decay"])) * d / (np.sqrt(s) + h["eps"])


def _rate_carried(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``1 + (t−1)η`` as a sum that is carried along; gradient and decay move w one by one."""
    d = coupled(w, g, h)
    kept["divisor"] = kept["divisor"] + h["lr_decay"] if "divisor" in kept else 1
    kept["s"] = kept.get("s", 0 * w + h["initial_accumulator_value"]) + d * d
    rate = h["lr"] / (kept["divisor"] * (np.sqrt(kept["s"]) + h["eps"]))
    return w * (1 - rate * h["weight_decay"]) - rate * signed(g, h)


ADAGRAD = (
    form("Adagrad", "late_start", _late_start, "code that adds its start under the root"),
    form("Adagrad", "inverted", _adagrad_inverted, "kernels that avoid divisions"),
    form("Adagrad", "root_kept", _root_kept, "code that keeps the norm of all gradients so far"),
    form("Adagrad", "mean_kept", _mean_kept, "RMSprop's text with a weight of 1/t"),
    form(
        "Adagrad",
        "rate_carried",
        _rate_carried,
        "loops that lengthen a divisor",
        constant=("lr_decay",),
    ),
    whole("Adagrad", _adagrad(EXACT)),
    *rounded("Adagrad", _adagrad),
)

# --- Adadelta ---


def _adadelta(r: Rounding) -> One:
    """``Δ = √(u+ε)/√(v+ε) d``."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        zeros(kept, w, "u", "v")
        rho, d = h["rho"], r.array(coupled(w, g, h))
        kept["v"] = r.array(rho * kept["v"] + (1 - rho) * d * d)
        delta = r.array(np.sqrt(kept["u"] + h["eps"]) / np.sqrt(kept["v"] + h["eps"]) * d)
        kept["u"] = r.array(rho * kept["u"] + (1 - rho) * delta * delta)
        return r.array(w - h["lr"] * delta)

    return one


def _one_root(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``Δ = √((u+ε)/(v+ε)) d``, averages nudged."""
    zeros(kept, w, "u", "v")
    d, fresh = coupled(w, g, h), 1 - h["rho"]
    kept["v"] = kept["v"] + fresh * (d * d - kept["v"])
    delta = np.sqrt((kept["u"] + h["eps"]) / (kept["v"] + h["eps"])) * d
    kept["u"] = kept["u"] + fresh * (delta * delta - kept["u"])
    return w - h["lr"] * delta


def _negated(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``Δ = −√(u+ε) d/√(v+ε)``, added."""
    zeros(kept, w, "u", "v")
    d, rho = coupled(w, g, h), h["rho"]
    kept["v"] = rho * kept["v"] + (1 - rho) * (d * d)
    delta = -np.sqrt(kept["u"] + h["eps"]) * d / np.sqrt(kept["v"] + h["eps"])
    kept["u"] = rho * kept["u"] + (1 - rho) * (delta * delta)
    return w + h["lr"] * delta


def _reciprocal_root(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``Δ = (d · 1/√(v+ε)) √(u+ε)``, averages pulled from the new end."""
    zeros(kept, w, "u", "v")
    d, rho = coupled(w, g, h), h["rho"]
    kept["v"] = d * d + rho * (kept["v"] - d * d)
    delta = d * (1 / np.sqrt(kept["v"] + h["eps"])) * np.sqrt(kept["u"] + h["eps"])
    kept["u"] = delta * delta + rho * (kept["u"] - delta * delta)
    return w - h["lr"] * delta


def _eps_kept(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Averages that start at ε and have it in every term, so that roots are taken of them bare."""
    d, rho = coupled(w, g, h), h["rho"]
    kept["v"] = rho * kept.get("v", 0 * w + h["eps"]) + (1 - rho) * (d * d + h["eps"])
    above = kept.get("u", 0 * w + h["eps"])
    delta = np.sqrt(above) / np.sqrt(kept["v"]) * d
    kept["u"] = rho * above + (1 - rho) * (delta * delta + h["eps"])
    return w - h["lr"] * delta


def _adadelta_joined(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The ratio of the roots scales gradient and decay one by one; ``Δ² = ratio² d²``."""
    zeros(kept, w, "u", "v")
    d, rho, lr = coupled(w, g, h), h["rho"], h["lr"]
    kept["v"] = rho * kept["v"] + (1 - rho) * (d * d)
    square = (kept["u"] + h["eps"]) / (kept["v"] + h["eps"])
    kept["u"] = rho * kept["u"] + (1 - rho) * (square * (d * d))
    ratio = np.sqrt(square)
    return w * (1 - lr * h["weight_decay"] * ratio) - lr * ratio * signed(g, h)


ADADELTA = (
    form("Adadelta", "one_root", _one_root, "code that divides before it takes the root"),
    form("Adadelta", "negated", _negated, "Zeiler's algorithm 1; Keras"),
    form("Adadelta", "reciprocal_root", _reciprocal_root, "optax: rsqrt"),
    form("Adadelta", "eps_kept", _eps_kept, "code that starts averages at ε", constant=("eps",)),
    form("Adadelta", "decay_joined", _adadelta_joined, "loops with one store for each element"),
    whole("Adadelta", _adadelta(EXACT)),
    *rounded("Adadelta", _adadelta),
)

# --- RMSprop ---


def _rmsprop(r: Rounding) -> One:
    """``b = μb + d/(√(v − a²) + ε), w − γb``."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        zeros(kept, w, "v", "a", "b")
        alpha, d = h["alpha"], r.array(coupled(w, g, h))
        kept["v"] = r.array(alpha * kept["v"] + (1 - alpha) * d * d)
        kept["a"] = r.array(alpha * kept["a"] + (1 - alpha) * d)
        variance = kept["v"] - kept["a"] * kept["a"] if h["centered"] else kept["v"]
        kept["b"] = r.array(h["momentum"] * kept["b"] + d / (np.sqrt(variance) + h["eps"]))
        return r.array(w - h["lr"] * kept["b"])

    return one


def _denominator(kept: Kept, d: Array, h: Hyper) -> Array:
    """Averages nudged, and the root with ε."""
    zeros(kept, d, "v", "a")
    fresh = 1 - h["alpha"]
    kept["v"] = kept["v"] + fresh * (d * d - kept["v"])
    kept["a"] = kept["a"] + fresh * (d - kept["a"])
    variance = kept["v"] - kept["a"] * kept["a"] if h["centered"] else kept["v"]
    return np.sqrt(variance) + h["eps"]


def _lr_inside(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``b = μb + γ d/D, w − b``."""
    d = coupled(w, g, h)
    move = h["lr"] * d / _denominator(kept, d, h)
    kept["b"] = h["momentum"] * kept.get("b", 0 * w) + move
    return w - kept["b"]


def _rmsprop_inverted(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``b = μb + d · 1/D``."""
    d = coupled(w, g, h)
    kept["b"] = h["momentum"] * kept.get("b", 0 * w) + d * (1 / _denominator(kept, d, h))
    return w - h["lr"] * kept["b"]


def _central(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The central moment is kept: ``ṽ = α(ṽ + (1−α)(d − a)²)`` with the a before this step."""
    zeros(kept, w, "v", "a", "b")
    d, alpha = coupled(w, g, h), h["alpha"]
    off = d - (kept["a"] if h["centered"] else 0)
    kept["v"] = alpha * kept["v"] + (1 - alpha) * (alpha if h["centered"] else 1) * (off * off)
    kept["a"] = kept["a"] + (1 - alpha) * (d - kept["a"])
    kept["b"] = h["momentum"] * kept["b"] + d / (np.sqrt(kept["v"]) + h["eps"])
    return w - h["lr"] * kept["b"]


def _old_buffer(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w − γ(d/D) − (γμ)b`` with the b of the step before."""
    d, old = coupled(w, g, h), kept.get("b", 0 * w)
    adapted = d / _denominator(kept, d, h)
    kept["b"] = h["momentum"] * old + adapted
    return w - h["lr"] * adapted - (h["lr"] * h["momentum"]) * old


def _ascending(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Updates that are added: ``u = −γ d/D``, with a trace of them scaled by the rate last."""
    uphill = -coupled(w, g, h)
    kept["trace"] = uphill / _denominator(kept, -uphill, h) + h["momentum"] * kept.get(
        "trace", 0 * w
    )
    return w + h["lr"] * kept["trace"]


RMSPROP = (
    form("RMSprop", "lr_inside", _lr_inside, "Graves 2013; Keras", constant=("lr",)),
    form("RMSprop", "inverted", _rmsprop_inverted, "kernels that avoid divisions"),
    form(
        "RMSprop",
        "central",
        _central,
        "exponentially weighted variance (Finch 2009)",
    ),
    form("RMSprop", "old_buffer", _old_buffer, "code that moves w before it renews the buffer"),
    form("RMSprop", "negated", _ascending, "update functions, as in optax"),
    whole("RMSprop", _rmsprop(EXACT)),
    *rounded("RMSprop", _rmsprop),
)

REWRITES = (*ADAGRAD, *ADADELTA, *RMSPROP)
