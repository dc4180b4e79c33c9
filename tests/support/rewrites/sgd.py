"""SGD, written in other ways.

Symbols: w parameter, g gradient, d = g + λw, b momentum buffer, v velocity, γ lr, μ momentum,
τ dampening, λ weight decay.
"""

from __future__ import annotations

from tests.support.rewrites.record import (
    EXACT,
    Array,
    Hyper,
    Kept,
    One,
    Rounding,
    coupled,
    form,
    rounded,
    signed,
    whole,
)


def _plain(r: Rounding) -> One:
    """torch's own order: d, b, d + μb, w."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        lr, mu, tau, wd = (
            r.scalar(h[name]) for name in ("lr", "momentum", "dampening", "weight_decay")
        )
        d = r.array(signed(g, h) + wd * w)
        if h["momentum"] == 0:
            return r.array(w - lr * d)
        b = r.array(mu * kept["b"] + (1 - tau) * d) if "b" in kept else d
        kept["b"] = b
        return r.array(w - lr * (d + mu * b if h["nesterov"] else b))

    return one


def _joined(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w = (1 − γλ)w − γg``."""
    lr = h["lr"]
    return w * (1 - lr * h["weight_decay"]) - lr * signed(g, h)


def _split(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w = w − γg − (γλ)w``."""
    lr = h["lr"]
    return w - lr * signed(g, h) - (lr * h["weight_decay"]) * w


def _dampened(kept: Kept, d: Array, h: Hyper) -> Array:
    """What joins a buffer: the first gradient whole, and any without momentum."""
    return (1 - h["dampening"]) * d if "v" in kept and h["momentum"] != 0 else d


def _velocity(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``v = μv + γd, w = w − v``, or ``w − (γd + μv)``."""
    lr, mu = h["lr"], h["momentum"]
    d = coupled(w, g, h)
    kept["v"] = mu * kept.get("v", 0 * w) + lr * _dampened(kept, d, h)
    return w - (lr * d + mu * kept["v"] if h["nesterov"] else kept["v"])


def _downhill(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``v = μv − γd, w = w + v``, or ``w + μv − γd``."""
    lr, mu = h["lr"], h["momentum"]
    d = coupled(w, g, h)
    kept["v"] = mu * kept.get("v", 0 * w) - lr * _dampened(kept, d, h)
    return w + mu * kept["v"] - lr * d if h["nesterov"] else w + kept["v"]


def _looking_ahead(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``v = μv − γd, θ = θ + v``, and the gradient is asked for at ``w = θ + μv``.

    Without *nesterov* w is θ itself.
    """
    base, v = kept.get("base", w), kept.get("v", 0 * w)
    v = h["momentum"] * v - h["lr"] * coupled(w, g, h)
    kept["base"], kept["v"] = base + v, v
    return base + v + h["momentum"] * v if h["nesterov"] else base + v


def _old_buffer(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w = w − (γμ)b − γ(1−τ)d`` with the b of the step before; Nesterov: ``−γ((1+μ)d + μ²b)``."""
    lr, mu = h["lr"], h["momentum"]
    d, old = coupled(w, g, h), kept.get("v", 0 * w)
    fresh = _dampened(kept, d, h)
    kept["v"] = mu * old + fresh
    if h["nesterov"]:
        return w - lr * (d + mu * fresh + (mu * mu) * old)
    return w - (lr * mu) * old - lr * fresh


def _averaging(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``e = μe + (1−μ)d``, a true average, and a rate of ``γ/(1−μ)``; for μ below 1."""
    mu = h["momentum"]
    d = coupled(w, g, h)
    kept["e"] = mu * kept.get("e", 0 * w) + (1 - mu) * d
    longer = h["lr"] / (1 - mu)
    return w - (h["lr"] * d + longer * mu * kept["e"] if h["nesterov"] else longer * kept["e"])


def _ascending(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Uphill along ``−d``: ``w = w + γu``."""
    u = (g if h["maximize"] else -g) - h["weight_decay"] * w
    mu = h["momentum"]
    kept["v"] = mu * kept.get("v", 0 * w) + _dampened(kept, u, h)
    return w + h["lr"] * (u + mu * kept["v"] if h["nesterov"] else kept["v"])


REWRITES = (
    form("SGD", "decay_joined", _joined, "scratch loops: w *= 1 - lr * wd", lacks=("momentum",)),
    form(
        "SGD",
        "decay_apart",
        _split,
        "loops that subtract lr * wd * w by itself",
        lacks=("momentum",),
    ),
    form("SGD", "lr_in_velocity", _velocity, "Sutskever et al. 2013; MXNet", constant=("lr",)),
    form("SGD", "velocity_added", _downhill, "Keras, Chainer: w += v", constant=("lr",)),
    form(
        "SGD",
        "looked_ahead",
        _looking_ahead,
        "Nesterov's own order, with the gradient at θ + μv",
        lacks=("dampening",),
        constant=("lr", "momentum"),
    ),
    form("SGD", "old_buffer", _old_buffer, "Nesterov as Bengio et al. 2012 expand it"),
    form(
        "SGD",
        "averaged",
        _averaging,
        "moving-average momentum with the rate divided by 1 - μ",
        lacks=("dampening",),
        constant=("momentum",),
    ),
    form(
        "SGD", "negated", _ascending, "update functions that return what is to be added, as in JAX"
    ),
    whole("SGD", _plain(EXACT)),
    *rounded("SGD", _plain),
)
