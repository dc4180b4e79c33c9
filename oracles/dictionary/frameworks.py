"""Optimizers of frameworks, each as a version of it was seen to act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from oracles.dictionary.preset import Preset, convention
from oracles.optimizers.registry import RULES


def _torchs() -> Iterator[Preset]:
    """torch's own, under its own names; what is said of them is what this suite checks."""
    for name in RULES:
        own = convention(name, name=f"torch.{name}")
        names = {n: n for n in own.names if n != "batch_size"}
        yield Preset(name=own.name, seen="torch 2.13", rule=name, manner=own.manner, names=names)


PRESETS: Mapping[str, Preset] = MappingProxyType({p.name: p for p in _torchs()})
"""By name."""
