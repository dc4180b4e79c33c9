"""Where a piece of code is imported from, as ``package.module:name``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from oracles.harness.subjects.subject import SubjectError, answering


def imported(name: str) -> Any:
    """What ``package.module:name`` is, looked up from the current folder, too.

    Raises:
        SubjectError: it is not there, or its module cannot be imported.

    >>> imported("math:tau")
    6.283185307179586
    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise SubjectError(f"{name!r} is not MODULE:NAME")
    if module.endswith(".py") or "/" in module:
        raise SubjectError(
            f"{name!r} names a file; allowed: a module, with dots, that is in the current folder "
            f"or installed, as {Path(module).stem}:{attribute}"
        )
    with answering():
        return getattr(importlib.import_module(module), attribute)
