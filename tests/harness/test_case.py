"""Cases refuse what no subject could be asked, and know where their elements are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.harness.arithmetic.formats import DTYPES
from oracles.harness.cases.case import (
    GRADIENT_LAYOUTS,
    LAYOUTS,
    MIXED,
    Case,
    Group,
    Parameter,
    dtype_of,
    from_data,
    single,
)
from oracles.harness.cases.strategies import cases
from oracles.optimizers.sgd import RULE, Hyper

H = Hyper(lr=0.5)


def _parameter(*gradients: float | None, shape: tuple[int, ...] = (2,)) -> Parameter:
    return Parameter(
        np.zeros(shape), tuple(None if g is None else np.full(shape, g) for g in gradients)
    )


class TestRefused:
    """Every message names the argument, what was given and what is allowed."""

    @pytest.mark.parametrize(
        ("name", "allowed"), [("layout", LAYOUTS), ("gradient_layout", GRADIENT_LAYOUTS)]
    )
    def test_layout(self, name: str, allowed: tuple[str, ...]) -> None:
        options: dict[str, Any] = {name: "blocked"}
        expected = f"{name}='blocked' is not known; allowed: {', '.join(allowed)}"
        with pytest.raises(ValueError, match=expected):
            Parameter(np.zeros(2), (), **options)

    def test_sparse_is_for_gradients_only(self) -> None:
        with pytest.raises(ValueError, match="layout='sparse'"):
            single([1.0], [[1.0]], H, layout="sparse")

    def test_gradient_of_another_shape(self) -> None:
        expected = r"gradients\[1\] has shape \(3,\); its parameter has \(2,\)"
        with pytest.raises(ValueError, match=expected):
            Parameter(np.zeros(2), (None, np.zeros(3)))

    @pytest.mark.parametrize("groups", [(), (Group((_parameter(1.0),), (H,), joins=1),)])
    def test_no_group_at_the_start(self, groups: tuple[Group, ...]) -> None:
        with pytest.raises(
            ValueError, match="must not be empty, and the first one joins at step 0"
        ):
            Case(groups)

    def test_groups_out_of_order(self) -> None:
        joins = [Group((_parameter(None, None, None),), (H,) * 3, joins=j) for j in (0, 2, 1)]
        with pytest.raises(ValueError, match=r"order they join; they join at \[0, 2, 1\]"):
            Case(tuple(joins))

    def test_schedules_of_different_lengths(self) -> None:
        groups = Group((_parameter(1.0, 1.0),), (H, H)), Group((_parameter(1.0),), (H,))
        with pytest.raises(
            ValueError, match=r"groups\[1\].schedule has 1 steps; groups\[0\] has 2"
        ):
            Case(groups)

    def test_too_few_gradients(self) -> None:
        expected = r"parameter of groups\[0\] has 1 gradients; the case has 2 steps"
        with pytest.raises(ValueError, match=expected):
            Case((Group((_parameter(1.0),), (H, H)),))

    def test_gradient_before_its_group_joins(self) -> None:
        first = Group((_parameter(1.0, 1.0),), (H, H))
        with pytest.raises(ValueError, match=r"groups\[1\] has a gradient before it joins"):
            Case((first, Group((_parameter(1.0, 1.0),), (H, H), joins=1)))
        Case((first, Group((_parameter(None, 1.0),), (H, H), joins=1)))


SHAPES = ((), (2, 3), (0,), (1,), (0, 2), (4,))


class TestWhere:
    def _case(self) -> Case:
        parameters = [_parameter(1.0, shape=shape) for shape in SHAPES]
        return Case((Group(tuple(parameters[:2]), (H,)), Group(tuple(parameters[2:]), (H,))))

    def test_offsets(self) -> None:
        assert self._case().offsets == (0, 1, 7, 7, 8, 8, 12)

    @pytest.mark.parametrize(
        ("element", "place"),
        [(0, (0, ())), (1, (1, (0, 0))), (6, (1, (1, 2))), (7, (3, (0,))), (8, (5, (0,)))],
    )
    def test_locate_by_hand(self, element: int, place: tuple[int, tuple[int, ...]]) -> None:
        """Empty parameters own no element: 7 belongs to the fourth, 8 to the sixth."""
        assert self._case().locate(element) == place

    @given(cases(RULE))
    def test_locate_inverts_the_layout(self, case: Case) -> None:
        laid = [(i, j) for i, p in enumerate(case.parameters) for j in np.ndindex(p.initial.shape)]
        assert case.offsets[-1] == len(laid)
        for element in {0, len(laid) // 2, len(laid) - 1} & set(range(len(laid))):
            assert case.locate(element) == laid[element]

    def test_walk_numbers_parameters_through_all_groups(self) -> None:
        case = self._case()
        walked = list(case.walk())
        assert [index for index, _, _ in walked] == list(range(len(SHAPES)))
        assert [p for _, _, p in walked] == list(case.parameters)
        first, second = case.groups
        assert [group for _, group, _ in walked] == [first] * 2 + [second] * 4
        assert [case.group_of(i) for i in range(6)] == [first] * 2 + [second] * 4

    def test_has(self) -> None:
        case = single([1.0, 2.0], [[1.0, 1.0]], H, gradient_layout="expanded")
        assert case.has("expanded")
        assert not case.has("sparse")


class TestDtypes:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_one_dtype_for_all(self, dtype: str) -> None:
        assert {dtype_of(dtype, i) for i in range(6)} == {dtype}

    @given(st.integers(0, 50))
    def test_mixed_gives_neighbours_all_of_them(self, first: int) -> None:
        assert {dtype_of(MIXED, first + i) for i in range(len(DTYPES))} == set(DTYPES)


class TestBuilders:
    def test_single_repeats_one_set_of_hyperparameters(self) -> None:
        case = single(1, [2, None], H)
        (group,) = case.groups
        assert group.schedule == (H, H)
        assert case.parameters[0].initial.dtype == np.float64
        assert case.parameters[0].gradients == (np.array(2.0), None)

    def test_single_takes_a_schedule(self) -> None:
        other = H._replace(lr=0.25)
        assert single(1, [2, 3], [H, other]).groups[0].schedule == (H, other)

    def test_from_data(self) -> None:
        data = {
            "steps": 2,
            "hyper": {"lr": [0.5, 0.25], "momentum": 0.9},
            "parameters": [
                {"initial": [1.0, 2.0], "gradients": [[3.0, 4.0], []]},
                {"initial": 1, "gradients": [[], 2], "shape": [2, 2], "layout": "transposed"},
            ],
        }
        case = from_data(RULE, data)
        first, second = case.parameters
        assert case.groups[0].schedule == (Hyper(0.5, 0.9), Hyper(0.25, 0.9))
        assert np.array_equal(first.initial, [1.0, 2.0])
        assert [None if g is None else g.tolist() for g in first.gradients] == [[3.0, 4.0], None]
        assert np.array_equal(second.initial, np.ones((2, 2)))
        assert [None if g is None else g.tolist() for g in second.gradients] == [None, [[2, 2]] * 2]
        assert (first.layout, second.layout) == ("contiguous", "transposed")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"hyper": {"rate": 1.0}}, "rate"),
            ({"hyper": {"lr": [1.0]}}, "hyper.lr has 1 entries"),
            ({"steps": 1}, "has 2 gradients; the case has 1 steps"),
            ({"parameters": [{"initial": 1, "gradients": [1, 1], "colour": 2}]}, "colour"),
        ],
    )
    def test_from_data_refuses_what_it_does_not_know(
        self, change: dict[str, Any], message: str
    ) -> None:
        data = {"steps": 2, "hyper": {}, "parameters": [{"initial": 1, "gradients": [1, 1]}]}
        from_data(RULE, data)
        with pytest.raises((TypeError, ValueError, IndexError), match=message):
            from_data(RULE, data | change)
