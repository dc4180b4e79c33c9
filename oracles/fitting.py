"""identify, for a training loop: which loss does it minimize, by which rule?

A loop is asked for its weights after 1, 2, 3, ... epochs on a few rows, and each account of it (a
loss, a rule with its conventions, batches; see :class:`~oracles.harness.training.loop.Loop`) is
run beside it from the same start. An account is out as soon as the loop leaves its margin.
Settings go from plain (all rows, nothing but a learning rate) to everything at once, so the loss is
known before decay and momentum are asked for, and those before batches.

Different accounts can be the same loop: a sum of losses with weight decay λ at rate γ is the mean
over m rows with λ/m at γm. The one that differs from torch's rule in the fewest places is given,
and then the other one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from oracles.harness.candidates import MOST, Candidate
from oracles.harness.evidence.fits.evidence import Evidence
from oracles.harness.evidence.fits.hunt import Hunt, Partial
from oracles.harness.evidence.fits.settings import BATCHED, MANY, ROWS, Setting, by_hand, settings
from oracles.harness.subjects.fits.fit import Call, Fit
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.training.batches import FULL
from oracles.harness.training.loop import PLAIN, SCALES, Loop
from oracles.optimizers.registry import RULES
from oracles.rule import Rule


@dataclass(frozen=True)
class FitIdentification:
    """What a training loop does.

    Attributes:
        name: of the code.
        fits: the accounts that hold all its answers, those that differ least from torch's rule.
        also: the same loop by torch's rule itself, with numbers of its own, if there is such a one.
        ruled_out: how many accounts some answer excluded.
        nearest: where nothing fits, the account that holds in most settings, if one holds in any,
            and there comes closest.
        limits: where the answer ends.
        untold: what these settings cannot tell, and what would.
        form: what is unusual about how it takes its data.
        written: hyperparameters that the code does not take and acts with.
        bias: whether it is to be said that the bias is decayed, or not.
        example: numbers on which it and torch's rule part.
    """

    name: str
    fits: tuple[Loop, ...]
    also: tuple[Loop, ...] = ()
    ruled_out: int = 0
    nearest: Partial | None = None
    limits: str = ""
    untold: tuple[str, ...] = ()
    form: str = ""
    written: tuple[tuple[str, float], ...] = ()
    bias: bool = False
    example: Example | None = None

    def __str__(self) -> str:
        if not self.fits:
            near = f"; {self.nearest}" if self.nearest else ""
            said = f"{self.name} follows no known account ({self.ruled_out:,} were ruled out)"
            return said + near + self.limits
        also = "".join(f"; the same as {_told(loop)}" for loop in self.also)
        found = " or ".join(_told(loop, bias=self.bias) for loop in self.fits)
        written = "".join(f"; {name} is {value:g} in it" for name, value in self.written)
        return f"{self.name} minimizes {found}{also}{written}{self.limits}"

    def remarks(self) -> list[str]:
        """What there is to say beside the answer: a line each."""
        form = [f"asked with {self.form}"] if self.form else []
        hand = [str(self.example)] if self.example else []
        return [*hand, *form, *self.untold]

    @property
    def torchs(self) -> bool:
        """Whether it is torch's own rule, with the numbers that are given."""
        return bool(self.fits) and self.fits[0].torchs and not self.limits

    def to_json(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "fits": [_plain(loop) for loop in self.fits],
            "also": [_plain(loop) for loop in self.also],
            "nearest": _plain(self.nearest.loop) if self.nearest else None,
            "untold": list(self.untold),
            "form": self.form,
            "written": dict(self.written),
            "example": asdict(self.example) if self.example else None,
        }


def _plain(loop: Loop) -> dict[str, Any]:
    """An account as plain data."""
    return {
        "said": _told(loop),
        "loss": asdict(loop.loss),
        "rule": loop.candidate.rule.name,
        "conventions": [c.name for c in loop.candidate.conventions],
        "batches": asdict(loop.batches),
        "bias_decayed": loop.bias_decayed,
        "counted": loop.counted,
        "lr": loop.lr,
        "weight_decay": loop.weight_decay,
    }


def _told(loop: Loop, *, bias: bool = False) -> str:
    """An account in words."""
    scales = {"lr": loop.lr, "weight_decay": loop.weight_decay}
    scaled = " and ".join(name + scale for name, scale in scales.items() if scale)
    words = f"{loop.loss} by {loop.candidate}"
    words += f" with {scaled}" if scaled else ""
    words += " (m being all rows)" if loop.counted == "all" else ""
    words += f", {loop.batches}" if loop.batches != FULL else ""
    words += f"; the bias is {'decayed, too' if loop.bias_decayed else 'not decayed'}" * bias
    return words


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
        given = ", ".join(f"{name} = {value:g}" for name, value in self.given if value)
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


NAMEABLE = tuple(rule for rule in RULES.values() if rule.elementwise and not rule.sparse)
"""Rules whose steps look at one element at a time: weights and bias may be any two parameters."""


def identify_fit(box: Fit, rules: Sequence[Rule] | None = None) -> FitIdentification:
    """Find what a training loop does.

    Raises:
        SubjectError: it cannot be asked: it takes no number of epochs, raised, or gave no weights.

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
    search = Search()
    for rule in rules or nameable(box):
        search.ask(box, rule)
    for written, rule in product(with_eps(box), rules or nameable(box)):
        if "eps" in rule.hyper()._fields and not search.found:
            search.ask(written, rule, plain=True)
    if search.found:
        return together(search.found)
    if not search.hunts:
        raise search.refused[0]
    return unknown(box, search.hunts)


@dataclass
class Search:
    """Hunts for accounts, rule by rule.

    Attributes:
        hunts: all so far.
        found: the answer for each rule that has one.
        refused: why rules could not be asked for.
    """

    hunts: list[Hunt] = field(default_factory=list)
    found: list[FitIdentification] = field(default_factory=list)
    refused: list[SubjectError] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether an account holds where only the gradient counts: no other rule's does."""
        held = any(hunt.nearest for hunt in self.hunts)
        return held or any(one.fits[0].candidate.rule.linear for one in self.found)

    def ask(self, box: Fit, rule: Rule, *, plain: bool = False) -> None:
        """Look for accounts of a rule; if ``plain``, for the rule itself."""
        if self.settled:
            return
        try:
            found = evidences(box, rule)
        except SubjectError as error:  # it does not take what this rule's settings are
            self.refused.append(error)
            return
        for evidence, scaled in product(found, (False,) if plain else (False, True)):
            most = 0 if plain else self.most(box, rule, scaled=scaled)
            hunt = Hunt(evidence, rule, settings(rule, box), most, scaled)
            self.hunts.append(hunt)
            loops = hunt.proven(hunt.accounts())
            if loops:
                self.found.append(answered(hunt, loops))
                return

    def most(self, box: Fit, rule: Rule, *, scaled: bool) -> int:
        """How many conventions are combined: no more than in what is found."""
        most = MOST if rule.linear or takes_own(box, rule) else 1
        most = max(0, most - 2 * scaled)
        return min([most, *(one.fits[0].complexity[0] for one in self.found)])


EPSILONS = (1e-8, 1e-7, 1e-6)
"""What ε usually is where it is written in the code, beside torch's own."""


def with_eps(box: Fit) -> list[Fit]:
    """The loop as one in which ε is written, if it takes none."""
    if "eps" in box.takes(("lr", "eps")) | {*box.values}:
        return []
    return [replace(box, values={**box.values, "eps": eps}) for eps in EPSILONS]


def together(found: Sequence[FitIdentification]) -> FitIdentification:
    """The answers for several rules that are equally simple, as one."""
    found = sorted(found, key=lambda one: one.fits[0].complexity)
    least = [one for one in found if one.fits[0].complexity == found[0].fits[0].complexity]
    return replace(least[0], fits=tuple(loop for one in least for loop in one.fits))


def unknown(box: Fit, hunts: Sequence[Hunt]) -> FitIdentification:
    """What is to be said where nothing holds."""
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
            "n_iter, steps, ..., or names={'epochs': 'OWN'} that says which it is"
        )
    if "lr" not in takes | {*box.values}:
        raise SubjectError(
            f"{box.name} takes no learning rate that is known; allowed: an argument lr, alpha, "
            "eta, ..., names={'lr': 'OWN'} that says which it is, or values={'lr': 0.1} if 0.1 is "
            "written in it"
        )


WRITTEN = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")
"""Rules whose numbers may be written in a loop; others are tried if it takes what is theirs."""


def nameable(box: Fit) -> Iterator[Rule]:
    """The rules that a loop may step by, the simplest first."""
    for rule in NAMEABLE:
        if rule.name in WRITTEN or takes_own(box, rule):
            yield rule


def takes_own(box: Fit, rule: Rule) -> bool:
    """Whether a loop takes two hyperparameters that SGD has not; one may be called so by chance."""
    own = {*rule.hyper()._fields} - {*RULES["SGD"].hyper()._fields}
    return len(own & (box.takes(rule.hyper()._fields) | {*box.values})) > 1


def evidences(box: Fit, rule: Rule) -> list[Evidence]:
    """The loop's answers in each form in which it takes data, and each reading of them.

    Raises:
        SubjectError: there are none.
    """
    plain = settings(rule, box)[0]
    found: list[Evidence] = []
    failed: list[str] = []
    for form in box.forms():
        if form.arrays != "numpy" and any(e.form.arrays != form.arrays for e in found):
            break  # it takes simpler ones
        try:
            readings = box.readings(Call(form, plain.m, plain.batch, 1, plain.given))
        except SubjectError as error:
            failed.append(str(error))
            continue
        found += [Evidence(box, form, reading) for reading in readings]
    if not found:
        raise SubjectError(
            [
                *failed,
                f"{box.name} gives no weights that move (for 3 numbers a row: 3, or 4 with a bias)",
            ][0]
        )
    return found


def answered(hunt: Hunt, loops: list[Loop]) -> FitIdentification:
    """What is to be said, once accounts have been proven on all rows at once."""
    rest = [s for s in hunt.settings if s not in hunt.full]
    everywhere = hunt.sifted(list(hunt.batched(loops)), hunt.settings)
    proven = [loop for loop in everywhere if hunt.holds(loop, rest)]
    limits = "" if proven else f"; {LIMITS[rest[0].m]}"
    left = proven or [replace(loop, batches=FULL) for loop in loops]
    fits = simplest(left)
    flags = {loop.bias_decayed for loop in left if loop.candidate.names == fits[0].candidate.names}
    form = str(hunt.evidence.form)
    return FitIdentification(
        hunt.evidence.box.name,
        tuple(fits),
        tuple(torchs(hunt, fits[0], hunt.settings if proven else hunt.full)),
        hunt.ruled_out,
        limits=limits,
        untold=(*losses(fits[0], left), *untold(hunt)),
        form=form,
        written=tuple(hunt.evidence.box.values.items()),
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


def losses(loop: Loop, left: Iterable[Loop]) -> Iterator[str]:
    """Other losses with which the same rule holds, because it hardly sees their scale."""
    same = [other for other in left if replace(other, loss=loop.loss) == loop]
    words = [str(other.loss) for other in same if other.loss != loop.loss]
    if words:
        yield f"the same rule on {', or '.join(words)} leads to the same"


def untold(hunt: Hunt) -> Iterator[str]:
    """What these settings cannot tell, and what would."""
    h = hunt.settings[0].h
    taken = hunt.evidence.box.takes(h._fields)
    for convention in hunt.rule.conventions[1:]:
        names = convention.parts & {*h._fields} - {"batch_size"}
        if "schedule" in convention.parts and all(n in taken or getattr(h, n) for n in names):
            yield (
                f"{convention.name} ({convention.equation}) is the same while the learning rate "
                "stays what it is"
            )
    for name in ("weight_decay", "momentum"):
        if name in h._fields and name not in taken and not getattr(h, name):
            yield f"it takes no {name}: what it would do with one is not known"
    if not hunt.evidence.start_seen:
        yield "it takes neither 0 epochs nor a learning rate of 0; that it starts at 0 is assumed"
