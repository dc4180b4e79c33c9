"""All entries and refusals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from oracles.dictionary import decays, losses, momenta, squares
from oracles.dictionary.entry import Entry, Refusal


def _by_rule() -> dict[str, Sequence[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for module in (decays, momenta, squares, losses):
        for entry in module.entries():
            found[entry.rule].append(entry)
    return dict(found)


ENTRIES = _by_rule()
"""By rule; AdamW is Adam with ``decoupled_lr``."""

REFUSALS: Sequence[Refusal] = (
    *decays.REFUSALS,
    *momenta.REFUSALS,
    *squares.REFUSALS,
    *losses.REFUSALS,
)
"""No two are about the same conventions of a rule under the same numbers."""
