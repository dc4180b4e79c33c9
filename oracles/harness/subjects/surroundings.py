"""What surrounds somebody's code: global state, and the functions of libraries.

A step that changes any of it is told on; and it is put back, so that whoever asks goes on as
before. torch is looked at where it is there.
"""

from __future__ import annotations

import builtins
import io
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from itertools import compress
from operator import is_not
from typing import Any

import numpy as np

from oracles.harness.promise import Promise
from oracles.harness.subjects.subject import SubjectError


@dataclass
class Forks:
    """How often this process has been forked."""

    count: int = 0

    def add(self) -> None:
        self.count += 1


FORKS = Forks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=FORKS.add)


@dataclass(frozen=True)
class Setting:
    """A piece of global state.

    Attributes:
        name: of what was done to it, as a sentence goes on.
        get: its value, which can be compared and kept.
        put: puts such a value back.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], Any]


def _numpy_state() -> Any:
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
    return kind, tuple(np.asarray(keys).tolist()), *rest


def _put_environment(values: Mapping[str, str]) -> None:
    if dict(os.environ) != values:
        os.environ.clear()
        os.environ.update(values)


GENERATORS = (
    Setting("draws from Python's global generator", random.getstate, random.setstate),
    Setting("draws from NumPy's global generator", _numpy_state, np.random.set_state),
)

PYTHON = (
    Setting("changes NumPy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
    Setting("changes environment variables", lambda: dict(os.environ), _put_environment),
    Setting("changes the working directory", os.getcwd, os.chdir),
    Setting("changes Python's recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
)

FORKED = Setting("forks its process", lambda: FORKS.count, lambda value: None)


def generators() -> tuple[Setting, ...]:
    """Global random generators."""
    torch = sys.modules.get("torch")
    if torch is None:
        return GENERATORS
    return (
        *GENERATORS,
        Setting(
            "draws from torch's global generator",
            lambda: bytes(torch.get_rng_state().numpy()),
            lambda value: torch.set_rng_state(
                torch.from_numpy(np.frombuffer(value, np.uint8).copy())
            ),
        ),
    )


def switches() -> tuple[Setting, ...]:
    """Other global state."""
    torch = sys.modules.get("torch")
    if torch is None:
        return PYTHON
    return (
        *PYTHON,
        Setting("changes torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        Setting(
            "changes whether gradients are recorded",
            torch.is_grad_enabled,
            torch.set_grad_enabled,
        ),
        Setting("changes torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        Setting(
            "changes whether torch's algorithms are deterministic",
            torch.get_deterministic_debug_mode,
            torch.set_deterministic_debug_mode,
        ),
        Setting(
            "changes whether subnormal numbers are flushed to 0",
            lambda: not torch.full((), 1e-310, dtype=torch.float64) * 1,
            torch.set_flush_denormal,
        ),
        Setting(
            "changes the precision of torch's matrix products",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        Setting(
            "changes whether torch looks for anomalies",
            torch.is_anomaly_enabled,
            torch.autograd.set_detect_anomaly,
        ),
    )


NAMESPACES = ("torch", "torch.nn.functional", "torch.optim", "torch.autograd", "numpy", "random")


def namespaces() -> dict[str, Any]:
    """Where the functions are that all share, by name."""
    found: dict[str, Any] = {"builtins": builtins}
    found |= {name: sys.modules[name] for name in NAMESPACES if name in sys.modules}
    if torch := sys.modules.get("torch"):
        found |= {"torch.Tensor": torch.Tensor, "torch.optim.Optimizer": torch.optim.Optimizer}
    return found


OF_DTYPE = "torch.Storage"
"""What ``torch.set_default_dtype`` replaces; that is told as what it is."""


@dataclass
class Snapshot:
    """What surrounds a piece of code, at the moment it was made."""

    settings: list[tuple[Setting, Any]] = field(init=False)
    names: list[tuple[str, Any, dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        everything = (*generators(), *switches(), FORKED)
        self.settings = [(setting, setting.get()) for setting in everything]
        self.names = [(name, home, dict(vars(home))) for name, home in namespaces().items()]

    def changed(self, settings: tuple[Setting, ...]) -> list[str]:
        """What has been done since to any of these."""
        mine = {setting.name for setting in settings}
        return [s.name for s, value in self.settings if s.name in mine and s.get() != value]

    def replaced(self) -> list[str]:
        """Which functions have become others, or are gone."""
        return [
            f"{name}.{key}"
            for name, home, before in self.names
            for key in _others(home, before)
            if f"{name}.{key}" != OF_DTYPE
        ]

    def damage(self) -> str:
        """A sentence about that; empty if there is none. Everything is put back before."""
        replaced = self.replaced()
        self.restore()
        more = f" and {len(replaced) - 1} more" if len(replaced) > 1 else ""
        return f"replaces {replaced[0]}{more}" if replaced else ""

    def restore(self) -> None:
        """Put everything back."""
        for _, home, before in self.names:
            for key in _others(home, before):
                setattr(home, key, before[key])
        for setting, value in self.settings:
            if setting.get() != value:
                setting.put(value)


def _others(home: Any, before: Mapping[str, Any]) -> list[str]:
    """Under which names a namespace has something else than before: seldom any of thousands."""
    now = map(vars(home).get, before)
    return [*compress(before, map(is_not, now, before.values()))]


class _Open(io.StringIO):
    """A stream that whoever prints to it cannot close."""

    def close(self) -> None:
        """Stay open."""


@dataclass
class Heard:
    """What a piece of code has printed, and what was around it before.

    Attributes:
        before: that.
        stream: where prints go.
    """

    before: Snapshot
    stream: io.StringIO = field(default_factory=_Open)

    @property
    def lines(self) -> int:
        """How many lines."""
        return len(self.stream.getvalue().splitlines())


@contextmanager
def undisturbed() -> Iterator[Heard]:
    """Around a question: what it does to its surroundings is undone, and what it prints is kept.

    torch works on one thread meanwhile: the number of threads may change the bits of a sum.
    """
    heard = Heard(Snapshot())
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    try:
        with (
            redirect_stdout(heard.stream),
            redirect_stderr(heard.stream),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield heard
    finally:
        heard.before.restore()


def _leaves(settings: Callable[[], tuple[Setting, ...]]) -> Callable[[Any], str]:
    """Whether a run of a trial leaves such state alone; how it does not."""

    def ask(trial: Any) -> str:
        before = Snapshot()
        with suppress(SubjectError):  # which is told elsewhere
            trial.run()
        return ", ".join(before.changed(settings()))

    return ask


def _functions_kept(trial: Any) -> str:
    before = Snapshot()
    with suppress(SubjectError):
        trial.run()
    return before.damage()


SURROUNDING_PROMISES = (
    Promise("random state", "no global random generator is drawn from", _leaves(generators)),
    Promise("global switches", "no global setting is changed", _leaves(switches)),
    Promise("functions of libraries", "no function is replaced", _functions_kept),
    Promise("one process", "it stays in its process", _leaves(lambda: (FORKED,))),
)
"""What every step promises, whatever it computes with."""
