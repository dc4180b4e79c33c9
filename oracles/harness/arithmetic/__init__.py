"""Formats and enclosures: what rounding can do to what a rule computes.

Importing the package makes every module enter what it implements for enclosures: NumPy's functions
(:func:`~oracles.harness.arithmetic.enclosure.implements`) and those of :mod:`oracles.numerics`.
"""

from oracles.harness.arithmetic import forms, functions, newton_schulz, ordering, reductions

__all__ = ["forms", "functions", "newton_schulz", "ordering", "reductions"]
