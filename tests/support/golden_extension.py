"""How syrupy keeps golden documents: where they are, who writes them, and how a failure reads.

syrupy compares and, under ``--snapshot-update``, writes. It never deletes here: which documents
it takes for unused hangs on which tests a run selects. ``test_goldens.py`` looks for strays itself.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from syrupy.data import SnapshotCollection, SnapshotCollections
from syrupy.extensions.single_file import SingleFileSnapshotExtension
from syrupy.location import PyTestLocation
from syrupy.types import SerializedData, SnapshotIndex

from oracles.files import write
from oracles.harness.golden import folder
from oracles.harness.golden_notation import NUMBER
from oracles.optimizers.registry import RULES

GOLDEN = folder()

PINNED = tuple(
    rule for rule in RULES.values() if (GOLDEN / "cases" / f"{rule.name.lower()}.toml").exists()
)
"""Rules that somebody has written questions for."""

SHOWN = 6
"""How many differences of one vector are told; the first ones cause the others."""

MANY = 1_000_000
"""From here on the number of ULPs is told in two digits."""

Json = Any


class GoldenExtension(SingleFileSnapshotExtension):
    """One document a file, named by the assertion: ``golden(name="sgd/batch_scaled") == data``."""

    file_extension = "json"

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, index: SnapshotIndex) -> str:
        return str(GOLDEN / f"{index}.json")

    @classmethod
    def matches_test_location(
        cls, *, test_location: PyTestLocation, snapshot_location: str
    ) -> bool:
        return True

    def discover_snapshots(
        self,
        *,
        test_location: PyTestLocation,
        ignore_extensions: list[str] | None = None,
    ) -> SnapshotCollections:
        return SnapshotCollections()

    @classmethod
    def write_snapshot_collection(
        cls,
        *,
        snapshot_collection: SnapshotCollection,
        name_order: dict[str, int] | None = None,
    ) -> None:
        (document,) = snapshot_collection
        assert isinstance(document.data, bytes)
        write(Path(snapshot_collection.location), document.data)

    def diff_lines(
        self, serialized_data: SerializedData, snapshot_data: SerializedData
    ) -> Iterator[str]:
        # What is not there syrupy hands over as "".
        pinned = snapshot_data if isinstance(snapshot_data, bytes) else b""
        assert isinstance(serialized_data, bytes)
        yield from differences(pinned, serialized_data)


def differences(pinned: bytes, now: bytes) -> Iterator[str]:
    """Where a document on disk and the rule's answers disagree, vector by vector.

    Args:
        pinned: what is on disk; empty if nothing is.
        now: what the rule gives.
    """
    new = json.loads(now)
    place = f"golden/{_place(new)}.json"
    if not pinned:
        yield f"{place} is missing; --snapshot-update writes it"
        return
    try:
        told = list(_told(json.loads(pinned), new))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        yield f"{place} is not a golden document: {error!r}"
        told = []
    if told:
        yield f"{place} is not what the rule gives now (expected: the file)"
        yield from told
    else:
        yield f"{place} holds another text, first in line {_first_line(pinned, now)}"


def _place(document: Json) -> str:
    """Of a rule's document, of a schedule's or a part's, below the golden folder."""
    if "schedule" in document:
        return f"schedules/{document['schedule'].lower()}/{document['timing']}"
    if "part" in document:
        return f"loop/{document['part'].lower()}/{document['variant']}"
    return f"{document['rule'].lower()}/{document['convention']}"


def _told(old: Json, new: Json) -> Iterator[str]:
    before, after = ({v["id"]: v for v in d["vectors"]} for d in (old, new))
    yield from _pairs(old | {"vectors": []}, new | {"vectors": []}, "  ")
    for id in before | after:
        if id not in after:
            yield f"  vector {id!r} is no question of the rule"
        elif id not in before:
            yield f"  vector {id!r} is missing"
        elif before[id] != after[id]:
            yield f"  vector {id!r}: {after[id]['comment']}"
            lines = list(_pairs(before[id], after[id], "    "))
            yield from islice(lines, SHOWN)
            if len(lines) > SHOWN:
                yield f"    and {len(lines) - SHOWN} more"


def _pairs(old: Json, new: Json, indent: str) -> Iterator[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for where in before | after:
        one, other = before.get(where, "nothing"), after.get(where, "nothing")
        if one != other:
            yield f"{indent}{where}: expected {one}, got {other}{_distance(one, other)}"


def _leaves(value: Json, where: str = "") -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{where}.{key}" if where else key)
    elif isinstance(value, list) and value:
        for i, item in enumerate(value):
            yield from _leaves(item, f"{where}[{i}]")
    else:
        yield where, value


def _distance(one: Json, other: Json) -> str:
    """How far two shown floats are apart, if that is what they are."""
    matches = [NUMBER.fullmatch(v) if isinstance(v, str) else None for v in (one, other)]
    if None in matches:
        return ""
    a, b = (float.fromhex(m[1]) for m in matches if m)
    apart = ulps(a, b)
    return f", {apart if apart < MANY else format(apart, '.2g')} ULPs apart"


def ulps(a: float, b: float) -> int:
    """How many float64 values lie between two, the farther one counted; 0 if they are equal."""
    return abs(_rank(a) - _rank(b))


def _rank(value: float) -> int:
    """Position of a float64 among all in ascending order, 0 for both zeros."""
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return int(bits) if bits >= 0 else -(int(bits) + 2**63)


def _first_line(pinned: bytes, now: bytes) -> str:
    pairs = enumerate(zip_longest(pinned.split(b"\n"), now.split(b"\n")), start=1)
    return next(f"{i}: expected {one!r}, got {two!r}" for i, (one, two) in pairs if one != two)
