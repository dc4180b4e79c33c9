"""What an example costs, layer by layer, and how much of it is torch: ``python -m benchmarks``.

Two workloads are drawn once, general cases by Hypothesis and long cases by the soak's generator,
and each layer walks all of one. A layer is timed item by item (case or run) in CPU seconds, several
times over, and the smallest time of each item counts: what is above it is the machine's.

A *run* is one case on one path and dtype. ``× torch`` is the layer's time over that of the torch
layer: the same optimizers built, given the same gradients and stepped, with nobody looking.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from hypothesis import given, settings
from rich.console import Console
from rich.table import Table

from oracles.files import write
from oracles.harness.cases import strategies
from oracles.harness.cases.case import Case
from oracles.harness.checks.catalogue import checks
from oracles.harness.checks.check import Check
from oracles.harness.oracle import Oracle
from oracles.harness.runs import profiles
from oracles.harness.runs.asking import examine
from oracles.harness.runs.soak import CHECK, endless
from oracles.harness.runs.tally import Tally
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.torch_optim import TorchSubject, quiet
from oracles.harness.verdict import INSIDE, Verdict, judge
from oracles.optimizers.sgd import RULE

T = TypeVar("T")

Layers = dict[str, "Layer"]


@dataclass(frozen=True)
class Layer:
    """What one layer took for a workload, in CPU seconds."""

    seconds: float
    slowest: float
    cases: int
    runs: int
    elements: int


@dataclass
class Workload:
    """Cases, and the runs that the agreement check makes of them."""

    check: Check
    cases: list[Case]
    subjects: Sequence[TorchSubject]
    asked: list[tuple[TorchSubject, Oracle]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        """Walk it once: warms torch up, lists what is asked, and counts elements."""
        noted = replace(self.check, ask=self._note)
        for case in self.cases:
            examine(noted, self.subjects, Oracle(RULE, case), Tally())
            examine(self.check, self.subjects, Oracle(RULE, case), self.tally)

    def _note(self, subject: Any, oracle: Oracle) -> Verdict:
        self.asked.append((subject, oracle))
        return Verdict(INSIDE)

    def layer(self, times: Sequence[float]) -> Layer:
        slowest = max(times)
        return Layer(
            math.fsum(times), slowest, len(self.cases), len(self.asked), self.tally.whole().elements
        )


def timed(items: Iterable[T], work: Callable[[T], Any]) -> list[float]:
    """CPU seconds of ``work`` on each item."""
    times = []
    for item in items:
        start = time.process_time()
        work(item)
        times.append(time.process_time() - start)
    return times


def step(asked: tuple[TorchSubject, Oracle]) -> None:
    """One run without reading anything."""
    subject, oracle = asked
    run = subject.start(oracle.case)
    for t in range(oracle.case.steps):
        run.load(t)
        run.step()


def drawn(count: int) -> tuple[list[Case], list[float]]:
    """General cases as Hypothesis draws them, and the CPU seconds from each to the next."""
    cases: list[Case] = []
    ticks = [time.process_time()]

    @settings(max_examples=count, database=None, derandomize=True)
    @given(strategies.cases(RULE))
    def draw(case: Case) -> None:
        cases.append(case)
        ticks.append(time.process_time())

    draw()
    return cases, np.diff(ticks).tolist()


def soaked(count: int) -> tuple[list[Case], list[float]]:
    """Long cases as the soak draws them, and the CPU seconds from each to the next."""
    ticks = [time.process_time()]
    cases = []
    for case in itertools.islice(endless(RULE, seed=0), count):
        cases.append(case)
        ticks.append(time.process_time())
    return cases, np.diff(ticks).tolist()


def layers(draw: Callable[[int], tuple[list[Case], list[float]]], load: Workload) -> dict[str, Any]:
    """One round over the layers of a workload: item times, by layer."""
    answers = [(oracle, subject, subject.ask(oracle.case)) for subject, oracle in load.asked]
    times = {
        "draw": draw(len(load.cases))[1],
        "oracle": timed(load.cases, lambda case: Oracle(RULE, case)()),
        "torch": timed(load.asked, step),
        "ask": timed(load.asked, lambda asked: asked[0].ask(asked[1].case)),
        "judge": timed(answers, lambda answer: judge(*answer)),
        "check": timed(
            load.cases,
            lambda case: examine(load.check, load.subjects, Oracle(RULE, case), Tally()),
        ),
    }
    return times | {"example": [d + c for d, c in zip(times["draw"], times["check"], strict=True)]}


def measure(count: int, soak_count: int, rounds: int) -> Layers:
    """All layers of both workloads, each item at the smallest of its times."""
    subjects, _ = select(RULE)
    loads = {
        "general": (drawn, Workload(checks(RULE)[0], drawn(count)[0], subjects)),
        "soak": (soaked, Workload(CHECK, soaked(soak_count)[0], subjects)),
    }
    results: Layers = {}
    for name, (draw, load) in loads.items():
        walked = [layers(draw, load) for _ in range(rounds)]
        for layer in walked[0]:
            smallest = np.min([times[layer] for times in walked], axis=0)
            results[f"{name}: {layer}"] = load.layer(smallest.tolist())
    return results


def table(results: Layers, before: Layers) -> Table:
    """A line for each layer; with earlier results, how much time a run takes relative to them."""
    columns = ["cases/s", "runs/s", "elements/s", "× torch", "slowest ms"]
    shown = Table("layer", *columns, *["× before"] * bool(before), box=None, header_style="bold")
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, layer in results.items():
        bare = results[f"{name.split(':')[0]}: torch"].seconds
        cells = [f"{n / layer.seconds:,.0f}" for n in (layer.cases, layer.runs, layer.elements)]
        cells += [f"{layer.seconds / bare:.2f}", f"{1e3 * layer.slowest:.1f}"]
        if name in before:
            then = before[name]
            cells.append(f"{layer.seconds / layer.runs / (then.seconds / then.runs):.2f}")
        shown.add_row(name, *cells)
    return shown


def main() -> None:
    """Measure, print, and write or compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--cases", type=int, default=200, help="general cases (default 200)")
    parser.add_argument("--soak-cases", type=int, default=16, help="soak cases (default 16)")
    parser.add_argument("--rounds", type=int, default=3, help="times each is timed (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with such results")
    options = parser.parse_args()
    quiet()
    profiles.load()
    results = measure(options.cases, options.soak_cases, options.rounds)
    before = json.loads(options.against.read_text()) if options.against else {"layers": {}}
    console = Console(width=100)
    here = f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}"
    console.print(f"{here}; one thread, CPU time", highlight=False)
    console.print(table(results, {k: Layer(**v) for k, v in before["layers"].items()}))
    if options.json:
        plain = {name: asdict(layer) for name, layer in results.items()}
        write(options.json, (json.dumps({"here": here, "layers": plain}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
