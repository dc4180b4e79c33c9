r"""A step with clipped gradients: where in it the clipping stands.

Symbols
-------
gⱼ  the gradient of the j-th of k micro-batches, of its mean loss     S  scale of the loss
M   max_norm     λ  weight decay     μ  momentum     γ  learning rate     clip  ``clipping.py``

What torch's documents ask of a loop (*Automatic Mixed Precision examples*, "Working with Unscaled
Gradients" and "Gradient accumulation"), with SGD as the step:

1.  accumulate   s = Σ Sgⱼ/k             backward of each loss, divided by k and scaled
2.  unscale      g = s/S                 ``scaler.unscale_(optimizer)``
3.  clip         g = clip(g, M)          once for all micro-batches, of all parameters together
4.  decay        d = g + λw              the optimizer's: the decay is not clipped
5.  velocity     b = μb + d              b = d at first
6.  move         w = w − γb

Each variant clips elsewhere, and there only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from oracles.loop.clipping import VALUE, clipped
from oracles.loop.part import Part, Variant
from oracles.numerics import Array, Scalar

Arrays = Sequence[Array]
"""One array a parameter."""

Window = Sequence[Arrays]
"""The gradients of each micro-batch that a step is made of."""


class Hyper(NamedTuple):
    """Settings of a loop; the scale and the number of micro-batches are powers of 2."""

    lr: Scalar = 0.1
    momentum: Scalar = 0.0
    weight_decay: Scalar = 0.0
    max_norm: Scalar = 1.0
    scale: Scalar = 1.0


Spot = Callable[[Arrays, Hyper], Arrays]
"""What may happen at one place of a step."""


def untouched(arrays: Arrays, h: Hyper) -> Arrays:
    """Nothing."""
    return arrays


def clip(arrays: Arrays, h: Hyper) -> Arrays:
    """To the length M."""
    return clipped(arrays, h.max_norm)


def clip_scaled(arrays: Arrays, h: Hyper) -> Arrays:
    """To the length SM, which is M without the scale."""
    return clip(arrays, h._replace(max_norm=h.max_norm * h.scale))


def clip_values(arrays: Arrays, h: Hyper) -> Arrays:
    """Each element to M, and then to the length M."""
    return clip(VALUE.torch.compute(arrays, h.max_norm), h)


@dataclass(frozen=True)
class Spots:
    """The places of a step, in order."""

    summed: Spot = untouched
    accumulated: Spot = untouched
    unscaled: Spot = clip
    decayed: Spot = untouched
    velocity: Spot = untouched
    update: Spot = untouched


BARE = Spots(unscaled=untouched)


def run(w: Arrays, windows: Sequence[Window], h: Hyper, spots: Spots = Spots()) -> Iterator[Arrays]:
    """The parameters after each step.

    >>> h = Hyper(lr=0.5, weight_decay=0.25, max_norm=2.0)
    >>> from numpy import array
    >>> ((w,),) = run([array([4.0])], [[[array([8.0])]]], h)  # g = 2, d = 2 + 4/4
    >>> [round(float(v), 6) for v in w]
    [2.5]
    """
    b: Arrays | None = None
    for window in windows:
        g = _accumulated(window, h, spots)
        g = spots.unscaled([a / h.scale for a in g], h)
        decayed = [a + h.weight_decay * own for a, own in zip(g, w, strict=True)]
        d = spots.decayed(decayed, h)
        b = d if b is None else [h.momentum * old + new for old, new in zip(b, d, strict=True)]
        b = spots.velocity(b, h)
        move = spots.update([h.lr * own for own in b], h)
        w = [own - step for own, step in zip(w, move, strict=True)]
        yield w


def _accumulated(window: Window, h: Hyper, spots: Spots) -> Arrays:
    parts = [[h.scale / len(window) * g for g in gradients] for gradients in window]
    s = spots.summed(parts[0], h)
    for part in parts[1:]:
        s = spots.summed(_added(s, part), h)
    return spots.accumulated(s, h)


def _added(one: Arrays, other: Arrays) -> Arrays:
    return [a + b for a, b in zip(one, other, strict=True)]


def _variant(name: str, equation: str, source: str, spots: Spots) -> Variant:
    def compute(w: Arrays, windows: Sequence[Window], h: Hyper) -> list[Arrays]:
        return list(run(w, windows, h, spots))

    return Variant(name=name, equation=equation, source=source, compute=compute)


STEP = Part(
    name="clipped step",
    symbols="gⱼ of k micro-batches, S scale, M max_norm, λ decay, γ learning rate",
    variants=(
        _variant(
            "gradient_clipped",
            "g = clip(Σgⱼ/k), d = g + λw",
            "torch: backward, unscale_, clip_grad_norm_, step",
            Spots(),
        ),
        _variant(
            "decay_clipped",
            "d = clip(g + λw)",
            "decay as part of the loss; optax.chain(add_decayed_weights, clip_by_global_norm, sgd)",
            replace(BARE, decayed=clip),
        ),
        _variant(
            "velocity_clipped",
            "b = clip(μb + d)",
            "clipping of what momentum has made; LAMB-like trust regions",
            replace(BARE, velocity=clip),
        ),
        _variant(
            "update_clipped",
            "w = w − clip(γb)",
            "optax.chain(sgd, clip_by_global_norm): a transformation too late",
            replace(BARE, update=clip),
        ),
        _variant(
            "still_scaled",
            "s = clip(Σ Sgⱼ/k), then g = s/S",
            "loops that clip before scaler.unscale_",
            replace(BARE, accumulated=clip),
        ),
        _variant(
            "each_micro_batch",
            "s = clip(s + gⱼ/k) with every micro-batch",
            "loops that clip after each backward",
            replace(BARE, summed=clip_scaled),
        ),
        _variant(
            "values_first",
            "g = clip(min(max(g, −M), M))",
            "loops that clip by value and by norm",
            Spots(unscaled=clip_values),
        ),
        _variant(
            "not_clipped",
            "g as it is",
            "loops that clip after the step, or before the backward pass",
            BARE,
        ),
    ),
)
