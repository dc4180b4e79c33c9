"""A handful of changes to torch's own sources, in each function that steps, are caught.

Those of constructors and of ``__setstate__`` are left to their own tests, which see no cases.
``python -m tests.meta.mutants`` asks all of them; this is the part of it that every run affords.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import settings

from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.names import AGREEMENT
from oracles.harness.deviations.ledger import usable
from oracles.harness.loop.catalogue import questions
from oracles.harness.loop.resuming import RESUME
from oracles.harness.runs.runner import Refuted, run_check
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import TorchSubject, absent
from oracles.optimizers.registry import RULES
from tests.meta import hunt, kept, mutants, published
from tests.meta.harmless import HARMLESS, HOLE, excuse
from tests.meta.harmless import Row as Excuse
from tests.meta.hunt import Effort, Outcome
from tests.meta.mutation import Mutant
from tests.meta.mutation import mutants as mutants_of
from tests.meta.questions import (
    AROUND,
    OfOptimizer,
    Question,
    drawn_of_part,
    parameters,
    part_fails,
    targets,
)
from tests.support.marks import skip_without

# What is not shrunk is long, and Hypothesis warns of printing it.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

WRITTEN_FOR = "2.13.0"
"""The release of torch that has every place the rows name."""


class Row(NamedTuple):
    """One change, and the path and the check that must catch it."""

    rule: str
    function: str
    before: str
    after: str
    path: str
    check: str = AGREEMENT


ROWS = (
    Row("SGD", "SGD._init_group", '"momentum_buffer"', "('momentum_buffer_')", "for-loop"),
    Row("SGD", "SGD.step", '"momentum_buffer"', "('momentum_buffer_')", "for-loop"),
    Row(
        "SGD",
        "SGD.step",
        "torch.enable_grad()",
        "(__import__('contextlib').nullcontext())",
        "for-loop",
        "a closure is called once",
    ),
    Row("SGD", "sgd", "dampening", "weight_decay", "default"),
    Row("SGD", "_single_tensor_sgd", "1 - dampening", "(1 + dampening)", "for-loop"),
    Row("SGD", "_single_tensor_sgd", "nesterov", "False", "for-loop"),
    Row("SGD", "_multi_tensor_sgd", "1 - dampening", "1", "foreach"),
    Row("SGD", "_multi_tensor_sgd", "nesterov", "False", "foreach"),
    Row("SGD", "_fused_sgd", "maximize", "has_sparse_grad", "fused"),
    Row("SGD", "_fused_sgd", "nesterov", "maximize", "fused"),
    Row("Adam", "_single_tensor_adam", "1 - device_beta1", "1", "for-loop"),
    Row("Adam", "_multi_tensor_adam", "1 - beta2 ** _get_value(step)", "1", "foreach"),
    Row("Adam", "_fused_adam", "not decoupled_weight_decay", "False", "fused"),
    Row("AdamW", "adamw", "eps", "weight_decay", "functional"),
    Row("AdamW", "adamw", "beta1", "beta2", "functional"),
    Row("Adamax", "_single_tensor_adamax", "1 - beta1 ** _get_value(step_t)", "1", "for-loop"),
    Row(
        "Adamax",
        "_multi_tensor_adamax",
        "not maximize and weight_decay == 0",
        "False",
        "foreach",
        "gradients are left as they were",
    ),
    Row("NAdam", "_single_tensor_nadam", "step + 1", "1", "for-loop"),
    Row("NAdam", "_multi_tensor_nadam", "1.0 - mu", "(1.0 + mu)", "foreach"),
    Row("RAdam", "_single_tensor_radam", "rho_t > 5.0", "False", "for-loop"),
    Row("RAdam", "_multi_tensor_radam", "rho_t - 4", "(rho_t + 4)", "foreach"),
    Row("Adagrad", "_single_tensor_adagrad", "step - 1", "(step + 1)", "for-loop"),
    Row(
        "Adagrad",
        "_multi_tensor_adagrad",
        "weight_decay != 0 or maximize",
        "True",
        "foreach",
        "gradients are left as they were",
    ),
    Row("Adadelta", "_single_tensor_adadelta", "1 - rho", "1", "for-loop"),
    Row("Adadelta", "_multi_tensor_adadelta", "1 - rho", "1", "foreach"),
    Row("RMSprop", "_single_tensor_rmsprop", "centered", "False", "for-loop"),
    Row("RMSprop", "_multi_tensor_rmsprop", "1 - alpha", "1", "foreach"),
    Row("Rprop", "_single_tensor_rprop", "-1", "1", "for-loop"),
    Row("Rprop", "_multi_tensor_rprop", "-1", "1", "foreach"),
    Row("ASGD", "_single_tensor_asgd", "1 / max(1, step - t0)", "1", "for-loop"),
    Row("ASGD", "_multi_tensor_asgd", "1 / max(1, _get_value(step) - t0)", "1", "foreach"),
    Row("Adafactor", "_single_tensor_adafactor", "1 / (step_float**0.5)", "1", "for-loop"),
    Row("Adafactor", "_multi_tensor_adafactor", "1 / (s.item() ** 0.5)", "1", "foreach"),
    Row("Muon", "_single_tensor_muon", "1 - lr * weight_decay", "1", "default"),
    Row("Muon", "_adjust_lr", '"match_rms_adamw"', "('match_rms_adamw_')", "default"),
    Row("SparseAdam", "SparseAdam.step", '"exp_avg_sq"', "('exp_avg_sq_')", "default"),
)


@cache
def source(rule: str) -> str:
    return inspect.getsource(sys.modules[getattr(torch.optim, rule).__init__.__module__])


@cache
def found(rule: str) -> dict[tuple[str, str, str], Mutant]:
    """The first mutant with that change in that function."""
    every = reversed(list(mutants_of(source(rule))))
    return {(m.function, m.before, m.after): m for m in every}


@pytest.fixture
def brief() -> Iterator[None]:
    """A short search that always tries the same cases and shrinks nothing."""
    before = settings.get_current_profile_name()
    hunt.load_profile()
    yield
    settings.load_profile(before)


def ask(row: Row, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a source text the row's check, on the row's path."""
    rule = RULES[row.rule]
    monkeypatch.setitem(sys.modules, hunt.NAME, sys)  # so that it is taken out afterwards
    home = sys.modules[torch.optim.Optimizer.__module__]
    for name, single in vars(home).copy().items():
        if name.startswith("_single_tensor_"):  # which each module puts there when it is run
            monkeypatch.setattr(home, name, single)
    optimizer = getattr(hunt.build(text, "torch.optim"), row.rule)
    subjects, _ = select(rule, [row.path], optimizer=optimizer)
    check = next(check for check in checks(rule) if check.name == row.check)
    run_check(check, rule, subjects, Tally())


@pytest.mark.one_in(3)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.function}: {row.before}")
def test_is_caught(row: Row, brief: None, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without(row.rule)
    mutant = found(row.rule).get((row.function, row.before, row.after))
    if mutant is None:
        assert torch.__version__.split("+")[0] != WRITTEN_FOR, "a slip of the pen"
        pytest.skip(f"{row.rule} of torch {torch.__version__} has no such place")
    path = next(p for p in PATHS if p.name == row.path)
    class_ = getattr(torch.optim, row.rule)
    if reason := absent(RULES[row.rule], class_, path, "float32", "cpu"):
        pytest.skip(f"{row.path}: {reason}")
    if not usable(AGREEMENT, TorchSubject(RULES[row.rule], class_, path, "float32")):
        pytest.skip(f"{row.path}: torch {torch.__version__} itself is wrong there")
    with pytest.raises(Refuted):
        ask(row, mutant.source, monkeypatch)


@pytest.mark.parametrize("path", ["for-loop", "foreach"])
def test_the_unchanged_source_is_not(
    path: str, brief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(Row("SGD", "", "", "", path), source("SGD"), monkeypatch)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # of some mutants, when they are compiled
def test_every_function_is_mutated() -> None:
    """A mutant of each, and each compiles: what the command does not reach it cannot report."""
    functions = {function for function, _, _ in found("SGD")}
    assert {"SGD.__init__", "SGD.__setstate__", "SGD.step", "sgd"} <= functions
    assert {"_single_tensor_sgd", "_multi_tensor_sgd"} <= functions
    for mutant in list(found("SGD").values())[::25]:
        compile(mutant.source, str(mutant), "exec")


def test_a_change_of_one_place() -> None:
    """Everything but the place stays as it was, whatever characters come before it."""
    text = 'def f(a):\n    "é"\n    b = "é" if a else a + 1  # ü\n    return b\n'
    changed = {str(m): m.source for m in mutants_of(text)}
    assert changed["f:3: a + 1 -> (a - 1)"] == text.replace("a + 1", "(a - 1)")
    assert changed["f:4: return b -> return None"] == text.replace("return b", "return None")
    assert not [name for name in changed if name.startswith("f:2")], "a docstring is for readers"


def test_the_lines_of_a_place() -> None:
    """Of the innermost statement; of a statement with a body, those before it."""
    text = "def f(a=0):\n    if (a\n            == 1):\n        a = [\n            2]\n"
    lines = {str(m): [*m.lines] for m in mutants_of(text)}
    assert lines["f:1: 0 -> 1"] == [2, 3, 4, 5]
    assert lines["f:3: 1 -> 2"] == [2, 3]
    assert lines["f:5: 2 -> 3"] == [4, 5]


# --- What survives --------------------------------------------------------------------------------

TEXT = """\
def f(a, b):
    if a != 0:
        b = a - b
    return max(a, b)
"""


def mutant(change: str) -> Mutant:
    """The mutant of a small text with that change."""
    return next(m for m in mutants_of(TEXT) if m.change == change)


REASON = Excuse("the larger of two", change=r"^max\(a, b\) -> max\(b, a\)$")
UNASKED = Excuse(HOLE + "differences", change="^a - b -> b - a$")

CAUGHT = Outcome(mutant("a - b -> a"), "agreement", 9)
EXCUSED = Outcome(mutant("max(a, b) -> max(b, a)"), "", 9, REASON)
KNOWN = Outcome(mutant("a - b -> b - a"), "", 9, UNASKED)
OPEN = Outcome(mutant("a != 0 -> a > 0"), "", 9)


def test_the_page_counts_and_lists_what_survives() -> None:
    page = published.text({"one": [CAUGHT, EXCUSED], "two": [CAUGHT, KNOWN]})
    assert "| `one.py` | 2 | 1 | 1 | 0 | 0 |" in page
    assert "| `two.py` | 2 | 1 | 0 | 1 | 0 |" in page
    assert "| together | 4 | 2 | 1 | 1 | 0 |" in page
    assert "| 1 | one | the larger of two |" in page
    assert "differences (1):\n\n* `two.py:3` f: `a - b -> (b - a)`" in page
    assert "## Without a reason" not in page
    assert torch.__version__.split("+")[0] in page


def test_the_page_says_what_nobody_has_explained() -> None:
    page = published.text({"one": [OPEN]})
    assert "| `one.py` | 1 | 0 | 0 | 0 | 1 |" in page
    assert "## Without a reason\n\n* `one.py:2` f: `a != 0 -> (a > 0)`" in page


def test_a_reason_that_nothing_needs_is_stale() -> None:
    rows = [REASON, UNASKED, Excuse("never read")]
    assert published.stale({"one": [EXCUSED], "two": [KNOWN]}, rows) == rows[2:]
    assert published.stale({"one": [EXCUSED]}, rows) == rows[1:]
    page = published.text({"one": [CAUGHT], "clip_grad": [CAUGHT]})
    assert "# Reasons that nothing needs any more" in page
    assert str(HARMLESS[0]) in page
    assert "# Reasons that nothing" not in published.text({"one": [CAUGHT]}), "others may need it"


def test_a_chapter_is_written_by_itself() -> None:
    """And what else is on the page stays."""
    whole = published.text({"one": [EXCUSED], "clip_grad": [CAUGHT]})
    other = published.text({"clip_grad": [OPEN]}, whole)
    step, around = (f"# {title}\n" for title in (published.STEP, published.LOOP))
    assert other.index("| `one.py` |") < other.index(around) < other.index("| `clip_grad.py` |")
    assert (
        other.partition(step)[2].partition(around)[0]
        == whole.partition(step)[2].partition(around)[0]
    )
    assert "| `clip_grad.py` | 1 | 0 | 0 | 0 | 1 |" in other
    assert other.endswith(published.NOT_MUTATED)
    assert step not in published.text({"clip_grad": [OPEN]})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch imports
def test_each_file_around_the_step_is_asked_by_its_parts() -> None:
    """In ``torch.cuda.amp`` the scaler is a class that is made of it."""
    found = {str(target): target.parts() for target in AROUND}
    assert {"StepLR", "SequentialLR", "SWALR"} <= {*found["lr_scheduler"]}
    assert {"SWALR", "AveragedModel", "update_bn"} <= {*found["swa_utils"]}
    assert "clip_grad_norm_" in found["clip_grad"]
    if "grad_scaler" in targets():
        assert found["grad_scaler"] == ["GradScaler"]
    assert all(target.tests for target in AROUND)


def test_a_case_is_as_new_for_each_mutant(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a part has saved once it saves again: to ask whoever stands in its place by then."""
    question = next(one for one in questions("StepLR") if one.name == RESUME)
    case, place = drawn_of_part(question, 1)[0], next(iter(question.places()))
    assert not part_fails(question, case, place, None)
    monkeypatch.setattr(torch.optim.lr_scheduler.StepLR, "state_dict", lambda scheduler: None)
    assert part_fails(question, case, place, None)


@pytest.mark.parametrize("report", [False, True])
@pytest.mark.parametrize(("outcomes", "status"), [([CAUGHT, EXCUSED, KNOWN], 0), ([OPEN], 1)])
def test_a_survivor_without_a_reason_is_red(
    outcomes: list[Outcome],
    status: int,
    report: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "page.md"
    assert mutants.concluded({"one": outcomes}, page if report else None) == status
    assert page.exists() == report
    assert ("survives without a reason: one/f:2: a != 0 -> (a > 0)" in capsys.readouterr().out) == (
        status == 1
    )


@pytest.mark.parametrize("part", [["--sample", "1"], ["--only", "x"], ["--optimizer", "sgd"]])
def test_a_page_is_of_everything(part: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        mutants.main(["--report", str(tmp_path / "page.md"), *part])
    assert not list(tmp_path.iterdir())


ONE_PRODUCT = r"lr \* math.sqrt\(bias_correction2\) -> \((math\S+ \*|lr /)"
HUNTED = ["--optimizer", "_functional", "--examples", "1", "--only", ONE_PRODUCT]
"""Two changes of one product."""


@pytest.fixture
def hunting(brief: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the profile and the filters of warnings to those who run the tests."""
    monkeypatch.setattr(mutants, "quiet", lambda: None)
    monkeypatch.setattr(mutants, "load_profile", lambda examples: None)


@pytest.mark.slow
def test_a_hunt(hunting: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two changes one is caught; the other is the same product, as a row says."""
    status = mutants.main(HUNTED)
    out = capsys.readouterr().out
    assert "1 of 2 caught" in out
    assert status == 0 and "survives without a reason: _functional" not in out


@pytest.mark.slow
def test_a_hunt_goes_on_where_it_was_cut_off(
    hunting: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is settled is not asked again; what survives without a reason is."""
    command = [*HUNTED, "--resume", str(tmp_path / "kept")]
    with monkeypatch.context() as unread:
        unread.setattr(hunt, "excuse", lambda *args, **options: None)
        assert mutants.main(command) == 1
    out = capsys.readouterr().out
    assert "1 of 2 caught" in out and "survives without a reason: _functional" in out
    asked: list[str] = []
    examine = hunt.Hunt.examine

    def noting(self: hunt.Hunt, chosen: list[Mutant]) -> list[Outcome]:
        asked.extend(m.change for m in chosen)
        return examine(self, chosen)

    monkeypatch.setattr(hunt.Hunt, "examine", noting)
    with monkeypatch.context() as unread:
        unread.setattr(hunt, "excuse", lambda *args, **options: None)
        unread.setattr(kept, "excuse", lambda *args, **options: None)
        assert mutants.main(command) == 1
        assert asked == ["lr * math.sqrt(bias_correction2) -> math.sqrt(bias_correction2) * lr"]
    assert mutants.main(command) == 0
    assert len(asked) == 1, "a reason that has been written since settles it"
    assert "1 of 2 caught" in capsys.readouterr().out.split("_functional: caught")[-1]


def test_what_is_kept_holds_as_long_as_it_would_be_asked_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever looks less long, or has lost a check, would else go on saying that it is caught."""
    monkeypatch.setattr(kept, "judges", lambda: "these")
    target, effort = OfOptimizer("SGD", "torch.optim.sgd"), Effort()
    caught = Outcome(Mutant("sgd", 1, "a", "b", range(1), "", b"", 0), AGREEMENT, 3)
    kept.keep(tmp_path, target, [caught], effort)

    def settled(effort: Effort) -> list[Outcome]:
        return kept.settled(tmp_path, target, [caught.mutant], effort)

    assert settled(replace(effort, jobs=2, verbose=True)) == [caught]
    less = (replace(effort, examples=1), replace(effort, questions=1), replace(effort, seed=1))
    assert not any(map(settled, less))
    monkeypatch.setattr(kept, "judges", lambda: "others")
    assert settled(effort) == []


def test_who_judges_is_all_of_the_suite_but_the_reasons(tmp_path: Path) -> None:
    def judges(name: str, file: str, text: str) -> str:
        path = tmp_path / name / file
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return kept.judges(tmp_path / name)

    others = [
        judges("one", "oracles/harness/checks/some.py", "asked"),
        judges("less", "oracles/harness/checks/some.py", "ask"),
        judges("more", "tests/torch/test_some.py", "asked more"),
        judges("row", "oracles/harness/deviations/some.toml", "a row"),
        judges("none", "tests/meta/note.txt", "a note"),
    ]
    assert len({*others}) == len(others)
    assert others[-1] == judges("reasons", "tests/meta/harmless.py", "a reason")


def example(change: str, place: str = "", where: str = "sgd/_multi_tensor_sgd") -> Excuse | None:
    """The row that excuses a change, where it is reached."""
    file, function = where.split("/")
    before, after = change.split(" -> ")
    found = Mutant(function, 1, before, after, range(1), place, b"", 0)
    return excuse(file, found, reached=True)


@pytest.mark.parametrize(
    ("harmless", "fault"),
    [
        (["a * b -> b * a"], ["a - b -> b - a"]),
        (["a * b -> b * a"], ["a * b -> c * a"]),
        (["(1 - b) * f(x) -> f(x) * (1 - b)"], ["(1 - b) * f(x) -> f(x) * (b - 1)"]),
        (["g.mul(p) -> p.mul(g)"], ["g.div(p) -> p.div(g)"]),
        (
            ["p.addcmul_(g, s, value=-1) -> p.addcmul_(s, g, value=-1)"],
            ["p.addcmul_(g, s, value=-1) -> p.addcmul_(g, p, value=-1)"],
        ),
        (
            ["p.addcmul_(g, s, value=-1) -> p.addcmul_(s, g, value=-1)"],
            ["p.addcdiv_(g, s, value=-1) -> p.addcdiv_(s, g, value=-1)"],
        ),
        (["max(a, b) -> max(b, a)"], ["min(a, b) -> max(b, a)"]),
        (["len(p) == 0 -> len(p) <= 0"], ["len(p) == 0 -> len(p) >= 0"]),
        (["momentum != 0 -> momentum > 0"], ["dampening != 0 -> dampening > 0"]),
        (["f(p, memory_format=torch.preserve_format) -> f(p)"], ["f(p, dtype=d) -> f(p)"]),
        (["True -> False", "zip(a, b, strict=True)"], ["True -> False", "if a:"]),
        (
            ["zip(a, b, strict=True) -> zip(a, b)", "zip(a, b, strict=True)"],
            [
                "zip(a, b, strict=True) -> zip(b, a, strict=True)",
                "for x, y in zip(a, b, strict=True):",
            ],
        ),
        (["params -> list(params)[::-1]"], ["params -> list(params)[1:]"]),
        (["params -> list(params)[::-1]"], ["rect -> list(rect)[::-1]"]),
        (["params -> grads", "if len(params) == 0:"], ["params -> grads", "f(params)"]),
        (
            ["a and not torch.jit.is_scripting() -> a"],
            ["a and not torch.jit.is_scripting() -> not torch.jit.is_scripting()"],
        ),
        (["capturable -> False", "if capturable:"], ["capturable -> True", "if capturable:"]),
        (
            ["capturable -> False", "if capturable:"],
            ["capturable -> False", "f(capturable=capturable)"],
        ),
    ],
    ids=lambda one: one[0][:20],
)
def test_a_row_excuses_what_it_names_and_not_its_neighbour(
    harmless: list[str], fault: list[str]
) -> None:
    assert example(*harmless)
    assert not example(*fault), "a fault would be excused"


def given_both(a: int, b: int) -> None: ...


def test_what_a_test_is_called_with() -> None:
    one = pytest.mark.parametrize("a", [1, 2])
    both = pytest.mark.parametrize(("a", "b"), [(1, 2), (3, 4)])
    other = pytest.mark.parametrize("b", [5])
    assert list(parameters(both(given_both))) == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    given_both.__dict__.clear()
    assert list(parameters(one(given_both))) == [], "b would be a fixture"
    assert list(parameters(other(given_both))) == [{"b": 5, "a": 1}, {"b": 5, "a": 2}]


# --- Processes ------------------------------------------------------------------------------------


class Planting(OfOptimizer):
    """Plants nothing: a text stands for what becomes of it."""

    def source(self) -> str:
        return TEXT

    def plant(self, source: str) -> str:
        if "a - b" not in source:
            raise SyntaxError
        return source


SPOILT: list[str] = []
"""What a process has planted that stays."""


def noticing(text: str, *, spoiling: bool = False) -> Question:
    """Notices a text; and if it spoils, whatever comes after it."""

    def fails(source: str) -> bool:
        if spoiling and text in source:
            SPOILT.append(text)
        return text in source or bool(SPOILT)

    return Question(f"has {text}", fails, frozenset())


def hunting_for(*asked: Question) -> hunt.Hunt:
    """A hunt that only has its questions in common with a real one."""
    made = object.__new__(hunt.Hunt)
    made.target, made.effort, made.asked = Planting("SGD", "one"), hunt.Effort(), list(asked)
    made.__dict__["_timeout"] = 600.0
    return made


FOUR = [mutant(c) for c in ("a - b -> a", "a != 0 -> a > 0", "a != 0 -> a == 0", "0 -> 1")]


@pytest.mark.parametrize("spoiling", [False, True])
def test_mutants_that_share_a_process_are_not_caught_for_one_another(spoiling: bool) -> None:
    question = noticing("a > 0", spoiling=spoiling)
    hunted = hunting_for(question)
    found = {m: caught for m, caught, _ in hunted._answers([(m, [question]) for m in FOUR])}  # noqa: SLF001
    assert [found[m] for m in FOUR] == ["it cannot be imported", "has a > 0", "", ""]
    assert not SPOILT, "what spoils is in a process of its own"


def test_a_process_that_is_spoilt_says_so() -> None:
    jobs = [(m, [noticing("a > 0", spoiling=True)]) for m in FOUR]
    try:
        with pytest.raises(hunt.Spoilt):
            hunt.verdicts(Planting("SGD", "one"), jobs)
    finally:
        SPOILT.clear()


@pytest.mark.parametrize(
    ("act", "limit", "answer"),
    [
        (lambda batch: time.sleep(60), 0.01, "it never ends"),
        (lambda batch: os.kill(os.getpid(), signal.SIGKILL), 600, "it crashes"),
        (lambda batch: 1 / 0, 600, f"{hunt.FAULT}ZeroDivisionError: division by zero"),
        (lambda batch: ["fine"], 600, ["fine"]),
    ],
    ids=["endless", "killed", "failing", "fine"],
)
def test_a_process_may_end_as_it_likes(act: Any, limit: float, answer: Any) -> None:
    ((batch, found, _),) = hunt.ask_all([[(FOUR[0], [])]], act, 1, limit)
    assert batch == [(FOUR[0], [])]
    assert found == answer


def test_a_fault_of_the_command_is_no_verdict() -> None:
    def fails(source: str) -> bool:
        raise RuntimeError("in the harness")

    hunted = hunting_for(Question("broken", fails, frozenset({1, 2, 3, 4})))
    hunted.__dict__["_by_line"] = {line: [0] for line in range(9)}
    with pytest.raises(SystemExit, match="in the harness; no verdict is to be trusted"):
        hunted.examine(FOUR)
