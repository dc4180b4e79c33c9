"""What watching costs: ``python -m benchmarks.watching``.

Loops of several kinds are run bare and watched, in turn, and the medians of their steps are held
against each other, in CPU seconds. Tensors of a few elements are the worst case: there a step is
all calls and no arithmetic. Entering and leaving the block, and reading the report, are told apart:
they are no part of a step.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import CosineAnnealingLR

import oracles

STEPS, ROUNDS = 12, 5

WAYS = [(watched, whole) for watched in (False, True) for whole in (False, True)]
"""Bare or watched; alone, or with clipping and a scaler."""

OPTIMIZERS = (torch.optim.SGD, torch.optim.AdamW)


class Trained(NamedTuple):
    """What is trained: a model, and its loss on one batch."""

    model: nn.Module
    loss: Callable[[], torch.Tensor]


def perceptron() -> Trained:
    """A million parameters in eight tensors, 64 rows."""
    sizes = [256, 640, 640, 640, 10]
    layers = [nn.Linear(n, m) for n, m in pairwise(sizes)]
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
    x, y = torch.randn(64, 256), torch.randint(0, 10, (64,))
    return Trained(model, lambda: F.cross_entropy(model(x), y))


def convolutions() -> Trained:
    """Three convolutions with batch norm, 32 pictures."""
    sizes = [3, 16, 32, 32]
    blocks = [
        nn.Sequential(nn.Conv2d(n, m, 3, padding=1), nn.BatchNorm2d(m), nn.ReLU(), nn.MaxPool2d(2))
        for n, m in pairwise(sizes)
    ]
    model = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(512, 10))
    x, y = torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,))
    return Trained(model, lambda: F.cross_entropy(model(x), y))


def layers(tensors: int) -> Trained:
    """Small layers one after another, 16 rows."""
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(tensors // 2)))
    x = torch.randn(16, 4)
    return Trained(model, lambda: model(x).square().mean())


def apart(tensors: int) -> Trained:
    """Tensors of eight elements, each with a loss of its own."""
    model = nn.ParameterList([nn.Parameter(torch.randn(8)) for _ in range(tensors)])
    return Trained(model, lambda: torch.stack([p.square().mean() for p in model]).mean())


def together(tensors: int) -> Trained:
    """Tensors of eight elements that meet in one operation, as those of a penalty do."""
    model = nn.ParameterList([nn.Parameter(torch.randn(8)) for _ in range(tensors)])
    return Trained(model, lambda: torch.cat([*model]).square().mean())


KINDS: dict[str, Callable[[], Trained]] = {
    "perceptron": perceptron,
    "convolutions": convolutions,
    "300 tensors in layers": lambda: layers(300),
    "1000 tensors in layers": lambda: layers(1000),
    "300 tensors apart": lambda: apart(300),
    "1000 tensors apart": lambda: apart(1000),
    "300 tensors together": lambda: together(300),
    "1000 tensors together": lambda: together(1000),
}


class Times(NamedTuple):
    """Seconds: of a step, of entering and leaving, of the report."""

    step: float
    around: float
    report: float


def timed(work: Callable[[], Any]) -> float:
    """The CPU seconds that it takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def run(kind: str, optimizer_of: Callable[..., Any], *, watched: bool, whole: bool) -> Times:
    """One training, with clipping, a scheduler and a scaler if it is to have all of them."""
    torch.manual_seed(0)
    model, loss = KINDS[kind]()
    optimizer = optimizer_of(model.parameters(), lr=0.01)
    scheduler = CosineAnnealingLR(optimizer, STEPS)
    scaler: Any = torch.amp.GradScaler("cpu", enabled=whole)
    times: list[float] = []

    def step() -> None:
        optimizer.zero_grad()
        scaler.scale(loss()).backward()
        if whole:
            scaler.unscale_(optimizer)
            clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()

    reports: list[Any] = []

    def all_of_it() -> None:
        block = oracles.watch(optimizer, model=model, loss="mean") if watched else nullcontext()
        with block as report:
            times.extend(timed(step) for _ in range(STEPS))
        reports.append(report)

    around = timed(all_of_it) - sum(times)
    reading = timed(lambda: watched and reports[0].findings)
    return Times(median(times), around, reading)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args(argv).rounds
    torch.set_num_threads(1)
    print("| loop | optimizer | a step | watched | with clipping and scaler | report |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in KINDS:
        for optimizer in OPTIMIZERS:
            found: dict[tuple[bool, bool], list[Times]] = {way: [] for way in WAYS}
            for _ in range(rounds):
                for (watched, whole), times in found.items():
                    times.append(run(kind, optimizer, watched=watched, whole=whole))
            steps = {key: median(t.step for t in times) for key, times in found.items()}
            report = median(t.report for t in found[True, False])
            print(
                f"| {kind} | {optimizer.__name__} | {1e3 * steps[False, False]:.1f} ms "
                f"| {steps[True, False] / steps[False, False]:.2f} "
                f"| {steps[True, True] / steps[False, True]:.2f} | {report:.2f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
