"""What rule text calls keeps the arithmetic it is called in, and enclosures of the same numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from oracles.harness.arithmetic.decimals import Precise, Real
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FLOAT64, FORMATS, TENSOR
from oracles.harness.oracle import exactly
from oracles.numerics import Product, ema, ema_of_squares, kept, lerp, one, zeros_like
from oracles.optimizers import asgd, nadam, sgd
from oracles.rule import Rule
from tests.support.rooted import Rooted

NUMBERS: tuple[Any, ...] = (
    *(0.5, np.float64(0.5), Fraction(1, 2), Rooted(1, 2)),
    *(Real(0.5), Precise(0.5), mpmath.mpf(0.5)),
)

FLOAT32 = FORMATS["float32"]


def tensor(value: float) -> Any:
    return Enclosure.tensor(value)


def balls(*values: float) -> Any:
    return Enclosure.exact(np.array(values), FLOAT32)


@pytest.mark.parametrize("x", NUMBERS, ids=lambda x: type(x).__name__)
class TestNumbers:
    def test_one(self, x: Any) -> None:
        assert type(one(x)) is type(x)
        assert one(x) == 1

    def test_zeros(self, x: Any) -> None:
        assert type(zeros_like(x)) is type(x)
        assert zeros_like(x) == 0

    def test_zeros_of_an_array(self, x: Any) -> None:
        zeros = zeros_like(np.array([[x, x]], dtype=object))
        assert zeros.shape == (1, 2)
        assert [type(zero) for zero in zeros.flat] == [type(x)] * 2
        assert not zeros.any()

    def test_products_are_what_they_are(self, x: Any) -> None:
        assert Product(x) * x == x * x
        assert type(Product(x) * x) is type(x * x)


class TestArrays:
    @pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
    @pytest.mark.parametrize("dtype", [np.float32, object])
    def test_zeros(self, shape: tuple[int, ...], dtype: Any) -> None:
        zeros = zeros_like(np.full(shape, 0.5, dtype=dtype))
        assert (zeros.shape, zeros.dtype) == (shape, dtype)
        assert not zeros.any()

    def test_moments(self) -> None:
        old, new = np.array([4.0, 0.0]), np.array([8.0, 2.0])
        assert ema(old, new, 0.75).tolist() == [5.0, 0.5]
        assert ema_of_squares(old, new, 0.75).tolist() == [19.0, 1.0]


class TestEnclosures:
    @pytest.mark.parametrize("x", [Enclosure.exact(0.3), tensor(0.3)], ids=["number", "tensor"])
    def test_one_is_exact_and_in_its_format(self, x: Any) -> None:
        assert (one(x).mid, one(x).rad, one(x).format) == (1, 0, x.format)

    def test_zeros_are_exact(self) -> None:
        zeros = zeros_like(balls(0.5, -1.0))
        assert (zeros.mid.tolist(), zeros.rad.tolist(), zeros.format) == ([0, 0], [0, 0], FLOAT32)

    def test_shapes_are_known_to_numpy(self) -> None:
        x = balls(1.0, 2.0)
        assert (np.shape(x), np.ndim(x)) == ((2,), 1)
        assert (np.shape(tensor(0.5)), np.ndim(tensor(0.5))) == ((), 0)

    @pytest.mark.parametrize("literal", [False, True])
    def test_a_moment_is_a_lerp(self, literal: bool) -> None:
        old, new, beta = balls(0.3, 4.0), balls(0.7, -1.0), Enclosure.exact(0.9)
        mine = ema(old, new, beta, literal=literal)
        torchs = lerp(old, new, 1 - beta, literal=literal)
        assert mine.mid.tolist() == torchs.mid.tolist()
        assert mine.rad.tolist() == torchs.rad.tolist()

    def test_a_moment_of_squares_is_two_products(self) -> None:
        old, x, beta = balls(0.3, 4.0), balls(0.7, -1.0), Enclosure.exact(0.9)
        mine, torchs = ema_of_squares(old, x, beta), beta * old + (1 - beta) * (x * x)
        assert mine.mid.tolist() == torchs.mid.tolist()
        assert mine.rad.tolist() == torchs.rad.tolist()

    def test_a_product_rounds_its_factor_and_itself(self) -> None:
        product = Product(1) * Enclosure.exact(0.1)
        assert product.format is FLOAT64  # as a Python number it goes on
        assert product.rad >= FLOAT32.u * 0.1
        again = Product(product) * Enclosure.exact(0.1)
        assert again.rad >= 3 * FLOAT32.u * 0.01


def test_a_switch_is_a_switch_whatever_was_asked_before() -> None:
    """1 equals True, and is no switch."""
    for value in (1, True, 1.0):
        entered = exactly(sgd.Hyper(nesterov=value)).nesterov  # type: ignore[arg-type]
        assert (entered is True) == (value is True)


STATES = [(asgd.RULE, "eta"), (asgd.RULE, "mu"), (nadam.RULE, "mu_product")]


class TestStates:
    """What a rule's rows say of numbers that torch keeps in float32, and that a run heeds them."""

    def states(self, rule: Rule, count: Any = int) -> list[Any]:
        h = exactly(rule.hyper(lr=0.3) if rule is nadam.RULE else asgd.Hyper(lr=0.3, t0=0.7))
        run = rule.run(rule.torch, balls(1.0), [balls(0.3)] * 3, [h] * 3, count=count)
        return [state for _, state in run]

    @pytest.mark.parametrize(("rule", "name"), STATES, ids=[name for _, name in STATES])
    def test_they_are_rounded(self, rule: Rule, name: str) -> None:
        last = self.states(rule)[-1][name]
        assert last.format is FLOAT64
        assert FLOAT32.u * abs(last.mid) <= last.rad <= 8 * FLOAT32.u * abs(last.mid)

    @pytest.mark.parametrize(("rule", "name"), STATES, ids=[name for _, name in STATES])
    def test_beside_a_tensor_they_are_one(self, rule: Rule, name: str) -> None:
        assert self.states(rule, Enclosure.tensor)[-1][name].format is TENSOR

    def test_a_rate_that_no_tensor_made_meets_one_as_a_tensor(self) -> None:
        constant = asgd.RULE.convention("rate_constant")
        h, w = exactly(asgd.Hyper(lr=0.3)), balls(1.0)
        by_count = {}
        for count in (int, Enclosure.tensor):
            *_, (moved, _) = asgd.RULE.run(constant, w, [balls(0.3)] * 2, [h] * 2, count=count)
            by_count[count] = moved.rad.item()
        assert by_count[int] < by_count[Enclosure.tensor]

    def test_a_step_by_itself_says_nothing_of_them(self) -> None:
        h, w = exactly(asgd.Hyper(lr=0.3)), balls(1.0)
        _, state = asgd.step(w, balls(0.3), 1, asgd.start(w, h), h, asgd.TORCH)
        assert state["eta"].rad < FLOAT32.u * state["eta"].mid / 2**20
        assert kept(state["eta"]).rad > FLOAT32.u * state["eta"].mid
