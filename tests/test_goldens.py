"""Golden vectors: does the oracle still compute them, and does torch lie around them?

A document is red when it is missing, when it differs by one byte from what its rule gives now, and
when nothing reads it. ``pytest tests/test_goldens.py --snapshot-update`` writes documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

from oracles.harness import golden
from oracles.harness.case import AXES
from oracles.harness.checks import Check, examine
from oracles.harness.formats import DTYPES, round_to
from oracles.harness.golden import Vector
from oracles.harness.oracle import Oracle
from oracles.harness.strategies import cases
from oracles.harness.tally import Tally
from oracles.harness.verdict import Verdict, broken, fit, judge, separation
from oracles.rule import Convention
from oracles.sgd import RULE
from tests.golden_extension import GOLDEN, GoldenExtension

OTHERS = RULE.conventions[1:]
SCHEMA = json.loads((GOLDEN / "schema.json").read_bytes())
IDS = [question.id for question in golden.questions(RULE, GOLDEN).each]

each_convention = pytest.mark.parametrize("convention", RULE.conventions, ids=lambda c: c.name)
each_id = pytest.mark.parametrize("id", IDS)


@dataclass(frozen=True)
class Pinned:
    """The file's numbers, in a subject's place."""

    dtype: str


def document(convention: Convention) -> Path:
    return GOLDEN / f"{golden.name(RULE, convention)}.json"


@cache
def vectors(name: str) -> Mapping[str, Vector]:
    """What the convention's file says, never what the generator would."""
    data = document(RULE.convention(name)).read_bytes()
    return {vector.id: vector for vector in golden.read(RULE, data)}


@cache
def oracle(name: str, id: str) -> Oracle:
    return Oracle(RULE, vectors(name)[id].case)


# Does the oracle still compute them?


@each_convention
def test_the_rule_gives_the_document_byte_for_byte(
    convention: Convention, snapshot: SnapshotAssertion
) -> None:
    kept = snapshot.use_extension(GoldenExtension)
    now = golden.text(RULE, convention, GOLDEN)
    if kept(name=golden.name(RULE, convention)) != now:
        # In place of an assertion, which would print both documents first.
        pytest.fail("\n".join(kept.get_assert_diff()), pytrace=False)


def test_nothing_lies_in_golden_that_nothing_reads() -> None:
    strays = golden.strays((RULE,), GOLDEN)
    assert not strays, f"remove from golden/, or add the convention: {', '.join(strays)}"


@pytest.mark.parametrize(
    ("name", "moved"),
    [("coupled_unscaled", ["4.1", "1.9"]), ("batch_scaled", ["4.15", "1.95"])],
)
def test_the_published_example_reads_as_published(name: str, moved: list[str]) -> None:
    """1 - 0.1(-32 + 1·1) and 1 - 0.1(-10 + 1·1), or with 1/2 for the decay's 1."""
    expected = vectors(name)["published_example"].expected
    assert [f"{v:.15g}" for v in expected.parameters[-1]] == moved


@each_convention
def test_the_numbers_lie_in_their_enclosure_in_every_dtype(convention: Convention) -> None:
    """Other code, wider arithmetic: an enclosure holds the exact result and float64's."""
    for id, vector in vectors(convention.name).items():
        for axis in AXES:
            held = fit(oracle(convention.name, id), convention, Pinned(axis), vector.expected)
            assert held, f"{convention.name} in {axis}, vector {id!r}: {vector.comment}"


# Is every vector worth asking?


@each_id
def test_every_dtype_holds_the_inputs_exactly(id: str) -> None:
    for p in vectors(RULE.torch.name)[id].case.parameters:
        for values in (p.initial, *p.gradients):
            for dtype in DTYPES:
                assert values is None or np.array_equal(round_to(dtype, values), values)


@each_convention
def test_a_vector_tells_its_convention_from_torch_or_is_identical_by_algebra(
    convention: Convention,
) -> None:
    for id, vector in vectors(convention.name).items():
        ask = oracle(convention.name, id)
        same = golden.same_by_algebra(RULE, convention, RULE.torch, vector.case)
        assert same == (not vector.proves), id
        for dtype in vector.proves:
            assert separation(ask(), ask(convention), dtype) > 1, (id, dtype)


@each_convention
def test_some_vector_tells_the_convention_from_each_other_one(convention: Convention) -> None:
    for other in RULE.conventions:
        asked = (oracle(convention.name, id) for id in IDS)
        apart = (separation(ask(convention), ask(other), "float32") > 1 for ask in asked)
        assert any(apart) == (other is not convention), other.name


# Does torch lie around them?


def inside_torch_alone(id: str, subject: Any, asked: Oracle) -> Verdict:
    """Inside torch's vector, and outside the vectors that tell their convention from torch's."""
    answer = subject.ask(asked.case)
    verdict = judge(asked, subject, answer)
    for convention in () if verdict.failed else OTHERS:
        if subject.dtype not in vectors(convention.name)[id].proves:
            continue
        if fit(oracle(convention.name, id), convention, subject, answer):
            return broken(asked.case, subject, f"also fits {convention.name}")
    return verdict


@each_id
def test_torch_lies_around_its_vectors_alone(id: str, subjects: list[Any], tally: Tally) -> None:
    vector = vectors(RULE.torch.name)[id]
    seen = Tally()
    check = Check("golden vectors", cases, lambda *asked: inside_torch_alone(id, *asked))
    failures = examine(check, subjects, Oracle(RULE, vector.case), seen)
    tally.merge(seen)
    told = "\n".join(verdict.sentence for verdict in failures)
    assert not failures, f"vector {id!r}: {vector.comment}\n{told}"
    if not seen.lines:
        pytest.skip("no chosen subject can be asked this")


# Are documents what they say they are?


@each_convention
def test_documents_follow_the_schema(convention: Convention) -> None:
    content = json.loads(document(convention).read_bytes())
    assert not list(violations(content, SCHEMA, SCHEMA))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 2),
        ("colour", "red"),
        ("vectors.0.id", "Plain"),
        ("vectors.0.steps", "1"),
        ("vectors.0.hyper.lr", 0.1),
        ("vectors.0.parameters.0.initial", None),
        ("vectors.0.parameters.0.initial", [["1.0"]]),
        ("vectors.0.parameters.0.steps.0.momentum_buffer", "0x1.80p+1 (3)"),
    ],
)
def test_the_schema_refuses(path: str, value: Any) -> None:
    content = json.loads(document(RULE.torch).read_bytes())
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    target = content
    for key in parents:
        target = target[key]
    target[last] = value
    assert list(violations(content, SCHEMA, SCHEMA))


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(0.0)
@example(-0.0)
@example(5e-324)
@example(sys.float_info.max)
def test_a_shown_float_is_read_back_to_the_bit(value: float) -> None:
    assert golden.number(golden.show(value)).hex() == value.hex()


@pytest.mark.parametrize(
    "shown", ["0x1.8p+1 (3.5)", "0x1.80p+1 (3)", "3", "0x1.8p+1", "0x1.8p+1 (3) ", "0x1.8p+1 (3.0)"]
)
def test_a_float_written_otherwise_is_refused(shown: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(shown))):
        golden.number(shown)


@pytest.mark.parametrize(
    ("field", "value", "allowed"), [("schema_version", 0, "1"), ("rule", "Adam", "'SGD'")]
)
def test_a_document_of_another_kind_is_refused(field: str, value: Any, allowed: str) -> None:
    content = json.loads(document(RULE.torch).read_bytes()) | {field: value}
    with pytest.raises(ValueError, match=f"{field}={value!r} is not read here; allowed: {allowed}"):
        golden.read(RULE, json.dumps(content).encode())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "decay"', 'id = "plain"', "'plain'.* more than once"),
        ("lr = 0.3, weight_decay = 0.7", "lr = 0.3, weight_decay = 1e-9", "too little to tell"),
        ('dampening = "', 'damping = "', "'dampening'.* not explained"),
    ],
)
def test_a_question_not_worth_asking_is_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "cases").mkdir()
    asked = (GOLDEN / "cases" / "sgd.toml").read_text(encoding="utf-8")
    assert old in asked
    changed = asked.replace(old, new, 1)
    (tmp_path / "cases" / "sgd.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        golden.text(
            RULE,
            RULE.convention("first_step_dampened" if "damp" in old else "batch_scaled"),
            tmp_path,
        )


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
    now = golden.text(RULE, RULE.convention("batch_scaled"), GOLDEN)
    edited = now.replace(old.encode(), new.encode(), 1)
    assert edited != now
    message = "\n".join(differences(edited, now))
    assert message.startswith("golden/sgd/batch_scaled.json")
    assert not [words for words in told if words not in message], message


def test_ulps_are_counted_across_zero() -> None:
    assert ulps(1.0, np.nextafter(1.0, 2.0)) == ulps(-5e-324, 0.0) == 1
    assert ulps(-5e-324, 5e-324) == 2
    assert ulps(0.0, -0.0) == 0


def test_a_document_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sgd" / "torch.json"
    golden.write(path, b"old")

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        golden.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["torch.json"]


def test_only_the_update_flag_writes(tmp_path: Path) -> None:
    """In a copy with one document edited, one missing and one too many."""
    copied = shutil.copytree(GOLDEN, tmp_path / "golden")
    shutil.copytree(Path(__file__).parent, tmp_path / "tests", ignore=_but_this)
    edited, missing = copied / "sgd/decoupled.json", copied / "sgd/decoupled_lr.json"
    edited.write_bytes(edited.read_bytes().replace(b"(0.1)", b"(0.2)", 1))
    missing.unlink()
    (copied / "sgd/decoupled_twice.json").touch()

    told = _pytest(tmp_path, 1)
    assert "decoupled_lr.json is missing; --snapshot-update writes it" in told
    assert "decoupled.json is not what the rule gives now" in told
    assert "remove from golden/, or add the convention: sgd/decoupled_twice.json" in told
    assert not missing.exists()

    told = _pytest(tmp_path, 1, "--snapshot-update")
    assert "1 failed, 2 passed" in told  # what lies there too many is for people to remove
    for path in (edited, missing):
        assert path.read_bytes() == (GOLDEN / "sgd" / path.name).read_bytes()


def _but_this(folder: str, names: list[str]) -> list[str]:
    kept = {Path(__file__).name, "__init__.py", "golden_extension.py", "json_schema.py"}
    return [name for name in names if name not in kept]


def _pytest(root: Path, status: int, *options: str) -> str:
    """Output of the tests of two documents and of strays, in a folder of their own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), str(GOLDEN.parent)])
    chosen = ["-k", "nothing_lies or (byte_for_byte and decoupled)", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "tests/test_goldens.py", *chosen, *options]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout
