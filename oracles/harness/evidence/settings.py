"""Cases for code that can be asked: they tell conventions apart by what the code can be given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from oracles.drawing import Hyper, Range
from oracles.harness.arguments import numeric
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.cases.case import Case, Group, Parameter
from oracles.naming import unknown
from oracles.rule import Rule

Shapes = tuple[tuple[int, ...], ...]

SHAPES: Shapes = ((3,), (2, 3))
"""A vector and a matrix: what is decayed may hang on that."""

ROWS = 7
"""The batch size, where a code asks for it: no power of two, and not 1."""


PROFILES: Mapping[str, int] = MappingProxyType({"default": 1, "ci": 1, "thorough": 10})
"""How often each kind of case is drawn, by how long one wants to look."""


@dataclass(frozen=True)
class Draws:
    """Which cases are drawn, and how many.

    Attributes:
        seed: another one draws others; the same draws the same.
        profile: how long to look, of :data:`PROFILES`.
    """

    seed: int = 0
    profile: str = "default"

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            ValueError: the seed is no whole number from 0 on, or there is no such profile.
        """
        seed: Any = self.seed
        if not isinstance(seed, int) or seed < 0:
            raise ValueError(f"seed={seed!r} is not allowed; allowed: whole numbers from 0 on")
        if self.profile not in PROFILES:
            told = f"profile={self.profile!r} is not known"
            raise ValueError(unknown(told, self.profile, PROFILES))

    @property
    def rounds(self) -> int:
        """How often each kind of case is drawn."""
        return PROFILES[self.profile]

    @property
    def told(self) -> dict[str, Any]:
        """What somebody has said of them, if anything."""
        return {n: value for n, value in vars(self).items() if value != getattr(DRAWS, n)}


DRAWS = Draws()
"""What is drawn where nobody says otherwise."""


ALL, AGAIN = "all", "all again"
"""The first case, in which nothing is off that code takes, and every rule gives finite numbers; and
the second one."""


@dataclass(frozen=True)
class Setting:
    """One case that is asked, and what it was made for."""

    what: str
    case: Case


def settings(
    rule: Rule, takes: frozenset[str], shapes: Shapes = (), draws: Draws = DRAWS
) -> Iterator[Setting]:
    """Cases of a rule that use what a code takes: all at once, twice, and with each left out.

    There are as many rounds of them as are to be drawn.

    Values are those between which conventions are told apart (``rule.drawing.full``), away from the
    edges of the formats and from special values, and the learning rate changes.

    >>> from oracles.optimizers.registry import RULES
    >>> [setting.what for setting in settings(RULES["SGD"], frozenset({"lr", "weight_decay"}))]
    ['all', 'all again', 'weight_decay=0']
    """
    rng = np.random.Generator(np.random.PCG64(draws.seed))
    for _ in range(draws.rounds):
        yield from _round(rule, takes, shapes or shapes_of(rule), rng)


def _round(
    rule: Rule, takes: frozenset[str], shapes: Shapes, rng: np.random.Generator
) -> Iterator[Setting]:
    default = rule.hyper()
    spans = {name: span for name, span in rule.drawing.full.hyper.items() if name in takes}
    flags = [n for n, v in default._asdict().items() if isinstance(v, bool) and n in takes]
    usual = (1.0,) * max(rule.drawing.steps, default=4)

    def setting(
        what: str, off: str = "", on: str = "", sizes: Sizes = usual, start: float | None = None
    ) -> Setting:
        values: dict[str, Any] = {n: 0.0 if n == off else within(s, rng) for n, s in spans.items()}
        if start is not None and START in takes:
            values[START] = start
        values |= {name: name == on for name in flags}
        values |= {"batch_size": ROWS} if "batch_size" in takes else {}
        h = allowed(rule, default._replace(**values), spans)
        return Setting(what, case_of(rule, h, sizes, shapes, rng))

    yield setting(ALL)
    yield setting(AGAIN)
    for name in spans:
        if name != "lr" and rule.constraint(default._replace(**{name: 0.0})) is None:
            yield setting(f"{name}=0", off=name)
    for flag in flags:
        yield setting(f"{flag}=True", on=flag)
    for size in SMALL if "eps" in default._fields and "eps" not in takes else ():
        sizes = (size,) * len(usual)
        yield setting(f"gradients of {size:g}", "weight_decay", sizes=sizes, start=size * size)
    if any(0.5 < getattr(default, name) < 1 for name in numeric(rule) if name not in takes):
        yield setting("gradients that fade", off="weight_decay", sizes=FADING)
    if rule.measured((2, 2), default):  # beside whose radius small numbers do not show
        spans = {name: (high, high) for name, (_, high) in spans.items()}
        yield setting("all as large as can be")


def steady(case: Case) -> Case:
    """The same case with the learning rate of its first step throughout."""
    (group,) = case.groups
    lr = group.schedule[0].lr
    return case.rescheduled(lambda h: h._replace(lr=lr))


def allowed(rule: Rule, h: Hyper, names: Iterable[str]) -> Hyper:
    """Without whatever the rule does not allow beside the rest."""
    for name in names:
        if rule.constraint(h) is not None and rule.constraint(h._replace(**{name: 0.0})) is None:
            h = h._replace(**{name: 0.0})
    return h


def within(span: Range, rng: np.random.Generator) -> float:
    """A number of a range, all powers of it alike."""
    low, high = span
    return float(low * (high / low) ** rng.random())


def shapes_of(rule: Rule) -> Shapes:
    """Of the parameters that code is given."""
    return rule.drawing.shapes[:2] or SHAPES


SIGNS: FloatArray = np.array([-1.0, 1.0])

Sizes = tuple[float, ...]
"""Of gradients, one a step, in terms of those that tell conventions apart."""

START = "initial_accumulator_value"
"""A sum of squares starts at it, beside which small gradients are not seen, and no ε."""

SMALL = (1e-3, 1e-7)
"""Sizes of gradients beside which the ε of a code that takes none is seen: inside of a root, and
outside."""

FADING = tuple(0.5**t for t in range(16))
"""Sizes that show what is remembered, by a code that takes no rate at which it is forgotten."""


Scale = Callable[[tuple[int, ...]], FloatArray | float]
"""Of the elements of a parameter, by its shape."""


def one(shape: tuple[int, ...]) -> float:
    """The scale in which conventions are told apart."""
    return 1.0


def case_of(
    rule: Rule,
    h: Hyper,
    sizes: Sizes,
    shapes: Shapes,
    rng: np.random.Generator,
    scale: Scale = one,
    slopes: Scale = one,
) -> Case:
    """Of the sizes of gradients, a step each; all elements are in scales of their own."""

    def array(span: Range, shape: tuple[int, ...]) -> FloatArray:
        return SIGNS[rng.integers(2, size=shape)] * rng.uniform(*span, shape)

    spans = rule.drawing.full

    def given(shape: tuple[int, ...], step: int) -> FloatArray:
        """A gradient; of sparse ones every other row is there, in turn."""
        there = (np.indices(shape)[:1].sum(axis=0) + step) % 2 if rule.sparse else 1
        return sizes[step] * slopes(shape) * array(spans.g, shape) * there

    members = tuple(
        Parameter(
            scale(shape) * array(spans.w, shape),
            tuple(given(shape, step) for step in range(len(sizes))),
            gradient_layout=rule.gradient_layout,
        )
        for shape in shapes
    )
    schedule = tuple(h._replace(lr=h.lr * (1, 0.5, 0.75)[t % 3]) for t in range(len(sizes)))
    return Case((Group(members, schedule),), ("float64",))
