"""The machine that goes by a metric, by hand: when it reduces, in torch's way and in others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from oracles.schedules.plateau import PART, Settings, start

INF, NAN = math.inf, math.nan

WORKED: list[tuple[str, dict[str, Any], Sequence[float], list[int]]] = [
    # Two bad ones in a row are borne, the third one is not; then it begins again.
    ("after_patience", {"patience": 2}, [1.0] * 8, [3, 6]),
    ("after_patience", {"patience": 0}, [1.0, 2.0, 0.5, 0.5], [1, 3]),
    # Better by less than the threshold is bad.
    ("after_patience", {"patience": 0, "threshold": 0.25}, [1.0, 0.8, 0.7], [1]),
    ("after_patience", {"patience": 0, "threshold": 0.25, "threshold_mode": "abs"}, [4.0, 3.5], []),
    ("after_patience", {"patience": 0, "threshold": 0.25, "mode": "max"}, [1.0, 1.2, 1.3], [1]),
    # Relative to a best below 0, worse is better.
    ("after_patience", {"patience": 0, "threshold": 0.25}, [-1.0, -0.8], []),
    ("after_patience", {"patience": 0, "threshold": 0.25}, [-1.0, -0.7], [1]),
    # While it cools nothing is counted.
    ("after_patience", {"patience": 0, "cooldown": 2}, [1.0] * 6, [1, 4]),
    # A nan is bad; so is infinity, than which nothing is worse.
    ("after_patience", {"patience": 0}, [NAN, 1.0], [0]),
    ("after_patience", {"patience": 0}, [INF, -INF, -INF], [0, 2]),
    ("after_patience", {"patience": 1, "mode": "max"}, [1.0, NAN, NAN], [2]),
    # Keras bears one less, and counts a step that ends its cooling.
    ("at_patience", {"patience": 2}, [1.0] * 8, [2, 4, 6]),
    ("at_patience", {"patience": 1, "cooldown": 2}, [1.0] * 6, [1, 3, 5]),
    ("nan_ignored", {"patience": 0}, [NAN, 1.0, NAN, 1.0], [3]),
    ("any_better", {"patience": 0, "threshold": 0.25}, [1.0, 0.9, 0.9], [2]),
    ("cooling_counts", {"patience": 1, "cooldown": 2}, [1.0] * 8, [2, 5]),
]
"""The variant, its settings, metrics, and at which of them it reduces."""


@pytest.mark.parametrize(("variant", "settings", "metrics", "reduced"), WORKED)
def test_when_it_reduces(
    variant: str, settings: dict[str, Any], metrics: Sequence[float], reduced: list[int]
) -> None:
    s = Settings(**settings)
    state, found = start(s), []
    for number, metric in enumerate(metrics):
        state, reduces = PART.variant(variant).compute(state, metric, s)
        found += [number] * reduces
    assert found == reduced


def test_every_way_is_worked() -> None:
    assert {row[0] for row in WORKED} == {variant.name for variant in PART.variants}
