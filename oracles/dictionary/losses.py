"""Gradients of a sum where the mean's were meant, and an objective that weighs them otherwise.

n is the batch size; where k micro-batches' mean losses are added up, n is k. SGD on gradients that
are n times as large is SGD at a rate n times smaller, and rules that divide by a root of squares do
not notice, if what they add to gradients (ε, λw) is n times as large, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from oracles.dictionary.decays import LR_SCALED, SHRINKING
from oracles.dictionary.entry import (
    ALWAYS,
    TORCHS,
    Change,
    Entry,
    Manner,
    Range,
    Refusal,
    alike,
    both,
    constant,
    off,
    pair,
)
from oracles.dictionary.momenta import NO_NESTEROV
from oracles.drawing import Hyper
from oracles.numerics import Scalar
from oracles.optimizers.registry import RULES

REASON = "the gradient of a sum of n losses is n times that of their mean"

NONE: Manner = frozenset()

Scale = Mapping[str, int]
"""By which power of n a hyperparameter grows with the gradients."""


def _scaled(h: Hyper, powers: Scale, n: Scalar) -> dict[str, Any]:
    return {name: getattr(h, name) * n**power for name, power in powers.items()}


def _rows(h: Hyper) -> Scalar:
    """n, as a number that divides exactly."""
    return h.batch_size + 0 * h.lr


def _changes(powers: Scale, *, remembers: bool = False) -> tuple[Change, Change]:
    """From the sum's numbers to the mean's and back."""

    def to_mean(h: Hyper, before: Hyper, t: int) -> dict[str, Any]:
        ratio = {"momentum": h.momentum * _rows(before) / _rows(h)} if remembers else {}
        return {**_scaled(h, powers, 1 / _rows(h)), **ratio}

    def to_sum(h: Hyper, before: Hyper, t: int) -> dict[str, Any]:
        ratio = {"momentum": h.momentum * _rows(h) / _rows(before)} if remembers else {}
        return {**_scaled(h, powers, _rows(h)), **ratio}

    return to_mean, to_sum


SIGNS = {-1: ("·n", "/n"), 1: ("/n", "·n"), 2: ("/n²", "·n²")}


def _both_ways(
    rule: str, powers: Scale, *, remembers: bool = False, **options: Any
) -> Iterator[Entry]:
    momenta = ("momentum_t = μ·n_{t−1}/n_t", "momentum_t = μ·n_t/n_{t−1}")
    there, back = (
        ", ".join(
            [f"{name} = {name}{SIGNS[power][way]}" for name, power in powers.items()]
            + [momentum] * remembers
        )
        for way, momentum in enumerate(momenta)
    )
    to_mean, to_sum = _changes(powers, remembers=remembers)
    needs = ("batch_size", *(["lr"] if "lr" in powers else []))
    yield from pair(rule, "sum_loss", to_mean, there, to_sum, back, REASON, needs=needs, **options)


def _of_sgd() -> Iterator[Entry]:
    """By whether the decay hangs on the learning rate, and by what the velocity holds.

    γλ stays what it is, whether λw is part of the gradient or shrinks w by γλ.
    """
    apart = SHRINKING - LR_SCALED
    for beside, out in ((NONE, apart), *((frozenset({name}), NONE) for name in sorted(apart))):
        powers = {"lr": -1} | ({} if beside else {"weight_decay": 1})
        kept: dict[str, Any] = {"beside": beside, "without": out}
        steps = {**kept, "beside": beside | {"lr_in_velocity"}}
        yield from _both_ways("SGD", powers, range=ALWAYS, **steps)
        sums = {**kept, "without": out | {"lr_in_velocity", "ema_momentum"}}
        yield from _both_ways("SGD", powers, remembers=True, range=NO_NESTEROV, **sums)
        yield from _both_ways("SGD", powers, range=constant("batch_size"), **kept)


ADAPTIVE: Mapping[str, Scale] = {
    "Adam": {"eps": 1},
    "NAdam": {"eps": 1},
    "Adamax": {"eps": 1},
    "RMSprop": {"eps": 1},
    "SparseAdam": {"eps": 1},
    "Adagrad": {"eps": 1, "initial_accumulator_value": 2},
}
"""Rules whose step does not notice how large gradients are, and what must grow with them. (RAdam's
does until it is rectified.)"""


def _of_the_adaptive() -> Iterator[Entry]:
    for rule, powers in ADAPTIVE.items():
        out: Manner = frozenset({"eps_inside", "rootless", "accumulator_one", "accumulator_tenth"})
        options: dict[str, Any] = {"range": constant("batch_size")}
        if rule == "SparseAdam":
            yield from _both_ways(rule, powers, without=out, **options)
            continue
        coupled = {**powers, "weight_decay": 1}
        yield from _both_ways(rule, coupled, without=out | SHRINKING, **options)
        for decay in sorted(SHRINKING - {"decay_drift", "decoupled_batch_scaled", "switched"}):
            beside = frozenset({decay})
            yield from _both_ways(rule, powers, without=out, beside=beside, **options)


def _unnoticed() -> Iterator[Entry]:
    """Where the sum's gradients make no other step than the mean's."""
    by_size = frozenset({"magnitude"})
    yield from alike("Rprop", "sum_loss", ALWAYS, "it goes by signs", without=by_size)
    for rule in RULES:
        if rule == "AdamW":
            continue  # AdamW is Adam with decoupled_lr
        beside = by_size if rule == "Rprop" else NONE
        one_row: dict[str, Any] = {"beside": beside, "needs": ("batch_size",)}
        yield from alike(rule, "sum_loss", off("batch_size"), **one_row)


OPTIMUM = Range(
    "where training ends: solvers of the same objective take steps of their own",
    lambda schedule: True,
)
SOME = Range("the strength is not 0", lambda schedule: all(h.weight_decay != 0 for h in schedule))


def _strength(h: Hyper, before: Hyper, t: int) -> dict[str, Any]:
    return {"weight_decay": 1 / (h.weight_decay * _rows(h))}


def _objectives() -> Iterator[Entry]:
    """½|w|² + C Σ losses is Cn times mean loss + ½λ|w|² with λ = 1/(Cn)."""
    yield from pair(
        "SGD",
        "inverse_strength",
        _strength,
        "weight_decay = 1/(n·C)",
        _strength,
        "C = 1/(n·λ)",
        "½|w|² + C Σ losses is Cn times the mean loss + ½λ|w|² with λ = 1/(Cn)",
        range=both(OPTIMUM, SOME),
        without=SHRINKING,
        needs=("batch_size",),
    )


def entries() -> Iterator[Entry]:
    """Of all rules, those that hold more widely first."""
    yield from _of_sgd()
    yield from _of_the_adaptive()
    yield from _unnoticed()
    yield from _objectives()


REFUSALS = (
    Refusal(
        rules=frozenset({"RAdam"}),
        one="sum_loss",
        other=TORCHS,
        reason="until it is rectified RAdam follows the momentum itself, which grows with the "
        "gradients, and afterwards a quotient that does not",
    ),
    Refusal(
        rules=frozenset({"SGD", *ADAPTIVE}),
        one="sum_loss",
        other=TORCHS,
        reason="what is remembered of earlier batches was scaled by their sizes, not by this one's",
    ),
)
