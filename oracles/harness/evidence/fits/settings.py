"""What a training loop is asked: from a learning rate alone to everything at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from oracles.drawing import Hyper
from oracles.harness.subjects.fits.fit import Fit
from oracles.harness.training.batches import Batches, Plan
from oracles.harness.training.data import HANDFUL
from oracles.rule import Convention, Rule

T = TypeVar("T")

EPOCHS = 5
"""How many are asked for: the least number at which moments, corrections and decay all show."""


LONG = 60
"""The same of the long run, after which alone it is asked."""


LR = 0.02
"""Low, so that what one step rounds is not magnified by the steps after it: 2γΣ|x|² is about 1."""


DECAY = 0.9
"""High, so that what is only nearly a decay of γλ shows in float32 as well: (γλ)² is 3e-4."""

LARGE, SMALL = 1.0, 1e-4
"""Learning rates far from it. At a larger one a sum of losses would leave float32's sigmoids."""

ROWS, FEWER, BATCHED, BATCH, MANY = 7, 5, 8, 3, 150
"""Rows of most settings; of one more, to tell λ from λ/m; of those in batches, whose last one is
short, and the size; of the one that shows a size which is written in the code."""

CROWD, SHARE = 1000, 300
"""Rows of what is asked last, and the size of batches there: λ, too, may hang on how many."""


PLAINLY = "a learning rate alone"


TOLD = (Batches("short"), Batches("dropped"), Batches("single"), Batches())
"""What code that takes a batch size may do with it."""


UNTOLD = (
    Batches(),
    Batches("short", 1),
    Batches("single", 1),
    *(Batches("short", n) for n in (8, 10, 16, 20, 32, 50, 64, 100, 128)),
)
"""What code that takes none may do."""


@dataclass(frozen=True)
class Setting:
    """What is asked of a loop: so many rows, a batch size, hyperparameters, after which epochs."""

    what: str
    m: int
    batch: int
    h: Hyper
    given: tuple[tuple[str, Any], ...]
    epochs: tuple[int, ...]

    def plan(self, batches: Batches) -> Plan:
        """The batches of each epoch."""
        return batches.plan(self.m, self.batch, self.epochs[-1])

    def changed(
        self, what: str, epochs: tuple[int, ...], m: int, batch: int, **values: float
    ) -> Setting:
        """The same on so many rows, with other values of what is given."""
        given = tuple((name, values.get(name, value)) for name, value in self.given)
        h = self.h._replace(**{name: value for name, value in given if name in values})
        return Setting(what, m, batch, h, given, epochs)

    def active(self, convention: Convention) -> bool:
        """Whether the hyperparameters that a convention is about are on."""
        parts = convention.parts & {*self.h._fields} - {"batch_size"}
        return all(getattr(self.h, name) for name in parts)


def settings(rule: Rule, box: Fit) -> list[Setting]:
    """Plain first, then all that it takes at once, and with each thing left out; then batches.

    >>> def fit(X, y, lr, l2, epochs, batch_size): ...
    >>> from oracles import RULES
    >>> for setting in settings(RULES["SGD"], Fit(fit)):
    ...     print(setting.what)
    a learning rate alone
    weight_decay
    weight_decay on 5 rows
    a learning rate alone in batches
    weight_decay in batches
    """
    taken = box.takes(rule.hyper()._fields)
    default = rule.hyper(**{k: v for k, v in box.values.items() if k in rule.hyper()._fields})
    spans = {n: s for n, s in rule.drawing.full.hyper.items() if n in taken and n != "lr"}
    values = {n: float(np.cbrt(low * high * high)) for n, (low, high) in spans.items()}
    values |= {"weight_decay": DECAY} if "weight_decay" in values else {}
    off = {n: 0.0 for n in values if not getattr(rule.hyper(), n)}
    switches = [n for n, v in default._asdict().items() if isinstance(v, bool) and n in taken]
    most = max((EPOCHS, *rule.drawing.steps))
    rate = {"lr": LR} if "lr" in taken else {}

    def setting(
        what: str, m: int, batch: int, changed: dict[str, Any], epochs: int = most
    ) -> Setting:
        h = default._replace(**rate, **values | dict.fromkeys(switches, False) | changed)
        if rule.constraint(h):  # without momentum Nesterov's is gradient descent
            h = h._replace(**{n: False for n, v in box.values.items() if isinstance(v, bool)})
        names = [n for n in h._fields if n in taken]
        given = tuple((n, getattr(h, n)) for n in names)
        return Setting(what, m, batch, h, given, (*range(1, epochs + 1),))

    all_on = ", ".join(off) or PLAINLY
    found = [setting(PLAINLY, ROWS, ROWS, off), setting(all_on, ROWS, ROWS, {})]
    if len(off) > 1:
        found += [setting(f"{all_on} without {n}", ROWS, ROWS, {n: 0.0}) for n in off]
    found += [setting(n, ROWS, ROWS, {n: True}) for n in switches if n != "maximize"]
    found.append(setting(f"{all_on} on {FEWER} rows", FEWER, FEWER, {}))
    if "batch_size" in box.takes(()):
        found.append(setting(f"{PLAINLY} in batches", BATCHED, BATCH, off))
        found.append(setting(f"{all_on} in batches", BATCHED, BATCH, {}))
    else:
        found.append(setting(f"{all_on} on {MANY} rows", MANY, MANY, {}, epochs=1))
    allowed = [s for s in found if rule.constraint(s.h) is None]
    return firsts(allowed, lambda s: (s.m, s.batch, s.given))


def firsts(items: Iterable[T], alike: Callable[[T], Any]) -> list[T]:
    """One of those that are alike: the first.

    >>> firsts(["one", "two", "other"], len)
    ['one', 'other']
    """
    found: dict[Any, T] = {}
    for item in items:
        found.setdefault(alike(item), item)
    return [*found.values()]


def everything(asked: Sequence[Setting]) -> Setting:
    """The setting with all on that a loop takes."""
    return asked[1] if len(asked) > 1 else asked[0]


def far_off(rule: Rule, asked: Sequence[Setting]) -> list[Setting]:
    """What only those are asked who held: what is only seen of other numbers, or in the end.

    Rates are halved after some epochs, gradients clipped, decays capped, and training is stopped
    where a loss hardly falls. Each is asked once, after the last epoch.
    """
    most = everything(asked)
    names = [n for n, _ in most.given if n != "lr"]
    domains = {n: d for n, d in rule.drawing.domains.items() if n in names and d.high > d.low}
    lows, highs = ({n: getattr(d, end) for n, d in domains.items()} for end in ("low", "high"))

    def setting(epochs: int = max(most.epochs), **values: float) -> Setting:
        given = ", ".join(f"{n}={values.get(n, v):g}" for n, v in most.given)
        what = f"{given or PLAINLY} over {epochs} epochs"
        return most.changed(what, (epochs,), most.m, most.batch, **values)

    found = (
        setting(LONG),
        setting(lr=LARGE, **lows),
        setting(lr=SMALL),
        setting(**highs),
        by_hand(asked),
    )
    return [s for s in found if rule.constraint(s.h) is None]


def crowded(box: Fit, asked: Sequence[Setting]) -> Setting:
    """All on many rows, over two epochs: a decay of weights that start at 0 is seen after one."""
    batch = SHARE if "batch_size" in box.takes(()) else CROWD
    return everything(asked).changed(f"{CROWD:,} rows", (2,), CROWD, batch)


def by_hand(asked: Sequence[Setting]) -> Setting:
    """The same with round numbers, on two rows."""
    return everything(asked).changed("numbers by hand", (1, 2, 3), HANDFUL, HANDFUL, **HALVES)


HALVES = {"lr": 0.5, "weight_decay": 0.5, "momentum": 0.5}
"""Round numbers."""
