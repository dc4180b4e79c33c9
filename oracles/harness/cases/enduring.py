"""Cases of many steps: a thousand that are made, or as many as a counter can say.

Radii grow from step to step, and an oracle that began where a long run began would hold anything
in the end. So these cases are for checks that let it go on from where the subject stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import shake_128

from hypothesis import strategies as st

from oracles.harness.cases.case import MIXED, PRECISIONS, Case, Group, turns
from oracles.harness.cases.choices import STRUCTURE, Choices, strategy
from oracles.harness.cases.strategies import drawn_precision, made, scale_of, schedule_of
from oracles.rule import Rule

LAST = 2**24
"""The last number up to which float32, in which most counters are, holds every whole one."""

ELAPSED = (
    *(LAST - 3, 100, 999, LAST - 2, 150, 10, LAST - 4, 100, 10_000, 120, 200, 2**16, 30, 100),
    *(2**20 + 1, 150, LAST - 1, LAST, 2**25, 2**31),
)
"""What counters are set to: few enough that βᵗ has not underflowed, or most of them such that two
steps later float32 still holds them."""

TELLING = (*PRECISIONS, "float64", "float32", MIXED)
"""Short formats swallow most of the moves of rules that slow down: they come less often."""


class LongRun(Case):
    """A case of many steps, too many to be printed."""

    def __repr__(self) -> str:
        shapes = ", ".join(str(p.initial.shape) for p in self.parameters)
        return f"<{self.steps} steps of {shapes} with {self.groups[0].schedule[0]}>"


STEPS = 1_003
CYCLE = 7
"""Steps of a long run, and different gradients in it."""


def long_runs(rule: Rule, *, among: Sequence[str] = PRECISIONS) -> st.SearchStrategy[Case]:
    """A thousand steps of a short parameter, or of one in each dtype.

    One or a few are asked, and Hypothesis begins with the simplest: here that is another one for
    each rule, as hard as any.
    """
    return st.builds(
        lambda drawn: _run(Choices(_stirred(drawn, rule.name), among), rule, STEPS),
        st.binary(min_size=STRUCTURE, max_size=STRUCTURE),
    )


def _stirred(drawn: bytes, name: str) -> bytes:
    """Other bytes: zeros become what looks like chance."""
    noise = shake_128(name.encode()).digest(len(drawn))
    return bytes(a ^ b for a, b in zip(drawn, noise, strict=True))


@strategy
def late_cases(choices: Choices, rule: Rule) -> Case:
    """A step that makes the buffers, and two more when counters say that millions have gone by."""
    return replace(_run(choices, rule, 3), elapsed=choices.pick(ELAPSED))


def _run(choices: Choices, rule: Rule, steps: int) -> Case:
    precisions = drawn_precision(choices, TELLING)
    schedule = schedule_of(choices, rule, 1, precisions) * steps
    scale = scale_of(choices, schedule)
    members = []
    for _ in range(turns(precisions)):
        shape = choices.pick(rule.drawing.shapes or ((5,), (2, 3)))
        few = [choices.full_array(shape) for _ in range(min(CYCLE, steps))]
        gradients = [few[t % len(few)] for t in range(steps)]
        members.append(made(rule, choices.full_array(shape) * scale, gradients))
    return LongRun((Group(tuple(members), schedule),), precisions)
