"""Update rules pasted as text: :func:`~oracles.harness.subjects.equations.reading.read` them."""

from oracles.harness.subjects.equations.reading import Equation, read
from oracles.harness.subjects.equations.spelling import EquationError

__all__ = ["Equation", "EquationError", "read"]
