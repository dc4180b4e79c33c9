"""A recorded run: what somebody's training loop computed, step by step, whatever computed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from oracles.harness.arithmetic.formats import DTYPES, FloatArray
from oracles.naming import unknown


@dataclass(frozen=True, eq=False)
class Trace:
    """Parameters before the first step and after each, the gradients, and the hyperparameters.

    Attributes:
        name: how reports call it.
        parameters: by name, (steps + 1, *shape): before the first step, then after each.
        gradients: by name, (steps, *shape): what each step was given.
        hyper: by name, torch's or any usual one, the value at each step.
        dtype: in which the run computed.
        parameter_radii, gradient_radii: by name, in the same shapes, how far the true values may be
            from these; those that are not there are what the run had to the bit.

    >>> import numpy as np
    >>> w, g = np.array([[1.0], [0.9]]), np.array([[1.0]])
    >>> Trace("mine", {"w": w}, {"w": g}, {"lr": (0.1,)}).steps
    1
    """

    name: str
    parameters: Mapping[str, FloatArray]
    gradients: Mapping[str, FloatArray]
    hyper: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    dtype: str = "float64"
    parameter_radii: Mapping[str, FloatArray] = field(default_factory=dict)
    gradient_radii: Mapping[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that all of it belongs together.

        Raises:
            ValueError: something is missing, or has another length or shape than the rest.
        """
        if self.dtype not in DTYPES:
            raise ValueError(unknown(f"dtype={self.dtype!r} is not known", self.dtype, DTYPES))
        if not self.parameters:
            raise ValueError("parameters={} has none; allowed: one or more")
        if set(self.parameters) != set(self.gradients):
            raise ValueError(
                f"gradients are of {sorted(self.gradients)}; allowed: those of the parameters, "
                f"{sorted(self.parameters)}"
            )
        for name, values in self.parameters.items():
            expected = (self.steps, *np.shape(values)[1:])
            if np.shape(self.gradients[name]) != expected or not self.steps:
                raise ValueError(
                    f"gradients of {name!r} have shape {np.shape(self.gradients[name])}; allowed: "
                    f"{expected}, one less than its parameters have rows, and at least one"
                )
            if not (np.isfinite(values).all() and np.isfinite(self.gradients[name]).all()):
                raise ValueError(
                    f"{name!r} or its gradients are not finite; allowed: the steps before that"
                )
        for what in ("parameter", "gradient"):
            radii, values_of = getattr(self, f"{what}_radii"), getattr(self, f"{what}s")
            for name, off in radii.items():
                expected = np.shape(values_of.get(name))
                if np.shape(off) != expected or not np.all(np.asarray(off) >= 0):
                    raise ValueError(
                        f"{what}_radii of {name!r} have shape {np.shape(off)}; allowed: numbers "
                        f"from 0 on in the shape of its values, {expected}"
                    )
        for name, schedule in self.hyper.items():
            if len(schedule) != self.steps:
                raise ValueError(
                    f"hyper[{name!r}] has {len(schedule)} values; allowed: {self.steps}, one a step"
                )

    @property
    def steps(self) -> int:
        """How many there were."""
        return len(next(iter(self.parameters.values()))) - 1
