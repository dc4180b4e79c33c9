"""check: which rule, how accurate, and which promises of a step.

Three questions, asked apart. The first is
:mod:`oracles.identification`'s. The second gives a figure, not a verdict: how many radii of torch's
own enclosure the code is off at most, by dtype, and how many units in the last place of an update.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import DTYPES, FORMATS, FloatArray
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.settings import settings
from oracles.harness.oracle import PYTHON, Oracle
from oracles.harness.subjects.asking import black_box
from oracles.harness.subjects.blackbox import BlackBox
from oracles.harness.subjects.subject import SubjectError
from oracles.identification import Identification, identify
from oracles.optimizers.registry import RULES
from oracles.rule import Rule


@dataclass(frozen=True)
class Accuracy:
    """How far answers in one dtype are from the rule.

    Attributes:
        dtype: of parameters and gradients.
        radii: the largest error, in radii of the enclosure around torch's own text: 1 is torch's
            standard.
        ulps: the largest error in units in the last place of the update it is part of.
        setting: where the first of them was seen.
        cause: which operation loses it, where that can be told.
    """

    dtype: str
    radii: float
    ulps: float
    setting: str
    cause: str = ""

    def __str__(self) -> str:
        cause = f" ({self.cause})" if self.cause else ""
        return f"{self.dtype} within {self.radii:.2g} radii{cause}"


def accuracy(box: BlackBox, candidate: Candidate, dtype: str) -> Accuracy:
    """The error of a piece of code in one dtype, against the candidate it follows.

    Raises:
        SubjectError: the code does not take that dtype.
    """
    worst = Accuracy(dtype, 0.0, 0.0, "")
    rule = candidate.rule
    for setting in settings(rule, box.takes(rule)):
        case = replace(setting.case, precisions=(dtype,))
        answer = box.run(rule, case, dtype)
        oracle = Oracle(rule, case)
        radii = _radii(oracle, candidate, answer)
        if radii > worst.radii:
            cause = _cause(oracle, candidate, answer) if radii > 1 else ""
            worst = replace(worst, radii=radii, setting=setting.what, cause=cause)
        worst = replace(worst, ulps=max(worst.ulps, _ulps(oracle, candidate, answer)))
    return worst


def _radii(
    oracle: Oracle, candidate: Candidate, answer: FloatArray, tensors: frozenset[str] = PYTHON
) -> float:
    balls = oracle(candidate.convention, tensors).parameters
    known = np.isfinite(balls.rad[0]) & (balls.rad[0] > 0)
    off = np.abs(answer - balls.mid[0])[known] / balls.rad[0][known]
    return float(off.max(initial=0.0))


def _ulps(oracle: Oracle, candidate: Candidate, answer: FloatArray) -> float:
    """Errors in units of the last place of the moves they are part of."""
    balls = oracle(candidate.convention)
    mid = balls.parameters.mid[0]
    before = np.concatenate([balls.start[0][None], mid[:-1]])
    move = np.abs(mid - before)
    moved = move > 0
    last_place = 2 * FORMATS[oracle.case.precisions[0]].u * 2 ** np.floor(np.log2(move[moved]))
    return float((np.abs(answer - mid)[moved] / last_place).max(initial=0.0))


CAUSES: Sequence[tuple[str, frozenset[str]]] = (
    ("counters in float32, so that 1 − βᵗ loses digits", frozenset({"step"})),
    ("a learning rate in float32", frozenset({"lr"})),
)
"""Which scalars may be kept in float32, and what that means."""


def _cause(oracle: Oracle, candidate: Candidate, answer: FloatArray) -> str:
    """The scalars that explain the error if they are kept in float32."""
    names = frozenset(oracle.rule.hyper()._fields) | {"step"}
    for cause, tensors in (*CAUSES, ("scalars in float32", names)):
        if _radii(oracle, candidate, answer, tensors) <= 1:
            return cause
    return ""


@dataclass(frozen=True)
class Report:
    """What is to be said of somebody's code.

    Attributes:
        name: of the code.
        found: which rule it follows.
        accuracies: by dtype that it takes.
        refused: dtypes that it does not take, and what it says.
    """

    name: str
    found: Identification
    accuracies: tuple[Accuracy, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def follows(self) -> bool:
        """Whether it follows a known rule."""
        return bool(self.found.fits)

    def __str__(self) -> str:
        """The one line that a person can quote."""
        return "; ".join([str(self.found), *map(str, self.accuracies)])


def check(
    subject: Any,
    rule: str | Rule | None = None,
    *,
    names: dict[str, str] | None = None,
    fixed: dict[str, Any] | None = None,
    dtypes: Iterable[str] = DTYPES,
) -> Report:
    """Ask somebody's code which rule it follows and how accurately.

    Args:
        subject: a subclass of ``torch.optim.Optimizer``, a function that makes one of
            ``(params, **hyperparameters)``, or a functional step
            ``(params, grads, state, hyper) -> params`` on NumPy arrays.
        rule: what it is said to follow, by name; by default it is found among all.
        names: torch's names of hyperparameters, and what the subject calls them, where these are
            not among the usual ones.
        fixed: arguments that the subject is always given.
        dtypes: in which accuracy is measured, as far as the subject takes them.

    Raises:
        ValueError: there is no rule of that name.

    >>> def step(params, grads, state, hyper):
    ...     lr, decay = hyper["lr"], hyper["weight_decay"]
    ...     return [w - lr * (g + decay / hyper["batch_size"] * w) for w, g in zip(params, grads)]
    >>> check(step, "SGD", dtypes=["float64"]).found.fits
    (<SGD's batch_scaled>,)
    """
    box = black_box(subject, names or {}, fixed or {})
    found = identify(box, None if rule is None else [_rule(rule)])
    accuracies, refused = [], []
    for dtype in dtypes if found.fits else ():
        try:
            accuracies.append(accuracy(box, found.fits[0], dtype))
        except (SubjectError, TypeError) as error:
            refused.append((dtype, str(error)))
    return Report(box.name, found, tuple(accuracies), tuple(refused))


def _rule(rule: str | Rule) -> Rule:
    if isinstance(rule, Rule):
        return rule
    if rule not in RULES:
        raise ValueError(f"rule={rule!r} is not known; allowed: {', '.join(RULES)}")
    return RULES[rule]
