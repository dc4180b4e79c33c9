"""Mutants of a source text: every change of one place that a slip of the pen could make."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

LONGEST, AROUND = 90, 24
"""Characters that are shown of a place as a whole, and around what differs in a longer one."""


@dataclass(frozen=True)
class Mutant:
    """One change of one place.

    Attributes:
        function: qualified name of the function it is in.
        line: of the original source, counted from 1.
        before, after: the place and what it became.
        lines: those whose execution may come upon it: of the statement it is in or, for a default
            or a decorator, of the function.
        place: the text of that statement, or the line of that default; and, before it, the headers
            of the statements around.
        original: the module, in UTF-8.
        start: where in it the place begins.
    """

    function: str
    line: int
    before: str
    after: str
    lines: range = field(repr=False)
    place: str = field(repr=False)
    original: bytes = field(repr=False)
    start: int = field(repr=False)

    @property
    def source(self) -> str:
        """The whole mutated module."""
        end = self.start + len(self.before.encode())
        changed = self.original[: self.start] + self.after.encode() + self.original[end:]
        return changed.decode()

    @cached_property
    def change(self) -> str:
        """``before -> after``, both as ``ast`` writes them."""
        return f"{_plain(self.before)} -> {_plain(self.after)}"

    def __str__(self) -> str:
        return f"{self.function}:{self.line}: {_difference(self.before, self.after)}"


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of every function of a module, in the order of the source."""
    text = source.encode()
    starts = [0]
    for row in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    lines = source.splitlines()
    for name, function in _functions(ast.parse(source)):
        seen = set()
        peers, spans = _peers(function), _spans(function)
        headers = _headers(function, spans)
        for node in _places(function):
            first = starts[node.lineno - 1] + node.col_offset
            last = starts[node.end_lineno - 1] + node.end_col_offset
            before = text[first:last].decode()
            for after in changes(node, peers):
                if (first, before, after) not in seen:
                    seen.add((first, before, after))
                    own = spans.get(node.lineno, range(node.lineno, node.lineno + 1))
                    place = " / ".join(_text(lines, n) for n in (*headers.get(own, ()), own))
                    span = spans.get(node.lineno, spans[0])
                    yield Mutant(name, node.lineno, before, after, span, place, text, first)


def _spans(function: ast.FunctionDef) -> dict[int, range]:
    """For each line of the body the lines of the innermost statement it is in; for 0, of all.

    Of a statement with a body of its own, those before that body.
    """
    assert function.end_lineno is not None
    spans = {0: range(function.body[0].lineno, function.end_lineno + 1)}
    for node in ast.walk(function):
        if isinstance(node, ast.stmt) and node is not function:
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
            span = range(node.lineno, max(end, node.lineno + 1))
            spans.update(dict.fromkeys(span, span))  # those inside come after those around
    return spans


def _headers(function: ast.FunctionDef, spans: dict[int, range]) -> dict[range, list[range]]:
    """For the lines of each statement those of the headers around it, from the outside in."""
    found: dict[range, list[range]] = {}

    def walk(statements: list[ast.stmt], around: list[range]) -> None:
        for statement in statements:
            own = spans[statement.lineno]
            found[own] = around
            for name in ("body", "orelse"):
                walk(getattr(statement, name, []), [*around, own])

    walk(function.body, [])
    return found


def _text(lines: list[str], row: range) -> str:
    return " ".join(" ".join(lines[n - 1] for n in row).split())


def changes(node: ast.AST, peers: dict[str, str]) -> Iterator[str]:
    """What a place may become: source text for the span of the node."""
    if isinstance(node, ast.stmt):
        yield from _statement(node)
    elif isinstance(node, ast.expr):
        same = ast.unparse(node)
        for after in _expression(node, peers):
            if after == same:
                continue
            yield after if re.fullmatch(r"[\w.]+", after) else f"({after})"


def _statement(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Return(value) if value is not None:
            yield "return None"
        case ast.Break():
            yield "continue"
            yield "pass"
        case ast.Assign() | ast.AugAssign() | ast.Expr() | ast.Raise() | ast.Return():
            yield "pass"


SIGNS: dict[type[ast.AST], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}

COMPARISONS = {
    "==": ("!=", "<=", ">="),
    "!=": ("==", "<", ">"),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "is": ("is not",),
    "is not": ("is",),
}

OPERATORS = {"+": ("-", "*"), "-": ("+",), "*": ("/", "+"), "/": ("*",)}

METHODS = {"add": "sub", "mul": "div", "addcmul": "addcdiv", "empty": "zeros"}


def _expression(node: ast.expr, peers: dict[str, str]) -> Iterator[str]:
    role, text = getattr(node, "role", ""), ast.unparse(node)
    if role == "test":
        yield from ("True", "False")
    elif role == "loop":
        yield from (f"list({text})[{part}]" for part in (":0", ":1", "1:", "::-1"))
    elif role == "context":
        yield "__import__('contextlib').nullcontext()"
    match node:
        case ast.Compare(left, [operator], [right]):
            a, b, sign = _operand(left), _operand(right), SIGNS.get(type(operator), "")
            yield from (f"{a} {other} {b}" for other in COMPARISONS.get(sign, ()))
        case ast.BoolOp(operator, values):
            parts = [ast.unparse(v) for v in values]
            other = " or " if isinstance(operator, ast.And) else " and "
            yield other.join(f"({part})" for part in parts)
            yield from parts
        case ast.BinOp(left, operator, right):
            a, b, sign = _operand(left), _operand(right), SIGNS.get(type(operator), "")
            yield from (f"{a} {other} {b}" for other in OPERATORS.get(sign, ()))
            yield from (a, b)
            if sign:
                yield f"{b} {sign} {a}"
        case ast.UnaryOp(operand=operand):
            yield ast.unparse(operand)
        case ast.IfExp(test, body, orelse):
            a, b = ast.unparse(body), ast.unparse(orelse)
            yield from (a, b, f"{b} if {ast.unparse(test)} else {a}")
        case ast.Constant(value):
            yield from _constant(value)
        case ast.Subscript(value, index) if not isinstance(index, ast.Constant):
            yield from (f"{ast.unparse(value)}[{i}]" for i in ("0", "-1"))
            yield ast.unparse(index)
        case ast.Name(name):
            if role == "test":
                yield f"not {name}"
            if name in peers:
                yield from ("None", peers[name])
        case ast.Call():
            yield from _call(node)


def _operand(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if isinstance(node, ast.Name | ast.Constant | ast.Call) else f"({text})"


def _constant(value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        yield from (repr(not value), "None")
    elif isinstance(value, int | float):
        yield from (repr(value + 1), repr(value - 1))
    elif isinstance(value, str):
        yield repr(value + "_")
    elif value is None:
        yield from ("True", "False")


def _call(node: ast.Call) -> Iterator[str]:
    """Arguments left out, swapped, or given another one's value; another method; no call."""
    function, arguments = ast.unparse(node.func), [ast.unparse(a) for a in node.args]
    keywords = [(k.arg or "**", ast.unparse(k.value)) for k in node.keywords]

    def call(name: str, args: list[str], named: list[tuple[str, str]]) -> str:
        return f"{name}({', '.join([*args, *(f'{k}={v}' for k, v in named)])})"

    for i in range(len(arguments)):
        yield call(function, arguments[:i] + arguments[i + 1 :], keywords)
        if i:
            swapped = [*arguments[: i - 1], arguments[i], arguments[i - 1], *arguments[i + 1 :]]
            yield call(function, swapped, keywords)
    for i, (name, _) in enumerate(keywords):
        yield call(function, arguments, keywords[:i] + keywords[i + 1 :])
        other = (name, keywords[(i + 1) % len(keywords)][1])
        yield call(function, arguments, [*keywords[:i], other, *keywords[i + 1 :]])
    yield from (call(name, arguments, keywords) for name in _other_methods(function))
    if isinstance(node.func, ast.Attribute):
        receiver = ast.unparse(node.func.value)
        yield receiver
        if arguments:
            method = f"{arguments[0]}.{node.func.attr}"
            yield call(method, [receiver, *arguments[1:]], keywords)
    if len(arguments) == 1:
        yield arguments[0]


def _other_methods(function: str) -> Iterator[str]:
    """In place and out of place, and the inverse operation: ``add_`` gives ``add`` and ``sub_``."""
    before, _, name = function.rpartition(".")
    core = name.removeprefix("_foreach_").rstrip("_")
    if not before or not (core in METHODS or core in METHODS.values()):
        return
    yield f"{before}.{name.rstrip('_') if name.endswith('_') else name + '_'}"
    if core in METHODS:
        yield f"{before}.{name.replace(core, METHODS[core])}"


def _places(function: ast.FunctionDef) -> Iterator[Any]:
    """Places to change: defaults, decorators and statements, without what is only for readers."""
    arguments = function.args
    yield from function.decorator_list
    yield from (d for d in (*arguments.defaults, *arguments.kw_defaults) if d is not None)
    body = function.body[1:] if ast.get_docstring(function) else function.body
    for statement in body:
        yield from _within(statement)


def _within(node: ast.AST) -> Iterator[Any]:
    """A node and what is below it, without annotations, texts of errors, and types to ``cast``."""
    hidden: list[ast.AST] = []
    match node:
        case ast.AnnAssign(target, annotation):
            hidden = [target, annotation]
        case ast.Raise(exc) if exc is not None:
            hidden = [exc]
        case ast.If(test) | ast.IfExp(test):
            test.role = "test"  # type: ignore[attr-defined]
        case ast.For(target, iterated) | ast.comprehension(target, iterated):
            iterated.role = "loop"  # type: ignore[attr-defined]
        case ast.With([item]):
            item.context_expr.role = "context"  # type: ignore[attr-defined]
        case ast.Call(ast.Name("cast"), [kind, _]):
            hidden = [kind]
        case ast.Name(ctx=ast.Store()) | ast.Tuple(ctx=ast.Store()):
            return
    if isinstance(node, ast.expr | ast.stmt):
        yield node
    for child in ast.iter_child_nodes(node):
        if child not in hidden and not isinstance(child, ast.expr_context | ast.operator):
            yield from _within(child)


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    yield f"{node.name}.{member.name}", member


def _peers(function: ast.FunctionDef) -> dict[str, str]:
    """For each argument the next one of the same annotation: what a slip of the pen would write."""
    arguments = function.args
    kinds: dict[str, list[str]] = {}
    for argument in (*arguments.args, *arguments.kwonlyargs):
        if argument.arg != "self":
            kind = ast.unparse(argument.annotation) if argument.annotation else ""
            kinds.setdefault(kind, []).append(argument.arg)
    return {
        name: names[(i + 1) % len(names)]
        for names in kinds.values()
        if len(names) > 1
        for i, name in enumerate(names)
    }


def _difference(before: str, after: str) -> str:
    """Both on one line; of what is long only the part in which they differ."""
    a, b = (" ".join(text.split()) for text in (before, after))
    if max(len(a), len(b)) <= LONGEST:
        return f"{a} -> {b}"
    a, b = _plain(before), _plain(after)
    first, last = _shared(a, b), _shared(a[::-1], b[::-1])
    return " -> ".join(
        f"{text[:AROUND]} ... {text[max(first - AROUND, AROUND) : len(text) - last + AROUND]} ..."
        for text in (a, b)
    )


def _plain(text: str) -> str:
    """An expression or a statement as ``ast`` writes it; what is neither, on one line."""
    with suppress(SyntaxError):
        return ast.unparse(ast.parse(f"({text})", mode="eval"))
    with suppress(SyntaxError):
        return ast.unparse(ast.parse(text))
    return " ".join(text.split())


def _shared(a: str, b: str) -> int:
    """How many characters two texts begin with in common."""
    apart = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(apart, min(len(a), len(b)))
