"""Every translation holds where it says so, parts outside, and what is refused cannot be had."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles.reports
from oracles import cli
from oracles.dictionary.counterexample import text
from oracles.dictionary.decays import FORMS, OWN_NAMES, called
from oracles.dictionary.entry import IGNORED, SPOKEN, Entry, Manner, Refusal, same, taken
from oracles.dictionary.frameworks import PRESETS
from oracles.dictionary.losses import ADAPTIVE
from oracles.dictionary.momenta import STOPPED
from oracles.dictionary.preset import spoken_as_adam
from oracles.dictionary.refusing import refusal
from oracles.dictionary.table import ENTRIES, REFUSALS
from oracles.dictionary.way import Way, way
from oracles.drawing import Hyper
from oracles.harness.arguments import Argument
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.fits.answer import FitIdentification
from oracles.harness.evidence.sifting import Exceptional
from oracles.harness.subjects.blackbox import Function
from oracles.harness.training.batches import FULL, Batches
from oracles.harness.training.loop import Loop
from oracles.harness.training.losses import Loss
from oracles.identification import Identification, identify
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from oracles.translation import Speaker, translate
from tests.support.functions import batch_scaled
from tests.support.manners import (
    DEGENERATE,
    OFF,
    alike,
    conditions,
    drawn,
    lifted,
    meeting,
    run,
    trade,
    values,
)
from tests.support.many_bits import BITS

F = Fraction
SCHEMA = json.loads(
    (Path(oracles.reports.__file__).parent / "translation.schema.json").read_bytes()
)
seeds = st.integers(0, 2**32 - 1)

OPTIMA = frozenset({"inverse_strength"})
"""Entries about where training ends, and not about trajectories."""

OURS: list[tuple[str, Entry]] = [
    (rule, entry)
    for rule, entries in ENTRIES.items()
    for entry in entries
    if not {entry.drops, entry.adds} & OPTIMA
]


def known(entry: Entry) -> str:
    return f"{entry.rule}: {entry.drops or 'torch'} to {entry.adds or 'torch'}, {entry.range.words}"


def held(rule: str, entry: Entry, rng: random.Random, also: Manner = frozenset()) -> None:
    with mpmath.workprec(BITS):
        schedule = meeting(entry, drawn(RULES[rule], rng))
        assert entry.range.holds(schedule), known(entry)
        drew = values(RULES[rule], rng)
        assert trade(entry, RULES[rule], schedule, drew, also), (known(entry), also)


def company(rule: str, entry: Entry, spoken: Iterable[str] = ()) -> list[Manner]:
    """What an entry says it holds beside: each convention that can be had with its own."""
    alone = (entry.beside | {entry.drops}) - {""}
    lines = frozenset().union(*(taken(RULES[rule], name) for name in alone))
    return [
        frozenset({name})
        for name in (*(c.name for c in RULES[rule].conventions[1:]), *spoken)
        if not taken(RULES[rule], name) & lines
        and entry.fits(RULES[rule], alone | {name})
        and not alone & set(OWN_NAMES)
    ]


OUTSIDE: dict[str, list[list[dict[str, Any]]]] = {
    "momentum is not switched on or off": [[{"momentum": F(1, 2)}, {"momentum": F(0)}]],
    "momentum is not 0": [[{"momentum": F(0)}]],
    "momentum is not 1": [[{"momentum": F(1)}]],
    "dampening is not 1": [[{"dampening": F(1)}]],
    "lr is not 0": [[{"lr": F(1)}, {"lr": F(0)}]],
    "lr times weight_decay is not 1": [[{"lr": F(1, 2), "weight_decay": F(2)}]],
    "lr_decay < 1": [[{"lr_decay": F(1)}], [{"lr_decay": F(2)}]],
    "alpha < 1": [[{"alpha": F(1)}], [{"alpha": F(-1)}]],
}
"""Conditions that all that is drawn meets: what does not."""


class TestEntries:
    """In fractions and in 200 bits: both trajectories are one."""

    def test_each_holds_where_it_says_so(self) -> None:
        rng = random.Random(0)
        for rule, entry in OURS:
            held(rule, entry, rng)

    @given(seed=seeds)
    def test_any_holds_where_it_says_so(self, seed: int) -> None:
        rng = random.Random(seed)
        rule, entry = rng.choice(OURS)
        held(rule, entry, rng, rng.choice([frozenset(), *company(rule, entry)]))

    @pytest.mark.slow
    def test_each_that_changes_numbers_holds_beside_whatever_it_does_not_exclude(self) -> None:
        """Decays, which may hang on the learning rate; what is remembered, or a largest square."""
        rng, tried = random.Random(0), 0
        for rule, entry in OURS:
            if entry.change is same or {entry.drops, entry.adds} & set(FORMS):
                continue
            for other in company(rule, entry):
                tried += 1
                held(rule, entry, rng, other)
        assert tried > 1000

    @pytest.mark.slow
    def test_each_holds_beside_what_might_notice_its_numbers(self) -> None:
        """Decay: Adafactor's size of a parameter. Biases: each decay. Sums: what is remembered."""
        rng, tried = random.Random(0), 0
        for rule, entry in OURS:
            decays = {entry.drops, entry.adds} & set(FORMS) and entry.change is not same
            for other in company(rule, entry):
                sized = any("scale" in taken(RULES[rule], name) for name in other)
                summed = rule == "SGD" and "sum_loss" in (entry.drops, entry.adds)
                if (decays and sized) or (entry.vectors and other & set(FORMS)) or summed:
                    for _ in range(3 if sized else 1):
                        tried += 1
                        held(rule, entry, rng, other)
        assert tried > 100

    @pytest.mark.parametrize("condition", OUTSIDE)
    def test_where_there_are_no_numbers_none_are_given(self, condition: str) -> None:
        tried = 0
        for rule, entry in OURS:
            if condition in conditions(entry):
                tried += 1
                h = meeting(entry, drawn(RULES[rule], random.Random(0)))[0]
                for outside in OUTSIDE[condition]:
                    schedule = [h._replace(**values) for values in outside]
                    assert not entry.range.holds(schedule), known(entry)
        assert tried

    @pytest.mark.parametrize("name", [*ADAPTIVE, "SGD"])
    def test_a_sum_of_losses_is_their_mean_with_other_numbers(self, name: str) -> None:
        """Exact ones, also where the batch size is a whole number of Python's."""
        h = exactly(RULES[name].hyper(lr=0.5))._replace(batch_size=3)
        found = way(name, frozenset({"sum_loss"}), frozenset(), [h, h])
        assert found is not None
        reached = found.schedule([h, h])[0]
        grown: dict[str, dict[str, Any]] = {
            "SGD": {"lr": 3},
            "Adagrad": {"eps": F(1, 3), "initial_accumulator_value": F(1, 9)},
        }
        for argument, factor in grown.get(name, {"eps": F(1, 3)}).items():
            value = getattr(reached, argument)
            assert value == getattr(h, argument) * factor
            assert isinstance(value, F)
        formulas = ", ".join(entry.formula for entry in found.entries)
        assert ("initial_accumulator_value/n²" in formulas) == (name == "Adagrad")
        assert ("lr·n" in formulas) == (name == "SGD")

    def test_a_decay_of_the_other_sign_is_the_same_where_nothing_is_maximized(self) -> None:
        flipped = {"decay_sign_flipped": FORMS[0], "decoupled_sign_flipped": "decoupled_lr"}
        for name, (form, right) in product(ENTRIES, flipped.items()):
            if called(RULES[name], form):
                h = exactly(RULES[name].hyper(weight_decay=0.5, lr=0.5))
                for turned in (False, True):
                    schedule = [h._replace(maximize=turned)] * 2
                    found = way(name, side(name, form), side(name, right), schedule)
                    assert (found is None) == turned, (name, form)

    @pytest.mark.slow
    def test_each_parts_outside(self) -> None:
        """With each of its conditions failed by itself, the others met."""
        tried = 0
        for rule, entry in OURS:
            for condition in set(conditions(entry)) - DEGENERATE:
                tried += 1
                assert any(self.parts(rule, entry, condition, seed) for seed in range(20)), (
                    known(entry),
                    condition,
                )
        assert tried > len(OURS) / 2

    @staticmethod
    def parts(rule: str, entry: Entry, condition: str, seed: int) -> bool:
        rng = random.Random(seed)
        schedule = meeting(entry, drawn(RULES[rule], rng), but=condition)
        with mpmath.workprec(BITS):
            drew = values(RULES[rule], rng)
            return not entry.range.holds(schedule) and not trade(entry, RULES[rule], schedule, drew)

    @pytest.mark.slow
    def test_what_an_entry_cannot_be_had_beside_would_break_it(self) -> None:
        """Of whatever leaves its lines alone; beside Adafactor's sizes, which are to be seen."""
        tried = 0
        for rule, entry in OURS:
            bare = replace(entry, without=frozenset())
            for name in sorted(entry.without - OPTIMA):
                if frozenset({name}) in company(rule, bare, SPOKEN if rule == "Adam" else ()):
                    tried += 1
                    assert any(self.breaks(rule, bare, name, seed) for seed in range(12)), (
                        known(entry),
                        name,
                    )
        assert tried > 100

    @staticmethod
    def breaks(rule: str, entry: Entry, name: str, seed: int) -> bool:
        rng = random.Random(seed)
        schedule = meeting(entry, drawn(RULES[rule], rng))
        if rule == "Adafactor":
            schedule = [h._replace(eps2=F(1, 1000)) for h in schedule]
        with mpmath.workprec(BITS):
            drew = values(RULES[rule], rng)
            return not trade(entry, RULES[rule], schedule, drew, frozenset({name}))

    def test_what_is_said_of_matrices_is_not_so_of_biases(self) -> None:
        rng, tried = random.Random(0), 0
        for rule, entry in OURS:
            if "matrices" in entry.range.words:
                tried += 1
                schedule, drew = drawn(RULES[rule], rng), values(RULES[rule], rng)
                with mpmath.workprec(BITS):
                    assert not trade(entry, RULES[rule], schedule, drew, ndim=1)
        assert tried

    @pytest.mark.parametrize("rule", ENTRIES)
    def test_a_formula_says_what_changes(self, rule: str) -> None:
        """Each argument that a change returns is given by the formula."""
        h = drawn(RULES[rule], random.Random(1))
        for entry in ENTRIES[rule]:
            changed = [n for n, v in entry.change(h[1], h[0], 2).items() if v != getattr(h[1], n)]
            named = replace(entry, formula=entry.formula.replace("C = ", "weight_decay = "))
            unsaid = {IGNORED.get(entry.adds, ("",))[0]}  # of which nothing is made any more
            assert not set(changed) - named.changed - unsaid, known(entry)

    def test_adamw_is_adam(self) -> None:
        """The dictionary has AdamW's conventions as Adam's: the texts are one."""
        rng = random.Random(3)
        schedule, drew = drawn(RULES["Adam"], rng), values(RULES["Adam"], rng)
        with mpmath.workprec(BITS):
            numbers = lifted(RULES["Adam"], schedule)
            for convention in RULES["AdamW"].conventions:
                names = frozenset({convention.name}) - {RULES["AdamW"].torch.name}
                own = run(text("AdamW", names), numbers, drew, 2)
                assert alike(own, run(text("Adam", spoken_as_adam(names)), numbers, drew, 2))


def manner(rule: Rule, rng: random.Random) -> Manner:
    """Some conventions that can be had at once."""
    spoken = {"SGD": {"bias_undecayed", "sum_loss"}, "Adam": SPOKEN.keys() - OPTIMA}
    chosen: set[str] = set()
    pool = [*(c.name for c in rule.conventions[1:]), *sorted(spoken.get(rule.name, ()))]
    for name in rng.sample(pool, rng.choice((0, 1, 2, 2, 3))):
        if not any(taken(rule, name) & taken(rule, other) for other in chosen):
            chosen.add(name)
    return frozenset(chosen)


def exactly(h: Hyper) -> Hyper:
    return h._replace(**{n: F(v) for n, v in h._asdict().items() if isinstance(v, float)})


def some(rule: Rule, rng: random.Random) -> list[Hyper]:
    """Allowed hyperparameters, constant in half of the cases, with some of them off."""
    schedule = [exactly(rule.drawing.nearest_allowed(h)) for h in drawn(rule, rng)]
    schedule = schedule[:1] * len(schedule) if rng.random() < 0.5 else schedule
    for name in OFF:
        if name in rule.hyper()._fields and rng.random() < 0.25:
            without = [h._replace(**{name: F(0)}) for h in schedule]
            schedule = schedule if any(map(rule.constraint, without)) else without
    return schedule


class TestWays:
    """Entries that follow on one another, and what is said where none do."""

    def ended(self, rule: Rule, rng: random.Random) -> str:
        source, target, schedule = manner(rule, rng), manner(rule, rng), some(rule, rng)
        assert not any(rule.constraint(h) for h in schedule)
        found = way(rule.name, source, target, schedule, frozenset(rule.hyper()._fields))
        if found is None:
            _, _, example = refusal(rule.name, source, target, schedule)
            return "shown" if example else "unshown"
        self.leads(rule, found, (source, target), schedule, rng)
        return "held"

    @staticmethod
    def leads(
        rule: Rule,
        found: Way,
        ends: tuple[Manner, Manner],
        schedule: list[Hyper],
        rng: random.Random,
    ) -> None:
        """To the same trajectories, of biases as well."""
        source, target = ends
        entries = [known(entry) for entry in found.entries]
        matrices = any("matrices" in entry.range.words for entry in found.entries)
        with mpmath.workprec(BITS):
            numbers, drew = lifted(rule, schedule), values(rule, rng)
            parted = "bias_undecayed" in source | target
            for ndim in (1, 2) if parted and not matrices else (2,):
                expected = run(text(rule.name, source), numbers, drew, ndim)
                reached = found.schedule(numbers, vectors=ndim == 1)
                got = run(text(rule.name, target), reached, drew, ndim)
                assert alike(expected, got), (ndim, source, target, entries)

    def test_a_rate_that_makes_up_for_a_decay_is_not_for_biases(self) -> None:
        """From SGD's decays, without momentum, to the one that shrinks the step, and back."""
        sgd, rng, tried = RULES["SGD"], random.Random(0), 0
        schedule = [h._replace(momentum=F(0), maximize=False) for h in drawn(sgd, rng)]
        known = frozenset(sgd.hyper()._fields)
        for one, other in [*((f, "decay_after_lr") for f in FORMS), ("decay_after_lr", FORMS[0])]:
            ends = side("SGD", one) | {"bias_undecayed"}, side("SGD", other)
            if called(sgd, one) is None or (found := way("SGD", *ends, schedule, known)) is None:
                continue
            tried += 1
            self.leads(sgd, found, ends, schedule, rng)
        assert tried > 6

    @pytest.mark.one_in(4)
    @pytest.mark.parametrize("rule", ENTRIES)
    def test_whatever_is_combined(self, rule: str) -> None:
        ended = Counter(self.ended(RULES[rule], random.Random(seed)) for seed in range(10))
        assert ended["held"] and ended["shown"]
        if rule not in ("Adadelta", "Adafactor", "Muon", "ASGD"):
            assert not ended["unshown"]

    @pytest.mark.slow
    @given(seed=seeds)
    def test_whatever_is_drawn(self, seed: int) -> None:
        rng = random.Random(seed)
        self.ended(RULES[rng.choice(list(ENTRIES))], rng)


CONCERNED = [
    (rule, told)
    for told in REFUSALS
    for rule in sorted(told.rules or ENTRIES)
    if rule in ENTRIES and called(RULES[rule], told.one) is not None
]
"""Refusals with the rules they are about."""

AHEAD = {"nesterov": True, "dampening": F(0)}
ON: dict[str, dict[str, Any]] = {
    "lr_in_velocity": AHEAD,
    "ema_momentum": AHEAD,
    "first_step_dampened": {"nesterov": False, "dampening": F(1)},
    "nesterov_undecayed": AHEAD,
    "nesterov_squared": AHEAD,
    "sum_loss": AHEAD,
    "decay_after_lr": {"lr": F(1, 2), "weight_decay": F(2)},
    "decay_sign_flipped": {"maximize": True},
    "decoupled_sign_flipped": {"maximize": True},
    "amsgrad_corrected": {"amsgrad": True},
}
"""What must be on for a refusal to concern anybody."""


def side(rule: str, name: str) -> Manner:
    return frozenset({called(RULES[rule], name) or ""}) - {""}


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("rule", "told"), CONCERNED, ids=lambda x: x if isinstance(x, str) else f"{x.one}-{x.other}"
)
def test_what_is_done_instead_breaks(rule: str, told: Refusal) -> None:
    """Where there is no way, one at least, enclosures show that the usual numbers do not do."""
    on = {"nesterov": False} if told.where is STOPPED else ON.get(told.one, {"nesterov": False})
    on = {name: value for name, value in on.items() if name in RULES[rule].hyper()._fields}
    schedule = [h._replace(**on) for h in drawn(RULES[rule], random.Random(0))]
    if told.where is STOPPED:
        schedule[1] = schedule[1]._replace(lr=F(0))
    sides = side(rule, told.one), side(rule, told.other)
    refused = [
        (told.saying, sides) if forth else (told.said_back, sides[::-1]) for forth in (True, False)
    ]
    refused = [(saying, ends) for saying, ends in refused if not way(rule, *ends, schedule)]
    assert refused
    for saying, ends in refused:
        reason, folk, example = refusal(rule, *ends, schedule)
        assert (reason, folk) == (told.reason, saying)
        if rule == "Muon" and example is None:  # whose iteration has eight bits
            continue
        assert example is not None
        assert example.expected[example.step - 1] != example.got[example.step - 1]


def numbers(source: Speaker, target: Speaker, **values: Any) -> dict[str, Any]:
    """What is to be typed, constant and varying (at the first steps)."""
    found = translate(values, source, target)
    assert found.refusal is None
    shown = {name: [varying.at(t) for t in (1, 2)] for name, varying in found.schedules.items()}
    return {**found.values, **shown}


DECOUPLED = "decoupled_weight_decay"
TAU = "initial_accumulator_value"


def account(*, reduction: str = "mean", **options: Any) -> Loop:
    """A loop of squared errors by SGD."""
    return Loop(Loss("linear", 1, reduction), Candidate(RULES["SGD"]), **options)


def looped(*loops: Loop, limits: str = "") -> Identification:
    """A training loop that was found to be these, with a momentum of its own."""
    found = FitIdentification("fit", loops, limits=limits, written=(("momentum", 0.5),))
    fits = tuple({loop.candidate: loop.candidate for loop in loops}.values())
    return Identification("fit", fits, 0, loop=found)


class TestNumbers:
    """What a person gets, against what was worked by hand."""

    def test_batch_scaled_decay(self) -> None:
        """1/10 by 1096 rows; with batches of 16, 16 and 8 the last decays twice as much."""
        given = {"weight_decay": 0.1, "batch_size": 1000}
        assert numbers("SGD/batch_scaled", "torch.SGD", **given) == {"weight_decay": 1e-4}
        batches = numbers("SGD/batch_scaled", "SGD", weight_decay=16, batch_size=[16, 16, 8])
        assert batches == {"weight_decay": (1.0, 1.0, 2.0)}

    def test_momentum_under_a_schedule(self) -> None:
        """0.5·1/0.1 = 5 at the step at which lr falls to a tenth."""
        got = numbers("SGD/lr_in_velocity", "SGD", lr=[1, 0.1, 0.1], momentum=0.5)
        assert got == {"lr": (1.0, 0.1, 0.1), "momentum": (0.5, 5.0, 0.5)}

    def test_numbers_are_decimals(self) -> None:
        """0.1 (1 - 0.9) is 0.01; floats make 0.009999999999999998 of it."""
        got = numbers("SGD/ema_momentum", "SGD", lr=0.1, momentum=0.9)
        assert got == {"lr": 0.01, "momentum": 0.9}

    def test_eps_of_a_step(self) -> None:
        """0.6/√(1 - 0.64) = 1 at the first step."""
        got = numbers("Adam/eps_hat", "torch.Adam", eps=0.6, betas=(0.9, 0.64))
        assert got["eps"][0] == 1.0
        assert got["betas"] == (0.9, 0.64)

    def test_adagrad_s_eps_in_the_sum(self) -> None:
        got = numbers("Adagrad/eps_inside", "Adagrad", eps=0.01, initial_accumulator_value=0.1)
        assert got == {"eps": 0, "initial_accumulator_value": 0.11}

    def test_torch_s_switch(self) -> None:
        got = numbers("torch.AdamW", "torch.Adam", lr=0.5)
        assert got == {"lr": 0.5, "weight_decay": 0.01, "decoupled_weight_decay": True}
        assert translate({"lr": 0.5}, "torch.AdamW", "torch.Adam").vectors == {}
        got = numbers("torch.Adam", "torch.AdamW", weight_decay=0.5, decoupled_weight_decay=True)
        assert got == {"weight_decay": 0.5}

    def test_a_way_over_another_decay(self) -> None:
        """An average at lr = 0.1 is a sum at 0.01, which shrinks by 0.01·λ' = 0.1·0.02."""
        given = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02}
        got = numbers("SGD/ema_momentum+decoupled_lr", "SGD/decoupled_lr", **given)
        assert got == {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.2}

    def test_a_decay_after_the_step(self) -> None:
        """(1 − c)(w − γu) is (1 − c)w − γ(1 − c)u, c = γλ: 1/2·3/4 and 1/2 / (3/4)."""
        given = {"lr": 0.5, "weight_decay": 0.5}
        once = {"lr": 0.375, "weight_decay": 2 / 3}
        switched = {**once, DECOUPLED: True}
        assert numbers("Adam/decay_after_lr", "AdamW", **given).items() >= once.items()
        assert numbers("Adam/decay_after_lr", "torch.Adam", **given) == switched
        assert numbers("Muon/decay_after_lr", "torch.Muon", **given) == once
        momentum = numbers("SGD/decay_after_lr", "SGD/decoupled_lr", **given, momentum=0.9)
        assert momentum == {**once, "momentum": 0.9}
        back = numbers("torch.AdamW", "Adam/decay_after_lr", lr=0.375, weight_decay=F(2, 3))
        assert {name: back[name] for name in given} == given
        varying = numbers("Adam/decay_after_lr", "torch.AdamW", lr=[0.5, 1], weight_decay=0.5)
        assert varying == {"lr": (0.375, 0.5), "weight_decay": (2 / 3, 1.0)}
        onnx = numbers("onnx.Adam(post)", "torch.AdamW", R=0.5, norm_coefficient_post=0.2)
        assert (onnx["lr"], onnx["weight_decay"]) == (0.4, 0.5)
        asgd = numbers("ASGD/decay_after_lr", "ASGD/decoupled_lr", **given, lambd=0.75)
        assert asgd == {**once, "lambd": 1.0}

    def test_a_decay_after_the_step_of_matrices_alone(self) -> None:
        """The steps of biases do not shrink."""
        given = {"lr": 0.5, "weight_decay": 0.5}
        source = "Adam/decay_after_lr+bias_undecayed"
        found = translate(given, source, "torch.AdamW")
        assert found.vectors == {"lr": 0.5, "weight_decay": 0.0}
        assert not translate(given, "AdamW", "torch.Adam").vectors
        found = translate({**given, "betas": (0.5, 0.75)}, f"{source}+uncorrected", "torch.AdamW")
        rates = found.vectors["lr"]
        assert rates.at(1) == 0.5  # c1/√c2 is 1/2 / (1/2), and all of it is lr
        assert found.schedules["lr"].at(1) == 0.375
        assert "biases" not in found.schedules["weight_decay"].formula
        assert f"{rates.formula} for biases" in str(found)

    def test_dampening_from_the_second_step_on(self) -> None:
        """torch leaves the first whole; where there is no momentum, neither looks at it."""
        given = {"lr": 0.5, "momentum": 0.5, "dampening": 0.25}
        got = numbers("torch.SGD", "mlx.SGD", **given)
        assert got == {"learning_rate": 0.5, "momentum": 0.5, "dampening": [0.0, 0.25]}
        assert numbers("SGD", "mlx.SGD", **{**given, "dampening": [1, 0.5, 0]})["dampening"] == (
            0,
            0.5,
            0.0,
        )

    def test_a_dampened_first_step(self) -> None:
        """Of a sum of 1/2 and 3/4 times gradients: 1/2·1/2 / (3/4) of what was summed as it is."""
        given = {"learning_rate": 0.5, "momentum": 0.5, "dampening": [0.5, 0.25]}
        got = numbers("mlx.SGD", "torch.SGD", **given)
        assert got == {"lr": (0.25, 0.375), "momentum": (0.5, 1 / 3), "dampening": 0}

    @pytest.mark.parametrize("target", ["keras.SGD", "optax.sgd", "paddle.Momentum"])
    def test_dampening_where_there_is_no_momentum(self, target: str) -> None:
        given = {"lr": 0.5, "momentum": 0, "dampening": 0.5}
        found = translate(given, "torch.SGD", target)
        assert found.values["learning_rate"] == 0.5
        assert found.range.count("momentum=0") == 1
        assert found.holds({**given, "dampening": 1})
        assert not found.holds({**given, "momentum": 0.5})
        assert not translate({**given, "momentum": 0.5}, "torch.SGD", target)

    @pytest.mark.parametrize("target", ["paddle.Adagrad", "mlx.Adagrad", "keras.Adagrad"])
    def test_a_rate_that_decays_where_there_is_no_argument_for_it(self, target: str) -> None:
        """1/2 / (1 + 1/4), as a schedule or in a list."""
        given = {"lr": 0.5, "lr_decay": 0.25, "eps": 0}
        for lr, rates in ((0.5, [0.5, 0.4]), ([0.5, 1], (0.5, 0.8))):
            got = numbers("torch.Adagrad", target, **{**given, "lr": lr})
            assert got["learning_rate"] == rates
        assert "lr_decay" not in got
        told = translate({**given, "maximize": True}, "torch.Adagrad", target)
        assert "takes no maximize" in str(told)  # which no rate makes up for

    def test_a_formula_is_said_once(self) -> None:
        """MLX's rate is not corrected, which its decay, that hangs on it, must not notice."""
        found = translate({"lr": 0.5, "weight_decay": 0.5}, "mlx.AdamW", "torch.AdamW")
        lr, eps, decay = (found.schedules[n].formula for n in ("lr", "eps", "weight_decay"))
        assert lr == eps and lr.startswith("lr_t = ")
        assert decay == f"weight_decay = λ·lr, then {lr}, then weight_decay = λ/lr"
        assert str(found) == f"{decay} (lr is not 0)"

    def test_biases(self) -> None:
        given = {"weight_decay": 0.5, "batch_size": 5}
        found = translate(given, "SGD/batch_scaled+bias_undecayed", "SGD")
        assert (found.values, found.vectors) == ({"weight_decay": 0.1}, {"weight_decay": 0})

    @pytest.mark.parametrize(
        ("source", "target", "values", "vectors"),
        [  # Of w = 1 and g = 1 a bias is 1 − 1/2 with either.
            ("SGD/decay_after_lr+bias_undecayed", "torch.SGD", (0.375, 2 / 3), (0.5, 0)),
            ("sklearn.SGDRegressor", "SGD/decay_after_lr", (2 / 3, 0.375), (0.5, 0)),
        ],
        ids=range(2),
    )
    def test_a_decay_that_changes_the_rate_leaves_that_of_biases(
        self, source: str, target: str, values: tuple[float, ...], vectors: tuple[float, ...]
    ) -> None:
        """Matrices: lr/(1 − 1/4) and λ(1 − 1/4), or the other way round."""
        names = "lr", "weight_decay"
        found = translate({"lr": 0.5, "weight_decay": 0.5}, source, target)
        assert tuple(found.values[name] for name in names) == values
        assert tuple(found.vectors[name] for name in names) == vectors
        assert f"lr={found.vectors['lr']!r} for biases" in str(found)

    def test_biases_that_differ_in_nothing_that_can_be_typed(self) -> None:
        given = {"eta0": 0.5, "alpha": 0}
        found = translate(given, "sklearn.SGDRegressor", "tf.train.GradientDescentOptimizer")
        assert (found.values, found.vectors) == ({"learning_rate": 0.5}, {})

    def test_biases_of_an_objective(self) -> None:
        """They are left out of ½|w|², whatever weighs the losses: λ = 1/(4/2), and 0."""
        given = {"C": 0.5, "batch_size": 4}
        found = translate(given, "sklearn.LogisticRegression", "torch.SGD")
        assert (found.values, found.vectors) == ({"weight_decay": 0.5}, {"weight_decay": 0})

    def test_usual_names(self) -> None:
        got = numbers("SGD/batch_scaled", "SGD", learning_rate=0.5, wd=1, n=4)
        assert got == {"lr": 0.5, "weight_decay": 0.25}

    def test_the_strength_of_an_objective(self) -> None:
        """C = 1/(nλ): at the optimum w + C Σ g = 0 and mean g + λw = 0 say the same."""
        given = {"weight_decay": 0.5, "batch_size": 4}
        assert numbers("SGD", "SGD/inverse_strength", **given) == {"weight_decay": 0.5}
        lam, n, c = (
            F(1, 5),
            4,
            F(numbers("SGD", "SGD/inverse_strength", wd=0.2, m=4)["weight_decay"]),
        )
        told = translate({"lr": 0.1, "m": 4}, "SGD", "SGD/inverse_strength").refusal
        assert told is not None and "other than where training ends" in told.reason
        assert "the strength is not 0" in told.reason
        w, gradients = F(3), [F(-1), F(1, 2), F(-2), F(1, 10)]
        assert w + c * sum(gradients) == c * n * (sum(gradients) / n + lam * w)

    def test_code_that_was_identified(self) -> None:
        found = identify(Function(batch_scaled), [RULES["SGD"]])
        assert numbers(found, "torch.SGD", weight_decay=1, batch_size=8) == {"weight_decay": 0.125}
        candidate = Candidate(RULES["SGD"], (RULES["SGD"].convention("coupled_doubled"),))
        assert numbers(candidate, "torch.SGD", weight_decay=1) == {"weight_decay": 2.0}

    def test_code_that_makes_something_of_its_arguments(self) -> None:
        """Its decay doubled; gradients of the sum with torch's decay, 0.5 by 4 rows, and lr·4."""
        sgd = RULES["SGD"]
        doubled = Candidate(sgd, (), (Argument(("weight_decay",), "times", 2),))
        assert numbers(doubled, "SGD", wd=0.25) == {"weight_decay": 0.5}
        summed = Candidate(sgd, (), (Argument(("gradient",), "times m"),))
        given = {"lr": 0.1, "weight_decay": 0.5, "batch_size": 4}
        assert numbers(summed, "SGD", **given) == {"lr": 0.4, "weight_decay": 0.125}
        multiplied = Candidate(sgd, (), (Argument(("lr",), "times m"),))
        for by_rows in (summed, multiplied):
            with pytest.raises(ValueError, match="batch_size is needed"):
                translate({"lr": 0.1}, by_rows, "SGD")
        with pytest.raises(ValueError, match="weight_decay × 2 cannot be told what it acts with"):
            translate({"lr": 0.1}, "SGD", doubled)
        halved = Candidate(sgd, (), (Argument(("gradient",), "times", 0.5),))
        with pytest.raises(ValueError, match="allowed: a gradient as it is"):
            translate({"lr": 0.1}, halved, "SGD")

    def test_what_code_ignores_is_told_as_what_it_acts_with(self) -> None:
        def step(params: Any, grads: Any, state: Any, lr: Any, momentum: Any) -> Any:
            return [w - lr * g for w, g in zip(params, grads, strict=True)]

        found = identify(Function(step), [RULES["SGD"]])
        assert found.ignores == {"momentum"}
        assert numbers(found, "torch.SGD", lr=0.5, momentum=0.75) == {"lr": 0.5, "momentum": 0.0}

    def test_a_switch_that_code_ignores_is_off(self) -> None:
        """Decay as torch's Adam has it, whatever the switch says."""
        found = Identification("code", (Candidate(RULES["Adam"]),), 0, frozenset({DECOUPLED}))
        given = {"lr": 0.5, "weight_decay": 0.25, DECOUPLED: True}
        assert numbers(found, "Adam", **given) == {
            "lr": 0.5,
            "weight_decay": 0.25,
            DECOUPLED: False,
        }

    def test_a_training_loop(self) -> None:
        """Of the sum of 4 losses: lr·4 and λ/4; the mean's is torch's own."""

        def fit(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
            w = np.zeros(X.shape[1])
            for _ in range(epochs):
                w = w - lr * (X.T @ (X @ w - y) + lam * w)
            return w

        given = {"lr": 0.5, "weight_decay": 0.25, "batch_size": 4}
        got = numbers(identify(fit, ["SGD"]), "torch.SGD", **given)
        assert got == {"lr": 2.0, "weight_decay": 0.0625}

    def test_what_a_training_loop_does_with_its_numbers(self) -> None:
        """2·lr, and 1 by 4 rows; the bias is left alone, and the momentum is in the code."""
        loop = account(lr="·2", weight_decay="/m", bias_decayed=False)
        found = translate({"lr": 0.5, "weight_decay": 1, "m": 4}, looped(loop), "torch.SGD")
        assert found.values == {"lr": 1.0, "momentum": 0.5, "weight_decay": 0.25}
        assert found.vectors == {"weight_decay": 0}
        with pytest.raises(ValueError, match=r"batch_size is needed .* fit \(as it was identified"):
            translate({"lr": 0.5}, looped(loop), "torch.SGD")

    @pytest.mark.parametrize("options", [{"counted": "all"}, {"reduction": "share"}])
    def test_a_training_loop_that_counts_rows_in_two_ways(self, options: Any) -> None:
        loop = account(batches=Batches("short"), **options)
        with pytest.raises(ValueError, match="a loop whose numbers depend on the rows of a batch"):
            translate({"lr": 0.5}, looped(loop), "SGD")
        whole = looped(replace(loop, batches=FULL))
        assert translate({"lr": 0.5}, whole, "SGD").values["lr"] == 0.5

    def test_a_training_loop_that_is_not_one_account(self) -> None:
        allowed = "allowed: code that follows one known rule throughout"
        with pytest.raises(ValueError, match=allowed):
            translate({"lr": 0.5}, looped(account(), account(lr="·2")), "SGD")
        with pytest.raises(ValueError, match=allowed):
            translate({"lr": 0.5}, looped(account(), limits="; this holds on 4 rows"), "SGD")

    def test_a_decay_that_is_off_where_nothing_is_given(self) -> None:
        """MXNet's wd is 0, and nothing decays without Chainer's hook; scikit-learn's alpha is."""
        for source, rate in (("mxnet.SGD", "learning_rate"), ("chainer.SGD", "lr")):
            got = numbers(source, "sklearn.MLPRegressor(sgd)", **{rate: 0.5, "batch_size": 4})
            assert got["alpha"] == 0

    def test_what_a_framework_takes_by_default_is_told_who_has_no_defaults(self) -> None:
        assert translate({}, "keras.Adam", "Adam").values["lr"] == 0.001

    def test_where_it_holds_is_said(self) -> None:
        ahead = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
        found = translate(ahead, "SGD/lr_in_velocity", "SGD")
        assert found.range == ("while lr is constant",)
        assert found.holds({**ahead, "lr": 7})
        assert found.holds({**ahead, "lr": [0.1, 0.1]})
        assert not found.holds({**ahead, "lr": [0.1, 0.05]})
        assert translate({"lr": 0.1}, "SGD/batch_scaled", "SGD").range == ("weight_decay=0",)

    def test_it_holds_with_the_switch_that_it_is_for(self) -> None:
        """And with numbers that can be typed."""
        given = {"lr": 0.5, "weight_decay": 0.25, DECOUPLED: True}
        found = translate(given, "torch.Adam", "torch.AdamW")
        assert found.holds({**given, "weight_decay": 0.125})
        assert not found.holds({**given, DECOUPLED: False})
        assert translate({"lr": 0.5}, "torch.Adam", "Adam").holds(given)
        found = translate({"lr": 0.5, "amsgrad": True}, "torch.Adam", "chainer.AMSGrad")
        assert found and not found.holds({"lr": 0.5})

    @pytest.mark.parametrize(
        ("source", "target", "rest"),
        [
            # Without decay; Keras decays by 0.004, optax by 0.0001.
            ("mxnet.Adam", "keras.AdamW", {"weight_decay": 0}),
            ("mxnet.Adamax", "optax.adamaxw", {"weight_decay": 0}),
            ("chainer.SGD", "sklearn.MLPRegressor(sgd)", {"alpha": 0, "momentum": 0}),
            # Who has not said whether there is any.
            ("Adam", "torch.AdamW", {"weight_decay": 0}),
            ("Adam/decay_ignored", "torch.AdamW", {"weight_decay": 0}),
            # Paddle's momentum is 0.9, and a decay is two only without any.
            ("SGD/decoupled_lr", "paddle.Momentum", {"momentum": 0}),
            # What may be anything: 0.9 is as good as another.
            ("SGD", "paddle.Momentum", {}),
            ("Adam/decoupled_lr", "torch.AdamW", {}),
        ],
        ids=range(8),
    )
    def test_what_a_way_rests_on_is_told_where_the_default_is_another(
        self, source: str, target: str, rest: dict[str, Any]
    ) -> None:
        given = {PRESETS[source].names["lr"] if source in PRESETS else "lr": 0.5}
        found = translate(given, source, target)
        names = ("weight_decay", "alpha", "momentum")
        assert {name: found.values[name] for name in names if name in found.values} == rest


class TestBadCalls:
    @pytest.mark.parametrize(
        ("values", "source", "target", "said"),
        [
            (
                {},
                "SDG",
                "SGD",
                "'SDG' is nobody's name (did you mean 'SGD'?); allowed: a rule (",
            ),
            ({}, "SGD/batch_sclaed", "SGD", "SGD has no convention 'batch_sclaed' (did you"),
            ({"betas": 1}, "SGD", "SGD", "'betas' is no argument of SGD; allowed: lr, momentum"),
            ({"lr": "x"}, "SGD", "SGD", "lr='x'"),
            ({"lr": float("nan")}, "SGD", "SGD", "lr=nan is not allowed; allowed: finite numbers"),
            ({"lr": -1}, "SGD", "SGD", "SGD: "),
            ({"nesterov": True}, "torch.SGD", "keras.SGD", "nesterov=True needs momentum > 0"),
            ({"lr": [1, 2], "momentum": [1]}, "SGD", "SGD", "lr has 2, momentum has 1; allowed"),
            ({"lr": []}, "SGD", "SGD", "lr has 0; allowed"),
            ({"wd": 1}, "SGD/batch_scaled", "SGD", "batch_size is needed and was not given"),
            (
                {"m": 4},
                "SGD/inverse_strength",
                "SGD",
                "weight_decay is needed and was not given: SGD/inverse_strength",
            ),
            ({"lr": ["x"]}, "SGD", "SGD", "lr=['x'] is not allowed; allowed: finite numbers"),
            ({"lr": None}, "SGD", "SGD", "lr=None is not allowed; allowed: finite numbers"),
            ({"lr": [[1, 2]]}, "SGD", "SGD", "lr=[[1, 2]] is not allowed; allowed: finite"),
            ({"nesterov": 2}, "SGD", "SGD", "nesterov=2 is not allowed; allowed: True or False"),
            ({"m": 0}, "SGD", "SGD", "SGD: batch_size=0.0 is not allowed; allowed: 1 or more"),
            (
                {"betas": F(9, 10)},
                "Adam",
                "Adam",
                "betas=0.9 is not allowed; allowed: 2 numbers, (",
            ),
            ({"betas": [0.9]}, "Adam", "Adam", "betas=[0.9] is not allowed; allowed: 2 numbers, ("),
            ({"betas": [(0.9, 0.9)] * 2}, "Adam", "Adam", "allowed: 2 numbers, (beta1, beta2), or"),
            ({"m": 2.5}, "SGD", "SGD", "batch_size=2.5 is not allowed; allowed: whole numbers"),
            ({"lr": 10**400}, "SGD", "SGD", "is not allowed; allowed: finite numbers"),
            ({"momentum": None}, "keras.SGD", "SGD", "momentum=None is not allowed; allowed: fin"),
            ({"lr": 1, "rate": 1}, "SGD", "SGD", "'rate' is another name of 'lr', which is given"),
            ({}, "SGD/batch_scaled+decoupled", "SGD", "batch_scaled and decoupled of SGD are"),
            ({}, "keras.Lion", "SGD", "allowed: keras.SGD, keras.SGD(regularizers.L2), keras.Adam"),
            ({}, "mxnet.NAG", "SGD", "mxnet.NAG (mxnet 1.9.1) fits no known combination"),
            (
                {DECOUPLED: [True, False], "weight_decay": 0.1},
                "torch.Adam",
                "torch.AdamW",
                "decoupled_weight_decay=[True, False] is not allowed; allowed: True or False, the",
            ),
            (
                {"betas": (0.9, 0.99), "beta1": 0.8},
                "torch.Adam",
                "Adam",
                "'beta1' is part of 'betas', which is given, too; allowed: one of them",
            ),
            ({"lr": b"1"}, "SGD", "SGD", "lr=b'1' is not allowed; allowed: finite numbers"),
            ({"lr": {0.1}}, "SGD", "SGD", "lr={0.1} is not allowed; allowed: finite numbers"),
            ({"lr": {0.1: 1}}, "SGD", "SGD", "lr={0.1: 1} is not allowed; allowed: finite"),
            ({"betas": {0.9, 0.5}}, "Adam", "Adam", "is not allowed; allowed: 2 numbers, (beta1"),
        ],
        ids=range(32),
    )
    def test_what_is_off_is_named(
        self, values: dict[str, Any], source: str, target: str, said: str
    ) -> None:
        with pytest.raises(ValueError, match=re.escape(said)):
            translate(values, source, target)

    @pytest.mark.parametrize("name", ["switched", "decoupled_batch_scaled"])
    def test_what_some_rules_call_a_decay_is_no_convention_of_others(self, name: str) -> None:
        """Adam has them; AdamW and Muon call the second one batch_scaled."""
        for rule in RULES.keys() - {"Adam"} - ({"NAdam", "RAdam"} if name == "switched" else set()):
            with pytest.raises(ValueError, match=f"{rule} has no convention '{name}'"):
                translate({"lr": 0.1}, f"{rule}/{name}", rule)
        assert translate({"lr": 0.1, "wd": 0.1, "m": 1}, f"Adam/{name}", "torch.AdamW")

    def test_no_values_are_none(self) -> None:
        found = translate(None, "torch.SGD", "SGD")
        assert found.values == translate({}, "torch.SGD", "SGD").values
        assert found.holds(None)
        text: Any = "lr"
        for off in (found.holds, lambda values: translate(values, "SGD", "SGD")):
            with pytest.raises(TypeError, match=r"values='lr' is no dict; allowed: values=\{"):
                off(text)

    @pytest.mark.parametrize("t", [0, -1, 1.5, "1", None])
    def test_a_step_that_there_is_not(self, t: Any) -> None:
        varying = translate({"eps": 0.6, "beta2": 0.64}, "Adam/eps_hat", "torch.Adam").schedules
        told = f"t={t!r} is not allowed; allowed: whole numbers, 1 or more"
        with pytest.raises(ValueError, match=re.escape(told)):
            varying["eps"].at(t)

    def test_what_is_off_is_given_as_nothing(self) -> None:
        """As Keras' weight_decay is where nobody gives it."""
        given = {"learning_rate": 0.5, "weight_decay": None}
        assert numbers("keras.SGD", "torch.SGD", **given) == {"lr": 0.5}

    def test_a_number_that_no_float_holds_is_none(self) -> None:
        told = translate({"lr": 1e308, "m": 1000}, "SGD/sum_loss", "SGD").refusal
        assert told and told.reason == "lr would be larger than any float"

    def test_an_array_without_dimensions_is_a_number(self) -> None:
        given = {"lr": np.array(0.1), "nesterov": np.False_}
        assert numbers("SGD", "SGD", **given) == {"lr": 0.1, "nesterov": False}

    def test_code_that_follows_nothing(self) -> None:
        with pytest.raises(ValueError, match="follows no known rule"):
            translate({}, Identification("code", (), 7), "SGD")


SHOWN: list[tuple[dict[str, Any], tuple[str, str], tuple[float, float]]] = [
    (  # 1 − 1/100 (1 + 2·1/2), and λ = 2·1/2 / (1 − 1/2) = 2: 1 − 2/100 − 1/100
        {"learning_rate": 0.01, "momentum": 0.5, "regularizers.L2": 0.5},
        ("keras.SGD(regularizers.L2)", "keras.SGD"),
        (0.98, 0.97),
    ),
    (  # 3/4 − 1/2 (1 + 1/2), and λ = 1/4: 1 − 1/2 (5/4 + 5/8)
        {"learning_rate": 0.5, "momentum": 0.5, "weight_decay": 0.5, "nesterov": True},
        ("keras.SGD", "paddle.Momentum"),
        (0.0, 0.0625),
    ),
    (  # 3/4 − 1/2 · 1/(1 + 1/2), and ε = 1/4, d = 3/2: D = (3/4 + 1/4)/(1/2)
        {"lr": 0.5, "weight_decay": 0.5, "beta1": 0, "beta2": 0.75, "eps": 0.5},
        ("torch.AdamW", "mxnet.Adam"),
        (5 / 12, 0.625),
    ),
    (  # 3/4 − 1/2 · 1/((1/2 + 1/2)/(1/2)), and λ = 1/2, ε = 1, d = 3/2: D = 3/2 + 1
        {"alpha": 0.5, "weight_decay_rate": 0.25, "beta1": 0, "beta2": 0.75, "eps": 0.5},
        ("chainer.Adam", "paddle.Adam"),
        (0.5, 0.7),
    ),
    (  # 9/10, and Keras' own ε: 1 − 1/10 / (1 + √1000·1e-7)
        {"lr": 0.1},
        ("torch.SGD", "keras.Adam"),
        (0.9, 1 - 0.1 / (1 + 1e-7 / (1 - 0.999) ** 0.5)),
    ),
]
"""Numbers, from whom to whom, and w after a step of either, where there are no numbers."""


class TestRefused:
    def test_decoupled_decay_with_momentum(self) -> None:
        found = translate({"lr": 0.5, "momentum": 0.5, "wd": 0.5}, "SGD/decoupled_lr", "SGD")
        assert found.refusal is not None
        assert not found.values
        assert found.refusal.folk == "weight_decay = λ(1 − momentum)"
        assert found.refusal.example is not None
        # By hand, w = 1, g = 1: 1·(1 - 1/4) - 1/2 = 1/4, and 1 - (1 + 1/4)/2 = 3/8.
        assert found.refusal.example.expected[0] == 0.25
        assert found.refusal.example.got[0] == 0.375

    @pytest.mark.parametrize(("values", "ends", "w"), SHOWN, ids=range(len(SHOWN)))
    def test_examples_are_of_the_two_that_were_asked_for(
        self, values: dict[str, Any], ends: tuple[str, str], w: tuple[float, float]
    ) -> None:
        """All else is translated: w = 1, g = 1, worked by hand after the first step."""
        told = translate(values, *ends).refusal
        assert told and told.example
        assert told.example.step == 1
        assert (told.example.expected[0], told.example.got[0]) == pytest.approx(w, rel=8 * 2**-52)

    def test_what_is_typed_nowhere_is_said_before_what_differs(self) -> None:
        """No example of a decay that MLX's Adam has not."""
        told = translate({"learning_rate": 0.5}, "optax.adamw", "mlx.Adam").refusal
        assert told and told.example is None
        assert "takes no weight_decay and acts as with 0.0, not 0.0001" in told.reason

    def test_two_numbers_that_differ_are_written_so_that_one_sees_it(self) -> None:
        told = translate({"lr": 0.01, "eps": 1e-10}, "torch.Adamax", "mlx.Adamax").refusal
        assert told and told.example
        said = re.search("w is (.*) after step .*, and (.*) with", str(told.example))
        assert said and said[1] != said[2]

    def test_a_momentum_that_is_switched_on_was_seen_of_torch_alone(self) -> None:
        """optax remembers gradients under a momentum of 0, torch does not."""
        given = {"learning_rate": 0.5, "momentum": [0, 0.9]}
        told = translate(given, "optax.sgd", "torch.SGD")
        assert told.refusal and "optax.sgd (optax 0.2.8) was not seen" in told.refusal.reason
        assert not translate({"learning_rate": 1}, "optax.sgd", "torch.SGD").holds(given)
        given = {"lr": 0.5, "momentum": [0, 0.9]}
        assert "optax.sgd (optax 0.2.8) was not seen" in str(
            translate(given, "torch.SGD", "optax.sgd")
        )
        assert translate(given, "torch.SGD", "SGD")

    def test_a_decay_after_the_step_that_leaves_nothing(self) -> None:
        """Or that turns w and the step, for which torch takes no rate."""
        source = "Adam/decay_after_lr"
        for lr, said in ((2, "where lr times weight_decay is 1"), (4, "lr=-4.0 is negative")):
            told = translate({"lr": lr, "weight_decay": 0.5}, source, "torch.AdamW").refusal
            assert told and said in told.reason

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("RMSprop", "divided by the root of the squares, .*p.mul_.* after the step"),
            ("SGD", "part of what the momentum remembers, .*p.mul_.* after the step"),
            ("Adafactor", r"its rate is min\(lr, 1/√t\)"),
            ("ASGD", "goes through all that the rule makes of a gradient"),
        ],
        ids=["RMSprop", "SGD", "Adafactor", "ASGD"],
    )
    def test_a_decay_after_the_step_where_there_is_no_decoupled_one(
        self, name: str, said: str
    ) -> None:
        given = {"lr": 0.5, "weight_decay": 0.5}
        given |= {"momentum": 0.9} if name == "SGD" else {}
        told = translate(given, f"{name}/decay_after", f"torch.{name}").refusal
        assert told and re.search(said, told.reason)

    @pytest.mark.parametrize("name", ["optax.nadam", "optax.nadamw"])
    def test_a_product_of_betas_that_is_a_power(self, name: str) -> None:
        """torch corrects by 1/2·3/4, optax by (3/4)²."""
        given = {"learning_rate": 0.5, "b1": 0.5, "weight_decay": 0}
        given = {own: value for own, value in given.items() if own in PRESETS[name].names.values()}
        target = "NAdam/decoupled_lr"
        found = translate(given, name, target)
        assert found.range[-1] == "b1 is constant"
        varying = {**given, "b1": [0.5, 0.75]}
        assert not found.holds(varying)
        assert "only while b1 is constant" in str(translate(varying, name, target))
        back = {"beta1": [0.5, 0.75], "momentum_decay": 10000}
        assert "only while b1 is constant" in str(translate(back, "NAdam", name))

    @pytest.mark.parametrize("name", ["keras.SGD", "sklearn.MLPClassifier(sgd)"])
    def test_a_momentum_that_the_target_refuses(self, name: str) -> None:
        """9/10 · 2 at the step at which lr doubles."""
        given = {"batch_size": 1, "momentum": 0.9, "lr": [0.5, 1]}
        said = "would have to take what it does not allow: momentum=1.8 is not allowed"
        assert said in str(translate(given, "torch.SGD", name))
        assert translate({**given, "lr": [1, 0.5]}, "torch.SGD", name)
        with pytest.raises(ValueError, match=r"momentum=1\.5 is not allowed; allowed: 1 or less"):
            translate({"batch_size": 1, "momentum": 1.5}, name, "torch.SGD")

    def test_a_decay_that_stops_at_zero(self) -> None:
        """Of w = 3 and g = 1/4, at γ = 2 and λ = 1, SGDRegressor makes −1/2 and torch −7/2."""
        sklearn, torch = "sklearn.SGDRegressor", "torch.SGD"
        found = translate({"lr": 1, "weight_decay": 1}, sklearn, torch)
        assert found.range == ("eta0 × alpha is at most 1",)
        assert not found.holds({"lr": 2, "weight_decay": 1})
        for source, target in ((sklearn, torch), (torch, sklearn)):
            assert "only while eta0 × alpha" in str(translate({"lr": 2, "wd": 1}, source, target))
        fewer = {"lr": 2, "wd": 2, "m": 8}  # λ/m: 2 · 1/4 is less than 1
        found = translate(fewer, "SGD/batch_scaled", sklearn)
        assert found and not found.holds({**fewer, "m": 1})

    def test_why_a_velocity_of_steps_is_none_of_gradients(self) -> None:
        """Because of the look-ahead, or of a rate without a ratio; w = 1, g = 1, -1 by hand."""
        given = {"lr": [0.5, 0, 0.5], "momentum": 0.5}
        told = translate(given, "SGD/lr_in_velocity", "SGD").refusal
        assert told and told.example
        assert "where lr is 0 there is none" in told.reason
        assert (told.example.expected[1], told.example.got[1]) == (0.25, 0.5)
        told = translate({**given, "nesterov": True}, "SGD/lr_in_velocity", "SGD").refusal
        assert told and "look-ahead" in told.reason
        given["momentum"] = [0.5, 0, 0.5]
        told = translate(given | {"lr": [0.5, 0.25, 0.5]}, "SGD/lr_in_velocity", "SGD").refusal
        assert told and "momentum is not switched on or off" in told.reason

    def test_rules_that_are_strangers(self) -> None:
        found = translate({"lr": 0.5}, "SGD", "Adam")
        assert found.refusal is not None
        assert found.refusal.reason == "SGD and Adam are different rules, whatever the numbers"
        assert found.refusal.example is not None

    def test_what_the_target_does_not_take(self) -> None:
        found = translate({"amsgrad": True}, "Adam", "AdamW")
        assert found.values == {"amsgrad": True}
        found = translate({"maximize": True, "weight_decay": 1}, "SGD/decay_sign_flipped", "SGD")
        assert found.refusal is not None
        assert "under maximize its decay grows w" in found.refusal.reason


def called_as(*arguments: str) -> int:
    return cli.main(["translate", *arguments])


class TestDoor:
    def test_the_number_comes_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        ends = ("--from", "SGD/batch_scaled", "--to", "torch.SGD")
        assert called_as(*ends, "weight_decay=1", "m=8,4") == 0
        said = capsys.readouterr().out.splitlines()
        assert said[:2] == ["weight_decay = (0.125, 0.25)", "holds: always"]

    def test_words_and_whole_numbers_stay_what_they_are(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert (
            called_as("--from", "Muon", "--to", "Muon", "ns_steps=5", "adjust_lr_fn=original") == 0
        )
        assert capsys.readouterr().out.splitlines()[:2] == [
            "ns_steps = 5",
            "adjust_lr_fn = original",
        ]

    def test_a_refusal_shows_what_breaks(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert called_as("--from", "Adam", "--to", "AdamW", "wd=0.1", "lr=0.1") == 1
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith("no numbers: coupled decay is divided by")
        assert said[1].startswith("with the same numbers it goes wrong: w = 1, g = 1: w is ")

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--from", "Adam/uncorrected", "--to", "Adam", "lr=0.1"),
            ("--from", "Adam", "--to", "AdamW", "wd=0.1", "betas=0.9,0.99"),
            ("--from", "SGD", "--to", "Adam", "lr=0.1,0.2", "nesterov=False"),
            ("--from", "SGD/bias_undecayed", "--to", "SGD", "wd=0.1"),
            (
                "--from",
                "Adam/uncorrected+decay_after+bias_undecayed",
                "--to",
                "AdamW",
                "lr=0.1",
                "wd=0.1",
            ),
        ],
    )
    def test_json_follows_its_schema(
        self, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        called_as(*arguments, "--json")
        jsonschema.validate(json.loads(capsys.readouterr().out), SCHEMA)

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("--from", "SGD"),
            ("--from", "SGD", "--to", "SGD", "lr"),
            ("--from", "x", "--to", "y"),
            ("--from", "SGD/x", "--to", "y"),
            ("--from", "SGD", "--to", "SGD", "lr=ten"),
            ("--from", "SGD", "--to", "SGD", "lr=0.1", "lr=0.2"),
            ("--from", "Adam", "--to", "Adam", "betas=0.9"),
            ("--from", "SGD", "--to", "SGD", "lr=1e999999999"),
            ("--from", "SGD", "--to", "SGD", "lr=1/0"),
            ("--from", "SGD", "--to", "SGD", "lr=0.1,"),
            ("--from", "SGD", "--to", "SGD", "lr=nan"),
            ("--from", "Muon", "--to", "Muon", "adjust_lr_fn=mine"),
            ("--from", "SGD/switched", "--to", "torch.SGD", "lr=0.1"),
        ],
    )
    def test_a_call_that_is_off(
        self, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert called_as(*arguments) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("oracles: ")
        assert all(a.partition("=")[0] in said.err for a in arguments if "=" in a)
        assert "--convention" not in said.err  # which nobody has typed

    @pytest.mark.parametrize(
        ("source", "told"),
        [("SGD", "no number was given"), ("tinygrad.AdamW", "the defaults are the same")],
    )
    def test_nothing_to_type(
        self, source: str, told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nobody knows the numbers of a rule: no defaults are said to be the same."""
        target = {"SGD": "torch.SGD", "tinygrad.AdamW": "torch.AdamW"}[source]
        assert called_as("--from", source, "--to", target) == 0
        assert capsys.readouterr().out.splitlines()[0] == f"nothing to type: {told}"

    def test_the_list_is_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert called_as("--list", "--json") == 2
        assert "--list is text" in json.loads(capsys.readouterr().out)["error"]

    def test_the_list_has_all_entries(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert called_as("--list") == 0
        said = capsys.readouterr().out
        assert said.count(" -> ") == sum(map(len, ENTRIES.values()))
        assert all(f"  {preset} " in said for preset in PRESETS)


@pytest.mark.parametrize(
    ("source", "target", "name", "value"),
    [
        ("NAdam/constant_momentum", "optax.nadam", "momentum_decay", 0.3),
        ("Adamax/eps_ignored", "mxnet.Adamax", "eps", 1e-3),
    ],
)
def test_what_the_target_leaves_aside(source: str, target: str, name: str, value: float) -> None:
    """Whatever it is: the source makes nothing of it, either."""
    found = translate({"lr": 0.5, name: value}, source, target)
    assert found and name not in found.values
    assert translate({"lr": 0.5, name: value}, source.partition("/")[0], target).refusal


@pytest.mark.parametrize(
    ("values", "source", "target", "expected"),
    [
        # TensorFlow's Adagrad has no ε, and MindSpore's a fixed one inside the root.
        ({}, "tf.train.AdagradOptimizer", "torch.Adagrad", {"eps": 0}),
        ({}, "torch.Adagrad", "tf.train.AdagradOptimizer", None),
        ({"eps": 0}, "torch.Adagrad", "tf.train.AdagradOptimizer", {}),
        ({"eps": 0.25}, "optax.adagrad", "tf.train.AdagradOptimizer", {TAU: 0.35}),
        ({"accum": 0.5}, "mindspore.Adagrad", "torch.Adagrad", {"eps": 0, TAU: 0.50000001}),
        ({"eps": 1e-8, TAU: 0.5}, "optax.adagrad", "mindspore.Adagrad", {"accum": 0.5}),
        ({"eps": 1e-7}, "optax.adagrad", "mindspore.Adagrad", None),
        # Chainer's has its switch on.
        ({"amsgrad": True}, "torch.Adam", "chainer.AMSGrad", {}),
        ({}, "torch.Adam", "chainer.AMSGrad", None),
        # scikit-learn looks ahead unless it is told not to, with a momentum or without.
        ({"momentum": 0}, "sklearn.MLPClassifier(sgd)", "torch.SGD", {"momentum": 0}),
    ],
)
def test_arguments_that_are_lacking(
    values: dict[str, Any], source: str, target: str, expected: dict[str, Any] | None
) -> None:
    rate = next(own for name, own in PRESETS[source].names.items() if name == "lr")
    found = translate({rate: 0.5, "batch_size": 1, **values}, source, target)
    assert bool(found) == (expected is not None)
    assert (expected or {}).items() <= found.values.items()


def test_a_name_as_it_is_imported() -> None:
    given = {"learning_rate": 0.5}
    with pytest.raises(ValueError, match=r"nobody's name.*; allowed: tf\.train\."):
        translate({}, "tensorflow.RMSprop", "torch.RMSprop")
    for name in ("tf.keras.optimizers.SGD", "keras.SGD"):
        assert translate(given, name, "torch.optim.SGD").source is PRESETS["keras.SGD"]
    for whole in ("tf", "tensorflow"):
        told = translate({}, f"{whole}.compat.v1.train.AdamOptimizer", "torch.Adam")
        assert told.source is PRESETS["tf.train.AdamOptimizer"]


def test_a_rate_that_changes_must_be_known() -> None:
    with pytest.raises(ValueError, match="lr is needed and was not given: lr = lr·n"):
        translate({"batch_size": 32, "momentum": 0.9}, "SGD/sum_loss", "SGD")
    with pytest.raises(ValueError, match="batch_size is needed and was not given"):
        translate({"lr": 0.1, "eps": 1e-8}, "Adam/sum_loss", "Adam")


@pytest.mark.parametrize(("name", "batches"), [("Rprop", (4, 2)), ("RAdam", 1), ("Muon", 1)])
def test_a_sum_of_losses_that_a_rule_does_not_notice(name: str, batches: Any) -> None:
    """Rprop goes by signs, and a batch of one row is its own mean."""
    given = {"lr": 0.5, "batch_size": batches}
    assert numbers(f"{name}/sum_loss", name, **given) == {"lr": 0.5}
    told = translate({"lr": 0.5, "batch_size": 4}, f"{name}/sum_loss", name)
    assert bool(told) == (name == "Rprop")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "target", "alpha", "answered"),
    [
        ("torch.RMSprop", "optax.rmsprop", 0, False),
        ("RMSprop/accumulator_one", "RMSprop", 0, False),
        ("RMSprop/corrected", "RMSprop", 0, True),
        ("RMSprop/corrected", "RMSprop", 1, False),
        ("RMSprop", "RMSprop/corrected", 1, False),
        ("RMSprop", "RMSprop/alpha_swapped", 0, True),
    ],
)
def test_an_average_that_forgets_all_or_nothing(
    source: str, target: str, alpha: int, answered: bool
) -> None:
    """Swapped, 0 is 1, whose corrections are 0, by which nothing is divided."""
    assert bool(translate({"lr": 0.5, "alpha": alpha}, source, target)) == answered


@pytest.mark.parametrize("name", ["Adam", "NAdam", "RAdam"])
@pytest.mark.parametrize("decay", ["batch_scaled", "decay_sign_flipped", "decoupled_lr"])
def test_torchs_switch_beside_another_decay(name: str, decay: str) -> None:
    """The rule's own text decays before the step and in d, or leaves the switch aside."""
    given = {"lr": 0.5, "weight_decay": 0.5, "batch_size": 4}
    told = f"{decay} and decoupled_weight_decay=True of {name} are different lines in one place"
    with pytest.raises(ValueError, match=told):
        translate({**given, DECOUPLED: True}, f"{name}/{decay}", name)
    assert translate({**given, DECOUPLED: True}, f"{name}/bias_undecayed", name)


def test_a_momentum_of_one_is_refused_like_others() -> None:
    """What people do instead has no number there."""
    given = {"lr": 0.5, "momentum": 1, "weight_decay": 0.1}
    told = translate(given, "SGD", "SGD/decoupled_lr").refusal
    assert told and told.folk == "weight_decay = λ/(1 − momentum)"


def test_code_with_exceptions_speaks_no_one_convention() -> None:
    def step(params: Any, grads: Any, state: Any, lr: Any, wd: Any) -> Any:
        return [w - lr * (g + wd * w) for w, g in zip(params, grads, strict=True)]

    found = oracles.identify(step)
    assert oracles.translate({"lr": 0.1}, found, "torch.SGD")
    somewhere = dataclasses.replace(found, exceptions=(Exceptional("late", found.fits[0]),))
    with pytest.raises(ValueError, match="late"):
        oracles.translate({"lr": 0.1}, somewhere, "torch.SGD")
    with pytest.raises(ValueError, match="one known rule throughout"):
        oracles.translate({"lr": 0.1}, dataclasses.replace(found, shapes=((3,),)), "torch.SGD")
