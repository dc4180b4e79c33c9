"""Which subjects there are: an optimizer class on all or some paths, dtypes and devices."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from oracles.harness.cases.case import AXES
from oracles.harness.subjects.paths import PATHS, OptimizerClass
from oracles.harness.subjects.torch_optim import Subject, absent, devices
from oracles.rule import Rule


def select(
    rule: Rule,
    paths: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    on: Sequence[str] = (),
    *,
    optimizer: OptimizerClass | None = None,
) -> tuple[list[Subject], dict[str, str]]:
    """Subjects for the chosen paths, dtypes and devices (empty: all there are).

    Args:
        rule: what they are to follow.
        paths: names of paths.
        dtypes: names of dtypes, or ``mixed``.
        on: names of devices.
        optimizer: the class to ask; by default torch's class of the rule's name.

    Returns:
        The subjects, and by ``"path, dtype, device"`` why the others are absent.

    Raises:
        ValueError: a path, dtype or device is unknown or not there.
    """
    refuse_unknown(paths, dtypes, on)
    optimizer = optimizer or getattr(torch.optim, rule.name, None)
    if optimizer is None:
        return [], {"everywhere": f"this torch.optim has no {rule.name}"}
    subjects, missing = [], {}
    for path in PATHS:
        for dtype in dtypes or AXES:
            for device in on or devices():
                if paths and path.name not in paths:
                    continue
                reason = absent(rule, optimizer, path, dtype, device)
                if reason:
                    missing[f"{path.name}, {dtype}, {device}"] = reason
                else:
                    subjects.append(Subject(rule, optimizer, path, dtype, device))
    return subjects, missing


def refuse_unknown(paths: Sequence[str], dtypes: Sequence[str], on: Sequence[str]) -> None:
    """Refuse names of paths, dtypes and devices that there are not.

    Raises:
        ValueError: with the names there are.
    """
    for option, given, allowed in (
        ("path", paths, [path.name for path in PATHS]),
        ("dtype", dtypes, AXES),
        ("device", on, devices()),
    ):
        for value in given:
            if value not in allowed:
                raise ValueError(
                    f"{option}={value!r} is not there; there are: {'; '.join(allowed)}"
                )
