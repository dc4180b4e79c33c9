"""What decides which rule a code follows, piece by piece: cases, distances, what is left open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from oracles.harness.arguments import Argument, likely
from oracles.harness.arithmetic.formats import FloatArray
from oracles.harness.candidates import Candidate
from oracles.harness.cases.case import Case, Parameter, single
from oracles.harness.evidence.exceptions import divided
from oracles.harness.evidence.following import look, plausible
from oracles.harness.evidence.nearness import nearness
from oracles.harness.evidence.newton import Bounds, least_squares
from oracles.harness.evidence.observation import Observation
from oracles.harness.evidence.settings import settings
from oracles.harness.evidence.sifting import MARGINS, Sieve, Sifted, of
from oracles.harness.evidence.untold import absent, has, more_of, untold
from oracles.harness.evidence.witnesses import Asked, Witness
from oracles.harness.subjects.parameter_names import Kinds
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.subjects.trace import Trace
from oracles.identification import Identification, identify
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.support.planted import Planted

SGD, ADAM = RULES["SGD"], RULES["Adam"]
TORCH = Candidate(SGD)


def convention(rule: Rule, *names: str) -> Candidate:
    return Candidate(rule, tuple(map(rule.convention, names)))


def takes(rule: Rule) -> frozenset[str]:
    return frozenset(rule.hyper()._fields)


def gradients(p: Parameter) -> FloatArray:
    """Of each step; all are there."""
    return np.stack([g for g in p.gradients if g is not None])


class TestSettings:
    def test_all_at_once_twice_and_each_thing_left_out(self) -> None:
        asked = list(settings(SGD, takes(SGD)))
        assert [setting.what for setting in asked] == [
            *("all", "all again", "momentum=0", "dampening=0", "weight_decay=0"),
            *("nesterov=True", "maximize=True"),
        ]
        for setting in asked:
            h = setting.case.groups[0].schedule[0]
            on = {name for name, value in h._asdict().items() if value}
            name, _, value = setting.what.partition("=")
            assert (name in on) == (value == "True")
            assert {*on} & {"nesterov", "maximize"} <= {name}

    def test_what_changes_and_what_is_no_special_value(self) -> None:
        for setting in settings(SGD, takes(SGD)):
            schedule = setting.case.groups[0].schedule
            assert [h.lr / schedule[0].lr for h in schedule] == [1, 0.5, 0.75, 1]
            assert {h.batch_size for h in schedule} == {7}
            values = np.concatenate([np.ravel(gradients(p)) for p in setting.case.parameters])
            assert (values > 0).any() and (values < 0).any()
        (one, other, *_) = settings(SGD, takes(SGD))
        assert one.case.groups[0].schedule[0].momentum != other.case.groups[0].schedule[0].momentum

    def test_what_shows_an_epsilon_or_a_rate_that_is_written_in_the_code(self) -> None:
        found = {s.what: s.case for s in settings(ADAM, frozenset({"lr"}))}
        assert list(found)[2:] == [
            "gradients of 0.001",
            "gradients of 1e-07",
            "gradients that fade",
        ]
        for what, case in list(found.items())[2:4]:
            size = float(what.removeprefix("gradients of "))
            low, high = ADAM.drawing.full.g
            sizes = np.abs(np.concatenate([np.ravel(gradients(p)) for p in case.parameters]))
            assert size * low <= sizes.min() and sizes.max() <= size * high
        (fade, *_) = found["gradients that fade"].parameters
        fading = [np.abs(g).max() for g in gradients(fade)]
        assert len(fading) == 16 and fading[-1] < 1e-3 * fading[0]
        for given in ("eps", "beta1", "beta2"):
            told = {s.what for s in settings(ADAM, takes(ADAM) - {given})}
            assert ("gradients of 1e-07" in told) == (given == "eps")
            assert ("gradients that fade" in told) == (given != "eps")

    def test_what_is_no_number_is_said_beside_what_is(self) -> None:
        names = frozenset({"lr", "adjust_lr_fn"})
        case = next(settings(RULES["Muon"], names)).case
        nothing = Observation("x", case, np.full((case.steps, case.offsets[-1]), np.inf))
        assert nothing.not_finite(names).endswith(", adjust_lr_fn = None")

    def test_of_sparse_gradients_every_other_element_is_there_in_turn(self) -> None:
        case = next(settings(RULES["SparseAdam"], takes(RULES["SparseAdam"]))).case
        for p in case.parameters:
            for one, other in pairwise(gradients(p) != 0):
                assert np.array_equal(one, ~other)


def observed(answer: list[float], *, w: float = 0.0, g: float = 1.0) -> Observation:
    """A step of SGD at rate ½ on some elements."""
    n = len(answer)
    return Observation(
        "", single([w] * n, [[g] * n], SGD.hyper(lr=0.5)), np.array([answer], dtype=float)
    )


class TestNearness:
    def test_how_far_in_parts_of_the_largest_move(self) -> None:
        """All elements go to −½ by the rule; the largest move that was seen is 1."""
        near = nearness(TORCH, [observed([-0.5, -0.50005, -0.501, -1.0, 1.0])])
        assert (near.share, near.largest) == (0.4, 1.5)
        assert round(near.typical, 6) == round((0 + 0.00005 + 0.001 + 0.5 + 1) / 5, 6)

    def test_where_nothing_moves(self) -> None:
        still, moved = observed([0.0], g=0.0), observed([0.0])
        assert nearness(TORCH, [still]).largest == 0
        assert nearness(TORCH, [moved]).largest == np.inf
        assert nearness(TORCH, [still, moved]).share == 0.5


def case(*gradients: Any, **h: Any) -> Observation:
    shaped = [np.array(g, dtype=float) for g in gradients]
    return Observation("", single(np.ones_like(shaped[0]), shaped, SGD.hyper(**h)), np.zeros(0))


STEADY = case([1, 2], [1, 2])
HAS: dict[str, tuple[Observation, Observation]] = {
    "momentum": (case([1], momentum=0.5), case([1])),
    "batch_size": (case([1], batch_size=2), case([1], batch_size=1)),
    "nesterov": (case([1], momentum=0.5, nesterov=True), case([1], momentum=0.5)),
    "falling": (case([1, 2], [1, 1]), case([1, 2], [1, 3])),
    "rising": (case([1, 2], [1, 3]), STEADY),
    "turning": (case([1, 2], [1, -2]), STEADY),
    "checkered": (case([1, 2], [2, 1]), case([1, 2], [2, 4])),
    "missing": (case([1, 2], [0, 2]), STEADY),
    "late": (case(*[[1]] * 4), case(*[[1]] * 3)),
    "vector": (case([1]), case([[1]])),
    "matrix": (case([[1]]), case([1])),
    "oblong": (case([[1, 2]]), case([[1, 2], [3, 4]])),
    "row": (case([[1, 2]]), case([[1, 2], [3, 4]])),
}
"""What has a part, and what has not."""


class TestUntold:
    @pytest.mark.parametrize("part", HAS)
    def test_what_a_case_has(self, part: str) -> None:
        there, not_there = HAS[part]
        assert has(there, part)
        assert not has(not_there, part)

    def test_a_learning_rate_that_changes(self) -> None:
        h = SGD.hyper(lr=0.5)
        for other in (0.5, 0.25):
            asked = single([1.0], [[1.0], [1.0]], [h, h._replace(lr=other)])
            assert has(Observation("", asked, np.zeros(0)), "schedule") == (other != 0.5)

    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
    def test_a_format_of_many_bits(self, dtype: str) -> None:
        assert has(Observation("", STEADY.case, np.zeros(0), dtype), "full") == (
            "32" in dtype or "64" in dtype
        )

    def test_what_is_lacking_is_said(self) -> None:
        assert absent(frozenset({"momentum", "schedule"}), [STEADY]) == [
            "momentum != 0",
            "a learning rate that changes",
        ]
        small = case([1], momentum=1e-9, batch_size=7)
        assert absent(frozenset({"momentum", "batch_size"}), [small]) == []
        assert absent(frozenset({"batch_size", "matrix"}), [case([[1]], batch_size=7)]) == []
        longer = case([1], [1], momentum=1e-9)
        assert more_of(frozenset({"momentum", "batch_size"}), [longer]) == ["a larger momentum"]
        assert more_of(frozenset({"batch_size", "matrix"}), [longer]) == []
        assert more_of(frozenset({"momentum"}), [small]) == ["a second step"]

    def test_what_nothing_speaks_for_is_untold_as_well(self) -> None:
        """Steps below the roundings of w: no convention can be excluded, nor does any show."""
        asked = single([1.0], [[1e-20], [1e-20]], SGD.hyper(lr=0.5, momentum=0.5))
        known = Told({"SGD": [Observation("", asked, np.ones((2, 1)))]})
        left = untold(Sieve(known, {SGD: frozenset()}, MARGINS[0]), TORCH)
        assert {c.conventions[0].name for u in left for c in u.candidates} >= {"lr_in_velocity"}


@dataclass(frozen=True)
class Told:
    """A witness that knows what it is told, by the names of rules."""

    known: Mapping[str, list[Observation]]
    taken: Mapping[str, frozenset[str]] = field(default_factory=dict)
    name: str = "code"
    vague: bool = False

    def takes(self, rule: Rule) -> frozenset[str]:
        return self.taken.get(rule.name, takes(rule))

    def ignores(self, rule: Rule) -> frozenset[str]:
        return frozenset()

    def short(self, rule: Rule) -> bool:
        return False

    deaf = short

    def unread(self, rule: Rule) -> tuple[str, ...]:
        return ()

    resting = unread
    far: Witness | None = None

    def kinds(self, rule: Rule) -> Kinds:
        return Kinds({"parameters": (0,)})

    def by_place(self, rule: Rule) -> bool:
        return False

    def observations(
        self, rule: Rule, without: frozenset[str] = frozenset()
    ) -> Iterator[Observation]:
        if rule.name not in self.known:
            raise SubjectError(f"not {rule.name}")
        yield from self.known[rule.name]


class TestSieve:
    def test_what_is_left_adds_up(self) -> None:
        one, other = Sifted((TORCH,), (TORCH,), 3), Sifted((), (TORCH,), 4)
        assert one + other == Sifted((TORCH,), (TORCH, TORCH), 7)

    def test_those_that_do_not_hold_are_counted(self) -> None:
        sieve = Sieve(Asked(Planted(TORCH)), {SGD: frozenset()}, MARGINS[0])
        pool = [TORCH, convention(SGD, "batch_scaled"), convention(SGD, "decoupled")]
        assert sieve.sift(SGD, pool) == Sifted((TORCH,), (), 2)

    def test_why_nothing_is_known_is_said_where_nothing_is(self) -> None:
        known = {"SGD": [observed([-0.5])]}
        rules = dict.fromkeys((ADAM, SGD), frozenset[str]())
        assert Sieve(Told(known), rules, MARGINS[0]).fault() == ""
        assert Sieve(Told({}), rules, MARGINS[0]).fault() == "not Adam"

    def test_what_is_another_rules_is_the_most_that_some_rule_knows(self) -> None:
        taken = {
            "SGD": frozenset({"lr"}),
            "Adadelta": frozenset({"lr", "rho"}),
            "Adam": frozenset({"lr", "beta1", "beta2"}),
            "Rprop": frozenset({"etaplus"}),
        }
        rules = {RULES[name]: frozenset[str]() for name in taken}
        sieve = Sieve(Told({}, taken), rules, MARGINS[0])
        assert sieve.aside(SGD) == {"beta1", "beta2"}
        assert sieve.aside(ADAM) == sieve.aside(RULES["Rprop"]) == frozenset()

    def test_the_nearest_comes_first(self) -> None:
        """Typical differences count, and the largest ones among those that are alike."""
        sieve = Sieve(
            Asked(Planted(convention(SGD, "batch_scaled"))), {SGD: frozenset()}, MARGINS[0]
        )
        assert sieve.ranked[0].names == {"batch_scaled"}
        known = sieve.known(SGD)[:2]
        off = [nearness(c, known) for c in sieve.ranked]
        assert off == sorted(off, key=lambda near: (near.typical, near.largest))


class TestExceptions:
    @pytest.mark.parametrize("where", ["matrices", "the second of two parameters"])
    def test_a_convention_of_its_own_for_each_kind(self, where: str) -> None:
        """Nothing holds for both; what holds for one is the rule, and the other is told.

        What stands second is a matrix, until they are turned round.
        """

        @dataclass(frozen=True)
        class Halved(Planted):
            def run(self, rule: Rule, case: Case, dtype: str = "float64") -> Any:
                first = super().run(rule, case, dtype)
                then = Planted(convention(SGD, "batch_scaled")).run(rule, case, dtype)
                other = [
                    np.full(p.initial.size, p.initial.ndim > 1 if where == "matrices" else n > 0)
                    for n, p in enumerate(case.parameters)
                ]
                return np.where(np.concatenate(other), then, first)

        sieve = Sieve(Asked(Halved(convention(SGD, "decoupled"))), {SGD: frozenset()}, MARGINS[0])
        found = divided(sieve)
        said = [str(found.fits[0]), *map(str, found.exceptions)]
        assert said == ["SGD's decoupled", f"batch_scaled for {where}"]

    def test_a_case_of_fewer_parameters_tells_of_those_that_it_has(self) -> None:
        """As those of Muon's matrices do."""
        known = Sieve(Told({"SGD": [observed([-0.5])]}), {SGD: frozenset()}, MARGINS[0])
        assert [o.answer.size for o in replace(known, cut=of((0, 1))).known(SGD)] == [1]
        assert not replace(known, cut=of((1,))).known(SGD)

    def test_a_rule_for_all_has_no_exceptions_by_kind(self) -> None:
        """One kind of parameters is no two."""
        known = Told({"SGD": [observed([-0.5])]})
        assert divided(Sieve(known, {SGD: frozenset()}, MARGINS[0])) == Sifted()


SMALL_NOWHERE: dict[str, set[str]] = {
    "RAdam": {
        *("threshold_of_four", "unrectified", "eps_inside", "eps_corrected", "eps_ignored"),
        *("second_uncorrected", "limit_unshifted"),
    },
    "Adadelta": {"rho_swapped"},
    "RMSprop": {"alpha_swapped"},
    "Rprop": {"first_unbounded", "unbounded"},
    "Adafactor": {
        *("eps_added", "unfactored", "rate_uncapped", "eps_unsquared", "clipped_by_norm"),
        "size_by_norm",
    },
    "SparseAdam": {"dense", "move_dense", "moments_dense"},
    "Muon": {"adjust_turned", "cubic", "quintic", "normalized"},
}
"""Conventions for which numbers on one element, in three steps, are not enough, or one half for all
makes them the same."""


def told(rule: Rule, *names: str) -> Identification:
    return identify(Planted(convention(rule, *names)), [rule])


class TestByHand:
    @pytest.mark.one_in(4)
    @pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
    def test_whatever_torch_does_not_do_is_ruled_out_by_numbers(self, rule: Rule) -> None:
        """Each shows more than a hundredth of the larger move, and says what the code gave."""
        examples = told(rule).examples
        shown = {name for e in examples for c in e.rejected for name in c.names}
        assert {c.name for c in rule.conventions[1:]} - shown == SMALL_NOWHERE.get(rule.name, set())
        for e in examples:
            assert abs(e.expected - e.got) > 0.01 * max(abs(e.expected - e.w), abs(e.got - e.w))
        assert Counter(c for e in examples for c in map(str, e.rejected)).most_common(1)[0][1] == 1

    def test_torchs_own_is_ruled_out_first_and_then_the_nearest(self) -> None:
        found = told(SGD, "batch_scaled")
        assert found.sieve is not None
        known = found.sieve.known(SGD)
        firsts = [e.rejected[0] for e in found.examples]
        assert str(firsts[0]) == str(TORCH)
        off = [nearness(c, known).typical for c in firsts[1:]]
        assert off == sorted(off)

    def test_numbers_say_nothing_that_does_not_matter(self) -> None:
        """No settings at rest, no batch of one row, and nothing that the code does not take."""
        for e in told(SGD).examples:
            assert all(e.settings.values()) and e.settings.get("batch_size") != 1
        two = {name for e in told(SGD).examples for name in e.settings}
        assert {"batch_size", "weight_decay", "momentum"} <= two

        def step(params: Any, grads: Any, state: Any, lr: Any, wd: Any) -> Any:
            return [w - lr * (g + wd * w) for w, g in zip(params, grads, strict=True)]

        examples = identify(step, [ADAM, SGD]).examples
        assert {name for e in examples for name in e.settings} == {"lr", "weight_decay"}

    def test_numbers_that_code_does_not_take_are_not_said(self) -> None:
        def adagrad(params: Any, grads: Any, state: Any, lr: Any) -> Any:
            for i, g in enumerate(grads):
                state[i] = state.get(i, 0) + g * g
            roots = [np.sqrt(state[i]) + 1e-10 for i in range(len(params))]
            return [w - lr * g / r for w, g, r in zip(params, grads, roots, strict=True)]

        (example, *_) = identify(adagrad, ["Adagrad"]).examples
        assert set(example.settings) == {"lr"}

    def test_of_a_record_the_first_step_that_shows_and_its_plainest_element(self) -> None:
        """At w = 0 no decay shows; later steps would show more, and the other element does less."""
        w, rows, g = np.zeros((1, 2)), [np.zeros((1, 2))], np.array([[1.0, 3.0]])
        for _ in range(4):
            w = w - 0.5 * (g + 0.5 / 4 * w)
            rows.append(w)
        hyper = {"lr": 0.5, "weight_decay": 0.5, "batch_size": 4.0, "momentum": 0.0}
        trace = Trace(
            "run",
            {"bias": np.zeros((5, 1)), "w": np.stack(rows)},
            {"bias": np.zeros((4, 1)), "w": np.stack([g] * 4)},
            {name: (value,) * 4 for name, value in hyper.items()},
        )
        (example, *_) = identify(trace, ["SGD"]).examples
        assert example.given == (
            "w = -1.5, g = 3, lr = 0.5, weight_decay = 0.5, batch_size = 4.0 (step 2, w[0, 1])"
        )
        assert (example.expected, example.got) == (-2.625, -2.90625)

    def test_numbers_are_of_a_setting_in_which_the_code_does_what_fits(self) -> None:
        """It leaves decay out where there is no momentum: with momentum it is seen."""

        def one(w: Any, g: Any, kept: dict[str, Any], h: Mapping[str, Any]) -> Any:
            if h["momentum"] == 0:
                return w - h["lr"] * g
            kept["b"] = h["momentum"] * kept.get("b", 0) + g + h["weight_decay"] * w
            return w - h["lr"] * kept["b"]

        def step(params: Any, grads: Any, state: Any, lr: Any, momentum: Any, wd: Any) -> Any:
            h = {"lr": lr, "momentum": momentum, "weight_decay": wd}
            pairs = enumerate(zip(params, grads, strict=True))
            return [one(w, g, state.setdefault(i, {}), h) for i, (w, g) in pairs]

        found = identify(step, ["SGD"])
        assert [e.where for e in found.exceptions] == ["where momentum=0"]
        (ignored,) = (
            e for e in found.examples if {"decay_ignored"} in [c.names for c in e.rejected]
        )
        assert ignored.settings["momentum"] == 0.5
        assert round(ignored.got, 9) == 0.8  # 1 − 0.1(1 + 1)
        assert round(ignored.expected, 9) == 0.9


class TestManyAtOnce:
    """What is found of many candidates, or problems, at once is what is found of each."""

    @pytest.mark.parametrize("name", ["SGD", "Adam", "Rprop"])
    def test_candidates_that_differ_in_arguments(self, name: str) -> None:
        rule = RULES[name]
        takes = frozenset({"lr", "momentum", "beta2", "etaplus", "batch_size"})
        code = Candidate(rule, (), (Argument(("lr",), "times", 1.001),))
        told, alone = (next(Asked(Planted(code)).observations(rule)) for _ in range(2))
        some = [Candidate(rule, (c,)) for c in (rule.torch, rule.conventions[1])]
        pool = [c.hearing(argument) for c in some for argument in likely(rule, takes)]
        look(pool, told)
        assert {c: plausible(c, alone) for c in pool if c in told.tried} == told.tried
        assert len(told.tried) > len(pool) / 2 and {*told.tried.values()} == {True, False}

    def test_problems_that_begin_alike_and_end_alike_are_solved_once(self) -> None:
        """Parabolas of which the second is the first, and the third bends where that one ends."""
        asked: list[int] = []

        def sloping(which: Any, values: FloatArray) -> tuple[FloatArray, FloatArray]:
            asked.extend(which)
            off = values - 3.0
            bent = (which == 2)[:, None, None] & (values > 2)
            return np.where(bent, off + 1, off), np.ones((*values.shape, 1))

        bounds = Bounds(*(np.array([x]) for x in (-9.0, 9.0, 9.0)))
        found = least_squares(sloping, np.zeros((3, 1, 1)), bounds)
        assert found[:, 0] == pytest.approx([3, 3, 2], abs=1e-6)
        assert asked.count(1) == 2 < asked.count(0)

    def test_a_start_from_which_nothing_comes_stops_no_other(self) -> None:
        """One valley is near its bottom at once, and the other one is deeper, and far."""

        def sloping(which: Any, values: FloatArray) -> tuple[FloatArray, FloatArray]:
            shallow = values < 0
            off = np.where(shallow, values + 1, values - 21), np.where(shallow, 0.1, 0.0)
            slopes = np.ones_like(values), np.zeros_like(values)
            return np.concatenate(off, axis=-1), np.stack(slopes, axis=-1)

        bounds = Bounds(*(np.array([x]) for x in (-9.0, 99.0, 2.0)))
        found = least_squares(sloping, np.array([[[-1.0], [1.0]]]), bounds)
        assert found == pytest.approx(21)
