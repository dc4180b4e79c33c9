"""How accurate is a piece of code that follows a rule? A figure, not a verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from oracles.harness.arithmetic.formats import FORMATS, FloatArray, are_float32
from oracles.harness.candidates import Candidate
from oracles.harness.cases.case import Case
from oracles.harness.evidence.accepted import accepted
from oracles.harness.evidence.settings import DRAWS, Draws, settings, steady
from oracles.harness.evidence.sifting import MARGINS
from oracles.harness.oracle import PYTHON, Oracle
from oracles.harness.subjects.blackbox import BlackBox
from oracles.harness.subjects.subject import Declined, SubjectError
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
        left: whether that is no matter of roundings: no text of the rule is so far off.
    """

    dtype: str
    radii: float
    ulps: float
    setting: str
    cause: str = ""
    left: bool = False

    def __str__(self) -> str:
        if self.left:
            return f"in {self.dtype} it does not ({self.radii:.2g} radii)"
        cause = f" ({self.cause})" if self.cause else ""
        return f"{self.dtype} within {self.radii:.2g} radii{cause}"


def accuracy(
    box: BlackBox,
    candidate: Candidate,
    dtype: str,
    ignores: frozenset[str] = frozenset(),
    deaf: bool = False,
    draws: Draws = DRAWS,
) -> Accuracy:
    """The error of a piece of code in one dtype, against the candidate it follows.

    Args:
        box: the code.
        candidate: what it follows.
        dtype: of parameters and gradients.
        ignores: hyperparameters of which it makes nothing, and which are left alone.
        deaf: whether it keeps its first learning rate, and is given no other one.
        draws: which cases it is asked, and how many.

    Raises:
        Declined: the code does not take that dtype, or nothing of its answers can be judged.
        SubjectError: it has raised something else.
    """
    worst = Accuracy(dtype, 0.0, 0.0, "")
    rule, judged = candidate.rule, 0
    refused: SubjectError | None = None
    for setting in settings(rule, accepted(box, rule) - ignores, draws=draws):
        case = replace(setting.case, precisions=(dtype,))
        case = steady(case) if deaf else case
        try:
            answer = _answer(box, rule, case, dtype)
        except SubjectError as error:  # which may be about the setting
            refused = refused or error
            continue
        oracle = Oracle(rule, candidate.of(case))
        radii, count = _radii(oracle, candidate, answer)
        judged += count
        if radii > worst.radii:
            cause = _cause(oracle, candidate, answer) if radii > 1 else ""
            worst = replace(worst, radii=radii, setting=setting.what, cause=cause)
        if radii > 1 and dtype != "float64" and not worst.left:  # in which the rule was asked
            worst = replace(worst, left=_leaves(oracle, candidate, answer))
        worst = replace(worst, ulps=max(worst.ulps, _ulps(oracle, candidate, answer)))
    if not judged:
        nothing = f"no element is judged: rounding to {dtype} leaves everything open"
        raise refused or Declined(nothing)
    return worst


NAMES_DTYPES = re.compile(r"not implemented for|dtype|scalar ?type|float16|half", re.IGNORECASE)
"""Words of whoever refuses a dtype without a TypeError: torch's kernels do."""


def _answer(box: BlackBox, rule: Rule, case: Case, dtype: str) -> FloatArray:
    """What the code gives; it may decline the dtype."""
    try:
        return box.run(rule, case, dtype)
    except SubjectError as error:
        refuses = isinstance(error.__cause__, TypeError | NotImplementedError)
        if refuses or (error.__cause__ and NAMES_DTYPES.search(str(error))):
            raise Declined(error.sentence) from None
        raise


def _radii(
    oracle: Oracle, candidate: Candidate, answer: FloatArray, tensors: frozenset[str] = PYTHON
) -> tuple[float, int]:
    """The largest error and how many elements tell; what is not a number is infinitely far."""
    balls = oracle(candidate.convention, tensors).parameters
    known = np.isfinite(balls.rad[0]) & (balls.rad[0] > 0)
    off = np.abs(answer - balls.mid[0])[known] / balls.rad[0][known]
    return float(np.nan_to_num(off, nan=np.inf).max(initial=0.0)), int(known.sum())


def _leaves(oracle: Oracle, candidate: Candidate, answer: FloatArray) -> bool:
    """Whether answers are outside of the margin that holds every text of the rule."""
    wide = Oracle(oracle.rule, oracle.case, margin=MARGINS[-1])
    return _radii(wide, candidate, answer)[0] > 1


def _ulps(oracle: Oracle, candidate: Candidate, answer: FloatArray) -> float:
    """Errors in units of the last place of the moves they are part of."""
    balls = oracle(candidate.convention)
    mid = balls.parameters.mid[0]
    before = np.concatenate([balls.start[0][None], mid[:-1]])
    move = np.abs(mid - before)
    moved = (move > 0) & np.isfinite(balls.parameters.rad[0])
    last_place = 2 * FORMATS[oracle.case.precisions[0]].u * 2 ** np.floor(np.log2(move[moved]))
    off = np.abs(answer - mid)[moved] / last_place
    return float(np.nan_to_num(off, nan=np.inf).max(initial=0.0))


CAUSES: Sequence[tuple[str, frozenset[str]]] = (
    ("counters in float32, so that 1 − βᵗ loses digits", frozenset({"step"})),
    ("a learning rate in float32", frozenset({"lr"})),
)
"""Which scalars may be kept in float32, and what that means."""


def _cause(oracle: Oracle, candidate: Candidate, answer: FloatArray) -> str:
    """The scalars that explain the error if they are kept in float32."""
    if oracle.case.precisions == ("float64",) and are_float32(answer):
        return "computes in float32"
    names = frozenset(oracle.rule.hyper()._fields) | {"step"}
    for cause, tensors in (*CAUSES, ("scalars in float32", names)):
        if _radii(oracle, candidate, answer, tensors)[0] <= 1:
            return cause
    return ""
