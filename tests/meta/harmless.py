"""Why some mutants survive and are no hole."""

from __future__ import annotations

import re
from collections.abc import Sequence

HARMLESS: Sequence[tuple[str, str]] = ()
"""``(pattern, reason)``: survivors that the pattern finds in ``"file/function:line: a -> b"``."""


def reason(module: str, mutant: str, reached: int) -> str:
    """Why a survivor is no hole; empty if nobody has said."""
    described = f"{module.rpartition('.')[2]}/{mutant}"
    return next((why for pattern, why in HARMLESS if re.search(pattern, described)), "")
