"""What torch is expected to have: the paths and arguments that torch 2.13 has on a CPU.

A path is absent if torch refuses it in words that are known, and what is absent is not asked. A
release that begins to refuse what its predecessors had would make a run shorter, and no check red:
what is expected is asked whatever torch says, so that its refusal is a failure of every check.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from packaging.version import Version

TABLE = Path(__file__).with_suffix(".json")

SINCE = Version("2.13")
"""The release that the table describes; older ones may lack anything."""

SPARSE = "sparse gradients"


@cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """By optimizer: ``arguments`` of its constructor, and by path the dtypes it is there in."""
    return dict(json.loads(TABLE.read_text(encoding="utf-8")))


def expects(optimizer: str, path: str, dtype: str, torch_version: str) -> bool:
    """Whether a release must have a path of an optimizer, on a CPU and in that dtype."""
    known = table().get(optimizer, {}).get("paths", {})
    return _covers(torch_version) and dtype in known.get(path, ())


def expected_arguments(optimizer: str, torch_version: str) -> frozenset[str]:
    """The arguments an optimizer's constructor must have in a release."""
    known = table().get(optimizer, {}).get("arguments", ()) if _covers(torch_version) else ()
    return frozenset(known)


def _covers(torch_version: str) -> bool:
    return Version(Version(torch_version).base_version) >= SINCE
