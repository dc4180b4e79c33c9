r"""Loss scaling: ``torch.amp.GradScaler``.

Symbols
-------
s  scale                        n  tracker: iterations in a row that found neither inf nor nan
γ  growth factor                β  backoff factor            N  growth interval
g  gradient of s times a loss   c  largest norm allowed, where somebody clips

One iteration (``torch/amp/grad_scaler.py``; ``ATen/native/cuda/AmpKernels.cu``)
------------------------------------------------------------------------------
1.  check      an optimizer *overflows* if any element of any of its gradients is inf or nan
2.  unscale    g = g·(1/s), once, the reciprocal rounded to float32
3.  clip       g = g min(1, c/(|g| + 1e-6)), if asked: what is clipped is unscaled
4.  step       by each optimizer that does not overflow; one that does is left as it is, *whole*: no
               parameter, no buffer, no count of steps
5.  update     s = βs, n = 0     if any optimizer overflows, once however many do
               n = n + 1         if none does; and s = γs, n = 0 where n reaches N
               (where γs would be inf in float32, s stays)

``update(new)`` sets s = new in place of 5, and leaves n as it is.

s and n are all that a scaler remembers, and are in its ``state_dict``. An iteration was skipped by
some optimizer exactly if s is smaller after it than before, unless βs is rounded to s (as of s = 0,
or of 2⁻¹⁴⁹ with β = 3/4); that is how whoever steps a schedule knows.

Where sources disagree
----------------------
* *What overflows.* In torch each optimizer by itself, so that one of two may step; whoever checks
  all gradients of a model at once skips both.
* *How far down.* torch's s has no floor (its documentation warns that it may fall below 1): it ends
  at 0, whose reciprocal is inf, and gradients of 0 become nan. Keras 3 has none either; DeepSpeed
  and Megatron stop at 1.
* *How soon.* DeepSpeed and Paddle can wait until several iterations have overflowed.
* *How far up.* Apex stops at 2²⁴; torch before 2.1 had no ceiling (pytorch#98828).

Loss scaling comes from Micikevicius et al. 2018 (arXiv:1710.03740), section 3.2, which says of s
only that it is to be backed off after an overflow, and may grow after many iterations without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from oracles.drawing import Hyper
from oracles.loop.clipping import clipped
from oracles.loop.part import Part, Variant
from oracles.numerics import Array, Scalar, kept, one, zeros_like
from oracles.optimizers.registry import RULES
from oracles.rule import Rule


class Settings(NamedTuple):
    """Settings of a scaler, with torch's names and defaults."""

    init_scale: Scalar = 2.0**16
    growth_factor: Scalar = 2.0
    backoff_factor: Scalar = 0.5
    growth_interval: int = 2000


class State(NamedTuple):
    """What a scaler remembers, and, for variants, how many iterations in a row overflowed."""

    scale: Scalar
    tracker: int = 0
    overflows: int = 0


@dataclass(frozen=True)
class Gradient:
    """The gradient of a parameter, scaled.

    Attributes:
        values: its elements, with 0 in the place of each that is inf or nan.
        finite: whether there is none of those.
    """

    values: Array
    finite: bool = True


Owned = Sequence[Gradient]
"""The gradients of the parameters of one optimizer."""

Handed = Sequence[Array | None] | None
"""What an optimizer steps on, by parameter, None where it has no gradient; None: it does not."""

Updated = Callable[[State, int, Settings], State]
"""``(state, overflowing optimizers, settings) -> state``."""

Unscaled = Callable[[Sequence[Owned], State, State, Scalar | None], list[Handed]]
"""``(gradients by optimizer, state, state after the update, c or None) -> what each steps on``."""

INFINITE = 2.0**128 - 2.0**103
"""From where on a number rounds to inf in float32."""

FLOOR, CEILING = 1.0, 2.0**24
"""Where other libraries' scales stop."""

PATIENCE = 2
"""After how many iterations that overflow in a row others back off."""


def start(s: Settings) -> State:
    """Before the first iteration."""
    return State(s.init_scale)


def update(state: State, overflows: int, s: Settings) -> State:
    """What torch remembers after an iteration.

    >>> s = Settings(growth_interval=2)
    >>> update(State(8.0, 0), 0, s), update(State(8.0, 1), 0, s), update(State(8.0, 1), 2, s)[:2]
    (State(scale=8.0, tracker=1, overflows=0), State(scale=16.0, tracker=0, overflows=0), (4.0, 0))
    """
    return _backed_off(state, s) if overflows else _grown(state, s)


def _backed_off(state: State, s: Settings) -> State:
    return State(kept(state.scale * s.backoff_factor), 0, state.overflows + 1)


def _grown(state: State, s: Settings, interval: int | None = None) -> State:
    n = state.tracker + 1
    if n < (s.growth_interval if interval is None else interval):
        return State(state.scale, n)
    grown = state.scale * s.growth_factor
    return State(kept(grown) if grown < INFINITE else state.scale)


def _all_tracked(state: State, overflows: int, s: Settings) -> State:
    """Each iteration counts towards growth, and the tracker starts anew with growth only."""
    if not overflows:
        return _grown(state, s)
    return _backed_off(state, s)._replace(tracker=state.tracker + 1)


def _paused(state: State, overflows: int, s: Settings) -> State:
    if not overflows:
        return _grown(state, s)
    return _backed_off(state, s)._replace(tracker=state.tracker)


def _one_later(state: State, overflows: int, s: Settings) -> State:
    return _backed_off(state, s) if overflows else _grown(state, s, s.growth_interval + 1)


def _running_on(state: State, overflows: int, s: Settings) -> State:
    after = update(state, overflows, s)
    return after if overflows else after._replace(tracker=state.tracker + 1)


def _each(state: State, overflows: int, s: Settings) -> State:
    if not overflows:
        return _grown(state, s)
    for _ in range(overflows):
        state = _backed_off(state, s)
    return state


def _unbounded(state: State, overflows: int, s: Settings) -> State:
    after = update(state, overflows, s)
    stays = not overflows and after.tracker == 0 and after.scale == state.scale
    return after._replace(scale=one(state.scale) * INFINITE) if stays else after


def _floored(state: State, overflows: int, s: Settings) -> State:
    after = update(state, overflows, s)
    return after._replace(scale=one(after.scale) * FLOOR) if after.scale < FLOOR else after


def _capped(state: State, overflows: int, s: Settings) -> State:
    after = update(state, overflows, s)
    return after._replace(scale=one(after.scale) * CEILING) if after.scale > CEILING else after


def _patient(state: State, overflows: int, s: Settings) -> State:
    if overflows and state.overflows + 1 < PATIENCE:
        return State(state.scale, 0, state.overflows + 1)
    return update(state, overflows, s)


def _never(state: State, overflows: int, s: Settings) -> State:
    return state


def overflowing(gradients: Sequence[Owned]) -> int:
    """How many optimizers have an inf or nan in some gradient."""
    return sum(not _usable(own) for own in gradients)


def _usable(own: Owned) -> bool:
    return all(g.finite for g in own)


def reciprocal(scale: Scalar) -> Scalar:
    """1/s, which torch keeps in a float32 tensor."""
    return kept(one(scale) / scale)


def _whole(own: Owned, factors: Sequence[Scalar], c: Scalar | None) -> Handed:
    """Every gradient times the factors, clipped; None if one of them has no number."""
    return clipped(_times(own, factors), c) if _usable(own) else None


def _times(own: Owned, factors: Sequence[Scalar]) -> list[Array]:
    found = [g.values for g in own]
    for factor in factors:
        found = [values * factor for values in found]
    return found


def hand(
    gradients: Sequence[Owned], state: State, after: State, c: Scalar | None = None
) -> list[Handed]:
    """What each optimizer steps on in torch.

    >>> import numpy as np
    >>> scaled = [[Gradient(np.array([8.0]))], [Gradient(np.array([0.0, 8.0]), finite=False)]]
    >>> hand(scaled, State(4.0), State(2.0))
    [[array([2.])], None]
    """
    return [_whole(own, [reciprocal(state.scale)], c) for own in gradients]


def _twice(
    gradients: Sequence[Owned], state: State, after: State, c: Scalar | None
) -> list[Handed]:
    inverse = reciprocal(state.scale)
    return [_whole(own, [inverse, inverse], c) for own in gradients]


def _not_at_all(
    gradients: Sequence[Owned], state: State, after: State, c: Scalar | None
) -> list[Handed]:
    return [_whole(own, [], c) for own in gradients]


def _by_the_next(
    gradients: Sequence[Owned], state: State, after: State, c: Scalar | None
) -> list[Handed]:
    return hand(gradients, after, after, c)


def _clipped_first(
    gradients: Sequence[Owned], state: State, after: State, c: Scalar | None
) -> list[Handed]:
    inverse = reciprocal(state.scale)
    found = [_whole(own, [], c) for own in gradients]
    return [None if own is None else [_unscaled(g, inverse) for g in own] for own in found]


def _unscaled(g: Array | None, inverse: Scalar) -> Array | None:
    return None if g is None else g * inverse


def _part(gradients: Sequence[Owned], state: State, after: State, c: Scalar | None) -> list[Handed]:
    """Only the gradients in which something is wrong are left out."""
    factors = [reciprocal(state.scale)]
    found: list[Handed] = []
    for own in gradients:
        usable = iter(clipped(_times([g for g in own if g.finite], factors), c))
        found.append([next(usable) if g.finite else None for g in own])
    return found


def _element_by_element(
    gradients: Sequence[Owned], state: State, after: State, c: Scalar | None
) -> list[Handed]:
    factors = [reciprocal(state.scale)]
    return [clipped(_times(own, factors), c) for own in gradients]


def _on_zeros(
    gradients: Sequence[Owned], state: State, after: State, c: Scalar | None
) -> list[Handed]:
    return [
        [zeros_like(g.values) for g in own] if handed is None else handed
        for own, handed in zip(gradients, hand(gradients, state, after, c), strict=True)
    ]


def _none_or_all(
    gradients: Sequence[Owned], state: State, after: State, c: Scalar | None
) -> list[Handed]:
    handed = hand(gradients, state, after, c)
    return [None] * len(handed) if overflowing(gradients) else handed


def iteration(
    gradients: Sequence[Owned],
    state: State,
    s: Settings,
    c: Scalar | None = None,
    *,
    updated: Updated = update,
    unscaled: Unscaled = hand,
) -> tuple[State, list[Handed]]:
    """One iteration.

    Args:
        gradients: scaled, by optimizer and parameter.
        state: before it.
        s: settings.
        c: the largest norm of an optimizer's gradients, or None.
        updated, unscaled: what makes a variant.

    Returns:
        The state after it, and what each optimizer steps on.
    """
    after = updated(state, overflowing(gradients), s)
    return after, unscaled(gradients, state, after, c)


def _variant(
    name: str,
    equation: str,
    source: str,
    updated: Updated = update,
    unscaled: Unscaled = hand,
) -> Variant:
    compute = partial(iteration, updated=updated, unscaled=unscaled)
    return Variant(name=name, equation=equation, source=source, compute=compute)


UPDATES = (
    _variant(
        "skips_tracked",
        "n = n + 1 after an iteration that overflowed as well",
        "a tracker that counts iterations, and starts anew with growth only",
        updated=_all_tracked,
    ),
    _variant(
        "tracker_paused",
        "s = βs after an overflow, and n stays",
        "a tracker that an overflow does not set back",
        updated=_paused,
    ),
    _variant(
        "one_iteration_later",
        "s = γs where n = N + 1",
        "code that compares before it counts",
        updated=_one_later,
    ),
    _variant(
        "tracker_runs_on",
        "s = γs where n ≥ N, and n stays",
        "a tracker that growth does not set back",
        updated=_running_on,
    ),
    _variant(
        "backoff_for_each",
        "s = βᵏs where k optimizers overflow",
        "an update after each optimizer's step",
        updated=_each,
    ),
    _variant(
        "unbounded",
        "s = γs, up to inf",
        "torch.cuda.amp before 2.1 (pytorch#98828)",
        updated=_unbounded,
    ),
    _variant(
        "floor_of_one",
        "s = max(βs, 1)",
        "DeepSpeed and Megatron (loss_scaler.py: max(cur_scale / scale_factor, min_scale=1))",
        updated=_floored,
    ),
    _variant(
        "ceiling",
        "s = min(γs, 2²⁴)",
        "Apex amp (scaler.py: max_loss_scale=2.**24)",
        updated=_capped,
    ),
    _variant(
        "patient",
        "s = βs from the second iteration on that overflows in a row",
        "DeepSpeed with a hysteresis of 2 that is consecutive; much like it Paddle's "
        "decr_every_n_nan_or_inf=2",
        updated=_patient,
    ),
    _variant(
        "static",
        "s stays",
        "a static loss scale",
        updated=_never,
    ),
)
"""What else may become of the scale."""

STEPS = (
    _variant(
        "partly_skipped",
        "a parameter whose gradient has an inf or nan is left out, the others step",
        "code that checks gradient by gradient",
        unscaled=_part,
    ),
    _variant(
        "zeroed",
        "0 in place of inf and nan, and the step is made",
        "torch.nan_to_num_ on gradients",
        unscaled=_element_by_element,
    ),
    _variant(
        "stepped_on_zeros",
        "g = 0 where an optimizer overflows: decay, momentum and counts go on",
        "code that multiplies gradients by whether they are finite",
        unscaled=_on_zeros,
    ),
    _variant(
        "all_or_none",
        "no optimizer steps if one overflows",
        "code that checks all gradients of a model at once",
        unscaled=_none_or_all,
    ),
    _variant(
        "unscaled_twice",
        "g = g/s²",
        "a scaler that unscales in step what has been unscaled",
        unscaled=_twice,
    ),
    _variant(
        "never_unscaled",
        "g = g",
        "optimizer.step() in place of scaler.step(optimizer)",
        unscaled=_not_at_all,
    ),
    _variant(
        "unscaled_by_the_next",
        "g = g/s with the s of after the update",
        "scaler.update() before scaler.step()",
        unscaled=_by_the_next,
    ),
    _variant(
        "clipped_scaled",
        "g = g min(1, c/(|g| + 1e-6))/s: the norm is that of scaled gradients",
        "clip_grad_norm_ without scaler.unscale_ before it",
        unscaled=_clipped_first,
    ),
)
"""What else an optimizer may be handed."""

PART = Part(
    name="GradScaler",
    symbols="s scale, n tracker, γ growth factor, β backoff factor, N growth interval, g gradient, "
    "c largest norm",
    variants=(
        _variant(
            "torch",
            "g = g/s; s = βs, n = 0 after inf or nan, and whoever found it does not step; else "
            "n = n + 1, and s = γs, n = 0 where n reaches N",
            "torch.amp.GradScaler",
        ),
        *UPDATES,
        *STEPS,
    ),
)

OWNERS: dict[str, tuple[Rule, Hyper]] = {
    name: (RULES[name], RULES[name].hyper(**given))
    for name, given in (
        ("SGD", {"lr": 0.5, "momentum": 0.5, "weight_decay": 0.25}),
        ("Adam", {"lr": 0.5, "weight_decay": 0.25}),
    )
}
"""Optimizers whose steps show what a scaler hands them, and what they step by: one goes by the size
of gradients, and one counts."""
