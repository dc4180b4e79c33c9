"""Texts that make a learning rate of their own of the step's number, taken apart.

What is left is given its rate; the rate is a function of the step, as any schedule is.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from oracles.harness.subjects.equations.program import Memory, Program
from oracles.harness.subjects.equations.roles import COUNTS, counts, may_be_rate
from oracles.harness.subjects.equations.tree import numbers, reads, writes

GIVEN = frozenset({"lr", "lr_decay"})
"""Roles of what a rate may be made of, beside the step's number."""

INLINE = "lr@own"
"""What a rate is called that has no name in the text."""


@dataclass(frozen=True)
class Rated:
    """A text and the learning rate that it makes, apart.

    Attributes:
        rest: the text that is given that rate.
        text: how the rate is made, as it is written.
        rate: what it is at a step, from 0 on; it takes the base rate, if it is made of one. None
            if it is made of more than that.
        written: the numbers that it is made of.
        counts: the step's number in it, and whether that is 1 or 0 at the first step.
    """

    rest: Program
    text: str
    rate: Callable[..., float] | None
    written: frozenset[float]
    counts: tuple[str, int]


def apart(program: Program) -> Rated | None:
    """A text taken apart, if it makes a rate of nothing but steps, numbers and a given rate.

    What is read as it was at the step before is no such part: one step does not tell it.
    """
    of = {name for name, role in program.roles.items() if role in COUNTS | GIVEN}
    made: list[ast.stmt] = []
    for statement in program.body:
        written = writes([statement])
        if len(written) == 1 and reads([statement]) <= of:
            made.append(statement)
            of |= written - program.before
            if _is_rate(*written) and reads(made) & counts(program.roles):
                (name,) = written
                rest = [one for one in program.body if one is not statement]
                return _rated(program, made, name, _without(rest, made))
    return _inline(program, of, made)


def _without(body: Sequence[ast.stmt], parts: Sequence[ast.stmt]) -> list[ast.stmt]:
    """A text without what the rate is made of, but for what it uses otherwise."""
    used = reads([statement for statement in body if statement not in parts])
    return [one for one in body if one not in parts or writes([one]) & used]


def _inline(program: Program, of: set[str], parts: Sequence[ast.stmt]) -> Rated | None:
    """The same where a formula has the rate in it, as in ``w -= lr/√t*g``."""
    counted, given = counts(program.roles), "lr" in program.roles.values()
    for part in parts:
        counted |= writes([part]) if reads([part]) & counted else set()
    found = _Largest(lambda n: n <= of and bool(n & counted and (n - counted or not given)))
    body = [one if one in parts else found.visit(deepcopy(one)) for one in program.body]
    if len({ast.unparse(node) for node in found.nodes}) != 1:
        return None
    rate = ast.Assign([ast.Name(INLINE, ast.Store())], found.nodes[0])
    ast.copy_location(rate, found.nodes[0])  # where the text is told from
    made = [*parts, ast.fix_missing_locations(rate)]
    return _rated(program, made, INLINE, _without(body, parts))


class _Largest(ast.NodeTransformer):
    """Puts the rate in the place of the largest formulas of which the names satisfy a test."""

    def __init__(self, test: Callable[[set[str]], bool]) -> None:
        self.test = test
        self.nodes: list[ast.expr] = []

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr) and self.test(reads([node])):
            self.nodes.append(node)
            return ast.copy_location(ast.Name(INLINE, ast.Load()), node)
        return super().generic_visit(node)


def _rated(
    program: Program, made: Sequence[ast.stmt], name: str, rest: Sequence[ast.stmt]
) -> Rated | None:
    """The two of them, unless what is left reads what the rate was made of as well."""
    used = {own for own, role in program.roles.items() if role in GIVEN and own in reads(made)}
    if used & reads(rest):
        return None
    roles = {own: role for own, role in program.roles.items() if own not in used} | {name: "lr"}
    own = replace(program, before=frozenset(), first=(), body=made)

    def at(step: int, base: float) -> float:
        memory = Memory(np.zeros(1))
        own.step(memory, np.zeros(1), step + 1, dict.fromkeys(program.roles.values(), base))
        return float(np.ravel(memory.get(name))[0])

    count = min(reads(made) & counts(program.roles))
    rate = at if used else lambda step: at(step, 0.0)
    return Rated(
        replace(program, roles=roles, body=rest),
        "; ".join(map(program.source.written, made)),
        rate if {program.roles[own] for own in used} <= {"lr"} else None,
        frozenset(number for statement in made for number in numbers(statement)),
        (count, int(program.roles[count] == "t")),
    )


def _is_rate(name: str) -> bool:
    """Whether that is what a name says."""
    return "lr" in name or may_be_rate(name.removesuffix("_t"))
