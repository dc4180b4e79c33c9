"""Golden documents: what each convention of a rule computes, pinned to the bit.

    golden/cases/<rule>.toml           questions, written by hand
    golden/<rule>/<convention>.json    a document: the same questions and this convention's answers

Answers come from the rule in float64 and never from a subject. :func:`text` makes a document, which
the tests alone put on disk, and :func:`read` gives its vectors back.
``golden/README.md`` explains the format to whoever reads it without this module.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import localcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracles.drawing import Hyper
from oracles.harness.arithmetic.decimals import PRECISE, Precise, Real
from oracles.harness.arithmetic.formats import DTYPES, FloatArray
from oracles.harness.cases.case import PRECISIONS, Case, Group, Parameter, from_data
from oracles.harness.golden_notation import (
    Json,
    document,
    loaded,
    number,
    show,
    unread,
)
from oracles.harness.subjects.subject import Answer
from oracles.rule import Convention, Rule

PACKAGE = Path(__file__).parents[1]


def folder() -> Path:
    """Where questions, documents and schema are: in the package, or beside it in a checkout."""
    inside = PACKAGE / "golden"
    return inside if inside.is_dir() else PACKAGE.parent / "golden"


DIFFERS = "differs_from_torch"
MISSING = "missing_gradient"
SCHEDULE = "schedule"

TOLERANCE = 1e-40
"""How far apart, in terms of the parameter, two conventions may be that are the same by algebra.

No dtype can tell numbers that are this close: float64's unit roundoff is 1e-16, and its square
1e-32. Roundings of 80 digits would have to be magnified by 1e40 to reach it, which the
few steps and short numbers of a question do not do.
"""


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
    each = tuple(Question(t["id"], t["comment"], _mixed(from_data(rule, t))) for t in data["case"])
    ids = [q.id for q in each]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ValueError(f"{path.name}: id={twice} is given more than once")
    return Questions(data["flags"], each)


def _mixed(case: Case) -> Case:
    """The case in all dtypes, and with those of neighbours mixed where there are neighbours."""
    return replace(case, precisions=PRECISIONS if len(case.parameters) > 1 else DTYPES)


# --- computing ---


@np.errstate(divide="ignore", invalid="ignore")  # in branches not taken; no document shows a nan
def trajectory(
    rule: Rule,
    convention: Convention,
    group: Group,
    parameter: Parameter,
    number: Callable[[float], Any] = Real,
) -> list[tuple[Any, Mapping[str, Any]]]:
    """A parameter and its state after every step, in float64 or another arithmetic.

    ``number`` turns every input into a number of that arithmetic, e.g. ``fractions.Fraction``.
    """
    dtype = np.float64 if number is Real else object

    def lifted(values: FloatArray) -> Any:
        flat = [number(v) for v in values.ravel().tolist()]
        return np.array(flat, dtype=dtype).reshape(values.shape)

    gradients = [None if g is None else lifted(g) for g in parameter.gradients]
    schedule = [
        type(h)(*(v if v is None or isinstance(v, bool | str) else number(v) for v in h))
        for h in group.schedule
    ]
    decays = convention.decays(parameter.initial.ndim)
    run = rule.run(
        convention, lifted(parameter.initial), gradients, schedule, decays=decays, count=number
    )
    return list(run)


def apart(rule: Rule, convention: Convention, case: Case) -> float:
    """How far a convention parts from torch's, computed in 80 digits.

    The largest difference of a parameter's elements after any step, in terms of its largest one.
    """
    trajectories = (_precisely(rule, c.name, case) for c in (rule.torch, convention))
    largest = 0.0
    with localcontext(PRECISE):
        for one, other in zip(*trajectories, strict=True):
            off = max((abs(w - v) for w, v in zip(one, other, strict=True)), default=0)
            size = max(map(abs, (*one, *other)), default=0)
            largest = max(largest, float(off / size) if off else 0.0)
    return largest


@lru_cache(maxsize=2**7)  # torch's own is asked again for each convention
def _precisely(rule: Rule, name: str, case: Case) -> list[list[Any]]:
    """Each parameter's elements after all steps, in 80 digits."""
    convention = rule.convention(name)
    with localcontext(PRECISE):
        return [
            [v for w, _ in trajectory(rule, convention, group, p, Precise) for v in np.ravel(w)]
            for _, group, p in case.walk()
        ]


def same_by_algebra(rule: Rule, convention: Convention, case: Case) -> bool:
    """Whether a convention gives torch's parameters at every step, but for roundings."""
    return apart(rule, convention, case) <= TOLERANCE


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
    if not same_by_algebra(rule, convention, case):
        found.append(DIFFERS)
    return tuple(found)


# --- writing ---


def name(rule: Rule, convention: Convention) -> str:
    """A document's place below the golden folder, without its extension."""
    return f"{rule.name.lower()}/{convention.name}"


def text(rule: Rule, convention: Convention, asked: Questions) -> bytes:
    """The document of a convention, as it must be on disk, byte for byte.

    Raises:
        ValueError: a vector has a flag that the questions do not explain.
    """
    vectors = [_encoded(rule, convention, question) for question in asked.each]
    used = {flag for vector in vectors for flag in vector["flags"]}
    if missing := used - set(asked.flags):
        where = f"cases/{rule.name.lower()}.toml"
        raise ValueError(f"flags {sorted(missing)} are not explained in {where}")
    return document(
        rule=rule.name,
        convention=convention.name,
        equation=convention.equation,
        source=convention.source,
        told_from_torch_by=[v["id"] for v in vectors if DIFFERS in v["flags"]],
        defaults={k: _shown(rule, k, v) for k, v in rule.hyper()._asdict().items()},
        flags={flag: meaning for flag, meaning in asked.flags.items() if flag in used},
        vectors=vectors,
    )


def _encoded(rule: Rule, convention: Convention, question: Question) -> Json:
    case = question.case
    (group,) = case.groups
    return {
        "id": question.id,
        "comment": question.comment,
        "flags": list(flags(rule, convention, case)),
        "steps": case.steps,
        "hyper": _hyper(rule, group.schedule),
        "parameters": [
            {
                "initial": _values(p.initial),
                "steps": [
                    {
                        "gradient": _values(gradient),
                        "parameter": _values(w),
                        **{name: _values(state.get(name)) for name in rule.states},
                    }
                    for gradient, (w, state) in zip(
                        p.gradients, trajectory(rule, convention, group, p), strict=True
                    )
                ],
            }
            for p in group.parameters
        ],
    }


def _values(values: Any) -> Json:
    """An array in its own shape, a count as it is, nothing as null."""
    if values is None or isinstance(values, int):
        return values
    return _each(np.asarray(values, dtype=np.float64).tolist(), show)


def _each(nested: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(nested, dict):
        return {key: _each(item, change) for key, item in nested.items()}
    if isinstance(nested, list):
        return [_each(item, change) for item in nested]
    return change(nested)


def _hyper(rule: Rule, schedule: Sequence[Hyper]) -> dict[str, Json]:
    """What differs from the defaults: one value, or a list of one for each step."""
    table = {}
    for name, default in rule.hyper()._asdict().items():
        values = [getattr(h, name) for h in schedule]
        shown = [_shown(rule, name, value) for value in values]
        if any(value != values[0] for value in values):
            table[name] = shown
        elif values[0] != default:
            table[name] = shown[0]
    return table


def _shown(rule: Rule, name: str, value: Any) -> Json:
    """A hyperparameter: switches, words and counts as they are, real numbers as floats."""
    asis = value is None or isinstance(value, bool | str) or _counts(rule, name)
    return value if asis else show(float(value))


def _counts(rule: Rule, name: str) -> bool:
    """Whether a hyperparameter is a whole number of something: drawn from nothing else."""
    domain = rule.drawing.domains.get(name)
    return name == "batch_size" or (
        domain is not None
        and domain.high == 0
        and all(value is None or isinstance(value, int) for value in domain.special)
    )


# --- reading ---


def read(rule: Rule, data: bytes) -> tuple[Vector, ...]:
    """The vectors of a document.

    Raises:
        ValueError: it is of another schema version or rule, or a float's hex and decimal disagree.
    """
    whole = loaded(data, rule=rule.name)
    return tuple(_decoded(rule, whole["defaults"], vector) for vector in whole["vectors"])


def _decoded(rule: Rule, defaults: Mapping[str, Json], vector: Json) -> Vector:
    steps = range(vector["steps"])
    table = _each(defaults | vector["hyper"], _meant)
    schedule = tuple(
        rule.hyper(**{k: v[t] if isinstance(v, list) else v for k, v in table.items()})
        for t in steps
    )
    tables = vector["parameters"]
    parameters = tuple(
        Parameter(
            _array(p["initial"]),
            tuple(_array(s["gradient"]) for s in p["steps"]),
            gradient_layout=rule.gradient_layout,
        )
        for p in tables
    )
    states = {state: _rows(tables, state) for state in rule.states}
    expected = Answer(
        _rows(tables, "parameter")[0],
        {state: values for state, (values, _) in states.items()},
        {state: there for state, (_, there) in states.items()},
    )
    case = _mixed(Case((Group(parameters, schedule),)))
    return Vector(vector["id"], vector["comment"], tuple(vector["flags"]), case, expected)


def _meant(shown: Json) -> Any:
    """The inverse of :func:`_shown`; words are identifiers, which floats are not."""
    return number(shown) if isinstance(shown, str) and not shown.isidentifier() else shown


def _rows(tables: Sequence[Json], key: str) -> tuple[FloatArray, NDArray[np.bool_]]:
    """One kind of value after each step, end to end (0 where absent), and where it is present."""
    values, there = [], []
    for table in tables:
        shape = _array(table["initial"]).shape
        cells = [_array(step[key]) for step in table["steps"]]
        values.append([_filling(np.zeros(()) if c is None else c, shape) for c in cells])
        there.append(
            [np.full(len(row), c is not None) for row, c in zip(values[-1], cells, strict=True)]
        )
    return np.concatenate(values, axis=1), np.concatenate(there, axis=1)


def _filling(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """A buffer as large as its parameter, as subjects answer: what is smaller is repeated."""
    same = values.size == math.prod(shape)
    return values.ravel() if same else np.broadcast_to(values, shape).ravel()


def _array(shown: Json) -> Any:
    return None if shown is None else np.array(_each(shown, _meant), dtype=np.float64)


def strays(rules: tuple[Rule, ...], root: Path) -> list[str]:
    """Files below the golden folder that nothing reads."""
    known = {"README.md", "schema.json"}
    for rule in rules:
        known.add(f"cases/{rule.name.lower()}.toml")
        known |= {f"{name(rule, convention)}.json" for convention in rule.conventions}
    found = unread(root, ".", known)
    return [path for path in found if not path.startswith(("schedules/", "loop/"))]  # of others
