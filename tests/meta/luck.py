"""Which faults are caught by luck: ``python -m tests.meta.luck --seeds 20``.

The tests of the zoos draw one fixed set of cases. This plants every faulty part of the loop, or
every wrong optimizer on each of its paths, under as many other seeds, and prints whoever is missed
under some of them. A fault that the drawn cases hit by chance only is a reason to widen what is
drawn, not to draw more of it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from oracles.harness.loop.catalogue import PARTS
from oracles.harness.runs.profiles import EXAMPLES, lasting
from oracles.harness.subjects.torch_optim import quiet
from oracles.optimizers.registry import RULES
from tests.meta import loop_faults, wrong_optimizers

Hunted = tuple[int, str, bool]
"""A seed, who is planted under it, and whether that escapes."""


def of_loop(seeds: range, names: Sequence[str], profile: str) -> Iterator[Hunted]:
    """Faulty parts of the loop, each asked its question."""
    for specimen in loop_faults.ZOO:
        if names and specimen.part not in names:
            continue
        for seed in seeds:
            with lasting(profile, seed):
                told = loop_faults.caught(specimen)
            if told is not None:  # somebody is asked
                yield seed, str(specimen), not told


def of_optimizers(seeds: range, names: Sequence[str], profile: str) -> Iterator[Hunted]:
    """Wrong optimizers on each of their paths, asked by each check that claims them."""
    for rule, check in wrong_optimizers.PAIRS:
        if names and rule.name not in names:
            continue
        for seed in seeds:
            wrong = list(wrong_optimizers.planted(rule, check, everywhere=True))
            escaped = wrong_optimizers.survivors(rule, check, wrong, seed, profile)
            for who in sorted({wrong_optimizers.named(each) for each in wrong} | escaped):
                yield seed, f"{rule.name}: {check.name}: {who}", who in escaped


Zoo = Callable[[range, Sequence[str], str], Iterator[Hunted]]

ZOOS: dict[str, tuple[Zoo, str]] = {
    "loop": (of_loop, "default"),
    "optimizers": (of_optimizers, "thorough"),
}
"""Each with the profile that its test draws by."""


def main() -> None:
    """Hunt under many seeds, and count who escapes."""
    parser = argparse.ArgumentParser(prog="python -m tests.meta.luck", description=__doc__)
    parser.add_argument("--zoo", choices=ZOOS, default="loop")
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--profile", choices=EXAMPLES, help="how long to hunt")
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts or rules; all by default")
    options = parser.parse_args()
    if unknown := set(options.names) - {*PARTS, *RULES}:
        parser.error(f"no such part or rule: {', '.join(sorted(unknown))}")
    quiet()
    zoo, profile = ZOOS[options.zoo]
    seeds = range(options.first, options.first + options.seeds)
    hunts, missed = Counter[str](), Counter[str]()
    for seed, who, escapes in zoo(seeds, options.names, options.profile or profile):
        hunts[who] += 1
        if escapes:
            missed[who] += 1
            print(f"seed {seed} misses {who}", flush=True)
    print(
        f"{missed.total()} of {hunts.total()} hunts miss whom they are after; of {len(hunts)} who "
        f"are planted, {len(missed)} escape under some of {options.seeds} seeds"
    )
    for who, times in missed.most_common():
        print(f"{times:3} {who}")


if __name__ == "__main__":
    main()
