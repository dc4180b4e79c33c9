"""The generators reach the hard cases of every rule, within examples of the thorough profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from unittest import SkipTest

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import DTYPES, round_each
from oracles.harness.cases import strategies
from oracles.harness.cases.case import Case, Group, Parameter, dtype_of
from oracles.harness.cases.enduring import ELAPSED, STEPS, late_cases, long_runs
from oracles.harness.cases.large import (
    CHUNK,
    GRAIN,
    TENSORS,
    Enlarged,
    long_cases,
    many_cases,
    matrix_cases,
)
from oracles.harness.cases.separating import separating_cases
from oracles.harness.cases.short import short_cases
from oracles.harness.cases.strategies import Lead
from oracles.optimizers.registry import RULES
from oracles.rule import Convention, Rule
from tests.support.marks import slow

Predicate = Callable[[Case], bool]
Features = dict[str, Predicate]

QUICK = ("SGD", "Adam")
"""Rules whose cases are looked at each time; those of the others are drawn in the same ways."""

SLOW = [name for name in RULES if name not in QUICK]
ALL = pytest.mark.parametrize(
    "rule",
    slow(RULES.values(), *SLOW, by=lambda rule: rule.name),
    ids=lambda rule: rule.name,
)


def of_shape(shape: tuple[int, ...], p: Parameter) -> bool:
    return p.initial.shape == shape


def of_steps(steps: int, case: Case) -> bool:
    return case.steps == steps


def both_ways(switch: str, case: Case) -> bool:
    """Two groups of one case, with and without it."""
    return len({getattr(group.schedule[0], switch) for group in case.groups}) == 2


def some_parameter(holds: Callable[[Parameter], bool]) -> Predicate:
    return lambda case: any(holds(p) for p in case.parameters)


def some_group(holds: Callable[[Group], bool]) -> Predicate:
    return lambda case: any(holds(g) for g in case.groups)


def hyper(name: str, value: object) -> Predicate:
    return some_group(lambda g: any(getattr(h, name) == value for h in g.schedule))


def changes(name: str) -> Predicate:
    return some_group(lambda g: len({getattr(h, name) for h in g.schedule}) > 1)


def differing(one: Hyper, other: Hyper) -> int:
    """The number of hyperparameters in which two sets differ."""
    return sum(a != b for a, b in zip(one, other, strict=True))


def switched_on(name: str) -> Predicate:
    """Zero at first, and not for ever."""
    return some_group(lambda g: getattr(g.schedule[0], name) == 0 < getattr(g.schedule[-1], name))


def long_with_tail(block: int) -> Predicate:
    """A vector of more than two SIMD blocks, and some elements over."""
    return some_parameter(lambda p: p.initial.size > 2 * block and p.initial.size % block > 0)


def in_dtype(dtype: str, holds: Predicate) -> Predicate:
    return lambda case: dtype in case.precisions and holds(case)


# --- what every optimizer is asked --------------------------------------------------------------

SHAPES: Features = {
    "0-d": some_parameter(lambda p: p.initial.shape == ()),
    "empty": some_parameter(lambda p: p.initial.size == 0),
    "4-d": some_parameter(lambda p: p.initial.ndim == 4),
    "a row": some_parameter(lambda p: p.initial.ndim > 1 and p.initial.shape[0] == 1),
    "a column": some_parameter(lambda p: p.initial.ndim > 1 and p.initial.shape[1] == 1),
    "float64 past SIMD blocks": in_dtype("float64", long_with_tail(8)),
    "float32 past SIMD blocks": in_dtype("float32", long_with_tail(16)),
    "bfloat16 past SIMD blocks": in_dtype("bfloat16", long_with_tail(32)),
    "float16 past SIMD blocks": in_dtype("float16", long_with_tail(32)),
    "past unrolled blocks": long_with_tail(64),
}

LAYOUTS: Features = {
    "strided gradient": some_parameter(lambda p: p.gradient_layout == "strided"),
    "expanded gradient": some_parameter(lambda p: p.gradient_layout == "expanded"),
}

GENERAL: Features = {
    "strided": some_parameter(lambda p: p.layout == "strided"),
    "transposed": some_parameter(lambda p: p.layout == "transposed" and p.initial.ndim > 1),
    "mixed dtypes": lambda case: "mixed" in case.precisions and len(case.parameters) >= 4,
    "groups that differ": lambda case: len({g.schedule[0] for g in case.groups}) > 1,
    "groups that differ in one hyperparameter": lambda case: any(
        differing(case.groups[0].schedule[0], g.schedule[0]) == 1 for g in case.groups[1:]
    ),
    "a third of the hyperparameters change at once": some_group(
        lambda g: any(differing(g.schedule[0], h) > len(h) // 3 for h in g.schedule)
    ),
    "late group": some_group(lambda g: g.joins > 0),
    "missing gradient": some_parameter(lambda p: any(g is None for g in p.gradients[1:])),
    "late gradient": some_parameter(
        lambda p: p.gradients[0] is None and p.gradients[-1] is not None
    ),
    "gap between gradients": some_parameter(
        lambda p: "101" in "".join(str(int(g is not None)) for g in p.gradients)
    ),
    "late gradient of an early group": lambda case: any(
        g.joins == 0 and p.gradients[0] is None and p.gradients[-1] is not None
        for _, g, p in case.walk()
    ),
    "zero in a gradient": some_parameter(
        lambda p: any(g is not None and g.size > 1 and np.any(g == 0) for g in p.gradients)
    ),
    "more than three steps": lambda case: case.steps > 3,
    "a parameter as small as its updates": lambda case: any(
        p.initial.size >= 10 and 0 < abs(p.initial).max() <= 10 * group.schedule[0].lr <= 0.1
        for _, group, p in case.walk()
    ),
    "batch of 1": hyper("batch_size", 1),
    "batch of 4096": hyper("batch_size", 4096),
}


def general(rule: Rule) -> Features:
    """What the rule's data ask for: its shapes, steps, switches, domains and their schedules."""
    features = {
        **GENERAL,
        **({} if rule.drawing.shapes else SHAPES),
        **({"sparse gradient": lambda case: case.has("sparse")} if rule.sparse else LAYOUTS),
    }
    for shape in rule.drawing.shapes:
        features[f"shape {shape}"] = some_parameter(partial(of_shape, shape))
    for steps in rule.drawing.steps or (12,):
        features[f"{steps} steps"] = partial(of_steps, steps)
    for name, default in rule.hyper()._asdict().items():
        if isinstance(default, bool):
            features[f"{name} and not"] = partial(both_ways, name)
    for name, domain in rule.drawing.domains.items():
        features |= {f"{name} = {value}": hyper(name, value) for value in domain.special}
        if len(set(domain.special)) > 1 or domain.high:
            features[f"{name} changes"] = changes(name)
        if domain.high and 0.0 in domain.special:
            features[f"{name} is switched on later"] = switched_on(name)
    return features


# --- what is hard for one of them ---------------------------------------------------------------

Moment = tuple[int, Hyper, Parameter, list[int]]


def moments(case: Case) -> Iterator[Moment]:
    """``(number of gradients seen, hyperparameters, parameter, steps with gradients so far)``."""
    for _, group, p in case.walk():
        seen: list[int] = []
        for t, h in enumerate(group.schedule):
            if p.gradients[t] is not None:
                seen.append(t)
                yield len(seen), h, p, list(seen)


def some_moment(holds: Callable[[int, Hyper], bool]) -> Predicate:
    """At some step of some parameter, with so many gradients seen."""
    return lambda case: any(holds(t, h) for t, h, p, _ in moments(case) if p.initial.size)


def some_turn(holds: Callable[[Hyper, np.ndarray, np.ndarray], np.ndarray]) -> Predicate:
    """For some element, from one gradient of a parameter to its next."""

    def found(case: Case) -> bool:
        return any(
            bool(np.any(holds(h, p.gradients[seen[-2]], p.gradients[seen[-1]])))  # type: ignore[arg-type]
            for t, h, p, seen in moments(case)
            if t > 1
        )

    return found


def rectified(t: int, h: Hyper) -> bool:
    """Whether RAdam's average is longer than 5."""
    limit, power = 2 / (1 - h.beta2) - 1, h.beta2**t
    return bool(limit - 2 * t * power / (1 - power) > 5)


ADAM: Features = {
    "amsgrad, v falls": some_turn(lambda h, a, b: h.amsgrad & (b * b < (1 - h.beta2) * a * a)),
    "maximize with decay": some_moment(lambda t, h: h.maximize and h.weight_decay > 0),
    "no memory of the first moment": some_moment(lambda t, h: t > 1 and h.beta1 == 0),
    "no memory of the second moment": some_moment(lambda t, h: t > 1 and h.beta2 == 0),
    "corrections far from 1 at the fourth gradient": some_moment(
        lambda t, h: t > 3 and h.beta1**t > 0.2
    ),
}

HARD: dict[str, Features] = {
    "SGD": {
        "nesterov with decay at step 3": some_moment(
            lambda t, h: t > 2 and h.nesterov and h.weight_decay > 0
        ),
        "maximize with decay": some_moment(lambda t, h: h.maximize and h.weight_decay > 0),
        "dampened momentum": some_moment(lambda t, h: t > 1 and h.momentum and h.dampening > 0),
    },
    "Adam": {
        **ADAM,
        "decoupled decay": some_moment(lambda t, h: h.decoupled_weight_decay and h.weight_decay),
        "decoupled decay under maximize": some_moment(
            lambda t, h: h.decoupled_weight_decay and h.weight_decay and h.maximize
        ),
    },
    "AdamW": ADAM,
    "Adamax": {
        "the largest gradient is remembered": some_turn(lambda h, a, b: abs(b) < h.beta2 * abs(a)),
        "the largest gradient is today's": some_turn(lambda h, a, b: abs(b) > abs(a)),
        "eps makes today's the largest": some_turn(
            lambda h, a, b: (abs(b) < h.beta2 * abs(a)) & (h.beta2 * abs(a) < abs(b) + h.eps)
        ),
    },
    "NAdam": {
        "momentum decays for three steps": some_moment(lambda t, h: t > 2 and h.momentum_decay > 0),
        "momentum decays fast": some_moment(lambda t, h: h.momentum_decay > 10),
        "decoupled decay": some_moment(lambda t, h: h.decoupled_weight_decay and h.weight_decay),
    },
    "RAdam": {
        "waits": some_moment(lambda t, h: not rectified(t, h)),
        "waits at the sixth gradient": some_moment(lambda t, h: t > 5 and not rectified(t, h)),
        "is rectified": some_moment(rectified),
        "crosses the threshold": some_moment(
            lambda t, h: rectified(t, h) and not rectified(t - 1, h) if t > 1 else False
        ),
        "is rectified with eps that counts": some_moment(
            lambda t, h: rectified(t, h) and h.eps > 0.1
        ),
    },
    "Adagrad": {
        "accumulator": some_moment(lambda t, h: h.initial_accumulator_value > 0),
        "accumulator in a late group": lambda case: any(
            g.joins and g.schedule[0].initial_accumulator_value > 0 for g in case.groups
        ),
        "rate decays for three steps": some_moment(lambda t, h: t > 2 and h.lr_decay > 0),
    },
    "Adadelta": {
        "a third gradient": some_moment(lambda t, h: t > 2 and 0 < h.rho < 1),
        "nothing is forgotten": some_moment(lambda t, h: h.rho == 1),
    },
    "RMSprop": {
        "centered, with momentum, at the second gradient": some_moment(
            lambda t, h: t > 1 and h.centered and h.momentum > 0
        ),
        "centered without momentum": some_moment(lambda t, h: h.centered and h.momentum == 0),
    },
    "Rprop": {
        "an element keeps its sign": some_turn(lambda h, a, b: a * b > 0),
        "an element turns": some_turn(lambda h, a, b: a * b < 0),
        "an element pauses": some_turn(lambda h, a, b: (a * b == 0) & (a != 0)),
        "a size is too large at first": some_moment(lambda t, h: t == 1 and h.lr > h.step_size_max),
        "a size is too small at first": some_moment(lambda t, h: t == 1 and h.lr < h.step_size_min),
        "a size grows to its bound": some_turn(
            lambda h, a, b: (a * b > 0) & (h.lr < h.step_size_max < h.lr * h.etaplus)
        ),
        "a size shrinks to its bound": some_turn(
            lambda h, a, b: (a * b < 0) & (h.lr * h.etaminus < h.step_size_min < h.lr)
        ),
    },
    "ASGD": {
        "the average is the parameter": some_moment(lambda t, h: t - h.t0 <= 1),
        "the average lags": some_moment(lambda t, h: t - h.t0 > 2),
        "the rate falls for three steps": some_moment(
            lambda t, h: t > 2 and h.lambd > 0 and h.alpha > 0
        ),
    },
    "Adafactor": {
        "a matrix at the second gradient": lambda case: any(
            t > 1 and p.initial.ndim > 1 and p.initial.size for t, _, p, _ in moments(case)
        ),
        "a vector at the second gradient": lambda case: any(
            t > 1 and p.initial.ndim == 1 and p.initial.size for t, _, p, _ in moments(case)
        ),
        "decay under maximize": some_moment(lambda t, h: h.maximize and h.weight_decay > 0),
    },
    "Muon": {
        "nesterov at the third gradient": some_moment(
            lambda t, h: t > 2 and h.nesterov and h.momentum > 0
        ),
        "tall, wide and square in one case": lambda case: (
            len({np.sign(np.subtract(*p.initial.shape)) for p in case.parameters}) == 3
        ),
    },
    "SparseAdam": {
        "an element waits": some_turn(lambda h, a, b: (a != 0) & (b == 0)),
        "an element has waited": some_turn(lambda h, a, b: (a == 0) & (b != 0)),
    },
}
"""By rule; those with no entry have no hard cases of their own."""

# --- the other strategies -----------------------------------------------------------------------


def some_gradient(holds: Callable[[np.ndarray], np.ndarray]) -> Predicate:
    return some_parameter(lambda p: any(g is not None and np.any(holds(g)) for g in p.gradients))


NORMAL = {
    "float64": (2.0**-1022, 2.0**1023),
    "float32": (2.0**-126, 2.0**127),
    "bfloat16": (2.0**-126, 2.0**127),
    "float16": (2.0**-14, 2.0**15),
}
"""The smallest normal number of each dtype, and its largest power of two."""


def subnormal(dtype: str, p: Parameter) -> bool:
    return bool(np.any((p.initial != 0) & (abs(p.initial) < NORMAL[dtype][0])))


def huge(dtype: str, p: Parameter) -> bool:
    return bool(np.any(np.isfinite(p.initial) & (abs(p.initial) > NORMAL[dtype][1])))


EDGE: Features = {
    "inf gradient": some_gradient(np.isposinf),
    "nan gradient": some_gradient(np.isnan),
    **{f"subnormal in {d}": in_dtype(d, some_parameter(partial(subnormal, d))) for d in DTYPES},
    **{f"near overflow in {d}": in_dtype(d, some_parameter(partial(huge, d))) for d in DTYPES},
}


def at_the_edge(rule: Rule) -> Features:
    """Where one large element would decide all others, edges are small ones, or not finite."""
    return {n: f for n, f in EDGE.items() if rule.elementwise or "overflow" not in n}


def skips(case: Case) -> list[bool]:
    """At which steps some gradient is not finite."""
    steps = zip(*(p.gradients for p in case.parameters), strict=True)
    return [any(g is not None and not np.isfinite(g).all() for g in at_step) for at_step in steps]


SKIPPING: Features = {
    "the only step is skipped": lambda case: skips(case) == [True],
    "the first of several is": lambda case: case.steps > 1 and skips(case)[0],
    "the last of several is": lambda case: case.steps > 1 and skips(case)[-1],
    "one between others is": lambda case: any(skips(case)[1:-1]),
    "for inf": some_gradient(np.isposinf),
    "for -inf": some_gradient(np.isneginf),
    "for nan": some_gradient(np.isnan),
}

GAPS: Features = {
    "a gap": some_parameter(
        lambda p: "101" in "".join(str(int(g is not None)) for g in p.gradients)
    ),
    "a late group": some_group(lambda g: g.joins > 0),
    "a very late group": some_group(lambda g: g.joins > 2),
    "a last step without gradient": some_parameter(lambda p: p.gradients[-1] is None),
}


def sizes(case: Case) -> list[int]:
    """Elements of each parameter that subjects are asked."""
    assert isinstance(case, Enlarged)
    return [size for _, size in case.copies]


def of_size(size: int, case: Case) -> bool:
    return size in sizes(case)


def longest_in(dtype: str, case: Case) -> bool:
    """A parameter past a chunk, of that dtype, among others."""
    longest = int(np.argmax(sizes(case)))
    return "mixed" in case.precisions and dtype_of("mixed", longest) == dtype


LONG: Features = {
    **{
        f"{boundary:,} and {more}": partial(of_size, boundary + more)
        for boundary in (512, 1024, 4096, GRAIN, CHUNK, 2 * CHUNK)
        for more in (-1, 0, 1)
    },
    **{f"{dtype} past a chunk": partial(longest_in, dtype) for dtype in DTYPES},
    **{f"all in {dtype}": in_dtype(dtype, lambda case: True) for dtype in DTYPES},
    "strided": some_parameter(lambda p: p.layout == "strided"),
    "two steps": partial(of_steps, 2),
}


def moving(number: int, case: Case) -> bool:
    """So many parameters have a gradient at the first step."""
    assert isinstance(case, Enlarged)
    return sum(case.parameters[i].gradients[0] is not None for i, _ in case.copies) == number


MANY: Features = {
    **{
        f"{more} past a multiple of {tensors}": lambda case, tensors=tensors, more=more: any(  # type: ignore[misc]
            moving(tensors * times + more, case) for times in range(2, 8)
        )
        for tensors in TENSORS
        for more in (-1, 0, 1)
    },
    "mixed dtypes": in_dtype("mixed", lambda case: True),
    "some without gradient": some_parameter(lambda p: any(g is None for g in p.gradients)),
    "some that never have one": some_parameter(lambda p: all(g is None for g in p.gradients)),
    "two steps": partial(of_steps, 2),
}


@ALL
def test_many_cases(rule: Rule) -> None:
    assert not missed(many_cases(rule), MANY, 360)


@ALL
def test_large_cases(rule: Rule) -> None:
    if rule.drawing.shapes:
        pytest.skip("it is asked the shapes whose roundings are known")
    if rule.elementwise:
        assert not missed(long_cases(rule), LONG, 360)
    else:
        features = {
            f"past a share in {dtype}": in_dtype(
                dtype, some_parameter(lambda p: p.initial.size > GRAIN)
            )
            for dtype in DTYPES
        }
        assert not missed(matrix_cases(rule), features, 60)


LATE: Features = {
    **{f"counters at {n:,}": partial(lambda n, case: case.elapsed == n, n) for n in ELAPSED},
    **{f"all in {dtype}": in_dtype(dtype, lambda case: True) for dtype in (*DTYPES, "mixed")},
}


@ALL
def test_late_cases(rule: Rule) -> None:
    assert not missed(late_cases(rule), LATE, 360)


def test_counters_come_to_the_end_of_float32_and_no_further() -> None:
    assert {n + 2 - 2**24 for n in ELAPSED} >= {-2, -1, 0, 1, 2}


def below_floors(rule: Rule) -> Features:
    """What is floored elsewhere is not, in each short format."""
    lowered = {n: d.least_in_half for n, d in rule.drawing.domains.items() if d.least_in_half}
    features: Features = {
        f"{name} below {floor} in {dtype}": in_dtype(dtype, partial(below, name, floor))
        for name, floor in lowered.items()
        for dtype in ("bfloat16", "float16", "mixed")
    }
    if "eps" in lowered:
        features["an eps of less than 1e-4 and a gradient beside which that shows"] = in_dtype(
            "float16", lambda case: below("eps", 5e-5, case) and small_gradient(case)
        )
    return features


def small_gradient(case: Case) -> bool:
    (first, *_) = case.parameters[0].gradients
    return first is not None and bool(np.max(np.abs(first)) < 2**-6)


def below(name: str, floor: float, case: Case) -> bool:
    value = getattr(case.groups[0].schedule[0], name)
    return value is not None and 0 < value < floor


SHORT: Features = {
    "one step": partial(of_steps, 1),
    "two steps": partial(of_steps, 2),
    "a gradient that falls": some_parameter(
        lambda p: len(p.gradients) > 1 and bool(np.all(p.gradients[1] == p.gradients[0] / 4))  # type: ignore[operator]
    ),
    "a start at zero": some_parameter(lambda p: not np.any(p.initial)),
    "another start": some_parameter(lambda p: bool(np.any(p.initial))),
}


@ALL
def test_short_cases(rule: Rule) -> None:
    assert not missed(short_cases(rule), SHORT | below_floors(rule), 200)


@ALL
def test_scalars_of_short_cases_are_short(rule: Rule) -> None:
    """Those that are drawn from a range; an option such as 1.2 may have no short neighbour."""

    def holds(case: Case) -> bool:
        h = case.groups[0].schedule[0]
        return all(
            bool(np.all(round_each(np.array([getattr(h, name)], dtype=float)) == getattr(h, name)))
            for name in ("lr", "eps", "beta1", "beta2")
            if name in h._fields
        )

    always(short_cases(rule), holds)


@ALL
def test_long_runs(rule: Rule) -> None:
    features = {
        f"{STEPS} steps in {dtype}": in_dtype(dtype, partial(of_steps, STEPS))
        for dtype in (*DTYPES, "mixed")
    }
    assert not missed(long_runs(rule), features, 100)


@ALL
def test_the_simplest_large_case_shows_something(rule: Rule) -> None:
    """Few are asked, and Hypothesis asks the simplest one first."""
    for drawn in (many_cases, *((long_cases,) if rule.elementwise else ())):
        case = minimal(drawn(rule), lambda case: True)
        assert all(np.any(p.initial) and np.any(p.gradients[0]) for p in case.parameters)


@ALL
def test_a_lead_is_what_is_asked_for_and_moves(rule: Rule) -> None:
    lead = Lead(shapes=((3, 2),), layouts=("strided",))
    shapes = rule.drawing.shapes or lead.shapes

    def kept(case: Case) -> bool:
        group, *_ = case.groups
        first, _, *_ = group.parameters
        return (
            case.steps >= 3
            and first.initial.shape in shapes
            and first.layout == "strided"
            and all(h.lr for h in group.schedule)
            and all(g is not None and np.all(g) for g in first.gradients)
        )

    always(strategies.cases(rule, least=3, members=2, lead=lead), kept)


def single_option(rule: Rule) -> Features:
    """Every hyperparameter by itself."""

    def alone(case: Case, name: str) -> bool:
        return any(only(group.schedule[0], name) for group in case.groups)

    def only(h: Hyper, name: str) -> bool:
        default = rule.hyper()
        others = [n for n in h._fields if n not in (name, "lr", "batch_size")]
        plain = rule.constraint(h._replace(**{n: getattr(default, n) for n in others})) is None
        return getattr(h, name) != getattr(default, name) and (
            not plain or all(getattr(h, n) == getattr(default, n) for n in others)
        )

    names = [name for name in rule.hyper()._fields if name not in ("lr", "batch_size")]
    domains = {n: rule.drawing.domains[n].special for n in names if n in rule.drawing.domains}
    return {
        f"{name} alone": partial(alone, name=name)
        for name in names
        if name not in domains or len(set(domains[name])) > 1
    }


def scaled(rule: Rule) -> Convention:
    """A convention that looks at the batch size, or just another one."""
    others: tuple[Convention, ...] = rule.conventions[1:]
    return next((c for c in others if "batch_size" in c.parts), others[0])


def separating(rule: Rule) -> st.SearchStrategy[Case]:
    return separating_cases(rule, convention=scaled(rule))


def both_signs(values: np.ndarray | None) -> bool:
    return values is not None and {-1.0, 1.0} <= {*np.sign(values).flat}


def parted(rule: Rule) -> Features:
    """Every number of steps, several shapes, both signs, large batches."""
    steps = rule.drawing.steps if rule.drawing.steps and "late" in scaled(rule).parts else (2, 3)
    return {
        **{f"{n} steps": partial(of_steps, n) for n in steps},
        "a matrix": some_parameter(lambda p: p.initial.ndim == 2),
        "both signs of a parameter": some_parameter(lambda p: both_signs(p.initial)),
        "both signs of a gradient": some_parameter(lambda p: both_signs(p.gradients[0])),
        "a batch of 4096": hyper("batch_size", 4096),
    }


class AllMet(SkipTest):
    """Every feature was met twice: Hypothesis stops at a skip, and repeats nothing."""


def missed(drawn: st.SearchStrategy[Case], features: Features, examples: int) -> dict[str, int]:
    """The features that were met less than twice, and how often they were.

    Examples are fewer than the thorough profile has; a run of the default one, which has other
    cases each time, meets the rare features now and then.
    """
    met: Counter[str] = Counter()
    left = dict(features)

    @settings(max_examples=examples, phases=(Phase.generate,), database=None, derandomize=True)
    @given(drawn)
    def look(case: Case) -> None:
        for name, holds in list(left.items()):
            met[name] += bool(holds(case))
            if met[name] == 2:
                del left[name]
        if not left:
            raise AllMet("nothing is left")

    try:
        look()
    except AllMet:
        return {}
    return {name: met[name] for name in left}


@ALL
def test_general_cases(rule: Rule) -> None:
    features = general(rule) | HARD.get(rule.name, {})
    assert not missed(strategies.cases(rule), features, 360)


@ALL
@pytest.mark.parametrize(
    ("drawn", "features"),
    [
        (strategies.edge_cases, at_the_edge),
        (strategies.gaps_and_late_groups, lambda rule: GAPS),
        (strategies.skipping_cases, lambda rule: SKIPPING),
        (strategies.single_option_cases, single_option),
        (separating, parted),
    ],
    ids=["edge", "gaps", "skipping", "single option", "separating"],
)
def test_other_cases(
    rule: Rule,
    drawn: Callable[[Rule], st.SearchStrategy[Case]],
    features: Callable[[Rule], Features],
) -> None:
    assert not missed(drawn(rule), features(rule), 100)


def minimal(drawn: st.SearchStrategy[Case], holds: Predicate) -> Case:
    """The simplest case of which it is so."""
    return find(drawn, holds, settings=settings(database=None, derandomize=True))


def always(drawn: st.SearchStrategy[Case], holds: Predicate) -> None:
    """Fail at the first of some cases of which it is not so."""

    @settings(max_examples=100, phases=(Phase.generate,), database=None, derandomize=True)
    @given(drawn)
    def look(case: Case) -> None:
        assert holds(case)

    look()


@ALL
def test_a_group_of_an_eventful_case_steps_when_it_joins(rule: Rule) -> None:
    def steps(case: Case) -> bool:
        return all(p.gradients[group.joins] is not None for _, group, p in case.walk())

    always(strategies.gaps_and_late_groups(rule), steps)


@ALL
@pytest.mark.parametrize("drawn", [strategies.cases, separating], ids=["general", "parting"])
def test_nothing_is_drawn_that_torch_refuses(
    rule: Rule, drawn: Callable[[Rule], st.SearchStrategy[Case]]
) -> None:
    def allowed(case: Case) -> bool:
        return all(rule.constraint(h) is None for group in case.groups for h in group.schedule)

    always(drawn(rule), allowed)


@ALL
def test_no_number_of_a_domain_is_refused_by_itself(rule: Rule) -> None:
    """What settles hyperparameters is for those that do not go together."""
    for name, domain in rule.drawing.domains.items():
        for value in (*domain.special, *((domain.low, domain.high) if domain.high else ())):
            assert rule.constraint(rule.drawing.trial._replace(**{name: value})) is None


def test_some_parameter_never_has_a_gradient() -> None:
    """In long cases, such as RAdam's: there it is meant, and no tossing of a coin for each step."""

    def never(case: Case) -> bool:
        return any(
            case.steps - group.joins > 5 and all(g is None for g in p.gradients)
            for _, group, p in case.walk()
        )

    assert not missed(strategies.cases(RULES["RAdam"]), {"never": never}, 360)


def test_hard_cases_are_of_rules() -> None:
    assert set(HARD) <= set(RULES)
