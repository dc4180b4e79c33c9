"""A pasted update rule as a black box, which is asked like any other code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray, round_to
from oracles.harness.cases.case import Case, Parameter
from oracles.harness.subjects.equations.program import Memory, Program, check
from oracles.harness.subjects.equations.rated import Rated, apart
from oracles.harness.subjects.equations.roles import FIELDS, USUAL, Roles, counts, is_hyper
from oracles.harness.subjects.equations.spelling import Spelled, spelled
from oracles.harness.subjects.equations.tree import (
    BEFORE,
    Powers,
    Timed,
    ids,
    lines,
    numbers,
    reads,
    writes,
)
from oracles.harness.subjects.subject import SubjectError, answering
from oracles.rule import Rule

GIVEN = frozenset({"parameter", "gradient", "t", "t-1"})
"""Roles of what is no hyperparameter."""


@dataclass(frozen=True, eq=False)
class Equation:
    """An update rule that was read from a text.

    Attributes:
        program: what it says.
    """

    program: Program

    @property
    def name(self) -> str:
        return "the equation"

    @property
    def rated(self) -> tuple[Equation, Rated] | None:
        """What it is, given the rate that it makes of the step's number, and that rate."""
        found = apart(self.program)
        return None if found is None else (Equation(found.rest), found)

    @property
    def turns(self) -> int:
        """The largest number beside that of the step: after so many it may go on otherwise."""
        counted = counts(self.program.roles)
        read = (line for line in lines(self.program.body) if ids(line.reads) & counted)
        return int(max((n for line in read for n in numbers(line.node)), default=0))

    @property
    def hyper(self) -> frozenset[str]:
        """The hyperparameters that it is given."""
        return frozenset(self.program.roles.values()) - GIVEN

    def _fields(self, rule: Rule) -> dict[str, str]:
        """What a rule calls each hyperparameter, as far as it has them."""
        known = rule.hyper()._fields
        found = {role: [n for n in FIELDS.get(role, (role,)) if n in known] for role in self.hyper}
        return {role: names[0] for role, names in found.items() if names}

    def takes(self, rule: Rule) -> frozenset[str]:
        return frozenset(self._fields(rule).values())

    def run(self, rule: Rule, case: Case, dtype: str = "float64") -> FloatArray:
        fields = self._fields(rule)
        if rule.sparse or not rule.elementwise:
            raise SubjectError(f"what {rule.name} does is no matter of one element")
        if len(set(fields.values())) < len(self.hyper):
            raise SubjectError(f"{rule.name} does not have all of {', '.join(sorted(self.hyper))}")
        (group,) = case.groups
        schedule = [
            {role: getattr(h, name) for role, name in fields.items()} for h in group.schedule
        ]
        with answering():
            columns = [self._followed(p, schedule, dtype) for p in case.parameters]
        return np.concatenate(columns, axis=1)

    def _followed(
        self, p: Parameter, schedule: Sequence[Mapping[str, float]], dtype: str
    ) -> FloatArray:
        """One parameter after each step: (steps, elements)."""
        row = _flat(p.initial, dtype)
        memory, rows, t = Memory(row), [], 0
        for g, hyper in zip(p.gradients, schedule, strict=True):
            if g is not None:
                t += 1
                row = self.program.step(memory, _flat(g, dtype), t, hyper)
            rows.append(row.astype(np.float64))
        return np.stack(rows)


def _flat(values: FloatArray, dtype: str) -> FloatArray:
    return np.ravel(round_to(dtype, values)).astype(np.dtype(dtype))


def read(text: str, names: Mapping[str, str] | None = None) -> Equation:
    r"""Read an update rule: Python, NumPy, torch, mathematics, or LaTeX of a simple kind.

    The text says what one step does to one element of a parameter, a statement a line or between
    semicolons. What it reads before it assigns it is carried from step to step and starts at 0,
    unless the text says ``v_0 = …``, or asks ``if v is None`` or ``if t == 1``; ``w_{t-1}`` beside
    ``w_{t+1}`` is where the parameter started, at the first step. ``v[t-1]`` is ``v_{t-1}``. What
    can be read in two ways is refused. Nothing of the text is executed: Python's parser makes a
    tree of it, and what a tree may hold is in a few tables.

    >>> equation = read("v_t = μ v_{t-1} + g_t + λ w; w ← w − η v_t")
    >>> sorted(equation.hyper)
    ['lr', 'momentum', 'weight_decay']

    Args:
        text: the update rule.
        names: what the text calls a hyperparameter (by torch's name), the ``"parameter"``, the
            ``"gradient"``, or the step's number from 1 (``"t"``) or 0 (``"t-1"``), where that is
            none of the usual names: ``{"lr": "κ"}``.

    Raises:
        EquationError: it is not read, with the place, what was found and what is allowed.
    """
    source = spelled(text)
    tree = source.parsed()
    check(source, tree)
    tree = Powers().visit(tree)
    timed = Timed(source, tree, is_hyper, USUAL["parameter"])
    body, first = _parted(timed.visit(tree).body)
    for name in sorted(timed.earlier):
        first += ast.parse(f"{name}_earlier = {name}").body
        body.append(_assigned(f"{name}_earlier", name + BEFORE))
    _check_resets(source, body)
    roles = Roles(source, [*lines(body), *lines(first)], names or {})
    meaning = roles.settle(bool(timed.ahead - {roles.parameter}))
    _check_products(source, {roles.parameter, roles.gradient}, body, first)
    _check_powers(source, roles, body)
    program = Program(source, meaning, frozenset(timed.before), first, body)
    _try(program)
    return Equation(program)


def _parted(body: list[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """What is done at each step, and before the first one: ``v_0 = …`` where v is assigned, too."""
    written, read = writes(body), reads(body)
    first = []
    for statement in body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id not in read:
            stem = target.id.removesuffix("0")
            if stem != target.id and stem in written:
                target.id = stem
                first.append(statement)
    for node in (node for statement in first for node in ast.walk(statement)):
        if isinstance(node, ast.Name) and node.id.removesuffix("0") in USUAL["parameter"]:
            node.id = node.id.removesuffix("0")  # as it is before the first step
    return [statement for statement in body if statement not in first], first


def _check_resets(source: Spelled, body: list[ast.stmt]) -> None:
    """``v = 0`` above ``v = μ v + g`` is meant to be done once, but does not say so."""
    for number, statement in enumerate(body):
        (line, *_), later = lines([statement]), list(lines(body[number + 1 :]))
        carried = {x for other in later for x in ids(other.reads) & ids(other.writes)}
        if isinstance(statement, ast.Assign) and not line.reads:
            for name in carried & ids(line.writes):
                reason = (
                    f"is {name} set at each step, or before the first one only? What is carried "
                    f"starts at 0: leave this out, or write {name}_0 = …"
                )
                raise source.error(reason, statement.lineno, statement.col_offset)


def _assigned(name: str, value: str) -> ast.stmt:
    statement = ast.Assign([ast.Name(name, ast.Store())], ast.Name(value, ast.Load()))
    return ast.fix_missing_locations(ast.Module([statement], [])).body[0]


def _check_products(
    source: Spelled, given: set[str], body: list[ast.stmt], first: list[ast.stmt]
) -> None:
    """``Π = μ Π`` stays at 0 where it starts there: nobody means that."""
    begun = given | writes(first)
    written: dict[str, list[ast.stmt]] = {}
    for statement in body:
        for name in writes([statement]) - begun:
            written.setdefault(name, []).append(statement)
    for name, some in written.items():
        if all(_multiplies(statement, name) for statement in some):
            reason = f"{name} starts at 0, and multiplied it stays there: write {name}_0 = 1"
            raise source.error(reason, some[0].lineno, some[0].col_offset)


def _check_powers(source: Spelled, roles: Roles, body: list[ast.stmt]) -> None:
    """``g^t`` is meant to be g of that step, as ``β^t`` is not."""
    counted = counts(roles.of)
    for node in (node for statement in body for node in ast.walk(statement)):
        match node:
            case ast.BinOp(ast.Name() as base, ast.Pow(), exponent):
                (name,) = ids([base])
                if reads([exponent]) & counted and name in {roles.parameter, *roles.computed}:
                    reason = f"a power, or a step's number? Write {name}_t for the latter"
                    raise source.error(reason, node.lineno, node.col_offset)


def _multiplies(statement: ast.stmt, name: str) -> bool:
    """Whether a statement makes of a name nothing but its product with something."""
    match statement:
        case ast.AugAssign(op=ast.Mult()):
            return True
        case ast.Assign(value=value):
            return any(isinstance(f, ast.Name) and name in ids([f]) for f in _factors(value))
    return False


def _factors(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(left, ast.Mult() | ast.MatMult(), right):
            yield from (*_factors(left), *_factors(right))
        case _:
            yield node


def _try(program: Program) -> None:
    """Step a little, on either side of conditions on hyperparameters.

    Raises:
        EquationError: the text cannot be computed.
    """
    for value in (0.5, 0.0):
        memory = Memory(np.array([1.0, -2.0]))
        for t in (1, 2, 3):
            hyper = dict.fromkeys(program.roles.values(), value)
            program.step(memory, np.array([0.5, t]), t, hyper)
