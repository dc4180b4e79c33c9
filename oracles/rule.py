"""What a rule file is made of: hyperparameters, conventions and one step, as frozen records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Array = Any
"""What a rule computes on: a float64 array, an object array of ``fractions.Fraction``, or an
:class:`~oracles.harness.enclosure.Enclosure`. Only ``+ - * /`` and unary minus are used on it."""

Scalar = Any
"""A hyperparameter: ``float``, ``Fraction`` or a 0-d enclosure. Rules may compare it with 0."""

State = Mapping[str, Array]
"""Named buffers of one parameter, under the names torch gives them."""

Hyper = Any
"""A rule's NamedTuple of hyperparameters at one step."""


@dataclass(frozen=True)
class Domain:
    """Where a hyperparameter is drawn from: its simple and special values, then a log range.

    A special value that is written twice is drawn twice as often.
    """

    special: tuple[float, ...]
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Convention:
    """A named variant of a rule.

    Attributes:
        name: how verdicts name it.
        equation: the line in which it differs, in the symbols of the rule file.
        source: who computes it so, with the place where it can be read.
        parts: hyperparameters a case must set for this convention to differ from the rule's
            first one. ``"batch_size"`` stands for more than one row, ``"schedule"`` for a learning
            rate that changes, ``"vector"`` for a parameter of at most one dimension.
        decays: whether a parameter of that many dimensions is decayed (a choice made by whoever
            builds the parameter groups, not by the optimizer).
    """

    name: str
    equation: str
    source: str
    parts: frozenset[str] = frozenset()
    decays: Callable[[int], bool] = lambda ndim: True


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


@dataclass(frozen=True, eq=False)
class Rule:
    """One optimizer: its hyperparameters, what a step computes, and its conventions.

    Attributes:
        name: the class name in ``torch.optim``.
        symbols: what the letters in the equations stand for, on one line.
        hyper: NamedTuple type of the hyperparameters at one step, with torch's defaults, and
            ``batch_size``, which only conventions look at.
        domains: where each numeric hyperparameter is drawn from.
        step: ``(w, g, state, h, convention) -> (w', state')``, elementwise and pure.
        conventions: all known variants; the first one is torch's.
        states: names of the buffers ``step`` keeps.
        constraint: why a set of hyperparameters is not allowed, or None.
        settle: the nearest hyperparameters that are allowed and keep the arithmetic finite.
        remembering: the same hyperparameters with the rule's buffers in use.
        undecayed: the same hyperparameters without weight decay.
        trial: plain hyperparameters for finding out what a torch can do.
        fine, coarse: where conventions part in formats of 24 bits and more, and in shorter ones.
        free: hyperparameters that may be on without making up for another's difference.
    """

    name: str
    symbols: str
    hyper: Callable[..., Hyper]
    domains: Mapping[str, Domain]
    step: Callable[[Array, Array, State, Hyper, Any], tuple[Array, State]]
    conventions: tuple[Any, ...]
    states: tuple[str, ...]
    constraint: Callable[[Hyper], str | None]
    settle: Callable[[Hyper], Hyper]
    remembering: Callable[[Hyper], Hyper]
    undecayed: Callable[[Hyper], Hyper]
    trial: Hyper
    fine: Parting
    coarse: Parting
    free: frozenset[str]

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

    def run(
        self,
        convention: Any,
        w: Array,
        gradients: Sequence[Array | None],
        schedule: Sequence[Hyper],
        *,
        decays: bool = True,
    ) -> Iterator[tuple[Array, State]]:
        """Follow one parameter: yields ``(w, state)`` after each step.

        A step whose gradient is None moves neither the parameter nor its state.
        ``decays=False`` takes the parameter out of weight decay.
        """
        state: State = {}
        for g, h in zip(gradients, schedule, strict=True):
            if g is not None:
                h = h if decays else self.undecayed(h)
                w, state = self.step(w, g, state, h, convention)
            yield w, state
