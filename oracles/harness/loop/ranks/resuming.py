"""Questions about checkpoints: what asking for them does, and who goes on from them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from oracles.harness.loop.question import EVERYTHING, Question, Region
from oracles.harness.loop.ranks import asked
from oracles.harness.loop.ranks.asked import agreed, judged, places, trainings, words, world
from oracles.harness.subjects import checkpointed, processes
from oracles.harness.subjects.checkpointed import LATER
from oracles.harness.subjects.subject import Place
from oracles.harness.training import shards as cases
from oracles.harness.training.ranks import Told, enclosed, resumed, trajectory
from oracles.harness.training.shards import Training
from oracles.harness.verdict import Verdict
from oracles.loop.ranks import STEPPED, TORCH
from oracles.rule import Rule

GROWN, SHRUNK, ALONE = "2 ranks, then 3", "3 ranks, then 2", "2 ranks, then 1"
"""Worlds that save, and those that go on."""


@dataclass(frozen=True)
class Resumed:
    """A training that is saved after so many steps.

    Attributes:
        training: what is trained; its rates are halved by a scheduler.
        among: how many steps are taken before.
        scheduled: whether the optimizer that goes on has its scheduler when it is loaded.
    """

    training: Training
    among: int
    scheduled: bool = True

    def __str__(self) -> str:
        lacking = "" if self.scheduled else ", loaded without a scheduler"
        return f"{self.training}; saved after step {self.among}{lacking}"


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a part that has a state."""
    return {
        "get_state_dict": (
            Question(
                part,
                "asking for a state changes nothing",
                partial(_trainings, options=words(set(checkpointed.WAYS) - {LATER})),
                untouched,
                partial(places, part, asked.PAIR),
                regions={
                    "a state that a step without gradients makes": _made,
                    "fully sharded": lambda training, place: bool(training.options),
                    "decay without a state": _decays,
                },
            ),
        ),
        "set_state_dict": (
            Question(
                part,
                "goes on in another world",
                _resumed,
                goes_on,
                partial(places, part, *((path, "float32") for path in (GROWN, SHRUNK, ALONE))),
                regions=REGIONS,
            ),
            Question(
                part,
                "keeps lr and initial_lr",
                _resumed,
                keeps_rates,
                partial(places, part, asked.PAIR),
                regions=REGIONS,
                weight=2,
            ),
        ),
    }[part]


def _trainings(groups: int = 1, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Training]:
    """Of several groups half are such as all have a state, without which torch loads few."""

    def grouped(rule: Rule, momenta: Sequence[float]) -> st.SearchStrategy[Training]:
        each = [cases.hypers(rule, momenta=momenta)] * groups
        return trainings([rule], groups=st.tuples(*each), **fixed)

    momenta = st.sampled_from(((0.0, 0.5, 0.9), (0.5, 0.9)))
    return st.tuples(st.sampled_from(STEPPED), momenta).flatmap(lambda drawn: grouped(*drawn))


def _resumed() -> st.SearchStrategy[Resumed]:
    three = cases.shards(steps=3).filter(lambda shards: len(shards) > 1)
    halving = st.sampled_from((True, True, True, False))  # rates that change show who keeps them
    drawn = _trainings(3, shards=three, halving=halving, options=words(checkpointed.WAYS))
    return drawn.flatmap(
        lambda training: st.builds(
            Resumed,
            st.just(training),
            st.integers(1, len(training.shards) - 1),
            st.sampled_from((True, True, True, False)),
        )
    )


def _some_stateless(case: Resumed, place: Place) -> bool:
    momenta = [getattr(h, "momentum", 1) for h in case.training.groups]
    return any(momenta) and not all(momenta)


def _stateless(case: Resumed, place: Place) -> bool:
    return not any(getattr(h, "momentum", 1) for h in case.training.groups)


def _decays(training: Training, place: Place) -> bool:
    return any(h.weight_decay and not getattr(h, "momentum", 1) for h in training.groups)


def _tied(case: Resumed, place: Place) -> bool:
    return case.training.tied and LATER not in case.training.options


REGIONS: Mapping[str, Region] = MappingProxyType(
    {
        **EVERYTHING,
        "no state": _stateless,
        "some parameters without a state": _some_stateless,
        "decay without a state": lambda case, place: _decays(case.training, place),
        "no scheduler yet": lambda case, place: not case.scheduled,
        "one parameter of two names, under DDP": _tied,
        "fully sharded": lambda case, place: bool(case.training.options),
    }
)
"""Of whoever goes on from a checkpoint."""


def _made(training: Training, place: Place) -> bool:
    """A count of steps, or a buffer that begins with the decay."""
    (h,) = training.groups
    return training.rule.name != "SGD" or bool(h.momentum and h.weight_decay)


def untouched(training: Training, place: Place) -> Verdict:
    """Whoever asks for a state first is where whoever does not ask is."""
    told: Told = processes.ask(world(place), checkpointed.saved_at_once, training, place)
    expected = trajectory(training, world(place), TORCH, enclosed(place.dtype))
    return judged(place, training, told, expected, lambda: ())


def goes_on(case: Resumed, place: Place) -> Verdict:
    """Both worlds are where one run leads that takes all steps."""
    before, after = (int(word) for word in place.path.split() if word.isdigit())
    training, among = case.training, case.among
    old, new = (place._replace(path=f"{ranks} ranks") for ranks in (before, after))
    with tempfile.TemporaryDirectory(prefix="oracles-checkpoint-") as folder:
        first: Told = processes.ask(before, checkpointed.saving, training, old, among, folder)
        second: Told = processes.ask(after, checkpointed.resuming, training, new, among, folder)
    rest = len(training.shards) - among
    points = resumed(training, [before] * among + [after] * rest, enclosed(place.dtype))
    one = judged(place, case, first, [points[:among]] * before, lambda: ())
    other = judged(place, case, second, [points[among:]] * after, lambda: ())
    return one if one.failed else other


def keeps_rates(case: Resumed, place: Place) -> Verdict:
    """The rates that are loaded are those that were saved, and so are those of the start."""
    training, among = case.training, case.among
    with tempfile.TemporaryDirectory(prefix="oracles-checkpoint-") as folder:
        processes.ask(world(place), checkpointed.saving, training, place, among, folder)
        told = processes.ask(
            world(place), checkpointed.rates, training, place, folder, case.scheduled
        )
    wanted = [
        (training.hyper(parameter, among).lr, training.hyper(parameter).lr)
        for parameter, _ in enumerate(training.starts)
    ]
    found = [
        [f"has lr and initial_lr {rates} and not {wanted}"] if rates != wanted else []
        for rates in told
    ]
    return agreed(place, case, found)
