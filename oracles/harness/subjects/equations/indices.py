r"""The numbers of steps that a text has above names, or behind them, written below: ``v_{t-1}``.

Nothing else is changed, and each place of the text stays where it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from oracles.harness.subjects.equations.names import NAME, STEP

GRADIENTS = frozenset({"g", "G"})
"""What has steps' numbers above it where the text's own names have them, and is given."""

_NAME = rf"(?<![A-Za-z_\\])(?<![A-Za-z_][0-9])({NAME})"
"""A whole one, from where it begins."""

_ABOVE = rf"\^(?:[{{(]({STEP})[)}}]|([tkn0])(?![\w(]))"
_GETS = r"\s*(?::?=(?!=)|<-|←|⟵|≔|\\leftarrow|\\gets)"
_GIVEN = re.compile(rf"(?:\A|[;\n&])[^\S\n]*{_NAME}{_ABOVE}{_GETS}")
_RAISED = re.compile(_NAME + _ABOVE)

_FORMS: Sequence[tuple[str, str]] = (
    (rf"{_NAME}\^(\{{\({STEP}\)\}})", r"\1_\2"),
    (r"(\\[A-Za-z]+)([^\S\n])(_\{[^{}\n]*\})", r"\1\3\2"),
    (r"\{(\\(?:hat|bar|tilde|widehat)\s?\{\\?\w+\})\}(_\{[^{}\n]*\})?", r"\1\2  "),
    (rf"\b([A-Za-z])\((?:[wxθ]|\\theta),({STEP})\)", r"\1_{\2} "),
)
r"""Marks of steps that are never a power, a product or a call: ``m^{(t)}``, ``\beta _{1}``,
``{\hat {m}}_{w}``, ``v(w,t)``."""


def indexed(text: str) -> str:
    r"""A text with the numbers of its steps below names.

    What stands above a name is an index where the text gives that name with one, and a power of any
    other.

    >>> indexed("x^{k+1} = x^k - α^k v^{(k)}")
    'x_{k+1} = x_k - α^k v_{(k)}'
    """
    for form, spelled in _FORMS:
        text = re.sub(form, spelled, text)
    given = {found[1] for found in _GIVEN.finditer(text)}

    def below(raised: re.Match[str]) -> str:
        name, step, letter = raised.groups()
        if name not in given | (GRADIENTS if given else frozenset()):
            return raised[0]
        return f"{name}_{letter}" if letter else f"{name}_{{{step}}}"

    return _RAISED.sub(below, text)
