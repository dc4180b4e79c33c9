"""What a piece of code may follow: a rule with any conventions that can be combined.

A convention is its rule's first one with some lines replaced. Two of them that replace different
lines can be had at once: Keras' Adam has ``eps_hat`` *and* ``decoupled_lr``. A candidate is one
such combination.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from itertools import combinations
from typing import Any

from oracles.drawing import Hyper
from oracles.harness.arguments import Argument
from oracles.harness.cases.case import Case, Group
from oracles.rule import Convention, Rule

SAID = frozenset(f.name for f in fields(Convention)) - {"decays"}
"""What a convention says of itself; all else in it is a line of the step."""

MOST = 3
"""How many conventions are combined at most."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A rule, the conventions in which it differs from torch's, and what becomes of its arguments.

    Attributes:
        rule: the rule.
        conventions: none for torch's own.
        arguments: those that the rule does not see as they are given.

    >>> from oracles import RULES
    >>> rule = RULES["Adam"]
    >>> eps, decay = (rule.convention(name) for name in ("eps_hat", "decoupled_lr"))
    >>> str(Candidate(rule, (eps, decay)))
    "Adam's eps_hat with decoupled_lr"
    """

    rule: Rule
    conventions: tuple[Any, ...] = ()
    arguments: tuple[Argument, ...] = ()

    def __repr__(self) -> str:
        return f"<{self}>"

    def __reduce__(self) -> Any:
        """Between processes it travels without what is kept of its lines."""
        return type(self), tuple(getattr(self, f.name) for f in fields(self))

    def __str__(self) -> str:
        names = [c.name for c in self.conventions] or [self.rule.torch.name]
        return ", ".join([f"{self.rule.name}'s {' with '.join(names)}", *self.heeded])

    @property
    def heeded(self) -> list[str]:
        """What becomes of its arguments, in words; numbers that are written in code at last.

        >>> from oracles import RULES
        >>> numbers = [Argument((n,), "is", x) for n, x in (("lr", 0.1), ("momentum", 0.9))]
        >>> Candidate(RULES["SGD"]).hearing(*numbers).heeded
        ['lr = 0.1 and momentum = 0.9 whatever is given']
        """
        constant = [a for a in self.arguments if a.how == "is"]
        *most, last = [f"{' and '.join(a.names)} = {a.by!r}" for a in constant] or [""]
        joined = f"{', '.join(most)} and {last}" if most else last
        others = [str(a) for a in self.arguments if a not in constant]
        return [*others, f"{joined} whatever is given"] if constant else others

    @property
    def as_by_default(self) -> bool:
        """Whether nothing becomes of its arguments, but that some stay at torch's defaults."""
        h = self.rule.hyper()._asdict()
        return all(a.how == "is" and all(h[n] == a.by for n in a.names) for a in self.arguments)

    @property
    def names(self) -> frozenset[str]:
        """Of its conventions, which are none where it is torch's."""
        return frozenset(c.name for c in self.conventions)

    def goes_by(self, names: Collection[str]) -> bool:
        """Whether it is one of some other rules, which then is its name.

        >>> from oracles import RULES
        >>> rule = RULES["Adadelta"]
        >>> Candidate(rule, (rule.convention("updates_ignored"),)).goes_by(["RMSprop"])
        True
        """
        return any(c.elsewhere in names for c in self.conventions)

    @cached_property
    def convention(self) -> Any:
        """All their lines in one."""
        torch = self.rule.torch
        if not self.conventions:
            return torch
        replaced = {
            line: getattr(c, line) for c in self.conventions for line in lines(self.rule, c)
        }
        return replace(torch, name="+".join(c.name for c in self.conventions), **replaced)

    def heard(self, h: Hyper) -> Hyper:
        """Of given hyperparameters, those that the rule sees.

        What it does not allow is not set: without momentum Nesterov's is gradient descent, too. But
        a sign may be another one than whoever gives a number is allowed.
        """
        for argument in self.arguments:
            other = argument.heard(h)
            h = h if self.rule.constraint(other) and argument.by != -1 else other
        return h

    def gradient(self, h: Hyper) -> float:
        """What a gradient is multiplied with before the rule sees it."""
        return math.prod(argument.gradient(h) for argument in self.arguments)

    def hearing(self, *arguments: Argument) -> Candidate:
        """It with other arguments, and the same lines."""
        other = replace(self, arguments=arguments)
        vars(other)["convention"] = self.convention
        return other

    def of(self, case: Case) -> Case:
        """A case as the rule sees it."""
        if not self.arguments:
            return case
        return replace(case, groups=tuple(map(self._group, case.groups)))

    def _group(self, group: Group) -> Group:
        factors = [self.gradient(h) for h in group.schedule]
        members = tuple(
            replace(
                p,
                gradients=tuple(
                    None if g is None else factor * g
                    for factor, g in zip(factors, p.gradients, strict=True)
                ),
            )
            for p in group.parameters
        )
        schedule = tuple(map(self.heard, group.schedule))
        return replace(group, parameters=members, schedule=schedule)

    def extended(self) -> Iterator[Candidate]:
        """It with each convention that can be had as well."""
        taken = frozenset().union(*(lines(self.rule, c) for c in self.conventions))
        for convention in self.rule.conventions[1:]:
            if not lines(self.rule, convention) & taken and convention not in self.conventions:
                yield replace(self, conventions=(*self.conventions, convention))


def trajectory(rule: Rule, convention: Convention, case: Case) -> Iterator[Any]:
    """Where a convention leads each parameter of a case, after each step."""
    (group,) = case.groups
    for p in group.parameters:
        decays = convention.decays(p.initial.ndim)
        run = rule.run(convention, p.initial, p.gradients, group.schedule, decays=decays)
        yield from (w for w, _ in run)


def lines(rule: Rule, convention: Convention) -> frozenset[str]:
    """The lines of the step that a convention replaces."""
    torch = rule.torch
    return frozenset(
        f.name
        for f in fields(convention)
        if f.name not in SAID and getattr(convention, f.name) is not getattr(torch, f.name)
    )


def candidates(rule: Rule, most: int = MOST) -> Iterator[Candidate]:
    """torch's own, each convention, and what can be combined of them, the simplest first."""
    for count in range(most + 1):
        yield from combined(rule, count)


@cache
def combined(rule: Rule, count: int) -> tuple[Candidate, ...]:
    """Each combination of that many conventions in which no two replace the same line."""
    replaced = {c.name: lines(rule, c) for c in rule.conventions[1:]}
    return tuple(
        Candidate(rule, some)
        for some in combinations(rule.conventions[1:], count)
        if _apart([replaced[c.name] for c in some])
    )


def _apart(replaced: Sequence[frozenset[str]]) -> bool:
    return sum(map(len, replaced)) == len(frozenset().union(*replaced))
