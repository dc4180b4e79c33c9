"""Why hyperparameters are not allowed: sentences that name one, its value, and what is allowed.

Each function gives a sentence or None, so that a rule's constraint is a chain of them with ``or``.
"""

from __future__ import annotations

from oracles.drawing import Hyper


def outside(h: Hyper, name: str, inside: bool, allowed: str) -> str | None:
    """The sentence that refuses a hyperparameter, unless it is ``inside`` what is allowed.

    >>> from oracles.optimizers.adadelta import Hyper
    >>> outside(Hyper(rho=2), "rho", 0 <= 2 <= 1, "0 <= rho <= 1")
    'rho=2 is not allowed; allowed: 0 <= rho <= 1'
    """
    return None if inside else f"{name}={getattr(h, name)!r} is not allowed; allowed: {allowed}"


def negative(h: Hyper, *names: str, nan: bool = False) -> str | None:
    """The sentence that refuses the first of these that is below 0, or None.

    A nan is refused as well, as by torch's usual ``not x >= 0``, unless ``nan`` is allowed.

    >>> from oracles.optimizers.sgd import Hyper
    >>> negative(Hyper(lr=-1.0), "momentum", "lr")
    'lr=-1.0 is negative; allowed: 0 or more'
    """
    for name in names:
        value = getattr(h, name)
        if value != value and not nan:
            return outside(h, name, False, "0 or more")
        if value < 0:
            return f"{name}={value!r} is negative; allowed: 0 or more"
    return None


def no_beta(h: Hyper, *names: str) -> str | None:
    """The sentence that refuses the first of these that is no decay rate of an average, or None.

    >>> from oracles.optimizers.adam import Hyper
    >>> no_beta(Hyper(beta2=1.0), "beta1", "beta2")
    'beta2=1.0 is not allowed; allowed: 0 <= beta2 < 1'
    """
    for name in names:
        if not 0 <= getattr(h, name) < 1:
            return outside(h, name, False, f"0 <= {name} < 1")
    return None


def no_batch(h: Hyper) -> str | None:
    """The sentence that refuses a batch of less than one row, or None."""
    return outside(h, "batch_size", h.batch_size >= 1, "1 or more")
