"""What is to be said of a training loop, once accounts of it have been proven, or none has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product

import numpy as np

from oracles.harness.candidates import Candidate
from oracles.harness.cases.smallest import apart
from oracles.harness.evidence.fits.answer import (
    BY_CHANCE,
    IN_ORDER,
    Example,
    FitIdentification,
    Seen,
)
from oracles.harness.evidence.fits.hunt import Hunt
from oracles.harness.evidence.fits.settings import (
    BATCHED,
    CROWD,
    LONG,
    MANY,
    ROWS,
    Setting,
    by_hand,
    firsts,
)
from oracles.harness.subjects.fits.fit import Fit
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.training.batches import FULL
from oracles.harness.training.loop import PLAIN, SCALES, Loop


def answered(hunt: Hunt, loops: list[Loop]) -> FitIdentification:
    """What is to be said, once accounts have been proven on all rows at once."""
    rest = [s for s in hunt.settings if s not in hunt.full]
    everywhere = hunt.sifted(list(hunt.batched(loops)), hunt.settings)
    proven = [loop for loop in everywhere if hunt.holds(loop, rest)]
    whole = hunt.sifted(proven, hunt.crowded) if proven else []
    limits = "" if whole else f"; {LIMITS[CROWD if proven else rest[0].m]}"
    left = whole or proven or [replace(loop, batches=FULL) for loop in loops]
    asked = [*(hunt.settings if proven else hunt.full), *hunt.far, *(hunt.crowded if whole else ())]
    short = [setting for setting in hunt.far if setting.epochs[-1] < LONG]
    fits = simplest(left)
    flags = {loop.bias_decayed for loop in left if loop.candidate.names == fits[0].candidate.names}
    form = str(hunt.evidence.form)
    return FitIdentification(
        hunt.evidence.box.name,
        tuple(fits),
        tuple(torchs(hunt, fits[0], hunt.settings if proven else hunt.full)),
        hunt.ruled_out,
        limits=limits,
        untold=(*losses(fits[0], left), *untold(hunt)),
        form=form,
        written=tuple(hunt.evidence.box.values.items()),
        bias=hunt.evidence.biased and hunt.decaying and len(flags) == 1,
        example=example(hunt, fits[0]),
        seen=Seen.of(asked, hunt.evidence.steepest(fits[0], short)),
    )


LIMITS = {
    BATCHED: "this holds on all rows at once; in batches it follows no known account (are the rows "
    "in another order?)",
    MANY: f"this holds on {ROWS} rows; on {MANY} it follows no known account (has it batches of a "
    "size of its own?)",
    CROWD: f"this holds on few rows; on {CROWD:,} it follows no known account (has it batches of a "
    "size of its own, or is it another where rows are many?)",
}
"""What is said where an account holds on few rows only."""


def simplest(loops: Iterable[Loop]) -> list[Loop]:
    """Those that differ from torch's rule in the fewest places, one for each rule."""
    ordered = sorted(loops, key=lambda loop: loop.complexity)
    least = [loop for loop in ordered if loop.complexity == ordered[0].complexity]
    return firsts(least, lambda loop: loop.candidate.names)


def torchs(hunt: Hunt, loop: Loop, settings: Sequence[Setting]) -> list[Loop]:
    """The same loop as torch's rule on a mean, or on a sum, with numbers of its own."""
    if loop.torchs and loop.loss.reduction == "mean":
        return []
    decays = SCALES if hunt.decaying else [""]
    found = [
        replace(
            loop,
            loss=replace(loop.loss, reduction=reduction),
            candidate=Candidate(hunt.rule),
            lr=lr,
            weight_decay=decay,
        )
        for reduction in ("mean", "sum")
        for lr, decay in sorted(product(SCALES, decays), key=lambda pair: -pair.count(""))
    ]
    told = (loop.loss.reduction, loop.candidate.names, loop.lr, loop.weight_decay)
    others = [o for o in found if (o.loss.reduction, frozenset(), o.lr, o.weight_decay) != told]
    for setting in settings:
        others = [other for other in others if hunt.evidence.near(other, setting)]
    return [other for other in others if hunt.holds(other, settings)][:1]


def losses(loop: Loop, left: Iterable[Loop]) -> Iterator[str]:
    """Other losses with which the same rule holds, because it hardly sees their scale."""
    same = [other for other in left if replace(other, loss=loop.loss) == loop]
    words = [str(other.loss) for other in same if other.loss != loop.loss]
    if words:
        yield f"the same rule on {', or '.join(words)} leads to the same"


def untold(hunt: Hunt) -> Iterator[str]:
    """What these settings cannot tell, and what would."""
    h = hunt.settings[0].h
    taken = hunt.evidence.box.takes(h._fields)
    for convention in hunt.rule.conventions[1:]:
        names = convention.parts & {*h._fields} - {"batch_size"}
        if "schedule" in convention.parts and all(n in taken or getattr(h, n) for n in names):
            yield (
                f"{convention.name} ({convention.equation}) is the same while the learning rate "
                "stays what it is"
            )
    for name in ("weight_decay", "momentum"):
        if name in h._fields and name not in taken and not getattr(h, name):
            yield f"it takes no {name}: what it would do with one is not known"
    if hunt.evidence.reading.hidden:
        yield "it has a bias that it does not return, and that starts at 0"
    if not hunt.evidence.start_seen:
        yield "it takes neither 0 epochs nor a learning rate of 0; that it starts at 0 is assumed"


def example(hunt: Hunt, loop: Loop) -> Example | None:
    """An answer on two rows that torch's rule on the mean of the losses would not give."""
    torch = replace(
        loop,
        loss=replace(loop.loss, reduction="mean"),
        candidate=Candidate(hunt.rule),
        lr="",
        weight_decay="",
    )
    setting = by_hand(hunt.settings)
    try:
        start, rows = hunt.evidence.seen(setting)
    except SubjectError:  # the number of features may be written in it
        return None
    data, plan = hunt.evidence.data(setting), setting.plan(torch.batches)
    run = torch.run(data, plan, setting.h, start, PLAIN)
    for epoch, (got, point) in enumerate(zip(rows, run, strict=True), 1):
        expected = np.concatenate(hunt.evidence.shown(point))
        if apart(got, expected, np.abs(expected).max()):
            numbers = tuple(map(float, got)), tuple(map(float, expected))
            return Example(setting.given, epoch, *numbers, str(torch.loss))
    return None


def together(found: Sequence[FitIdentification]) -> FitIdentification:
    """The answers for several rules that are equally simple, as one."""
    names = [one.fits[0].candidate.rule.name for one in found]
    own = (one for one in found if not one.fits[0].candidate.goes_by(names))
    found = sorted(own, key=lambda one: one.fits[0].complexity)
    least = [one for one in found if one.fits[0].complexity == found[0].fits[0].complexity]
    return replace(least[0], fits=tuple(loop for one in least for loop in one.fits))


def unknown(box: Fit, hunts: Sequence[Hunt]) -> FitIdentification:
    """What is to be said where nothing holds."""
    near = max((hunt.nearest for hunt in hunts if hunt.nearest), default=None)
    left = box.unknown(tuple({n for hunt in hunts for n in hunt.rule.hyper()._fields}))
    limits = f"; what {', '.join(left)} may mean is not known" if left else ""
    out = sum(hunt.ruled_out for hunt in hunts)
    return FitIdentification(box.name, (), (), out, near, limits, order=order(hunts[0]))


def order(hunt: Hunt) -> str:
    """What is to be said of the order of rows, which nothing hangs on where any gives the same."""
    last = hunt.settings[-1]
    with suppress(SubjectError):
        if hunt.evidence.random(last):
            return BY_CHANCE
        if hunt.evidence.in_any_order(last):
            return ""
    return IN_ORDER
