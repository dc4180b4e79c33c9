"""A margin holds every text that makes no more roundings than it says where the rule makes one.

The rule's own text is run on numbers that err with each operation by all that so many roundings
can do, to either side, or not at all as where operations are fused. What is claimed is held at the
claimed number of roundings, and not at many more: the margin is no wider than its claim.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.lib.mixins import NDArrayOperatorsMixin

from oracles.harness.arithmetic.formats import HALF, round_to
from oracles.harness.candidates import Candidate, candidates
from oracles.harness.cases.case import single
from oracles.harness.evidence import following
from oracles.harness.evidence.far_off import FEWER, far_off
from oracles.harness.evidence.following import exact, follow, held
from oracles.harness.evidence.observation import Doubt, Observation
from oracles.harness.evidence.proving import closeness, widened
from oracles.harness.evidence.settings import settings
from oracles.harness.evidence.sifting import MARGINS, ROUNDINGS, Sieve
from oracles.harness.evidence.witnesses import Asked
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.support.planted import Planted

EXACT = (np.maximum, np.minimum, np.absolute, np.negative, np.sign)
"""Functions that round nothing."""


class Drifting(NDArrayOperatorsMixin):
    """An array in which each operation errs by so many roundings of float32, to a drawn side.

    Attributes:
        roundings: how many.
        rng: draws the side.
    """

    roundings: int
    rng: np.random.Generator

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **_: Any) -> Any:
        out = ufunc(*(x.values if isinstance(x, Drifting) else x for x in inputs))
        if out.dtype == bool:
            return out
        side = 0 if ufunc in EXACT else self.rng.choice([-1, 1, 0], out.shape)
        return type(self)(out * (1 + side * 2.0**-24) ** self.roundings)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        plain = [x.values if isinstance(x, Drifting) else x for x in args]
        return type(self)(function(*plain, **kwargs))


def drifted(rule: Rule, observation: Observation, roundings: int, seed: int) -> Observation:
    """What such numbers make of a case in float32."""
    own = {"roundings": roundings, "rng": np.random.Generator(np.random.PCG64(seed))}
    kind: Any = type("Drifting", (Drifting,), own)
    (group,) = observation.case.groups
    columns = []
    for p in group.parameters:
        w, *gradients = (
            kind(x.astype(np.float32).astype(np.float64))
            for x in (p.initial, *p.gradients)
            if x is not None
        )
        run = rule.run(rule.torch, w, gradients, group.schedule)
        columns.append(np.stack([np.ravel(x.values) for x, _ in run]))
    answer = np.concatenate(columns, axis=1)
    return Observation("", observation.case, answer, "float32")


EACH = [rule for rule in RULES.values() if rule.elementwise and not rule.sparse]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("rule", EACH, ids=lambda rule: rule.name)
def test_what_is_claimed_is_held_and_not_much_more(rule: Rule) -> None:
    takes = frozenset(rule.hyper()._fields)
    case = next(settings(rule, takes)).case
    plain = Observation("", case, np.zeros((case.steps, case.offsets[-1])), "float32")
    own = Candidate(rule)
    for seed in range(5):
        claimed = drifted(rule, plain, ROUNDINGS, seed)
        assert held(own, claimed, MARGINS[0]) is not None
        assert following.near(own, claimed)
    beyond = [drifted(rule, plain, 12 * ROUNDINGS, seed) for seed in range(5)]
    assert any(held(own, one, MARGINS[0]) is None for one in beyond)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_plain_float64_spares_margins_but_decides_nothing(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the widest margin holds is near, with each convention beside torch's answers."""
    sieve = Sieve(Asked(Planted(Candidate(rule))), {rule: frozenset()}, MARGINS[-1])
    spared = sieve.sift(rule, candidates(rule, 1))
    for bound in ("NEAR", "NEAR_IN_SHORT"):
        monkeypatch.setattr(following, bound, np.inf)
    assert sieve.sift(rule, candidates(rule, 1)) == spared


@pytest.mark.one_in(3)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_the_very_numbers_of_a_rule_are_within_its_margin(rule: Rule) -> None:
    """Which is not computed for them."""
    for candidate in candidates(rule, 1):
        told = next(Asked(Planted(candidate)).observations(rule))
        assert exact(candidate, told)
        assert held(candidate, told, MARGINS[0])


@pytest.mark.one_in(3)
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_no_margin_of_a_long_run_is_as_wide_as_what_it_is_held_to(rule: Rule) -> None:
    own, takes = Candidate(rule), frozenset(rule.hyper()._fields)
    sieve = Sieve(Asked(Planted(own)), {rule: takes}, MARGINS[0])
    for setting in islice(far_off(rule, takes), 2):
        told = Observation("", setting.case, Planted(own).run(rule, setting.case))
        assert told.case.steps >= FEWER
        close = closeness(sieve, own, told)
        for where, step, ball in follow(own, told, widened(MARGINS[0], rule, told)):
            allowed = close * told.moves[step] + told.slack[step, where]
            assert (np.ravel(ball.rad) <= allowed).all()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("rule", EACH, ids=lambda rule: rule.name)
def test_roundings_of_float32_leave_a_long_run_as_near_as_it_is_held_to(rule: Rule) -> None:
    own, takes = Candidate(rule), frozenset(rule.hyper()._fields)
    sieve = Sieve(Asked(Planted(own)), {rule: takes}, MARGINS[0])
    case = next(far_off(rule, takes)).case
    told = drifted(rule, Observation("", case, np.empty((case.steps, 0)), "float32"), ROUNDINGS, 0)
    close = closeness(sieve, own, told)
    assert close > 0 and following.within(close, own, told)


@pytest.mark.parametrize("row", [0, 1])
def test_an_answer_is_in_doubt_by_what_was_written_after_its_step(row: int) -> None:
    """Off by half of what the number there may be off; what was there before is another's doubt."""
    case = single([1.0], [[1.0]], RULES["SGD"].hyper(lr=0.5))
    doubt = Doubt(np.where(np.arange(2)[:, None] == row, 0.02, 0.0), np.zeros((1, 1)))
    observation = Observation("", case, np.array([[0.51]]), doubt=doubt)
    other = Observation("", case, np.array([[0.53]]), doubt=doubt)
    own = Candidate(RULES["SGD"])
    assert held(own, observation, MARGINS[0]) is True
    assert following.near(own, observation)
    assert held(own, other, MARGINS[0]) is None


@pytest.mark.parametrize("dtype", HALF)
def test_an_answer_in_half_precision_is_left_to_margins(dtype: str) -> None:
    """Rounding it once leaves more than plain float64 would allow."""
    w, g = np.array([1.01, -2.03, 3.07]), np.array([0.3, -0.2, 0.7])
    rule = RULES["SGD"]
    case = single(w, [g], rule.hyper(lr=0.5))
    rounded = round_to(dtype, round_to(dtype, w) - 0.5 * round_to(dtype, g))
    assert held(Candidate(rule), Observation("", case, rounded[None], dtype), MARGINS[0])
    assert following.near(Candidate(rule), Observation("", case, rounded[None], dtype))


def test_a_product_that_is_flushed_to_zero_is_held() -> None:
    """The square of the gradient is a subnormal number, or zero where those are flushed."""
    rule = RULES["Adagrad"]
    case = single([1.0], [[1e-20]], rule.hyper(lr=0.5, eps=1e-20))
    for root, inside in ((1e-20, True), (0.0, True), (-0.2e-20, False)):
        answer = np.array([[1.0 - 0.5 * 1e-20 / (root + 1e-20)]])
        observation = Observation("", case, answer, "float32")
        assert (held(Candidate(rule), observation, MARGINS[0]) is not None) == inside
