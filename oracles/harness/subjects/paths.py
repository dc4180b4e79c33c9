"""The implementation paths of a torch optimizer, as rows of data.

Which of them an installed torch has is found by looking: at the constructor's signature, and by a
trial step. Nothing here compares version numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

CHOICES = {"path": "foreach", "dtype": "bfloat16", "device": "cuda"}
"""By what subjects can be chosen (``--path``, ...), with an example each."""

OptimizerClass = Any
"""``type[torch.optim.Optimizer]``, which type checkers do not take for hashable."""


class Wrap(StrEnum):
    """What happens around a step."""

    FUNCTIONAL = "functional"
    """The module's function is called in place of the class."""
    SCALER = "scaler"
    """A ``GradScaler`` takes the step."""
    COMPLEX = "complex"
    """Neighbouring numbers are handed over as one complex number."""
    COMPILE = "compile"
    """The step is compiled."""


@dataclass(frozen=True)
class Path:
    """One way through an optimizer's code.

    Attributes:
        name: as reports and ``--path`` write it.
        switches: constructor arguments that select it.
        tensors: hyperparameters given as 0-d tensors instead of Python numbers.
        wrap: what happens around the step, if anything does.
        graph: whether those tensors require grad, so that the step itself can be differentiated.
        sparse: whether it takes sparse gradients.
        nonfinite: whether it steps on inf and nan gradients (a ``GradScaler`` skips those).
        expanded: whether it takes gradients whose elements share memory (a ``GradScaler`` unscales
            gradients in place, which torch refuses for those).
    """

    name: str
    switches: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    tensors: tuple[str, ...] = ()
    wrap: Wrap | None = None
    graph: bool = False
    sparse: bool = False
    nonfinite: bool = True
    expanded: bool = True

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def loop(self) -> str:
        """The loop that is switched on, which many paths have in common."""
        return next((name for name in ("fused", "foreach") if self.switches.get(name)), "for-loop")


def _row(name: str, *, foreach: bool | None = None, **options: Any) -> Path:
    """A path; ``foreach`` is written out because turning it off is a switch, too."""
    switches = dict(options.pop("switches", {}))
    if foreach is not None:
        switches["foreach"] = foreach
    return Path(name, MappingProxyType(switches), **options)


FUSED = {"fused": True}

CAPTURABLE = {"capturable": True}
DIFFERENTIABLE = {"differentiable": True}
SCALED: Mapping[str, Any] = {"wrap": Wrap.SCALER, "nonfinite": False, "expanded": False}

PATHS = (
    _row("default", sparse=True),
    _row("for-loop", foreach=False, sparse=True),
    _row("foreach", foreach=True, sparse=True),
    _row("fused", switches=FUSED),
    _row("for-loop, capturable", foreach=False, switches=CAPTURABLE),
    _row("foreach, capturable", foreach=True, switches=CAPTURABLE),
    _row("differentiable", switches=DIFFERENTIABLE),
    _row(
        "differentiable, tensors in the graph",
        switches=DIFFERENTIABLE,
        tensors=("lr", "weight_decay"),
        graph=True,
    ),
    _row("differentiable, lr in the graph", switches=DIFFERENTIABLE, tensors=("lr",), graph=True),
    _row(
        "differentiable, lr and betas in the graph",
        switches=DIFFERENTIABLE,
        tensors=("lr", "betas"),
        graph=True,
    ),
    _row("for-loop, tensor lr", foreach=False, tensors=("lr",)),
    _row("foreach, tensor lr", foreach=True, tensors=("lr",)),
    _row("fused, tensor lr", switches=FUSED, tensors=("lr",)),
    _row(
        "foreach, capturable, tensor lr",
        foreach=True,
        switches=CAPTURABLE,
        tensors=("lr",),
    ),
    _row("for-loop, tensor betas", foreach=False, tensors=("betas",)),
    _row(
        "foreach, capturable, tensor betas",
        foreach=True,
        switches=CAPTURABLE,
        tensors=("betas",),
    ),
    _row("for-loop, tensor weight_decay", foreach=False, tensors=("weight_decay",)),
    _row("foreach, tensor weight_decay", foreach=True, tensors=("weight_decay",)),
    _row("functional", wrap=Wrap.FUNCTIONAL, sparse=True),
    _row("for-loop, complex", foreach=False, wrap=Wrap.COMPLEX),
    _row("foreach, complex", foreach=True, wrap=Wrap.COMPLEX),
    _row("for-loop, grad scaler", foreach=False, **SCALED),
    _row("fused, grad scaler", switches=FUSED, **SCALED),
)


FOREACH = next(path for path in PATHS if path.name == "foreach")

LACKS = {
    r"not implemented for '\w+'": "a kernel is not written for a dtype",
    r"Could not run 'aten::": "an operator is not written for a device or layout",
    r"`fused=True` requires all the params|requires all the params to be CUDA": (
        "the fused kernel is not written for a device"
    ),
    r"must be CUDA( or XLA)? tensors": "guarded against devices without graphs",
    r"doesn't support float64": "MPS has no float64",
    r"argument '\w+'.* must be Number": "a tensor cannot be part of the graph",
    r"'torch.amp' has no attribute 'GradScaler'": "no scaler for all devices (before torch 2.3)",
    r"Attempting to unscale FP16 gradients": "a grad scaler unscales no float16 parameters itself",
    r"as a Tensor is not supported for capturable=False and foreach=True": "foreach reads numbers",
    r"Capturable not supported with": "only foreach could be captured (ASGD before torch 2.3)",
    r"[Cc]omplex param": "an optimizer refuses complex parameters",
    r"does not support complex": "an optimizer refuses complex parameters",
    r"does not support sparse gradients": "an optimizer refuses sparse gradients",
    r"view_as_complex is only supported for": "bfloat16 has no complex numbers",
}
"""How torch says that it lacks something: pattern of the message, and what it means."""
