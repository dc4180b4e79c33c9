"""Which subjects there are: an optimizer class on all or some paths, dtypes and devices."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from oracles.harness.cases.case import PRECISIONS
from oracles.harness.subjects.paths import PATHS, OptimizerClass
from oracles.harness.subjects.subject import EVERYWHERE, Place
from oracles.harness.subjects.torch_optim import TorchSubject, absent, devices
from oracles.naming import unknown
from oracles.rule import Rule


def select(
    rule: Rule,
    paths: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    on: Sequence[str] = (),
    *,
    optimizer: OptimizerClass | None = None,
) -> tuple[list[TorchSubject], dict[Place, str]]:
    """Subjects for the chosen paths, dtypes and devices (empty: all there are).

    Args:
        rule: what they are to follow.
        paths: names of paths.
        dtypes: names of dtypes, or ``mixed``.
        on: names of devices.
        optimizer: the class to ask; by default torch's class of the rule's name.

    Returns:
        The subjects, and by place why the others are absent; one for the whole optimizer, whose
        path is :data:`EVERYWHERE`, if torch has no such class.
    """
    optimizer = optimizer or getattr(torch.optim, rule.name, None)
    if optimizer is None:
        return [], {Place(rule.name, EVERYWHERE, "", ""): f"this torch.optim has no {rule.name}"}
    subjects, missing = [], {}
    for path in PATHS:
        for dtype in dtypes or PRECISIONS:
            for device in on or devices():
                if paths and path.name not in paths:
                    continue
                reason = absent(rule, optimizer, path, dtype, device)
                subject = TorchSubject(rule, optimizer, path, dtype, device)
                if reason:
                    missing[subject.place] = reason
                else:
                    subjects.append(subject)
    return subjects, missing


def refuse_places(
    paths: Sequence[str], dtypes: Sequence[str], on: Sequence[str], others: Sequence[str] = ()
) -> None:
    """Refuse names of paths, dtypes and devices that there are not.

    Args:
        paths, dtypes, on: the names.
        others: paths of parts of the loop, beside those of optimizers.

    Raises:
        ValueError: with the names there are.
    """
    known = [path.name for path in PATHS]
    for option, given, allowed in (
        ("path", paths, [*dict.fromkeys((*known, *others))]),
        ("dtype", dtypes, PRECISIONS),
        ("device", on, devices()),
    ):
        for value in given:
            if value not in allowed:
                told = f"{option}={value!r} is not there"
                raise ValueError(unknown(told, value, allowed, "; ".join(allowed)))
