"""Who speaks: a rule with conventions, and the names under which its numbers are typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType
from typing import Any

from oracles.dictionary.decays import FORMS, OWN_NAMES, called
from oracles.dictionary.entry import ALWAYS, IGNORED, SPOKEN, Manner, Range, off, taken
from oracles.drawing import Hyper
from oracles.optimizers.refusal import outside
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

UNTYPED = frozenset({"batch_size"})
"""What is known of a step, and typed nowhere."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """An optimizer of a framework, as it was seen to act, or a convention by its own name.

    Attributes:
        name: how it is called, ``framework.Optimizer``.
        seen: the version that was run to find out.
        rule: whose it is.
        manner: the conventions in which it differs from torch's.
        names: by torch's name, what it calls what it takes.
        defaults: by its own name, of what may be left out; None is off.
        always: by torch's name, what it acts with and takes no argument for.
        heard: what it makes of given numbers before it uses them; None for nothing.
        needs: what it must be given for that.
        silent: hyperparameters of which nothing is said (a solver has steps of its own).
        framework: whether it is another framework's: it may take what torch refuses, and was seen
            with a momentum that is on or off.
        where: under which numbers it acts so.
        largest: by torch's name, the largest that it takes, where torch takes more.
    """

    name: str
    rule: str
    names: Mapping[str, str]
    seen: str = ""
    manner: Manner = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    always: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    heard: Callable[[Hyper], Hyper] | None = None
    needs: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    framework: bool = False
    where: Range = ALWAYS
    largest: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check that its rule has all that it names.

        Raises:
            ValueError: it does not.
        """
        known = set(self.base.hyper()._fields)
        for name in sorted({*self.names, *self.always, *self.silent} - known):
            raise ValueError(f"{self.name} has {name!r}; allowed: {', '.join(sorted(known))}")
        refuse_unknown(self.base, self.manner)

    def __str__(self) -> str:
        return f"{self.name} ({self.seen})" if self.seen else self.name

    @property
    def base(self) -> Rule:
        """The rule in whose terms the dictionary speaks of it: AdamW is Adam."""
        return RULES["Adam" if self.rule == "AdamW" else self.rule]

    @property
    def tuples(self) -> Mapping[str, tuple[str, ...]]:
        """Arguments that hold several hyperparameters, where it calls them as torch does."""
        return {
            name: members
            for name, members in self.base.binding.tuples.items()
            if all(self.names.get(m) == m for m in members)
        }

    @property
    def ignored(self) -> frozenset[str]:
        """What it makes nothing of."""
        return frozenset(IGNORED[name][0] for name in self.manner & IGNORED.keys())

    @property
    def manners(self) -> tuple[Manner, ...]:
        """What it can be made to do: its own, and what comes to the same.

        Decoupled decay where torch has a switch; to ignore lr_decay where there is none to take.
        """
        others = []
        if "decoupled_weight_decay" in self.names and not self.manner & set(FORMS):
            others.append("switched")
        if "lr_decay" in self.known - self.names.keys():
            others.append("lr_decay_ignored")
        return self.manner, *(self.manner | {name} for name in others)

    @property
    def known(self) -> frozenset[str]:
        """What is known of it where nothing is given: its defaults, and what it does not take."""
        if not self.seen:
            return frozenset()
        taken = {name for name, own in self.names.items() if own not in self.defaults}
        return frozenset(self.base.hyper()._fields) - taken - UNTYPED - self.silent

    def too_large(self, h: Hyper) -> str | None:
        """The sentence that refuses the first that is larger than it takes, or None."""
        told = (
            outside(h, name, getattr(h, name) <= largest, f"{largest} or less")
            for name, largest in self.largest.items()
        )
        return next(filter(None, told), None)

    def default(self, name: str) -> Any:
        """As what it acts where nothing is given, by torch's name: off, or torch's default."""
        if name in self.always:
            return self.always[name]
        torchs = getattr(self.base.hyper(), name)
        value = self.defaults.get(self.names.get(name, ""), torchs)
        return type(torchs)(0) if value is None and torchs is not None else value


UNUSED = MappingProxyType({"dampening": off("momentum")})
"""By hyperparameter, where it is not looked at."""


def spoken_as_adam(names: Manner) -> Manner:
    """Conventions of AdamW, as those of Adam.

    >>> sorted(spoken_as_adam(frozenset({"eps_hat"})))
    ['decoupled_lr', 'eps_hat']
    """
    forms = (
        ("coupled_unscaled", ""),
        *((own, form) for form, own in OWN_NAMES.items()),
        *((f, f) for f in ("decoupled", "decay_after_lr", "decay_after", "decay_ignored")),
    )
    for own, form in forms:
        if own in names:
            return (names - {own}) | ({form} - {""})
    return names | {"decoupled_lr"}


def refuse_unknown(rule: Rule, names: Manner) -> None:
    """Check names of conventions.

    Raises:
        ValueError: a rule has not all of them.
    """
    for name in sorted(names):
        if name not in SPOKEN or called(rule, name) != name:
            rule.convention(name)


def convention(rule: str, names: Manner = frozenset(), name: str = "") -> Preset:
    """A rule with conventions, under torch's names.

    >>> convention("SGD", frozenset({"batch_scaled"})).name
    'SGD/batch_scaled'

    Raises:
        ValueError: there is no such convention, or two are of one line.
    """
    refuse_unknown(RULES[rule], names)
    for one, other in combinations(sorted(names), 2):
        if taken(RULES[rule], one) & taken(RULES[rule], other):
            told = f"{one} and {other} of {rule} are different lines in one place"
            raise ValueError(f"{told}; allowed: one of them")
    said = names - {RULES[rule].torch.name}
    manner = spoken_as_adam(said) if rule == "AdamW" else said
    known = RULES[rule].hyper()._fields
    return Preset(
        name=name or "/".join([rule, *(["+".join(sorted(said))] if said else [])]),
        rule=rule,
        manner=manner,
        names={n: n for n in known},
        needs=frozenset({"weight_decay"} if "inverse_strength" in said else ()),
    )
