"""What a schedule file is made of: its settings, and the learning rate in two independent forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from oracles.numerics import Scalar

Settings = Any
"""A schedule's NamedTuple of settings, under torch's names and with its defaults. Rates and factors
are numbers of whatever arithmetic; counts of epochs are ints in all of them."""

Closed = Callable[[int, Scalar, Settings], Scalar]
"""``(t, base, settings) -> γ_t``."""

Recurrence = Callable[[Scalar, int, Scalar, Settings], Scalar]
"""``(γ_{t−1}, t, base, settings) -> γ_t``; at t = 0 it is given the rate of the group."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Timing:
    """A named variant of a schedule: another learning rate at epoch t.

    Attributes:
        name: how verdicts name it.
        equation: γ_t, in the symbols of the schedule's file.
        source: who computes it so.
        rate: the closed form.
        shows: from what settings are drawn where it must differ from torch's, if not from what
            the schedule draws them from.
    """

    name: str
    equation: str
    source: str
    rate: Closed
    shows: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, eq=False, kw_only=True)
class Schedule:
    """One schedule: what the learning rate is at epoch t.

    Attributes:
        name: the class name in ``torch.optim.lr_scheduler``, or what others call theirs.
        symbols: what the letters in the equations stand for, on one line.
        settings: NamedTuple type of the settings.
        timings: all known variants; the first one is torch's, if torch has it.
        following: the recurrence that torch computes at each step, so that schedules can be
            chained and edits of the rate last; None where it computes the closed form.
        draws: from what each setting is drawn: the ends of a range, whole numbers if both are, or
            a list of values.
        momentum: the momentum at epoch t, ``(t, base, settings) -> μ_t``, where the schedule
            cycles it, as it does unless its ``cycle_momentum`` is off.
        home: the module of torch that has the class; empty if none has.
        listed: settings of which torch takes a list, too: one for each group.
        edges: settings at the edge of what is allowed, where texts part that agree elsewhere.
        brinks: settings that may as well be refused.
        lent: settings whose default here is not torch's, which has none or another.
        jumps: whether ``step(epoch)`` gives the rate of that epoch, whatever came before.
        local: whether a step looks at nothing but the epoch and the rate that a group has, so that
            a group may join whenever it likes.
        last: the last epoch, where the schedule has one.
    """

    name: str
    symbols: str
    settings: Callable[..., Settings]
    timings: tuple[Timing, ...]
    following: Recurrence | None = None
    draws: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    momentum: Closed | None = None
    home: str = "torch.optim.lr_scheduler"
    listed: tuple[str, ...] = ()
    edges: tuple[Mapping[str, Any], ...] = ()
    brinks: tuple[Mapping[str, Any], ...] = ()
    lent: tuple[str, ...] = ()
    jumps: bool = True
    local: bool = False
    last: Callable[[Settings], int | None] = lambda s: None

    @property
    def torch(self) -> Timing:
        """What ``torch.optim.lr_scheduler`` follows."""
        return self.timings[0]

    def next(self, rate: Scalar, t: int, base: Scalar, s: Settings) -> Scalar:
        """γ_t, where the rate was ``rate`` before, as a run steps to it.

        >>> from oracles.schedules.exponential import SCHEDULE
        >>> SCHEDULE.next(0.25, 3, 1.0, SCHEDULE.settings(gamma=0.5))
        0.125
        """
        if self.following is None:
            return self.torch.rate(t, base, s)
        return self.following(rate, t, base, s)


def ahead(timing: Timing, source: str, **shows: Any) -> Timing:
    """The timing whose first rate is left out."""
    return _moved(timing, "one_ahead", "t+1", lambda t: t + 1, source, shows)


def behind(timing: Timing, source: str, **shows: Any) -> Timing:
    """The timing whose first rate is used twice."""
    return _moved(timing, "one_behind", "max(t−1, 0)", lambda t: max(t - 1, 0), source, shows)


BATCHES = 2
"""Of an epoch, where a schedule that counts epochs is stepped at each batch: the fewest."""


def per_batch(timing: Timing, **shows: Any) -> Timing:
    """The timing that is stepped at each of :data:`BATCHES` batches of an epoch."""
    source = f"loops that step at each of n batches what counts epochs (n = {BATCHES} here)"
    return _moved(timing, "per_batch", "nt", lambda t: BATCHES * t, source, shows)


def _moved(
    timing: Timing,
    name: str,
    at: str,
    epoch: Callable[[int], int],
    source: str,
    shows: Mapping[str, Any],
) -> Timing:
    return Timing(
        name=name,
        equation=f"torch's γ of epoch {at}",
        source=source,
        rate=lambda t, base, s: timing.rate(epoch(t), base, s),
        shows=shows,
    )
