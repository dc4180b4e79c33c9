"""translate: which number do I type?

What somebody has is said in one convention and wanted in another. The dictionary
(:mod:`oracles.dictionary`) has entries that trade one convention for another; a translation is a
way through them, and where there is none, an example on which what people do instead goes wrong.
Numbers are rational as long as no root is taken of them: 0.1 (1 − 0.9) is 0.01.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np

from oracles.dictionary.counterexample import Example, parting, text
from oracles.dictionary.entry import ALWAYS, SAME, Manner, Schedule, taken
from oracles.dictionary.frameworks import PRESETS, SEEN
from oracles.dictionary.preset import UNTYPED, UNUSED, Preset, convention
from oracles.dictionary.refusing import refusal
from oracles.dictionary.way import Way, way
from oracles.drawing import Hyper
from oracles.harness.arguments import GRADIENT
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.fits.answer import FitIdentification
from oracles.harness.subjects.aliases import matched
from oracles.harness.training.batches import FULL
from oracles.harness.training.loop import SCALES
from oracles.identification import Identification
from oracles.naming import refuse_unmapped, unknown
from oracles.optimizers.registry import RULES

Speaker = str | Candidate | Identification | Preset
"""A convention (``"SGD/batch_scaled"``), a framework's optimizer (``"keras.SGD"``), a candidate, or
what a piece of code was found to follow."""

ABBREVIATED = {"tensorflow": "tf"}
"""Whole names of frameworks that are known by short ones."""

SHOWN = (1, 2, 3, 10, 100, 1000)
"""The steps at which a schedule is shown."""


@dataclass(frozen=True)
class Varying:
    """A number that is another one at each step.

    Attributes:
        formula: what it is at step t.
        at: the number at step t, which counts a parameter's gradients from 1 on.
    """

    formula: str
    at: Callable[[int], float]

    @property
    def shown(self) -> dict[int, float]:
        """At some steps."""
        return {t: self.at(t) for t in SHOWN}


@dataclass(frozen=True)
class Refused:
    """Why there is no translation, and what becomes of those that people use.

    Attributes:
        reason: in a sentence.
        folk: what people type instead; empty if nothing is known of any.
        example: a case on which it goes wrong, where one was found.
    """

    reason: str
    folk: str = ""
    example: Example | None = None


@dataclass(frozen=True, eq=False)
class Translation:
    """The numbers to type.

    Attributes:
        source, target: who speaks, with the version that was seen.
        values: by the target's name, those that stay what they are, or a tuple with one a step
            where the source's were so.
        schedules: by the target's name, those that are other numbers at each step.
        vectors: what parameters of at most one dimension (biases) are given instead; as in
            ``schedules`` what is another number at each step.
        range: where it holds; empty if always.
        why: for each line that differs, what becomes of it and the reason.
        refusal: set if there is no translation.
        way: the entries of the dictionary that it is made of.

    >>> found = translate({"eps": 1e-7}, "Adam/eps_hat", "torch.Adam")
    >>> found.schedules["eps"].formula, round(found.schedules["eps"].at(1), 12), found.range
    ('eps_t = ε/√(1 − β2^t)', 3.162278e-06, ())
    """

    source: Preset
    target: Preset
    values: Mapping[str, Any] = field(default_factory=dict)
    schedules: Mapping[str, Varying] = field(default_factory=dict)
    vectors: Mapping[str, Any] = field(default_factory=dict)
    range: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    refusal: Refused | None = None
    way: Way = field(default_factory=Way)

    def holds(self, values: Mapping[str, Any] | None) -> bool:
        """Whether it would hold under other values of the source: its range, as a predicate.

        >>> found = translate({"weight_decay": 0.5}, "SGD/decoupled_lr", "SGD")
        >>> found.range, found.holds({"weight_decay": 0.1}), found.holds({"momentum": 0.5})
        (('momentum=0',), True, False)
        """
        asked = Question(self.source, self.target, heard(self.source, values))
        if self.refusal is not None or asked.unseen or not self.way.holds(asked.schedule):
            return False
        if self.way.end(self.source.base, asked.manner) not in self.target.manners:
            return False
        return not _refusing(self.target, self.way.schedule(asked.schedule))

    def __bool__(self) -> bool:
        """Whether there is one."""
        return self.refusal is None

    def __str__(self) -> str:
        """The numbers, then where they hold."""
        if self.refusal:
            return f"no numbers: {self.refusal.reason}"
        numbers = [f"{name}={value!r}" for name, value in self.values.items()]
        formulas = [varying.formula for varying in self.schedules.values()]
        numbers += [f for f in formulas if not any(f != g and f in g for g in formulas)]
        for name, value in self.vectors.items():
            told = value.formula if isinstance(value, Varying) else f"{name}={value!r}"
            numbers.append(f"{told} for biases")
        return f"{', '.join(dict.fromkeys(numbers))} ({'; '.join(self.range) or 'always'})"


def speaker(who: Speaker) -> Preset:
    """Whoever is named.

    Raises:
        TypeError: it is no name.
        ValueError: nobody is called so, or the code that was identified follows not just one rule.
    """
    if isinstance(who, Preset):
        return who
    if isinstance(who, Identification):
        return _identified(who)
    if isinstance(who, Candidate):
        return _candidate(who)
    if not isinstance(who, str):
        raise TypeError(f"{who!r} is nobody's name; allowed: text, or what identify has found")
    modules = {ABBREVIATED.get(module, module) for module in who.split(".")}
    for name, preset in PRESETS.items():
        framework, _, own = name.partition(".")
        if who == name or (framework in modules and who.endswith(f".{own}")):
            return preset  # as it is imported, too: tf.keras.optimizers.SGD
    rule, _, names = who.partition("/")
    if rule not in RULES:
        raise ValueError(_nobody(who, rule if names else who))
    return convention(rule, frozenset(names.split("+")) - {""})


def _nobody(who: str, name: str) -> str:
    """That nobody who is known is called so, and who may be meant."""
    frameworks = {known.partition(".")[0]: "" for known in PRESETS}
    first = who.partition(".")[0]
    framework = ABBREVIATED.get(first, first)
    own = [known for known in PRESETS if known.partition(".")[0] == framework]
    allowed = ", ".join(own) or (
        f"a rule ({', '.join(RULES)}), a rule with conventions (SGD/batch_scaled+lr_in_velocity), "
        f"or FRAMEWORK.OPTIMIZER of {', '.join(frameworks)}: `oracles translate --list`"
    )
    for row in SEEN:
        if row.name == who:
            told = f"{who} ({row.version}) fits no known combination of conventions"
            return f"{told}, as FRAMEWORKS.md has it; allowed: {allowed}"
    return unknown(f"{who!r} is nobody's name", name, [*RULES, *PRESETS], allowed)


def _identified(who: Identification) -> Preset:
    """Code that was asked: of what it ignores it is told the value that it acts with.

    Raises:
        ValueError: it follows not just one rule, or a training loop counts rows in two ways.
    """
    accounts = who.loop.fits if who.loop else ()
    limits = who.loop.limits if who.loop else ""
    if len(accounts or who.fits) != 1 or who.exceptions or who.shapes or limits:
        raise ValueError(f"{who}; allowed: code that follows one known rule throughout")
    if who.loop:
        return _loop(who.loop)
    spoken = _candidate(who.fits[0])
    if not who.ignores:
        return spoken
    default = who.fits[0].rule.hyper()
    values = {name: exact(name, getattr(default, name)) for name in sorted(who.ignores)}
    inner = spoken.heard or (lambda h: h)
    name = f"{spoken.name}, ignoring {', '.join(values)}"
    return replace(spoken, name=name, heard=lambda h: inner(h)._replace(**values))


def _loop(found: FitIdentification) -> Preset:
    """A training loop: its loss, its numbers and its bias belong to what it means by them.

    Raises:
        ValueError: a batch's rows and all rows both enter a step, for which there is one name.
    """
    (loop,) = found.fits
    both = loop.counted == "all" or loop.loss.reduction == "share"
    if both and loop.batches != FULL:
        raise ValueError(f"{found}; allowed: a loop whose numbers depend on the rows of a batch")
    names = loop.candidate.names
    names |= {"sum_loss"} if loop.loss.reduction == "sum" else frozenset()
    names |= frozenset() if loop.bias_decayed else {"bias_undecayed"}
    scales = {"lr": loop.lr, "weight_decay": loop.weight_decay}
    scales = {name: scale for name, scale in scales.items() if scale}

    def acts(h: Hyper) -> Hyper:
        return h._replace(**{n: getattr(h, n) * SCALES[s](h.batch_size) for n, s in scales.items()})

    return replace(
        convention(loop.candidate.rule.name, names, found.name),
        seen="as it was identified",
        defaults=dict(found.written),
        heard=acts if scales else None,
        needs=UNTYPED if any("m" in scale for scale in scales.values()) else frozenset(),
    )


def _candidate(who: Candidate) -> Preset:
    """Code that may make something of its arguments before the rule sees them.

    Raises:
        ValueError: it multiplies the gradient, and not by the batch size.
    """
    names, spoken = who.names, convention(who.rule.name, who.names)
    for argument in who.arguments:
        if GRADIENT in argument.names:
            if argument.how != "times m":
                raise ValueError(f"{who}; allowed: a gradient as it is, or times the batch size")
            names |= {"sum_loss"}
    if not who.arguments:
        return spoken
    rows = {"over m", "times m"} & {argument.how for argument in who.arguments}
    needs = UNTYPED if rows else frozenset()
    spoken = convention(who.rule.name, names, str(who))
    return replace(spoken, heard=who.heard, needs=needs)


def translate(values: Mapping[str, Any] | None, source: Speaker, target: Speaker) -> Translation:
    """The numbers that do in one convention what others do in another.

    Args:
        values: what one has: ``lr``, ``momentum``, ``weight_decay``, ``batch_size``, ..., by the
            source's own names, torch's or any usual one. A list has one value for each step; None
            is none.
        source: whose numbers they are.
        target: whose numbers are wanted.

    Raises:
        TypeError: the values are no dict, or a source or target is none that can be named.
        ValueError: nobody is called so, a value has no name or is not allowed, lists have different
            lengths, or something must be known that was not given.

    >>> translate({"weight_decay": 0.1, "batch_size": 1096}, "SGD/batch_scaled", "SGD").values
    {'weight_decay': 9.124087591240875e-05}
    >>> numbers = {"lr": 0.1, "weight_decay": 0.1, "momentum": 0.9}
    >>> print(translate(numbers, "SGD/decoupled_lr", "torch.SGD").refusal.example)
    w = 1, g = 1: w is 0.89 after step 1, and 0.899 with the numbers carried over
    """
    speaks, listens = speaker(source), speaker(target)
    if listens.heard:
        raise ValueError(f"{listens} cannot be told what it acts with; allowed: as a source")
    asked = Question(speaks, listens, heard(speaks, values))
    for name in sorted(speaks.needs - asked.given.keys()):
        raise ValueError(f"{name} is needed and was not given: {speaks}")
    if speaks.base is not listens.base:
        return Translation(speaks, listens, refusal=_strangers(asked))
    if asked.unseen:
        return Translation(speaks, listens, refusal=Refused(asked.unseen))
    answer = None
    for wanted in listens.manners:
        found = way(speaks.base.name, asked.manner, wanted, asked.schedule, asked.known)
        if found is not None:
            answer = _answer(asked, found, switched="switched" in wanted)
            if answer:
                return answer
    if answer is not None:  # of what it can be made to do
        return answer
    if (why := _untypable(listens, asked.schedule)) is not None:
        return Translation(speaks, listens, refusal=Refused(why))
    told = refusal(speaks.base.name, asked.manner, listens.manner, asked.schedule)
    return Translation(speaks, listens, refusal=Refused(*told))


@dataclass(frozen=True)
class Question:
    """What is to be translated.

    Attributes:
        given: values by torch's names, as :func:`heard` makes them.
    """

    speaks: Preset
    listens: Preset
    given: Mapping[str, Any]

    @cached_property
    def lists(self) -> Mapping[str, tuple[Any, ...]]:
        """What was given step by step.

        Raises:
            ValueError: they are not equally long, or empty.
        """
        lists = {name: value for name, value in self.given.items() if isinstance(value, tuple)}
        if len({len(value) for value in lists.values()}) > 1 or () in lists.values():
            said = ", ".join(f"{name} has {len(value)}" for name, value in lists.items())
            raise ValueError(f"{said}; allowed: lists with one value for each step")
        return lists

    @cached_property
    def typed(self) -> list[Hyper]:
        """The hyperparameters at each step, as many as show what stays what it is.

        Raises:
            ValueError: they are none that the rule takes.
        """
        steps = max(map(len, self.lists.values()), default=2)
        base = self.speaks.base
        values = {n: exact(n, self.speaks.default(n)) for n in base.hyper()._fields}
        values |= self.given
        schedule = [
            base.hyper(**{n: v[t] if isinstance(v, tuple) else v for n, v in values.items()})
            for t in range(steps)
        ]
        if self.speaks.framework:
            schedule = list(map(_looking_ahead, schedule))
        for h in map(as_typed, schedule):
            if why := self.speaks.too_large(h) or base.constraint(h):
                raise ValueError(f"{self.speaks}: {why}")
        return schedule

    @cached_property
    def acting(self) -> list[Hyper]:
        """What the source makes of them before it uses them."""
        return list(map(self.speaks.heard, self.typed)) if self.speaks.heard else self.typed

    @cached_property
    def switched(self) -> bool:
        """Whether torch's decoupled_weight_decay is on.

        Raises:
            ValueError: it is, beside another decay, or at some steps only.
        """
        series = [getattr(h, "decoupled_weight_decay", False) for h in self.acting]
        if len(set(series)) > 1:
            told = f"decoupled_weight_decay={series} is not allowed"
            raise ValueError(f"{told}; allowed: True or False, the same at each step")
        on, rule = series[0], self.speaks.base
        for name in sorted(self.speaks.manner) if on else ():
            if taken(rule, name) & taken(rule, "switched"):
                both = f"{name} and decoupled_weight_decay=True of {rule.name}"
                told = f"{both} are different lines in one place"
                raise ValueError(f"{told}; allowed: one of them")
        return on

    @property
    def schedule(self) -> list[Hyper]:
        """The hyperparameters as the dictionary takes them: that switch is a convention to it."""
        if self.switched:
            return [h._replace(decoupled_weight_decay=False) for h in self.acting]
        return self.acting

    @property
    def manner(self) -> Manner:
        """The conventions that the source follows."""
        return self.speaks.manner | ({"switched"} if self.switched else set())

    @property
    def unseen(self) -> str:
        """Which framework's optimizer was not seen under such numbers, if one was not."""
        switched = len({getattr(h, "momentum", 0) == 0 for h in self.acting}) > 1
        for who in (self.speaks, self.listens):
            if switched and who.framework:
                return f"{who} was not seen with a momentum that is switched on or off"
        return _elsewhere(self.speaks, self.acting)

    @property
    def known(self) -> frozenset[str]:
        """What was given, and what a framework takes by default."""
        return self.speaks.known.union(self.given)


def _elsewhere(who: Preset, schedule: Schedule) -> str:
    """That somebody acts otherwise under these numbers, if that is so."""
    return "" if who.where.holds(schedule) else f"{who} acts so only while {who.where.words}"


def _looking_ahead(h: Hyper) -> Hyper:
    """Without momentum there is nothing to look ahead with, which torch refuses and others take."""
    idle = getattr(h, "nesterov", False) and h.momentum == 0
    return h._replace(nesterov=False) if idle else h


def heard(speaks: Preset, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Values under torch's names, as exact numbers; lists as tuples of them; None is no values.

    >>> heard(speaker("SGD"), {"learning_rate": 0.5, "m": 32})
    {'lr': Fraction(1, 2), 'batch_size': Fraction(32, 1)}

    Raises:
        TypeError: the values are no dict.
        ValueError: a name is not known, or a value is no number.
    """
    refuse_unmapped(values=values)
    values = values or {}
    off = {own for own, default in speaks.defaults.items() if default is None}
    plain = {name: v for name, v in values.items() if not (v is None and name in off)}
    for name, members in speaks.tuples.items():
        for twice in plain.keys() & set(members) if name in plain else ():
            told = f"{twice!r} is part of {name!r}, which is given, too"
            raise ValueError(f"{told}; allowed: one of them")
        if name in plain:
            plain |= _members(name, members, plain.pop(name))
    own = {theirs: name for name, theirs in speaks.names.items()}
    found = {own[name]: value for name, value in plain.items() if name in own}
    rest = [name for name in plain if name not in own]
    usual = matched(rest, [n for n in (*speaks.names, *UNTYPED) if n not in found])
    for name in rest:
        if name not in usual.values():
            for twice in matched([name], speaks.names):
                told = f"{name!r} is another name of {speaks.names[twice]!r}, which is given, too"
                raise ValueError(f"{told}; allowed: one of them")
            allowed = dict.fromkeys([*speaks.names.values(), *speaks.tuples, *UNTYPED])
            raise ValueError(unknown(f"{name!r} is no argument of {speaks}", name, allowed))
    found |= {name: plain[theirs] for name, theirs in usual.items()}
    default = speaks.base.hyper()
    return {name: _kind(name, value, getattr(default, name)) for name, value in found.items()}


def _members(name: str, members: Sequence[str], value: Any) -> dict[str, Any]:
    """What one argument holds, by the names of its members.

    Raises:
        ValueError: it does not hold one number for each.
    """
    held = tuple(value) if _is_list(value) else ()
    if len(held) != len(members) or any(map(_is_list, held)):
        raise ValueError(
            f"{name}={_said(value)} is not allowed; allowed: {len(members)} numbers, "
            f"({', '.join(members)}), or lists with one value for each step by those names"
        )
    return dict(zip(members, held, strict=True))


def _kind(name: str, value: Any, default: Any) -> Any:
    """A value as exact numbers, of the kind that torch's default is of.

    Raises:
        ValueError: it is of another one.
    """
    kind, said = (bool, "True or False") if isinstance(default, bool) else (Fraction, NUMBERS)
    found = exact(name, value)
    said = WHOLE if name in COUNTS else said
    for one in found if isinstance(found, tuple) else (found,):
        odd = name in COUNTS and isinstance(one, Fraction) and one.denominator != 1
        if odd or (default is not None and not isinstance(one, kind)):
            raise ValueError(f"{name}={_said(value)} is not allowed; allowed: {said}")
    return found


NUMBERS = "finite numbers, or a list with one for each step"
WHOLE = "whole numbers, or a list with one for each step"


def _said(value: Any) -> str:
    return repr(list(map(plain, value)) if isinstance(value, list) else plain(value))


def _is_list(value: Any) -> Any:
    """Whether it has one value for each step; an array without dimensions is one number."""
    if isinstance(value, str | bytes | bytearray | Set | Mapping):  # text, or nothing in an order
        return False
    return isinstance(value, Iterable) and getattr(value, "ndim", 1)


def exact(name: str, value: Any) -> Any:
    """A number as the decimal that it is written as; lists as tuples, all else as it is.

    >>> exact("lr", [0.1, True])
    (Fraction(1, 10), True)

    Raises:
        ValueError: it is no finite number.
    """
    if isinstance(value, bool | str | bytes | bytearray | Fraction) or value is None:
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if _is_list(value):
        return tuple(exact(name, one) for one in value)
    try:
        return Fraction(str(float(value)))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}={value!r} is not allowed; allowed: {NUMBERS}") from None


def _answer(asked: Question, found: Way, *, switched: bool) -> Translation:
    """The numbers at the end of a way, as the target takes them."""
    speaks, listens = asked.speaks, asked.listens
    for name in sorted(found.needs - asked.known):
        formulas = "; ".join(e.formula or e.reason for e in found.entries if name in e.needs)
        raise ValueError(f"{name} is needed and was not given: {formulas}")
    reached = [
        h._replace(decoupled_weight_decay=True) if switched else h
        for h in found.schedule(asked.schedule)
    ]
    if why := _refusing(listens, reached):
        return Translation(speaks, listens, refusal=Refused(why))
    names = [name for name in listens.names if _worth_telling(name, asked, found, reached)]
    varying = [n for n in names if len({getattr(h, n) for h in reached}) > 1 and not asked.lists]
    values = {
        listens.names[name]: _told(_series(name, reached)) for name in names if name not in varying
    }
    unused = [UNUSED[name] for name, _, _ in _untaken(listens, reached)]
    wheres = [w.words for w in (speaks.where, listens.where, *unused) if w is not ALWAYS]
    return Translation(
        speaks,
        listens,
        _joined(listens, values),
        {listens.names[name]: _varying(name, asked, found) for name in varying},
        _vectors(asked, found),
        tuple(dict.fromkeys((*found.ranges, *wheres))),
        tuple(": ".join(filter(None, (e.formula, e.reason))) for e in found.entries),
        way=found,
    )


def plain(value: Any) -> Any:
    """A number as a person types it; one that no float holds is infinite.

    >>> plain(Fraction(1, 4)), plain(Fraction(10) ** 400)
    (0.25, inf)
    """
    if not isinstance(value, Fraction):
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


COUNTS = frozenset({"batch_size", "ns_steps"})
"""What is typed as a whole number."""


def _typed(name: str, value: Any) -> Any:
    return int(value) if name in COUNTS else plain(value)


def as_typed(h: Hyper) -> Hyper:
    """All of a step's, as a person types them."""
    return type(h)(*map(plain, h))


def _varying(name: str, asked: Question, found: Way, *, vectors: bool = False) -> Varying:
    """A number that is another one at each step."""

    def at(t: int) -> float:
        given: Any = t
        if not isinstance(given, Integral) or t < 1:
            raise ValueError(f"t={t!r} is not allowed; allowed: whole numbers, 1 or more")
        before = asked.schedule[:1] * min(t, 2)
        reached = found.schedule(before, max(t - 1, 1), vectors=vectors)
        return float(getattr(reached[-1], name))

    return Varying(", then ".join(_formulas(name, found)), at)


def _formulas(name: str, found: Way) -> list[str]:
    """Those that a number comes of, itself or by what they need."""
    needed, formulas = {name}, []
    for entry in reversed(found.entries):
        if needed & entry.changed and not entry.vectors:
            needed |= set(entry.needs)
            formulas.append(entry.formula)
    return formulas[::-1]


def _vectors(asked: Question, found: Way) -> dict[str, Any]:
    """What parameters of at most one dimension are given instead: all numbers that differ.

    A decay is told to be none, though nobody has said whether there is any.
    """
    names = asked.listens.names
    reached, instead = (found.schedule(asked.schedule, vectors=of) for of in (False, True))
    told = {name for entry in found.entries for name in entry.vectors}
    told |= {n for n in names if _series(n, instead) != _series(n, reached)}

    def one(name: str) -> Any:
        number = _told(_series(name, instead))
        varies = isinstance(number, tuple) and not asked.lists
        return _varying(name, asked, found, vectors=True) if varies else number

    return {own: one(name) for name, own in names.items() if name in told}


def _series(name: str, schedule: Schedule) -> tuple[Any, ...]:
    """A number at each step, as a person types it."""
    return tuple(_typed(name, getattr(h, name)) for h in schedule)


def _told(series: tuple[Any, ...]) -> Any:
    """One number where they are the same at each step."""
    return series if len(set(series)) > 1 else series[0]


def _joined(listens: Preset, values: dict[str, Any]) -> dict[str, Any]:
    """With those in one argument that the target takes in one."""
    for name, members in listens.tuples.items():
        if all(m in values for m in members):
            values[name] = tuple(values.pop(m) for m in members)
    return values


def _worth_telling(name: str, asked: Question, found: Way, reached: Schedule) -> bool:
    """Whether a number was given or made, or the target's default would be another.

    Of one that nobody knows: whether that default is none that could be meant.
    """
    if name in UNTYPED | asked.listens.silent or name in asked.speaks.silent - asked.given.keys():
        return False
    made = [getattr(h, name) for h in reached] != [getattr(h, name) for h in asked.schedule]
    if name in asked.given or made:
        return True
    default = exact(name, asked.listens.default(name))
    differs = any(getattr(h, name) != default for h in reached)
    if name in asked.known:
        return differs or name not in asked.listens.known
    return differs and found.fixes(name, default, asked.schedule)


def _untaken(listens: Preset, reached: Schedule) -> Iterator[tuple[str, Any, Any]]:
    """What the target takes no argument for: name, as what it acts, and not what."""
    for name in reached[0]._fields:
        if name in {*listens.names, *UNTYPED, *listens.silent, *listens.ignored}:
            continue
        acts = exact(name, listens.default(name))
        for value in {getattr(h, name) for h in reached} - {acts}:
            yield name, acts, value


def _untypable(listens: Preset, reached: Schedule) -> str | None:
    """What the target cannot be told, or its rule does not allow."""
    for name, acts, value in _untaken(listens, reached):
        if name not in UNUSED or not UNUSED[name].holds(reached):
            return f"{listens} takes no {name} and acts as with {plain(acts)}, not {plain(value)}"
    typed = list(map(as_typed, reached))
    for name in reached[0]._fields:
        if any(getattr(h, name) in (math.inf, -math.inf) for h in typed):
            return f"{name} would be larger than any float"
    for whose, refuses in (("it", listens.too_large), ("torch", listens.base.constraint)):
        for why in filter(None, map(refuses, typed)):
            return f"{listens} would have to take what {whose} does not allow: {why}"
    return None


def _refusing(listens: Preset, reached: Schedule) -> str | None:
    """Why a target is not to be given these numbers, if it is not."""
    return _untypable(listens, reached) or _elsewhere(listens, reached)


def _strangers(asked: Question) -> Refused:
    """Optimizers of two rules, which remember different things."""
    mine, theirs = asked.speaks.base, asked.listens.base
    default = {n: exact(n, asked.listens.default(n)) for n in theirs.hyper()._fields}
    shared = default.keys() & set(mine.hyper()._fields)
    carried = [theirs.hyper(**default | {n: getattr(h, n) for n in shared}) for h in asked.typed]
    one, other = text(mine.name, asked.manner), text(theirs.name, asked.listens.manner)
    reason = f"{mine.name} and {theirs.name} are different rules, whatever the numbers"
    return Refused(reason, SAME, parting(one, other, asked.schedule, carried))
