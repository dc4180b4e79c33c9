"""Questions about gradients that ranks share: whose they are, and how they are clipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import strategies as st

from oracles.harness.loop.question import EVERYTHING, Question, rejections
from oracles.harness.loop.ranks import asked
from oracles.harness.loop.ranks.asked import agreed, judged, places, trainings, words, world
from oracles.harness.subjects import checkpointed, processes, ranks, sharded
from oracles.harness.subjects.subject import Place
from oracles.harness.training import shards as cases
from oracles.harness.training.ranks import Held, Told, enclosed, separation, trajectory
from oracles.harness.training.shards import Training
from oracles.harness.verdict import Verdict
from oracles.loop.compressed import PARTS as COMPRESSED
from oracles.loop.part import Variant
from oracles.loop.ranks import SHARING, STEPPED, Sharing
from oracles.loop.sharded import CLIPPING, Clipping

MEAN, CLIPS = "mean over ranks", "clips by the norm of all shards"
STATES = "its states are those of one optimizer"

SGD, ADAMW = STEPPED


@dataclass(frozen=True)
class Wrapper:
    """A part of torch that shares gradients, and what it is asked.

    Attributes:
        errand: how.
        where: in which worlds; the first one is asked what it is not.
        options: what it can be told.
        several: whether each parameter has a group of its own.
        sharing: how it shares, torch's way first.
        clipping: how gradients are clipped, likewise; none is for those that clip elsewhere.
        devices: where torch lets it.
    """

    errand: processes.Errand
    where: tuple[tuple[str, str], ...]
    options: Iterable[str] = ()
    several: bool = False
    sharing: tuple[Variant, ...] = SHARING
    clipping: tuple[Clipping, ...] = CLIPPING
    devices: tuple[str, ...] = ("cpu", "cuda")

    def groups(self, rule: Any = SGD, *, decays: bool = False) -> st.SearchStrategy[Any]:
        """Hyperparameters of its groups."""
        return st.tuples(*[cases.hypers(rule, decays=decays)] * (3 if self.several else 1))

    def leads(self, training: Training, place: Place, way: Variant) -> Held:
        """Where a way of sharing or of clipping leads, with torch's way of the other."""
        sharing = way if isinstance(way, Sharing) else self.sharing[0]
        assert isinstance(sharing, Sharing)
        clipping = way if isinstance(way, Clipping) else CLIPPING[0]
        numbers = enclosed(place.dtype)
        return trajectory(training, world(place), sharing, numbers, clipping)

    def apart(self, way: Variant, training: Training, place: Place) -> float:
        """How far torch's way leads from another one."""
        origin = self.leads(training, place, self.sharing[0])
        return separation(origin, self.leads(training, place, way))

    def fits(self, training: Training, place: Place, told: Told) -> Iterator[str]:
        """The ways that explain what was told."""
        ways = (*self.sharing, *(self.clipping[1:] if training.most else ()))
        return asked.fitting(ways, partial(self.leads, training, place), told)


WRAPPERS = {
    "DistributedDataParallel": Wrapper(
        ranks.data_parallel,
        (asked.PAIR, asked.EXACT_PAIR, asked.TRIO, asked.QUARTET),
        ranks.DATA_PARALLEL,
        clipping=(CLIPPING[0], CLIPPING[4]),
    ),
    "fully_shard": Wrapper(
        sharded.fully_sharded,
        (asked.PAIR, asked.TRIO, asked.ROWS),
        (sharded.EACH, sharded.GATHERED),
        sharing=(*SHARING[:3], SHARING[4]),
        devices=("cpu", "cuda") if sharded.shards() else ("cuda",),
    ),
    "ZeroRedundancyOptimizer": Wrapper(
        ranks.data_parallel,
        (asked.PAIR, asked.EXACT_PAIR, asked.TRIO),
        ranks.PARTITIONED,
        several=True,
        sharing=SHARING[:1],
        clipping=(),
    ),
    **{
        part.name: Wrapper(
            ranks.data_parallel,
            (asked.PAIR, asked.TRIO),
            ("small buckets",),
            sharing=part.variants,
            clipping=(),
            devices=("cuda",) if part.name == "bf16_compress_hook" else ("cpu", "cuda"),
        )
        for part in COMPRESSED
    },
}
"""Who is asked, by the names of torch."""


def _starts_apart(training: Training, place: Place) -> bool:
    return "the same graph" in training.options and len(training.shards[0]) > 1


def _goes_on_apart(training: Training, place: Place) -> bool:
    return "the same graph" in training.options and any(len(s) > 1 for s in training.shards[1:])


REGIONS = {
    **EVERYTHING,
    "a static graph first seen inside no_sync": _starts_apart,
    "a static graph later inside no_sync": _goes_on_apart,
}


def questions(part: str) -> tuple[Question, ...]:
    """What is asked about a part that shares gradients."""
    wrapper = WRAPPERS[part]
    everywhere = partial(places, part, *wrapper.where, devices=wrapper.devices)
    drawn = partial(_trainings, wrapper)
    wrong_ways = (*wrapper.sharing[1:], *wrapper.clipping[1:])
    clips = (
        Question(
            part,
            CLIPS,
            partial(drawn, most=st.sampled_from((1.0, 4.0, 16.0))),
            partial(followed, wrapper),
            everywhere,
            regions=REGIONS,
        ),
    )
    states = (Question(part, STATES, drawn, consolidated, everywhere),)
    return (
        Question(
            part, MEAN, drawn, partial(followed, wrapper), everywhere, regions=REGIONS, weight=2
        ),
        *(states if wrapper.several else ()),
        *(clips if wrapper.clipping else ()),
        *rejections(
            part,
            wrong_ways,
            partial(_telling, wrapper),
            partial(followed, wrapper),
            wrapper.apart,
            partial(places, part, wrapper.where[0], devices=wrapper.devices),
            REGIONS,
        ),
    )


def _trainings(wrapper: Wrapper, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Training]:
    """Of either rule, with its groups; few are asked, and each shows what is shared late."""
    return (
        st.sampled_from(STEPPED)
        .flatmap(
            lambda rule: trainings(
                [rule], groups=wrapper.groups(rule), options=words(wrapper.options), **fixed
            )
        )
        .filter(_accumulates)
    )


def _accumulates(training: Training) -> bool:
    """Whether some step has several micro-batches; a static graph need not be seen in them."""
    return "the same graph" in training.options or any(len(step) > 1 for step in training.shards)


def _telling(wrapper: Wrapper, way: Variant) -> st.SearchStrategy[Training]:
    """Trainings on which a way may be shown not to be torch's."""
    rule = ADAMW if way.name == "parameters_averaged" else SGD
    return trainings(
        [rule],
        groups=wrapper.groups(rule, decays=True),
        shards=cases.shards(
            micros=(2, 3) if "micro" in way.name else (1, 3),
            unequal=way.name == "weighted_by_rows",
        ),
        most=st.just(1.0 if isinstance(way, Clipping) else None),
    )


def followed(wrapper: Wrapper, training: Training, place: Place) -> Verdict:
    """Each rank is, after each step, where torch's rule and torch's way of sharing lead."""
    told: Told = processes.ask(world(place), wrapper.errand, training, place)
    expected = wrapper.leads(training, place, wrapper.sharing[0])
    return judged(place, training, told, expected, partial(wrapper.fits, training, place, told))


def consolidated(training: Training, place: Place) -> Verdict:
    """What ranks keep apart is, once gathered, what one optimizer keeps, and goes on as that."""
    told = processes.ask(world(place), checkpointed.partitions, training, place)
    return agreed(place, training, told)
