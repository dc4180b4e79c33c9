"""What a rewrite is, and what the texts of several rules are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any
"""A floating-point array, or an object array of numbers that know ``+ - * / **`` and ``sqrt``;
of one dimension at least."""

Scalar = Any

Hyper = Mapping[str, Any]
"""Hyperparameters of one step, under the names of torch's constructor."""

Kept = dict[str, Any]
"""What one parameter remembers; a text changes it in place."""

One = Callable[[Array, Array, Kept, Hyper], Array]
"""The step of one parameter: ``(w, g, kept, hyper) -> w'``."""

Step = Callable[[list[Array], list[Array | None], dict[Any, Any], Hyper], list[Array]]
"""The step of all parameters: ``(params, grads, state, hyper) -> params'``."""

MISSING = "missing_gradient"
"""What a form lacks that has no place for a parameter without gradient."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rewrite:
    """Another text of a rule, which gives the same numbers but for their roundings.

    Attributes:
        rule: the rule's name; its first convention, torch's, is the one that is followed.
        name: unique among the rewrites of the rule.
        step: ``(params, grads, state, hyper) -> params'``. ``state`` is empty before the first
            step and is changed in place; ``hyper`` has the names of torch's constructor.
        where: who writes it so.
        lacks: arguments of torch's constructor that it has no place for, which must keep their
            defaults; and :data:`MISSING`, if every parameter must have its gradient.
        constant: arguments that must not change from step to step.
        float32_scalars: whether numbers without dimension are kept in float32.
        flushes: whether subnormal results become zero.
        exact: the same text with those two roundings switched off; None if it has neither.
    """

    rule: str
    name: str
    step: Step
    where: str
    lacks: frozenset[str] = frozenset()
    constant: frozenset[str] = frozenset()
    float32_scalars: bool = False
    flushes: bool = False
    exact: Step | None = None

    @property
    def id(self) -> str:
        """How tests name it."""
        return f"{self.rule}-{self.name}"


def each(one: One) -> Step:
    """Parameters one after the other; one without gradient is left alone."""

    def step(
        params: list[Array], grads: list[Array | None], state: dict[Any, Any], hyper: Hyper
    ) -> list[Array]:
        return [
            w if g is None else one(w, g, state.setdefault(i, {}), hyper)
            for i, (w, g) in enumerate(zip(params, grads, strict=True))
        ]

    return step


def _joined(arrays: list[Any]) -> Array:
    return np.concatenate([np.ravel(x) for x in arrays])


def flat(one: One) -> Step:
    """All parameters as one vector, for rules in which no element looks at another."""

    def step(
        params: list[Array], grads: list[Array | None], state: dict[Any, Any], hyper: Hyper
    ) -> list[Array]:
        w, g = (_joined(xs) for xs in (params, grads))
        moved = np.split(one(w, g, state, hyper), np.cumsum([p.size for p in params])[:-1])
        return [new.reshape(p.shape) for new, p in zip(moved, params, strict=True)]

    return step


def form(
    rule: str,
    name: str,
    one: One,
    where: str,
    *,
    lacks: tuple[str, ...] = (),
    constant: tuple[str, ...] = (),
) -> Rewrite:
    """A text that sees one parameter at a time."""
    return Rewrite(
        rule=rule,
        name=name,
        step=each(one),
        where=where,
        lacks=frozenset(lacks),
        constant=frozenset(constant),
    )


def whole(rule: str, one: One) -> Rewrite:
    """A text that sees all parameters as one vector, with one count of steps."""
    return Rewrite(
        rule=rule,
        name="flat",
        step=flat(one),
        where="code that ravels all parameters into one vector",
        lacks=frozenset({MISSING}),
    )


# --- roundings that some libraries add ---


def _same(x: Any) -> Any:
    return x


def flushed(x: Array) -> Array:
    """``x`` with subnormal numbers replaced by zero."""
    return np.where(abs(x) < np.finfo(x.dtype).tiny, x.dtype.type(0), x)


@dataclass(frozen=True)
class Rounding:
    """What happens to numbers without dimension, and to every new array."""

    scalar: Callable[[Any], Any] = _same
    array: Callable[[Any], Any] = _same


EXACT = Rounding()


def in_scalars(h: Hyper, r: Rounding) -> Hyper:
    """Hyperparameters as numbers of a library; switches and words are left as they are."""

    def each_of(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(each_of, value))
        return value if value is None or isinstance(value, bool | str) else r.scalar(value)

    return {name: each_of(value) for name, value in h.items()}


def rounded(rule: str, text: Callable[[Rounding], One]) -> tuple[Rewrite, Rewrite]:
    """A text with its scalars in float32, and with subnormal numbers flushed."""
    exact = each(text(EXACT))
    return (
        Rewrite(
            rule=rule,
            name="float32_scalars",
            step=each(text(Rounding(scalar=np.float32))),
            where="JAX and MLX, where a number that meets float32 arrays is float32",
            float32_scalars=True,
            exact=exact,
        ),
        Rewrite(
            rule=rule,
            name="subnormals_flushed",
            step=each(text(Rounding(array=flushed))),
            where="XLA on a CPU, MLX on Metal, torch.set_flush_denormal",
            flushes=True,
            exact=exact,
        ),
    )


# --- lines that many rules have ---


def root(x: Scalar) -> Scalar:
    """The root of a number without dimension, of its own type: NumPy's would be float64."""
    return math.sqrt(x) if isinstance(x, int | float) else np.sqrt(x)


def signed(g: Array, h: Hyper) -> Array:
    """The gradient to descend along."""
    return -g if h["maximize"] else g


def coupled(w: Array, g: Array, h: Hyper) -> Array:
    """The gradient with the decay added."""
    return signed(g, h) + h["weight_decay"] * w


def counted(kept: Kept) -> int:
    """The number of gradients seen, this one included."""
    kept["t"] = kept.get("t", 0) + 1
    return int(kept["t"])


def zeros(kept: Kept, w: Array, *names: str) -> None:
    """Buffers of zeros, where there are none yet."""
    for name in names:
        kept.setdefault(name, 0 * w)
