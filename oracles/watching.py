"""watch, check_loop: what does not hold in a training loop.

Steps, backward passes, clipping, schedulers and scalers are recorded while somebody's loop runs. A
fault is said only where what was seen leaves no other reading; what may be
meant so is told apart, with what would tell it.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from oracles.harness.runs.alarm import TimeIsUp, alarm
from oracles.harness.runs.confined import REST, SHARE, answers
from oracles.harness.subjects.importing import as_program, imported, limit_of
from oracles.harness.subjects.subject import SubjectError, told
from oracles.harness.subjects.surroundings import undisturbed
from oracles.harness.watching.events import MEAN, SUM, Ended, Log, Meant, Stepped
from oracles.harness.watching.faults import FAULTS, QUESTIONS, Finding, findings
from oracles.harness.watching.loop import Loop, listed
from oracles.movement import movements
from oracles.naming import refuse_limits, refuse_numbers, refuse_unlisted, unknown

TRAINING, LOOP = "the training", "the loop"
"""What is asked of a function which trains: what is seen of it, and then what is wrong."""

MANY = 4
"""Of more optimizers it is not told one by one how many steps each has made."""

BY_FORCE = 2
"""So many times its limit a training has before its process is ended with all that was seen."""


class LoopReport:
    """What is to be said of a training loop, once it is over.

    Attributes:
        name: of the loop.
        allow: names of faults that are meant so.

    >>> import oracles, torch
    >>> w = torch.nn.Parameter(torch.ones(2))
    >>> optimizer = torch.optim.SGD([w], lr=0.5)
    >>> with oracles.watch(optimizer) as report:
    ...     for _ in range(2):
    ...         (w**2).sum().backward()
    ...         optimizer.step()
    >>> report.ok
    False
    >>> print(report)
    the loop, 2 steps of SGD after 2 backward passes: never cleared
    """

    def __init__(self, name: str, allow: Sequence[str] = ()) -> None:
        self.name = name
        self.allow = tuple(allow)
        self._log: Log | None = None

    def over(self, log: Log) -> LoopReport:
        """The loop is over, and this was seen of it."""
        self._log = log
        return self

    def judged(self) -> LoopReport:
        """Read all there is to say where the loop ran: numbers that are none change elsewhere."""
        _ = self.findings, self.doubts
        return self

    @property
    def log(self) -> Log:
        """All that was seen.

        Raises:
            RuntimeError: the loop is not over.
        """
        if self._log is None:
            raise RuntimeError(f"{self.name} is not over: read its report after the with block")
        return self._log

    @cached_property
    def loop(self) -> Loop:
        """The log, read."""
        read = Loop(self.log)
        return replace(read, movements=tuple(movements(read)))

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, but for what is allowed."""
        among = [fault for fault in FAULTS if fault.name not in self.allow]
        return tuple(findings(self.loop, among))

    @cached_property
    def doubts(self) -> tuple[Finding, ...]:
        """What could not be told, each with what would tell it."""
        return tuple(findings(self.loop, QUESTIONS))

    @property
    def follows(self) -> tuple[str, ...]:
        """Which rules the weights were seen to follow."""
        names = [self.log.optimizers[m.optimizer].name for m in self.loop.movements]
        moved = zip(names, self.loop.movements, strict=True)
        return tuple(
            dict.fromkeys(f"the weights of {name} move as {m.follows}" for name, m in moved)
        )

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def raise_if_wrong(self) -> None:
        """Nothing, if nothing is wrong.

        Raises:
            AssertionError: something is; a sentence for each fault.
        """
        if not self.ok:
            raise AssertionError("\n".join(map(str, self.findings)))

    @cached_property
    def seen(self) -> str:
        """How much was seen."""
        events = self.log.events
        steps = [e.optimizer for e in events if isinstance(e, Stepped)]
        counted = [
            f"{steps.count(n)} step{'s' if steps.count(n) > 1 else ''} of {optimizer.name}"
            for n, optimizer in enumerate(self.log.optimizers)
            if n in steps
        ]
        if len(counted) > MANY:
            counted = [f"{len(steps)} steps of {len(counted)} optimizers"]
        passes = sum(isinstance(e, Ended) for e in events)
        after = f"{passes} backward pass{'es' if passes != 1 else ''}"
        cut = f", ended after {self.log.cut:g} s" if self.log.cut else ""
        return f"{listed(counted) if counted else 'no step'} after {after}{cut}"

    def __str__(self) -> str:
        """The one line that a person can quote."""
        return f"{self.name}, {self.seen}: {_named(self.findings) or self._nothing}"

    @property
    def _nothing(self) -> str:
        return f"nothing is wrong{'; open: ' if self.doubts else ''}{_named(self.doubts)}"

    def to_json(self) -> dict[str, Any]:
        """The report as plain data, as ``oracles/reports/loop.schema.json`` describes it."""
        return {
            "schema": 1,
            "oracles": importlib.metadata.version("optimizer-oracles"),
            "loop": self.name,
            "ok": self.ok,
            "summary": str(self),
            "whole": self.log.whole,
            "findings": [found._asdict() for found in self.findings],
            "doubts": [
                {"name": d.name, "sentence": d.sentence, "needs": d.advice} for d in self.doubts
            ],
            "follows": list(self.follows),
            "allowed": list(self.allow),
        }


@contextmanager
def watch(
    optimizer: Any,
    *,
    model: Any = None,
    scheduler: Any = None,
    scaler: Any = None,
    loss: str | None = None,
    accumulation: int | None = None,
    weight_decay: float | None = None,
    ranks: bool = False,
    allow: Sequence[str] = (),
) -> Iterator[LoopReport]:
    """Watch a training loop; the report can be read when it is over.

    The loop computes what it computes without, to the bit, and nothing stays behind. All schedulers
    and scalers of torch, and whatever clips gradients, are seen without being given.

    Args:
        optimizer: an optimizer, or several.
        model: what the loop computes with, a module or several: parameters of it that have
            gradients and are in no optimizer are asked about. Names in sentences are the model's.
        scheduler: one or several; only those of a class that is not torch's must be given.
        scaler: the same of scalers.
        loss: what a step is to follow: the ``"mean"`` of the losses of all its rows, or their
            ``"sum"``. None where it may be either, or a sum of several losses.
        accumulation: how many backward passes make a step.
        weight_decay: as it is meant, where a group has any.
        ranks: compare what all processes of ``torch.distributed`` hold after each step. All must
            watch, and leave the block: they tell one another then.
        allow: names of faults that are meant so.

    Raises:
        TypeError: something is none of what it should be.
        ValueError: a value is not allowed.

    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with watch(optimizer, model=model, loss="mean") as report:
    ...     for _ in range(2):
    ...         for _ in range(4):  # micro-batches
    ...             model(torch.randn(8, 2)).square().mean().backward()
    ...         optimizer.step()
    ...         optimizer.zero_grad()
    >>> [found.name for found in report.findings]
    ['accumulation undivided']
    """
    optimizers, models = _several("optimizer", optimizer), _several("model", model)
    schedulers, scalers = _several("scheduler", scheduler), _several("scaler", scaler)
    _check(optimizers, models, schedulers, scalers)
    report = LoopReport("the loop", _allowed(allow))
    meant = _meant(loss, accumulation, weight_decay, ranks)
    from oracles.harness.subjects.loops.listening import Listener
    from oracles.harness.subjects.loops.recorder import Recorder

    recorder = Recorder(meant, every=False)
    for one in optimizers:
        recorder.optimizer(one, given=True)
    for one in models:
        recorder.model(one, given=True)
    for one in schedulers:
        recorder.scheduler(one)
    listener = Listener(recorder, None, schedulers, scalers)
    error = ""
    try:
        yield report
    except BaseException as raised:
        error = _fault(raised)
        raise
    finally:
        listener.close()
        report.over(recorder.log(whole=False, error=error))
    if ranks:
        from oracles.harness.subjects.loops.ranks import gathered

        report.over(recorder.log(whole=False, ranks=gathered(recorder.told)))


def check_loop(
    fit: Callable[[], Any] | str,
    *,
    steps: int | None = None,
    loss: str | None = None,
    accumulation: int | None = None,
    weight_decay: float | None = None,
    allow: Sequence[str] = (),
    time_limit: float | None = None,
) -> LoopReport:
    """Run a function that trains, and say what does not hold in it.

    Its optimizers, schedulers, scalers and models are found while it runs. It should train as it
    always does, on little data: one epoch at least, with whatever comes at its end. What it prints
    is not shown, and global state is put back. One that is imported finds no arguments in
    ``sys.argv``, whatever ours are.

    Args:
        fit: a function without arguments, or where one is imported from, as ``"module:name"``.
        steps: end it after so many steps of its optimizers, all counted.
        loss: this and the next three are as :func:`watch` has them.
        accumulation: how many backward passes make a step.
        weight_decay: as it is meant, where a group has any.
        allow: names of findings that are meant to be.
        time_limit: in seconds. The function runs in a process of its own, and is ended then: what
            was seen up to then is told. Code that cannot be interrupted has as long again, and then
            nothing is. To judge what was seen is no part of it. None runs it in this process, for
            as long as it takes.

    Raises:
        TypeError: fit cannot be called without arguments, or trains nothing when it is called.
        ValueError: a value is not allowed, or fit cannot be imported.

    >>> import torch
    >>> def fit():
    ...     model = torch.nn.Linear(2, 1)
    ...     optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ...     schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    ...     for _ in range(3):
    ...         optimizer.zero_grad()
    ...         model(torch.randn(8, 2)).square().mean().backward()
    ...         optimizer.step()
    >>> report = check_loop(fit)
    >>> print(report)
    fit, 3 steps of SGD after 3 backward passes: schedule never advances
    >>> report.findings[0].advice
    'call scheduler.step()'
    """
    refuse_limits(steps=steps, time_limit=time_limit)
    time_limit = limit_of(fit, time_limit)
    meant = _meant(loss, accumulation, weight_decay, ranks=False)
    ask = partial(_asked, fit, steps, meant, _allowed(allow), time_limit)
    whole = None if time_limit is None else BY_FORCE * time_limit / SHARE
    answered = dict(answers(partial(_interview, ask), whole))
    known = (answered[name] for name in (LOOP, TRAINING) if name in answered)
    if report := next((one for one in known if isinstance(one, LoopReport)), None):
        return report
    found = answered.get(TRAINING, answered.get(REST))
    if isinstance(found, SubjectError):
        raise ValueError(f"fit={fit!r} cannot be imported: {found}")
    return LoopReport(_name(fit), allow).over(Log(error=str(found)))


def _interview(
    ask: Callable[[], Any], known: Mapping[str, Any]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """First what is seen: it is not lost if to judge it takes too long."""
    yield TRAINING, ask
    if isinstance(report := known[TRAINING], LoopReport):
        yield LOOP, report.judged


def _asked(
    fit: Callable[[], Any] | str,
    steps: int | None,
    meant: Meant,
    allow: Sequence[str],
    time_limit: float | None,
) -> LoopReport | SubjectError:
    """Run a training: what was seen of it; or why it cannot be imported."""
    from oracles.harness.subjects.loops.listening import Enough, Listener
    from oracles.harness.subjects.loops.recorder import Recorder

    report = LoopReport(_name(fit), allow)
    recorder = Recorder(meant, every=True)
    whole, error, cut = False, "", None
    with undisturbed(), as_program(fit) if isinstance(fit, str) else nullcontext():
        try:
            function = imported(fit) if isinstance(fit, str) else fit
        except SubjectError as why:
            return why
        _callable(function)
        listener = Listener(recorder, steps)
        try:
            with alarm(time_limit):
                function()
            whole = True
        except TimeIsUp:
            cut = time_limit
        except Enough:
            pass
        except (Exception, SystemExit) as raised:
            error = _fault(raised)
            whole = not error
        finally:
            listener.close()
    return report.over(recorder.log(whole=whole, error=error, cut=cut))


def _named(found: Sequence[Finding]) -> str:
    """The names of what was found, each once; empty if nothing was."""
    return listed([*dict.fromkeys(one.name for one in found)]) if found else ""


def _fault(raised: BaseException) -> str:
    """What is wrong with what ends a loop; nothing of an exit without a status, or a close."""
    if isinstance(raised, GeneratorExit) or (isinstance(raised, SystemExit) and not raised.code):
        return ""
    return f"raises {told(raised)}"


def _name(fit: Any) -> str:
    return fit if isinstance(fit, str) else str(getattr(fit, "__name__", type(fit).__name__))


IDLE: tuple[tuple[Callable[[Any], bool], str, str], ...] = (
    (inspect.isclass, "a class", "makes one and trains it"),
    (inspect.isgeneratorfunction, "a generator function", "goes through it to its end"),
    (inspect.iscoroutinefunction, "an async function", "runs it by asyncio.run"),
    (inspect.isasyncgenfunction, "an async generator function", "goes through it by asyncio.run"),
)
"""What trains nothing when it is called, what that is, and what a function does that trains."""


def _callable(fit: Any) -> None:
    """Check that a function can be called without arguments, and trains then.

    Raises:
        TypeError: it cannot, or does not.
    """
    if not callable(fit):
        raise TypeError(f"fit={fit!r} cannot be called; allowed: a function without arguments")
    for is_one, what, does in IDLE:
        if is_one(fit):
            raise TypeError(
                f"fit={_name(fit)} is {what}, and a call of it trains nothing; allowed: a function "
                f"without arguments that {does}"
            )
    try:
        inspect.signature(fit).bind()
    except TypeError as error:
        raise TypeError(
            f"fit={_name(fit)} needs arguments ({error}); allowed: a function without, such as "
            "functools.partial makes"
        ) from error


def _several(name: str, given: Any) -> list[Any]:
    """One or several of something, as a list."""
    if given is None:
        return []
    found = list(given) if isinstance(given, list | tuple) else [given]
    if not found:
        raise ValueError(f"{name}={given!r} is empty; allowed: one, or several in a list")
    return found


def _check(
    optimizers: Sequence[Any],
    models: Sequence[Any],
    schedulers: Sequence[Any],
    scalers: Sequence[Any],
) -> None:
    """Check that they are what they should be.

    Raises:
        TypeError: one is not.
    """
    for one in optimizers or [None]:
        if not (hasattr(one, "param_groups") and hasattr(one, "state")):
            raise TypeError(
                f"optimizer={one!r} is no optimizer of torch; allowed: one, or several in a list"
            )
    for one in models:
        if not hasattr(one, "named_modules"):
            raise TypeError(f"model={one!r} is no module of torch; allowed: one, or several")
    for name, given in (("scheduler", schedulers), ("scaler", scalers)):
        for one in given:
            if not hasattr(one, "step"):
                raise TypeError(f"{name}={one!r} has no step(); allowed: a {name}, or several")


def _meant(
    loss: str | None, accumulation: int | None, weight_decay: float | None, ranks: bool
) -> Meant:
    """What is said of a loop.

    Raises:
        ValueError: a value is not allowed.
    """
    if loss not in (None, MEAN, SUM):
        raise ValueError(f"loss={loss!r} is not known; allowed: {MEAN!r}, {SUM!r} or None")
    whole = "a whole number from 1 on"
    refuse_numbers(whole, lambda n: n >= 1 and n % 1 == 0, accumulation=accumulation)
    refuse_numbers("a finite number from 0 on", lambda n: n >= 0, weight_decay=weight_decay)
    return Meant(loss, accumulation, weight_decay, ranks)


def _allowed(allow: Sequence[str]) -> tuple[str, ...]:
    """Names of faults that are meant so.

    Raises:
        ValueError: there is no fault of some name.
    """
    refuse_unlisted(allow=allow)
    names = [fault.name for fault in FAULTS]
    for name in allow:
        if name not in names:
            raise ValueError(unknown(f"allow={name!r} is no fault", name, names, "; ".join(names)))
    return tuple(allow)
