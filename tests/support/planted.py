"""A convention in a black box: what identification is to find out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import Candidate
from oracles.harness.cases.case import Case
from oracles.rule import Rule


@dataclass(frozen=True)
class Planted:
    """Follows a candidate's text in NumPy's float64, with all the hyperparameters of its rule."""

    candidate: Candidate

    @property
    def name(self) -> str:
        return "code"

    def takes(self, rule: Rule) -> frozenset[str]:
        own = self.candidate.rule.hyper()._fields
        return frozenset(rule.hyper()._fields) & frozenset(own)

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        own, convention = self.candidate.rule, self.candidate.convention
        (group,) = case.groups
        shared = self.takes(rule)
        schedule = [
            own.hyper(**{k: v for k, v in h._asdict().items() if k in shared})
            for h in group.schedule
        ]
        columns = []
        for p in group.parameters:
            decays = convention.decays(p.initial.ndim)
            with np.errstate(all="ignore"):
                run = own.run(convention, p.initial, p.gradients, schedule, decays=decays)
                columns.append(np.stack([np.ravel(w) for w, _ in run]))
        return np.concatenate(columns, axis=1)
