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

at most (:func:`_row`). An interval of lengths sees that the terms of p cancel; term by term a
radius would grow by 28 in each iteration.

*Two or more of both* (:func:`_matrix`): worst cases of all roundings together would exceed the
result after two iterations, and no code comes near them. There the radius is :data:`SPREAD`
standard deviations of a model: every rounding is independent and uniform, and its effect is carried
to the end by the derivative of the iterations that follow. That derivative is known in full. With
the singular value decomposition X = UΣVᵀ, and f(Σ) for what the iterations make of Σ, a change of X
by UEVᵀ changes the result by UE'Vᵀ (Noferini 2017, *SIAM J. Matrix Anal. Appl.* 38, 434-457):

    E'ᵢⱼ = (f(σᵢ) − f(σⱼ))/(σᵢ − σⱼ) (Eᵢⱼ + Eⱼᵢ)/2 + (f(σᵢ) + f(σⱼ))/(σᵢ + σⱼ) (Eᵢⱼ − Eⱼᵢ)/2
    E'ᵢⱼ = f(σᵢ)/σᵢ Eᵢⱼ                                                            for j > n

A verdict there rests on a measurement: how many of these standard deviations torch 2.13 on a CPU is
away from exact arithmetic, with torch's default coefficients. Of 28,800 matrices (2×3, 2×5, 3×3,
3×8, 4×16, 5×9; 1, 2, 3 and 5 iterations; four distributions, 300 of each) the farthest element was
3.62 away. Nobody has measured other devices, larger matrices or other coefficients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.harness.enclosure import INFLATE, Enclosure
from oracles.harness.formats import FORMATS, FloatArray, Wide, WideArray

SPREAD = 8.0
"""Standard deviations in a radius: more than twice as many as the farthest element was away."""

LARGEST = 400
"""Elements of the largest matrix whose derivative is written out; larger ones are unknown."""

SINGLE = FORMATS["float32"]

Coefficients = tuple[float, float, float]

Interval = tuple[Any, Any]


def enclose(x: Enclosure, coefficients: Coefficients, steps: int) -> Enclosure:
    """What torch's bfloat16 may give after so many iterations from ``x``, which has its format."""
    if steps == 0:
        return x
    if x.shape[0] > x.shape[1]:
        return _transposed(enclose(_transposed(x), coefficients, steps))
    finite = np.isfinite(x.mid) & np.isfinite(x.rad)
    if not finite.all():  # one nan reaches every element, through G
        nan = (np.isnan(x.mid) & (x.rad == 0)).any()
        return _everywhere(x, *((np.nan, 0.0) if nan else (0.0, np.inf)))
    if x.shape[0] == 1:
        return _row(x, coefficients, steps)
    if steps == 1:
        return _once(x, coefficients)
    return _matrix(x, coefficients, steps)


def measured(shape: tuple[int, ...], steps: int) -> bool:
    """Whether the radius rests on a measurement."""
    return min(shape) > 1 and steps > 1


def _transposed(x: Enclosure) -> Enclosure:
    return Enclosure(x.mid.T, x.rad.T, x.format)


def _everywhere(x: Enclosure, mid: float, rad: float) -> Enclosure:
    return Enclosure(np.full(x.shape, Wide(mid)), np.full(x.shape, Wide(rad)), x.format)


def _once(x: Enclosure, coefficients: Coefficients) -> Enclosure:
    """Term by term, accumulated in float32 and rounded once by each kernel."""
    a, b, c = coefficients
    wide = x.to(SINGLE)
    gram = (wide @ _transposed(wide)).to(x.format).to(SINGLE)
    update = (b * gram + c * (gram @ gram)).to(x.format).to(SINGLE)
    result: Enclosure = a * wide + update @ wide
    return result.to(x.format)


def _row(x: Enclosure, coefficients: Coefficients, steps: int) -> Enclosure:
    """A direction with its relative error, times a length in an interval."""
    size, spread = (np.sqrt(np.sum(part * part)) for part in (x.mid, x.rad))
    if not spread < size:  # nothing is known of the direction
        return _everywhere(x, 0.0, np.inf if spread else 0.0)
    length = first = (size - spread, size + spread)
    for _ in range(steps):
        length = _lengthened(length, coefficients, x.format.u, x.shape[1])
    ends = [last / start for last in length for start in first]
    ratio, off = (max(ends) + min(ends)) / 2, (max(ends) - min(ends)) / 2
    reach = (np.abs(x.mid) + x.rad) * (np.abs(ratio) + off)
    # Every iteration rounds each element, and the length does not say by how much.
    u = x.format.u + 8 * SINGLE.u
    rounded = ((1 + u) ** (2 * steps) - 1) * reach + 2 * steps * x.format.eta * 4**steps
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


def _matrix(x: Enclosure, coefficients: Coefficients, steps: int) -> Enclosure:
    mid = iterated(x.mid, coefficients, steps)
    if x.mid.size > LARGEST:
        return _everywhere(x, 0.0, np.inf)
    rad = SPREAD * deviation(x, coefficients, steps)
    eta = steps * x.format.eta * 4**steps
    return Enclosure(mid, np.asarray(rad, dtype=Wide) + eta, x.format)


def iterated(x: WideArray, coefficients: Coefficients, steps: int) -> WideArray:
    """The iteration itself, in the format of ``x``."""
    a, b, c = coefficients
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


def deviation(x: Enclosure, coefficients: Coefficients, steps: int) -> FloatArray:
    """Standard deviation of each element under independent, uniform roundings; x is n×m, n <= m."""
    mid = np.asarray(x.mid, dtype=np.float64)
    u = float(x.format.u)
    left, values, right = np.linalg.svd(mid)
    basis = np.kron(left, right.T)
    trail = [values]
    for _ in range(steps):
        trail.append(trail[-1] * _quotient(coefficients, trail[-1], 0 * trail[-1]))
    variance = np.asarray(x.rad, dtype=np.float64) ** 2 / 3
    total = np.zeros(mid.size)
    for step in range(steps + 1):
        carried = basis @ _derivative(coefficients, trail[step:-1], mid.shape) @ basis.T
        total += carried**2 @ variance.ravel()
        if step < steps:
            mid, variance = _rounded(mid, coefficients, u)
    return np.sqrt(total).reshape(mid.shape)


def _quotient(coefficients: Coefficients, s: FloatArray, t: FloatArray) -> FloatArray:
    """``(p(s) − p(t))/(s − t)``, written without the division."""
    a, b, c = coefficients
    cubic, product = s * s + s * t + t * t, s * t
    quintic = (s * s + t * t) ** 2 - product * product + product * (s * s + t * t)
    return np.asarray(a + b * cubic + c * quintic)


def _derivative(
    coefficients: Coefficients, trail: list[FloatArray], shape: tuple[int, ...]
) -> FloatArray:
    """How the iterations from ``trail[0]`` on change E, seen from the singular vectors."""
    n, m = shape
    even, odd, rest = np.ones((n, n)), np.ones((n, n)), np.ones(n)
    for values in trail:
        s, t = values[:, None], values[None, :]
        even = even * _quotient(coefficients, s, t)
        odd = odd * _quotient(coefficients, s, -t)
        rest = rest * _quotient(coefficients, values, 0 * values)
    change = np.zeros((n, m, n, m))
    i, j = np.indices((n, n))
    change[i, j, i, j] = (even + odd) / 2
    change[i, j, j, i] += (even - odd) / 2
    i, j = np.indices((n, m - n))
    change[i, j + n, i, j + n] = rest[:, None]
    return change.reshape(n * m, n * m)


def _rounded(x: FloatArray, coefficients: Coefficients, u: float) -> tuple[FloatArray, FloatArray]:
    """One iteration, and the variance its three roundings give each element."""
    a, b, c = coefficients
    gram = x @ x.T
    update = b * gram + c * (gram @ gram)
    after = a * x + update @ x
    grams, squares = gram**2, x * x
    through = (b * np.eye(len(x)) + c * gram) ** 2 @ grams @ squares
    through = through + c * c * (grams @ (gram @ x) ** 2)
    return after, u * u / 3 * (after**2 + update**2 @ squares + through)
