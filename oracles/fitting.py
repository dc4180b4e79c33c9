"""identify, for a training loop: which loss does it minimize, by which rule?

A loop is asked for its weights after 1, 2, 3, ... epochs on a few rows, and each account of it (a
loss, a rule with its conventions, batches; see :class:`~oracles.harness.training.loop.Loop`) is
run beside it from the same start. An account is out as soon as the loop leaves its margin.
Settings go from plain (all rows, nothing but a learning rate) to everything at once, so the loss is
known before decay and momentum are asked for, and those before batches.

Different accounts can be the same loop: a sum of losses with weight decay λ at rate γ is the mean
over m rows with λ/m at γm. The one that differs from torch's rule in the fewest places is given,
and then the other one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oracles.harness.evidence.fits.answer import FitIdentification
from oracles.harness.evidence.fits.search import Search, takes_own
from oracles.harness.subjects.fits.fit import Fit
from oracles.harness.subjects.subject import SubjectError
from oracles.optimizers.registry import ELEMENTWISE, RULES
from oracles.rule import Rule

PLAINEST = RULES["SGD"]
"""The rule whose hyperparameters most loops have."""


def identify_fit(box: Fit, rules: Sequence[Rule] | None = None) -> FitIdentification:
    """Find what a training loop does.

    Raises:
        SubjectError: it cannot be asked: it takes no number of epochs, raised, or gave no weights.

    >>> import numpy as np
    >>> def fit(X, y, alpha, lam, iterations):
    ...     w = 0 * X[0]
    ...     for _ in range(iterations):
    ...         w = w - alpha / len(y) * (X.T @ (1 / (1 + np.exp(-X @ w)) - y) + lam * w)
    ...     return w
    >>> found = identify_fit(Fit(fit))
    >>> found.fits[0].candidate, found.also[0].weight_decay
    (<SGD's batch_scaled>, '/m')
    """
    needed(box)
    return Search(PLAINEST).of(box, rules or [*nameable(box)])


def needed(box: Fit) -> None:
    """Check that it can be asked at all.

    Raises:
        SubjectError: it takes no number of epochs, or its learning rate is not known.
    """
    takes = box.takes(("lr",))
    if "epochs" not in takes:
        raise SubjectError(
            f"{box.name} takes no number of epochs that is known; allowed: an argument epochs, "
            "n_iter, steps, ..., or names={'epochs': 'OWN'} that says which it is"
        )
    if "lr" not in takes | {*box.values}:
        raise SubjectError(
            f"{box.name} takes no learning rate that is known; allowed: an argument lr, alpha, "
            "eta, ..., names={'lr': 'OWN'} that says which it is, or values={'lr': 0.1} if 0.1 is "
            "written in it"
        )


WRITTEN = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")
"""Rules whose numbers may be written in a loop; others are tried if it takes what is theirs."""


def nameable(box: Fit) -> Iterator[Rule]:
    """The rules that a loop may step by, the simplest first."""
    for rule in ELEMENTWISE:  # weights and bias may be any two parameters
        if rule.name in WRITTEN or takes_own(box, rule, PLAINEST):
            yield rule
