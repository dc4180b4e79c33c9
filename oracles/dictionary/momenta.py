"""What ``momentum`` means in SGD and RMSprop: the entries between its conventions.

γ is the learning rate, μ the momentum, τ the dampening, t the step, t−1 the one before.
"""

from __future__ import annotations

from collections.abc import Iterator

from oracles.dictionary.decays import LR_SCALED, MOVING, NO_MOMENTUM
from oracles.dictionary.entry import (
    TORCHS,
    Entry,
    Manner,
    Range,
    Refusal,
    alike,
    both,
    constant,
    ignoring,
    off,
    pair,
)
from oracles.drawing import Hyper

STEADY = Range(
    "momentum is not switched on or off",
    lambda schedule: len({h.momentum == 0 for h in schedule}) == 1,
)
NO_NESTEROV = both(off("nesterov"), STEADY)
NOT_ONE = Range("momentum is not 1", lambda schedule: all(h.momentum != 1 for h in schedule))
UNDAMPED = Range("dampening is not 1", lambda schedule: all(h.dampening != 1 for h in schedule))
ON = Range("momentum is not 0", lambda schedule: all(h.momentum != 0 for h in schedule))


def _in_gradients(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"momentum": h.momentum * before.lr / h.lr}


def _in_steps(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"momentum": h.momentum * h.lr / before.lr}


def _averaged(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"lr": h.lr * (1 - h.momentum)}


def _summed(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"lr": h.lr / (1 - h.momentum)}


WEIGHED: Manner = frozenset({"ema_momentum"})
"""What weighs by 1 − μ, which another momentum would change."""

UNITS = "the velocity holds steps (lr times gradients), torch's buffer holds gradients"
AVERAGE = "an average weighs what comes in by 1 − μ, torch's sum by 1, at the first step as well"


def _units(rule: str, name: str, plain: Range) -> Iterator[Entry]:
    """The learning rate inside the velocity, or outside."""
    yield from pair(
        rule,
        name,
        _in_gradients,
        "momentum_t = μ·lr_{t−1}/lr_t",
        _in_steps,
        "momentum_t = μ·lr_t/lr_{t−1}",
        UNITS,
        range=both(plain, MOVING),
        without=WEIGHED,
    )
    for where in (constant("lr"), NO_MOMENTUM):
        yield from alike(rule, name, where, UNITS)


def _average(rule: str, plain: Range, undamped: Range) -> Iterator[Entry]:
    """A moving average, or a sum."""
    steady = both(plain, ON, constant("momentum"))
    yield Entry(
        rule=rule,
        drops="ema_momentum",
        adds=TORCHS,
        change=lambda h, before, t: {**_averaged(h, before, t), **_undamped(rule)},
        formula="lr = lr(1 − μ)" + (", dampening = 0" if rule == "SGD" else ""),
        range=steady,
        without=LR_SCALED,
        needs=("lr",),
        reason=AVERAGE,
    )
    yield Entry(
        rule=rule,
        drops=TORCHS,
        adds="ema_momentum",
        change=_summed,
        formula="lr = lr/(1 − μ)",
        range=both(steady, undamped, NOT_ONE),
        without=LR_SCALED,
        needs=("lr",),
        reason=AVERAGE,
    )
    yield from alike(rule, "ema_momentum", NO_MOMENTUM, AVERAGE)


def _undamped(rule: str) -> dict[str, object]:
    return {"dampening": 0} if rule == "SGD" else {}


def entries() -> Iterator[Entry]:
    """Of both rules, those that hold more widely first."""
    yield from _units("SGD", "lr_in_velocity", NO_NESTEROV)
    yield from _units("RMSprop", "lr_in_buffer", STEADY)
    yield from _average("SGD", off("nesterov"), off("dampening"))
    yield from _average("RMSprop", STEADY, STEADY)
    yield from _dampened()
    yield from _looking_ahead()
    yield from alike("RMSprop", "momentum_inside", NO_MOMENTUM, "there is none")
    yield ignoring("RMSprop", "momentum_ignored")
    yield Entry(
        rule="RMSprop",
        drops=TORCHS,
        adds="momentum_ignored",
        range=NO_MOMENTUM,
        reason="there is none",
    )


def _undampened(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    whole, last = 1 - h.dampening, 1 - before.dampening
    return {"lr": h.lr * whole, "momentum": h.momentum * last / whole, "dampening": 0}


def _dampened() -> Iterator[Entry]:
    first = "torch leaves the first step whole, the other dampens it as all that follow"
    yield Entry(
        rule="SGD",
        drops="first_step_dampened",
        adds=TORCHS,
        change=_undampened,
        formula="lr = lr(1 − τ), momentum_t = μ(1 − τ_{t−1})/(1 − τ_t), dampening = 0",
        range=both(off("nesterov"), ON, UNDAMPED),
        without=LR_SCALED | {"lr_in_velocity"},
        needs=("lr",),
        reason=first,
    )
    yield Entry(
        rule="SGD",
        drops="ema_momentum",
        adds="first_step_dampened",
        change=lambda h, before, t: {"dampening": h.momentum},
        formula="dampening = μ",
        reason="an average is a sum that starts at 0 and weighs by 1 − μ",
    )
    for where in (off("dampening"), NO_MOMENTUM):
        yield from alike("SGD", "first_step_dampened", where, first)
    yield Entry(
        rule="SGD",
        drops=TORCHS,
        adds="first_step_dampened",
        change=lambda h, before, t: {"dampening": h.dampening if t > 1 else 0},
        formula="dampening_t = τ, but 0 at t = 1",
        range=STEADY,
        reason=first,
    )


def _looking_ahead() -> Iterator[Entry]:
    """What *nesterov* looks ahead with."""
    yield ignoring("SGD", "nesterov_ignored")
    parts = {
        "nesterov_undecayed": ("nesterov", "weight_decay", "momentum"),
        "nesterov_squared": ("nesterov", "momentum"),
        "nesterov_ignored": ("nesterov", "momentum"),
    }
    for name, parts_of in parts.items():
        for part in parts_of:
            yield from alike("SGD", name, off(part))


AHEAD = Range("nesterov=True", lambda schedule: any(h.nesterov for h in schedule))
STOPPED = Range(
    "nesterov=False, lr is 0",
    lambda schedule: not AHEAD.holds(schedule) and any(h.lr == 0 for h in schedule),
)

REFUSALS = (
    Refusal(
        rules=frozenset({"SGD"}),
        one="lr_in_velocity",
        other=TORCHS,
        where=AHEAD,
        reason="torch's look-ahead takes the same momentum as its buffer, so that no momentum of a "
        "step makes up for another learning rate in both",
    ),
    Refusal(
        rules=frozenset({"SGD"}),
        one="lr_in_velocity",
        other=TORCHS,
        where=STOPPED,
        reason="the velocity holds steps and torch's buffer gradients, which the ratio of a step's "
        "lr to that of the one before makes up for; where lr is 0 there is none",
    ),
    Refusal(
        rules=frozenset({"SGD"}),
        one="ema_momentum",
        other=TORCHS,
        reason="an average is torch's sum under a smaller lr, (1 − μ) times it, only without "
        "nesterov and dampening, and while momentum is constant",
        folk=lambda h, before, t: {"dampening": h.momentum, "nesterov": False},
        saying="dampening = μ",
    ),
    Refusal(
        rules=frozenset({"SGD"}),
        one="first_step_dampened",
        other=TORCHS,
        reason="torch leaves the first step whole; from a dampened first step there is a way only "
        "while dampening is not 1, and momentum is not switched on or off",
    ),
    Refusal(
        rules=frozenset({"SGD"}),
        one="nesterov_undecayed",
        other=TORCHS,
        reason="its look-ahead leaves the decay out and torch's does not; what differs is a "
        "multiple of w that nothing else makes up for",
    ),
    Refusal(
        rules=frozenset({"SGD"}),
        one="nesterov_squared",
        other=TORCHS,
        reason="it looks ahead twice, by (1 + μ)d + μ²b with the new buffer, torch by d + μb",
    ),
    Refusal(
        rules=frozenset({"RMSprop"}),
        one="momentum_inside",
        other=TORCHS,
        reason="it divides the sum of gradients by the root of this step, torch sums gradients "
        "that were divided by the root of their own",
    ),
)
