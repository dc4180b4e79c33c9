"""Golden documents: what each convention of a rule computes, pinned to the bit.

    golden/cases/<rule>.toml           questions, written by hand
    golden/<rule>/<convention>.json    a document: the same questions and this convention's answers

Answers come from the rule in float64 and never from a subject. :func:`text` makes a document,
:func:`write` is the only function that puts one on disk, and :func:`read` gives its vectors back.
``golden/README.md`` explains the format to whoever reads it without this module.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.harness.case import Case, Group, Parameter, from_data
from oracles.harness.formats import FloatArray
from oracles.harness.subjects import Answer
from oracles.rule import Convention, Hyper, Rule

SCHEMA_VERSION = 1

DIFFERS = "differs_from_torch"
MISSING = "missing_gradient"
SCHEDULE = "schedule"

WIDTH = 100
"""Longest line of a document, where a single value is not longer."""

NUMBER = re.compile(r"(-?0x[01](?:\.[0-9a-f]+)?p[+-]\d+) \(\S+\)")

Json = Any


@dataclass(frozen=True)
class Question:
    """A case with the name and the sentence under which documents answer it."""

    id: str
    comment: str
    case: Case


@dataclass(frozen=True)
class Vector:
    """A question and its answer, as a document holds them."""

    id: str
    comment: str
    flags: tuple[str, ...]
    case: Case
    expected: Answer


@dataclass(frozen=True)
class Questions:
    """All questions of a rule, and what the flags of their vectors mean."""

    flags: Mapping[str, str]
    each: tuple[Question, ...]


def questions(rule: Rule, root: Path) -> Questions:
    """Read ``cases/<rule>.toml``.

    Raises:
        ValueError: two questions share an id.
    """
    path = root / "cases" / f"{rule.name.lower()}.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    each = tuple(Question(t["id"], t["comment"], from_data(rule, t)) for t in data["case"])
    ids = [q.id for q in each]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ValueError(f"{path.name}: id={twice} is given more than once")
    return Questions(data["flags"], each)


# --- computing ---


def trajectory(
    rule: Rule,
    convention: Convention,
    group: Group,
    parameter: Parameter,
    number: Callable[[float], Any] = float,
) -> list[tuple[Any, Mapping[str, Any]]]:
    """A parameter and its state after every step, in float64 or another arithmetic.

    ``number`` turns every input into a number of that arithmetic, e.g. ``fractions.Fraction``.
    """
    dtype = np.float64 if number is float else object

    def lifted(values: FloatArray) -> Any:
        flat = [number(v) for v in values.ravel().tolist()]
        return np.array(flat, dtype=dtype).reshape(values.shape)

    gradients = [None if g is None else lifted(g) for g in parameter.gradients]
    schedule = [
        type(h)(*(v if isinstance(v, bool) else number(v) for v in h)) for h in group.schedule
    ]
    decays = convention.decays(parameter.initial.ndim)
    run = rule.run(convention, lifted(parameter.initial), gradients, schedule, decays=decays)
    return list(run)


def computed(rule: Rule, convention: Convention, case: Case) -> Answer:
    """What the convention computes in float64, in the form in which subjects answer."""
    shape = (case.steps, case.offsets[-1])
    values = np.zeros(shape)
    states = {name: np.zeros(shape) for name in rule.states}
    present = {name: np.zeros(shape, dtype=bool) for name in rule.states}
    for i, group, parameter in case.walk():
        where = slice(case.offsets[i], case.offsets[i + 1])
        for t, (w, state) in enumerate(trajectory(rule, convention, group, parameter)):
            values[t, where] = np.ravel(w)
            for name, buffer in state.items():
                states[name][t, where] = np.ravel(buffer)
                present[name][t, where] = True
    return Answer(values, states, present)


def same_by_algebra(rule: Rule, one: Convention, other: Convention, case: Case) -> bool:
    """Whether two conventions give the same parameters at every step in exact arithmetic."""
    return all(
        np.array_equal(w, v)
        for _, group, parameter in case.walk()
        for (w, _), (v, _) in zip(
            trajectory(rule, one, group, parameter, Fraction),
            trajectory(rule, other, group, parameter, Fraction),
            strict=True,
        )
    )


def flags(rule: Rule, convention: Convention, case: Case) -> tuple[str, ...]:
    """What the vector exercises, and whether its convention differs from torch's on it."""
    default = rule.hyper()
    schedules = [group.schedule for group in case.groups]
    found = [
        name
        for name, value in default._asdict().items()
        if name != "lr" and any(getattr(h, name) != value for s in schedules for h in s)
    ]
    if any(h != schedule[0] for schedule in schedules for h in schedule):
        found.append(SCHEDULE)
    if any(g is None for p in case.parameters for g in p.gradients):
        found.append(MISSING)
    if not same_by_algebra(rule, convention, rule.torch, case):
        found.append(DIFFERS)
    return tuple(found)


# --- writing ---


def name(rule: Rule, convention: Convention) -> str:
    """A document's place below the golden folder, without its extension."""
    return f"{rule.name.lower()}/{convention.name}"


def text(rule: Rule, convention: Convention, root: Path) -> bytes:
    """The document of a convention, as it must be on disk, byte for byte."""
    asked = questions(rule, root)
    vectors = [
        Vector(
            q.id,
            q.comment,
            flags(rule, convention, q.case),
            q.case,
            computed(rule, convention, q.case),
        )
        for q in asked.each
    ]
    used = {flag for vector in vectors for flag in vector.flags}
    document = {
        "schema": "../schema.json",
        "schema_version": SCHEMA_VERSION,
        "rule": rule.name,
        "convention": convention.name,
        "equation": convention.equation,
        "source": convention.source,
        "told_from_torch_by": [v.id for v in vectors if DIFFERS in v.flags],
        "defaults": {k: _shown(k, v) for k, v in rule.hyper()._asdict().items()},
        "flags": {flag: meaning for flag, meaning in asked.flags.items() if flag in used},
        "vectors": [_encoded(rule, vector) for vector in vectors],
    }
    missing = used - set(asked.flags)
    if missing:
        raise ValueError(f"flags {sorted(missing)} are not explained in cases/{rule.name}.toml")
    return (_laid_out(document) + "\n").encode()


def write(path: Path, data: bytes) -> None:
    """Put a document on disk whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def show(value: float) -> str:
    """A float as documents hold it: exact hex, then the shortest decimal that gives it back."""
    exact = re.sub(r"\.?0*p", "p", value.hex())
    return f"{exact} ({repr(value).removesuffix('.0')})"


def _encoded(rule: Rule, vector: Vector) -> Json:
    case = vector.case
    (group,) = case.groups
    return {
        "id": vector.id,
        "comment": vector.comment,
        "flags": list(vector.flags),
        "steps": case.steps,
        "hyper": _hyper(rule.hyper(), group.schedule),
        "parameters": [
            {
                "initial": _values(p.initial),
                "steps": [_step(vector, p, i, t) for t in range(case.steps)],
            }
            for i, _, p in case.walk()
        ],
    }


def _step(vector: Vector, p: Parameter, number: int, t: int) -> Json:
    offsets, expected = vector.case.offsets, vector.expected
    where = slice(offsets[number], offsets[number + 1])

    def shaped(row: FloatArray) -> Json:
        return _values(row[where].reshape(p.initial.shape))

    gradient = p.gradients[t]
    return {
        "gradient": None if gradient is None else _values(gradient),
        "parameter": shaped(expected.parameters[t]),
        **{
            state: shaped(rows[t]) if expected.present[state][t, where].all() else None
            for state, rows in expected.states.items()
        },
    }


def _values(values: FloatArray) -> Json:
    return _each(values.tolist(), show)


def _each(nested: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(nested, dict):
        return {key: _each(item, change) for key, item in nested.items()}
    if isinstance(nested, list):
        return [_each(item, change) for item in nested]
    return change(nested)


def _hyper(default: Hyper, schedule: Sequence[Hyper]) -> dict[str, Json]:
    """What differs from the defaults: one value, or a list of one for each step."""
    table = {}
    for name in default._fields:
        values = [getattr(h, name) for h in schedule]
        shown = [_shown(name, value) for value in values]
        if any(value != values[0] for value in values):
            table[name] = shown
        elif values[0] != getattr(default, name):
            table[name] = shown[0]
    return table


def _shown(name: str, value: Any) -> Json:
    """A hyperparameter: switches and counts as they are, real numbers as floats."""
    return value if isinstance(value, bool) or name == "batch_size" else show(float(value))


def _laid_out(value: Json, indent: str = "", taken: int = 0) -> str:
    """JSON in which whatever fits is on one line and everything else is broken up."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent) + taken + len(line) < WIDTH:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        keys = [f"{json.dumps(key)}: " for key in value]
        items = [
            key + _laid_out(item, deeper, len(key))
            for key, item in zip(keys, value.values(), strict=True)
        ]
        return "{\n" + ",\n".join(deeper + item for item in items) + f"\n{indent}}}"
    items = [deeper + _laid_out(item, deeper) for item in value]
    return "[\n" + ",\n".join(items) + f"\n{indent}]"


# --- reading ---


def read(rule: Rule, data: bytes) -> tuple[Vector, ...]:
    """The vectors of a document.

    Raises:
        ValueError: it is of another schema version or rule, or a float's hex and decimal disagree.
    """
    document = json.loads(data)
    for field, wanted in (("schema_version", SCHEMA_VERSION), ("rule", rule.name)):
        if document[field] != wanted:
            raise ValueError(f"{field}={document[field]!r} is not read here; allowed: {wanted!r}")
    defaults = document["defaults"]
    return tuple(_decoded(rule, defaults, vector) for vector in document["vectors"])


def number(shown: str) -> float:
    """The inverse of :func:`show`.

    Raises:
        ValueError: the text is not of that form, or its decimal is not that of its hex.
    """
    match = NUMBER.fullmatch(shown)
    value = float.fromhex(match[1]) if match else float("nan")
    if show(value) != shown:
        raise ValueError(f"{shown!r} is not a float as documents write it")
    return value


def _decoded(rule: Rule, defaults: Mapping[str, Json], vector: Json) -> Vector:
    steps = range(vector["steps"])
    table = _each(defaults | vector["hyper"], lambda v: number(v) if isinstance(v, str) else v)
    schedule = tuple(
        rule.hyper(**{k: v[t] if isinstance(v, list) else v for k, v in table.items()})
        for t in steps
    )
    tables = vector["parameters"]
    parameters = tuple(
        Parameter(_array(p["initial"]), tuple(_array(s["gradient"]) for s in p["steps"]))
        for p in tables
    )
    states = {state: _rows(tables, state) for state in rule.states}
    expected = Answer(
        _rows(tables, "parameter")[0],
        {state: values for state, (values, _) in states.items()},
        {state: there for state, (_, there) in states.items()},
    )
    case = Case((Group(parameters, schedule),))
    return Vector(vector["id"], vector["comment"], tuple(vector["flags"]), case, expected)


def _rows(tables: Sequence[Json], key: str) -> tuple[FloatArray, NDArray[np.bool_]]:
    """One kind of value after each step, end to end (0 where absent), and where it is present."""
    values, there = [], []
    for table in tables:
        size = _array(table["initial"]).size
        cells = [_array(step[key]) for step in table["steps"]]
        values.append([np.zeros(size) if c is None else c.ravel() for c in cells])
        there.append([np.full(size, c is not None) for c in cells])
    return np.concatenate(values, axis=1), np.concatenate(there, axis=1)


def _array(shown: Json) -> Any:
    return None if shown is None else np.array(_each(shown, number), dtype=np.float64)


def strays(rules: tuple[Rule, ...], root: Path) -> list[str]:
    """Files below the golden folder that nothing reads."""
    known = {"README.md", "schema.json"}
    for rule in rules:
        known.add(f"cases/{rule.name.lower()}.toml")
        known |= {f"{name(rule, convention)}.json" for convention in rule.conventions}
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(p.as_posix() for p in found if p.as_posix() not in known)
