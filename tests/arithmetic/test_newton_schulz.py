"""Enclosures of Muon's iteration: do they hold what torch does, and nothing else?

torch iterates in bfloat16. What is derived is held against it on random matrices and on those
whose roundings are hardest; what is measured is measured again, on other matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import newton_schulz as tool
from oracles.harness.arithmetic import newton_schulz as ns
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS, FloatArray, round_to
from oracles.harness.cases.case import single
from oracles.harness.oracle import Oracle
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.subject import Answer, Place
from oracles.harness.verdict import judge
from oracles.numerics import in_bfloat16
from oracles.optimizers import muon
from oracles.reports.terminal import render
from tests.support.marks import needs_muon
from tests.support.told import Told

TORCH, CUBIC, QUINTIC = tool.COEFFICIENTS
U = float(FORMATS["bfloat16"].u)

ONE = [
    (shape, steps)
    for shapes, counts in (
        (((1, 1), (1, 2), (1, 9), (1, 64)), (1, 2, 3, 5)),
        (((2, 2), (2, 3), (3, 3), (4, 16)), (1,)),
    )
    for shape, steps in product(shapes, counts)
]
"""Where everything is derived."""


def start(g: FloatArray) -> Enclosure:
    """What the iteration of a gradient starts from."""
    x: Enclosure = muon.RULE.torch.scaled(
        in_bfloat16(Enclosure.exact(g, FORMATS["float32"])), muon.Hyper()
    )
    return x


def radii_off(g: FloatArray, x: FloatArray, c: ns.Coefficients, steps: int) -> float:
    """How many radii an answer is off, at most; 0 where there is nothing to round."""
    ball = ns.enclose(start(g), c, steps)
    off = np.abs(x - ball.mid)
    return float((off / np.where(off == 0, 1, ball.rad)).max())


def matrices(shape: tool.Shape, seed: int, count: int = 4) -> list[FloatArray]:
    return list(tool.drawn(np.random.default_rng(seed), shape, count))


def climbed(shape: tool.Shape, steps: int, seed: int) -> float:
    """How near to the edge torch comes on matrices that are changed wherever that brings it nearer.

    Beyond 1 it is outside.
    """
    rng = np.random.default_rng(seed)
    best, off = matrices(shape, seed, 1), np.zeros(len(tool.KINDS))
    for spread in (0.0, *[0.05] * 6):
        near = [round_to("float32", g * rng.normal(1, spread, shape)) for g in best]
        for i, (g, x) in enumerate(zip(near, tool.asked(near, TORCH, steps), strict=True)):
            if (reached := radii_off(g, x, TORCH, steps)) > off[i]:
                best[i], off[i] = g, reached
    return float(off.max())


@needs_muon
class TestWhatIsDerived:
    @pytest.mark.one_in(3)
    @pytest.mark.parametrize(("shape", "steps"), ONE)
    def test_torch_is_inside_and_not_far_from_the_edge(self, shape: tool.Shape, steps: int) -> None:
        """A twentieth of the radius is used by some matrix of a few: no bound is wildly loose."""
        assert 1 / 20 < climbed(shape, steps, seed=1) <= 1

    @pytest.mark.parametrize("c", [CUBIC, QUINTIC, (3.0, -3.0, 1.0), (2.0, 0.0, 0.0)])
    @pytest.mark.parametrize("shape", [(1, 5), (3, 4)])
    def test_other_coefficients_too(self, c: ns.Coefficients, shape: tool.Shape) -> None:
        gs = matrices(shape, 2)
        for g, x in zip(gs, tool.asked(gs, c, 1), strict=True):
            assert radii_off(g, x, c, 1) <= 1

    def test_a_row_s_radius_is_some_roundings_wide(self) -> None:
        """After five iterations, which have a slope of 3.3 at most between them."""
        ball = ns.enclose(start(np.array([[3.0, -4.0]])), TORCH, 5)
        assert (ball.rad < 100 * U * np.abs(ball.mid)).all()
        assert (ball.rad > U * np.abs(ball.mid)).all()


def kernels(
    x: Any, c: ns.Coefficients, errors: Sequence[Any] = (0, 0, 0), absolute: Any = 0
) -> Any:
    """One iteration whose three results are off by these relative errors, and the last by more."""
    gram = x @ x.T
    gram = gram * (1 + errors[0])
    update = c[1] * gram + c[2] * gram @ gram
    update = update * (1 + errors[1])
    return (c[0] * x + update @ x) * (1 + errors[2]) + absolute


def share(start: Any, x: Any, c: ns.Coefficients, steps: int) -> Any:
    """How much of its radius each element uses, of an exact start's enclosure."""
    ball = ns.enclose(Enclosure.exact(start, FORMATS["bfloat16"]), c, steps)
    return np.abs(x - ball.mid) / ball.rad


ALL = [TORCH, CUBIC, QUINTIC, (3.0, -3.0, 1.0), (2.0, 0.0, 0.0)]


class TestHowARowMayBeRounded:
    """By any errors of at most u, and η where results are subnormal: more than torch would do."""

    @pytest.mark.one_in(3)
    @pytest.mark.parametrize("steps", [1, 2, 5])
    @pytest.mark.parametrize("c", ALL)
    def test_whatever_the_errors_it_is_inside(self, c: ns.Coefficients, steps: int) -> None:
        rng = np.random.default_rng(steps)
        for _ in range(100):
            x = rng.normal(size=(1, 4))
            x = start = x / np.linalg.norm(x) * rng.uniform(0.1, 1)
            for shapes in [((1, 1), (1, 1), (1, 4))] * steps:
                x = kernels(x, c, [U * rng.choice([-1, 1], shape) for shape in shapes])
            assert (share(start, x, c, steps) <= 1).all()

    @pytest.mark.parametrize("steps", [1, 2, 3, 5])
    def test_an_element_may_go_up_while_the_length_goes_down(self, steps: int) -> None:
        """p = (3s - s³)/2 is flat at s = 1, so the length forgets all but the last three errors.

        Where all other elements lose u, the next iteration makes up for it. The first element gains
        u each time and that as well; at last it gains u/2 by each of G and H: 2u an iteration.
        """
        x = start = np.array([[2.0**-10, 0.6, 0.8]])
        errors = [-U, -U, U * np.array([1, -1, -1])]
        for _ in range(steps):
            x = kernels(x, CUBIC, errors)
        # (1 + 2U)ᵏ is 1 + 2kU but for powers of 2kU.
        assert abs(x[0, 0] / start[0, 0] - (1 + 2 * steps * U)) <= (2 * steps * U) ** 2
        assert 2 / 5 < share(start, x, CUBIC, steps)[0, 0] <= 1

    @pytest.mark.parametrize("steps", [1, 2, 5])
    @pytest.mark.parametrize("c", ALL)
    @pytest.mark.parametrize("others", [0.5, 2.0**-133])
    def test_a_subnormal_element_is_off_by_half_a_unit_each_time(
        self, c: ns.Coefficients, steps: int, others: float
    ) -> None:
        """Which later iterations magnify: by a, where the others are as small."""
        eta = float(FORMATS["bfloat16"].eta)
        assert 2 * eta == 2.0**-133
        x = start = np.array([[2.0**-133, others, -others]])
        for _ in range(steps):
            x = kernels(x, c, absolute=np.array([[eta, 0, 0]]))
        assert 0 < share(start, x, c, steps)[0, 0] <= 1


WRONG: dict[str, Any] = {
    "a wrong coefficient": lambda g, k: tool.asked([g], (3.0, -4.775, 2.0315), k)[0],
    "a missing iteration": lambda g, k: tool.asked([g], TORCH, k - 1)[0],
    "an iteration too many": lambda g, k: tool.asked([g], TORCH, k + 1)[0],
    "a missing transpose": lambda g, k: tool.asked([g.T.copy()], TORCH, k)[0].reshape(g.shape),
    "no iteration at all": lambda g, k: g / np.linalg.norm(g),
}


SAMPLED = [
    row for row in ns.table() if row.largest < 256 and (row.coefficients == TORCH or row.steps == 5)
]


@needs_muon
class TestWhatIsMeasured:
    @pytest.mark.one_in(3)
    @pytest.mark.parametrize(
        "known",
        SAMPLED,
        ids=lambda row: "-".join(map(str, (row.coefficients[0], row.steps, row.largest))),
    )
    def test_other_matrices_stay_within_the_reach(self, known: ns.Measurement) -> None:
        """And come as near to it as the recorded ones did, but for luck."""
        fresh = tool.measured(known.coefficients, known.steps, known.largest, 1, 20)
        assert fresh.worst < known.reach
        assert fresh.worst > known.worst / 3

    @pytest.mark.one_in(4)
    @pytest.mark.parametrize("steps", tool.STEPS)
    @pytest.mark.parametrize("shape", [(2, 2), (3, 3), (4, 16)])
    def test_even_matrices_that_were_searched_for_do(self, shape: tool.Shape, steps: int) -> None:
        assert climbed(shape, steps, seed=3) <= 1

    @pytest.mark.one_in(6)
    @pytest.mark.parametrize("steps", [1, *tool.STEPS])
    @pytest.mark.parametrize("wrong", WRONG)
    @pytest.mark.parametrize("shape", [(3, 3), (3, 8)])
    def test_wrong_iterations_are_outside(self, shape: tool.Shape, wrong: str, steps: int) -> None:
        gs = matrices(shape, 4, 2)
        off = [radii_off(g, WRONG[wrong](g, steps), TORCH, steps) for g in gs]
        assert np.median(off) > 1

    def test_the_table_names_what_it_was_measured_on(self) -> None:
        text = tool.text(ns.table(), 0)
        rows = [(row.coefficients, row.steps, row.largest) for row in ns.table()]
        assert rows == list(product(tool.COEFFICIENTS, tool.STEPS, tool.SIZES))
        kept = ns.TABLE.read_text(encoding="utf-8")
        assert [*map(_rows, (kept, text))] == [_rows(kept)] * 2
        assert 'torch = "' in kept

    def test_the_tool_writes_the_table_it_is_told_to(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Here with one iteration of the smallest matrices, which the module then reads."""
        out = tmp_path / "table.toml"
        monkeypatch.setattr(tool, "COEFFICIENTS", (CUBIC,))
        monkeypatch.setattr(tool, "STEPS", (2,))
        monkeypatch.setattr(tool, "SIZES", {16: ((2, 2),)})
        monkeypatch.setattr(tool, "MATRICES", {16: 1})
        monkeypatch.setattr("sys.argv", ["newton_schulz", "--out", str(out)])
        tool.main()
        monkeypatch.setattr(ns, "TABLE", out)
        (row,) = ns.table.__wrapped__()
        assert row == tool.measured(CUBIC, 2, 16, 1, [0, 0])
        assert "reach" in capsys.readouterr().out


def _rows(text: str) -> str:
    return text[text.index("[[row]]") :]


class TestTheModel:
    def test_the_derivative_is_the_difference_quotient(self) -> None:
        """One element of X is moved by itself; the others do not round."""
        rng = np.random.default_rng(5)
        x = rng.normal(size=(2, 3))
        x /= np.linalg.norm(x)
        format = replace(FORMATS["bfloat16"], u=FORMATS["bfloat16"].u * 1e-9)
        for index in np.ndindex(x.shape):
            rad = np.zeros(x.shape)
            rad[index] = 1e-6
            moved = [ns.iterated(x + sign * rad, TORCH, 3) for sign in (1, -1)]
            expected = np.abs(moved[0] - moved[1]) / 2 / math.sqrt(3)
            got = ns.deviation(Enclosure(x, rad, format), TORCH, 3)
            common = np.abs(ns.iterated(x * (1 + 1e-6), TORCH, 3) - ns.iterated(x, TORCH, 3))
            joint = common / math.sqrt(3)
            assert np.allclose(got**2, expected**2 + joint**2, rtol=1e-3, atol=0)

    def test_where_the_derivative_is_zero_the_error_is_not(self) -> None:
        """p' = a + 3bσ² + 5cσ⁴ is 0 at σ = 0.555: only p'' makes an error, of p''ε²/2 at most."""
        b, c = TORCH[1:]
        s = math.sqrt((-3 * b - math.sqrt(9 * b * b - 20 * TORCH[0] * c)) / (10 * c))
        x, rad = np.diag([s, 0.2]), np.diag([0.02, 0.0])
        format = replace(FORMATS["bfloat16"], u=FORMATS["bfloat16"].u * 1e-9)
        got = ns.deviation(Enclosure(x, rad, format), TORCH, 1)[0, 0]
        edge = abs(ns.iterated(x + rad, TORCH, 1) - ns.iterated(x, TORCH, 1))[0, 0]
        assert edge / 4 < got < edge

    @pytest.mark.parametrize(
        "c", [(2.0, 0.0, 0.0), CUBIC, (1.0, -1.25, 2.5), TORCH, QUINTIC], ids=str
    )
    def test_the_variance_is_that_of_three_roundings(self, c: ns.Coefficients) -> None:
        """Each number of each kernel is moved by itself, by u/√3; the squares of what comes of it.

        H = bG + cG² has two terms in an error of G, which the model takes for independent. That is
        so where b = -cGᵢᵢ, or c = 0; elsewhere (s + t)² <= 2(s² + t²) is all that is known.
        """
        x = np.array([[0.5, 0.5, 0.0], [0.1, 0.7, 0.0]])
        format, moved = FORMATS["bfloat16"], 1e-6
        got = ns.deviation(Enclosure(x, np.zeros(x.shape), format), c, 1) ** 2
        expected = np.zeros(x.shape)
        for kernel, shape in enumerate([(2, 2), (2, 2), (2, 3)]):
            for index in np.ndindex(shape):
                one, other = ([np.zeros(s) for s in ((2, 2), (2, 2), (2, 3))] for _ in range(2))
                one[kernel][index], other[kernel][index] = moved, -moved
                quotient = (kernels(x, c, one) - kernels(x, c, other)) / (2 * moved)
                expected += (U * quotient) ** 2 / 3
        if c in (TORCH, QUINTIC):
            assert (expected <= 2 * got).all()
        else:
            assert np.allclose(got, expected, rtol=1e-6, atol=0)

    def test_the_reach_grows_with_what_was_seen_and_falls_with_how_much(self) -> None:
        row = ns.Measurement(TORCH, 2, 16, 100, 1000, 2.0)
        expected = 2 * math.sqrt(5)  # 15/3 = 5; two logarithms and a quotient are rounded
        assert abs(row.reach - expected) <= 2 * math.ulp(expected)
        assert replace(row, compared=10**6).reach < row.reach < replace(row, worst=2.1).reach


class TestWhatIsUnknown:
    @pytest.mark.parametrize(
        ("shape", "c", "steps"),
        [((17, 17), TORCH, 2), ((3, 3), (3.0, -3.0, 1.0), 2), ((3, 3), TORCH, 6)],
    )
    def test_nothing_is_said_of_what_nobody_measured(
        self, shape: tool.Shape, c: ns.Coefficients, steps: int
    ) -> None:
        for g in (np.ones(shape), np.ones(shape).T):
            assert ns.enclose(start(g), c, steps).unknown.all()
        assert not ns.enclose(start(np.ones(shape)), c, 1).unknown.any()

    def test_a_verdict_on_it_is_undecided(self) -> None:
        verdict = _judged(np.ones((17, 17)), 5, off=0.0)
        assert verdict.undecided == 17 * 17
        assert verdict.elements == 2 * 17 * 17  # with the buffer

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
    def test_no_elements_make_no_trouble(self, shape: tool.Shape) -> None:
        assert ns.enclose(start(np.zeros(shape)), TORCH, 2).shape == shape

    def test_a_nan_is_everywhere_and_an_infinity_unknown(self) -> None:
        g = np.ones((2, 3))
        g[0, 0] = np.nan
        ball = ns.enclose(Enclosure.exact(g, FORMATS["bfloat16"]), TORCH, 2)
        assert np.isnan(ball.mid).all()
        assert not ball.unknown.any()
        g[0, 0] = np.inf
        assert ns.enclose(Enclosure.exact(g, FORMATS["bfloat16"]), TORCH, 2).unknown.all()


def _judged(g: FloatArray, steps: int, off: float) -> Any:
    """The verdict on an answer that is the midpoint, one element moved away."""
    h = muon.Hyper(1.0, 0.0, 0.0, ns_steps=steps)
    oracle = Oracle(muon.RULE, replace(single(np.zeros(g.shape), [g], h), precisions=("float32",)))
    balls, buffer = oracle().parameters, oracle().states["momentum_buffer"]
    values = balls.mid[0].astype(np.float64)
    values[0, 0] += off
    present = {name: there.copy() for name, there in oracle().present.items()}
    answer = Answer(values, {"momentum_buffer": buffer.mid[0].astype(np.float64)}, present)
    return judge(oracle, Told("float32"), answer)


class TestWhatIsSaid:
    """A verdict that rests on a measurement says so, and so does the report."""

    @pytest.mark.parametrize(
        ("shape", "steps", "measured"),
        [((2, 3), 5, True), ((3, 2), 2, True), ((2, 3), 1, False), ((1, 3), 5, False)],
    )
    def test_of_what(self, shape: tool.Shape, steps: int, measured: bool) -> None:
        g = np.arange(1.0, 1 + math.prod(shape)).reshape(shape)
        right, wrong = (_judged(g, steps, off) for off in (0.0, 9.0))
        assert (right.failed, wrong.failed) == (False, True)
        assert right.measured == wrong.measured == measured
        assert ("(measured, not derived)" in wrong.sentence) == measured
        tally = Tally()
        tally.add(Place("Muon", "default", "float32", "cpu"), right)
        assert ("1 verdicts rest on a measurement" in render(tally, width=400)) == measured

    def test_an_earlier_step_counts(self) -> None:
        h = muon.Hyper(ns_steps=5)
        case = single(
            np.ones((2, 2)),
            [np.ones((2, 2))] * 3,
            [h._replace(ns_steps=0), h, h._replace(ns_steps=0)],
        )
        oracle = Oracle(muon.RULE, case)
        assert [oracle.measures(0, step) for step in range(3)] == [False, True, True]
        assert oracle.measured
