"""Somebody else's code, asked for nothing but the parameters it computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.cases.case import Case
from oracles.harness.subjects.aliases import matched
from oracles.harness.subjects.subject import answering
from oracles.rule import Rule


class BlackBox(Protocol):
    """Code that takes parameters and gradients and gives parameters back.

    Attributes:
        name: how reports call it.
    """

    @property
    def name(self) -> str: ...

    def takes(self, rule: Rule) -> frozenset[str]:
        """The hyperparameters of a rule that it can be given."""

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        """All parameters end to end, after each step: (steps, elements).

        Raises:
            SubjectError: the code raised.
        """


Step = Callable[..., Any]


@dataclass(frozen=True)
class Function:
    """A functional step ``(params, grads, state, hyper) -> params`` on NumPy arrays.

    ``params`` and ``grads`` are lists of arrays (a gradient may be None), ``state`` is a dict that
    is the function's own, ``hyper`` a dict under torch's names or, after :attr:`names`, others. A
    function that returns None has changed its arrays in place. One that has no fourth argument but
    names (``lr``, ``beta1`` or any of :data:`~oracles.harness.subjects.aliases.ALIASES`) is given
    those.

    Attributes:
        step: the function.
        names: torch's names of hyperparameters, and what the function calls them.
    """

    step: Step
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return getattr(self.step, "__name__", type(self.step).__name__)

    @cached_property
    def _keywords(self) -> tuple[str, ...] | None:
        """The names it takes one by one; None if it takes a dict of all."""
        _, _, _, *rest = inspect.signature(self.step).parameters.values()
        one = len(rest) == 1 and rest[0].name in ("hyper", "h", "hyperparameters", "config", "hp")
        return None if one else tuple(p.name for p in rest)

    def takes(self, rule: Rule) -> frozenset[str]:
        wanted = rule.hyper()._fields
        if self._keywords is None:
            return frozenset(wanted)
        return frozenset(matched([*self._keywords, *self.names.values()], wanted))

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        kind = np.dtype(dtype)
        params = [round_to(dtype, p.initial).astype(kind) for p in case.parameters]
        state: dict[Any, Any] = {}
        rows = []
        (group,) = case.groups
        for t, h in enumerate(group.schedule):
            grads = [
                None if (g := p.gradients[t]) is None else round_to(dtype, g).astype(kind)
                for p in case.parameters
            ]
            params = self._stepped(params, grads, state, rule, h)
            rows.append(np.concatenate([np.ravel(p).astype(np.float64) for p in params]))
        return np.stack(rows)

    def _stepped(
        self, params: list[Any], grads: Sequence[Any], state: Any, rule: Rule, h: Hyper
    ) -> list[Any]:
        given = {**h._asdict(), **rule.arguments(h)}
        values = {self.names.get(name, name): value for name, value in given.items()}
        with answering(), np.errstate(all="ignore"):
            if self._keywords is None:
                returned = self.step(params, grads, state, values)
            else:
                known = matched(self._keywords, h._fields)
                returned = self.step(
                    params,
                    grads,
                    state,
                    **{known[k]: v for k, v in h._asdict().items() if k in known},
                )
        return params if returned is None else list(returned)
