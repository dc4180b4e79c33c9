"""The rules that a training loop may step by, gone through until one holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from oracles.harness.candidates import MOST
from oracles.harness.evidence.fits.answer import FitIdentification
from oracles.harness.evidence.fits.conclusion import answered, together, unknown
from oracles.harness.evidence.fits.evidence import Evidence
from oracles.harness.evidence.fits.hunt import Hunt
from oracles.harness.evidence.fits.settings import settings
from oracles.harness.evidence.shorter import in_digits
from oracles.harness.subjects.fits.fit import Call, Fit
from oracles.harness.subjects.subject import SubjectError
from oracles.rule import Rule


@dataclass
class Search:
    """Hunts for accounts, rule by rule.

    Attributes:
        plainest: the rule whose hyperparameters most loops have.
        hunts: all so far.
        found: the answer for each rule that has one.
        refused: why rules could not be asked for.
    """

    plainest: Rule
    hunts: list[Hunt] = field(default_factory=list)
    found: list[FitIdentification] = field(default_factory=list)
    refused: list[SubjectError] = field(default_factory=list)

    def of(self, box: Fit, rules: Sequence[Rule]) -> FitIdentification:
        """What a loop does, if it steps by one of the rules, the simplest of which comes first.

        Raises:
            SubjectError: it could be asked for none of them.
        """
        for rule in rules:
            self.ask(box, rule)
        for written, rule in product(with_eps(box), rules):
            if "eps" in rule.hyper()._fields and not self.found:
                self.ask(written, rule, plain=True)
        for decaying in self.with_decay(box) if not self.found else ():
            self.ask(decaying, self.plainest)
        for rule, switched in self.with_switch(box) if not self.found else ():
            self.hunt(switched, rule, plain=False)
        if self.found:
            return together(self.found)
        if not self.hunts:
            raise self.refused[0]
        return unknown(box, self.hunts)

    @property
    def settled(self) -> bool:
        """Whether an account holds where only the gradient counts: no other rule's does."""
        held = any(hunt.nearest for hunt in self.hunts)
        return held or any(one.fits[0].candidate.rule.linear for one in self.found)

    def ask(self, box: Fit, rule: Rule, *, plain: bool = False) -> None:
        """Look for accounts of a rule; if ``plain``, for the rule itself."""
        if not self.settled:
            self.hunt(box, rule, plain=plain)

    def hunt(self, box: Fit, rule: Rule, *, plain: bool) -> None:
        """The same, whatever is known."""
        try:
            found = evidences(box, rule)
        except SubjectError as error:  # it does not take what this rule's settings are
            self.refused.append(error)
            return
        for evidence, scaled in product(found, (False,) if plain else (False, True)):
            hidden = evidence.reading.hidden
            if hidden and (scaled or not rule.linear):
                continue  # which would take twice as long
            most = 0 if plain or hidden else self.most(box, rule, scaled=scaled)
            hunt = Hunt(evidence, rule, settings(rule, box), most, scaled)
            self.hunts.append(hunt)
            loops = hunt.proven(hunt.accounts())
            if lasting := hunt.lasting(loops):
                self.found.append(answered(hunt, lasting))
            if loops:
                return

    def with_switch(self, box: Fit) -> Iterator[tuple[Rule, Fit]]:
        """The loop as one in which a switch is always on, by rules that hold without it."""
        for rule in dict.fromkeys(hunt.rule for hunt in self.hunts if hunt.nearest):
            for name, value in rule.hyper()._asdict().items():
                if name in SWITCHES and not value and name not in box.takes((name,)):
                    yield rule, replace(box, values={**box.values, name: True})

    def with_decay(self, box: Fit) -> Iterator[Fit]:
        """The loop as one in which a weight decay is written, if it takes none by any name."""
        name, known = "weight_decay", self.plainest.hyper()._fields
        if name in box.takes(known) | {*box.values} or box.unknown(known):
            return
        for hunt in [h for h in self.hunts if h.rule is self.plainest and not h.scaled]:
            solved = dict.fromkeys(number for one in hunt.decays() for number in written(one))
            yield from (replace(box, values={**box.values, name: number}) for number in solved)

    def most(self, box: Fit, rule: Rule, *, scaled: bool) -> int:
        """How many conventions are combined: no more than in what is found."""
        most = MOST if rule.linear or takes_own(box, rule, self.plainest) else 1
        most = max(0, most - 2 * scaled)
        return min([most, *(one.fits[0].complexity[0] for one in self.found)])


SWITCHES = ("nesterov", "amsgrad", "centered")
"""Those that may be on in a loop that has none: the others change nothing but a sign, or how."""

DIGITS = (1, 2, 3, 6, 15)
"""With how many a number is tried that was solved for."""

AS_GOOD = 1e-3
"""A part of it by which one of fewer digits may be another."""


def written(value: float) -> Iterator[float]:
    """A number as it may be written, the shortest first."""
    return (short for short in in_digits(value, DIGITS) if abs(short - value) <= AS_GOOD * value)


EPSILONS = (1e-8, 1e-7, 1e-6)
"""What ε usually is where it is written in the code, beside torch's own."""


def with_eps(box: Fit) -> list[Fit]:
    """The loop as one in which ε is written, if it takes none."""
    if "eps" in box.takes(("lr", "eps")) | {*box.values}:
        return []
    return [replace(box, values={**box.values, "eps": eps}) for eps in EPSILONS]


def takes_own(box: Fit, rule: Rule, plainest: Rule) -> bool:
    """Whether a loop takes two hyperparameters that are the rule's own.

    One may be called so by chance.
    """
    own = {*rule.hyper()._fields} - {*plainest.hyper()._fields}
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
        call = Call(form, plain.m, plain.batch, 1, plain.given)
        try:
            found += [Evidence(box, form, reading) for reading in box.readings(call)]
            if not found:
                failed.append(_unread(box, call))
        except SubjectError as error:
            failed.append(str(error))
    if not found:
        raise SubjectError(failed[0])
    return found


def _unread(box: Fit, call: Call) -> str:
    """What a loop gives where weights of a linear model were looked for."""
    shapes = dict.fromkeys(str(value.shape) for value in box.moving(call).values())
    others = f"returns weights of shape {' and '.join(shapes)}" if shapes else ""
    told = others or f"{box.name} gives no weights that another epoch moves"
    why = "" if others else "; does it stop early, or return its best ones?"
    return f"{told} (for 3 numbers a row: 3, or 4 with a bias){why}"
