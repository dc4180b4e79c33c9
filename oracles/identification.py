"""identify: which rule does this code follow?

The code is asked cases in which what it may follow differs, in float64; or a recorded run of it is
read. A candidate (a rule with any conventions that can be combined) is out as soon as one answer
leaves its margin, which holds every text of it (:class:`~oracles.harness.oracle.Margin`). What is
left at the end is the answer: one candidate; several, if nothing that is known tells them apart; or
none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from oracles.harness.candidates import Candidate
from oracles.harness.evidence.sifting import MARGINS, Sifted, Without, simplest
from oracles.harness.evidence.untold import Untold, untold
from oracles.harness.evidence.witnesses import Asked, Recorded, Witness
from oracles.harness.oracle import Margin
from oracles.harness.subjects.asking import black_box
from oracles.harness.subjects.trace import Trace
from oracles.harness.subjects.trace_files import read
from oracles.optimizers.registry import RULES
from oracles.rule import Rule


@dataclass(frozen=True)
class Identification:
    """What a piece of code follows.

    Attributes:
        name: of the code.
        fits: the candidates that hold all its answers, the simplest ones of them.
        ruled_out: how many candidates some answer excluded.
        ignores: hyperparameters of what fits that the code takes and makes nothing of.
        scalars: what hyperparameters are kept in, as far as answers tell.
        untold: candidates that hold all answers as well, and what would tell them apart.
        open: if nothing fits, candidates that cannot be ruled out because no step is larger than
            what rounding may do to it.
    """

    name: str
    fits: tuple[Candidate, ...]
    ruled_out: int
    ignores: frozenset[str] = frozenset()
    scalars: str = "float64"
    untold: tuple[Untold, ...] = ()
    open: tuple[Candidate, ...] = ()

    def __str__(self) -> str:
        if self.open:
            return f"{self.name} cannot be told: its steps are no larger than its roundings"
        if not self.fits:
            return f"{self.name} follows no known rule ({self.ruled_out:,} were ruled out)"
        without = f", ignoring {', '.join(sorted(self.ignores))}" if self.ignores else ""
        return f"{self.name} follows {' or '.join(map(str, self.fits))}{without}"


def identify(
    subject: Any,
    rules: Iterable[Rule | str] | None = None,
    *,
    names: Mapping[str, str] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> Identification:
    """Find what a piece of code follows.

    Args:
        subject: whatever :func:`evidence` takes.
        rules: what it may follow; all known rules by default.
        names: torch's names of hyperparameters, and what the code calls them.
        fixed: further arguments that the code is always given.

    >>> def step(params, grads, state, lr, wd):
    ...     return [w * (1 - lr * wd) - lr * g for w, g in zip(params, grads)]
    >>> print(identify(step))
    step follows SGD's coupled_unscaled

    Raises:
        TypeError: the subject is nothing that can be asked or read.
        ValueError: a rule is not known, or a record is not what it should be.
    """
    among = [rule if isinstance(rule, Rule) else _rule(rule) for rule in rules or RULES.values()]
    return _told(evidence(subject, names or {}, fixed or {}), among)


def evidence(
    subject: Any, names: Mapping[str, str], fixed: Mapping[str, Any]
) -> tuple[Witness, ...]:
    """Who tells what a subject does, by what it is; of several readings the strictest first.

    Raises:
        TypeError: the subject is nothing that can be asked or read.
        ValueError: a record is not what it should be.
    """
    if isinstance(subject, Trace):
        return (Recorded(subject, names),)
    if isinstance(subject, str | os.PathLike):
        return tuple(Recorded(trace, names) for trace in read(Path(subject)))
    if hasattr(subject, "takes") and hasattr(subject, "run"):
        return (Asked(subject),)
    return (Asked(black_box(subject, names, fixed)),)


def _told(readings: Sequence[Witness], rules: Sequence[Rule]) -> Identification:
    last = Sifted()
    for witness, without, margin in attempts(readings, rules):
        found = simplest(witness, without, margin)
        if found.fits:
            return _named(witness, found, margin, without[found.fits[0].rule])
        last = max(last, found, key=lambda sifted: (len(sifted.open), sifted.ruled_out))
    return Identification(readings[0].name, (), last.ruled_out, open=last.open)


def _named(
    witness: Witness, found: Sifted, margin: Margin, without: frozenset[str]
) -> Identification:
    return Identification(
        witness.name,
        found.fits,
        found.ruled_out,
        without,
        margin.scalars,
        untold(witness, found.fits[0], margin, without),
    )


def attempts(
    readings: Sequence[Witness], rules: Sequence[Rule]
) -> Iterator[tuple[Witness, Without, Margin]]:
    """What is asked, the strictest first; at last without what the code ignores."""
    for margin, witness in product(MARGINS, readings):
        yield witness, dict.fromkeys(rules, frozenset()), margin
    for witness in readings:
        ignored = {rule: witness.ignores(rule) for rule in rules}
        for margin in MARGINS:
            yield witness, {rule: names for rule, names in ignored.items() if names}, margin


def _rule(name: str) -> Rule:
    if name not in RULES:
        raise ValueError(f"rule={name!r} is not known; allowed: {', '.join(RULES)}")
    return RULES[name]
