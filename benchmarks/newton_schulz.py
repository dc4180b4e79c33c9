"""How far is torch's Newton-Schulz iteration from exact arithmetic?

``python -m benchmarks.newton_schulz`` steps ``torch.optim.Muon`` on random matrices of several
kinds, sizes and iterations, and writes the table from which the enclosures of
:mod:`oracles.harness.arithmetic.newton_schulz` have their radii where derivation ends. That module
says what is measured and what follows from it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oracles.files import write
from oracles.harness.arithmetic.enclosure import Enclosure
from oracles.harness.arithmetic.formats import FORMATS, FloatArray, Wide, round_to
from oracles.harness.arithmetic.newton_schulz import (
    TABLE,
    Coefficients,
    Measurement,
    deviation,
    iterated,
)
from oracles.harness.subjects.torch_optim import quiet
from oracles.numerics import in_bfloat16
from oracles.optimizers import muon

SIZES = {
    16: ((2, 2), (2, 3), (3, 3), (2, 8), (4, 4)),
    64: ((2, 32), (4, 16), (5, 9), (8, 8)),
    256: ((2, 128), (4, 64), (9, 20), (16, 16)),
}
"""Shapes that stand for all matrices of at most so many elements; the upright ones are iterated
lying, which rounds nothing."""

MATRICES = {16: 48, 64: 24, 256: 6}
"""How many of each kind and shape are asked, unless told otherwise; elements are what counts."""

STEPS = (2, 3, 4, 5)

COEFFICIENTS: tuple[Coefficients, ...] = tuple((a, *rest) for a, rest in muon.TRIPLES.items())

Generator = np.random.Generator
Shape = tuple[int, int]

KINDS: dict[str, Callable[[Generator, Shape], NDArray[Any]]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "magnitudes": lambda rng, shape: rng.normal(size=shape) * 2.0 ** rng.uniform(-6, 6, shape),
    "whole numbers": lambda rng, shape: rng.integers(-2, 3, shape) + np.eye(*shape) / 2,
    "two values": lambda rng, shape: rng.normal() + rng.normal() * rng.integers(0, 2, shape),
    "powers of two": lambda rng, shape: (
        2.0 ** rng.integers(-3, 4, shape) * rng.choice([-1.0, 1.0], shape)
    ),
    "nearly of rank one": lambda rng, shape: (
        rng.normal(size=(shape[0], 1)) * rng.normal(size=shape[1]) + rng.normal(size=shape) / 64
    ),
    "nearly equal rows": lambda rng, shape: (
        rng.normal(size=shape[1]) + np.eye(*shape) * rng.uniform(size=shape)
    ),
    "orthogonal rows": lambda rng, shape: np.linalg.qr(rng.normal(size=shape[::-1]))[0].T,
}
"""Matrices whose roundings have nothing in common, and such as have many in common."""


def drawn(rng: Generator, shape: Shape, count: int) -> Iterator[FloatArray]:
    """``count`` matrices of each kind, in float32."""
    for kind in KINDS.values():
        for _ in range(count):
            yield round_to("float32", kind(rng, shape))


def asked(matrices: Iterable[FloatArray], c: Coefficients, steps: int) -> list[FloatArray]:
    """What torch makes of the matrices, none of them upright: Muon's step from zero, turned over.

    Without momentum, decay and a rate, ``w = 0 − X``, which float32 holds exactly.
    """
    gradients = [torch.tensor(g, dtype=torch.float32) for g in matrices]
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g
    plain = {"lr": 1.0, "weight_decay": 0.0, "momentum": 0.0, "nesterov": False}
    torch.optim.Muon(parameters, **plain, ns_coefficients=c, ns_steps=steps).step()  # type: ignore[arg-type, no-untyped-call]
    return [-p.detach().double().numpy() for p in parameters]


def distances(g: FloatArray, x: FloatArray, c: Coefficients, steps: int) -> FloatArray:
    """How far each element of ``x`` is from exact arithmetic, in the model's standard deviations.

    Elements in which nothing is ever rounded, as the zeros of a diagonal matrix, are left out.
    """
    wide = g.astype(Wide)
    exact = iterated(wide / np.sqrt(np.sum(wide * wide)), c, steps)
    start = muon.RULE.torch.scaled(
        in_bfloat16(Enclosure.exact(g, FORMATS["float32"])), muon.Hyper()
    )
    spread = deviation(start, c, steps)
    off = np.abs(x - exact).astype(np.float64)
    return off[spread > 0] / spread[spread > 0]


def measured(
    c: Coefficients, steps: int, largest: int, count: int, seed: Sequence[int] | int
) -> Measurement:
    """One row of the table.

    Args:
        c, steps: the iteration.
        largest: which of :data:`SIZES`.
        count: matrices of each kind and shape.
        seed: of the matrices.
    """
    rng = np.random.default_rng(seed)
    matrices = [g for s in SIZES[largest] for g in drawn(rng, s, count)]
    found = [
        distances(g, x, c, steps) for g, x in zip(matrices, asked(matrices, c, steps), strict=True)
    ]
    worst = math.ceil(100 * max(d.max(initial=0.0) for d in found)) / 100
    return Measurement(c, steps, largest, len(found), sum(d.size for d in found), worst)


def text(rows: Iterable[Measurement], seed: int) -> str:
    """The table as TOML."""
    here = {"torch": torch.__version__, "machine": platform.machine(), "seed": seed}
    lines = [
        "# How far torch's Newton-Schulz iteration in bfloat16 was from exact arithmetic, in",
        "# standard deviations of the model in newton_schulz.py, which reads this. Written by",
        "# `python -m benchmarks.newton_schulz`, which says how; not edited by hand.",
        *(f"{key} = {json.dumps(str(value))}" for key, value in here.items()),
    ]
    for row in rows:
        lines += ["", "[[row]]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in asdict(row).items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure everything and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.newton_schulz", description=__doc__)
    parser.add_argument("--times", type=int, default=1, help="so many times as many matrices")
    parser.add_argument("--seed", type=int, default=0, help="of the matrices (default 0)")
    parser.add_argument(
        "--out", type=Path, default=TABLE, metavar="FILE", help="default: the table"
    )
    options = parser.parse_args()
    quiet()
    rows = []
    for number, row in enumerate(itertools.product(COEFFICIENTS, STEPS, SIZES)):
        start = time.monotonic()
        rows.append(measured(*row, options.times * MATRICES[row[2]], [options.seed, number]))
        taken = time.monotonic() - start
        print(f"{rows[-1]}, reach {rows[-1].reach:.2f}, {taken:.1f} s", flush=True)
    write(options.out, text(rows, options.seed).encode())


if __name__ == "__main__":
    main()
