"""Questions about tensors that are spread over ranks: steps on them, and their norm."""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS
from oracles.harness.cases.case import single
from oracles.harness.loop.question import Question, Region, wrong
from oracles.harness.loop.ranks import asked
from oracles.harness.loop.ranks.asked import places, world
from oracles.harness.oracle import Oracle
from oracles.harness.subjects import processes, sharded
from oracles.harness.subjects.subject import Place
from oracles.harness.training.shards import SHAPES, Spread, Stepped, spreads
from oracles.harness.verdict import Verdict, held
from oracles.loop.sharded import CLIPPING, SPREAD, whole_norm

Clipped = tuple[tuple[Spread, ...], float]
"""Gradients, and the norm above which they are clipped."""


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about ``DTensor``."""
    return (
        Question(
            part,
            "steps as on one rank",
            _steps,
            followed,
            partial(places, part, asked.PAIR),
            regions=REGIONS,
            weight=2,
        ),
        Question(
            part,
            "a norm counts each element once",
            _norms,
            counted_once,
            partial(places, part, asked.PAIR, asked.TRIO),
            regions={"partial sums": _partial},
        ),
    )


def _of(*rules: str, kernel: str = "", on_shards: bool = False) -> Region:
    """Steps of such rules: by such a kernel only, or on shards only, if told so."""
    return lambda case, place: (
        case.rule.name in rules
        and kernel in ("", case.kernel)
        and not (on_shards and case.spread.dealt == "Replicate()")
    )


def _axis(spread: Spread) -> int | None:
    """Along which axis a tensor is dealt, if it is."""
    dealt = spread.dealt
    return int(dealt[len("Shard(")]) if dealt.startswith("Shard") else None


def _muon(case: Stepped, place: Place) -> bool:
    """Where the axis that is dealt has one element, most ranks hold nothing."""
    axis = _axis(case.spread)
    return case.rule.name == "Muon" and axis is not None and case.spread.shape[axis] == 1


def _narrowed(case: Stepped, place: Place) -> bool:
    """What is dealt unevenly along another axis than the first has gaps in memory."""
    axis = _axis(case.spread)
    if not axis or case.spread.shape[axis] % world(place) == 0:
        return False
    return case.rule.name in ("Adam", "AdamW") and case.kernel == "fused"


def _partial(case: Clipped, place: Place) -> bool:
    return any(spread.dealt == "Partial()" for spread in case[0])


REGIONS = {
    "Rprop on shards": _of("Rprop", kernel="for-loop", on_shards=True),
    "Rprop for-loop": _of("Rprop", kernel="for-loop"),
    "Rprop by lists": _of("Rprop", kernel="foreach"),
    "Adafactor on shards": _of("Adafactor", on_shards=True),
    "Adafactor by lists": _of("Adafactor", kernel="foreach"),
    "fused SGD and Adagrad": _of("SGD", "Adagrad", kernel="fused"),
    "Muon on an axis of one": _muon,
    "fused Adam on uneven columns": _narrowed,
}


def _steps() -> st.SearchStrategy[Stepped]:
    def of(name: str) -> st.SearchStrategy[Stepped]:
        rule = next(rule for rule in SPREAD if rule.name == name)
        shapes = rule.drawing.shapes or SHAPES
        drawn = st.tuples(spreads(shapes), st.sampled_from(sharded.kernels(name)))
        return drawn.map(lambda told: Stepped(rule, *told))

    there = [rule.name for rule in SPREAD if sharded.kernels(rule.name)]
    return st.sampled_from(there).flatmap(of)


def _norms() -> st.SearchStrategy[Clipped]:
    each = st.lists(spreads(partial=True), min_size=1, max_size=3).map(tuple)
    return st.tuples(each, st.sampled_from((1.0, 8.0, 64.0)))


def followed(case: Stepped, place: Place) -> Verdict:
    """An optimizer steps on a parameter that is spread as its rule does on a whole one."""
    values = [case.spread.values(number) for number in range(sharded.STEPS + 1)]
    told = processes.ask(world(place), sharded.stepped, case, place)
    oracle = Oracle(case.rule, single(values[0], values[1:], case.rule.drawing.trial))
    balls, row = oracle().parameters, oracle().row(place.dtype)
    ball = Enclosure(balls.mid[row], balls.rad[row], FORMATS[place.dtype])
    for rank, values in enumerate(told):
        if not ball.contains(values).all():
            return wrong(place, case, f"rank {rank} has {values} and not {ball}")
    return held([ball] * len(told), measured=oracle.measured)


def counted_once(case: Clipped, place: Place) -> Verdict:
    """The norm is that of whole gradients, and they are scaled by it everywhere."""
    spread, most = case
    number, format = world(place), FORMATS[place.dtype]
    gradients = [Enclosure.exact(each.values().ravel(), format) for each in spread]
    length = whole_norm(gradients, number)
    left = CLIPPING[0].compute(gradients, most, number)
    told = processes.ask(number, sharded.clipped, spread, most, place)
    for rank, (norm, rest) in enumerate(told):
        if not length.contains(norm):
            return wrong(place, case, f"rank {rank} has the norm {norm} and not {length}")
        for ball, values in zip(left, rest, strict=True):
            if not ball.contains(values).all():
                return wrong(place, case, f"rank {rank} is left with {values} and not {ball}")
    return held([length, *left] * len(told))
