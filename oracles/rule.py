"""What a rule file is made of: hyperparameters, conventions and one step, as frozen records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

Array = Any
"""What a rule computes on: a float64 array, an object array of ``fractions.Fraction`` or
``mpmath.mpf``, or an :class:`~oracles.harness.arithmetic.enclosure.Enclosure`. Rules use
``+ - * / **`` and those functions of NumPy on it that all of them have: ``sqrt``, ``abs``,
``maximum``, ``minimum``, ``where``, ``sum``, ``max``, ``zeros_like`` and ``full_like``."""

Scalar = Any
"""A hyperparameter: ``float``, ``Fraction``, ``mpf`` or a 0-d enclosure. Rules may compare it."""

State = Mapping[str, Array]
"""Named buffers of one parameter, under the names torch gives them; of its shape, or of one that
broadcasts to it."""

Hyper = Any
"""A rule's NamedTuple of hyperparameters at one step."""


def lerp(start: Array, end: Array, weight: Scalar, *, literal: bool = False) -> Array:
    """``start + weight (end − start)``, in whichever algebraic form a path computes it.

    Kernels choose between this form, ``end − (end − start)(1 − weight)`` and the weighted sum; the
    rule is the same, the rounding is not, and an enclosure holds them all. ``literal`` says that
    all paths compute this very form, whatever the weight.
    """
    if hasattr(start, "lerp"):
        return start.lerp(end, weight, literal=literal)
    return start + weight * (end - start)


def scaled(scale: Scalar, numerator: Array, denominator: Array) -> Array:
    """``scale · numerator / denominator``, in whichever order a path computes it.

    The orders differ where one of them underflows on its way: a product ``scale · numerator`` that
    lost digits near zero is divided by something small.
    """
    if hasattr(numerator, "scaled_over"):
        return numerator.scaled_over(denominator, scale)
    return scale * (numerator / denominator)


def kept(value: Scalar) -> Scalar:
    """A number that torch keeps from step to step in a 0-d tensor, which is float32 on all paths.

    The rule is the number itself; only an enclosure is told of the rounding.
    """
    return value.kept() if hasattr(value, "kept") else value


def beside(value: Scalar, other: Scalar) -> Scalar:
    """A number as it enters arithmetic with another one: as a tensor, where that is one.

    The rule is the number itself; only an enclosure is told of the format.
    """
    return value.beside(other) if hasattr(value, "beside") else value


def either(one: Array, other: Array) -> Array:
    """The same number written in two ways, each of which some path computes.

    The rule is ``one``; an enclosure holds what either of them can round to.
    """
    return one.either(other) if hasattr(one, "either") else one


def norm(x: Array, axis: int | None = None) -> Array:
    """Euclidean length of all elements, or along an axis, which stays with length 1.

    Kernels accumulate it in float32 at least and round it once; an enclosure knows that.
    """
    if hasattr(x, "norm"):
        return x.norm(axis)
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=axis is not None))


def mean(x: Array, axis: int) -> Array:
    """Mean along an axis, which stays with length 1; accumulated as a norm is."""
    if hasattr(x, "mean_along"):
        return x.mean_along(axis)
    return np.sum(x, axis=axis, keepdims=True) / max(x.shape[axis], 1)


def rsqrt(x: Array) -> Array:
    """``1/√x``, which is one function in some libraries, less exact than the two it stands for."""
    return x.rsqrt() if hasattr(x, "rsqrt") else 1 / np.sqrt(x)


def item(value: Array) -> Scalar:
    """A result without dimensions, read back into a Python number."""
    return value.item() if hasattr(value, "item") else value


def larger(floor: Scalar, value: Scalar) -> Scalar:
    """Python's ``max(floor, value)``, which is the floor where the value is nan."""
    if hasattr(value, "larger"):
        return value.larger(floor)
    return max(floor, value)


def resolution(x: Array) -> Scalar:
    """The distance from 1 to the next number of the format ``x`` is kept in (``finfo.eps``).

    Exact numbers, which have none, get float64's.
    """
    if hasattr(x, "resolution"):
        return x.resolution()
    dtype = getattr(x, "dtype", None)
    return float(np.finfo(dtype if dtype is not None and dtype.kind == "f" else float).eps)


@dataclass(frozen=True)
class Domain:
    """Where a hyperparameter is drawn from: its simple and special values, then a log range.

    A special value that is written twice is drawn twice as often. Without a range there are only
    special values, which need not be numbers.

    Attributes:
        coarse: the least value in formats of fewer than 24 bits, where smaller ones would vanish
            beside what they are added to, or leave a denominator to a gradient that cancels.
    """

    special: tuple[Any, ...]
    low: float = 0.0
    high: float = 0.0
    coarse: float = 0.0


PARTS: Mapping[str, str] = MappingProxyType(
    {
        "schedule": "a learning rate that changes",
        "vector": "a parameter of at most one dimension",
        "matrix": "a parameter of more than one dimension",
        "oblong": "a matrix that is not square",
        "row": "a matrix that is a row or a column",
        "falling": "gradients that halve from step to step",
        "rising": "gradients that double from step to step",
        "turning": "gradients that change their sign at every step",
        "checkered": "gradients four times as large on the squares of one color, at the next step "
        "on those of the other",
        "missing": "gradients that are 0 on the squares of one color, in turn",
        "late": "more steps than usual",
        "fine": "a format of 24 bits or more, because shorter ones do not tell them apart",
    }
)
"""What a case may need beside hyperparameters, by the word for it."""


@dataclass(frozen=True, kw_only=True)
class Convention:
    """A named variant of a rule.

    Attributes:
        name: how verdicts name it.
        equation: the line in which it differs, in the symbols of the rule file.
        source: who computes it so, with the place where it can be read.
        parts: what a case must have for this convention to differ from the rule's first one:
            hyperparameters that are set (``"batch_size"`` to more than one row), and words of
            :data:`PARTS`.
        fixed: values of hyperparameters that leave the difference bare.
        decays: whether a parameter of that many dimensions is decayed (a choice made by whoever
            builds the parameter groups, not by the optimizer).
    """

    name: str
    equation: str
    source: str
    parts: frozenset[str] = frozenset()
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    decays: Callable[[int], bool] = lambda ndim: True


C = TypeVar("C", bound=Convention)


def named(conventions: Iterable[C], *names: str) -> tuple[C, ...]:
    """Those conventions of that name, in the order of the names.

    Raises:
        KeyError: there is none of that name.
    """
    known = {convention.name: convention for convention in conventions}
    return tuple(known[name] for name in names)


Range = tuple[float, float]


@dataclass(frozen=True)
class Parting:
    """Ranges in which conventions part so far that a format of some precision resolves it.

    Attributes:
        hyper: by hyperparameter; the learning rate comes first.
        w, g: magnitudes of parameters and gradients.
    """

    hyper: Mapping[str, Range]
    w: Range
    g: Range


def _nothing(w: Array, h: Hyper) -> State:
    return {}


def _same(h: Hyper) -> Hyper:
    return h


@dataclass(frozen=True, eq=False, kw_only=True)
class Rule:
    """One optimizer: its hyperparameters, what a step computes, and its conventions.

    Attributes:
        name: the class name in ``torch.optim``.
        symbols: what the letters in the equations stand for, on one line.
        hyper: NamedTuple type of the hyperparameters at one step, with torch's defaults, and
            ``batch_size``, which only conventions look at.
        domains: where each hyperparameter is drawn from, the learning rate first; switches
            (``bool``) need none.
        step: ``(w, g, t, state, h, convention) -> (w', state')``, pure; ``t`` counts the gradients
            this parameter has seen, this one included.
        conventions: all known variants; the first one is torch's.
        states: names of the buffers ``step`` keeps; ``"step"``, if it is one of them, is ``t``.
        constraint: why a set of hyperparameters is not allowed, or None.
        settle: the nearest hyperparameters that are allowed and keep the arithmetic finite.
        in_use: the same hyperparameters with all buffers in use, not yet settled.
        trial: plain hyperparameters for finding out what a torch can do.
        fine, coarse: where conventions part in formats of 24 bits and more, and in shorter ones.
        free: hyperparameters that may be on without making up for another's difference.
        start: ``(w, h) -> state``, the buffers a parameter has before its first step.
        eager: whether they exist from construction on, rather than from the first gradient on.
        tuples: arguments of torch's constructor that hold several hyperparameters, by name.
        elementwise: whether no element's step looks at another element.
        shapes: the only shapes of parameters it takes (empty: all).
        sparse: whether it takes sparse gradients only.
        linear: whether the step is linear in the gradient, so that an optimizer may add an index
            that a sparse gradient repeats to the parameter each time it comes.
        steps: numbers of steps cases should have, where the usual few show too little.
        measured: ``(shape, h) -> bool``, whether the radius of such a parameter's step rests on a
            measurement, because no bound of its roundings is known.
        tensor_step: switches of torch's constructor with which ``t`` enters the arithmetic as a
            float32 tensor instead of a Python number.
    """

    name: str
    symbols: str
    hyper: Callable[..., Hyper]
    domains: Mapping[str, Domain]
    step: Callable[[Array, Array, Scalar, State, Hyper, Any], tuple[Array, State]]
    conventions: tuple[Any, ...]
    states: tuple[str, ...]
    constraint: Callable[[Hyper], str | None]
    trial: Hyper
    fine: Parting
    coarse: Parting
    free: frozenset[str]
    settle: Callable[[Hyper], Hyper] = _same
    in_use: Callable[[Hyper], Hyper] = _same
    start: Callable[[Array, Hyper], State] = _nothing
    eager: bool = False
    tuples: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    elementwise: bool = True
    shapes: tuple[tuple[int, ...], ...] = ()
    sparse: bool = False
    linear: bool = False
    steps: tuple[int, ...] = ()
    measured: Callable[[tuple[int, ...], Hyper], bool] = lambda shape, h: False
    tensor_step: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check the conventions.

        Raises:
            ValueError: one needs a part that is neither a hyperparameter nor a word of PARTS.
        """
        known = {*self.hyper()._fields, *PARTS}
        for convention in self.conventions:
            for part in sorted(convention.parts - known):
                raise ValueError(
                    f"{self.name}'s convention {convention.name!r} has the part {part!r}; "
                    f"allowed: {', '.join(sorted(known))}"
                )

    @property
    def gradient_layout(self) -> str:
        """Of gradients that are laid out plainly."""
        return "sparse" if self.sparse else "contiguous"

    @property
    def torch(self) -> Any:
        """The convention ``torch.optim`` follows."""
        return self.conventions[0]

    def convention(self, name: str) -> Any:
        """The convention of that name.

        Raises:
            ValueError: there is none; the message lists those there are.
        """
        for convention in self.conventions:
            if convention.name == name:
                return convention
        known = ", ".join(c.name for c in self.conventions)
        raise ValueError(f"convention={name!r} is not one of {self.name}'s; known: {known}")

    def remembering(self, h: Hyper) -> Hyper:
        """The nearest hyperparameters with which the rule uses its buffers."""
        return self.settle(self.in_use(h))

    def undecayed(self, h: Hyper) -> Hyper:
        """The same hyperparameters without weight decay."""
        return h._replace(weight_decay=0.0) if "weight_decay" in h._fields else h

    def arguments(self, h: Hyper) -> dict[str, Any]:
        """Hyperparameters as torch's constructor takes them, and ``batch_size``."""
        values: dict[str, Any] = h._asdict()
        for name, members in self.tuples.items():
            values[name] = tuple(values.pop(member) for member in members)
        return values

    def run(
        self,
        convention: Any,
        w: Array,
        gradients: Sequence[Array | None],
        schedule: Sequence[Hyper],
        *,
        decays: bool = True,
        late: bool = False,
        count: Callable[[int], Scalar] = int,
    ) -> Iterator[tuple[Array, State]]:
        """Follow one parameter: yields ``(w, state)`` after each step.

        A step whose gradient is None moves neither the parameter nor its state.
        ``decays=False`` takes the parameter out of weight decay; ``late`` says that it joined after
        construction, so that its buffers start with its first gradient; ``count`` makes a number of
        the arithmetic out of the number of gradients seen.
        """
        t = 0
        eager = self.eager and not late
        state: State = self._started(w, schedule[0]) if eager else {}
        for g, h in zip(gradients, schedule, strict=True):
            if g is not None:
                h = h if decays else self.undecayed(h)
                state = state if t or eager else self._started(w, h)
                t += 1
                w, state = self.step(w, g, count(t), state, h, convention)
                state = self._counted(state, t)
            yield w, state

    def _started(self, w: Array, h: Hyper) -> State:
        return self._counted(self.start(w, h), 0)

    def _counted(self, state: State, t: int) -> State:
        return {**state, "step": t} if "step" in self.states else state
