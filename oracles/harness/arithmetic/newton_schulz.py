r"""Enclosures of Muon's iteration in bfloat16: derived where derivation holds, measured elsewhere.

    X' = aX + b(XXᵀ)X + c(XXᵀ)²X            k times, X of n×m with n <= m

An iteration is three kernels, each of which accumulates in float32 and rounds once to bfloat16
(``matmul`` and ``addmm`` of ATen, oneDNN and cuBLAS): G = XXᵀ, H = bG + cG², X' = aX + HX. u is
the unit roundoff of bfloat16.

*One iteration* is followed term by term, as any rule is (:func:`_once`).

*One row* (or column) is a direction times a length. The direction keeps its relative error, but
for a rounding of each element in each iteration; the length s goes through p(s) = as + bs³ + cs⁵
and is changed by

    s |b + 2cs²| s² u + s |bs² + cs⁴| u + |p(s)| u + O(u²)

at most (:func:`_single_row`). An element is charged two roundings in each iteration: its own, and
the length's, which is not its own. An interval of lengths sees that the terms of p cancel; term by
term a radius would grow by 28 in each iteration.

*Two or more of both* (:func:`_matrix`): bounds on all roundings together exceed the result after
two iterations, and no code comes near them. (What is proven of one iteration leaves room for an
error E of 0.2 in norm, and in the next one terms of second order are as large as
(10 |c| |X|³ + 3 |b| |X|) |E|², some fifty times the square.) There a model takes the place of a
bound: every rounding is independent and uniform, and its effect is carried to
the end by the derivative of the iterations that follow. That derivative is known in full. With the
singular value decomposition X = UΣVᵀ, and f(Σ) for what the iterations make of Σ, a change of X by
UEVᵀ changes the result by UE'Vᵀ (Noferini 2017, *SIAM J. Matrix Anal. Appl.* 38, 434-457):

    E'ᵢⱼ = (f(σᵢ) − f(σⱼ))/(σᵢ − σⱼ) (Eᵢⱼ + Eⱼᵢ)/2 + (f(σᵢ) + f(σⱼ))/(σᵢ + σⱼ) (Eᵢⱼ − Eⱼᵢ)/2
    E'ᵢⱼ = f(σᵢ)/σᵢ Eᵢⱼ                                                            for j > n

That gives each element a standard deviation s, and a table says how far torch was from exact
arithmetic in terms of it. ``python -m benchmarks.newton_schulz`` measures and writes the table:
for each iteration and size of matrix the largest |error|/s, *worst*, among N elements. A radius
is s times

    reach = worst √(ln M / ln N),     M = 10¹⁵

Why: a sum of independent uniform numbers with standard deviation 1 exceeds t with a probability of
at most 2 exp(−t²/2) (sinh(x)/x <= exp(x²/6), and Chernoff's bound). If errors have such tails, of
whatever scale, the largest of N is about scale · √(2 ln N), so the table measures the scale, and
the reach is about the largest of M. Should the table's worst be 15 % low by luck, an element of a
correct subject still leaves its radius once in 10¹⁰ times only.

A verdict which rests on that (:attr:`oracles.rule.Rule.measured`) says so. Nobody has measured
other devices. What is not in the table, larger matrices and other coefficients, is unknown.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from oracles.harness.arithmetic.enclosure import INFLATE, Enclosure
from oracles.harness.arithmetic.formats import FORMATS, FloatArray, Wide, WideArray
from oracles.numerics import newton_schulz

TABLE = Path(__file__).with_suffix(".toml")

ASKED = 1e15
"""M: of how many elements of correct subjects about one may leave its radius."""

SINGLE = FORMATS["float32"]

Coefficients = tuple[float, float, float]

Interval = tuple[Any, Any]


@newton_schulz.register(Enclosure)
def _newton_schulz(x: Enclosure, coefficients: Any, steps: int) -> Enclosure:
    a, b, c = (float(getattr(value, "mid", value)) for value in coefficients)
    return enclose(x, (a, b, c), steps)


def enclose(x: Enclosure, coefficients: Coefficients, steps: int) -> Enclosure:
    """What torch's bfloat16 may give after so many iterations from ``x``, which has its format."""
    if steps <= 0 or x.mid.size == 0:
        return x
    if x.shape[0] > x.shape[1]:
        return _transposed(enclose(_transposed(x), coefficients, steps))
    finite = np.isfinite(x.mid) & np.isfinite(x.rad)
    if not finite.all():  # one nan reaches every element, through G
        nan = (np.isnan(x.mid) & (x.rad == 0)).any()
        return _everywhere(x, *((np.nan, 0.0) if nan else (0.0, np.inf)))
    if x.shape[0] == 1:
        return _single_row(x, coefficients, steps)
    return _once(x, coefficients) if steps == 1 else _matrix(x, coefficients, steps)


def _transposed(x: Enclosure) -> Enclosure:
    return Enclosure(x.mid.T, x.rad.T, x.format)


def _everywhere(x: Enclosure, mid: float, rad: float) -> Enclosure:
    return Enclosure(np.full(x.shape, Wide(mid)), np.full(x.shape, Wide(rad)), x.format)


def _once(x: Enclosure, coefficients: Coefficients) -> Enclosure:
    """One iteration term by term, accumulated in float32 and rounded once by each kernel."""
    a, b, c = coefficients
    wide = x.to(SINGLE)
    gram = (wide @ _transposed(wide)).to(x.format).to(SINGLE)
    update = (b * gram + c * (gram @ gram)).to(x.format).to(SINGLE)
    result: Enclosure = a * wide + update @ wide
    return result.to(x.format)


def _single_row(x: Enclosure, coefficients: Coefficients, steps: int) -> Enclosure:
    """A direction with its relative error, times a length in an interval."""
    size, spread = (np.sqrt(np.sum(part * part)) for part in (x.mid, x.rad))
    if not spread < size:  # nothing is known of the direction
        return _everywhere(x, 0.0, np.inf if spread else 0.0)
    length = first = (size - spread, size + spread)
    magnified = Wide(1)
    for _ in range(steps):
        magnified = magnified * _magnification(coefficients, max(map(abs, length)))
        length = _lengthened(length, coefficients, x.format.u, x.shape[1])
    ends = [last / start for last in length for start in first]
    ratio, off = (max(ends) + min(ends)) / 2, (max(ends) - min(ends)) / 2
    reach = (np.abs(x.mid) + x.rad) * (np.abs(ratio) + off)
    u = x.format.u + 8 * SINGLE.u
    rounded = ((1 + u) ** (2 * steps) - 1) * reach + 2 * steps * x.format.eta * magnified
    rad = np.abs(x.mid) * off + x.rad * (np.abs(ratio) + off) + rounded
    return Enclosure(x.mid * ratio, rad * INFLATE, x.format)


def _lengthened(length: Interval, coefficients: Coefficients, u: Any, terms: int) -> Interval:
    """The length after an iteration: what p makes of the interval, and three roundings."""
    a, b, c = (Wide(v) for v in coefficients)
    low, high = length
    largest = max(abs(low), abs(high))
    squares = (Wide(0) if low <= 0 <= high else min(abs(low), abs(high)) ** 2, largest**2)
    gram = (u + (terms + 1) * SINGLE.u) * squares[1]
    slope = max(abs(b + 2 * c * x) for x in squares)
    update = max(abs(b * x + c * x * x) for x in _within(squares, [-b / (2 * c)] if c else []))
    sizes = abs(b) * squares[1] + abs(c) * squares[1] ** 2
    change = slope * gram + abs(c) * gram * gram
    change = change + u * (update + change) + 4 * SINGLE.u * sizes
    turns = [sign * np.sqrt(x) for x in _roots(a, b, c) if x > 0 for sign in (-1, 1)]
    ends = [a * s + b * s**3 + c * s**5 for s in _within(length, turns)]
    off = largest * change
    off = off + u * (max(map(abs, ends)) + off) + 4 * SINGLE.u * largest * (abs(a) + sizes)
    return min(ends) - off * INFLATE, max(ends) + off * INFLATE


def _within(interval: Interval, candidates: list[Any]) -> list[Any]:
    """Where an extreme may be: at the ends, or at a candidate between them."""
    low, high = interval
    return [low, high, *(x for x in candidates if low < x < high)]


def _roots(a: Any, b: Any, c: Any) -> list[Any]:
    """The x = s² at which p' = a + 3bx + 5cx² is zero."""
    if c == 0:
        return [-a / (3 * b)] if b else []
    square = 9 * b * b - 20 * a * c
    return [] if square < 0 else [(-3 * b + sign * np.sqrt(square)) / (10 * c) for sign in (-1, 1)]


@dataclass(frozen=True)
class Measurement:
    """What was measured of one iteration.

    Attributes:
        coefficients, steps: of the iteration.
        largest: elements of the largest matrices it stands for.
        matrices, compared: how many matrices were iterated, and how many elements they had.
        worst: largest distance of an element from exact arithmetic, in standard deviations.
    """

    coefficients: Coefficients
    steps: int
    largest: int
    matrices: int
    compared: int
    worst: float

    @property
    def reach(self) -> float:
        """Standard deviations in a radius."""
        return self.worst * math.sqrt(math.log(ASKED) / math.log(self.compared))


@cache
def table() -> tuple[Measurement, ...]:
    """All that was measured."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["row"]
    return tuple(Measurement(**row | {"coefficients": tuple(row["coefficients"])}) for row in rows)


def measurement(
    shape: tuple[int, ...], coefficients: Coefficients, steps: int
) -> Measurement | None:
    """Of the smallest size that includes the shape; None where nobody has measured."""
    known = [
        row
        for row in table()
        if (row.coefficients, row.steps) == (coefficients, steps)
        and math.prod(shape) <= row.largest
    ]
    return min(known, key=lambda row: row.largest, default=None)


def _matrix(x: Enclosure, coefficients: Coefficients, steps: int) -> Enclosure:
    known = measurement(x.shape, coefficients, steps)
    if known is None:
        return _everywhere(x, 0.0, np.inf)
    mid, magnified = x.mid, Wide(1)
    for _ in range(steps):
        magnified = magnified * _magnification(coefficients, np.sqrt(np.sum(mid * mid)))
        mid = iterated(mid, coefficients, 1)
    rad = np.asarray(known.reach * deviation(x, coefficients, steps), dtype=Wide)
    return Enclosure(mid, rad + steps * x.format.eta * magnified, x.format)


def _magnification(coefficients: Coefficients, norm: Any) -> Any:
    """The most by which an iteration of an X of that norm makes an error larger, if it does.

    The derivative of aX + b(XXᵀ)X + c(XXᵀ)²X has three terms with b and five with c. Roundings are
    far from doubling the norm.
    """
    a, b, c = (abs(Wide(v)) for v in coefficients)
    return max(Wide(1), a + 3 * b * (2 * norm) ** 2 + 5 * c * (2 * norm) ** 4)


def iterated(x: WideArray, coefficients: Coefficients, steps: int) -> WideArray:
    """The iteration itself, in the format of ``x``."""
    a, b, c = coefficients
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


def deviation(x: Enclosure, coefficients: Coefficients, steps: int) -> FloatArray:
    """Standard deviation of each element under independent, uniform roundings; x is n×m, n <= m.

    In each iteration one more rounding is common to all elements: that of the norm at first, and
    those of elements that have the same digits. And derivatives, some of which are near 0, are as
    large as the errors of the singular values make them.
    """
    mid, rad = (np.asarray(part, dtype=np.float64) for part in (x.mid, x.rad))
    n, m = mid.shape
    left, values, right = np.linalg.svd(mid)
    u = np.float64(x.format.u)
    variance, common = rad**2 / 3, np.sum(rad**2) / (3 * np.sum(mid**2) or 1.0)
    blur = np.zeros(n)  # the variance of singular values
    trail = []
    for _ in range(steps):
        blur = blur + (left.T**2 * (right[:n] ** 2 @ variance.T)).sum(axis=1) + common * values**2
        trail.append((values, np.sqrt(blur), variance, common))
        blur = blur * _gain(coefficients, values, values, *[np.sqrt(blur)] * 2) ** 2
        values = values * _quotient(coefficients, values, 0 * values)
        mid, variance = _rounded(mid, coefficients, float(u))
        common = u * u / 3
    total = variance.ravel()
    basis = np.kron(left, right.T)
    square, beside = np.split(basis.reshape(-1, n, m), [n], axis=2)
    even = odd = along = np.ones(1)  # the derivative of the iterations from here to the end
    for s, off, variance, common in trail[::-1]:
        pairs = s[:, None], s, off[:, None], off
        even = even * _gain(coefficients, *pairs)
        odd = odd * _gain(coefficients, s[:, None], -s, *pairs[2:])
        along = along * _gain(coefficients, s[:, None], 0 * s, off[:, None], 0 * s)
        turned = square * (even + odd) / 2 + square.swapaxes(1, 2) * (even - odd) / 2
        carried = (
            np.concatenate([turned, beside * along[:, :1]], axis=2).reshape(n * m, -1) @ basis.T
        )
        total = total + carried**2 @ variance.ravel()
        total = total + common * ((left * even.diagonal() * s) @ right[:n]).ravel() ** 2
    return np.sqrt(total).reshape(n, m)


def _gain(
    coefficients: Coefficients, s: FloatArray, t: FloatArray, ds: FloatArray, dt: FloatArray
) -> FloatArray:
    """The quotient of two singular values that have standard deviations, with its sign."""
    at = _quotient(coefficients, s, t)
    size = at**2 + (_slope(coefficients, s, t) * ds) ** 2 + (_slope(coefficients, t, s) * dt) ** 2
    return np.copysign(np.sqrt(size), at)


def _quotient(coefficients: Coefficients, s: FloatArray, t: FloatArray) -> FloatArray:
    """``(p(s) − p(t))/(s − t)``, written without the division."""
    a, b, c = coefficients
    return a + b * (s * s + s * t + t * t) + c * (s**4 + s**3 * t + s * s * t * t + s * t**3 + t**4)


def _slope(coefficients: Coefficients, s: FloatArray, t: FloatArray) -> FloatArray:
    """Its derivative by s."""
    _, b, c = coefficients
    return b * (2 * s + t) + c * (4 * s**3 + 3 * s * s * t + 2 * s * t * t + t**3)


def _rounded(x: FloatArray, coefficients: Coefficients, u: float) -> tuple[FloatArray, FloatArray]:
    """One iteration, and the variance its three roundings give each element.

    The two terms that a rounding of G makes, through bG and through cG², are taken for independent,
    which is off by a factor of √2 at most; the measured scale absorbs it.
    """
    a, b, c = coefficients
    gram = x @ x.T
    update = b * gram + c * (gram @ gram)
    after = a * x + update @ x
    grams, squares = gram**2, x * x
    through = (b * np.eye(len(x)) + c * gram) ** 2 @ grams @ squares
    through = through + c * c * (grams @ (gram @ x) ** 2)
    return after, u * u / 3 * (after**2 + update**2 @ squares + through)
