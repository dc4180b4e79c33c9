"""A translation as a person reads it, and as a program does: the numbers first."""

from __future__ import annotations

from typing import Any

from oracles.dictionary.counterexample import Example
from oracles.dictionary.entry import SAME, Entry
from oracles.dictionary.frameworks import PRESETS
from oracles.dictionary.preset import Preset
from oracles.dictionary.table import ENTRIES
from oracles.translation import Refused, Translation, Varying, plain

SCHEMA_VERSION = 1
"""Of ``translation.schema.json`` beside this file."""


def lines(found: Translation) -> list[str]:
    """The numbers, where they hold, and why; or why there are none.

    >>> from oracles.translation import translate
    >>> lines(translate({"weight_decay": 0.5, "m": 4}, "SGD/batch_scaled", "torch.SGD"))[:2]
    ['weight_decay = 0.125', 'holds: always']
    """
    told = _refused(found.refusal) if found.refusal else _numbers(found)
    return [*told, f"from {found.source} to {found.target}"]


def _numbers(found: Translation) -> list[str]:
    told = [_number(name, value) for name, value in {**found.values, **found.schedules}.items()]
    for name, value in found.vectors.items():
        told.append(
            f"{_number(name, value)} for biases and other parameters of at most one dimension"
        )
    same = "the defaults are the same" if found.source.known else "no number was given"
    told = told or [f"nothing to type: {same}"]
    told.append(f"holds: {'; '.join(found.range) or 'always'}")
    return told + [f"why: {why}" for why in found.why]


def _number(name: str, value: Any) -> str:
    if not isinstance(value, Varying):
        return f"{name} = {value}"
    shown = ", ".join(f"{at:.6g} at t = {t}" for t, at in value.shown.items())
    return f"{name}: {value.formula}: {shown}"


def _refused(refused: Refused) -> list[str]:
    told = [f"no numbers: {refused.reason}"]
    if refused.example:
        told.append(f"with {refused.folk} it goes wrong: {refused.example}")
    return told


def as_json(found: Translation) -> dict[str, Any]:
    """What ``translation.schema.json`` describes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "source": _who(found.source.name, found.source.seen),
        "target": _who(found.target.name, found.target.seen),
        "values": dict(found.values),
        "schedules": {name: _json(value) for name, value in found.schedules.items()},
        "vectors": {name: _json(value) for name, value in found.vectors.items()},
        "range": list(found.range),
        "why": list(found.why),
        "refusal": None
        if found.refusal is None
        else {
            "reason": found.refusal.reason,
            "folk": found.refusal.folk,
            "example": _example(found.refusal.example),
        },
    }


def _json(value: Any) -> Any:
    if not isinstance(value, Varying):
        return value
    return {"formula": value.formula, "values": {str(t): x for t, x in value.shown.items()}}


def _who(name: str, seen: str) -> dict[str, Any]:
    return {"name": name, "seen": seen or None}


def _example(example: Example | None) -> dict[str, Any] | None:
    if example is None:
        return None
    return {
        "w": 1,
        "gradients": list(example.gradients),
        "source": [{k: plain(v) for k, v in h.items()} for h in example.source],
        "target": [{k: plain(v) for k, v in h.items()} for h in example.target],
        "expected": list(example.expected),
        "got": list(example.got),
        "step": example.step,
    }


def listed() -> list[str]:
    """Whoever can be named, and all entries of the dictionary."""
    told = ["frameworks, as they were seen to act:"]
    told += [f"  {preset}: {', '.join(_names(preset))}" for preset in PRESETS.values()]
    for rule, entries in ENTRIES.items():
        told.append(f"{rule}, by convention (torch's own where none is named):")
        told += [f"  {_said(entry)}" for entry in entries]
    return told


def _names(preset: Preset) -> list[str]:
    names = [f"{own} ({name})" if own != name else own for name, own in preset.names.items()]
    manner = " with ".join(sorted(preset.manner)) or preset.base.torch.name
    return [f"{preset.rule}'s {manner}", *names]


def _said(entry: Entry) -> str:
    beside = f" beside {', '.join(sorted(entry.beside))}" if entry.beside else ""
    ends = f"{entry.drops or 'torch'} -> {entry.adds or 'torch'}{beside}"
    return f"{ends}: {entry.formula or SAME} ({entry.range.words})"
