"""Questions about where in a step the gradients are clipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FLOAT64, FORMATS, round_to
from oracles.harness.arithmetic.radii import farthest
from oracles.harness.cases.clipped_steps import Arrays, ClippedLoop, clipped_loops
from oracles.harness.loop.judging import Told, judge
from oracles.harness.loop.question import Question, rejections
from oracles.harness.subjects import clipped_steps as subject
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import Verdict
from oracles.loop.clipped_step import STEP
from oracles.loop.part import Variant


def questions(part: str) -> tuple[Question, ...]:
    """That a loop as torch documents it does what is documented, and nothing else."""
    places = partial(subject.places, part)
    return (
        Question(part, "in a step", clipped_loops, values, places),
        *(
            replace(question, name=f"in a step, {question.name}")
            for question in rejections(
                part, STEP.variants[1:], lambda _: clipped_loops(), values, _apart, places
            )
        ),
    )


@lru_cache(maxsize=16)  # all paths of a dtype are held against the same
def balls(variant: Variant, case: ClippedLoop, dtype: str) -> Sequence[Sequence[Enclosure]]:
    """The parameters after each step, as a variant has them."""

    def lifted(arrays: Arrays) -> list[Enclosure]:
        return [Enclosure.exact(round_to(dtype, a), FORMATS[dtype]) for a in arrays]

    steps = [[lifted(gradients) for gradients in window] for window in case.windows]
    hyper = case.hyper._replace(
        **{name: Enclosure.exact(value, FLOAT64) for name, value in case.hyper._asdict().items()}
    )
    found: Sequence[Sequence[Enclosure]] = variant.compute(lifted(case.initial), steps, hyper)
    return found


def _apart(variant: Variant, case: ClippedLoop, place: Place) -> float:
    pair = (balls(one, case, place.dtype) for one in (STEP.torch, variant))
    return farthest(*(chain(*steps) for steps in pair))


def values(case: ClippedLoop, place: Place) -> Verdict:
    """The parameters after each step."""
    expected, got = balls(STEP.torch, case, place.dtype), subject.trained(case, place)
    return judge(
        place,
        case,
        (
            Told(f"parameter {i} after step {t}", ball, numbers)
            for t, (row, own) in enumerate(zip(expected, got, strict=True), start=1)
            for i, (ball, numbers) in enumerate(zip(row, own, strict=True))
        ),
    )
