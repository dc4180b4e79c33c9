"""What a hunt has found, kept in a folder, so that it can be cut off and go on.

Reasons are not kept: they are looked up anew, so that they can be edited without asking again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from oracles.files import write
from tests.meta.harmless import excuse
from tests.meta.hunt import Outcome
from tests.meta.mutation import Mutant
from tests.meta.questions import Target


def settled(folder: Path, target: Target, chosen: Sequence[Mutant]) -> list[Outcome]:
    """What is known of these mutants: those that are caught, and survivors with a reason."""
    path = folder / f"{target}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if kept.get("source") != _digest(target):
        return []
    found = []
    for mutant in chosen:
        caught, reached = kept["outcomes"].get(_key(mutant), ("", 0))
        row = None if caught else excuse(str(target), mutant, reached=reached > 0)
        if _key(mutant) in kept["outcomes"] and (caught or row):
            found.append(Outcome(mutant, caught, reached, row))
    return found


def keep(folder: Path, target: Target, outcomes: Sequence[Outcome]) -> None:
    """Write them down in place of what was known."""
    known = {_key(o.mutant): (o.caught, o.reached) for o in outcomes}
    text = json.dumps({"source": _digest(target), "outcomes": known})
    write(folder / f"{target}.json", text.encode())


def _key(mutant: Mutant) -> str:
    return f"{mutant.start}: {mutant.before} -> {mutant.after}"


def _digest(target: Target) -> str:
    return hashlib.sha256(target.source().encode()).hexdigest()
