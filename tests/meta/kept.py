"""What a hunt has found, kept in a folder, so that it can be cut off and go on.

It holds of the same text, asked as much by the same suite with the same torch. Reasons are not
kept: they are looked up anew, so that they can be edited without asking again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from oracles.files import write
from tests.meta.harmless import excuse
from tests.meta.hunt import Effort, Outcome
from tests.meta.mutation import Mutant
from tests.meta.questions import Target

ROOT = Path(__file__).parents[2]

REASONS = "harmless.py"


def settled(
    folder: Path, target: Target, chosen: Sequence[Mutant], effort: Effort
) -> list[Outcome]:
    """What is known of these mutants: those that are caught, and survivors with a reason."""
    path = folder / f"{target}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if kept.get("asked") != _asked(target, effort):
        return []
    found = []
    for mutant in chosen:
        caught, reached = kept["outcomes"].get(_key(mutant), ("", 0))
        row = None if caught else excuse(str(target), mutant, reached=reached > 0)
        if _key(mutant) in kept["outcomes"] and (caught or row):
            found.append(Outcome(mutant, caught, reached, row))
    return found


def keep(folder: Path, target: Target, outcomes: Sequence[Outcome], effort: Effort) -> None:
    """Write them down in place of what was known."""
    known = {_key(o.mutant): (o.caught, o.reached) for o in outcomes}
    text = json.dumps({"asked": _asked(target, effort), "outcomes": known})
    write(folder / f"{target}.json", text.encode())


def _key(mutant: Mutant) -> str:
    return f"{mutant.start}: {mutant.before} -> {mutant.after}"


def _asked(target: Target, effort: Effort) -> list[Any]:
    """What outcomes hang on."""
    much = [effort.examples, effort.questions, effort.seed]
    return [_digest(target.source().encode()), *much, torch.__version__, judges()]


@cache
def judges(root: Path = ROOT) -> str:
    """A digest of the suite, as it was when this process began to ask."""
    files = [*(root / "oracles").rglob("*"), *(root / "tests").rglob("*")]
    read = (f for f in sorted(files) if f.suffix in (".py", ".toml") and f.name != REASONS)
    return _digest(b"".join(f.read_bytes() for f in read))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
