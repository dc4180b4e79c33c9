"""The tree of an update rule with its names settled in time."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from oracles.harness.subjects.equations.spelling import Spelled

BEFORE = "@before"
"""``v@before`` is v as it was when the step began: ``v_{t-1}`` beside ``v_t``."""


class Line(NamedTuple):
    """A statement, or the condition of some: what it reads, and then writes."""

    node: ast.AST
    reads: list[ast.Name]
    writes: list[ast.Name]


def receiver(node: ast.AST) -> ast.Name | None:
    """The name that ``x.mul_(…).add_(…)`` changes in place, if it is such a call."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if not (node.func.attr.endswith("_") or node.func.attr.startswith("assign")):
            return None
        node = node.func.value
    return node if isinstance(node, ast.Name) else None


def lines(statements: Iterable[ast.AST]) -> Iterator[Line]:
    """All statements in the order of the text, those under conditions too; or formulas."""
    for statement in statements:
        if isinstance(statement, ast.If):
            yield _line(statement.test)
            yield from lines((*statement.body, *statement.orelse))
        else:
            yield _line(statement)


def _line(node: ast.AST) -> Line:
    calls = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
    functions = [call.func for call in calls]
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name) and n not in functions]
    stored = [name for name in names if isinstance(name.ctx, ast.Store)]
    reads = [n for n in names if n not in stored or isinstance(node, ast.AugAssign)]
    return Line(node, reads, [*stored, *(x for x in map(receiver, calls) if x)])


def numbers(node: ast.AST) -> Iterator[float]:
    """All that are written in a part of a tree."""
    constants = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    yield from (float(value) for value in constants if isinstance(value, int | float))


def ids(names: Iterable[ast.Name]) -> set[str]:
    """What they are called, whatever the time."""
    return {name.id.removesuffix(BEFORE) for name in names}


def reads(statements: Iterable[ast.AST]) -> set[str]:
    """What some statements read, whatever the time."""
    return {name for line in lines(statements) for name in ids(line.reads)}


def writes(statements: Iterable[ast.AST]) -> set[str]:
    """What they write."""
    return {name for line in lines(statements) for name in ids(line.writes)}


def _parted(name: ast.Name) -> tuple[str, str]:
    """What :func:`~oracles.harness.subjects.equations.names.identifier` joined."""
    stem, _, tag = name.id.rpartition("__")
    return (stem, tag) if stem and tag != "grad" else (name.id, "")


def _time(tag: str) -> int | None:
    return int(tag[1:]) * (-1 if tag[0] == "m" else 1) if tag[-1:].isdigit() else None


class Powers(ast.NodeTransformer):
    """``pow(x, n)`` and ``x.pow(n)`` as ``x ** n``, by which roles are told."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name("pow" | "power" | "powf"), [base, exponent], []):
                pass
            case ast.Call(ast.Attribute(base, "pow"), [exponent], []):
                pass
            case _:
                return node
        return ast.copy_location(ast.BinOp(base, ast.Pow(), exponent), node)


class Timed(ast.NodeTransformer):
    """Names without their place in time, and ``v@before`` for what v was when the step began.

    What is assigned as ``v_t``, ``v_{t+1}``, ``v_new`` or ``v'`` is v; one less is v before.
    """

    def __init__(
        self,
        source: Spelled,
        tree: ast.Module,
        is_hyper: Callable[[str], bool],
        moved: Collection[str],
    ) -> None:
        found = list(lines(tree.body))
        writes = [_parted(name) for line in found for name in line.writes]
        reads = [_parted(name) for line in found for name in line.reads]
        bare = {name for name, tag in reads if not tag}
        self.source = source
        self.renewed = {name for name, tag in writes if tag == "new"}
        self.kept = {name for name, tag in writes if tag == "old"}
        """``v_old`` that the text itself assigns is a name like others."""
        self.changed = {name for name, tag in writes if tag and name in bare and is_hyper(name)}
        """``α_t`` that is made of α is another number."""
        self.now: dict[str, int] = {}
        for names in (reads, writes):
            latest: dict[str, int] = {}
            for name, tag in names:
                latest[name] = max(latest.get(name, -9), _time(tag) or 0)
            self.now |= latest
        self.ahead = {name for name, tag in writes if _time(tag) == 1}
        """What the text counts in ``t+1`` though it is computed in this step."""
        self.before: set[str] = set()
        self.moved = moved
        self.earlier: set[str] = set()
        """Parameters that are read as they were one more step before: w_{t-1} beside w_{t+1}."""
        self._check_order(found)

    def _check_order(self, found: Iterable[Line]) -> None:
        """Above the line that gives ``v_t`` a formula reads that one, and code the last step's.

        It is code where that line makes it of itself: ``v_t = μ v_t + g_t``.
        """
        makers: dict[str, Line] = {}
        for line in found:
            for node in line.writes:
                makers.setdefault(_parted(node)[0], line)
        given: set[str] = set()
        for line in found:
            for node in line.reads:
                name, tag = _parted(node)
                now = tag == "new" or _time(tag) == self.now[name]
                below = name in makers and name not in given
                if now and below and node.id not in {x.id for x in makers[name].reads}:
                    reason = (
                        f"{self.source.written(node)} is read above the line that gives it: put "
                        "that line above, or read what it was at the step before"
                    )
                    raise self.source.error(reason, node.lineno, node.col_offset)
            given |= {_parted(node)[0] for node in line.writes}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        name, tag = _parted(node)
        time, now = _time(tag), self.now.get(name, 0)
        if name == "t" and time is not None:
            reason = "t is the number of a step, and has none: call a rate α_t"
            raise self.source.error(reason, node.lineno, node.col_offset)
        if tag == "old" and name in self.kept:
            return ast.copy_location(ast.Name(f"{name}_old", node.ctx), node)
        if time == now - 2 and name in self.moved:
            self.before.add(name)
            self.earlier.add(name)
            return ast.copy_location(ast.Name(f"{name}_earlier", node.ctx), node)
        old = time == now - 1 or tag == "old" or (not tag and name in self.renewed)
        if time not in (None, now, now - 1) or (old and isinstance(node.ctx, ast.Store)):
            reason = f"{name} is of two steps: assign one, and read that or the one before"
            raise self.source.error(reason, node.lineno, node.col_offset)
        name += "_t" if name in self.changed and time is not None else ""
        if old:
            self.before.add(name)
        return ast.copy_location(ast.Name(name + BEFORE * old, node.ctx), node)
