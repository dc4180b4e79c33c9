"""A run as a file that can be kept and compared: JSON lines between a header and a footer.

    header      what was asked, with which torch, on which machine
    optimizer   what the constructor of a rule's optimizer takes, and with which defaults
    place       whether a path, dtype and device is there, and if not, why
    check       what came of one question about a rule, and of a row of the ledger
    cell        the same at one place
    answer      what is computed for a golden question (:mod:`oracles.reports.fingerprint`, and of
                schedules :mod:`oracles.reports.rate_fingerprint`)
    footer      how many lines there are above, and their digest

A file without a footer, or whose footer does not fit, was cut or changed, and is refused. What each
line holds is said in ``run_report.schema.json``. Of itself none names a user, a host or a folder;
what code says where it raises is quoted, without the folders that :func:`scrub` finds. A file whose
name ends in ``.xz`` is compressed.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from oracles import files
from oracles.harness.deviations.flaws import Flaw
from oracles.harness.deviations.ledger import Deviation
from oracles.harness.runs.outcome import ABSENT, FAILED, NOT_ASKED, OK, Outcome
from oracles.harness.runs.tally import Line, Tally
from oracles.harness.runs.walk import Task
from oracles.harness.subjects.subject import Place
from oracles.optimizers.registry import RULES
from oracles.reports import fingerprint, rate_fingerprint
from oracles.schedules.registry import SCHEDULES

SCHEMA_VERSION = 1

SCHEMA = Path(__file__).with_suffix(".schema.json")

PRESET = 9 | lzma.PRESET_EXTREME
"""A quarter smaller than by default: reports are kept."""

_ROOT = r"(?:~|[A-Za-z]:)?[/\\]+"

LINK_OR_FOLDERS = re.compile(
    r"(?P<link>https?://\S+)"
    # In quotes, where it ends with them: all but a last name that has a suffix.
    rf"|(?<!\w['\"])(?<=['\"]){_ROOT}(?=\w)(?:[^'\"\n]*[/\\])?(?:[^/\\'\".\n]+(?=['\"]))?"
    rf"|(?<![\w.]){_ROOT}(?:[^\s/\\'\":,;]+[/\\])+"
)
"""What names folders, and what only looks as if it did."""

JsonLine = Mapping[str, Any]


class Kind(StrEnum):
    """What a line is about."""

    HEADER = "header"
    OPTIMIZER = "optimizer"
    PLACE = "place"
    CHECK = "check"
    CELL = "cell"
    ANSWER = "answer"
    FOOTER = "footer"


class Result(StrEnum):
    """What came of one check at one place."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    UNDECIDED = "undecided"
    LEFT_OUT = "left out"
    """A known deviation left no case to ask."""
    NOT_ASKED = "not asked"
    CONFIRMED = "confirmed"
    """A known deviation is still there."""
    HEALED = "healed"


BAD = frozenset({Result.FAILED, Result.ERRORED, Result.HEALED})
"""Results that make a run fail."""

WORDS = {OK: "passed", FAILED: "failed", NOT_ASKED: "not asked", ABSENT: "absent"}
"""What is said of a check altogether."""


class Invalid(ValueError):
    """A file is no report, or not a whole one."""


@dataclass(frozen=True)
class Chosen:
    """What a run was asked to look at; empty: at everything there is.

    Attributes:
        paths, dtypes, devices: of the places.
        subject: ``module:Class``, if it is not torch's own.
        profile: for how long.
        seed: of what Hypothesis draws, if somebody gave one.
    """

    paths: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    subject: str | None = None
    profile: str = "default"
    seed: int | None = None

    def command(self, rule: str, place: Place | None = None) -> str:
        """What shows it again."""
        words = ["oracles", "check", "--rule", rule]
        if place is not None:
            words += ["--path", place.path, "--dtype", place.dtype, "--device", place.device]
        if self.subject:
            words += ["--as-torch", self.subject]
        words += ["--profile", self.profile]
        return shlex.join([*words, "--seed", str(self.seed)] if self.seed else words)


@dataclass(frozen=True)
class RunReport:
    """A run, as its file holds it.

    Attributes:
        header: what was asked, of whom.
        lines: all others but the footer.
    """

    header: JsonLine
    lines: tuple[JsonLine, ...]

    def of(self, kind: Kind) -> Iterator[JsonLine]:
        """The lines about one kind of thing."""
        return (line for line in self.lines if line["kind"] == kind)


def place_of(line: JsonLine) -> Place:
    """Where a line about a place or a cell belongs."""
    return Place(line["optimizer"], line["path"], line["dtype"], line["device"])


# --- making ---

Told = Sequence[tuple[Task, Outcome]]
"""What came of each task of a run, in the order in which they are walked."""

Subjects = Callable[[str], tuple[Sequence[Any], Mapping[Place, str]]]
"""By a rule's name, who was asked, and by place why others are absent."""


def report(chosen: Chosen, told: Told, subjects: Subjects) -> RunReport:
    """What is to be kept of a run.

    Asks the golden questions of all chosen subjects, which takes seconds.
    """
    from oracles.harness.subjects.description import machine  # which needs torch

    names = dict.fromkeys(task.whose for task, _ in told)
    lines = [
        {"kind": kind, "optimizer": name, **_scrubbed(line)}
        for name in names
        for kind, line in _about(name, chosen, told, *subjects(name))
    ]
    header = {
        "kind": Kind.HEADER,
        "schema": SCHEMA_VERSION,
        "suite": version("optimizer-oracles"),
        "hypothesis": version("hypothesis"),
        **machine(),
        "chosen": json.loads(json.dumps(vars(chosen))),  # as it will be read
        "rules": [*names],
        "golden": {name: _digest(pinned) for name in names if (pinned := _pinned(name))},
    }
    return RunReport(header, tuple(lines))


def _about(
    name: str, chosen: Chosen, told: Told, there: Sequence[Any], absent: Mapping[Place, str]
) -> Iterator[tuple[Kind, JsonLine]]:
    """All lines about one rule or part."""
    places = [subject.place for subject in there]
    for place in places:
        yield Kind.PLACE, {**_where(place), "there": True}
    for place, why in absent.items():
        yield Kind.PLACE, {**_where(place), "there": False, "reason": why}
    for task, outcome in told:
        if task.whose != name:
            continue
        yield Kind.CHECK, _altogether(task, outcome, chosen)
        for place in places:
            if cell := _cell(task, place, outcome, chosen):
                yield Kind.CELL, {"check": task.asks, **_where(place), **cell}
    if there:
        from oracles.harness.subjects.description import arguments

        if (taken := arguments(there[0].optimizer)) is not None:
            yield Kind.OPTIMIZER, {"arguments": taken}
    yield from ((Kind.ANSWER, line) for line in _answers(name, there))


def _pinned(name: str) -> bytes:
    """The golden questions and answers of a rule or a schedule; nothing of other parts."""
    if name in RULES:
        return fingerprint.asked(fingerprint.pinned(RULES[name]))
    if name in SCHEDULES:
        return fingerprint.asked(rate_fingerprint.document(SCHEDULES[name]))
    return b""


def _answers(name: str, there: Sequence[Any]) -> Iterator[JsonLine]:
    """What is computed for them."""
    if name in RULES:
        return fingerprint.fingerprint(RULES[name], there)
    return rate_fingerprint.fingerprint(SCHEDULES[name], there) if name in SCHEDULES else iter(())


def _where(place: Place) -> JsonLine:
    return {"path": place.path, "dtype": place.dtype, "device": place.device}


def _altogether(task: Task, outcome: Outcome, chosen: Chosen) -> JsonLine:
    line = {
        "check": task.asks,
        "outcome": WORDS[outcome.word],
        "cases": outcome.tally.cases.total(),
        "seconds": round(outcome.seconds, 2),
    }
    if outcome.word == FAILED:
        line |= {
            "text": outcome.text,
            "case": "\n".join(outcome.notes),
            "command": chosen.command(task.whose),
        }
    return line


def _cell(task: Task, place: Place, outcome: Outcome, chosen: Chosen) -> JsonLine:
    """What came of a task at one place; nothing of a row of the ledger that is not about it."""
    tally = outcome.tally
    result = _result(place, tally)
    if result == Result.NOT_ASKED and isinstance(task.what, Deviation | Flaw):
        return {}
    cell: dict[str, Any] = {"outcome": result}
    if line := tally.lines.get(place):
        cell |= _counted(line)
    if met := {id: places[place] for id, places in tally.deviations.items() if place in places}:
        cell["left_out"] = met
    if result in BAD:
        cell["text"] = _sentence(place, outcome.text)
        cell["command"] = chosen.command(task.whose, place)
    return cell


def _result(place: Place, tally: Tally) -> Result:
    line = tally.lines.get(place, Line())
    for result, holds in (
        (Result.ERRORED, line.errored and line.errored == line.failed),
        (Result.FAILED, line.failed),
        (Result.HEALED, any(place in places for places in tally.healed.values())),
        (Result.CONFIRMED, any(place in places for places in tally.confirmed.values())),
        (Result.UNDECIDED, line.runs and line.empty == line.runs),
        (Result.PASSED, line.runs),
        (Result.LEFT_OUT, any(place in places for places in tally.deviations.values())),
    ):
        if holds:
            return result
    return Result.NOT_ASKED


def _counted(line: Line) -> JsonLine:
    return {
        "runs": line.runs,
        "undecided": _short(line.undecided_share),
        "edge": _short(line.edge_share),
        "share": _short(line.share),
    }


def _short(value: float) -> float:
    """Three digits, which is what a person reads."""
    return float(f"{value:.3g}")


def _sentence(place: Place, text: str) -> str:
    """What the failing verdicts say of one place, if it is among those that are spelled out."""
    return "\n".join(line for line in text.splitlines() if str(place) in line)


def _scrubbed(line: JsonLine) -> JsonLine:
    return {key: scrub(value) if isinstance(value, str) else value for key, value in line.items()}


def scrub(text: str) -> str:
    """A text without the folders in it, which may name a user or a machine; links stay.

    Of a path in quotes a last name that has a suffix stays. Any other path ends at a blank, and its
    last name stays: nobody can tell whether that is a folder, nor which word is a host.

    >>> scrub("RuntimeError: /home/somebody/lib/torch/optim/sgd.py failed, 1/2 of it")
    'RuntimeError: sgd.py failed, 1/2 of it'
    >>> scrub("see https://example.org/issues/12 about file:///home/somebody/sgd.py")
    'see https://example.org/issues/12 about file:sgd.py'
    >>> scrub("'/home/somebody/my runs/sgd.py' is not in '/home/somebody'")
    "'sgd.py' is not in ''"
    """
    return LINK_OR_FOLDERS.sub(lambda found: found["link"] or "", text)


# --- writing and reading ---


def write(path: Path, report: RunReport) -> None:
    """Put a report on disk, whole or not at all."""
    lines = (_encoded(line) for line in (report.header, *report.lines))
    body = b"".join(lines)
    footer = {
        "kind": Kind.FOOTER,
        "lines": 1 + len(report.lines),
        "digest": _digest(body),
    }
    data = body + _encoded(footer)
    files.write(path, lzma.compress(data, preset=PRESET) if path.suffix == ".xz" else data)


def _encoded(line: JsonLine) -> bytes:
    text = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"{text}\n".encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read(path: Path) -> RunReport:
    """The report in a file.

    Raises:
        Invalid: it is none, or of another version, or was cut or changed.
        OSError: it cannot be read.
    """
    try:
        data = path.read_bytes()
        text = lzma.decompress(data) if path.suffix == ".xz" else data
        lines = [json.loads(line) for line in text.splitlines()]
        kinds = [line["kind"] for line in lines]
    except (lzma.LZMAError, ValueError, TypeError, KeyError) as error:
        raise Invalid(f"{path.name} is no report of a run, or was cut: {error}") from error
    if not kinds or kinds[0] != Kind.HEADER:
        raise Invalid(f"{path.name} is no report of a run: it does not begin with a header")
    if lines[0].get("schema") != SCHEMA_VERSION:
        raise Invalid(
            f"{path.name} has schema={lines[0].get('schema')!r}; allowed: {SCHEMA_VERSION}"
        )
    if kinds[-1] != Kind.FOOTER or not text.endswith(b"\n"):
        raise Invalid(f"{path.name} was cut: it has no footer")
    body = text[: text.rindex(b"\n", 0, -1) + 1]
    if (len(lines) - 1, _digest(body)) != (lines[-1].get("lines"), lines[-1].get("digest")):
        raise Invalid(f"{path.name} was cut or changed: its footer does not fit")
    return RunReport(lines[0], tuple(lines[1:-1]))
