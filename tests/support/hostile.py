"""Optimizers that nobody should have to run: what is said of them is one sentence."""

from __future__ import annotations

import builtins
import os
import signal
import sys
from typing import Any, ClassVar

import torch

from tests.support import clock
from tests.support.breakers import Clean


class Step(Clean):
    """Does something at its steps."""

    def rate(self, p: Any, group: Any) -> float:
        self.misbehave(p)
        return super().rate(p, group)

    def misbehave(self, p: Any) -> None:
        """What it does."""


class Unbuilt(Clean):
    def __init__(self, params: Any, lr: float = 0.1) -> None:
        raise ValueError("not today. Nor tomorrow")


class Hanging(Step):
    def misbehave(self, p: Any) -> None:
        clock.hang()


class Busy(Step):
    def misbehave(self, p: Any) -> None:
        clock.hanging()
        while True:
            pass


class Moody(Step):
    steps: ClassVar[list[int]] = []

    def misbehave(self, p: Any) -> None:
        self.steps.append(1)
        if len(self.steps) % 50 == 0:
            raise RuntimeError("not today")


class Nothing(Clean):
    """Makes nothing."""

    def __new__(cls, *args: Any, **given: Any) -> Any:
        return None


class Shrinking(Clean):
    def update(self, p: Any, g: Any, group: Any) -> None:
        super().update(p, g, group)
        p.data = p.data[:1]


class Doubling(Clean):
    def update(self, p: Any, g: Any, group: Any) -> None:
        super().update(p, g.to(p.dtype), group)
        p.data = p.data.double()


class NotANumber(Step):
    def misbehave(self, p: Any) -> None:
        p.fill_(float("nan"))


class Printing(Step):
    def misbehave(self, p: Any) -> None:
        print("still here")
        print("and here", file=sys.stderr)


class Closing(Step):
    def misbehave(self, p: Any) -> None:
        sys.stdout.close()
        os.closerange(1, 3)


class Leaving(Step):
    def misbehave(self, p: Any) -> None:
        sys.exit(3)


class Vanishing(Step):
    def misbehave(self, p: Any) -> None:
        os._exit(3)


class HalfVanishing(Step):
    """Takes its process along in float16."""

    def misbehave(self, p: Any) -> None:
        if p.dtype is torch.float16:
            os._exit(3)


class Killing(Step):
    def misbehave(self, p: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Interrupting(Step):
    def misbehave(self, p: Any) -> None:
        raise KeyboardInterrupt


class LateVanishing(Clean):
    """Takes its process along when its state is asked for."""

    def state_dict(self) -> Any:
        os._exit(3)


class Replacing(Step):
    def misbehave(self, p: Any) -> None:
        torch.zeros_like = None  # type: ignore[assignment]
        builtins.len = None  # type: ignore[assignment]


class Devouring(Step):
    """Eats the name space."""

    def misbehave(self, p: Any) -> None:
        for name in ("add", "mul", "equal", "is_tensor"):
            vars(torch).pop(name, None)


class Gpu(Step):
    def misbehave(self, p: Any) -> None:
        raise RuntimeError("this needs a GPU")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no message")


class Speechless(Step):
    def misbehave(self, p: Any) -> None:
        raise Unspeakable


class NoOptimizer:
    """Takes anything, and is nothing."""

    def __init__(self, *args: Any, **given: Any) -> None: ...


class Recursive(Step):
    def misbehave(self, p: Any) -> None:
        self.misbehave(p)


class Opaque:
    def __repr__(self) -> str:
        raise ValueError("no words")

    def __eq__(self, other: object) -> bool:
        raise ValueError("no comparison")

    __hash__ = None  # type: ignore[assignment]


class Returning(Clean):
    def evaluated(self, closure: Any) -> Any:
        super().evaluated(closure)
        return Opaque()


ENDLESS: tuple[type, ...] = (Hanging, Busy)
"""Whoever never returns."""

STOPPED: dict[type, str] = {
    Unbuilt: "raises ValueError: not today",
    Nothing: "makes no optimizer: NoneType has no step()",
    NoOptimizer: "makes no optimizer: NoOptimizer has no step()",
    dict: "raises ValueError: no signature found for builtin type <class 'dict'>",
    Leaving: "raises SystemExit: 3",
    Vanishing: "ends its process with exit code 3",
    Killing: "is ended by signal SIGKILL",
    Interrupting: "raises KeyboardInterrupt",
    Gpu: "raises RuntimeError: this needs a GPU",
    Speechless: "raises Unspeakable",
    Recursive: "raises RecursionError: maximum recursion depth exceeded",
}
"""Whoever cannot take a step, and what is said."""

BROKEN: dict[type, str] = {
    Shrinking: "parameters stay themselves: changes the shape of parameter 0 at step 1: (3,) "
    "became (1,)",
    Doubling: "changes the dtype of parameter 0 at step 1: torch.float32 became torch.float64",
    NotANumber: "finite: parameter 0 is not finite after step 1",
    LateVanishing: "state_dict in mid-run: ends its process with exit code 3",
    Replacing: "replaces builtins.len and 1 more",
    Devouring: "functions of libraries: replaces torch.is_tensor and 3 more",
    Returning: "no result: returns a Opaque where there is no closure",
    Moody: "raises RuntimeError: not today",
}
"""Whoever can, and one sentence of what is said."""
