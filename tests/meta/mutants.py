"""Mutation testing of torch's own optimizer: which one-place changes of its code pass this suite?

    python -m tests.meta.mutants [--jobs 2] [--only FUNCTION] [--module torch.optim.sgd]

Takes the installed source of the module, changes one place at a time, builds each mutant in memory
(no file of the installation is touched), asks it the list of checks and, with the mutant in the
place of the original, runs the tests below: each mutant in a process of its own. It is *caught* if
a check or a test fails, if it cannot be imported, lacks a path that the original has, crashes, or
never ends.

Survivors are printed with the reason why they are no hole, from :data:`HARMLESS`. The exit status
is 1 if one has no reason.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import importlib.util
import os
import re
import sys
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.abc import InspectLoader
from multiprocessing import connection, get_context
from typing import Any

import pytest
from hypothesis import Phase, settings

from oracles import sgd
from oracles.harness.checks import checks
from oracles.harness.profiles import IGNORED
from oracles.harness.runner import Refuted, hold
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import quiet
from oracles.harness.tally import Tally
from oracles.harness.verdict import Vacuous
from oracles.rule import Rule

RULES = {sgd.RULE.name: sgd.RULE}

TESTS = (
    "tests/test_deviations.py",
    "tests/test_constructor.py",
    "tests/test_old_checkpoints.py",
)

PROFILE = "mutants"

PYTEST = (
    *(
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:unraisableexception",
        f"--hypothesis-profile={PROFILE}",
    ),
    # Hypothesis is imported and used here before its plugin is loaded, which both warn of.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *("-W", "ignore::hypothesis.errors.HypothesisWarning"),
)

NAME = "torch.optim._mutant"
"""Where a mutant lives, so that its relative imports work and pickle finds its class."""

TIMEOUT = 300.0
"""Seconds until a mutant counts as endless; an unchanged module takes a tenth of that."""

FAULT = "this command failed: "

HARMLESS: Sequence[tuple[str, str]] = (
    (
        r"torch\.jit|^sgd:(28[78]|29[46]):",
        "only TorchScript comes here, or only it tells them apart",
    ),
    (r"_multi.*(:46[89]:|:470:)", "under torch.compile only; elsewhere the same product"),
    (r": None -> False$|: False -> None$|: True -> None$", "both count as false, or as true"),
    (r"\[::-1\]\)$", "parameters, groups and devices do not depend on one another"),
    (r"(momentum|weight_decay|'\]|\"\]|\)) (!=|==) 0 -> .* (<=|>) 0", "never negative"),
    (r"^SGD._init_group:99:", "leaves an empty entry in the state"),
    (r"setdefault\('foreach'\)", "None is what setdefault sets anyway"),
    (r"strict=True|^SGD.step:147:", "the lists are as long as one another"),
    (r"params -> (grads|d_p_list)|grads -> params", "as long, and of the same dtype and shape"),
    (r"^sgd:2(79|8[349]|9[0-2]):", "which path a CPU takes by default, not what the path does"),
    (r"^sgd:25[89]:", "a default that chooses a path, not what the path does"),
    (
        r"has_sparse_grad|is_sparse|_init_group:97:|_fused.*:497:|_multi.*:(41[78]|466):",
        "CPU kernels take sparse gradients, or refuse",
    ),
    (r"^SGD.*need_device_dtype_check|_init_group:(89|9[0-3]):|^SGD.__init__:69:", "kernels refuse"),
    (r"^SGD.__init__:4[34]:", "refused by the comparison after it, as RuntimeError"),
    (r"_multi.*:(426|43[68]|440|444):", "the slower of two ways to the same numbers"),
    (r"_multi.*:452:", "the entry that is overwritten has been used"),
    (r"_fused.*:(499|502|52[3578]|524):", "needs parameters on several devices"),
    (r"_fused.*:(505|53[23]):", "without momentum the list is empty already"),
    (r"_fused.*:51[24]:", "indices that nobody reads"),
    (r"_fused.*:507:", "in the region of fused-late-gradient (deviations.toml)"),
    (r"addcmul_\((weight_decay, param|lr, grad)|_to_scalar\(lr\)|:373:", "the same product"),
    (r"(param\.clone|\.detach)\(\)", "HOLE: what the step hands on to autograd is not asked"),
)
"""``(pattern, reason)``: survivors whose description the pattern finds, and why they survive. Line
numbers are those of torch 2.13; elsewhere look again."""


@dataclass(frozen=True)
class Mutant:
    """One change of one place.

    Attributes:
        function: qualified name of the function it is in.
        line: of the original source, counted from 1.
        before, after: the place and what it became.
        source: the whole mutated module.
    """

    function: str
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.function}:{self.line}: {_one_line(self.before)} -> {_one_line(self.after)}"


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of every function of a module, in the order of the source."""
    text = source.encode()
    starts = [0]
    for row in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    for name, function in _functions(ast.parse(source)):
        seen = set()
        peers = _peers(function)
        for node in _places(function):
            first = starts[node.lineno - 1] + node.col_offset
            last = starts[node.end_lineno - 1] + node.end_col_offset
            before = text[first:last].decode()
            for after in changes(node, peers):
                mutated = (text[:first] + after.encode() + text[last:]).decode()
                if mutated not in seen:
                    seen.add(mutated)
                    yield Mutant(name, node.lineno, before, after, mutated)


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
            a, b, sign = ast.unparse(left), ast.unparse(right), SIGNS.get(type(operator), "")
            yield from (f"{a} {other} {b}" for other in COMPARISONS.get(sign, ()))
        case ast.BoolOp(operator, values):
            parts = [ast.unparse(v) for v in values]
            other = " or " if isinstance(operator, ast.And) else " and "
            yield other.join(f"({part})" for part in parts)
            yield from parts
        case ast.BinOp(left, operator, right):
            a, b, sign = ast.unparse(left), ast.unparse(right), SIGNS.get(type(operator), "")
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


def build(source: str, package: str) -> types.ModuleType:
    """A module from source, under :data:`NAME`, in memory only."""
    module = types.ModuleType(NAME)
    module.__package__ = package
    sys.modules[NAME] = module
    exec(compile(source, f"<{NAME}>", "exec"), module.__dict__)
    return module


def verdict(mutant: Mutant, module: str, optimizer: str) -> str:
    """What catches a mutant, in a process that may be spoilt; empty if nothing does."""
    original = getattr(importlib.import_module(module), optimizer)
    package = importlib.import_module(module.rpartition(".")[0])
    had = _reach(RULES[optimizer], original)
    try:
        class_ = getattr(build(mutant.source, package.__name__), optimizer)
        lost = sorted(had - _reach(RULES[optimizer], class_))
    except Exception as error:
        return f"cannot be selected: {type(error).__name__}: {error}"
    if lost:
        return f"absent: {lost[0]}" + (f" and {len(lost) - 1} more" if lost[1:] else "")
    subjects, _ = select(RULES[optimizer], optimizer=class_)
    for check in checks(RULES[optimizer]):
        try:
            hold(check, RULES[optimizer], subjects, Tally())
        except Refuted:
            return f"check: {check.name}"
        except Vacuous:  # too few examples for that question
            continue
    sys.modules[module] = sys.modules[NAME]
    setattr(package, optimizer, class_)
    first = First()
    status = pytest.main([*PYTEST, *filter(os.path.exists, TESTS)], plugins=[first])
    return first.failed or ("" if status == 0 else f"pytest: exit status {int(status)}")


def _reach(rule: Rule, optimizer: Any) -> set[str]:
    """The paths, dtypes and devices an optimizer has, and those with sparse gradients."""
    try:
        subjects, _ = select(rule, optimizer=optimizer)
    except ValueError:
        return set()
    sparse = {f"{s} sparse" for s in subjects if s.takes_sparse}
    return {str(s) for s in subjects} | sparse


class First:
    """A pytest plugin that remembers the first test that failed."""

    failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid.removeprefix("tests/")


def ask_all(
    asked: Sequence[Mutant], ask: Callable[[Mutant], str], jobs: int
) -> Iterator[tuple[Mutant, str, float]]:
    """``(mutant, what caught it, seconds)`` in the order they end; each in a process of its own."""
    fork = get_context("fork")
    waiting = list(asked)[::-1]
    running: dict[int, tuple[Any, Any, Mutant, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            receiver, sender = fork.Pipe(duplex=False)
            process = fork.Process(target=_child, args=(ask, mutant, sender))
            process.start()
            sender.close()
            running[process.sentinel] = (process, receiver, mutant, time.monotonic())
        connection.wait(list(running), timeout=1)
        for key, (process, receiver, mutant, began) in list(running.items()):
            seconds = time.monotonic() - began
            if process.is_alive() and seconds < TIMEOUT:
                continue
            del running[key]
            if process.is_alive():
                process.kill()
                caught = "endless"
            else:
                caught = receiver.recv() if receiver.poll() else f"crash: {process.exitcode}"
            process.join()
            yield mutant, caught, seconds


def _child(ask: Callable[[Mutant], str], mutant: Mutant, sender: Any) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        sender.send(ask(mutant))
    except BaseException as error:
        sender.send(f"{FAULT}{type(error).__name__}: {error}")


def reason(mutant: Mutant) -> str:
    """Why a survivor is no hole; empty if nobody has said."""
    return next((why for pattern, why in HARMLESS if re.search(pattern, str(mutant))), "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _options().parse_args(arguments)
    spec = importlib.util.find_spec(options.module)
    assert spec is not None and isinstance(spec.loader, InspectLoader)
    source = spec.loader.get_source(options.module)
    assert source is not None
    chosen = [m for m in mutants(source) if re.search(options.only, str(m))]
    if options.list:
        print(*chosen, sep="\n")
        return 0
    optimizer = options.optimizer or options.module.rpartition(".")[2].upper()
    quiet()
    # Imports everything, once for all mutants.
    _reach(RULES[optimizer], getattr(importlib.import_module(options.module), optimizer))
    gc.freeze()
    caught: dict[Mutant, str] = {}
    alive = [Mutant("unchanged", 0, "", "", source), *chosen]
    for examples in options.examples:
        load_profile(examples)
        print(f"{len(alive)} mutants, {examples} examples of each check")
        ask = partial(verdict, module=options.module, optimizer=optimizer)
        for mutant, by, seconds in ask_all(alive, ask, options.jobs):
            caught[mutant] = by
            print(f"{seconds:6.1f} s  {mutant}  {by or 'SURVIVED'}", flush=True)
            if by.startswith(FAULT) or (by and not mutant.line):
                print("so no verdict is to be trusted")
                return 2
        alive = [m for m in alive if not caught[m] and not reason(m)]
    return report([(m, caught[m]) for m in chosen])


def load_profile(examples: int) -> None:
    """What catches a mutant need not be shrunk, nor be kept for the next run."""
    settings.register_profile(
        PROFILE,
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=IGNORED,
    )
    settings.load_profile(PROFILE)


def report(results: Sequence[tuple[Mutant, str]]) -> int:
    """Print the score by function, what catches, and the survivors; returns the exit status."""
    print("\nfunction: caught / without those that have a reason / all")
    for name in dict.fromkeys(m.function for m, _ in results):
        own = [(m, caught) for m, caught in results if m.function == name]
        killed = sum(bool(caught) for _, caught in own)
        print(f"  {name}: {killed} / {sum(bool(c) or not reason(m) for m, c in own)} / {len(own)}")
    print("\ncaught by")
    for what, count in Counter(re.split(r"\[|: ", c)[0] for _, c in results if c).most_common():
        print(f"  {count:4d}  {what}")
    holes = [m for m, caught in results if not caught and not reason(m)]
    print("\nsurvivors with a reason")
    for mutant, caught in results:
        if not caught and reason(mutant):
            print(f"  {mutant}\n      {reason(mutant)}")
    print("\nsurvivors without one", *holes, sep="\n  ")
    return int(bool(holes))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.meta.mutants", description=__doc__)
    parser.add_argument("--module", default="torch.optim.sgd", help="whose source is mutated")
    parser.add_argument("--optimizer", help="its class (default: the module's name in capitals)")
    parser.add_argument("--only", default="", help="regular expression: only these mutants")
    parser.add_argument(
        "--examples",
        type=int,
        nargs="+",
        default=[6, 60],
        help="examples of a check of weight 1, in a first round and in those for its survivors",
    )
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--list", action="store_true", help="list them and stop")
    return parser


def _one_line(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= 90 else f"{short[:60]} ... {short[-25:]}"


if __name__ == "__main__":
    sys.exit(main())
