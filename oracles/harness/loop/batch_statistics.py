"""Questions about ``update_bn``: the statistics it takes, and the model it leaves."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FLOAT64, FORMATS, round_to
from oracles.harness.arithmetic.radii import farthest
from oracles.harness.cases import batch_statistics as cases
from oracles.harness.cases.batch_statistics import Data, Pass
from oracles.harness.loop.judging import Told, judge
from oracles.harness.loop.question import Question, rejections, wrong
from oracles.harness.subjects import batch_statistics as subject
from oracles.harness.subjects.subject import Place
from oracles.harness.verdict import INSIDE, Verdict
from oracles.loop.batch_statistics import PART, Statistics
from oracles.loop.part import Variant


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a pass that takes statistics anew."""
    places = partial(subject.places, part)
    drawn = partial(cases.data, known_momentum=True)
    return (
        Question(part, "statistics", cases.data, statistics, places),
        Question(part, "leaves the model as it was", cases.passes, leaves, places, LEFT, weight=5),
        *rejections(part, PART.variants[1:], lambda _: drawn(), statistics, _apart, places),
    )


@lru_cache(maxsize=16)  # all paths of a dtype are held against the same
def balls(variant: Variant, case: Data, dtype: str) -> tuple[Enclosure, Enclosure]:
    """Mean and variance as a variant takes them."""

    def lifted(values: Any) -> Enclosure:
        return Enclosure.exact(round_to(dtype, values), FORMATS[dtype])

    before = Statistics(lifted(case.mean), lifted(case.var), case.tracked)
    momentum = Enclosure.exact(case.momentum or 0.0, FLOAT64)
    mean, var, *_ = variant.compute([lifted(batch) for batch in case.batches], before, momentum)
    return mean, var


def _apart(variant: Variant, case: Data, place: Place) -> float:
    return farthest(*(balls(one, case, place.dtype) for one in (PART.torch, variant)))


def statistics(case: Data, place: Place) -> Verdict:
    """Means of means and of variances; the momentum is what it was."""
    expected, told = balls(PART.torch, case, place.dtype), list[Told]()
    for layer, (before, (*got, tracked, momentum)) in enumerate(subject.taken(case, place)):
        if tracked != len(case.batches):
            return wrong(place, case, f"has tracked {tracked} batches in layer {layer}")
        if momentum != before:
            return wrong(place, case, f"leaves momentum={momentum} in layer {layer}")
        for name, ball, own in zip(("mean", "variance"), expected, got, strict=True):
            told.append(Told(f"the {name} of layer {layer}", ball, np.asarray(own)))
    return judge(place, case, told)


def leaves(case: Pass, place: Place) -> Verdict:
    """Momentum and modes are put back, also if the loader raises; what has no layer is not run."""
    if strayed := subject.left(case, place):
        return wrong(place, case, strayed)
    return Verdict(INSIDE, elements=1)


LEFT = {
    "no statistics": lambda case, place: case.layer == "bare",
    "an error on the way": lambda case, place: case.fails and case.normalized,
    "modules of several modes": lambda case, place: case.normalized and len({*case.training}) > 1,
}
