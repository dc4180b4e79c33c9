r"""L-BFGS: ``torch.optim.LBFGS``, one iteration as a rule and whole calls as an algorithm.

Symbols
-------
w  all parameters, flat, end to end      f, g  loss and gradient there, from the closure
d  direction (``d``)      t  step length (``t``)      γ  learning rate (lr)      m  history_size
s  step taken, t·d (``old_stps``)      y  change of the gradient over it (``old_dirs``)
ρ  1/yᵀs (``ro``)      h  scale of the initial inverse Hessian (``H_diag``)

The rule, one iteration (Nocedal & Wright, *Numerical Optimization*, 2nd ed., 7.4 and 7.5)
------------------------------------------------------------------------------------------
1.  memory     y = g − g₋₁, s = t₋₁d₋₁. If yᵀs > 1e-10, the pair is kept, the oldest one dropped
               where there are m already, and h = yᵀs/yᵀy; otherwise all stays as it is
2.  direction  d = −Hg by two loops over the pairs, without forming the matrix H:
                   q = −g;   newest to oldest:  aᵢ = ρᵢ sᵢᵀq,  q = q − aᵢyᵢ
                   d = hq;   oldest to newest:  d = d + (aᵢ − ρᵢ yᵢᵀd) sᵢ
3.  length     t = γ;   in the very first iteration t = γ min(1, 1/‖g‖₁), d = −g and h = 1
4.  move       w = w + td, unless gᵀd > −tolerance_change: then nothing moves
               with ``line_search_fn="strong_wolfe"``: t is where :func:`search` begins

One call of ``step`` asks the closure for f and g, and is done if max|g| <= tolerance_grad.
Otherwise it iterates, and asks again after each move (without line search not after the last one
it may make), until *max_iter* iterations or *max_eval* evaluations are reached, max|g| <=
tolerance_grad, max|td| <= tolerance_change, or the loss changed by less than tolerance_change. With
*maximize* (torch 2.14) f and g enter with the other sign. A parameter without
gradient has a zero one.

With one gradient a call and ``max_iter=1`` the update is a function of the gradients alone: that is
:data:`RULE`. Whole calls, with line search and counts, are :func:`call`, which asks a closure.

What is held
------------
LBFGS branches on values and goes on until it is content: two correct implementations may end far
apart. So it is not asked by the general checks, which enclose trajectories from their start. What
can be proven is: every evaluation, step and state from the recorded ones before it, on each side of
a branch that roundings leave open; counts; the Wolfe conditions of the accepted step; the minimum
of quadratics; and what changes no bit. What cannot: where a long trajectory ends on anything else.

Where sources disagree
----------------------
* *Names.* In minFunc, where it comes from, ``old_dirs`` are the s and ``old_stps`` the y (Schmidt,
  ``lbfgsUpdate.m``). Here they are exchanged: ``old_dirs`` is no list of directions.
* *First length.* minFunc and torch divide by the 1-norm; libLBFGS and L-BFGS-B by the 2-norm,
  without the cap at 1; optax takes min(1, 1/‖g‖₂).
* *Scale.* h = yᵀs/yᵀy of the newest pair is (7.20) of Nocedal & Wright and M3 of Liu & Nocedal
  (1989, *Mathematical Programming* 45, section 4); M1 there is h = 1, M2 the first pair's for ever.
* *Curvature.* 1e-10 is an absolute bound, from minFunc: a loss in small units never gets a memory,
  and to float16 it is 0. L-BFGS-B has yᵀs > −ε gᵀs (Zhu et al. 1997, *ACM TOMS* 23), which knows no
  units.
* *A step not taken.* Where gᵀd > −tolerance_change, d and t are stored all the same, and s = td
  enters the memory at the next iteration although nothing moved. With the same gradient again y = 0
  and the pair is refused; with another batch's it is not.
* *Interpolation.* (3.59) is 0/0 where the cubic has its maximum halfway between the two points.
  MATLAB's min and max pass over nan, Python's do not: torch's parameters become nan.
* *max_eval* is looked at after an evaluation, so one more may be made than it says. Before torch
  2.10 a line search did not look at it at all and had 25 trials after the first.
* *tolerance_change* does not reach the line search, which gives up a bracket below 1e-9.
* torch's documentation wants parameters real (complex ones work since 2.3, as pairs of reals), and
  counts history_size + 1 vectors of memory; there are 2 history_size of them and two more.

How paths compute it
--------------------
There is only one. The parameters are copied into one vector of their common dtype; dot products run
in any order; a step is added to each parameter in its own dtype.

Each convention below is the first one with one of the lines replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from oracles.drawing import Domain, Drawing, Separating
from oracles.numerics import Array, Scalar
from oracles.optimizers.refusal import negative, no_batch
from oracles.rule import Convention, Rule, State

CURVATURE = 1e-10
"""Least yᵀs of a pair."""

SUFFICIENT, FLAT = Fraction(1, 10_000), Fraction(9, 10)
"""c₁ and c₂ of the Wolfe conditions. What is multiplied with is rational, so that exact numbers
stay exact; a float turns it into the nearest float, which is torch's literal."""

NARROW = 1e-9
"""The longest move within a bracket that is not worth a trial."""

LEAST, MOST, MARGIN = Fraction(1, 100), 10, Fraction(1, 10)
"""Bounds of an extrapolation, as shares of the last step and of the length; how near an end of its
bracket a trial may be, as a share of the bracket."""


class Hyper(NamedTuple):
    """What one call is given, with torch's names and defaults."""

    lr: Scalar = 1
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: Scalar = 1e-7
    tolerance_change: Scalar = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None
    maximize: bool = False
    batch_size: Scalar = 1

    @property
    def evaluations(self) -> int:
        """``max_eval``, or what the constructor puts in its place."""
        return self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval


class Point(NamedTuple):
    """Parameters as they are stored, with loss and gradient there."""

    w: Array
    loss: Scalar
    g: Array


class Trial(NamedTuple):
    """A step length tried: the point it leads to, and the slope gᵀd there."""

    t: Scalar
    at: Point
    slope: Scalar


Closure = Callable[[Array], Point]
"""Asked for the loss and the gradient at parameters; says which parameters those were, which a
recording of another implementation knows better than the caller."""


def dot(x: Array, y: Array) -> Scalar:
    """``xᵀy``."""
    return np.sum(x * y)


def largest(x: Array) -> Scalar:
    """``max|xᵢ|``."""
    return np.max(np.abs(x))


# --- one iteration ---


@dataclass(frozen=True, kw_only=True)
class LBFGSConvention(Convention):
    """One line for each part of an iteration; the defaults are torch's.

    Attributes:
        taken: ``(d, t) -> s``.
        pair: ``(y, s) -> (y, s)``, the pair that is remembered.
        curved: ``(yᵀs, s, g₋₁) -> bool``, whether it is.
        capacity: ``history_size -> m``.
        scale: ``(y, s, h) -> h``.
        order: the pairs, oldest first.
        first, later: lengths, ``g -> t/γ`` and ``(g, hyperparameters) -> t``.
        trials: ``(hyperparameters, evaluations so far) -> how many a line search may add``.
    """

    taken: Callable[[Array, Scalar], Array] = lambda d, t: d * t
    pair: Callable[[Array, Array], tuple[Array, Array]] = lambda y, s: (y, s)
    curved: Callable[[Scalar, Array, Array], bool] = lambda ys, s, g: bool(ys > CURVATURE)
    capacity: Callable[[int], int] = lambda size: size
    scale: Callable[[Array, Array, Scalar], Scalar] = lambda y, s, h: dot(y, s) / dot(y, y)
    order: Callable[[list[Any]], list[Any]] = lambda pairs: pairs
    first: Callable[[Array], Scalar] = lambda g: np.minimum(1, 1 / np.sum(np.abs(g)))
    later: Callable[[Array, Hyper], Scalar] = lambda g, h: h.lr
    trials: Callable[[Hyper, int], int] = lambda h, calls: h.evaluations - calls


MEMORY = ("old_dirs", "old_stps", "ro", "H_diag")
"""What the state holds of earlier iterations: the y, the s, the ρ, and h."""

BLANK: dict[str, Any] = {"old_dirs": (), "old_stps": (), "ro": (), "H_diag": 1}
"""The memory before the first pair."""


def direction(g: Array, memory: State, c: LBFGSConvention) -> Array:
    """``−Hg`` by the two loops."""
    pairs = c.order(list(zip(memory["old_dirs"], memory["old_stps"], memory["ro"], strict=True)))
    q, a = -g, []
    for y, s, rho in reversed(pairs):
        a.append(dot(s, q) * rho)
        q = q - a[-1] * y
    d = q * memory["H_diag"]
    for (y, s, rho), share in zip(pairs, reversed(a), strict=True):
        d = d + (share - dot(y, d) * rho) * s
    return d


def remembered(g: Array, state: State, h: Hyper, c: LBFGSConvention) -> dict[str, Any]:
    """The memory, with the last step in it if it bends the right way."""
    y, s = c.pair(g - state["prev_flat_grad"], c.taken(state["d"], state["t"]))
    memory = {name: state[name] for name in MEMORY}
    ys = dot(y, s)
    if not c.curved(ys, s, state["prev_flat_grad"]):
        return memory
    full = len(memory["ro"]) == c.capacity(h.history_size)
    for name, new in (("old_dirs", y), ("old_stps", s), ("ro", 1 / ys)):
        memory[name] = (*memory[name][full:], new)  # without the oldest, if there is no room
    return memory | {"H_diag": c.scale(y, s, state["H_diag"])}


def advanced(at: Point, state: State, h: Hyper, c: LBFGSConvention) -> dict[str, Any]:
    """State after one more iteration was begun: memory, direction and first length are new."""
    first = state["n_iter"] == 0
    memory = BLANK if first else remembered(at.g, state, h, c)
    return {
        **state,
        **memory,
        "d": -at.g if first else direction(at.g, memory, c),
        "t": c.first(at.g) * h.lr if first else c.later(at.g, h),
        "prev_flat_grad": at.g,
        "prev_loss": at.loss,
        "n_iter": state["n_iter"] + 1,
    }


def step(
    w: Array, g: Array, t: Scalar, state: State, h: Hyper, convention: LBFGSConvention
) -> tuple[Array, dict[str, Any]]:
    """One call with one iteration and without line search, after which the gradient is asked for.

    Args:
        w: all parameters as one array, any shape.
        g: gradient of the mean loss, same shape.
        t: number of gradients seen, which is ``func_evals``.
        state: torch's, by its names; the pairs are tuples of arrays.
        h: hyperparameters of this step; those about iterations and evaluations are not looked at.
        convention: which variant of the rule to follow.

    Returns:
        The new parameters and the new state; the arguments are left as they were.

    >>> h, g = Hyper(lr=0.5), np.array([3.0, 1.0])
    >>> w, state = step(np.zeros(2), g, 1, {}, h, TORCH)  # t = ½ min(1, 1/4), d = −g
    >>> w.tolist(), float(state["t"])
    ([-0.375, -0.125], 0.125)
    """
    alone = h._replace(max_iter=1, max_eval=1, line_search_fn=None)
    return call(lambda at: Point(at, 0, g), w, state, alone, convention)


# --- whole calls, and the line search ---


def call(
    closure: Closure, w: Array, state: State, h: Hyper, c: LBFGSConvention
) -> tuple[Array, dict[str, Any]]:
    """One call of ``step``.

    Args:
        closure: asked for loss and gradient, as often as torch asks.
        w: all parameters, flat.
        state: what the last call left; empty at first.
        h: hyperparameters of this call.
        c: which variant to follow.

    Returns:
        The new parameters and the new state.
    """
    at = _ask(closure, w, h)
    calls, n = 1, 0
    state = {"n_iter": 0, "func_evals": 0, **state}
    before = state["func_evals"]
    if largest(at.g) <= h.tolerance_grad:
        return at.w, state | {"func_evals": before + calls}
    while n < h.max_iter:
        n += 1
        state = advanced(at, state, h, c)
        d, t = state["d"], state["t"]
        slope = dot(at.g, d)
        if slope > -h.tolerance_change:
            break
        if h.line_search_fn is not None:
            found, asked = search(*_along(closure, at, d, h), t, largest(d), c.trials(h, calls))
            state["t"], at, _ = found
            calls += asked
        elif n < h.max_iter:
            at = _ask(closure, at.w + t * d, h)
            calls += 1
        else:
            at = at._replace(w=at.w + t * d)
        if n == h.max_iter or calls >= h.evaluations or _settled(at, state, h):
            break
    return at.w, state | {"func_evals": before + calls}


def _ask(closure: Closure, w: Array, h: Hyper) -> Point:
    at = closure(w)
    return at._replace(loss=-at.loss, g=-at.g) if h.maximize else at


def _settled(at: Point, state: State, h: Hyper) -> bool:
    """Whether the gradient is flat, or neither parameters nor loss move any more."""
    if largest(at.g) <= h.tolerance_grad:
        return True
    if largest(state["d"] * state["t"]) <= h.tolerance_change:
        return True
    return bool(abs(at.loss - state["prev_loss"]) < h.tolerance_change)


def _along(
    closure: Closure, at: Point, d: Array, h: Hyper
) -> tuple[Callable[[Scalar], Trial], Trial]:
    """How to try lengths along d, and the trial of length 0."""

    def attempt(t: Scalar) -> Trial:
        there = _ask(closure, at.w + t * d, h)
        return Trial(t, there, dot(there.g, d))

    return attempt, Trial(0, at, dot(at.g, d))


def search(
    attempt: Callable[[Scalar], Trial], start: Trial, t: Scalar, reach: Scalar, most: int
) -> tuple[Trial, int]:
    """A length that satisfies the strong Wolfe conditions, or the lower end of the last bracket.

        f(t) <= f(0) + c₁ t f'(0)        |f'(t)| <= −c₂ f'(0)

    Nocedal & Wright, algorithms 3.5 and 3.6, in the form of minFunc's ``WolfeLineSearch``: first
    extrapolate until a bracket holds such a length, then interpolate within it. Trials are counted
    from the second one on, so ``most + 1`` may be made.

    Args:
        attempt: evaluates a length.
        start: the trial of length 0.
        t: the first length.
        reach: ``max|dᵢ|``.
        most: how many trials after the first.

    Returns:
        The trial to accept, and how many were made.
    """
    new, last, n = attempt(t), start, 0
    while n < most:
        bracket = [last, new]
        if _rises(new, start) or (n > 1 and new.at.loss >= last.at.loss):
            break
        if _is_flat(new, start):
            return new, n + 1
        if new.slope >= 0:
            break
        least, longest = new.t + LEAST * (new.t - last.t), new.t * MOST
        last, new = new, attempt(minimizer(last, new, least, longest))
        n += 1
    else:  # the bracket is lost with the last extrapolation
        bracket = [start, new]
    return _zoomed(attempt, start, bracket, reach, n, most)


def _zoomed(
    attempt: Callable[[Scalar], Trial],
    start: Trial,
    bracket: list[Trial],
    reach: Scalar,
    n: int,
    most: int,
) -> tuple[Trial, int]:
    """The second half of a search: ``n`` trials after the first have been made."""
    low, high = _ordered(bracket)
    slow = False
    while n < most:
        one, other = bracket
        if abs(other.t - one.t) * reach < NARROW:
            break
        t, slow = _within(one, other, slow)
        new = attempt(t)
        n += 1
        if _rises(new, start) or new.at.loss >= bracket[low].at.loss:
            bracket[high] = new
            low, high = _ordered(bracket)
            continue
        done = _is_flat(new, start)
        if not done and new.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = new
        if done:
            break
    return bracket[low], n + 1


def _rises(new: Trial, start: Trial) -> bool:
    """Whether the loss has not fallen enough for the length."""
    return bool(new.at.loss > start.at.loss + SUFFICIENT * new.t * start.slope)


def _is_flat(new: Trial, start: Trial) -> bool:
    return bool(abs(new.slope) <= -FLAT * start.slope)


def _ordered(bracket: list[Trial]) -> tuple[int, int]:
    """Which end of the bracket is lower, and which higher."""
    return (0, 1) if bracket[0].at.loss <= bracket[1].at.loss else (1, 0)


def _within(one: Trial, other: Trial, slow: bool) -> tuple[Scalar, bool]:
    """The next length in a bracket, and whether it is so near an end that the next may not be.

    A length at an end, or a second one near an end, is moved a tenth of the bracket inwards.
    """
    left, right = (one.t, other.t) if one.t <= other.t else (other.t, one.t)
    t = minimizer(one, other, left, right)
    margin = MARGIN * (right - left)
    if not np.minimum(right - t, t - left) < margin:
        return t, False
    if not (slow or _at_least(t, right) or _at_least(left, t)):
        return t, True
    return (right - margin if abs(t - right) < abs(t - left) else left + margin), False


def minimizer(one: Trial, other: Trial, least: Scalar, most: Scalar) -> Scalar:
    """Where the cubic through two losses and slopes has its minimum, within bounds: (3.59)."""
    near, far = (one, other) if one.t <= other.t else (other, one)
    mean = (one.at.loss - other.at.loss) / (one.t - other.t)
    a = one.slope + other.slope - 3 * mean
    square = a * a - one.slope * other.slope
    if not square >= 0:
        return (least + most) / 2
    root = np.sqrt(square)
    share = (far.slope + root - a) / (far.slope - near.slope + 2 * root)
    t = far.t - (far.t - near.t) * share
    t = least if _at_least(least, t) else t
    return most if _at_least(t, most) else t


def _at_least(x: Scalar, y: Scalar) -> bool:
    """``x >= y``; a number is at least itself, however it was rounded."""
    return x is y or bool(x >= y)


# --- conventions ---


TORCH = LBFGSConvention(
    name="minfunc",
    equation="t = γ min(1, 1/‖g‖₁) at first, then γ; h = yᵀs/yᵀy; m pairs with yᵀs > 1e-10",
    source="torch.optim.LBFGS; minFunc (Schmidt), where it comes from",
)


def _euclidean(g: Array) -> Scalar:
    return np.sqrt(dot(g, g))


CONVENTIONS = (
    replace(
        TORCH,
        name="first_step_full",
        equation="t = γ at the first iteration too",
        source="algorithm 7.5 of Nocedal & Wright to the letter: a line search begins at 1",
        first=lambda g: 1,
    ),
    replace(
        TORCH,
        name="first_step_euclidean",
        equation="t = γ min(1, 1/‖g‖₂) at first",
        source="optax.scale_by_lbfgs",
        first=lambda g: np.minimum(1, 1 / _euclidean(g)),
    ),
    replace(
        TORCH,
        name="first_step_uncapped",
        equation="t = γ/‖g‖₂ at first: a small gradient is made larger",
        source="libLBFGS (vec2norminv), L-BFGS-B without bounds",
        first=lambda g: 1 / _euclidean(g),
    ),
    replace(
        TORCH,
        name="every_step_shortened",
        equation="t = γ min(1, 1/‖g‖₁) always",
        source="ports that drop the question whether it is the first iteration",
        later=lambda g, h: TORCH.first(g) * h.lr,
    ),
    replace(
        TORCH,
        name="lr_at_first_only",
        equation="t = 1 after the first iteration",
        source="minFunc, which has no learning rate: 1 is the quasi-Newton step",
        later=lambda g, h: 1,
    ),
    replace(
        TORCH,
        name="identity",
        equation="h = 1",
        source="optax.scale_by_lbfgs(scale_init_precond=False); M1 of Liu & Nocedal (1989)",
        scale=lambda y, s, h: 1,
    ),
    replace(
        TORCH,
        name="first_scale_for_ever",
        equation="h = yᵀs/yᵀy of the first pair",
        source="M2 of Liu & Nocedal (1989)",
        # An h of 1 that a pair has given would be replaced again: no matter, it is what it was.
        scale=lambda y, s, h: TORCH.scale(y, s, h) if h == 1 else h,
    ),
    replace(
        TORCH,
        name="long_scale",
        equation="h = sᵀs/yᵀs",
        source="the other step of Barzilai & Borwein (1988), never shorter than torch's",
        scale=lambda y, s, h: dot(s, s) / dot(y, s),
    ),
    replace(
        TORCH,
        name="oldest_pair_first",
        equation="the first loop runs from the oldest to the newest pair, the second one back",
        source="code that reverses the wrong loop",
        order=lambda pairs: pairs[::-1],
    ),
    replace(
        TORCH,
        name="history_longer",
        equation="m + 1 pairs",
        source="code that drops the oldest pair where there are more than m, before the new one",
        fixed={"history_size": 1},
        capacity=lambda size: size + 1,
    ),
    replace(
        TORCH,
        name="history_shorter",
        equation="m − 1 pairs",
        source="code that counts the pair to come",
        fixed={"history_size": 2},
        capacity=lambda size: size - 1,
    ),
    replace(
        TORCH,
        name="roles_exchanged",
        equation="y and s exchanged: H is DFP's estimate of the Hessian (6.13), not of its inverse",
        source="ports of minFunc, whose old_dirs are torch's old_stps",
        pair=lambda y, s: (s, y),
    ),
    replace(
        TORCH,
        name="direction_for_step",
        equation="s = d",
        source="code that forgets the length: right only while t is 1",
        taken=lambda d, t: d,
    ),
    replace(
        TORCH,
        name="curvature_unasked",
        equation="every pair is kept, whatever the sign of yᵀs",
        source="algorithm 7.5 of Nocedal & Wright, whose line search keeps yᵀs positive",
        curved=lambda ys, s, g: True,
    ),
    replace(
        TORCH,
        name="curvature_relative",
        equation="pairs with yᵀs > −2⁻⁵² gᵀs",
        source="L-BFGS-B 3.0 (mainlb), and with it SciPy",
        curved=lambda ys, s, g: bool(ys > -dot(g, s) / 2**52),
    ),
)
"""What else an iteration may be."""


def constraint(h: Hyper) -> str | None:
    """Why torch's constructor refuses these hyperparameters, or None.

    It looks at the learning rate alone (and before 2.5 at nothing).
    """
    return negative(h, "lr") or no_batch(h)


SEPARATING = Separating(hyper={"lr": (0.25, 0.5), "history_size": (2, 3)}, w=(2, 8), g=(0.5, 2))

DRAWING = Drawing(
    domains={
        "lr": Domain(special=(1.0, 0.5, 0.1, 1.0, 0.0), low=1e-3, high=2.0),
        "tolerance_grad": Domain(special=(1e-7, 0.0, 0.5)),
        "tolerance_change": Domain(special=(1e-9, 0.0, 0.5)),
        "history_size": Domain(special=(100, 1, 2, 3)),
        "max_iter": Domain(special=(1,)),
        "max_eval": Domain(special=(None,)),
        "line_search_fn": Domain(special=(None,)),
    },
    trial=Hyper(lr=0.5, max_iter=1),
    full=SEPARATING,
    half=SEPARATING,
)

RULE = Rule(
    name="LBFGS",
    symbols="w parameters, g gradient, d direction, t length, s = td, y change of g, ρ = 1/yᵀs, "
    "h H_diag, γ lr, m history_size",
    hyper=Hyper,
    step=step,
    conventions=(TORCH, *CONVENTIONS),
    states=("d", "t", "H_diag", "prev_flat_grad", "n_iter", "func_evals"),
    constraint=constraint,
    elementwise=False,
    drawing=DRAWING,
)
"""One iteration per gradient. The pairs, and the loss, are in the state too, but are not of the
parameter's shape: ``states`` are the rest."""
