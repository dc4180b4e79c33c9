"""Honest rewrites of torch's rules: other texts that are equal by algebra.

They use nothing of ``oracles``. Whoever decides which rule some code follows must take all of them
for the rule's own text; ``tests/optimizers/test_rewrites.py`` has the proof, in 80 digits, that
they are the same by algebra. None of them has to do with infinite values, with parameters without
dimension, or with a switch or a momentum that comes or goes during a run.
"""

from __future__ import annotations

from tests.support.rewrites import adam, matrices, moments, sgd, squares, steps
from tests.support.rewrites.record import MISSING, Rewrite

REWRITES: tuple[Rewrite, ...] = (
    *sgd.REWRITES,
    *adam.REWRITES,
    *moments.REWRITES,
    *squares.REWRITES,
    *steps.REWRITES,
    *matrices.REWRITES,
)

__all__ = ["MISSING", "REWRITES", "Rewrite"]
