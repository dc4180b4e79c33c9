"""What a rule file is made of: hyperparameters, conventions and one step, as frozen records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, TypeVar

from oracles.drawing import PARTS, Drawing, Hyper
from oracles.naming import unknown
from oracles.numerics import Array, Product, Scalar, beside, kept, zeros_like

State = Mapping[str, Array]
"""Named buffers of one parameter, under the names torch gives them; of its shape, or of one that
broadcasts to it."""


@dataclass(frozen=True, kw_only=True)
class Convention:
    """A named variant of a rule.

    A rule file extends it by a field for each line of its step, torch's line by default, so that
    another convention is torch's with some of them replaced (:func:`dataclasses.replace`).

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
        elsewhere: the rule that goes by its own name and is the same; empty if there is none.

    >>> from oracles import RULES
    >>> convention = RULES["SGD"].convention("batch_scaled")
    >>> convention.equation, sorted(convention.parts)
    ('d = g + (λ/m)w', ['batch_size', 'weight_decay'])
    """

    name: str
    equation: str
    source: str
    parts: frozenset[str] = frozenset()
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    decays: Callable[[int], bool] = lambda ndim: True
    elsewhere: str = ""


C = TypeVar("C", bound=Convention)


def named(conventions: Iterable[C], *names: str) -> tuple[C, ...]:
    """Those conventions of that name, in the order of the names.

    >>> first = Convention(name="coupled", equation="d = g + λw", source="torch")
    >>> other = Convention(name="decay_ignored", equation="d = g", source="an old port")
    >>> [convention.equation for convention in named((first, other), "decay_ignored")]
    ['d = g']

    Raises:
        KeyError: there is none of that name.
    """
    known = {convention.name: convention for convention in conventions}
    return tuple(known[name] for name in names)


def carried_over(conventions: Iterable[Convention], origin: Convention, to: C) -> tuple[C, ...]:
    """Conventions of one rule for another: what they replace in ``origin`` they replace in ``to``.

    Args:
        conventions: those of the one rule, each its first one with some lines replaced.
        origin: that first one.
        to: the first convention of the other rule, which has those lines, too.

    >>> torch = Convention(name="coupled", equation="d = g + λw", source="torch.optim.Adam")
    >>> other = replace(torch, name="decay_ignored", equation="d = g")
    >>> mine = replace(torch, source="torch.optim.NAdam")
    >>> [(c.name, c.source) for c in carried_over([other], torch, mine)]
    [('decay_ignored', 'torch.optim.NAdam')]
    """
    names = [field.name for field in fields(origin)]
    return tuple(
        replace(to, **{n: getattr(c, n) for n in names if getattr(c, n) != getattr(origin, n)})
        for c in conventions
    )


def zeros(w: Array, *names: str) -> State:
    """Buffers of those names, of zeros in the shape of ``w``.

    >>> zeros(0.5, "exp_avg", "exp_inf")
    {'exp_avg': 0.0, 'exp_inf': 0.0}
    """
    return {name: zeros_like(w) for name in names}


def _nothing(w: Array, h: Hyper) -> State:
    return {}


@dataclass(frozen=True, eq=False, kw_only=True)
class Binding:
    """What ties a rule to the class of its name in ``torch.optim``.

    Attributes:
        tuples: arguments of torch's constructor that hold several hyperparameters, by name.
        tensor_step: switches of torch's constructor with which ``t`` enters the arithmetic as a
            float32 tensor instead of a Python number.
        float32_states: states without dimensions that a step makes for the next one, and torch
            keeps in a float32 tensor meanwhile, whatever the parameter is.
        float32_products: states without dimensions that a step multiplies in such a tensor. Steps
            do nothing else with them.
    """

    tuples: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    tensor_step: frozenset[str] = frozenset()
    float32_states: tuple[str, ...] = ()
    float32_products: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Rule:
    """One optimizer: its hyperparameters, what a step computes, and its conventions.

    Attributes:
        name: the class name in ``torch.optim``.
        symbols: what the letters in the equations stand for, on one line.
        hyper: NamedTuple type of the hyperparameters at one step, with torch's defaults, and
            ``batch_size``, which only conventions look at.
        step: ``(w, g, t, state, h, convention) -> (w', state')``, pure; ``t`` counts the gradients
            this parameter has seen, this one included.
        conventions: all known variants; the first one is torch's.
        states: names of the buffers ``step`` keeps; ``"step"``, if it is one of them, is ``t``.
        constraint: why a set of hyperparameters is not allowed, or None.
        drawing: how its cases are drawn.
        binding: what ties it to torch's class.
        start: ``(w, h) -> state``, the buffers a parameter has before its first step.
        eager: whether they exist from construction on, rather than from the first gradient on. Then
            a checkpoint has them before any step, and they start from the hyperparameters of
            construction, whatever those of the first step are.
        elementwise: whether no element's step looks at another element.
        sparse: whether it takes sparse gradients only.
        linear: whether the step is linear in the gradient, so that an optimizer may add an index
            that a sparse gradient repeats to the parameter each time it comes.
        measured: ``(shape, h) -> bool``, whether the radius of such a parameter's step rests on a
            measurement, because no bound of its roundings is known.

    >>> from oracles import RULES
    >>> rule = RULES["SGD"]
    >>> h = rule.hyper(lr=0.5, momentum=0.5)
    >>> rule.step(4.0, 1.0, 1, {}, h, rule.torch)
    (3.5, {'momentum_buffer': 1.0})
    """

    name: str
    symbols: str
    hyper: Callable[..., Hyper]
    step: Callable[[Array, Array, Scalar, State, Hyper, Any], tuple[Array, State]]
    conventions: tuple[Any, ...]
    states: tuple[str, ...]
    constraint: Callable[[Hyper], str | None]
    drawing: Drawing
    binding: Binding = Binding()
    start: Callable[[Array, Hyper], State] = _nothing
    eager: bool = False
    elementwise: bool = True
    sparse: bool = False
    linear: bool = False
    measured: Callable[[tuple[int, ...], Hyper], bool] = lambda shape, h: False

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
        known = [c.name for c in self.conventions]
        raise ValueError(unknown(f"{self.name} has no convention {name!r}", name, known))

    def undecayed(self, h: Hyper) -> Hyper:
        """The same hyperparameters without weight decay: an exact 0, in any arithmetic."""
        return h._replace(weight_decay=0) if "weight_decay" in h._fields else h

    def arguments(self, h: Hyper) -> dict[str, Any]:
        """Hyperparameters as torch's constructor takes them, and ``batch_size``.

        >>> from oracles.optimizers.rprop import RULE, Hyper
        >>> RULE.arguments(Hyper())["etas"]
        (0.5, 1.2)
        """
        values: dict[str, Any] = h._asdict()
        for name, members in self.binding.tuples.items():
            values[name] = tuple(values.pop(member) for member in members)
        return values

    def run(
        self,
        convention: Any,
        w: Array,
        gradients: Iterable[Array | None],
        schedule: Sequence[Hyper],
        *,
        decays: bool = True,
        late: bool = False,
        count: Callable[[int], Scalar] = int,
        seen: int = 0,
        state: State | None = None,
        known: Sequence[Array] | None = None,
    ) -> Iterator[tuple[Array, State]]:
        """Follow one parameter: yields ``(w, state)`` after each step.

        A step whose gradient is None moves neither the parameter nor its state. Each gradient is
        asked for when its step comes, so it may depend on where the step before has led.
        ``decays=False`` takes the parameter out of weight decay; ``late`` says that it joined after
        construction, so that its buffers start with its first gradient; ``count`` makes a number of
        the arithmetic out of the number of gradients seen. Who goes on from the middle says how
        many have been ``seen``, and in which ``state`` the parameter is. Where it is ``known`` what
        the parameter is before each step, that is what each step starts from.

        >>> from oracles.optimizers.sgd import RULE, Hyper
        >>> schedule = [Hyper(lr=0.5, weight_decay=0.5)] * 3
        >>> [w for w, _ in RULE.run(RULE.torch, 4.0, [0.0, None, 1.0], schedule)]
        [3.0, 3.0, 1.75]
        >>> [w for w, _ in RULE.run(RULE.torch, 4.0, [0.0, 0.0], schedule[:2], known=[4.0, 8.0])]
        [3.0, 6.0]
        """
        t = seen
        begun = state is not None or (self.eager and not late)
        if state is None:
            state = self._started(w, schedule[0]) if begun else {}
        for step, (g, h) in enumerate(zip(gradients, schedule, strict=True)):
            w = w if known is None else known[step]
            if g is not None:
                h = h if decays else self.undecayed(h)
                if not (t or begun):  # made with the first gradient, from what holds at that step
                    state = self._started(w, h)
                t += 1
                number = count(t)
                w, state = self.step(w, g, number, self._recalled(state, number), h, convention)
                state = self._kept(state, t)
            yield w, state

    def _started(self, w: Array, h: Hyper) -> State:
        return self._kept(self.start(w, h), 0)

    def _recalled(self, state: State, t: Scalar) -> State:
        """A state as a step finds it: where t is a tensor, what it meets is one as well."""
        met = dict(state)
        for name in self.binding.float32_states:
            met[name] = beside(state[name], t)
        for name in self.binding.float32_products:
            met[name] = Product(state[name])
        return met

    def _kept(self, state: State, t: int) -> State:
        """A state as it waits for the next step, after t gradients."""
        waiting = dict(state)
        for name in self.binding.float32_states:
            waiting[name] = kept(state[name])
        if "step" in self.states:
            waiting["step"] = t
        return waiting
