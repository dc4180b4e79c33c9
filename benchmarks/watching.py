"""What watching costs: ``python -m benchmarks.watching``.

A multilayer perceptron of a million parameters is trained on batches of 64 rows, watched and not,
in turn; the smallest time of a step counts, in CPU seconds, since what is above it is the
machine's. Entering and leaving the block, and reading the report, are told apart: they cost the
same however long the loop is.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_

import oracles

ROWS, WIDTH, STEPS, ROUNDS = 64, 640, 8, 5


def model() -> nn.Sequential:
    """A million parameters."""
    torch.manual_seed(0)
    inner = (nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    return nn.Sequential(nn.Linear(256, WIDTH), nn.ReLU(), *inner, nn.Linear(WIDTH, 10))


def timed(work: Callable[[], Any]) -> float:
    """The CPU seconds that it takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def loop(optimizer_of: Callable[..., Any], *, watched: bool) -> tuple[float, float, float]:
    """The smallest time of a step, and what entering and leaving, and the report, take."""
    net = model()
    optimizer = optimizer_of(net.parameters(), lr=0.01)
    x, y = torch.randn(ROWS, 256), torch.randint(0, 10, (ROWS,))
    times: list[float] = []

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    def whole() -> Any:
        block = oracles.watch(optimizer, model=net, loss="mean") if watched else nullcontext()
        with block as report:
            times.extend(timed(step) for _ in range(STEPS))
        return report

    reports: list[Any] = []
    around = timed(lambda: reports.append(whole())) - sum(times)
    reading = timed(lambda: watched and reports[0].findings)
    return min(times), around, reading


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    print(f"{sum(p.numel() for p in model().parameters()):,} parameters, {ROWS} rows, 1 thread")
    for optimizer in (torch.optim.SGD, torch.optim.AdamW):
        pairs = [
            (loop(optimizer, watched=False), loop(optimizer, watched=True)) for _ in range(ROUNDS)
        ]
        bare, seen = (min(pair[n][0] for pair in pairs) for n in (0, 1))
        around, reading = (min(pair[1][n] for pair in pairs) for n in (1, 2))
        print(
            f"{optimizer.__name__}: a step takes {1e3 * bare:.1f} ms, watched {1e3 * seen:.1f} ms, "
            f"{seen / bare:.2f} times as long; entering and leaving {1e3 * around:.0f} ms, the "
            f"report {1e3 * reading:.0f} ms"
        )


if __name__ == "__main__":
    main()
