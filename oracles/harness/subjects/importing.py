"""Where a piece of code is imported from, as ``package.module:name``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from oracles.harness.subjects.subject import SubjectError, answering
from oracles.naming import nearest


def imported(name: str) -> Any:
    """What ``package.module:name`` is, looked up from the current folder, too.

    Raises:
        SubjectError: it is not there, or its module cannot be imported.

    >>> imported("math:tau")
    6.283185307179586
    """
    module, attribute = _parts(name)
    with answering():
        found = importlib.import_module(module)
        if near := "" if hasattr(found, attribute) else nearest(attribute, dir(found)):
            raise AttributeError(f"module {module!r} has no {attribute!r}, did you mean {near!r}?")
        return getattr(found, attribute)


@contextmanager
def as_program(name: str) -> Iterator[None]:
    """Inside, ``sys.argv`` is that of the module as a program: its file, without arguments.

    Code that reads its arguments would take those of whoever asks it for its own.

    >>> with as_program("ast:parse"):
    ...     print([Path(argument).name for argument in sys.argv])
    ['ast.py']
    """
    before, sys.argv = sys.argv, [name]
    try:
        sys.argv = [_file(name)]
        yield
    finally:
        sys.argv = before


def _file(name: str) -> str:
    """Where a module is; the name itself if there is none, which importing it tells."""
    with suppress(SubjectError), answering():  # what it is in is imported
        found = importlib.util.find_spec(_parts(name)[0])
        return (found and found.origin) or name
    return name


def limit_of(subject: Any, time_limit: float | None) -> float | None:
    """A time limit, for which a process is started; None where there is no code that could hang.

    >>> limit_of("math:tau", 1.0), limit_of("mine.optimizers:Adam", 1.0), limit_of(len, 1.0)
    (1.0, None, 1.0)
    """
    return None if _is_nowhere(subject) else time_limit


def _is_nowhere(subject: Any) -> bool:
    """Whether something is named of which there is no package: no code is run to see that."""
    if not isinstance(subject, str):
        return False
    try:
        package, _, _ = _parts(subject)[0].partition(".")
    except SubjectError:
        return True
    return package not in sys.modules and importlib.util.find_spec(package) is None


def _parts(name: str) -> tuple[str, str]:
    """The module and the name in it; modules are found in the current folder from now on.

    Raises:
        SubjectError: it is spelled otherwise.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    module, _, attribute = name.partition(":")
    if module.endswith(".py") or "/" in module:
        raise SubjectError(
            f"{name!r} names a file; allowed: a module, with dots, that is in the current folder "
            f"or installed, as {Path(module).stem}:{attribute or 'NAME'}"
        )
    if not (module and attribute):
        raise SubjectError(f"{name!r} is not MODULE:NAME, as {_spelled(module)}")
    return module, attribute


def called(name: str) -> str:
    """What is imported from there is called so there.

    >>> called("torch.optim:SGD")
    'SGD'
    """
    return name.rpartition(":")[2]


def _spelled(name: str) -> str:
    """What may have been meant by a name without a colon.

    >>> _spelled("torch.optim.Adam"), _spelled("mine")
    ('torch.optim:Adam', 'mine:NAME')
    """
    module, _, attribute = name.rpartition(".")
    return f"{module}:{attribute}" if module else f"{name or 'MODULE'}:NAME"
