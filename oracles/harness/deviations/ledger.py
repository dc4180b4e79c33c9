"""The ledger of known deviations: what released versions of torch get wrong, as rows of data.

``deviations.toml`` holds the rows and says what their fields mean. A row's region is a predicate on
cases; they are defined here, by name.
"""

from __future__ import annotations

import math
import tomllib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from oracles.harness.arithmetic.formats import (
    FORMATS,
    FloatArray,
    Format,
    round_to,
)
from oracles.harness.cases.case import (
    MIXED,
    Case,
    Group,
    Parameter,
    dtype_of,
    from_data,
    plain,
)
from oracles.optimizers.registry import RULES
from oracles.rule import Hyper, Rule

LEDGER = Path(__file__).with_name("deviations.toml")

SHORTEST_REGISTER = 8
"""Half-precision elements in the shortest SIMD register torch is built for (NEON, 128 bits)."""

SMALLEST_FLOAT16 = 2.0**-24
"""The smallest positive float16."""

LARGE = 2.0**8
"""Squares of this are infinite in float16."""

LOW_RATE = 2.0**-10
"""Below it a denominator of RAdam's of up to 64, divided by the rate, leaves float16."""

GENERAL = "agreement"
"""A deviation from this check shows in every check that steps the same case."""


@dataclass(frozen=True)
class Deviation:
    """One row of the ledger."""

    rules: tuple[str, ...]
    id: str
    check: str
    paths: tuple[str, ...]
    dtypes: tuple[str, ...]
    devices: tuple[str, ...]
    versions: SpecifierSet
    region: str
    reason: str
    upstream: str
    case: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.reason} {self.upstream}".strip()

    def concerns(self, subject: Any) -> bool:
        """Whether the row is about this path, dtype and device."""
        return (
            not {subject.path.name, subject.running.name}.isdisjoint(self.paths)
            and (not self.dtypes or subject.dtype in self.dtypes)
            and (not self.devices or not set(self.devices).isdisjoint(subject.device.split("+")))
            and subject.of_torch
        )

    def holds_for(self, torch_version: str) -> bool:
        """Whether the row says that this version of torch deviates."""
        return self.versions.contains(Version(torch_version).base_version)

    def covers(self, check: str, subject: Any, case: Case) -> bool:
        """Whether this subject is known to fail this check on this case."""
        return (
            self.check in (check, GENERAL)
            and self.concerns(subject)
            and self.in_region(case, subject.dtype)
        )

    def in_region(self, case: Case, dtype: str) -> bool:
        """Whether a case is one on which the deviation shows in that dtype."""
        return REGIONS[self.region](case, dtype)

    def reproducer(self, rule: Rule) -> Case:
        """The row's minimal case."""
        return from_data(rule, self.case)


@cache
def ledger() -> tuple[Deviation, ...]:
    """All rows.

    Raises:
        ValueError: a row names an unknown region or lacks a field.
    """
    rows = []
    for table in tomllib.loads(LEDGER.read_text(encoding="utf-8"))["deviation"]:
        if table.get("region") not in REGIONS:
            raise ValueError(
                f"deviation {table.get('id')!r}: region={table.get('region')!r} is not known; "
                f"allowed: {', '.join(REGIONS)}"
            )
        try:
            for name in ("rules", "paths", "dtypes", "devices"):
                table[name] = tuple(table.get(name, ()))
            table["versions"] = SpecifierSet(table["versions"])
            rows.append(Deviation(**table))
        except (TypeError, KeyError) as error:
            raise ValueError(f"deviation {table.get('id')!r}: {error}") from error
    return tuple(rows)


@cache
def active(rule: str, torch_version: str) -> tuple[Deviation, ...]:
    """The rows about a rule that hold for a version of torch."""
    return tuple(r for r in ledger() if rule in r.rules and r.holds_for(torch_version))


def sound(check: str, subject: Any) -> bool:
    """Whether torch itself does two plain steps right, as far as a check sees.

    Where it does not, rows leave everything out, and nothing can be said of the subject.
    """
    known = active(subject.rule.name, subject.version)
    return not any(row.covers(check, subject, plain(subject.rule)) for row in known)


def _late_buffer(case: Case, axis: str) -> bool:
    """At some step of some group, buffers of some moving parameters exist and others' do not."""
    return any(_mixed_buffers(group) for group in case.groups)


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


def _layouts_differ(case: Case, axis: str) -> bool:
    """A parameter and its gradient are not the same dense block of memory."""
    return any(
        _memory(p.layout, p) != _memory(p.gradient_layout, p) or _memory(p.layout, p) == "strided"
        for p in case.parameters
    )


def _odd_layout(case: Case, axis: str) -> bool:
    """Some parameter or gradient is not contiguous."""
    return any({p.layout, p.gradient_layout} != {"contiguous"} for p in case.parameters)


def _memory(layout: str, p: Parameter) -> str:
    """The layout that tells in memory: many coincide for small shapes."""
    shape = p.initial.shape
    longer = sum(n > 1 for n in shape)
    if p.initial.size <= 1 or (layout == "transposed" and longer <= 1):
        return "contiguous"
    if layout == "expanded" and shape[0] == 1:
        return "contiguous"
    return layout


def _half_vectors(case: Case, axis: str) -> bool:
    """A half-precision parameter is long enough for a SIMD register."""
    return any(
        dtype_of(axis, i) in ("bfloat16", "float16") and p.initial.size >= SHORTEST_REGISTER
        for i, p in enumerate(case.parameters)
    )


def _plain_nesterov(case: Case, axis: str) -> bool:
    """A step looks ahead without decay and without maximize."""
    return any(
        h.nesterov and h.weight_decay == 0 and not h.maximize
        for group in case.groups
        for h in group.schedule
    )


def _decayed(case: Case, axis: str) -> bool:
    """A step decays without maximize."""
    return any(
        h.weight_decay != 0 and not h.maximize for group in case.groups for h in group.schedule
    )


def _moved(
    by: Callable[[Hyper], bool], which: Callable[[Parameter], bool] = lambda p: True
) -> Callable[[Case, str], bool]:
    """Such a step moves such a parameter."""

    def region(case: Case, axis: str) -> bool:
        return any(
            by(h) and p.gradients[t] is not None
            for _, group, p in case.walk()
            if which(p)
            for t, h in enumerate(group.schedule)
        )

    return region


def _skips_first(case: Case, axis: str) -> bool:
    """The step that would create a group's momentum buffers is skipped by the grad scaler."""
    at_steps = zip(*(p.gradients for p in case.parameters), strict=True)
    skipped = [any(g is not None and not np.isfinite(g).all() for g in gs) for gs in at_steps]
    return any(
        skipped[steps[0]]
        for group in case.groups
        if (steps := [t for t, h in enumerate(group.schedule) if h.momentum and _moves(group, t)])
    )


def _moves(group: Group, t: int) -> bool:
    return any(p.gradients[t] is not None for p in group.parameters)


def _finite(p: Parameter) -> bool:
    return all(g is None or bool(np.isfinite(g).all()) for g in (p.initial, *p.gradients))


def _nonfinite(case: Case, axis: str) -> bool:
    """Something is, or may become, infinite or nan."""
    return case.edge or not all(_finite(p) for p in case.parameters)


def _waits_on_nothing(case: Case, axis: str) -> bool:
    """√v + ε may be zero in a parameter's dtype, or nan, while a rule does not yet use it."""
    schedule = [h for group in case.groups for h in group.schedule]
    vanishing = _has_float16(case, axis) and any(h.eps < SMALLEST_FLOAT16 / 2 for h in schedule)
    overflowing = case.edge or any(
        g is not None and bool(np.any(np.abs(g) >= LARGE))
        for p in case.parameters
        for g in p.gradients
    )
    return vanishing or (overflowing and any(h.beta2 == 0 for h in schedule))


def _slow_float16(case: Case, axis: str) -> bool:
    """A float16 parameter makes a rectified step at a low rate."""
    return any(
        g is not None
        and 0 < _rectified_rate(h, sum(x is not None for x in p.gradients[: t + 1])) < LOW_RATE
        for i, group, p in case.walk()
        if dtype_of(axis, i) == "float16"
        for t, (g, h) in enumerate(zip(p.gradients, group.schedule, strict=True))
    )


def _rectified_rate(h: Hyper, t: int) -> float:
    """RAdam's γr√c₂/c₁, which the root of the mean square is divided by; 0 while it waits."""
    unseen, limit = h.beta2**t, 2 / (1 - h.beta2) - 1
    length = limit - 2 * t * unseen / (1 - unseen)
    if length <= 5:
        return 0.0
    square = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
    return float(h.lr * math.sqrt(square * (1 - unseen)) / (1 - h.beta1**t))


def _eps_matters(case: Case, axis: str) -> bool:
    """A rectified step has an ε, or a mean square may be zero."""
    return any(
        _rectified_rate(h, sum(x is not None for x in p.gradients[: t + 1])) > 0
        or case.edge
        or h.weight_decay != 0
        or not g.all()
        for _, group, p in case.walk()
        for t, (g, h) in enumerate(zip(p.gradients, group.schedule, strict=True))
        if g is not None and h.eps != 0
    )


def _rate_in_float32(case: Case, axis: str) -> bool:
    """A rate is no float32 beside a float64 parameter, or is computed beside a float32 one."""
    return any(
        h.lr_decay != 0 or (dtype_of(axis, i) == "float64" and h.lr != float(np.float32(h.lr)))
        for i, group, p in case.walk()
        if dtype_of(axis, i) in ("float64", "float32")
        for g, h in zip(p.gradients, group.schedule, strict=True)
        if g is not None
    )


@dataclass(frozen=True)
class _Move:
    """One gradient taken by one parameter: what the rule says in float64, from rounded values.

    Attributes:
        dtype: the parameter's.
        h: hyperparameters of this step.
        w, g: parameter before it, and gradient.
        state: buffers after it.
    """

    dtype: str
    h: Hyper
    w: FloatArray
    g: FloatArray
    state: Mapping[str, Any]

    @property
    def format(self) -> Format:
        return FORMATS[self.dtype]

    @property
    def variance(self) -> FloatArray:
        """What Adam takes the root of."""
        name = "max_exp_avg_sq" if self.h.amsgrad else "exp_avg_sq"
        return np.asarray(self.state[name], dtype=np.float64)

    @np.errstate(all="ignore")
    def stalls(self, denominator: FloatArray) -> bool:
        """Whether a finite denominator over the rate may be infinite, and the step shows in w.

        A factor of two is left to the roundings of both, and another to those of w.
        """
        largest = float(self.format.largest)
        rate = self.h.lr / (1 - self.h.beta1 ** self.state["step"])
        leaves = (denominator <= largest) & (denominator > rate * (largest / 2))
        step = rate * np.abs(self.state["exp_avg"]) / denominator
        least = np.maximum(self.format.u * np.abs(self.w), self.format.eta) / 2
        return bool(np.any(leaves & (step > least)))


def _some(by: Callable[[_Move], bool]) -> Callable[[Case, str], bool]:
    """Some gradient is taken in such a way."""
    return lambda case, axis: any(
        by(move)
        for i, group, p in case.walk()
        for move in _followed(group.schedule, p, dtype_of(axis, i))
    )


@np.errstate(all="ignore")
def _followed(schedule: Sequence[Hyper], p: Parameter, dtype: str) -> list[_Move]:
    """What a parameter goes through, by the rule whose hyperparameters these are."""
    rule = next(rule for rule in RULES.values() if type(schedule[0]) is rule.hyper)
    gradients = [None if g is None else round_to(dtype, g) for g in p.gradients]
    w, moves = round_to(dtype, p.initial), []
    for g, h, (moved, state) in zip(
        gradients, schedule, rule.run(rule.torch, w, gradients, schedule), strict=True
    ):
        if g is not None:
            moves.append(_Move(dtype, h, w, g, state))
        w = moved
    return moves


@np.errstate(all="ignore")
def _root(move: _Move) -> FloatArray:
    """Adam's √(v/c₂) + ε."""
    c2 = 1 - move.h.beta2 ** move.state["step"]
    root: FloatArray = np.sqrt(move.variance / c2) + move.h.eps
    return root


def _vanishing(move: _Move) -> bool:
    """Adam's variance may be 0: every step rounds it by η at most, and has other roundings."""
    return bool(np.any(move.variance <= 4 * move.state["step"] * move.format.eta))


@np.errstate(all="ignore")
def _unsquared(move: _Move) -> bool:
    """The square of what Adam sees may be infinite; a factor of two is for roundings."""
    root = math.sqrt(float(move.format.largest))
    return bool(np.any(np.abs(move.g) + _decay(move) >= root / 2))


@np.errstate(all="ignore")
def _undefined(move: _Move) -> bool:
    """What Adam sees may be nan: a gradient is, or an infinite one meets an infinite decay."""
    decay = _decay(move)
    opposite = np.isinf(move.g) & (decay >= float(move.format.largest) / 2)
    return bool(np.any(np.isnan(move.g) | np.isnan(decay) | opposite))


def _decay(move: _Move) -> FloatArray:
    factor = move.h.weight_decay
    return factor * np.abs(move.w) if factor else np.zeros_like(move.w)


def _amsgrad_nonfinite(case: Case, axis: str) -> bool:
    """A running maximum may be asked of a nan; an infinite variance times β₂ = 0 is one, too."""
    forgets = _moved(lambda h: h.beta2 == 0)(case, axis)
    nan = _some(_undefined)(case, axis) or (forgets and _some(_unsquared)(case, axis))
    return nan and _moved(lambda h: h.amsgrad)(case, axis)


def _half_betas(case: Case, axis: str) -> bool:
    """A moving half-precision parameter's dtype does not hold β₁ and 1 − β₁."""
    return any(
        _rounds(dtype, h.beta1, 1 - h.beta1)
        for i, group, p in case.walk()
        if (dtype := dtype_of(axis, i)) in ("bfloat16", "float16")
        for _, h in _steps_taken(group, p)
    )


def _rounds(dtype: str, *numbers: float) -> bool:
    return bool(np.any(round_to(dtype, numbers) != np.array(numbers)))


def _mixed_rates(case: Case, axis: str) -> bool:
    """At some step 1/√t is below Adafactor's γ for some parameters of a list, and not for all."""
    number = np.float64 if axis in ("float64", MIXED) else np.float32  # what holds a tensor γ
    bounded: dict[tuple[Group, str, int], set[bool]] = defaultdict(set)
    for i, group, p in case.walk():
        for count, (t, h) in enumerate(_steps_taken(group, p), 1):
            bounds = bool(number(1 / math.sqrt(count)) < number(h.lr))
            bounded[group, dtype_of(axis, i), t].add(bounds)
    return any(len(kinds) > 1 for kinds in bounded.values())


def _steps_taken(group: Group, p: Parameter) -> list[tuple[int, Hyper]]:
    """The steps at which a parameter has a gradient, and their hyperparameters."""
    return [(t, h) for t, h in enumerate(group.schedule) if p.gradients[t] is not None]


def _late_momentum(case: Case, axis: str) -> bool:
    """A parameter's first gradient meets no momentum, and a later one does."""
    return any(
        not moves[0].momentum and any(h.momentum for h in moves)
        for _, group, p in case.walk()
        if (moves := [h for _, h in _steps_taken(group, p)])
    )


def _has_float16(case: Case, axis: str) -> bool:
    return any(dtype_of(axis, i) == "float16" for i in range(len(case.parameters)))


DECAYS = _moved(lambda h: h.weight_decay != 0)

REGIONS: Mapping[str, Callable[[Case, str], bool]] = {
    "late_buffer": _late_buffer,
    "layouts_differ": _layouts_differ,
    "odd_layout": _odd_layout,
    "half_vectors": _half_vectors,
    "plain_nesterov": _plain_nesterov,
    "plain_nesterov_expanded": lambda case, axis: (
        case.has("expanded") and _plain_nesterov(case, axis)
    ),
    "decayed": _decayed,
    "decayed_expanded": lambda case, axis: case.has("expanded") and _decayed(case, axis),
    "skips_first": _skips_first,
    "zero_rate": _some(lambda move: move.h.lr == 0 and _vanishing(move)),
    "low_rate_float16": _some(lambda move: move.dtype == "float16" and move.stalls(_root(move))),
    "amsgrad_nonfinite": _amsgrad_nonfinite,
    "late_group": lambda case, axis: any(group.joins for group in case.groups),
    "other_accumulator": lambda case, axis: any(
        h.initial_accumulator_value != case.groups[0].schedule[0].initial_accumulator_value
        for group in case.groups[1:]
        for h in group.schedule
    ),
    "late_momentum": _late_momentum,
    "waits_on_nothing": _waits_on_nothing,
    "slow_float16": _slow_float16,
    "norm_over_rate": _some(lambda move: move.stalls(move.state["exp_inf"])),
    "several_steps": lambda case, axis: case.steps > 1,
    "no_elements": _moved(lambda h: True, lambda p: p.initial.size == 0),
    "no_columns": _moved(
        lambda h: h.adjust_lr_fn != "match_rms_adamw", lambda p: p.initial.shape[-1] == 0
    ),
    "staggered": lambda case, axis: any(
        len({tuple(g is None for g in p.gradients) for p in group.parameters}) > 1
        for group in case.groups
    ),
    "no_look_ahead": _moved(lambda h: not h.nesterov),
    "mixed_rates": _mixed_rates,
    "half_betas": _half_betas,
    "default_eps": lambda case, axis: any(h.eps1 is None for g in case.groups for h in g.schedule),
    "sparse_ascent": lambda case, axis: (
        case.has("sparse") and _moved(lambda h: h.maximize)(case, axis)
    ),
    "bent_rate": _moved(lambda h: h.lr != 0 and h.lambd != 0 and h.alpha != 1),
    "moves": _moved(lambda h: True),
    "ascends": _moved(lambda h: h.maximize),
    "decays": DECAYS,
    "amsgrad": _moved(lambda h: h.amsgrad),
    "nonfinite": _nonfinite,
    "nonfinite_decays": lambda case, axis: _nonfinite(case, axis) and DECAYS(case, axis),
    "scalars": _moved(lambda h: True, lambda p: p.initial.ndim == 0),
    "eps_matters": _eps_matters,
    "rate_in_float32": _rate_in_float32,
    "half_parameters": lambda case, axis: any(
        dtype_of(axis, i) in ("bfloat16", "float16") for i in range(len(case.parameters))
    ),
}
