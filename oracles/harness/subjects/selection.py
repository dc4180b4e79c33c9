"""Which subjects there are: an optimizer class on all or some paths, dtypes and devices."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from oracles.harness.case import AXES
from oracles.harness.subjects.paths import PATHS, OptimizerClass, absent
from oracles.harness.subjects.torch_optim import Subject, devices, quiet
from oracles.rule import Rule


def select(
    optimizer: OptimizerClass,
    paths: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    on: Sequence[str] = (),
) -> tuple[list[Subject], dict[str, str]]:
    """Subjects for the chosen paths, dtypes and devices (empty: all there are).

    Returns:
        The subjects, and by ``"path, dtype, device"`` why the others are absent.

    Raises:
        ValueError: a path, dtype or device is unknown or not there, or nothing remains.
    """
    _known("path", paths, [path.name for path in PATHS])
    _known("dtype", dtypes, AXES)
    _known("device", on, devices())
    subjects, missing = [], {}
    for path in PATHS:
        for dtype in dtypes or AXES:
            for device in on or devices():
                if paths and path.name not in paths:
                    continue
                reason = absent(optimizer, path, dtype, device)
                if reason:
                    missing[f"{path.name}, {dtype}, {device}"] = reason
                else:
                    subjects.append(Subject(optimizer, path, dtype, device))
    if not subjects:
        reasons = "; ".join(f"{where}: {why}" for where, why in missing.items())
        raise ValueError(f"nothing to ask is left of {optimizer.__name__}: {reasons}")
    return subjects, missing


def every(
    rule: Rule, paths: Sequence[str], dtypes: Sequence[str], on: Sequence[str]
) -> tuple[list[Subject], dict[str, str]]:
    """:func:`select` for the installed torch's class of that rule, with torch set up for checks."""
    quiet()
    return select(getattr(torch.optim, rule.name), paths, dtypes, on)


def _known(option: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    for value in given:
        if value not in allowed:
            raise ValueError(f"{option}={value!r} is not there; there are: {'; '.join(allowed)}")
