"""Where in an answer the weights and the bias are, found by looking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray

WEIGHTS, BIASES = ("w", "weight", "coef"), ("b", "bias", "intercept")
"""How names of weights and of a bias begin, tried in this order among those of the right size."""


@dataclass(frozen=True)
class Reading:
    """Where in an answer the weights and the bias are.

    Attributes:
        weights: what holds the weights, or weights and bias end to end.
        bias: what holds the bias; None if there is none, or it is beside the weights.
        first: where the bias is in ``weights``: True before them, False after them.
        hidden: whether there is one that is not in the answer.
    """

    weights: str
    bias: str | None = None
    first: bool | None = None
    hidden: bool = False

    @property
    def biased(self) -> bool:
        """Whether there is a bias in it."""
        return self.bias is not None or self.first is not None

    def __call__(self, leaves: Mapping[str, FloatArray]) -> list[FloatArray]:
        """Weights and bias out of an answer.

        >>> Reading("", first=True)({"": np.array([9.0, 1.0, 2.0, 3.0])})
        [array([1., 2., 3.]), array([9.])]
        """
        w = np.ravel(leaves[self.weights]).astype(np.float64)
        if self.first is not None:
            return [w[1:], w[:1]] if self.first else [w[:-1], w[-1:]]
        if self.bias is None:
            return [w]
        return [w, np.ravel(leaves[self.bias]).astype(np.float64)]


DEEPEST = 4
"""How far an answer is looked into."""


def numbers(answer: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, FloatArray]]:
    """All arrays and floats in an answer, by where they are: in what is nested, and in attributes.

    >>> [(path, value.tolist()) for path, value in numbers({"w": [1.0, 2.0], "b": 0.5, "n": 3})]
    [('.w', [1.0, 2.0]), ('.b', 0.5)]
    """
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu().numpy()
    if isinstance(answer, list) and answer and all(isinstance(v, float) for v in answer):
        answer = np.array(answer)
    if isinstance(answer, float | np.floating | np.ndarray):
        value = np.array(answer)
        if value.dtype.kind == "f":
            yield path, value
        return
    for name, inner in _inside(answer) if depth < DEEPEST else ():
        yield from numbers(inner, f"{path}.{name}", depth + 1)


def _inside(answer: Any) -> Iterator[tuple[str, Any]]:
    """What something holds, by name."""
    if isinstance(answer, list | tuple):
        yield from ((str(i), value) for i, value in enumerate(answer))
    elif isinstance(answer, Mapping):
        yield from ((str(name), value) for name, value in answer.items())
    elif hasattr(answer, "state_dict"):
        yield from dict(answer.state_dict()).items()
    elif hasattr(answer, "__dict__") and not isinstance(answer, type | ModuleType | FunctionType):
        yield from vars(answer).items()


def _likely(paths: list[str], beginnings: tuple[str, ...]) -> list[str]:
    """Those first whose last name begins so."""
    return sorted(paths, key=lambda p: not p.rpartition(".")[2].lower().startswith(beginnings))
