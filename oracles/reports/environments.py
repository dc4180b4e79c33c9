"""Environments with one release of torch each: made, asked, and removed.

They hold a copy of this very package and of the dependencies it runs with here, so that nothing but
torch, and what a release cannot do without, differs between two of them. ``uv`` makes them where it
is found, and is told what its variables say (``UV_TORCH_BACKEND=cpu`` saves gigabytes); otherwise
``venv`` and ``pip`` do.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from oracles import files
from oracles.harness import golden

DISTRIBUTION = "optimizer-oracles"

PACKAGE = Path(__file__).parents[1]

RELEASES = PACKAGE / "releases.toml"

PROFILE = "ci"
"""Derandomized: two runs of one release on one machine ask the same."""

LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
"""Variables that would let in what is installed here, or make torch's import slow."""

SUM = re.compile(r"\S+ +\S+: \d+ .*")
"""What a check prints when it is through with an optimizer."""

SHOWN = 15
"""Last lines of a program's output that are told when it failed."""


Tell = Callable[[str], None]
"""Who is told how far it is."""


class NotMade(RuntimeError):
    """A release could not be installed or asked."""


def nobody(said: str) -> None:
    """Is told, and does nothing."""


def releases(path: Path = RELEASES) -> Mapping[str, Sequence[str]]:
    """By release, oldest first, what it cannot do without.

    Raises:
        ValueError: the file cannot be read, is no TOML, has no releases, or one of them has no
            ``torch``, or a field of another type.
    """
    given = f"releases={str(path)!r}"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("release")
    except OSError as error:
        raise ValueError(f"{given} cannot be read: {error.strerror}") from error
    except ValueError as error:  # tomllib's own, and that of bytes which are no text
        raise ValueError(f"{given} is no TOML: {error}") from error
    if not tables:
        raise ValueError(f"{given} has no [[release]]; allowed: a file such as {RELEASES}")
    if not _are(tables, dict):
        raise ValueError(f"{given}: release={tables!r}; allowed: [[release]], a table for each")
    for table in tables:
        _refuse_misfit(table, given)
    return {table["torch"]: tuple(table.get("needs", ())) for table in tables}


def _are(values: Any, kind: type) -> bool:
    """Whether that is a list of such."""
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _refuse_misfit(table: Mapping[str, Any], given: str) -> None:
    """Refuse a release whose fields are not what they should be, a number for a text before all."""
    if "torch" not in table:
        raise ValueError(f"{given}: a release has no torch= of its own: {table}")
    torch, needed = table["torch"], table.get("needs", [])
    if not isinstance(torch, str):
        raise ValueError(f'{given}: torch={torch!r} of a release; allowed: a text, as "2.10.0"')
    if not _are(needed, str):
        raise ValueError(
            f'{given}: needs={needed!r} of torch {torch}; allowed: a list of texts, as ["numpy<2"]'
        )


def needs(release: str, known: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """What a release cannot do without: as the last one that is known and not newer.

    >>> needs("2.2.1", {"1.13.1": ["numpy<2"], "2.3.1": []})
    ['numpy<2']
    """
    older = [r for r in known if Version(r) <= Version(release)] or [*known][:1]
    return known[max(older, key=Version)] if older else ()


def requirements(release: str, needed: Sequence[str]) -> list[str]:
    """All that is installed: torch, what it needs, and what this package runs with here."""
    pinned = {Requirement(need).name for need in needed}
    own = [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    names = [r.name for r in own if r.marker is None or r.marker.evaluate({"extra": ""})]
    return [
        f"torch=={release}",
        *needed,
        *(f"{name}=={version(name)}" for name in names if name not in pinned),
    ]


def record(
    release: str, report: Path, known: Mapping[str, Sequence[str]], tell: Tell = nobody
) -> None:
    """Make an environment with a release of torch, keep a report of it, and remove it.

    Args:
        release: by its number.
        report: the file that is written.
        known: by release, what it cannot do without.
        tell: is told how far it is, in a line.

    Raises:
        NotMade: the release could not be installed or asked.
    """
    with tempfile.TemporaryDirectory(prefix="oracles-", ignore_cleanup_errors=True) as name:
        room = Path(name)
        tell(f"torch {release}: being installed")
        python = make(room / "env", requirements(release, needs(release, known)))
        _copy(python)
        whole = room / report.name
        asked = ("check", "--profile", PROFILE, "--report", whole)
        tell(f"torch {release}: being asked")

        def listen(line: str) -> None:
            if SUM.fullmatch(line):
                tell(f"torch {release}: {line}")

        # That something fails is what a report is for; that there is none is another thing.
        said = run([python, "-m", "oracles.cli", *asked], room, allowed=(0, 1), tell=listen)
        if not whole.exists():
            raise NotMade(f"torch {release} could not be asked:\n{_last(said)}")
        files.write(report, whole.read_bytes())


def make(folder: Path, wanted: Sequence[str]) -> Path:
    """A virtual environment in which that is installed; returns its interpreter.

    Args:
        folder: where it is made.
        wanted: requirements, and options, as ``pip install`` takes them.

    Raises:
        NotMade: something cannot be installed.
    """
    python, install = _empty(folder)
    run([*install, *wanted], folder.parent)
    return python


def refuse_missing(releases: Sequence[str], tell: Tell = nobody) -> None:
    """See, before one of them is installed, whether all can be.

    Raises:
        NotMade: one cannot.
    """
    with tempfile.TemporaryDirectory(prefix="oracles-", ignore_cleanup_errors=True) as name:
        tell(f"torch {', '.join(releases)}: being looked for")
        _, install = _empty(Path(name) / "env")
        for release in releases:
            try:
                run([*install, "--dry-run", "--no-deps", f"torch=={release}"], Path(name))
            except NotMade as error:
                raise NotMade(f"torch {release} cannot be installed: {error}") from error


def _empty(folder: Path) -> tuple[Path, list[str | Path]]:
    """An environment with nothing in it: its interpreter, and what installs there."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if uv := shutil.which("uv"):
        run([uv, "venv", "--quiet", "--python", sys.executable, folder], folder.parent)
        return python, [uv, "pip", "install", "--quiet", "--python", python]
    run([sys.executable, "-m", "venv", folder], folder.parent)
    return python, [python, "-m", "pip", "install", "--quiet"]


def _copy(python: Path) -> None:
    """Put this package beside what is installed there."""
    home = packages(python)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, home / "oracles", ignore=ignored)
    shutil.copytree(golden.folder(), home / "oracles" / "golden", dirs_exist_ok=True)
    told = home / f"optimizer_oracles-{version(DISTRIBUTION)}.dist-info" / "METADATA"
    told.parent.mkdir()
    told.write_text(
        f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version(DISTRIBUTION)}\n"
    )


def packages(python: Path) -> Path:
    """Where an interpreter's packages are."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run([python, "-c", ask], python.parent).strip())


def run(
    command: Sequence[str | Path],
    folder: Path,
    allowed: Sequence[int] = (0,),
    *,
    apart: bool = False,
    tell: Tell = nobody,
) -> str:
    """Run a program; returns what it printed. An exception ends it, and all that it has started.

    Args:
        command: the program and its arguments.
        folder: in which it runs.
        allowed: statuses that are no failure.
        apart: whether what it prints as errors is told in a failure only.
        tell: is told each line, as it comes.

    Raises:
        NotMade: it ended with a status that is not allowed.
    """
    words = list(map(str, command))
    said = ""
    with tempfile.TemporaryFile("w+") as errors:
        with _started(words, folder, errors if apart else subprocess.STDOUT) as process:
            for line in process.stdout or ():
                said += line
                tell(line.rstrip("\n"))
        errors.seek(0)
        if process.returncode not in allowed:
            raise NotMade(
                f"{' '.join(words[:4])} ended with {process.returncode}:\n"
                f"{_last(said + errors.read())}"
            )
    return said


@contextmanager
def _started(words: list[str], folder: Path, errors: Any) -> Iterator[subprocess.Popen[str]]:
    """A program, in a session of its own, so that it can be ended with all that it starts."""
    variables = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
    with subprocess.Popen(
        words,
        cwd=folder,
        env=variables | {"HYPOTHESIS_STORAGE_DIRECTORY": str(folder / ".hypothesis")},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
            raise


def _last(said: str) -> str:
    return "\n".join(said.splitlines()[-SHOWN:])
