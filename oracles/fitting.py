"""identify, for a training loop: which loss does it minimize, by which rule?

A loop is asked for its weights after 1, 2, 3, ... epochs on a few rows, and each account of it (a
loss, a rule with its conventions, batches; :class:`~oracles.harness.training.Loop`) is run beside
it from the same start. An account is out as soon as the loop leaves its margin. Settings go from
plain (all rows, nothing but a learning rate) to everything at once, so the loss is known before
decay and momentum are asked for, and those before batches.

Different accounts can be the same loop: a sum of losses with weight decay λ at rate γ is the mean
over m rows with λ/m at γm. The one that differs from torch's rule in the fewest places is given,
and then the other one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.arithmetic.enclosure import holds
from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.candidates import MOST, Candidate, candidates
from oracles.harness.evidence.sifting import MARGINS
from oracles.harness.oracle import Margin
from oracles.harness.subjects.fits import Call, Fit, Form, Reading
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.training import (
    HANDFUL,
    LOSSES,
    PLAIN,
    SCALES,
    Batches,
    Data,
    Loop,
    Numbers,
    Plan,
)
from oracles.optimizers.registry import RULES
from oracles.rule import Convention, Rule

EPOCHS = 5
"""How many are asked for: the least number at which moments, corrections and decay all show."""

LR = 0.02
"""Low, so that what one step rounds is not magnified by the steps after it: 2γΣ|x|² is about 1."""

ROWS, FEWER, BATCHED, BATCH, MANY = 7, 5, 8, 3, 150
"""Rows of most settings; of one more, to tell λ from λ/m; of those in batches, whose last one is
short, and the size; of the one that shows a size which is written in the code."""

NEAR = 1e-3
"""How far an answer may be from an account in plain float64, in terms of the largest weight. No
margin that decides anything is as wide; this spares most accounts theirs, which take longer."""

PLAINLY = "a learning rate alone"

TOLD = (Batches("short"), Batches("dropped"), Batches("single"), Batches())
"""What code that takes a batch size may do with it."""

UNTOLD = (
    Batches(),
    Batches("short", 1),
    Batches("single", 1),
    *(Batches("short", n) for n in (8, 10, 16, 20, 32, 50, 64, 100, 128)),
)
"""What code that takes none may do."""


@dataclass(frozen=True)
class Setting:
    """What is asked of a loop: so many rows, a batch size, hyperparameters, so many epochs."""

    what: str
    m: int
    batch: int
    h: Hyper
    given: tuple[tuple[str, Any], ...]
    epochs: int = EPOCHS

    def plan(self, batches: Batches) -> Plan:
        """The batches of each epoch."""
        return batches.plan(self.m, self.batch, self.epochs)

    def active(self, convention: Convention) -> bool:
        """Whether the hyperparameters that a convention is about are on."""
        parts = convention.parts & {*self.h._fields} - {"batch_size"}
        return all(getattr(self.h, name) for name in parts)


def settings(rule: Rule, box: Fit) -> list[Setting]:
    """Plain first, then all that it takes at once, and with each thing left out; then batches.

    >>> def fit(X, y, lr, l2, epochs, batch_size): ...
    >>> for setting in settings(RULES["SGD"], Fit(fit)):
    ...     print(setting.what)
    a learning rate alone
    weight_decay
    weight_decay on 5 rows
    a learning rate alone in batches
    weight_decay in batches
    """
    taken = box.takes(rule.hyper()._fields)
    default = rule.hyper(**{k: v for k, v in box.values.items() if k in rule.hyper()._fields})
    spans = {n: s for n, s in rule.drawing.full.hyper.items() if n in taken and n != "lr"}
    values = {n: float(np.cbrt(low * high * high)) for n, (low, high) in spans.items()}
    off = {n: 0.0 for n in values if not getattr(rule.hyper(), n)}
    switches = [n for n, v in default._asdict().items() if isinstance(v, bool) and n in taken]
    rate = {"lr": LR} if "lr" in taken else {}

    def setting(what: str, m: int, batch: int, changed: dict[str, Any], **rest: Any) -> Setting:
        h = default._replace(**rate, **values | dict.fromkeys(switches, False) | changed)
        names = [n for n in h._fields if n in taken]
        return Setting(what, m, batch, h, tuple((n, getattr(h, n)) for n in names), **rest)

    everything = ", ".join(off) or PLAINLY
    found = [setting(PLAINLY, ROWS, ROWS, off), setting(everything, ROWS, ROWS, {})]
    if len(off) > 1:
        found += [setting(f"{everything} without {n}", ROWS, ROWS, {n: 0.0}) for n in off]
    found += [setting(n, ROWS, ROWS, {n: True}) for n in switches if n != "maximize"]
    found.append(setting(f"{everything} on {FEWER} rows", FEWER, FEWER, {}))
    if "batch_size" in box.takes(()):
        found.append(setting(f"{PLAINLY} in batches", BATCHED, BATCH, off))
        found.append(setting(f"{everything} in batches", BATCHED, BATCH, {}))
    else:
        found.append(setting(f"{everything} on {MANY} rows", MANY, MANY, {}, epochs=1))
    allowed = [s for s in found if rule.constraint(s.h) is None]
    return list({(s.m, s.batch, s.given): s for s in reversed(allowed)}.values())[::-1]


def by_hand(asked: Sequence[Setting]) -> Setting:
    """The same with round numbers, on two rows."""
    most = asked[1] if len(asked) > 1 else asked[0]
    round_ones = {n: 0.5 for n in ("lr", "weight_decay", "momentum") if n in dict(most.given)}
    given = tuple((n, round_ones.get(n, v)) for n, v in most.given if v)
    return Setting("by hand", HANDFUL, HANDFUL, most.h._replace(**round_ones), given, epochs=3)


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
    _off: dict[Any, float] = field(default_factory=dict)
    _guessed: list[Setting] = field(default_factory=list)

    def data(self, setting: Setting) -> Data:
        return Data(setting.m, self.form.low)

    def seen(self, setting: Setting) -> tuple[list[FloatArray], list[FloatArray]]:
        """The start, and weights and bias end to end after each epoch.

        Raises:
            SubjectError: the code raised.
        """
        if setting not in self._seen:
            rows = [self._read(setting, epochs) for epochs in range(1, setting.epochs + 1)]
            self._seen[setting] = self._start(setting), [np.concatenate(row) for row in rows]
        return self._seen[setting]

    def _read(self, setting: Setting, epochs: int, **changed: float) -> list[FloatArray]:
        given = tuple((name, changed.get(name, value)) for name, value in setting.given)
        call = Call(self.form, setting.m, setting.batch, epochs, given)
        try:
            return self.reading(self.box.leaves(call))
        except (KeyError, ValueError) as error:
            raise SubjectError(f"{self.box.name} gives no weights after {epochs} epochs") from error

    def _start(self, setting: Setting) -> list[FloatArray]:
        """What no epochs give, or a learning rate of 0; else it is zero, as far as can be seen."""
        nothing = {name: 0.0 for name, value in setting.given if not isinstance(value, bool)}
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

    @property
    def start_seen(self) -> bool:
        """Whether it showed where it starts in all settings so far."""
        return not self._guessed

    @cached_property
    def biased(self) -> bool:
        """Whether there is a bias."""
        return self.reading.biased

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
        start, rows = self.seen(setting)
        run = loop.run(self.data(setting), setting.plan(loop.batches), setting.h, start, PLAIN)
        with np.errstate(all="ignore"):
            for row, point in zip(rows, run, strict=True):
                expected = np.concatenate(point)
                off = np.abs(row - expected).max() / np.abs(expected).max()
                yield float(off) if off < np.inf else np.inf

    def within(self, loop: Loop, margin: Margin, setting: Setting) -> tuple[bool, bool]:
        """Whether the answers are within an account's margin, and whether that says something."""
        start, rows = self.seen(setting)
        numbers = Numbers.enclosed(self.dtype(setting), margin)
        plan = setting.plan(loop.batches)
        known = []
        for row, point in zip(
            rows, loop.run(self.data(setting), plan, setting.h, start, numbers), strict=True
        ):
            mid, rad = (np.concatenate([getattr(p, end) for p in point]) for end in ("mid", "rad"))
            if not holds(mid, rad, row).all():
                return False, True
            known.append(bool((rad <= NEAR * np.abs(mid).max()).all()))
        return True, any(known[1:] or known)

    def dtype(self, setting: Setting) -> str:
        """What it computes in: float32, if that holds all its answers."""
        _, rows = self.seen(setting)
        short = all(np.array_equal(row, round_to("float32", row)) for row in rows)
        return "float32" if short else "float64"


@dataclass(frozen=True)
class FitIdentification:
    """What a training loop does.

    Attributes:
        name: of the code.
        fits: the accounts that hold all its answers, those that differ least from torch's rule.
        also: the same loop by torch's rule itself, with numbers of its own, if there is such a one.
        ruled_out: how many accounts some answer excluded.
        nearest: where nothing fits, the account that holds in most settings, and there comes
            closest.
        limits: where the answer ends.
        untold: what these settings cannot tell, and what would.
        form: what is unusual about how it takes its data.
        bias: whether it is to be said that the bias is decayed, or not.
        example: numbers on which it and torch's rule part.
    """

    name: str
    fits: tuple[Loop, ...]
    also: tuple[Loop, ...] = ()
    ruled_out: int = 0
    nearest: Near | None = None
    limits: str = ""
    untold: tuple[str, ...] = ()
    form: str = ""
    bias: bool = False
    example: Example | None = None

    def __str__(self) -> str:
        if not self.fits:
            near = f"; {self.nearest}" if self.nearest and self.nearest.settings else ""
            said = f"{self.name} follows no known account ({self.ruled_out:,} were ruled out)"
            return said + near + self.limits
        also = "".join(f"; the same as {_told(loop)}" for loop in self.also)
        found = " or ".join(_told(loop, bias=self.bias) for loop in self.fits)
        return f"{self.name} minimizes {found}{also}{self.limits}"


def _told(loop: Loop, *, bias: bool = False) -> str:
    """An account in words."""
    scales = {"lr": loop.lr, "weight_decay": loop.weight_decay}
    scaled = " and ".join(name + scale for name, scale in scales.items() if scale)
    words = f"{loop.loss} by {loop.candidate}"
    words += f" with {scaled}" if scaled else ""
    words += " (m being all rows)" if loop.counted == "all" else ""
    words += f", {loop.batches}" if loop.batches != Batches() else ""
    words += f"; the bias is {'decayed, too' if loop.bias_decayed else 'not decayed'}" * bias
    return words


@dataclass(frozen=True, order=True)
class Near:
    """How far an account held.

    Attributes:
        settings: in how many settings.
        off: by how much it then left the answer, in terms of the largest weight, negated.
        loop: the account.
        setting: the first one in which it did not hold.
    """

    settings: int
    off: float
    loop: Loop = field(compare=False)
    setting: str = field(compare=False)

    def __str__(self) -> str:
        return (
            f"with a learning rate alone it minimizes {self.loop.loss}, {self.loop.batches}, but "
            f"with {self.setting} nothing known holds (nearest: {self.loop.candidate}, off by "
            f"{-self.off:.1g} of the largest weight)"
        )


@dataclass(frozen=True)
class Example:
    """The smallest numbers on which an answer and torch's rule part, to be worked by hand.

    Attributes:
        given: hyperparameters.
        epoch: after which they are seen to part.
        got: the weights, and the bias if there is one, end to end.
        torchs: what torch's rule would give.
        loss: on which.
    """

    given: tuple[tuple[str, Any], ...]
    epoch: int
    got: tuple[float, ...]
    torchs: tuple[float, ...]
    loss: str

    def __str__(self) -> str:
        given = ", ".join(f"{name} = {value:g}" for name, value in self.given)
        got, torchs = (", ".join(f"{v:.4g}" for v in each) for each in (self.got, self.torchs))
        return (
            f"by hand: x = 1 and 2 with labels 0 and 1, {given}: {got} after {self.epoch} epochs; "
            f"torch's rule on {self.loss} gives {torchs}"
        )


def example(hunt: Hunt, loop: Loop) -> Example | None:
    """An answer on two rows that torch's rule on the mean of the losses would not give."""
    torch = replace(
        loop,
        loss=replace(loop.loss, reduction="mean"),
        candidate=Candidate(hunt.rule),
        lr="",
        weight_decay="",
    )
    setting = by_hand(hunt.settings)
    try:
        start, rows = hunt.evidence.seen(setting)
    except SubjectError:  # the number of features may be written in it
        return None
    data, plan = hunt.evidence.data(setting), setting.plan(torch.batches)
    run = torch.run(data, plan, setting.h, start, PLAIN)
    for epoch, (got, point) in enumerate(zip(rows, run, strict=True), 1):
        expected = np.concatenate(point)
        if np.abs(got - expected).max() > PLAINLY_OFF * np.abs(expected).max():
            numbers = tuple(map(float, got)), tuple(map(float, expected))
            return Example(setting.given, epoch, *numbers, str(torch.loss))
    return None


PLAINLY_OFF = 0.01
"""By how much of the largest weight an answer has to be off to convince by hand."""


@cache
def combined(rule: Rule) -> tuple[Candidate, ...]:
    """The candidates of a rule, made once."""
    return tuple(candidates(rule))


UNASKED = frozenset({"schedule", "maximize", "vector"})
"""What no setting has: the learning rate of a loop stays what it is; which parameters are decayed
is a question of its own."""


@dataclass(eq=False)
class Hunt:
    """The accounts of one rule that hold one reading of a loop's answers."""

    evidence: Evidence
    rule: Rule
    settings: list[Setting]
    scaled: bool = False
    ruled_out: int = 0
    nearest: Near | None = None

    def accounts(self, rates: Sequence[str], decays: Sequence[str]) -> list[Loop]:
        """Those that hold on all rows at once, whose rate and decay are scaled in these ways."""
        plain, *rest = self.full
        self.scaled = len(rates) > 1
        rates = rates if self.rule.linear else ("",)
        first = [
            Loop(loss, core, batches, lr=lr)
            for batches in self.ways[:3]
            for loss in LOSSES
            for lr in rates
            for core in self.cores(plain)
        ]
        return self.sifted(list(self.decayed(self.sifted(first, [plain]), decays)), rest)

    @property
    def ways(self) -> tuple[Batches, ...]:
        """What it may do in batches."""
        return TOLD if "batch_size" in self.evidence.box.takes(()) else UNTOLD

    @cached_property
    def full(self) -> list[Setting]:
        """Settings on few rows and all at once."""
        return [s for s in self.settings if s.m in (ROWS, FEWER)]

    @cached_property
    def asked(self) -> list[Candidate]:
        """The candidates that some setting asks for."""
        asked = {
            c.name
            for c in self.rule.conventions
            if not c.parts & UNASKED and any(s.active(c) for s in self.settings)
        }
        return [c for c in combined(self.rule) if c.names <= asked]

    @property
    def candidates(self) -> list[Candidate]:
        """Those that are tried: all that are asked for, or few where rate and decay are scaled."""
        return [c for c in self.asked if len(c.conventions) <= self.most - 2 * self.scaled]

    @cached_property
    def most(self) -> int:
        """How many conventions are combined: one, if the code takes nothing that is the rule's."""
        own = {*self.rule.hyper()._fields} - {*RULES["SGD"].hyper()._fields}
        taken = self.evidence.box.takes(tuple(own))
        return MOST if self.rule.linear or own & taken else 1

    def core(self, candidate: Candidate, setting: Setting) -> Candidate:
        """What a candidate comes to in a setting."""
        some = tuple(c for c in candidate.conventions if setting.active(c))
        return Candidate(self.rule, some)

    def cores(self, setting: Setting) -> list[Candidate]:
        """What all candidates come to."""
        found = [self.core(c, setting) for c in self.candidates]
        return list({c.names: c for c in reversed(found)}.values())[::-1]

    def decayed(self, loops: list[Loop], decays: Sequence[str]) -> Iterator[Loop]:
        """Accounts that come to the given ones in the plain setting."""
        plain = self.full[0]
        names = [self.core(c, plain).names for c in self.candidates]
        flags = (True, False) if self.evidence.biased and self.decaying else (True,)
        for loop, bias, scale in product(loops, flags, decays if self.decaying else ("",)):
            for candidate, name in zip(self.candidates, names, strict=True):
                if name == loop.candidate.names:
                    yield from replace(
                        loop, candidate=candidate, bias_decayed=bias, weight_decay=scale
                    ).counts()

    @cached_property
    def decaying(self) -> bool:
        """Whether some setting has weight decay."""
        return any(getattr(s.h, "weight_decay", 0) for s in self.settings)

    def batched(self, loops: Iterable[Loop]) -> Iterator[Loop]:
        """Accounts that come to the given ones on all rows at once, but may differ in batches."""
        for loop, batches in product(loops, self.ways):
            for reduction in ("mean", "sum", "share"):
                loss = replace(loop.loss, reduction=reduction)
                yield from replace(loop, loss=loss, batches=batches).counts()

    def sifted(self, loops: list[Loop], settings: Sequence[Setting]) -> list[Loop]:
        """The accounts that are near in each setting, one of those that come to the same."""
        for setting in settings:
            left = [loop for loop in loops if self.evidence.near(loop, setting)]
            self.ruled_out += len(loops) - len(left)
            if loops and not left:
                self._note(loops, setting)
            loops = left
        same = [tuple(self.evidence.same(loop, s) for s in settings) for loop in loops]
        return list(dict(zip(reversed(same), reversed(loops), strict=True)).values())[::-1]

    def _note(self, loops: list[Loop], setting: Setting) -> None:
        """Remember which account came closest in a setting in which none held."""
        number = self.settings.index(setting)
        plain = [loop for loop in loops if number or not loop.candidate.conventions]
        for loop in plain if not self.scaled else []:
            near = Near(number, -self.evidence.farthest(loop, setting), loop, setting.what)
            self.nearest = near if self.nearest is None else max(self.nearest, near)

    def proven(self, loops: list[Loop]) -> list[Loop]:
        """The accounts whose margin holds all answers on few rows, and says something of most."""
        for margin in MARGINS:
            found = [loop for loop in loops if self.speaks(loop, margin)]
            if found:
                return found
        return []

    def speaks(self, loop: Loop, margin: Margin) -> bool:
        """Whether an account's margin holds all answers on few rows, and is narrow for most."""
        narrow = 0
        for setting in self.full:
            inside, known = self.evidence.within(loop, margin, setting)
            if not inside:
                return False
            narrow += known
        return 2 * narrow > len(self.full)

    def holds(self, loop: Loop, settings: Sequence[Setting]) -> bool:
        """Whether an account's wider margin holds all answers in further settings."""
        return all(self.evidence.within(loop, MARGINS[-1], s)[0] for s in settings)


NAMEABLE = tuple(rule for rule in RULES.values() if rule.elementwise and not rule.sparse)
"""Rules whose steps look at one element at a time: weights and bias may be any two parameters."""

SCALINGS = ((("",), ("",)), (tuple(SCALES), tuple(SCALES)))
"""By what rate and decay may be multiplied: nothing, and only then anything."""


def identify_fit(box: Fit, rules: Sequence[Rule] | None = None) -> FitIdentification:
    """Find what a training loop does.

    Raises:
        SubjectError: it cannot be asked: it takes no number of epochs, raised whatever it was
            given, or gave no weights.

    >>> def fit(X, y, alpha, lam, iterations):
    ...     w = 0 * X[0]
    ...     for _ in range(iterations):
    ...         w = w - alpha / len(y) * (X.T @ (1 / (1 + np.exp(-X @ w)) - y) + lam * w)
    ...     return w
    >>> found = identify_fit(Fit(fit))
    >>> found.fits[0].candidate, found.also[0].weight_decay
    (<SGD's batch_scaled>, '/m')
    """
    needed(box)
    hunts: list[Hunt] = []
    refused: list[SubjectError] = []
    for rule in rules or nameable(box):
        if any(hunt.nearest and hunt.nearest.settings for hunt in hunts):
            break  # some account holds where only the gradient counts: no other rule's does
        try:
            found = evidences(box, rule)
        except SubjectError as error:  # it takes what this rule does not
            refused.append(error)
            continue
        for evidence in found:
            hunt = Hunt(evidence, rule, settings(rule, box))
            hunts.append(hunt)
            for rates, decays in SCALINGS:
                loops = hunt.proven(hunt.accounts(rates, decays))
                if loops:
                    return answered(hunt, loops)
    if not hunts:
        raise refused[0]
    near = max((hunt.nearest for hunt in hunts if hunt.nearest), default=None)
    left = box.unknown(tuple({n for hunt in hunts for n in hunt.rule.hyper()._fields}))
    limits = f"; what {', '.join(left)} may mean is not known" if left else ""
    out = sum(hunt.ruled_out for hunt in hunts)
    return FitIdentification(box.name, (), (), out, near, limits)


def needed(box: Fit) -> None:
    """Check that it can be asked at all.

    Raises:
        SubjectError: it takes no number of epochs, or its learning rate is not known.
    """
    takes = box.takes(("lr",))
    if "epochs" not in takes:
        raise SubjectError(
            f"{box.name} takes no number of epochs that is known; allowed: an argument epochs, "
            "n_iter, steps, ..., or names={'epochs': what it calls it}"
        )
    if "lr" not in takes | {*box.values}:
        raise SubjectError(
            f"{box.name} takes no learning rate that is known; allowed: an argument lr, alpha, "
            "eta, ..., names={'lr': what it calls it}, or values={'lr': the number in the code}"
        )


WRITTEN = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")
"""Rules whose numbers may be written in a loop; others are tried if it takes what is theirs."""


def nameable(box: Fit) -> Iterator[Rule]:
    """The rules that a loop may step by, the simplest first."""
    plain = {*RULES["SGD"].hyper()._fields}
    for rule in NAMEABLE:
        own = {*rule.hyper()._fields} - plain
        if rule.name in WRITTEN or own & (box.takes(tuple(own)) | {*box.values}):
            yield rule


def evidences(box: Fit, rule: Rule) -> list[Evidence]:
    """The loop's answers in each form in which it takes data, and each reading of them.

    Raises:
        SubjectError: there are none.
    """
    plain = settings(rule, box)[0]
    found: list[Evidence] = []
    failed = f"{box.name} gives no weights that move"
    for form in box.forms():
        if form.arrays != "numpy" and any(e.form.arrays != form.arrays for e in found):
            break  # it takes simpler ones
        try:
            readings = box.readings(Call(form, plain.m, plain.batch, 1, plain.given))
        except SubjectError as error:
            failed = str(error)
            continue
        found += [Evidence(box, form, reading) for reading in readings]
    if not found:
        raise SubjectError(failed)
    return found


def answered(hunt: Hunt, loops: list[Loop]) -> FitIdentification:
    """What is to be said, once accounts have been proven on all rows at once."""
    rest = [s for s in hunt.settings if s not in hunt.full]
    everywhere = hunt.sifted(list(hunt.batched(loops)), hunt.settings)
    proven = [loop for loop in everywhere if hunt.holds(loop, rest)]
    limits = "" if proven else f"; {LIMITS[rest[0].m]}"
    left = proven or [replace(loop, batches=Batches()) for loop in loops]
    fits = simplest(left)
    flags = {loop.bias_decayed for loop in left if loop.candidate.names == fits[0].candidate.names}
    form = str(hunt.evidence.form)
    return FitIdentification(
        hunt.evidence.box.name,
        tuple(fits),
        tuple(torchs(hunt, fits[0], hunt.settings if proven else hunt.full)),
        hunt.ruled_out,
        limits=limits,
        untold=tuple(untold(hunt)),
        form=form,
        bias=hunt.evidence.biased and hunt.decaying and len(flags) == 1,
        example=example(hunt, fits[0]),
    )


LIMITS = {
    BATCHED: "this holds on all rows at once; in batches it follows no known account (are the rows "
    "in another order?)",
    MANY: f"this holds on {ROWS} rows; on {MANY} it follows no known account (has it batches of a "
    "size of its own?)",
}
"""What is said where an account holds on few rows only."""


def simplest(loops: Iterable[Loop]) -> list[Loop]:
    """Those that differ from torch's rule in the fewest places, one for each rule."""
    ordered = sorted(loops, key=lambda loop: loop.complexity)
    least = [loop for loop in ordered if loop.complexity == ordered[0].complexity]
    return list({c.candidate.names: c for c in reversed(least)}.values())[::-1]


def torchs(hunt: Hunt, loop: Loop, settings: Sequence[Setting]) -> list[Loop]:
    """The same loop as torch's rule on a mean, or on a sum, with numbers of its own."""
    if loop.torchs and loop.loss.reduction == "mean":
        return []
    found = [
        replace(
            loop,
            loss=replace(loop.loss, reduction=reduction),
            candidate=Candidate(hunt.rule),
            lr=lr,
            weight_decay=decay,
        )
        for reduction in ("mean", "sum")
        for lr, decay in sorted(product(SCALES, SCALES), key=lambda pair: pair.count(""))[::-1]
    ]
    told = (loop.loss.reduction, loop.candidate.names, loop.lr, loop.weight_decay)
    others = [o for o in found if (o.loss.reduction, frozenset(), o.lr, o.weight_decay) != told]
    for setting in settings:
        others = [other for other in others if hunt.evidence.near(other, setting)]
    return [other for other in others if hunt.holds(other, settings)][:1]


def untold(hunt: Hunt) -> Iterator[str]:
    """What these settings cannot tell, and what would."""
    h = hunt.settings[0].h
    taken = hunt.evidence.box.takes(h._fields)
    for convention in hunt.rule.conventions[1:]:
        names = convention.parts & {*h._fields} - {"batch_size"}
        if "schedule" in convention.parts and names <= taken:
            yield (
                f"{convention.name} ({convention.equation}) is the same while the learning rate "
                "stays what it is"
            )
    if "weight_decay" in h._fields and not hunt.decaying:
        yield "it takes no weight_decay, so nothing is known of its decay"
    if not hunt.evidence.start_seen:
        yield "it takes neither 0 epochs nor a learning rate of 0; that it starts at 0 is assumed"
