"""Oracles of optimizer update rules, and a harness that holds implementations against them.

rule        what one optimizer step computes, in NumPy: one file per optimizer
            (:mod:`oracles.optimizers.sgd`)
convention  a named variant of a rule, as a row of data
case        one question: parameters, gradients and hyperparameters for some steps
enclosure   the oracle's answer: midpoint ± radius, holding every result correct rounding can give
verdict     inside, outside, undecided or errored, with the share of the radius used

``oracles.harness`` asks the questions; only ``oracles.harness.subjects`` imports torch. This module
imports what it exports when it is asked for it (PEP 562), so that ``import oracles`` costs next to
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oracles.checking import check
    from oracles.explanation import Explanation, explain
    from oracles.harness.subjects.trace import Trace
    from oracles.harness.verdict import Verdict
    from oracles.identification import Identification, identify
    from oracles.optimizers.registry import RULES
    from oracles.pytest_plugin import parametrize_with_checks
    from oracles.report import Report
    from oracles.reports.comparison import compare
    from oracles.rule import Convention, Rule
    from oracles.schedule_checking import check_schedule
    from oracles.schedule_explanation import explain_schedule
    from oracles.translation import Translation, translate
    from oracles.watching import LoopReport, check_loop, watch

    __version__: str

__all__ = [
    "RULES",
    "Convention",
    "Explanation",
    "Identification",
    "LoopReport",
    "Report",
    "Rule",
    "Trace",
    "Translation",
    "Verdict",
    "__version__",
    "check",
    "check_loop",
    "check_schedule",
    "compare",
    "explain",
    "explain_schedule",
    "identify",
    "parametrize_with_checks",
    "translate",
    "watch",
]

_HOMES = {
    "RULES": "oracles.optimizers.registry",
    "Convention": "oracles.rule",
    "Explanation": "oracles.explanation",
    "Identification": "oracles.identification",
    "LoopReport": "oracles.watching",
    "Report": "oracles.report",
    "Rule": "oracles.rule",
    "Trace": "oracles.harness.subjects.trace",
    "Translation": "oracles.translation",
    "Verdict": "oracles.harness.verdict",
    "check": "oracles.checking",
    "check_loop": "oracles.watching",
    "check_schedule": "oracles.schedule_checking",
    "compare": "oracles.reports.comparison",
    "explain": "oracles.explanation",
    "explain_schedule": "oracles.schedule_explanation",
    "identify": "oracles.identification",
    "translate": "oracles.translation",
    "watch": "oracles.watching",
    "parametrize_with_checks": "oracles.pytest_plugin",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("optimizer-oracles")
    if name not in _HOMES:
        from oracles.naming import unknown

        told = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(told if name.startswith("_") else unknown(told, name, __all__))
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
