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
from itertools import pairwise, product
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


class Loop(NamedTuple):
    """Optimizers, and what a step of a loop does."""

    optimizers: list[Any]
    step: Callable[[], None]


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


def in_turn(trained: Trained, optimizer_of: Callable[..., Any]) -> Loop:
    """Eight optimizers, which have a part of the tensors each, and step one after the other."""
    tensors = [*trained.model.parameters()]
    optimizers = [optimizer_of(tensors[n::8], lr=0.01) for n in range(8)]

    def step() -> None:
        trained.model.zero_grad()
        trained.loss().backward()
        for optimizer in optimizers:
            optimizer.step()

    return Loop(optimizers, step)


def in_backward(trained: Trained, optimizer_of: Callable[..., Any]) -> Loop:
    """An optimizer for each tensor, which steps as soon as the gradient is there."""
    optimizers = {p: optimizer_of([p], lr=0.01) for p in trained.model.parameters()}

    def move(p: Any) -> None:
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in optimizers:
        p.register_post_accumulate_grad_hook(move)
    return Loop([*optimizers.values()], lambda: trained.loss().backward())


def by_hand(trained: Trained, optimizer_of: Callable[..., Any]) -> Loop:
    """No backward pass: gradients are computed apart, and put in place."""
    tensors = [*trained.model.parameters()]
    optimizer = optimizer_of(tensors, lr=0.01)

    def step() -> None:
        for p, g in zip(tensors, torch.autograd.grad(trained.loss(), tensors), strict=True):
            p.grad = g
        optimizer.step()

    return Loop([optimizer], step)


def given(trained: Trained, optimizer_of: Callable[..., Any]) -> Loop:
    """Nobody computes gradients: one call copies all of them from where they lie."""
    tensors = [*trained.model.parameters()]
    optimizer = optimizer_of(tensors, lr=0.01)
    gradients, places = ([torch.randn_like(p) for p in tensors] for _ in range(2))
    for p, place in zip(tensors, places, strict=True):
        p.grad = place

    def step() -> None:
        torch._foreach_copy_(places, gradients)
        optimizer.step()

    return Loop([optimizer], step)


WAYS_TO_STEP = (in_turn, in_backward, by_hand, given)
"""Beside one optimizer that steps after a backward pass."""


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


def other(kind: str, way: Callable[..., Loop], optimizer_of: Any, *, watched: bool) -> float:
    """A step of a training that steps in another way."""
    torch.manual_seed(0)
    trained = KINDS[kind]()
    optimizers, step = way(trained, optimizer_of)
    with oracles.watch(optimizers, model=trained.model) if watched else nullcontext():
        return median(timed(step) for _ in range(STEPS))


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
    print("\n| loop | way | optimizer | a step | watched |\n| --- | --- | --- | --- | --- |")
    for kind in ("300 tensors in layers", "300 tensors together"):
        for way, optimizer in product(WAYS_TO_STEP, OPTIMIZERS):
            pairs = [
                [other(kind, way, optimizer, watched=w) for w in (False, True)]
                for _ in range(rounds)
            ]
            bare, watched = (median(times) for times in zip(*pairs, strict=True))
            print(
                f"| {kind} | {way.__name__} | {optimizer.__name__} | {1e3 * bare:.1f} ms "
                f"| {watched / bare:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
