"""The four floating-point formats, and what rounding to each can do.

A :class:`Format` states, for one IEEE-style binary format, the numbers error analysis needs.
Its fields are scalars for a single format, or arrays that broadcast against the data when
neighbouring elements (or rows) of one array belong to different formats: one evaluation of a rule
then serves every dtype at once.

Source of the constants: IEEE 754-2019 table 3.5 for binary16/32/64; bfloat16 is the upper half of
a binary32. Higham, *Accuracy and Stability of Numerical Algorithms* (2nd ed.), section 2.1, for
``u`` and ``eta``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oracles.naming import unknown

Wide = np.longdouble
"""Number type of midpoints and radii: the widest NumPy has (64-bit significand on x86,
113-bit on AArch64 Linux, and no more than float64 where the platform has nothing wider)."""

WIDE_EPS = Wide(np.finfo(Wide).eps)

SMALLEST = np.nextafter(Wide(0), Wide(1))

FloatArray = NDArray[np.float64]
WideArray = NDArray[Any]

DTYPES = ("float64", "float32", "bfloat16", "float16")

FULL, HALF = DTYPES[:2], DTYPES[2:]
"""Those of 24 bits and more, and the shorter ones."""

_SIGNIFICAND_BITS = {"float64": 53, "float32": 24, "bfloat16": 8, "float16": 11}
_SINGLE = Wide(2) ** -_SIGNIFICAND_BITS["float32"]
_MAX_EXPONENT = {"float64": 1024, "float32": 128, "bfloat16": 128, "float16": 16}


@dataclass(frozen=True)
class Format:
    """What rounding to a format can do to a value.

    Attributes:
        u: unit roundoff, ``2**-p``: ``|fl(v) - v| <= u |v|`` in the normal range.
        eta: half the smallest subnormal: the extra error of a product or quotient that underflows.
        scalar_u: relative error with which a Python float enters a kernel of this dtype; 0 for
            float64, which holds every Python float.
        largest: largest finite value; beyond it a result of this format may overflow.
        overflow: magnitude beyond which a *sum* overflows on every path. Kernels may hold float16
            intermediates in float32, so for float16 there is none (``inf``).
        numbers: the format that numbers without dimension compute in before they meet an array of
            this one; None for a format of such numbers.
    """

    u: Any
    eta: Any
    scalar_u: Any
    largest: Any
    overflow: Any
    numbers: Format | None = None

    @cached_property
    def charge(self) -> Any:
        """One rounding of a result, and what the midpoint's own adds to it."""
        return self.u + WIDE_EPS

    @cached_property
    def root(self) -> Any:
        """What a square root is charged: 1 ulp, that is 2 u, and not the u of IEEE 754's own.

        torch hands arrays on a CPU to oneMKL's vector functions, which promise no more (Intel,
        *oneMKL Vector Mathematics Performance and Accuracy Data*, high accuracy): of float32, all
        the numbers of [1, 4) go up to 1.499 u off in torch 2.13 with AVX2. A shorter format
        computes in float32, and rounds what that gives.
        """
        return self.charge + np.where(self.u > _SINGLE, 2 * _SINGLE, self.u)[()]

    @cached_property
    def underflow(self) -> Any:
        """Error of a product that underflows, with its midpoint's, which is below eta/u."""
        return self.eta * (1 + WIDE_EPS / self.u)

    @cached_property
    def stretch(self) -> Any:
        """By what four roundings stretch the errors made before them."""
        return (1 + self.u) ** 4

    @cached_property
    def converted_eta(self) -> Any:
        """Error of what underflows as it is converted, and may be rounded to float32 on its way.

        Rounding to nearest errs by no more than u/(1+u), and what that leaves of u is more than
        such a rounding; of eta it leaves nothing, but what underflows is eta/u at most.
        """
        return self.eta * (1 + (self.u > _SINGLE) * _SINGLE / self.u)

    @cached_property
    def scalar_eta(self) -> Any:
        """Error of a Python float that underflows as it enters a kernel."""
        return self.converted_eta * (self.scalar_u > 0)


def _smallest_subnormal_exponent(dtype: str) -> int:
    return 3 - _MAX_EXPONENT[dtype] - _SIGNIFICAND_BITS[dtype]


def _format(dtype: str) -> Format:
    bits = _SIGNIFICAND_BITS[dtype]
    u = Wide(2) ** -bits
    largest = (2 - 2 * u) * Wide(2) ** (_MAX_EXPONENT[dtype] - 1)
    # Where the wide type is float64 itself, half of its smallest subnormal is not representable.
    eta = Wide(2) ** (_smallest_subnormal_exponent(dtype) - 1) or SMALLEST
    scalar_u = Wide(0) if dtype == "float64" else u
    return Format(u, eta, scalar_u, largest, _certain_overflow(dtype))


def _certain_overflow(dtype: str) -> Any:
    """Half a unit beyond the largest value of the widest format a kernel of ``dtype`` sums in."""
    if dtype == "float16":  # summed in float32, which holds whatever two float16 values give
        return Wide(np.inf)
    widest = "float32" if dtype == "bfloat16" else dtype
    half_unit = Wide(2) ** -(_SIGNIFICAND_BITS[widest] + 1)
    return (1 - half_unit) * Wide(2) ** _MAX_EXPONENT[widest]


FLOAT64 = _format("float64")
"""What Python numbers, and so hyperparameters, compute in."""

FORMATS = {"float64": FLOAT64} | {
    dtype: replace(_format(dtype), numbers=FLOAT64) for dtype in DTYPES[1:]
}

TENSOR = replace(FORMATS["float32"], u=2 * FORMATS["float32"].u, numbers=None)
"""What 0-d float32 tensors compute in. Every operation is charged two roundings, because paths
multiply and divide such numbers among themselves before they meet an array. What that adds to the
operations on them in a rule's own text, as torch's capturable steps have it:

    Adam, AdamW          a product and a quotient to six operations: √v/(√c₂ s) + ε/s with
                         s = −γ/c₁, where the rule has (√v/√c₂ + ε) and a product with s
    Adamax               none: c₁/γ is divided by, instead of a product with γ/c₁
    NAdam, RAdam, ASGD   none: other orders of the same products and quotients
    others               the learning rate alone is such a number

A path that added more operations than the rule has would need a larger factor."""

_TABLE = {
    field: np.array([getattr(FORMATS[d], field) for d in DTYPES], dtype=Wide)
    for field in ("u", "eta", "scalar_u", "largest", "overflow")
}


def mixed(indices: NDArray[np.intp]) -> Format:
    """The format of an array whose element ``i`` has dtype ``DTYPES[indices[i]]``."""
    return Format(**{field: column[indices] for field, column in _TABLE.items()}, numbers=FLOAT64)


@cache
def uniform(dtype: str) -> Format:
    """The format of an array whose elements all have that dtype: its fields are numbers."""
    return mixed(np.array(DTYPES.index(dtype)))


def loosened(format: Format, roundings: int) -> Format:
    """A format in which every operation may round so many times, instead of once.

    ``n`` roundings in a row are off by ``γₙ = nu / (1 − nu)`` at most (Higham, section 3.1). What
    underflows may become zero instead of a subnormal number, where those are flushed.
    """
    return replace(
        format,
        u=_gamma(roundings, format.u),
        eta=roundings * format.eta / format.u,
        scalar_u=_gamma(roundings, format.scalar_u),
    )


def _gamma(n: int, u: Any) -> Any:
    return n * u / (1 - n * u)


def round_to(dtype: str, values: ArrayLike) -> FloatArray:
    """Round float64 values to the nearest value of ``dtype``, ties to even, as float64.

    Overflow gives an infinity, underflow a subnormal or zero, as IEEE 754 prescribes.

    Raises:
        ValueError: ``dtype`` is not one of :data:`DTYPES`.
    """
    values = np.asarray(values, dtype=np.float64)
    if dtype == "float64":
        return values
    if dtype not in DTYPES:
        raise ValueError(unknown(f"dtype={dtype!r} is not known", dtype, DTYPES))
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):
            rounded: FloatArray = values.astype(dtype).astype(np.float64)
        return rounded
    _, exponent = np.frexp(values)
    quantum = np.maximum(exponent - _SIGNIFICAND_BITS[dtype], _smallest_subnormal_exponent(dtype))
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = np.ldexp(np.rint(np.ldexp(values, -quantum)), quantum)
    return np.where(
        np.abs(rounded) > float(FORMATS[dtype].largest), np.copysign(np.inf, values), rounded
    )


def round_each(values: FloatArray) -> FloatArray:
    """Stack of ``values`` rounded to each of :data:`DTYPES`, which is the first dimension."""
    return np.stack([round_to(dtype, values) for dtype in DTYPES])


def alike(one: FloatArray | None, other: FloatArray | None) -> bool:
    """Whether two arrays have the same numbers, of which nan is one, or both are missing.

    >>> alike(np.array([0.5, np.nan]), np.array([0.5, np.nan])), alike(None, None)
    (True, True)
    """
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)


def are_float32(values: FloatArray) -> bool:
    """Whether all numbers are float32's, and some are: random ones of float64 are not.

    >>> are_float32(np.array([0.5, np.inf])), are_float32(np.array([0.1]))
    (True, False)
    """
    finite = values[np.isfinite(values)]
    return finite.size > 0 and bool((round_to("float32", finite) == finite).all())
