"""What torch, its optimizers and the machine say of themselves, for the header of a report."""

from __future__ import annotations

import inspect
import platform
import re
from typing import Any

import numpy as np
import torch

from oracles.harness.subjects.paths import OptimizerClass
from oracles.harness.subjects.torch_optim import single_devices

REQUIRED = "required"
"""In place of a default, of an argument that has none."""


def machine() -> dict[str, Any]:
    """Versions and hardware on which results may depend; nothing that names a host or a user.

    ``midpoints`` is the number of significand bits in which the oracles compute.
    """
    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "devices": {device: device_name(device) for device in single_devices()},
        "threads": torch.get_num_threads(),
        "midpoints": int(np.finfo(np.longdouble).nmant) + 1,
    }


def version() -> str:
    """torch's, as ledgers look it up."""
    return str(torch.__version__)


def device_name(device: str) -> str:
    """Which kind of device it is: of a CPU, the instructions that torch's kernels use."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    if device == "cpu":
        told = re.search(r"CPU capability usage: (\w+)", torch.__config__.show())
        return told[1] if told else "unknown"
    return device


def arguments(optimizer: OptimizerClass) -> dict[str, str] | None:
    """By name, the defaults of what a constructor takes after the parameters, as they are written.

    A function that takes no parameters first, as ``get_ema_avg_fn``, shows all that it takes; one
    that takes whatever it is given, as DTensor does since it is made in C++, shows nothing.

    >>> arguments(torch.optim.Adam)["betas"]
    '(0.9, 0.999)'
    """
    named = [*inspect.signature(optimizer).parameters.values()]
    if named and all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in named):
        return None
    if named and named[0].default is inspect.Parameter.empty:
        del named[0]
    return {
        p.name: REQUIRED if p.default is p.empty else re.sub(r" at 0x\w+", "", repr(p.default))
        for p in named
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
