"""Golden vectors alone, without any drawn case, catch what breaks the rule."""

from __future__ import annotations

import pytest

from oracles.harness.cases.strategies import cases
from oracles.harness.checks.check import Check
from oracles.harness.checks.names import AGREEMENT
from oracles.harness.runs.asking import examine
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.selection import select
from oracles.optimizers.sgd import RULE
from tests.meta.planting import Specimen
from tests.meta.sabotage import specimens
from tests.meta.zoo import ZOO
from tests.support.pinned import around, ids, oracle

UNSEEN = {"SGD_tail_forgotten", "SGD_gradient_halved_late", "SGD_strides_ignored"}
"""Break long parameters, late steps and odd strides; vectors are short enough to be read."""

BREAKING_THE_RULE = [
    s for s in (*ZOO, *specimens(RULE)) if AGREEMENT in s.caught_by and str(s) not in UNSEEN
]


@pytest.mark.parametrize("specimen", BREAKING_THE_RULE, ids=str)
def test_vectors_catch_it(specimen: Specimen) -> None:
    (subject,), _ = select(RULE, ["for-loop"], ["float64"], ["cpu"], optimizer=specimen.optimizer)

    def fails(id: str) -> bool:
        check = Check("golden vectors", cases, lambda *asked: around(id, *asked))
        return bool(examine(check, [subject], oracle(RULE, RULE.torch.name, id), Tally()))

    assert any(fails(id) for id in ids(RULE))
