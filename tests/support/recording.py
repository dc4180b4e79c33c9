"""Runs of ``torch.optim.LBFGS``: recorded through its closure, and replayed by the oracle.

LBFGS branches on values and iterates until it is content, so its trajectory cannot be enclosed from
the start alone: after a few iterations the enclosure would hold everything. It need not be. The
closure sees every point torch evaluates, and the state shows what it has concluded. A *replay* goes
through ``oracles.optimizers.lbfgs.call`` in enclosures, from the recorded state, and at each
evaluation

*   holds torch's parameters against the enclosure of where the algorithm must be, and
*   goes on from those parameters, with radius 0, and with the loss and gradient torch was given.

So each radius is that of one iteration (of one trial, in a line search), derived and never chosen,
and errors pile up nowhere but in the memory of a call of several iterations. Where enclosures leave
a branch open the replay goes both ways, and torch must be found on one of them; a replay that would
fork too often is undecided, counted, and bounded.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from packaging.version import Version

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS, FloatArray, round_to
from oracles.harness.arithmetic.ordering import Truth
from oracles.harness.cases.choices import Choices
from oracles.optimizers.lbfgs import TORCH, Hyper, LBFGSConvention, Point, call

VERSION = Version(Version(torch.__version__).base_version)

UNLIMITED_SEARCH = replace(
    TORCH,
    name="search_of_25",
    equation="a line search has 25 trials after the first, whatever max_eval is",
    source="torch.optim.LBFGS before 2.10; minFunc",
    trials=lambda h, calls: 25,
)
"""No variant of an iteration, so not in the rule: it shows in whole calls only."""

NOW = TORCH if Version("2.10") <= VERSION else UNLIMITED_SEARCH
"""What the installed torch follows."""

SWITCHES = set(inspect.signature(torch.optim.LBFGS).parameters)
"""What its constructor takes."""

Loss = Callable[[torch.Tensor], torch.Tensor]
"""Of one flat vector, in its dtype."""

Script = Sequence[tuple[float, FloatArray]]
"""Losses and gradients to give at one evaluation after another, wherever they are asked for."""


FORKS = 8
"""Ways a replay may be tried."""


class Mismatch(AssertionError):
    """Torch's answer is not one that correct rounding can give."""


class Open(Exception):
    """Enclosures do not decide a branch."""


@dataclass(frozen=True, eq=False)
class Run:
    """What torch is asked.

    Attributes:
        loss: the objective, or a script.
        start: all parameters, flat.
        schedule: hyperparameters of each call.
        shapes: how the vector is cut into parameters.
        dtype: of the parameters.
        device: where they are.
    """

    loss: Loss | Script
    start: FloatArray
    schedule: tuple[Hyper, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float64"
    device: str = "cpu"

    def __repr__(self) -> str:
        name = getattr(self.loss, "__qualname__", repr(self.loss))
        start = self.start.tolist()
        return f"Run({name}, {start=}, {self.shapes}, {self.dtype}, {self.schedule})"


class Evaluation(NamedTuple):
    """What the closure saw and said: parameters, loss and gradient, the arrays flat."""

    w: FloatArray
    loss: float
    g: FloatArray


class Call(NamedTuple):
    """One call of ``step``: the state before and after as plain numbers, and what lies between."""

    h: Hyper
    before: dict[str, Any]
    evaluations: list[Evaluation]
    after: dict[str, Any]
    w: FloatArray


class Recorder:
    """One optimizer and its parameters, stepped call by call."""

    def __init__(self, run: Run, optimizer: Any = None) -> None:
        self.run = run
        self.evaluations: list[Evaluation] = []
        self.losses: list[torch.Tensor] = []
        self.asked = 0
        rounded = torch.from_numpy(np.array(round_to(run.dtype, run.start)))
        flat = rounded.to(device=run.device, dtype=getattr(torch, run.dtype))
        sizes = [int(np.prod(shape)) for shape in run.shapes]
        parts = torch.split(flat, sizes)
        self.parameters = [
            part.reshape(shape).clone().requires_grad_()
            for part, shape in zip(parts, run.shapes, strict=True)
        ]
        self.build = optimizer or torch.optim.LBFGS
        self.optimizer = self.build(self.parameters, **arguments(run.schedule[0]))

    def flat(self) -> torch.Tensor:
        """All parameters end to end, with their history."""
        return torch.cat([p.reshape(-1) for p in self.parameters])

    def closure(self) -> torch.Tensor:
        """Loss at the parameters as they are; leaves the gradient in ``.grad``."""
        expect(torch.is_grad_enabled(), "calls the closure with grad disabled")
        for p in self.parameters:
            p.grad = None
        if callable(self.run.loss):
            loss = self.run.loss(self.flat())
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            loss = self._read(self.run.loss)
        self.losses.append(loss)
        self.asked += 1
        grads = torch.cat([_gradient(p).reshape(-1) for p in self.parameters])
        value = float(loss.detach())
        self.evaluations.append(Evaluation(plain(self.flat()), value, plain(grads)))
        return loss

    def _read(self, script: Script) -> torch.Tensor:
        value, gradient = script[self.asked % len(script)]
        like = self.parameters[0]
        flat = torch.as_tensor(gradient, dtype=like.dtype, device=like.device)
        sizes = [p.numel() for p in self.parameters]
        parts = torch.split(flat, sizes)
        for p, part in zip(self.parameters, parts, strict=True):
            p.grad = part.reshape(p.shape).clone()
        return torch.as_tensor(value, dtype=like.dtype, device=like.device)

    @property
    def state(self) -> dict[str, Any]:
        """Torch's state, as plain numbers, without its scratch space."""
        state = self.optimizer.state[self.parameters[0]]
        return {name: plain(value) for name, value in state.items() if name != "al"}

    def step(self, h: Hyper) -> Call:
        """One call, with everything about it that must hold for any step."""
        group = self.optimizer.param_groups[0]
        group.update(arguments(h))
        hyper = {k: v for k, v in group.items() if k != "params"}
        before, places = self.state, [p.data_ptr() for p in self.parameters]
        self.evaluations, self.losses = [], []
        with torch.no_grad():
            returned = self.optimizer.step(self.closure)
            expect(not torch.is_grad_enabled(), "leaves grad enabled")
        expect(returned is self.losses[0], "does not return the first loss")
        expect(
            {k: v for k, v in group.items() if k != "params"} == hyper, "changes hyperparameters"
        )
        expect(places == [p.data_ptr() for p in self.parameters], "moves the parameters elsewhere")
        expect(list(self.optimizer.state) == self.parameters[:1], "keeps state elsewhere")
        left = plain(torch.cat([_gradient(p).reshape(-1) for p in self.parameters]))
        expect(_same(left, self.evaluations[-1].g), "changes the gradient")
        return Call(h, before, self.evaluations, self.state, plain(self.flat()))

    def restart(self) -> None:
        """Go on with another optimizer that was given this one's ``state_dict`` through a file."""
        file = io.BytesIO()
        torch.save(self.optimizer.state_dict(), file)
        file.seek(0)
        self.optimizer = self.build(self.parameters, lr=7.0)
        self.optimizer.load_state_dict(torch.load(file))


def arguments(h: Hyper) -> dict[str, Any]:
    """Hyperparameters as this torch's constructor takes them."""
    values = h._replace(max_eval=h.evaluations)._asdict()
    return {name: value for name, value in values.items() if name in SWITCHES}


def _gradient(p: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad


def plain(value: Any) -> Any:
    """Tensors as float64 arrays, which hold every dtype; lists as tuples."""
    if isinstance(value, torch.Tensor):
        return value.detach().double().cpu().numpy().copy()
    return tuple(plain(v) for v in value) if isinstance(value, list) else value


def recorded(run: Run, optimizer: Any = None) -> list[Call]:
    """All calls of a run."""
    recorder = Recorder(run, optimizer)
    return [recorder.step(h) for h in run.schedule]


# --- replaying --------------------------------------------------------------------------------


@dataclass
class Seen:
    """What replays have decided.

    Attributes:
        calls, forked, open: how many were replayed, met an open branch, and stayed undecided.
        points, unresolved: points held against an enclosure, and those no farther from the last one
            than the enclosure's radius.
        share: the largest part of a radius that torch has used.
    """

    calls: int = 0
    forked: int = 0
    open: int = 0
    points: int = 0
    unresolved: int = 0
    share: float = 0.0

    def add(self, other: Seen) -> None:
        """Count another's sights as well."""
        for name, count in vars(other).items():
            sum_or_max = max if name == "share" else int.__add__
            setattr(self, name, sum_or_max(getattr(self, name), count))

    def expect_inside(self, what: str, ball: Any, value: Any) -> None:
        """Torch's value is inside, or the numbers are the same where nothing was rounded."""
        if isinstance(ball, tuple):
            if len(ball) != len(value):
                raise Mismatch(f"{what}: {len(value)} entries, not {len(ball)}")
            for i, (one, other) in enumerate(zip(ball, value, strict=True)):
                self.expect_inside(f"{what}[{i}]", one, other)
            return
        if not isinstance(ball, Enclosure):
            if not _same(ball, value):
                raise Mismatch(f"{what} is {value}, not {ball}")
            return
        if ball.shape != np.shape(value) or not np.all(ball.contains(value)):
            raise Mismatch(f"{what} is {value}, outside {ball}")
        if np.all(np.isfinite(ball.rad) & np.isfinite(value)):
            used = np.abs(np.asarray(value) - ball.mid) / np.where(ball.rad > 0, ball.rad, 1)
            self.share = max(self.share, float(np.max(used, initial=0)))


def replay(recorded: Call, dtype: str, seen: Seen, convention: LBFGSConvention = NOW) -> None:
    """Hold one recorded call against the oracle, on every way open branches leave.

    Raises:
        Mismatch: torch is somewhere correct rounding does not lead, asks more or less often, or
            keeps another state.
    """
    ways: list[tuple[bool, ...]] = [()]
    refused: list[Mismatch] = []
    seen.calls += 1
    for tried in range(FORKS):
        if not ways:
            raise refused[-1]
        way = ways.pop()
        sights = Seen(forked=int(tried > 0))
        try:
            with patch.object(Truth, "__bool__", _decider(way)):
                _follow(recorded, dtype, sights, convention)
        except Mismatch as error:
            refused.append(error)
        except Open:
            ways += [(*way, True), (*way, False)]
        else:
            seen.add(sights)
            return
    seen.open += 1


def _decider(way: tuple[bool, ...]) -> Callable[[Truth], bool]:
    """What open comparisons answer: the way's turns, and after those nothing."""
    turns = iter(way)

    def decide(truth: Truth) -> bool:
        if truth.yes.ndim:
            raise TypeError("an array is neither true nor false")
        if truth.yes or truth.no:
            return bool(truth.yes)
        turn = next(turns, None)
        if turn is None:
            raise Open
        return turn

    return decide


def _follow(recorded: Call, dtype: str, seen: Seen, convention: LBFGSConvention) -> None:
    """One way through a recorded call."""
    left = iter(recorded.evaluations)
    last: list[FloatArray] = []

    def ball(values: Any) -> Enclosure:
        return Enclosure.exact(values, FORMATS[dtype])

    def closure(w: Enclosure) -> Point:
        evaluation = next(left, None)
        if evaluation is None:
            raise Mismatch(f"stops after {len(last)} evaluations, before one at {w}")
        seen.expect_inside(f"evaluation {len(last) + 1}", w, evaluation.w)
        if last:
            seen.points += 1
            with np.errstate(invalid="ignore"):  # a run that diverges may go from inf to inf
                seen.unresolved += bool(np.all(np.abs(evaluation.w - last[-1]) <= w.rad))
        last.append(evaluation.w)
        return Point(ball(evaluation.w), ball(evaluation.loss), ball(evaluation.g))

    before = {name: _lifted(value, ball) for name, value in recorded.before.items()}
    w, after = call(closure, ball(recorded.evaluations[0].w), before, recorded.h, convention)
    expect(next(left, None) is None, f"asks again after {len(last)} evaluations")
    seen.expect_inside("the parameter", w, recorded.w)
    expect(set(after) == set(recorded.after), f"keeps {set(recorded.after)}, not {set(after)}")
    for name, value in after.items():
        seen.expect_inside(name, value, recorded.after[name])


def replayed(run: Run, seen: Seen, optimizer: Any = None, convention: Any = NOW) -> list[Call]:
    """Record a run and hold all its calls."""
    calls = recorded(run, optimizer)
    for number, one in enumerate(calls):
        try:
            replay(one, run.dtype, seen, convention)
        except Mismatch as error:
            raise Mismatch(f"call {number + 1} of {run}: {error}") from None
    return calls


def _lifted(value: Any, ball: Callable[[Any], Enclosure]) -> Any:
    """Arrays of the state as balls; Python's numbers stay what they are, but the loss."""
    if isinstance(value, tuple):
        return tuple(ball(v) for v in value)
    return ball(value) if isinstance(value, np.ndarray) else value


def expect(condition: bool, otherwise: str) -> None:
    """Raise a mismatch unless the condition holds."""
    if not condition:
        raise Mismatch(otherwise)


def _same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True))


def same_calls(one: list[Call], other: list[Call], *, parameters_only: bool = False) -> bool:
    """Whether two runs went the same way to the bit."""
    if not all(_same(a.w, b.w) for a, b in zip(one, other, strict=True)):
        return False
    return parameters_only or all(
        _alike(a.after, b.after) and _alike(a.evaluations, b.evaluations)
        for a, b in zip(one, other, strict=True)
    )


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return set(one) == set(other) and all(_alike(one[k], other[k]) for k in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return _same(one, other)


# --- objectives -------------------------------------------------------------------------------


def quadratic(matrix: FloatArray, b: FloatArray) -> Loss:
    """``½ wᵀAw − bᵀw``."""

    def quadratic(w: torch.Tensor) -> torch.Tensor:
        a, c = (torch.as_tensor(v, dtype=w.dtype, device=w.device) for v in (matrix, b))
        return (w * (a @ w)).sum() / 2 - (c * w).sum()

    return quadratic


def logistic(rows: FloatArray, labels: FloatArray) -> Loss:
    """Mean of ``log(1 + exp(−y aᵀw))``, plus ``‖w‖²/16``."""

    def logistic(w: torch.Tensor) -> torch.Tensor:
        a, y = (torch.as_tensor(v, dtype=w.dtype, device=w.device) for v in (rows, labels))
        return torch.nn.functional.softplus(-y * (a @ w)).mean() + (w * w).sum() / 16

    return logistic


def waves(w: torch.Tensor) -> torch.Tensor:
    """Bends both ways, so that pairs are refused and brackets are found."""
    return torch.cos(3 * w).sum() + (w * w).sum() / 8


def valley(w: torch.Tensor) -> torch.Tensor:
    """Rosenbrock's, from one coordinate to the next."""
    return ((1 - w) ** 2).sum() + 4 * ((w[1:] - w[:-1] ** 2) ** 2).sum()


def hinge(w: torch.Tensor) -> torch.Tensor:
    """Steep, then suddenly flat: what a cubic does not foresee."""
    return (torch.sqrt(w * w + 2.0**-6) + w / 2).sum()


# --- drawing ----------------------------------------------------------------------------------


def lacking(dtype: str) -> str:
    """Why this torch cannot step parameters of a dtype here; empty if it can."""
    script = [(0.0, np.array([1.0])), (0.0, np.array([0.5]))]
    h = Hyper(max_iter=2, line_search_fn="strong_wolfe")
    try:
        recorded(Run(script, np.zeros(1), (h, h), ((1,),), dtype))
    except RuntimeError as error:
        if "not implemented for" not in str(error):
            raise
        return str(error)
    return ""


LACKING = {dtype: lacking(dtype) for dtype in FORMATS}

DRAWN = ("float64", "float32", "float64", "float32", "float64", "bfloat16", "float32", "float16")
"""Dtypes of drawn runs, with those more often in which more is decided."""

HALF = ("bfloat16", "float16")

RATES = (1, 0.5, 1.0, 0.1, 1.5, 0.25, 3.0)

TOLERANCES = (1e-9, 0, 1e-5, 0.01)

SIZE = 192 + 2 * 128
"""Bytes of a drawn run, as :class:`Choices` reads them."""


def drawn(raw: bytes) -> Run:
    """A run: any objective, cut, dtype and hyperparameters.

    In half precision line searches are left out: after a few trials nothing is decided any more,
    and float16 refuses lengths beyond 65504, which five extrapolations reach.
    """
    choices = Choices(raw)
    shapes = choices.pick((((2,),), ((1,),), ((3,),), ((2, 2), (1,)), ((), (3,), (1, 2)), ((7,),)))
    size = sum(int(np.prod(shape)) for shape in shapes)
    steps = 1 + choices.index(4)
    first = hyper(choices)
    schedule = [first]
    for _ in range(steps - 1):
        other = hyper(choices)._replace(history_size=first.history_size, maximize=first.maximize)
        schedule.append(other if choices.yes() else first)
    dtype = choices.pick([dtype for dtype in DRAWN if not LACKING[dtype]])
    if dtype in HALF:
        schedule = [h._replace(line_search_fn=None) for h in schedule]
    loss = objective(choices, size, dtype)
    return Run(loss, moderate(choices, size), tuple(schedule), shapes, dtype)


def hyper(choices: Choices) -> Hyper:
    """Hyperparameters of one call."""
    h = Hyper(
        lr=float(choices.pick(RATES)),  # t is computed from it, in float64 as in torch
        max_iter=choices.pick((1, 3, 2, 4)),
        max_eval=choices.pick((None, 7, 2, 4)),
        tolerance_grad=choices.pick((1e-7, 0, 0.25)),
        tolerance_change=choices.pick(TOLERANCES),
        history_size=choices.pick((100, 1, 2, 3)),
        line_search_fn=choices.pick((None, "strong_wolfe")),
    )
    return h._replace(maximize="maximize" in SWITCHES and choices.index(4) == 3)


def moderate(choices: Choices, *shape: int) -> FloatArray:
    """Values that every format holds, not too large to be squared a few times."""
    return round_to("bfloat16", np.clip(choices.array(shape), -8, 8))


def objective(choices: Choices, size: int, dtype: str) -> Loss | Script:
    """One of the above, or a script that no function would give."""
    kind = choices.index(8)
    if kind in (0, 1):
        root = moderate(choices, size, size) / 4
        return quadratic(root @ root.T + np.eye(size) / 4, moderate(choices, size))
    if kind == 2:
        return logistic(moderate(choices, 5, size), np.sign(moderate(choices, 5) + 0.01))
    if kind in (3, 4, 5):
        return (waves, valley, hinge)[kind - 3]
    return script(choices, size)


def script(choices: Choices, size: int) -> Script:
    """Eleven losses and gradients; slopes change their sign, losses rise and fall."""
    losses = moderate(choices, 11)
    gradients = moderate(choices, 11, size)
    return list(zip(losses.tolist(), gradients, strict=True))
