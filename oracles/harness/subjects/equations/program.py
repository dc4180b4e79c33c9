"""An update rule that can be stepped: its tree is gone through, with the functions of one table."""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.subjects.equations.functions import FUNCTIONS, KNOWN
from oracles.harness.subjects.equations.spelling import MAX_NESTED, EquationError, Spelled
from oracles.harness.subjects.equations.tree import BEFORE, ids, lines, receiver

MAX_NUMBER = 1e100
ELSEWHERE = "a gradient elsewhere than at the parameter is not known"

SIGNS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.MatMult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: np.sqrt,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
"""What each of Python's signs computes here; ``@`` and ``~`` are those of
:mod:`~oracles.harness.subjects.equations.spelling`."""

ALLOWED: tuple[Any, ...] = (
    *(ast.Assign, ast.AugAssign, ast.Expr, ast.If, ast.Pass, ast.Name, ast.Constant, ast.Tuple),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Attribute),
    *(ast.keyword, ast.And, ast.Or, ast.Is, ast.IsNot, ast.Load, ast.Store, ast.Module),
    *SIGNS,
)
"""All that a tree may be made of."""


@dataclass
class Memory:
    """What a text has computed, kept from step to step.

    Attributes:
        w: the parameter before the first step; what has no value yet is 0, in its shape.
        values: by name. In code two names may hold one array, which methods change in place.
        begun: names that have been given a value; others are None to whom asks.
        doubtful: names of arrays that ``+=`` has changed under another name, which is that one:
            in code they have changed, in mathematics they have not.
    """

    w: FloatArray
    values: dict[str, Any] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    doubtful: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        if name not in self.values:
            self.values[name] = np.zeros_like(self.w)
        return self.values[name]

    def put(self, name: str, value: Any, other: str = "") -> None:
        """Give it a value; what is another name's is None where that is."""
        self.values[name] = value
        self.doubtful.pop(name, None)
        if other and other not in self.begun:
            self.begun.discard(name)
        else:
            self.begun.add(name)

    def remember(self, names: Iterable[str]) -> None:
        """Keep what they are as a step begins."""
        for name in names:
            self.put(name + BEFORE, self.get(name) * 1, name)

    def replace(self, name: str, value: Any) -> None:
        """Put what ``+=`` makes of it."""
        old = self.get(name)
        shared = [n for n, x in self.values.items() if x is old and isinstance(x, np.ndarray)]
        self.doubtful |= dict.fromkeys(shared, name)
        self.put(name, value)


@dataclass(frozen=True)
class Program:
    """One step of an optimizer, as a text says it.

    Attributes:
        source: of errors.
        roles: what it is given, by name: the parameter, its gradient, ``t``, hyperparameters.
        before: names of which it reads what they were when the step began.
        first: what it does before the first step.
        body: what it does at each.
    """

    source: Spelled
    roles: Mapping[str, str]
    before: frozenset[str]
    first: Sequence[ast.stmt]
    body: Sequence[ast.stmt]

    def step(self, memory: Memory, g: FloatArray, t: int, hyper: Mapping[str, Any]) -> FloatArray:
        """The parameter after one more step.

        Args:
            memory: of the steps before; it is changed.
            g: gradient of the mean loss, in the parameter's shape.
            t: how many there were, this one included.
            hyper: values by role.

        Raises:
            EquationError: the text cannot be computed.
        """
        given = {**hyper, "gradient": g, "t": float(t), "t-1": float(t - 1)}
        names = {role: name for name, role in self.roles.items()}
        if t == 1:
            memory.put(names["parameter"], memory.w)
        memory.remember(self.before)
        for role in names.keys() & given.keys():
            memory.put(names[role], given[role])
        run = _Run(self.source, memory)
        with np.errstate(all="ignore"):
            if t == 1:
                run.block(self.first)
                memory.remember(self.before - {names["gradient"]})
            run.block(self.body)
        result = np.asarray(memory.get(names["parameter"]), memory.w.dtype)
        return np.broadcast_to(result, memory.w.shape)


class _Run:
    """The interpreter."""

    def __init__(self, source: Spelled, memory: Memory) -> None:
        self.source = source
        self.memory = memory

    def block(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            try:
                self._statement(statement)
            except (ArithmeticError, TypeError, ValueError) as error:
                if isinstance(error, EquationError):
                    raise
                raise self._error(f"this cannot be computed: {error}", statement) from error

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.If():
                self.block(node.body if self._value(node.test) else node.orelse)
            case ast.AugAssign(target=ast.Name(id=name)):
                operation = SIGNS[type(node.op)]
                result = operation(self._read(node.target), self._value(node.value))
                self.memory.replace(name, _number(result))
            case ast.Assign():
                self._assign(node)
            case ast.Expr():
                self._value(node.value)

    def _assign(self, node: ast.Assign) -> None:
        parts = _parts(node.value)
        values = [self._value(part) for part in parts]
        for target in node.targets:
            for name, part, value in zip(_names(target), parts, values, strict=True):
                self.memory.put(name.id, value, part.id if isinstance(part, ast.Name) else "")

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() as value):
                return value
            case ast.Constant(value=int() | float() as value):
                return float(value)
            case ast.Name():
                return self._read(node)
            case ast.BinOp():
                return self._applied(node.op, node.left, node.right)
            case ast.UnaryOp():
                return self._applied(node.op, node.operand)
            case ast.Compare(left=ast.Name(id=name), ops=[ast.Is() | ast.IsNot() as sign]):
                return (name not in self.memory.begun) == isinstance(sign, ast.Is)
            case ast.Compare():
                return self._applied(node.ops[0], node.left, node.comparators[0])
            case ast.BoolOp():
                found = map(self._value, node.values)
                return all(found) if isinstance(node.op, ast.And) else any(found)
            case ast.IfExp():
                return self._chosen(node)
            case ast.Call():
                return self._called(node)
        raise self._error("this is no number", node)

    def _read(self, node: Any) -> Any:
        other = self.memory.doubtful.get(node.id)
        if other:
            raise self._error(
                f"{node.id} and {other} may be one array, which was changed in place: write "
                f"{other} = {other} + … if it was not, or {node.id} = {other}.clone()",
                node,
            )
        return self.memory.get(node.id)

    def _applied(self, sign: ast.AST, *operands: ast.expr) -> Any:
        return _number(SIGNS[type(sign)](*map(self._value, operands)))

    def _chosen(self, node: ast.IfExp) -> Any:
        condition = self._value(node.test)
        if np.ndim(condition):
            return np.where(condition, self._value(node.body), self._value(node.orelse))
        return self._value(node.body if condition else node.orelse)

    def _called(self, node: ast.Call) -> Any:
        """A function of the table, or a method, which may change what it is called on."""
        name, given = called(node)
        values = [self._value(value) for value in given]
        named = {str(keyword.arg): self._value(keyword.value) for keyword in node.keywords}
        result = _number(FUNCTIONS[name](*values, **named))
        if (target := receiver(node)) is None:
            return result
        if isinstance(values[0], np.ndarray):
            values[0][...] = result
            result = values[0]
        self.memory.put(target.id, result)
        return result

    def _error(self, reason: str, node: Any) -> EquationError:
        return self.source.error(reason, node.lineno, node.col_offset)


def _number(value: Any) -> Any:
    """Python's own, whose arithmetic with arrays is in their dtype."""
    return value.item() if isinstance(value, np.generic) else value


def _parts(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _names(node: ast.expr) -> list[ast.Name]:
    return [part for part in _parts(node) if isinstance(part, ast.Name)]


def called(node: ast.Call) -> tuple[str, list[ast.expr]]:
    """The function that is called, and on what."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr.removesuffix("_"), [node.func.value, *node.args]
    return getattr(node.func, "id", ""), node.args


def check(source: Spelled, tree: ast.Module) -> None:
    """See that a tree holds nothing but what is interpreted here, and nothing that is ambiguous.

    Raises:
        EquationError: it does, with the place.
    """
    methods = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node, depth in _nested(tree):
        reason = _refusal(node)
        if isinstance(node, ast.Attribute) and node not in methods:
            reason = f"{node.attr!r} is no attribute that is read here; allowed: data, grad"
        if depth > MAX_NESTED:
            reason = f"more than {MAX_NESTED} levels in one another"
        if reason:
            raise source.error(reason, getattr(node, "lineno", 1), getattr(node, "col_offset", 0))
    _check_gradients(source, tree)


def _check_gradients(source: Spelled, tree: ast.Module) -> None:
    """``∇f(w)`` and ``grad(w)`` below what changes w are of the new one; ``w.grad`` is not."""
    written: set[str] = set()
    for line in lines(tree.body):
        for node in line.reads:
            of = node.id.removesuffix("__grad")
            if of == node.id or of not in written:
                continue
            at = source.place(node.lineno, node.col_offset)
            if source.text.startswith(("grad", "∇", r"\nabla"), at):
                reason = f"{ELSEWHERE}, and {of} is assigned above it"
                raise source.error(reason, node.lineno, node.col_offset)
        written |= ids(line.writes)


def _nested(tree: ast.AST) -> Iterable[tuple[ast.AST, int]]:
    pending = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        yield node, depth
        pending.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


def _refusal(node: ast.AST) -> str:
    """Why a node is not read; empty if it is."""
    match node:
        case ast.Constant(value=bool() | None):
            return ""
        case ast.Constant(value=int() | float() as value) if abs(value) <= MAX_NUMBER:
            return ""
        case ast.Constant(value=value):
            return f"{value!r:.40} stands where a number is expected, of at most {MAX_NUMBER:g}"
        case ast.Assign():
            counts = {len(_parts(part)) for part in (node.value, *node.targets)}
            named = all(len(_names(target)) == len(_parts(target)) for target in node.targets)
            return "" if named and len(counts) == 1 else "a name is needed for each value"
        case ast.AugAssign() if not isinstance(node.target, ast.Name):
            return "only a name can be assigned"
        case ast.Expr() if receiver(node.value) is None:
            return "a statement assigns something: '=', '←', '+=', or x.add_(…)"
        case ast.Compare() if len(node.ops) > 1:
            return "comparisons in a row: join them with 'and'"
        case ast.Compare(left=ast.Name(), comparators=[ast.Constant(value=None)]):
            return ""
        case ast.Compare(ops=[ast.Is() | ast.IsNot()]):
            return "only whether a name is None can be asked so"
        case ast.Call():
            return _refused_call(node)
        case ast.BinOp(op=ast.MatMult(), left=left) if _bare(node, left):
            if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Div):
                return "'a / b c' is a/(b·c) to some and (a/b)·c to others: write '*'"
            if _ends_in_root(left):
                return "how far does the root reach? Write √(…)"
        case ast.UnaryOp(operand=ast.BinOp()) if _bare_root(node):
            return "how far does the root reach? Write √(…)"
    refusal = f"{type(node).__name__} is no part of an update: that has formulas, '=' and 'if'"
    return "" if isinstance(node, ALLOWED) else refusal


def _bare(node: ast.expr, left: ast.expr) -> bool:
    """Whether what stands on the left has no brackets around it."""
    return (node.lineno, node.col_offset) == (left.lineno, left.col_offset)


def _ends_in_root(node: ast.expr) -> bool:
    """Whether what stands last in it is a root without brackets: ``lr*√2`` of ``lr*√2g``."""
    while isinstance(node, ast.BinOp | ast.UnaryOp):
        if isinstance(node, ast.UnaryOp) and _bare_root(node):
            return True
        last = node.right if isinstance(node, ast.BinOp) else node.operand
        if (last.end_lineno, last.end_col_offset) != (node.end_lineno, node.end_col_offset):
            return False
        node = last
    return False


def _bare_root(node: ast.UnaryOp) -> bool:
    """Whether a root has no bracket after its sign."""
    root = isinstance(node.op, ast.Invert)
    return root and node.operand.col_offset == node.col_offset + len("~ ")


def _refused_call(node: ast.Call) -> str:
    name, given = called(node)
    if name.endswith(("grad", "nabla")):
        return ELSEWHERE
    if name not in FUNCTIONS:
        return f"{name!r} is no function that is read here; allowed: {KNOWN}"
    try:
        names = [str(keyword.arg) for keyword in node.keywords]
        inspect.signature(FUNCTIONS[name]).bind(*given, **dict.fromkeys(names))
    except TypeError as error:
        return f"{name}: {error}"
    return ""
