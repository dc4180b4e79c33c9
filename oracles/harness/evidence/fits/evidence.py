"""What a training loop answers, and how far accounts of it are from that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import holds
from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.evidence.fits.settings import Setting
from oracles.harness.evidence.newton import changes
from oracles.harness.oracle import Margin
from oracles.harness.subjects.fits.answers import Reading
from oracles.harness.subjects.fits.fit import Call, Fit
from oracles.harness.subjects.fits.forms import Form
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.training.data import Data
from oracles.harness.training.loop import PLAIN, Loop, Numbers

NEAR = 1e-3
"""How far an answer may be from an account in plain float64, in terms of the largest weight. No
margin that decides anything is as wide; this spares most accounts theirs, which take longer."""


ROUNDS, NUDGE = 4, 1e-4
"""How often a decay is improved, and by how much it is changed to see what that does."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a loop answers, read in one way; and which accounts of it hold.

    Attributes:
        box: the loop.
        form: in which it is given data.
        reading: where in its answers the weights are.
    """

    box: Fit
    form: Form
    reading: Reading
    _seen: dict[Setting, tuple[list[FloatArray], list[FloatArray]]] = field(default_factory=dict)
    _starts: dict[tuple[int, int], list[FloatArray]] = field(default_factory=dict)
    _off: dict[Any, float] = field(default_factory=dict)
    _guessed: list[Setting] = field(default_factory=list)

    def data(self, setting: Setting) -> Data:
        return Data(setting.m, self.form.low)

    def seen(self, setting: Setting) -> tuple[list[FloatArray], list[FloatArray]]:
        """The start, and weights and bias end to end after each epoch that is asked, if shown.

        Raises:
            SubjectError: the code raised.
        """
        if setting not in self._seen:
            rows = [self._read(setting, epochs) for epochs in setting.epochs]
            hidden = [np.zeros(1)] * self.reading.hidden
            if (place := (setting.m, setting.batch)) not in self._starts:
                self._starts[place] = self._start(setting)
            start = [*self._starts[place], *hidden]
            self._seen[setting] = start, [np.concatenate(row) for row in rows]
        return self._seen[setting]

    def _read(self, setting: Setting, epochs: int, **changed: float) -> list[FloatArray]:
        try:
            return self.reading(self.box.leaves(self._call(setting, epochs, **changed)))
        except (KeyError, ValueError) as error:
            raise SubjectError(f"{self.box.name} gives no weights after {epochs} epochs") from error

    def _call(self, setting: Setting, epochs: int, **changed: float) -> Call:
        given = tuple((name, changed.get(name, value)) for name, value in setting.given)
        return Call(self.form, setting.m, setting.batch, epochs, given)

    def _start(self, setting: Setting) -> list[FloatArray]:
        """What no epochs give, or a learning rate of 0; else it is zero, as far as can be seen."""
        nothing = {name: 0.0 for name, _ in setting.given if name in ("lr", "weight_decay")}
        asked: list[tuple[int, dict[str, float]]] = [(0, {}), (1, nothing)]
        asked = asked if "lr" in nothing else asked[:1]
        for epochs, changed in asked:
            try:
                start = self._read(setting, epochs, **changed)
            except SubjectError:
                continue
            if all(np.isfinite(part).all() for part in start):
                return start
        self._guessed.append(setting)
        return [np.zeros(self.data(setting).x.shape[1])] + [np.zeros(1)] * self.reading.biased

    def random(self, setting: Setting) -> bool:
        """Whether it answers a second time otherwise."""
        return self.box.random(self._call(setting, setting.epochs[-1]))

    def in_any_order(self, setting: Setting) -> bool:
        """Whether it leads to the same if the last row comes first, but for roundings."""
        turned = Evidence(self.box, replace(self.form, turned=True), self.reading)
        each = zip(self.seen(setting)[1], turned.seen(setting)[1], strict=True)
        return all(np.abs(one - other).max() <= NEAR * np.abs(one).max() for one, other in each)

    def answers(self, setting: Setting) -> bool:
        """Whether it does, in finite numbers."""
        try:
            _, rows = self.seen(setting)
        except SubjectError:
            return False
        return bool(np.isfinite(rows).all())

    @property
    def start_seen(self) -> bool:
        """Whether it showed where it starts in all settings so far."""
        return not self._guessed

    @cached_property
    def biased(self) -> bool:
        """Whether there is a bias, shown or not."""
        return self.reading.biased or self.reading.hidden

    def shown(self, point: Sequence[Any]) -> Sequence[Any]:
        """What of weights and bias is in an answer."""
        return point[:1] if self.reading.hidden else point

    def near(self, loop: Loop, setting: Setting) -> bool:
        """Whether the answers are where an account leads in plain float64, but for roundings."""
        return self.off(loop, setting) <= NEAR

    def off(self, loop: Loop, setting: Setting) -> float:
        """How far an answer is off, the first one that is, in terms of the largest weight."""
        key = (setting.what, self.same(loop, setting))
        if key not in self._off:
            distances = self._distances(loop, setting)
            self._off[key] = next((off for off in distances if not off <= NEAR), 0.0)
        return self._off[key]

    def farthest(self, loop: Loop, setting: Setting) -> float:
        """The largest distance of all epochs."""
        return max(self._distances(loop, setting))

    def same(self, loop: Loop, setting: Setting) -> Any:
        """What an account comes to in a setting: accounts of which it is the same lead alike."""
        plan = setting.plan(loop.batches)
        sizes = sorted({stop - first for epoch in plan for first, stop in epoch})
        named = [c for c in loop.candidate.conventions if setting.active(c)]
        h = [loop.hyper(setting.h, n, setting.m) for n in sizes]
        if not any("batch_size" in c.parts for c in named):
            h = [one._replace(batch_size=1) for one in h]
        decayed = loop.bias_decayed or not getattr(setting.h, "weight_decay", 0)
        scales = tuple(loop.loss.scale(n, setting.m) for n in sizes)
        names = frozenset(c.name for c in named)
        return loop.candidate.rule, names, plan, loop.loss.model, scales, tuple(h), decayed

    def _distances(self, loop: Loop, setting: Setting) -> Iterator[float]:
        """How far the answer after each epoch is from an account's, in terms of its largest."""
        _, rows = self.seen(setting)
        with np.errstate(all="ignore"):
            for row, point in zip(rows, self._points(loop, setting, PLAIN), strict=True):
                expected = np.concatenate(point)
                off = np.abs(row - expected).max() / np.abs(expected).max()
                yield float(off) if off < np.inf else np.inf

    def decay(self, loop: Loop, setting: Setting) -> float:
        """The weight decay with which an account comes near, by Gauss' and Newton's method.

        0 where there is none.
        """
        seen, decay = np.concatenate(self.seen(setting)[1]), 0.0
        with np.errstate(all="ignore"):
            for _ in range(ROUNDS):
                off = [self._course(loop, setting, wd) - seen for wd in (decay, decay + NUDGE)]
                if not np.isfinite(off).all():
                    return 0.0
                decay += float(changes(np.array(off), NUDGE)[0])
            left = np.abs(self._course(loop, setting, decay) - seen).max()
        return decay if left <= NEAR * np.abs(seen).max() else 0.0

    def _course(self, loop: Loop, setting: Setting, decay: float) -> FloatArray:
        """Where an account leads after each epoch, end to end, with that weight decay."""
        run = self._points(loop, setting, PLAIN, weight_decay=decay)
        return np.concatenate([np.concatenate(point) for point in run])

    def _points(
        self, loop: Loop, setting: Setting, numbers: Numbers, **changed: float
    ) -> Iterator[Sequence[Any]]:
        """What an account shows after each epoch that is asked, maybe with another number."""
        start, plan = self.seen(setting)[0], setting.plan(loop.batches)
        run = loop.run(self.data(setting), plan, setting.h._replace(**changed), start, numbers)
        for epoch, point in enumerate(run, 1):
            if epoch in setting.epochs:
                yield self.shown(point)

    def within(self, loop: Loop, margin: Margin, setting: Setting) -> tuple[bool, bool]:
        """Whether the answers are within an account's margin, and whether that says something."""
        _, rows = self.seen(setting)
        numbers = Numbers.enclosed(self.dtype(setting), margin)
        known = []
        for row, shown in zip(rows, self._points(loop, setting, numbers), strict=True):
            mid, rad = (np.concatenate([getattr(p, end) for p in shown]) for end in ("mid", "rad"))
            if not holds(mid, rad, row).all():
                return False, True
            known.append(bool((rad <= NEAR * np.abs(mid).max()).all()))
        return True, any(known[1:] or known)

    def steepest(self, loop: Loop, settings: Iterable[Setting]) -> float:
        """The length of the longest gradient on all rows before a step, where an account leads."""
        longest = 0.0
        for setting in settings:
            data, start = self.data(setting), self.seen(setting)[0]
            run = loop.run(data, setting.plan(loop.batches), setting.h, start, PLAIN)
            for point in (start, *list(run)[:-1]):
                slope = np.concatenate(loop.slope(data, point))
                longest = max(longest, float(np.linalg.norm(slope)))
        return longest

    def dtype(self, setting: Setting) -> str:
        """What it computes in: float32, if that holds all its answers."""
        _, rows = self.seen(setting)
        short = all(np.array_equal(row, round_to("float32", row)) for row in rows)
        return "float32" if short else "float64"
