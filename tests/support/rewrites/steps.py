"""Rprop and ASGD, written in other ways.

Symbols: w parameter, g gradient, g₋ the one before, σ the sign of their product, s step size;
η rate in force, ℓ decay term, λ weight decay, γ lr.
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
    Scalar,
    counted,
    coupled,
    form,
    in_scalars,
    rounded,
    signed,
    whole,
    zeros,
)

# --- Rprop ---


def sign(x: Array) -> Array:
    """−1, 0 or 1, of the type of x."""
    return np.where(x > 0, 1, np.where(x < 0, -1, 0)).astype(x.dtype)


def _started(w: Array, kept: Kept, h: Hyper) -> None:
    kept.setdefault("before", 0 * w)
    kept.setdefault("size", 0 * w + h["lr"])


def _clipped(size: Array, h: Hyper) -> Array:
    least, most = h["step_sizes"]
    return np.minimum(np.maximum(size, least), most)


def _rprop(r: Rounding) -> One:
    """Factors by cases, g set to 0 where it turned."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        _started(w, kept, h)
        (less, more), g, size = h["etas"], r.array(signed(g, h)), kept["size"]
        turn = sign(g) * sign(kept["before"])
        size = np.where(turn > 0, size * more, np.where(turn < 0, size * less, size))
        kept["size"] = r.array(_clipped(size, h))
        kept["before"] = np.where(turn < 0, 0 * g, g)
        return r.array(w - sign(kept["before"]) * kept["size"])

    return one


def _factored(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The factor as a sum: ``1 + (η₊−1)[σ > 0] + (η₋−1)[σ < 0]``."""
    _started(w, kept, h)
    (less, more), g = h["etas"], signed(g, h)
    turn = sign(g * kept["before"])
    up, down = (turn > 0).astype(w.dtype), (turn < 0).astype(w.dtype)
    kept["size"] = _clipped(kept["size"] * (1 + (more - 1) * up + (less - 1) * down), h)
    kept["before"] = g * (1 - down)
    return w - kept["size"] * sign(kept["before"])


def _signs_kept(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Of the gradient before, only its sign is kept."""
    _started(w, kept, h)
    (less, more), now = h["etas"], sign(signed(g, h))
    turn = now * kept["before"]
    factor = np.select([turn == 1, turn == -1], [0 * w + more, 0 * w + less], 0 * w + 1)
    kept["size"] = _clipped(kept["size"] * factor, h)
    kept["before"] = np.where(turn == -1, 0 * now, now)
    return w - kept["before"] * kept["size"]


def _in_place(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Masked assignments, one for each case."""
    _started(w, kept, h)
    (less, more), (least, most) = h["etas"], h["step_sizes"]
    g, size, new = signed(g, h).copy(), kept["size"].copy(), w.copy()
    same, turned = g * kept["before"] > 0, g * kept["before"] < 0
    size[same] *= more
    size[turned] *= less
    size[size < least] = least
    size[size > most] = most
    g[turned] = 0
    new[g > 0] -= size[g > 0]
    new[g < 0] += size[g < 0]
    kept["size"], kept["before"] = size, g
    return new


def _elements(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """One element after the other, with if and else."""
    _started(w, kept, h)
    (less, more), (least, most) = h["etas"], h["step_sizes"]
    new, size, before = (x.copy() for x in (w, kept["size"], kept["before"]))
    for at in np.ndindex(w.shape):
        now, last = signed(g, h)[at], before[at]
        same, turned = now * last > 0, now * last < 0
        size[at] = min(most, max(least, size[at] * (more if same else less if turned else 1)))
        before[at] = 0 if turned else now
        if before[at] > 0:
            new[at] = new[at] - size[at]
        elif before[at] < 0:
            new[at] = new[at] + size[at]
    kept["size"], kept["before"] = size, before
    return new


def _unit_sizes(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """Step sizes in units of the first one, w moved by ``γ (s/γ)``; for γ above 0."""
    lr, (less, more), (least, most) = kept.setdefault("lr", h["lr"]), h["etas"], h["step_sizes"]
    kept.setdefault("before", 0 * w)
    size, g = kept.get("size", 0 * w + 1), signed(g, h)
    turn = sign(g) * sign(kept["before"])
    size = np.where(turn > 0, more * size, np.where(turn < 0, less * size, size))
    kept["size"] = np.minimum(np.maximum(size, least / lr), most / lr)
    kept["before"] = np.where(turn < 0, 0 * g, g)
    return w - lr * (sign(kept["before"]) * kept["size"])


RPROP = (
    form("Rprop", "factored", _factored, "code that avoids branches"),
    form("Rprop", "signs_kept", _signs_kept, "optax and others that keep a sign"),
    form("Rprop", "in_place", _in_place, "masked assignments in NumPy"),
    form("Rprop", "elements", _elements, "Igel & Hüsken 2000, element by element"),
    form("Rprop", "unit_sizes", _unit_sizes, "rates that are multiples of a base rate"),
    whole("Rprop", _rprop(EXACT)),
    *rounded("Rprop", _rprop),
)

# --- ASGD ---


def _asgd(r: Rounding) -> One:
    """``(1 − ℓη)w − ηd``, the average and the next rate at the end."""

    def one(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
        h = in_scalars(h, r)
        zeros(kept, w, "average")
        eta, mu, t = kept.get("eta", h["lr"]), kept.get("mu", 1), r.scalar(counted(kept))
        w = r.array(w * (1 - h["lambd"] * eta) - eta * r.array(coupled(w, g, h)))
        kept["average"] = r.array(kept["average"] + mu * (w - kept["average"]))
        kept["eta"] = h["lr"] / (1 + h["lambd"] * h["lr"] * t) ** h["alpha"]
        kept["mu"] = 1 / r.scalar(max(1, t - h["t0"]))
        return w

    return one


def _rate(kept: Kept, h: Hyper, t: Scalar) -> Scalar:
    """The rate of this step, and that of the next one put by."""
    eta = kept.get("eta", h["lr"])
    kept["eta"] = h["lr"] * (1 + h["lambd"] * h["lr"] * t) ** -h["alpha"]
    return eta


def _one_move(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w − η(d + ℓw)``; the average is left out, since it never enters w."""
    eta = _rate(kept, h, counted(kept))
    return w - eta * (coupled(w, g, h) + h["lambd"] * w)


def _decays_joined(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``(1 − η(ℓ+λ))w − ηg``."""
    eta = _rate(kept, h, counted(kept))
    return w * (1 - eta * (h["lambd"] + h["weight_decay"])) - eta * signed(g, h)


def _one_penalty(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``w − η(g + (λ+ℓ)w)``, the average as a weighted sum."""
    t = counted(kept)
    eta = _rate(kept, h, t)
    w = w - eta * (signed(g, h) + (h["weight_decay"] + h["lambd"]) * w)
    mu = kept.get("mu", 1)
    kept["average"] = (1 - mu) * kept.get("average", 0 * w) + mu * w
    kept["mu"] = 1 / max(1, t - h["t0"])
    return w


def _rate_from_memory(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """The rate is made where it is used, of the hyperparameters of the step before."""
    t, last = counted(kept), kept.get("last", h)
    eta = last["lr"] / (1 + last["lambd"] * last["lr"] * (t - 1)) ** last["alpha"]
    kept["last"] = h
    return w * (1 - h["lambd"] * eta) + (-eta) * coupled(w, g, h)


def _slowdown(w: Array, g: Array, kept: Kept, h: Hyper) -> Array:
    """``γ`` and its divisor are kept apart."""
    t = counted(kept)
    lr, divisor = kept.get("lr", h["lr"]), kept.get("divisor", 1)
    kept["lr"], kept["divisor"] = h["lr"], (1 + h["lambd"] * h["lr"] * t) ** h["alpha"]
    d = coupled(w, g, h)
    return w - (lr * (d + h["lambd"] * w)) / divisor


ASGD = (
    form("ASGD", "one_move", _one_move, "torch's own multi-tensor code"),
    form("ASGD", "decays_joined", _decays_joined, "Bottou's scalar that shrinks w"),
    form("ASGD", "one_penalty", _one_penalty, "code that reads both decays as one penalty"),
    form("ASGD", "rate_from_memory", _rate_from_memory, "code that keeps last step's settings"),
    form("ASGD", "slowdown", _slowdown, "code that divides the move instead of the rate"),
    whole("ASGD", _asgd(EXACT)),
    *rounded("ASGD", _asgd),
)

REWRITES = (*RPROP, *ASGD)
