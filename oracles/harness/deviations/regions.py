"""Regions of the ledger: predicates that say on which cases a deviation shows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.enclosure import Enclosure, quiet
from oracles.harness.arithmetic.formats import (
    FORMATS,
    FULL,
    HALF,
    Format,
    Wide,
    WideArray,
    round_to,
)
from oracles.harness.cases.case import MIXED, Case, Group, Parameter, dtype_of
from oracles.harness.oracle import exactly, lifted
from oracles.rule import Rule


class Asked(NamedTuple):
    """What a region looks at: a rule's case, as it is asked in one precision."""

    rule: Rule
    case: Case
    precision: str

    def dtype(self, number: int) -> str:
        """Of a parameter."""
        return dtype_of(self.precision, number)


Region = Callable[[Asked], bool]


SHORTEST_REGISTER = 8
"""Half-precision elements in the shortest SIMD register torch is built for (NEON, 128 bits)."""


SMALLEST_FLOAT16 = 2.0**-24
"""The smallest positive float16."""

LARGE = 2.0**8
"""Squares of this are infinite in float16."""

LAST_COUNTED = 2**24
"""Adding 1 to it in float32 gives it back."""

LOW_RATE = 2.0**-10
"""Below it a denominator of RAdam's of up to 64, divided by the rate, leaves float16."""


def _late_buffer(asked: Asked) -> bool:
    """At some step of some group, buffers of some moving parameters exist and others' do not."""
    return any(_mixed_buffers(group) for group in asked.case.groups)


def _mixed_buffers(group: Group) -> bool:
    have: set[int] = set()
    for t, h in enumerate(group.schedule):
        if h.momentum == 0:
            continue
        moving = {i for i, p in enumerate(group.parameters) if p.gradients[t] is not None}
        if moving & have and moving - have:
            return True
        have |= moving
    return False


def _layouts_differ(asked: Asked) -> bool:
    """A parameter and its gradient are not the same dense block of memory."""
    return any(
        _memory(p.layout, p) != _memory(p.gradient_layout, p) or _memory(p.layout, p) == "strided"
        for p in asked.case.parameters
    )


def _odd_layout(asked: Asked) -> bool:
    """Some parameter or gradient is not contiguous."""
    return any({p.layout, p.gradient_layout} != {"contiguous"} for p in asked.case.parameters)


def _memory(layout: str, p: Parameter) -> str:
    """The layout that tells in memory: many coincide for small shapes."""
    shape = p.initial.shape
    longer = sum(n > 1 for n in shape)
    if p.initial.size <= 1 or (layout == "transposed" and longer <= 1):
        return "contiguous"
    if layout == "expanded" and shape[0] == 1:
        return "contiguous"
    return layout


def _half_vectors(asked: Asked) -> bool:
    """A half-precision parameter is long enough for a SIMD register."""
    return any(
        asked.dtype(i) in HALF and p.initial.size >= SHORTEST_REGISTER
        for i, p in enumerate(asked.case.parameters)
    )


def _stepped(by: Callable[[Hyper], bool]) -> Region:
    """There is such a step, whatever it moves."""
    return lambda asked: any(by(h) for group in asked.case.groups for h in group.schedule)


def _laid(gradient_layout: str, region: Region) -> Region:
    """Such a case in which some gradient is laid out so."""
    return lambda asked: asked.case.has(gradient_layout) and region(asked)


def _of(*dtypes: str) -> Region:
    """Some parameter has one of these dtypes."""
    return lambda asked: any(asked.dtype(i) in dtypes for i in range(len(asked.case.parameters)))


def _moved(
    by: Callable[[Hyper], bool] = lambda h: True,
    which: Callable[[Parameter], bool] = lambda p: True,
) -> Region:
    """Such a step moves such a parameter."""

    def region(asked: Asked) -> bool:
        return any(
            by(h) and p.gradients[t] is not None
            for _, group, p in asked.case.walk()
            if which(p)
            for t, h in enumerate(group.schedule)
        )

    return region


def _skips_first(asked: Asked) -> bool:
    """The step that would create a group's momentum buffers is skipped by the grad scaler."""
    at_steps = zip(*(p.gradients for p in asked.case.parameters), strict=True)
    skipped = [any(g is not None and not np.isfinite(g).all() for g in gs) for gs in at_steps]
    return any(
        skipped[steps[0]]
        for group in asked.case.groups
        if (steps := [t for t, h in enumerate(group.schedule) if h.momentum and _moves(group, t)])
    )


def _moves(group: Group, t: int) -> bool:
    return any(p.gradients[t] is not None for p in group.parameters)


def _finite(p: Parameter) -> bool:
    return all(g is None or bool(np.isfinite(g).all()) for g in (p.initial, *p.gradients))


def _nonfinite(asked: Asked) -> bool:
    """Something is, or may become, infinite or nan."""
    return asked.case.edge or not all(_finite(p) for p in asked.case.parameters)


def _waits_on_nothing(asked: Asked) -> bool:
    """√v + ε may be zero in a parameter's dtype, or nan, while a rule does not yet use it."""
    vanishing = _of("float16")(asked) and _stepped(lambda h: h.eps < SMALLEST_FLOAT16 / 2)(asked)
    overflowing = asked.case.edge or any(
        g is not None and bool(np.any(np.abs(g) >= LARGE))
        for p in asked.case.parameters
        for g in p.gradients
    )
    return vanishing or (overflowing and _stepped(lambda h: h.beta2 == 0)(asked))


def _slow_float16(asked: Asked) -> bool:
    """A float16 parameter makes a rectified step at a low rate."""
    return any(
        g is not None and 0 < _rectified_rate(asked.rule, h, _seen(asked.case, p, t)) < LOW_RATE
        for i, group, p in asked.case.walk()
        if asked.dtype(i) == "float16"
        for t, (g, h) in enumerate(zip(p.gradients, group.schedule, strict=True))
    )


def _seen(case: Case, p: Parameter, t: int) -> int:
    """Gradients that a parameter has seen after a step, as its counter has it."""
    return _counted(case, sum(g is not None for g in p.gradients[: t + 1]))


def _counted(case: Case, taken: int) -> int:
    """What a counter says after so many gradients of the case."""
    return case.elapsed + taken - 1 if case.elapsed and taken > 1 else taken


def _rectified_rate(rule: Rule, h: Hyper, t: int) -> float:
    """RAdam's γr√c₂/c₁, which the root of the mean square is divided by; 0 while it waits."""
    lines = rule.torch
    length = lines.length(t, h)
    if length <= lines.threshold:
        return 0.0
    rectification = lines.rectification(length, lines.limit(h))
    return float(h.lr * rectification * math.sqrt(1 - h.beta2**t) / lines.correction(h.beta1, t))


def _eps_matters(asked: Asked) -> bool:
    """A rectified step has an ε, or a mean square may be zero."""
    return any(
        _rectified_rate(asked.rule, h, _seen(asked.case, p, t)) > 0
        or asked.case.edge
        or h.weight_decay != 0
        or not g.all()
        for _, group, p in asked.case.walk()
        for t, (g, h) in enumerate(zip(p.gradients, group.schedule, strict=True))
        if g is not None and h.eps != 0
    )


def _rate_in_float32(asked: Asked) -> bool:
    """A rate is no float32 beside a float64 parameter, or is computed beside a float32 one."""
    return any(
        h.lr_decay != 0 or (asked.dtype(i) == "float64" and h.lr != float(np.float32(h.lr)))
        for i, group, p in asked.case.walk()
        if asked.dtype(i) in FULL
        for g, h in zip(p.gradients, group.schedule, strict=True)
        if g is not None
    )


@dataclass(frozen=True)
class _Move:
    """One gradient taken by one parameter, and all that the rule's roundings may make of it.

    Attributes:
        dtype: the parameter's.
        h: hyperparameters of this step.
        w, g: parameter before it, and gradient.
        state: buffers after it, and how many gradients its counter has.
    """

    dtype: str
    h: Hyper
    w: Enclosure
    g: Enclosure
    state: Mapping[str, Any]

    @property
    def format(self) -> Format:
        return FORMATS[self.dtype]

    @property
    def variance(self) -> Enclosure:
        """What Adam takes the root of."""
        buffer: Enclosure = self.state["max_exp_avg_sq" if self.h.amsgrad else "exp_avg_sq"]
        return buffer

    @property
    def decay(self) -> WideArray:
        """The largest λ|w|."""
        factor = self.h.weight_decay
        return factor * _largest(self.w) if factor else np.zeros(self.w.shape, dtype=Wide)

    @np.errstate(all="ignore")
    def stalls(self, denominator: Enclosure) -> bool:
        """Whether a finite denominator over the rate may be infinite, and the step shows in w.

        A factor of two is left to a text of the quotient that rounds elsewhere, and another to the
        roundings of w.
        """
        least, most = denominator.mid - denominator.rad, denominator.mid + denominator.rad
        largest = float(self.format.largest)
        rate = self.h.lr / (1 - self.h.beta1 ** self.state["step"])
        leaves = (least <= largest) & (most > rate * (largest / 2))
        step = rate * _largest(self.state["exp_avg"]) / least
        shown = np.maximum(self.format.u * _largest(self.w), self.format.eta) / 2
        return bool(np.any(leaves & ((step > shown) | (least <= 0))))


def _largest(x: Enclosure) -> WideArray:
    """The largest absolute value it holds."""
    size: WideArray = np.abs(x.mid) + x.rad
    return size


def _some(
    by: Callable[[_Move], bool], at: Callable[[str, Hyper], bool] = lambda dtype, h: True
) -> Region:
    """Some gradient is taken in such a way, of those that are taken in such a dtype and step."""
    return lambda asked: any(
        by(move)
        for i, group, p in asked.case.walk()
        if any(at(asked.dtype(i), h) for h in group.schedule)
        for move in _followed(asked, group.schedule, p, asked.dtype(i))
        if at(move.dtype, move.h)
    )


@quiet
def _followed(asked: Asked, schedule: Sequence[Hyper], p: Parameter, dtype: str) -> list[_Move]:
    """What a parameter goes through, by the rule."""
    rule, count, moves = asked.rule, partial(_counted, asked.case), []
    w, gradients = lifted(p, dtype)
    hypers = [exactly(h) for h in schedule]
    followed = rule.run(rule.torch, w, gradients, hypers, count=count)
    for g, h, (moved, state) in zip(gradients, schedule, followed, strict=True):
        if g is not None:
            moves.append(_Move(dtype, h, w, g, {**state, "step": count(state["step"])}))
        w = moved
    return moves


@quiet
def _root(move: _Move) -> Enclosure:
    """Adam's √(v/c₂) + ε."""
    c2 = 1 - move.h.beta2 ** move.state["step"]
    root: Enclosure = np.sqrt(move.variance / c2) + move.h.eps
    return root


def _vanishing(move: _Move) -> bool:
    """Adam's variance may be 0, as its roundings have it."""
    return bool(np.any(move.variance.mid <= move.variance.rad))


@np.errstate(all="ignore")
def _unsquared(move: _Move) -> bool:
    """The square of what Adam sees may be infinite; a factor of two is for roundings."""
    root = math.sqrt(float(move.format.largest))
    return bool(np.any(np.abs(move.g.mid) + move.decay >= root / 2))


@np.errstate(all="ignore")
def _undefined(move: _Move) -> bool:
    """What Adam sees may be nan: a gradient is, or an infinite one meets an infinite decay."""
    g, decay = move.g.mid, move.decay
    opposite = np.isinf(g) & (decay >= float(move.format.largest) / 2)
    return bool(np.any(np.isnan(g) | np.isnan(decay) | opposite))


def _amsgrad_nonfinite(asked: Asked) -> bool:
    """A running maximum may be asked of a nan; an infinite variance times β₂ = 0 is one, too."""
    if not _moved(lambda h: h.amsgrad)(asked):
        return False
    forgets = _moved(lambda h: h.beta2 == 0)(asked)
    return _some(_undefined)(asked) or (forgets and _some(_unsquared)(asked))


def _half_betas(asked: Asked) -> bool:
    """A moving half-precision parameter's dtype does not hold β₁ and 1 − β₁."""
    return any(
        _rounds(dtype, h.beta1, 1 - h.beta1)
        for i, group, p in asked.case.walk()
        if (dtype := asked.dtype(i)) in HALF
        for _, h in _steps_taken(group, p)
    )


def _rounds(dtype: str, *numbers: float) -> bool:
    return bool(np.any(round_to(dtype, numbers) != np.array(numbers)))


def _mixed_rates(asked: Asked) -> bool:
    """At some step 1/√t is below Adafactor's γ for some parameters of a list, and not for all."""
    number = (
        np.float64 if asked.precision in ("float64", MIXED) else np.float32
    )  # what holds a tensor γ
    bounded: dict[tuple[Group, str, int], set[bool]] = defaultdict(set)
    for i, group, p in asked.case.walk():
        for count, (t, h) in enumerate(_steps_taken(group, p), 1):
            bounds = bool(number(1 / math.sqrt(count)) < number(h.lr))
            bounded[group, asked.dtype(i), t].add(bounds)
    return any(len(kinds) > 1 for kinds in bounded.values())


def _steps_taken(group: Group, p: Parameter) -> list[tuple[int, Hyper]]:
    """The steps at which a parameter has a gradient, and their hyperparameters."""
    return [(t, h) for t, h in enumerate(group.schedule) if p.gradients[t] is not None]


def _late_momentum(asked: Asked) -> bool:
    """A parameter's first gradient meets no momentum, and a later one does."""
    return any(
        not moves[0].momentum and any(h.momentum for h in moves)
        for _, group, p in asked.case.walk()
        if (moves := [h for _, h in _steps_taken(group, p)])
    )


def _other_accumulator(asked: Asked) -> bool:
    """Sums of squares of some later group are to start from another value than the constructor's.

    What they start from is in force at the first step or, of a late group, at the first gradient.
    """
    first = asked.case.groups[0].schedule[0].initial_accumulator_value
    starts = (
        [h for _, h in _steps_taken(group, p)][:1] if group.joins else group.schedule[:1]
        for _, group, p in asked.case.walk()
    )
    return any(h.initial_accumulator_value != first for begin in starts for h in begin)


DECAYS = _moved(lambda h: h.weight_decay != 0)


def _counter_ends(asked: Asked) -> bool:
    """A counter is to pass the last number up to which float32 holds every whole one."""
    case = asked.case
    return case.elapsed + case.steps - 1 > LAST_COUNTED


PLAIN_NESTEROV = _stepped(lambda h: h.nesterov and h.weight_decay == 0 and not h.maximize)

PLAIN_DECAY = _stepped(lambda h: h.weight_decay != 0 and not h.maximize)

REGIONS: Mapping[str, Region] = {
    "late_buffer": _late_buffer,
    "layouts_differ": _layouts_differ,
    "odd_layout": _odd_layout,
    "half_vectors": _half_vectors,
    "plain_nesterov": PLAIN_NESTEROV,
    "plain_nesterov_expanded": _laid("expanded", PLAIN_NESTEROV),
    "decayed": PLAIN_DECAY,
    "decayed_expanded": _laid("expanded", PLAIN_DECAY),
    "skips_first": _skips_first,
    "zero_rate": _some(_vanishing, lambda dtype, h: h.lr == 0),
    "low_rate_float16": _some(
        lambda move: move.stalls(_root(move)), lambda dtype, h: dtype == "float16"
    ),
    "amsgrad_nonfinite": _amsgrad_nonfinite,
    "late_group": lambda asked: any(group.joins for group in asked.case.groups),
    "other_accumulator": _other_accumulator,
    "late_momentum": _late_momentum,
    "waits_on_nothing": _waits_on_nothing,
    "slow_float16": _slow_float16,
    "norm_over_rate": _some(lambda move: move.stalls(move.state["exp_inf"])),
    "several_steps": lambda asked: asked.case.steps > 1,
    "no_elements": _moved(which=lambda p: p.initial.size == 0),
    "no_columns": _moved(
        lambda h: h.adjust_lr_fn != "match_rms_adamw", lambda p: p.initial.shape[-1] == 0
    ),
    "staggered": lambda asked: any(
        len({tuple(g is None for g in p.gradients) for p in group.parameters}) > 1
        for group in asked.case.groups
    ),
    "no_look_ahead": _moved(lambda h: not h.nesterov),
    "mixed_rates": _mixed_rates,
    "half_betas": _half_betas,
    "default_eps": _stepped(lambda h: h.eps1 is None),
    "sparse_ascent": _laid("sparse", _moved(lambda h: h.maximize)),
    "bent_rate": _moved(lambda h: h.lr != 0 and h.lambd != 0 and h.alpha != 1),
    "moves": _moved(),
    "with_momentum": _moved(lambda h: h.momentum != 0),
    "without_momentum": _moved(lambda h: h.momentum == 0),
    "matrices": _moved(which=lambda p: p.initial.ndim > 1),
    "ascends": _moved(lambda h: h.maximize),
    "decays": DECAYS,
    "amsgrad": _moved(lambda h: h.amsgrad),
    "nonfinite": _nonfinite,
    "nonfinite_decays": lambda asked: _nonfinite(asked) and DECAYS(asked),
    "scalars": _moved(which=lambda p: p.initial.ndim == 0),
    "eps_matters": _eps_matters,
    "rate_in_float32": _rate_in_float32,
    "counter_ends": _counter_ends,
    "strided_parameter": _moved(which=lambda p: _memory(p.layout, p) != "contiguous"),
    "half_parameters": _of(*HALF),
}
