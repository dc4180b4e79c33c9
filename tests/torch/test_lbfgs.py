"""Does ``torch.optim.LBFGS`` compute what ``optimizers/lbfgs.py`` says?

What can be proven is: each evaluation, step and state from the recorded ones before it; counts;
the Wolfe conditions of the accepted step; where it ends on quadratics; what changes no bit.
What cannot is where a whole trajectory ends: that hangs on roundings.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import DTYPES, FLOAT64, FORMATS, FloatArray
from oracles.harness.cases.choices import Choices
from oracles.optimizers.lbfgs import CONVENTIONS, RULE, TORCH, Hyper, LBFGSConvention, step
from tests.support.lbfgs_runs import ENDLESS, SCRIPTS, STOPS, TINY, Gradients, Stop, along, scripted
from tests.support.recording import (
    LACKING,
    NOW,
    SIZE,
    SWITCHES,
    VERSION,
    Call,
    Recorder,
    Run,
    Seen,
    arguments,
    drawn,
    hyper,
    moderate,
    quadratic,
    recorded,
    replay,
    replayed,
    same_calls,
    waves,
)
from tests.support.searches import SEARCHES, Search

runs = st.binary(min_size=SIZE, max_size=SIZE).map(drawn)

LBFGS: Any = torch.optim.LBFGS

some = settings(max_examples=settings().max_examples // 2)
few = settings(max_examples=settings().max_examples // 4)

"""More evaluations than any run makes."""


# --- Replays ------------------------------------------------------------------------------------


def test_every_call_goes_where_the_rule_leads() -> None:
    seen = {True: Seen(), False: Seen()}

    @given(runs)
    def run_check(run: Run) -> None:
        replayed(run, seen[run.dtype in ("float64", "float32")])

    run_check()
    for fine, allowed in ((True, 0.1), (False, 0.6)):
        sights = seen[fine]
        assert sights.open <= 3 + allowed * sights.calls, sights
        assert sights.unresolved <= 3 + allowed * sights.points, sights


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", SEARCHES.values(), ids=SEARCHES)
def test_a_search_goes_as_worked_by_hand(case: Search, dtype: str) -> None:
    (call,) = replayed(along(case, dtype), Seen())
    assert len(call.evaluations) == 1 + len(case.lengths)


@pytest.mark.skipif(VERSION.release < (2, 10), reason="a search had 25 trials before torch 2.10")
@pytest.mark.parametrize(
    ("losses", "end"), [([-0.5], 1.0), ([1.0], 0.0), ([-1.0, -0.5], None), ([-1.0, 1.0], 0.0)]
)
def test_a_search_out_of_trials_takes_the_lower_of_start_and_end(
    losses: list[float], end: float | None
) -> None:
    """Always downhill, slope −1: nothing is flat enough, and it is the last trial that counts."""
    script = [(0.0, np.array([1.0])), *((loss, np.array([1.0])) for loss in losses)]
    h = Hyper(1.0, 1, len(losses), 0, 0, line_search_fn="strong_wolfe")
    (call,) = replayed(Run(script, np.zeros(1), (h,), ((1,),)), Seen())
    assert len(call.evaluations) == len(script)
    assert -call.w == (-call.evaluations[-1].w if end is None else end)


def searching(raw: bytes) -> Run:
    """A line search on losses and slopes near those that decide something, up to a dozen trials."""
    choices = Choices(raw)
    losses = (0.0, -1.0, 1.0, -0.5, 0.25, -2.0, -1e-3, -1e-4, -1e-5, 1e-4, -4.0, 3.0)
    slopes = (1.0, -1.0, 2.0, -2.0, 0.3, 0.5, -0.5, -4.0, 4.0, 0.2)
    script = [(0.0, np.array([0.5, 0.25]))]
    for _ in range(12):
        slope = choices.pick(slopes)
        script.append((choices.pick(losses), np.array([slope, choices.pick(slopes) / 4])))
    script.append((-1000.0, np.zeros(2)))  # good enough for any search
    rate, most = choices.pick((1.0, 0.25, 4.0, 0.01)), choices.pick((12, 11, 5, 3))
    h = Hyper(rate, choices.pick((1, 2)), most, 0, 0, line_search_fn="strong_wolfe")
    return Run(script, np.zeros(2), (h,), ((2,),))


def test_every_trial_of_a_search_goes_where_it_must() -> None:
    seen = Seen()

    @some
    @given(st.binary(min_size=SIZE, max_size=SIZE).map(searching))
    def run_check(run: Run) -> None:
        replayed(run, seen)

    run_check()
    assert seen.open <= 3 + 0.1 * seen.calls, seen
    assert seen.points > 2 * seen.calls, seen


def deterministic(run: Run) -> Run:
    """The same run with an objective that depends on the place alone."""
    return run if callable(run.loss) else replace(run, loss=waves)


@some
@given(runs, st.integers(2, 4))
def test_iterations_in_one_call_are_calls_of_one_iteration(run: Run, n: int) -> None:
    """Without tolerances, and as far as the one call went: the gradient is what it was."""
    run = deterministic(run)
    h = run.schedule[0]._replace(max_eval=ENDLESS, tolerance_grad=0, tolerance_change=0)
    (together,) = recorded(replace(run, schedule=(h._replace(max_iter=n),)))
    made = together.after["n_iter"]
    if made == 0:  # the gradient is zero
        return
    single = recorded(replace(run, schedule=(h._replace(max_iter=1),) * made))
    for state in (single[-1].after, together.after):
        del state["func_evals"]
    assert same_calls([together._replace(evaluations=[])], [single[-1]._replace(evaluations=[])])


@pytest.mark.slow
@some
@given(runs)
def test_how_the_vector_is_cut_changes_no_bit(run: Run) -> None:
    size = len(run.start)
    whole = recorded(replace(run, shapes=((size,),)))
    assert same_calls(whole, recorded(run))
    assert same_calls(whole, recorded(replace(run, shapes=((), (size - 1,), (0, 2)))))


@pytest.mark.slow
@some
@given(runs)
def test_a_state_dict_in_mid_run_continues(run: Run) -> None:
    recorder = Recorder(run)
    calls = [recorder.step(h) for h in run.schedule[:1]]
    recorder.restart()
    calls += [recorder.step(h) for h in run.schedule[1:]]
    assert same_calls(recorded(run), calls)


@few
@given(runs)
def test_a_rate_in_a_tensor_is_the_same_rate(run: Run) -> None:
    """A tensor of the parameters' dtype, in which lengths are computed then."""
    dtype = getattr(torch, run.dtype)
    boxed = tuple(h._replace(lr=torch.tensor(h.lr, dtype=dtype)) for h in run.schedule)
    for call in recorded(replace(run, schedule=boxed)):
        rate = Enclosure.exact(call.h.lr.double().numpy(), FORMATS[run.dtype])
        replay(call._replace(h=call.h._replace(lr=rate)), run.dtype, Seen())


@few
@given(runs)
def test_maximizing_is_minimizing_the_negative(run: Run) -> None:
    if "maximize" not in SWITCHES:
        pytest.skip(f"LBFGS of torch {VERSION} takes no maximize=")
    assert same_calls(*(recorded(mirrored(run, up)) for up in (True, False)), parameters_only=True)


def mirrored(run: Run, maximize: bool) -> Run:
    """The run upwards, or its negative downwards."""
    sign = 1 if maximize else -1
    loss: Any = run.loss
    if callable(run.loss):
        return replace(run, schedule=_directed(run, maximize), loss=lambda w: sign * loss(w))
    script = [(sign * value, sign * gradient) for value, gradient in loss]
    return replace(run, schedule=_directed(run, maximize), loss=script)


def _directed(run: Run, maximize: bool) -> tuple[Hyper, ...]:
    return tuple(h._replace(maximize=maximize) for h in run.schedule)


@few
@given(st.binary(min_size=SIZE, max_size=SIZE))
def test_complex_parameters_are_pairs_of_real_ones(raw: bytes) -> None:
    if VERSION.release < (2, 3):
        pytest.skip(f"LBFGS of torch {VERSION} takes no complex parameters")
    choices = Choices(raw)
    h, start = hyper(choices)._replace(maximize=False), moderate(choices, 4)

    def path(complex_: bool) -> list[list[float]]:
        real = torch.tensor(start.reshape(2, 2), dtype=torch.float64)
        p = (torch.view_as_complex(real.clone()) if complex_ else real).requires_grad_()
        optimizer = LBFGS([p], **arguments(h))
        places = []

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            pairs = torch.view_as_real(p) if complex_ else p
            places.append(pairs.detach().ravel().tolist())
            loss = waves(pairs.ravel())
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)
        optimizer.step(closure)
        return places

    assert path(True) == path(False)


# --- Counts -------------------------------------------------------------------------------------


def restless(evaluations: int) -> Any:
    """Losses and gradients that never let it stop; no trial of a line search is good enough."""
    return [(float(i % 7), np.array([8.0, -4.0]) * (1 + i % 3)) for i in range(evaluations)]


@pytest.mark.parametrize("max_iter", [0, 1, 2, 5, 6, 20])
@pytest.mark.parametrize("max_eval", [None, 1, 2, 3, 7, 100])
def test_counts_of_fixed_steps(max_iter: int, max_eval: int | None) -> None:
    """One evaluation at the start and one after each iteration but the last allowed one.

    ``max_eval`` is looked at after an iteration: with n made and n + 1 evaluations.
    """
    h = Hyper(0.5, max_iter, max_eval, tolerance_change=0, tolerance_grad=0)
    allowed = max_iter * 5 // 4 if max_eval is None else max_eval
    iterations = min(max_iter, max(1, allowed - 1))
    evaluations = 1 + min(iterations, max(0, max_iter - 1))
    calls = recorded(Run(restless(99), np.zeros(2), (h, h), ((2,),)))
    for number, call in enumerate(calls, start=1):
        assert len(call.evaluations) == evaluations
        assert call.after["func_evals"] == number * evaluations
        assert call.after["n_iter"] == number * iterations


@pytest.mark.parametrize("max_eval", [1, 2, 3, 10])
def test_counts_of_a_line_search(max_eval: int) -> None:
    """One evaluation at the start, one trial, and as many more as ``max_eval`` leaves.

    So there is one too many; before torch 2.10 there were 25 more, whatever ``max_eval`` said. The
    first trial is so far away that no bracket of 26 trials is too narrow.
    """
    h = Hyper(2.0**100, 1, max_eval, line_search_fn="strong_wolfe")
    rising = [(float(i), np.array([1.0])) for i in range(40)]
    (call,) = recorded(Run(rising, np.zeros(1), (h,), ((1,),)))
    assert len(call.evaluations) == call.after["func_evals"] == 2 + NOW.trials(h, 1)


@pytest.mark.parametrize("case", STOPS.values(), ids=STOPS)
def test_why_a_call_stops(case: Stop) -> None:
    (call,) = replayed(case.run, Seen())
    assert (call.after["n_iter"], len(call.evaluations)) == (case.iterations, case.evaluations)


@pytest.mark.parametrize("more", [0, 1])
def test_a_pair_must_bend_by_more_than_its_bound(more: int) -> None:
    """s = 1, and y is 1e-10 or the next number: γ = 2⁴⁰ makes up for a gradient of −2⁻⁴⁰."""
    y = np.nextafter(1e-10, more)
    g = y - TINY
    assert g + TINY == y
    h = Hyper(1 / TINY, 1, None, 0, 0)
    run = Run([(0.0, np.array([-TINY])), (0.0, np.array([g]))], np.zeros(1), (h, h), ((1,),))
    assert len(recorded(run)[-1].after["ro"]) == more


# --- Wolfe --------------------------------------------------------------------------------------


def test_the_accepted_step_satisfies_the_wolfe_conditions() -> None:
    """Or the search has run out of trials, or its bracket is narrower than 1e-9."""
    outcomes = {"met": 0, "given up": 0}

    @given(runs, st.booleans())
    def run_check(run: Run, scripted: bool) -> None:
        run = run if scripted else deterministic(run)
        if run.dtype in ("bfloat16", "float16"):
            run = replace(run, dtype="float64")
        searching: dict[str, Any] = {
            "line_search_fn": "strong_wolfe",
            "max_iter": 1,
            "maximize": False,
        }
        schedule = tuple(h._replace(max_eval=ENDLESS, **searching) for h in run.schedule)
        for call in recorded(replace(run, schedule=schedule)):
            if len(call.evaluations) > 1:
                outcomes["met" if wolfe(call, run.dtype) else "given up"] += 1

    run_check()
    assert outcomes["met"] > 2 * outcomes["given up"], outcomes


def wolfe(call: Call, dtype: str) -> bool:
    """Whether the conditions may hold; otherwise the search must have had a reason to stop."""

    def ball(values: Any) -> Enclosure:
        return Enclosure.exact(values, FORMATS[dtype])

    begin, *trials = call.evaluations
    (end, *_) = [e for e in (*trials, begin) if np.array_equal(e.w, call.w)]
    d, t = ball(call.after["d"]), ball(call.after["t"])
    slope, new = np.sum(ball(begin.g) * d), np.sum(ball(end.g) * d)
    bound = begin.loss + 1e-4 * t * slope
    rise, steep = end.loss > bound, abs(new) > -0.9 * slope
    if rise is not True and steep is not True:  # neither is certain
        return True
    others = [e.w for e in call.evaluations if e is not end]
    near = min(np.max(np.abs(w - end.w)) for w in others)
    rounding = 8 * float(FORMATS[dtype].u) * np.max(np.abs(end.w))
    assert near <= 1e-9 + rounding or len(trials) == 26
    return False


# --- Quadratics ---------------------------------------------------------------------------------


def problem(choices: Choices) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A = LLᵀ + I/4, b and a start; all numbers are short and A exact."""
    size = 1 + choices.index(3)
    root = np.round(moderate(choices, size, size)) / 2
    return root @ root.T + np.eye(size) / 4, moderate(choices, size), moderate(choices, size)


Problem = tuple[FloatArray, FloatArray, FloatArray]

quadratics = st.binary(min_size=SIZE, max_size=SIZE).map(lambda raw: problem(Choices(raw)))


def fractions(values: FloatArray) -> Any:
    exact = np.array([Fraction(v) for v in values.ravel().tolist()], dtype=object)
    return exact.reshape(values.shape)


def inverse(matrix: FloatArray) -> Any:
    """A⁻¹ in fractions, by elimination; a positive definite A needs no exchange of rows."""
    size = len(matrix)
    rows = np.concatenate([fractions(matrix), fractions(np.eye(size))], axis=1)
    for i in range(size):
        rows[i] = rows[i] / rows[i, i]
        for j in range(size):
            if j != i:
                rows[j] = rows[j] - rows[j, i] * rows[i]
    return rows[:, size:]


def best_rates(given: Problem, h: Hyper) -> list[Fraction]:
    """Learning rates with which each step ends where the loss along d is least."""
    a, b, w = map(fractions, given)
    state: Any = {}
    rates: list[Fraction] = []
    while any(g := a @ w - b):
        _, tried = RULE.step(w, g, 0, state, h._replace(lr=Fraction(1)), TORCH)
        d = tried["d"]
        rates.append(-(g @ d) / (d @ a @ d) / tried["t"])
        w, state = RULE.step(w, g, 0, state, h._replace(lr=rates[-1]), TORCH)
    return rates


def gradient(given: Problem, w: Enclosure) -> Enclosure:
    """As autograd adds it up: ``Aw/2 + Aᵀ(w/2) − b``."""
    a, b, _ = map(Enclosure.exact, given)
    enclosed: Enclosure = a @ w / 2 + a @ (w / 2) - b
    return enclosed


def test_best_lengths_end_at_the_minimum() -> None:
    """In exact arithmetic, after as many steps as dimensions at most (test_lbfgs_rule.py).

    The lengths are worked out in fractions and handed over as learning rates. An enclosure that
    begins with those, give or take the rounding of each to a float, holds the end of the exact
    path, which is the minimum, and torch: they are within two radii, and the radii are small.
    """
    narrow = []

    @some
    @given(quadratics, st.sampled_from([100, 1]))
    def run_check(given: Problem, memory: int) -> None:
        matrix, b, start = given
        h = Hyper(max_iter=1, tolerance_grad=0, tolerance_change=0, history_size=memory)
        rates = best_rates(given, h)
        schedule = tuple(h._replace(lr=float(rate)) for rate in rates)
        if not rates:
            return
        calls = recorded(Run(quadratic(matrix, b), start, schedule, ((len(b),),)))
        w, state = Enclosure.exact(start), dict[str, Any]()
        for rate in rates:
            about = [np.asarray(v, np.longdouble) for v in (float(rate), np.spacing(float(rate)))]
            now = h._replace(lr=Enclosure(about[0], about[1], FLOAT64))
            w, state = step(w, gradient(given, w), 0, state, now, TORCH)
        assert w.contains(calls[-1].w).all()
        minimum = [float(v) for v in inverse(matrix) @ fractions(b)]
        assert w.contains(minimum).all()
        narrow.append(bool(np.max(w.rad) < 1e-6 * np.max(np.abs(start - minimum))))

    run_check()
    assert sum(narrow) >= 0.8 * len(narrow)


@few
@given(quadratics, st.sampled_from([100, 2]))
def test_where_it_stops_with_a_line_search(given: Problem, memory: int) -> None:
    """No step raises the loss, and a flat gradient is as near the minimum as ‖A⁻¹‖ says.

    |w − A⁻¹b| = |A⁻¹(Aw − b)| <= ‖A⁻¹‖ (tolerance + rounding of the gradient),  largest entries
    """
    matrix, b, start = given
    h = Hyper(1, 1, ENDLESS, 1e-6, 0, memory, "strong_wolfe")
    recorder = Recorder(Run(quadratic(matrix, b), start, (h,), ((len(b),),)))
    calls = [recorder.step(h)]
    while len(calls[-1].evaluations) > 1 and len(calls) < ENDLESS:
        calls.append(recorder.step(h))
    losses = [call.evaluations[0].loss for call in calls]
    assert losses == sorted(losses, reverse=True)
    end = calls[-1].w
    inverted = inverse(matrix)
    norm = max(sum(map(abs, row)) for row in inverted.tolist())
    rounding = np.max(gradient(given, Enclosure.exact(end)).rad)
    away = np.abs(fractions(end) - inverted @ fractions(b))
    assert max(away) <= norm * Fraction(float(1e-6 + rounding))


# --- Other conventions --------------------------------------------------------------------------


def enclosed(convention: LBFGSConvention, gradients: Gradients, h: Hyper, dtype: str) -> Enclosure:
    """Where a convention is in the end, from the origin."""
    balls = [Enclosure.exact(g, FORMATS[dtype]) for g in gradients]
    *_, (w, _) = RULE.run(convention, 0 * balls[0], balls, [h] * len(balls))
    found: Enclosure = w
    return found


ASKED = [
    (convention, dtype)
    for convention in CONVENTIONS
    for dtype in DTYPES
    # A tensor of float16 is compared with 1e-10 as float16 has it, which is 0.
    if (convention.name, dtype) != ("curvature_relative", "float16")
]


@pytest.mark.parametrize(("convention", "dtype"), ASKED, ids=[f"{c.name}-{d}" for c, d in ASKED])
def test_torch_follows_its_own_convention_alone(convention: LBFGSConvention, dtype: str) -> None:
    """The enclosures are disjoint, and torch is in the one that is its."""
    if LACKING[dtype]:
        pytest.skip(LACKING[dtype])
    gradients, h = SCRIPTS[convention.name]
    own, other = (enclosed(c, gradients, h, dtype) for c in (TORCH, convention))
    assert (np.abs(own.mid - other.mid) > own.rad + other.rad).any()
    calls = recorded(scripted(gradients, h, dtype))
    assert own.contains(calls[-1].w).all()


# --- The constructor, and what it is given ------------------------------------------------------


def parameter(*shape: int) -> torch.Tensor:
    return torch.ones(shape or (2,), requires_grad=True)


def test_defaults_are_the_rules() -> None:
    group = LBFGS([parameter()]).param_groups[0]
    assert {k: v for k, v in group.items() if k != "params"} == arguments(Hyper())
    group = LBFGS([parameter()], max_iter=7).param_groups[0]
    assert group["max_eval"] == Hyper(max_iter=7).evaluations == 8


@pytest.mark.skipif(VERSION.release < (2, 5), reason="nothing was refused before torch 2.5")
@pytest.mark.parametrize("lr", [-1.0, -1e-300, 0.0, 1e-300, 0.5, float("nan")])
def test_refuses_the_rates_the_rule_refuses(lr: float) -> None:
    for rate in (lr, torch.tensor(lr, dtype=torch.float64)):
        try:
            LBFGS([parameter()], lr=rate)
        except ValueError:
            assert RULE.constraint(Hyper(lr=lr)) is not None
        else:
            assert RULE.constraint(Hyper(lr=lr)) is None


@pytest.mark.skipif(VERSION.release < (2, 5), reason="nothing was refused before torch 2.5")
def test_refuses_a_rate_of_several_elements() -> None:
    with pytest.raises(ValueError, match="1-element"):
        LBFGS([parameter()], lr=torch.ones(2))


def test_takes_one_group_only() -> None:
    with pytest.raises(ValueError, match="parameter groups"):
        LBFGS([{"params": [parameter()]}, {"params": [parameter()]}])
    optimizer = LBFGS([parameter()])
    optimizer.add_param_group({"params": [parameter()]})
    with pytest.raises(AssertionError):
        optimizer.step(lambda: torch.tensor(0.0))


def test_needs_a_closure() -> None:
    optimizer = LBFGS([p := parameter()])
    with pytest.raises(TypeError):
        optimizer.step()
    with pytest.raises(TypeError):
        optimizer.step(None)
    assert p.tolist() == [1, 1]


def test_knows_one_line_search() -> None:
    optimizer = LBFGS([p := parameter()], line_search_fn="armijo")

    def closure() -> torch.Tensor:
        p.grad = torch.ones(2)
        return p.sum()

    with pytest.raises(RuntimeError, match="strong_wolfe"):
        optimizer.step(closure)
    assert p.tolist() == [1, 1]


def test_a_missing_gradient_is_zero_and_a_sparse_one_is_dense() -> None:
    first, absent, sparse = parameter(), parameter(3), parameter()
    optimizer = LBFGS([first, absent, sparse], lr=0.5, max_iter=1)

    def closure() -> torch.Tensor:
        first.grad = torch.tensor([1.0, -1.0])
        sparse.grad = torch.tensor([2.0, 0.0]).to_sparse()
        return torch.tensor(0.0)

    optimizer.step(closure)  # ‖g‖₁ = 4, t = 1/8
    assert (first.tolist(), absent.tolist()) == ([0.875, 1.125], [1, 1, 1])
    assert sparse.tolist() == [0.75, 1]
    assert absent.grad is None


@pytest.mark.parametrize("searching", [False, True])
def test_dtypes_may_be_mixed(searching: bool) -> None:
    """The vector has the widest of them; a step is rounded to each parameter's own."""
    single, double = torch.zeros(1, requires_grad=True), torch.zeros(1, dtype=torch.float64)
    double.requires_grad_()
    method = "strong_wolfe" if searching else None
    optimizer = LBFGS([single, double], max_iter=1, max_eval=9, line_search_fn=method)

    def closure() -> torch.Tensor:
        single.grad, double.grad = torch.tensor([3.0]), torch.tensor([0.75], dtype=torch.float64)
        return 3 * single.detach().double() + 0.75 * double.detach()

    optimizer.step(closure)
    state = optimizer.state[single]
    assert state["d"].dtype == torch.float64
    moved = state["t"] * state["d"]
    assert double.tolist() == moved[1:].tolist()
    assert single.tolist() == moved[:1].float().tolist()
