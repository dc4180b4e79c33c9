"""What golden documents are made of, who may write them, and what is said of an edited one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from oracles.files import write
from oracles.harness import golden
from oracles.harness.cases.case import Case
from oracles.harness.golden_notation import number, show
from oracles.optimizers.sgd import RULE
from oracles.rule import Convention, Rule
from tests.support.golden_extension import GOLDEN, PINNED, differences, ulps
from tests.support.marks import each_convention
from tests.support.pinned import document, questions, vectors

SCHEMA = json.loads((GOLDEN / "schema.json").read_bytes())
VALIDATOR = Draft202012Validator(SCHEMA)
VECTORS = Draft202012Validator({"$ref": "#/$defs/vector", "$defs": SCHEMA["$defs"]})
TORCH = document(RULE, RULE.torch)


@cache
def valid(vector: str) -> bool:
    """Whether a vector follows the schema; many are the same in several documents of a rule."""
    return VECTORS.is_valid(json.loads(vector))


@pytest.mark.one_in(9)
@each_convention
def test_documents_follow_the_schema(rule: Rule, convention: Convention) -> None:
    content = json.loads(document(rule, convention).read_bytes())
    assert not list(VALIDATOR.iter_errors(content | {"vectors": []}))
    assert not [v["id"] for v in content["vectors"] if not valid(json.dumps(v))]


@pytest.mark.parametrize("rule", PINNED, ids=lambda rule: rule.name)
def test_a_document_asks_what_people_wrote(rule: Rule) -> None:
    read = vectors(rule, rule.torch.name)
    assert {id: [*asked(vector.case)] for id, vector in read.items()} == {
        question.id: [*asked(question.case)] for question in questions(rule).each
    }


def asked(case: Case) -> Iterator[Any]:
    """Everything a document says of a case."""
    for _, group, p in case.walk():
        yield [
            [(k, isinstance(v, bool), v) for k, v in h._asdict().items()] for h in group.schedule
        ]
        yield p.initial.tolist(), p.gradient_layout
        yield [None if g is None else g.tolist() for g in p.gradients]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 2),
        ("colour", "red"),
        ("vectors.0.id", "Plain"),
        ("vectors.0.steps", "1"),
        ("vectors.0.hyper.lr", 0.1),
        ("vectors.0.hyper.lr", "a tenth"),
        ("vectors.0.parameters.0.initial", None),
        ("vectors.0.parameters.0.initial", [["1.0"]]),
        ("vectors.0.parameters.0.steps.0.momentum_buffer", "0x1.80p+1 (3)"),
    ],
)
def test_the_schema_refuses(path: str, value: Any) -> None:
    content = json.loads(TORCH.read_bytes())
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    target = content
    for key in parents:
        target = target[key]
    target[last] = value
    assert list(VALIDATOR.iter_errors(content))


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(0.0)
@example(-0.0)
@example(5e-324)
@example(sys.float_info.max)
def test_a_shown_float_is_read_back_to_the_bit(value: float) -> None:
    assert number(show(value)).hex() == value.hex()


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_float_that_is_not_finite_is_not_shown(value: float) -> None:
    with pytest.raises(ValueError, match=f"{value} has no place in a document"):
        show(value)


@pytest.mark.parametrize(
    "shown", ["0x1.8p+1 (3.5)", "0x1.80p+1 (3)", "3", "0x1.8p+1", "0x1.8p+1 (3) ", "0x1.8p+1 (3.0)"]
)
def test_a_float_written_otherwise_is_refused(shown: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(shown))):
        number(shown)


@pytest.mark.parametrize(
    ("field", "value", "allowed"), [("schema_version", 0, "1"), ("rule", "Adam", "'SGD'")]
)
def test_a_document_of_another_kind_is_refused(field: str, value: Any, allowed: str) -> None:
    content = json.loads(TORCH.read_bytes()) | {field: value}
    message = f"{field}={value!r} is not read here; allowed: {allowed}"
    with pytest.raises(ValueError, match=message):
        golden.read(RULE, json.dumps(content).encode())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "decay"', 'id = "plain"', "'plain'.* more than once"),
        ('dampening = "', 'damping = "', "'dampening'.* not explained in cases/sgd.toml"),
    ],
    ids=("twice", "unexplained"),
)
def test_questions_with_a_slip_are_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "cases").mkdir()
    asked = (GOLDEN / "cases" / "sgd.toml").read_text(encoding="utf-8")
    assert old in asked
    changed = asked.replace(old, new, 1)
    (tmp_path / "cases" / "sgd.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        golden.text(RULE, RULE.torch, golden.questions(RULE, tmp_path))


# Is what they are computed in what it is said to be?


@pytest.mark.parametrize("convention", RULE.conventions, ids=lambda c: c.name)
def test_where_exact_arithmetic_is_enough_it_finds_the_same_conventions_equal(
    convention: Convention,
) -> None:
    for question in questions(RULE).each:
        one, other = (
            [golden.trajectory(RULE, c, group, p, Fraction) for _, group, p in question.case.walk()]
            for c in (RULE.torch, convention)
        )
        equal = all(
            np.array_equal(w, v)
            for runs in zip(one, other, strict=True)
            for (w, _), (v, _) in zip(*runs, strict=True)
        )
        assert golden.same_by_algebra(RULE, convention, question.case) == equal, question.id


@pytest.mark.one_in(6)
@each_convention
def test_whether_two_conventions_are_the_same_hangs_on_no_tolerance(
    rule: Rule, convention: Convention
) -> None:
    """Another one, 1e10 times smaller or larger, would give the same flags."""
    for question in questions(rule).each:
        apart = golden.apart(rule, convention, question.case)
        assert not 1e-10 < apart / golden.TOLERANCE < 1e10, question.id


# What does a failing document say, and who may write it?


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "0x1.099999999999ap+2 (4.15)",
            "0x1.0999999999999p+2 (4.1499999999999995)",
            ["vector 'published_example'", "The published worked example", "1 ULPs apart"],
        ),
        ("(4.15)", "(4.16)", ["vector 'published_example'", "(4.16), got", "(4.15)"]),
        ("Descent alone", "Ascent alone", ["vector 'plain'", "comment: expected Ascent"]),
        ('"id": "plain"', '"id": "plane"', ["'plane' is no question", "'plain' is missing"]),
        ("λ/m)w", "λ/n)w", ["equation: expected d = g + (λ/n)w, got d = g + (λ/m)w"]),
        ("  ", "   ", ["another text, first in line 2"]),
        ("\n", "\r\n", ["another text, first in line 1"]),
        ("{", "", ["is not a golden document"]),
        ('"vectors"', '"victors"', ["is not a golden document"]),
    ],
)
def test_any_edit_is_told(old: str, new: str, told: list[str]) -> None:
    now = golden.text(RULE, RULE.convention("batch_scaled"), questions(RULE))
    edited = now.replace(old.encode(), new.encode(), 1)
    assert edited != now
    message = "\n".join(differences(edited, now))
    assert message.startswith("golden/sgd/batch_scaled.json")
    assert not [words for words in told if words not in message], message


def test_ulps_are_counted_across_zero() -> None:
    assert ulps(1.0, np.nextafter(1.0, 2.0)) == ulps(-5e-324, 0.0) == 1
    assert ulps(-5e-324, 5e-324) == 2
    assert ulps(0.0, -0.0) == 0


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sgd" / "torch.json"
    write(path, b"old")

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["torch.json"]


@pytest.mark.slow
def test_only_the_update_flag_writes(tmp_path: Path) -> None:
    """In a copy with one document edited, one missing and one too many."""
    copied = shutil.copytree(GOLDEN, tmp_path / "golden")
    shutil.copytree(Path(__file__).parents[1], tmp_path / "tests", ignore=_unneeded)
    shutil.copytree(golden.PACKAGE, tmp_path / "oracles", ignore=_compiled)
    edited, missing = copied / "sgd/decoupled.json", copied / "sgd/decoupled_lr.json"
    edited.write_bytes(edited.read_bytes() + b" ")  # the least edit there is
    missing.unlink()
    (copied / "sgd/decoupled_twice.json").touch()

    told = _pytest(tmp_path, 1)
    assert "decoupled_lr.json is missing; --snapshot-update writes it" in told
    assert "decoupled.json holds another text" in told
    assert "remove from golden/, or add the convention: sgd/decoupled_twice.json" in told
    assert not missing.exists()

    told = _pytest(tmp_path, 1, "--snapshot-update")
    assert "1 failed, 2 passed" in told  # what lies there too many is for people to remove
    for path in (edited, missing):
        assert path.read_bytes() == (GOLDEN / "sgd" / path.name).read_bytes()


def _unneeded(folder: str, names: list[str]) -> list[str]:
    support = {"golden_extension.py", "marks.py", "pinned.py", "told.py"}
    kept = {"__init__.py", "support", "torch", "test_goldens.py", *support}
    return [name for name in names if name not in kept]


_compiled = shutil.ignore_patterns("__pycache__")


def _pytest(root: Path, status: int, *options: str) -> str:
    """Output of the tests of two documents and of strays, in a folder of their own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PYTHONPATH"] = str(root)
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    bytes_ = "test_the_rule_gives_the_document_byte_for_byte"
    names = [f"{bytes_}[SGD-{name}]" for name in ("decoupled", "decoupled_lr")]
    chosen = [
        f"tests/torch/test_goldens.py::{name}"
        for name in (*names, "test_nothing_lies_in_golden_that_nothing_reads")
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "syrupy",
        "-p",
        "no:cacheprovider",
        *options,
        *chosen,
    ]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout
