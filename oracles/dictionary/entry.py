"""What the dictionary is made of: a convention traded for another, and what cannot be traded.

A *manner* of a rule is the set of conventions in which it differs from torch's, as a
:class:`~oracles.harness.candidates.Candidate` has them, and of the :data:`SPOKEN` ones, which are
no lines of the rule's own text. An :class:`Entry` takes one of them away, puts another in its
place, and says which numbers make up for it at each step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any

from oracles.drawing import Hyper
from oracles.harness.candidates import lines
from oracles.numerics import Scalar
from oracles.rule import Rule

Manner = frozenset[str]
Schedule = Sequence[Hyper]

Change = Callable[[Hyper, Hyper, int], Mapping[str, Any]]
"""``(h, before, t) -> {name: value}``: what takes the place of hyperparameters at step t, which
counts from 1; before is what they were at the step before, and h itself at the first one."""

TORCHS = ""
"""In place of a convention: torch's own line."""

SPOKEN: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "sum_loss": frozenset({"loss"}),
        "inverse_strength": frozenset({"loss"}),
        "bias_undecayed": frozenset({"decays"}),
        "switched": frozenset({"descent", "before"}),
        "decoupled_batch_scaled": frozenset({"before", "descent"}),
        "decoupled_sign_flipped": frozenset({"before", "descent"}),
    }
)
"""What is no convention of every rule's text, and the lines that it takes the place of.

``sum_loss``: gradients are those of the summed loss, n times the mean's. ``inverse_strength``: the
sum of losses is weighed by C against ½|w|². ``bias_undecayed``: parameters of at most one dimension
are not decayed, in whichever rule. ``switched``: torch's Adam, NAdam and RAdam with
``decoupled_weight_decay=True``. ``decoupled_...``: what AdamW calls batch_scaled and
decay_sign_flipped.
"""


@cache
def taken(rule: Rule, name: str) -> frozenset[str]:
    """The lines of a step that a convention takes the place of.

    >>> from oracles import RULES
    >>> sorted(taken(RULES["SGD"], "lr_in_velocity")), taken(RULES["SGD"], TORCHS)
    (['move', 'scaled'], frozenset())
    """
    if name in SPOKEN or name == TORCHS:
        return SPOKEN.get(name, frozenset())
    return lines(rule, rule.convention(name))


@dataclass(frozen=True)
class Range:
    """Where an entry holds.

    Attributes:
        words: as a person reads it.
        holds: whether it does under these hyperparameters, step by step.
    """

    words: str
    holds: Callable[[Schedule], bool]


ALWAYS = Range("always", lambda schedule: True)


def constant(*names: str) -> Range:
    """While these stay what they are.

    >>> from oracles.optimizers.sgd import Hyper
    >>> steady = constant("lr")
    >>> steady.words, steady.holds([Hyper(lr=0.5), Hyper(lr=0.25)])
    ('while lr is constant', False)
    """
    return Range(
        f"while {' and '.join(names)} {'is' if len(names) == 1 else 'are'} constant",
        lambda schedule: all(len({getattr(h, n) for h in schedule}) == 1 for n in names),
    )


def off(name: str) -> Range:
    """While this is 0 or False, or a batch is one row."""
    rest: Any = 1 if name == "batch_size" else False if name in SWITCHES else 0
    return Range(f"{name}={rest}", lambda schedule: all(getattr(h, name) == rest for h in schedule))


SWITCHES = frozenset({"nesterov", "maximize", "amsgrad", "centered", "decoupled_weight_decay"})


def both(*ranges: Range) -> Range:
    """Where all of them hold."""
    return Range(
        ", ".join(r.words for r in ranges), lambda schedule: all(r.holds(schedule) for r in ranges)
    )


def same(h: Hyper, before: Hyper, t: int) -> Mapping[str, Any]:
    """The same numbers."""
    return {}


SAME = "the same numbers"
"""What it is in words."""


def applied(change: Change, schedule: Schedule, start: int = 1) -> list[Hyper]:
    """A schedule with other numbers at each step, where these are counted from ``start`` on."""
    pairs = zip(schedule, [schedule[0], *schedule], strict=False)
    return [h._replace(**change(h, before, t)) for t, (h, before) in enumerate(pairs, start)]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One convention for another, exactly: both trajectories are the same where it holds.

    Attributes:
        rule: by name.
        drops, adds: the conventions; :data:`TORCHS` for torch's own line.
        change: the numbers.
        formula: the numbers as a person types them; empty where they stay the same.
        range: where it holds.
        beside, without: conventions that must be there beside it, and must not.
        needs: hyperparameters that must be known.
        vectors: what parameters of at most one dimension are to be given instead.
        reason: why, in a sentence.
    """

    rule: str
    drops: str
    adds: str
    reason: str
    change: Change = same
    formula: str = ""
    range: Range = ALWAYS
    beside: Manner = frozenset()
    without: Manner = frozenset()
    needs: tuple[str, ...] = ()
    vectors: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def narrow(self) -> bool:
        """Whether it does not hold always."""
        return self.range is not ALWAYS

    @property
    def changed(self) -> frozenset[str]:
        """What its formula gives, by name."""
        return frozenset(re.findall(r"(?:^|, )(\w+?)(?:_t)? = ", self.formula))

    def fits(self, rule: Rule, manner: Manner) -> bool:
        """Whether it applies to a manner of its rule, whatever the numbers are."""
        if self.drops not in (*manner, TORCHS) or not self.beside <= manner:
            return False
        if manner & (self.without | {self.adds}):
            return False
        rest = [taken(rule, name) for name in manner - {self.drops}]
        return not frozenset().union(*rest) & taken(rule, self.adds)

    def after(self, manner: Manner) -> Manner:
        """The manner that it leads to."""
        return (manner - {self.drops}) | ({self.adds} - {TORCHS})

    def apply(self, schedule: Schedule, start: int = 1, *, vectors: bool = False) -> list[Hyper]:
        """The numbers that make up for it, of steps that are counted from ``start`` on.

        With ``vectors`` those of parameters of at most one dimension.
        """
        instead = self.vectors if vectors else {}
        return applied(lambda *step: {**self.change(*step), **instead}, schedule, start)


def pair(
    rule: str,
    name: str,
    there: Change,
    formula: str,
    back: Change,
    back_formula: str,
    reason: str,
    *,
    other: str = TORCHS,
    **options: Any,
) -> Iterator[Entry]:
    """From a convention to another, torch's if none is named, and back."""
    shared: dict[str, Any] = {"rule": rule, "reason": reason, **options}
    yield Entry(drops=name, adds=other, change=there, formula=formula, **shared)
    yield Entry(drops=other, adds=name, change=back, formula=back_formula, **shared)


def alike(rule: str, name: str, where: Range, reason: str = "", **options: Any) -> Iterator[Entry]:
    """The same numbers, there and back.

    >>> [(e.drops, e.adds) for e in alike("Adam", "eps_hat", off("eps"))]
    [('eps_hat', ''), ('', 'eps_hat')]
    """
    why = reason or f"with {where.words} they are the same"
    yield from pair(rule, name, same, "", same, "", why, range=where, **options)


SETTLED = 10_000
"""As NAdam's momentum decay: 0.96^SETTLED is 2⁻⁵⁸⁹, which no format notices beside 1."""

IGNORED: Mapping[str, tuple[str, Any]] = MappingProxyType(
    {
        "amsgrad_ignored": ("amsgrad", False),
        "centered_ignored": ("centered", False),
        "constant_momentum": ("momentum_decay", SETTLED),
        "decay_ignored": ("weight_decay", 0),
        "decay_of_one": ("momentum_decay", 1),
        "eps_ignored": ("eps", 0),
        "lr_decay_ignored": ("lr_decay", 0),
        "lr_ignored": ("lr", 1),
        "momentum_ignored": ("momentum", 0),
        "nesterov_ignored": ("nesterov", False),
    }
)
"""By convention, what it makes nothing of, and what torch's does the same with."""


def ignoring(
    rule: str, name: str, reason: str = "whatever is given is ignored", **options: Any
) -> Entry:
    """From a convention that ignores an argument to torch's.

    >>> ignoring("Adam", "amsgrad_ignored").formula
    'amsgrad = False'
    """
    argument, value = IGNORED[name]
    return Entry(
        rule=rule,
        drops=name,
        adds=TORCHS,
        change=lambda h, before, t: {argument: value},
        formula=f"{argument} = {value}",
        reason=reason,
        **options,
    )


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Two conventions that no numbers make the same.

    Attributes:
        rules: by name; empty for all.
        where: under which numbers it is the reason.
        one, other: the conventions, either of which may be asked for the other.
        reason: why, in a sentence.
        folk: what is done instead, from one to other, and holds in some limit at best.
        saying: that, in words.
        back: the same from other to one.
        said_back: that, in words.
    """

    one: str
    other: str
    reason: str
    rules: frozenset[str] = frozenset()
    where: Range = ALWAYS
    folk: Change = same
    saying: str = SAME
    back: Change = same
    said_back: str = SAME


EXACTLY = 50
"""Up to which step powers of betas are fractions, whose digits grow with every step."""


def correction(beta: Scalar, t: int) -> Scalar:
    """``1 − βᵗ``.

    >>> correction(Fraction(9, 10), 2), correction(Fraction(9, 10), 1000)
    (Fraction(19, 100), 1.0)
    """
    return 1 - (float(beta) if t > EXACTLY and isinstance(beta, Fraction) else beta) ** t


def root(x: Scalar) -> Scalar:
    """``√x``."""
    return x**0.5
