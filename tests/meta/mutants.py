"""Mutation testing of torch's own optimizers: which one-place changes pass this suite?

    python -m tests.meta.mutants [--report MUTATION.md] [--jobs N]
    python -m tests.meta.mutants [--optimizer adam ...] [--sample N] [--only REGEX]

It needs what the suite needs: ``pip install '.[test]'``.

First the unchanged file answers the questions of ``questions.py``, and which lines of it each
answer runs is noted. Then one place of the file is changed at a time, in memory and in a process of
its own (no file of the installation is touched), and the answers that run that place are asked for
again. A mutant is *caught* if one of them fails, if it cannot be imported, crashes or never ends.

Survivors are printed with the reason why they are no hole, from ``harmless.py``. The exit status is
1 if one has no reason. ``--report`` writes what survives of every mutant of every file; of those of
one chapter alone, that chapter.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from oracles.files import write

try:
    from oracles.harness.subjects.torch_optim import quiet
    from tests.meta import kept, published
    from tests.meta.hunt import Effort, Hunt, Outcome, load_profile
    from tests.meta.mutation import Mutant, mutants
    from tests.meta.questions import Target, targets
except ModuleNotFoundError as error:  # the suite asks the questions
    told = f"this needs what the suite needs (pip install '.[test]'): {error}"
    raise ModuleNotFoundError(told) from error

OF_A_TEST = 16
"""Examples of the suite's own tests that draw some, where they are questions."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    there = targets()
    parser = _parser(there)
    options = parser.parse_args(arguments)
    if options.report and (options.sample or options.only or not _whole(options.optimizer, there)):
        parser.error("a report is of every mutant of every file, or of those of a chapter")
    quiet()
    load_profile(OF_A_TEST)
    chosen = {name: _chosen(there[name], options) for name in options.optimizer or there}
    if options.list:
        print(*(f"{name}/{m}" for name, own in chosen.items() for m in own), sep="\n")
        return 0
    found = {name: _hunted(there[name], own, options) for name, own in chosen.items() if own}
    return concluded(found, options.report)


def _whole(names: Sequence[str] | None, there: Mapping[str, Target]) -> bool:
    """Whether these are all files, or all of a chapter."""
    chapters = published.chaptered(dict.fromkeys(there, ()))
    return not names or any({*names} == {*own} for own in chapters.values())


def concluded(found: published.Found, report: Path | None) -> int:
    """Write the report, if there is to be one, and say what is unexplained: the exit status."""
    if report:
        page = report.read_text(encoding="utf-8") if report.exists() else ""
        write(report, published.text(found, page).encode())
    open_ = [f"{name}/{o.mutant}" for name, own in found.items() for o in own if o.unexplained]
    print(*(f"survives without a reason: {mutant}" for mutant in open_), sep="\n")
    return int(bool(open_))


def _chosen(target: Target, options: argparse.Namespace) -> list[Mutant]:
    found = [m for m in mutants(target.source()) if re.search(options.only, str(m))]
    if options.sample:  # a larger one holds a smaller one
        found = random.Random(options.seed).sample(found, len(found))[: options.sample]
    return found


def _hunted(target: Target, chosen: Sequence[Mutant], options: argparse.Namespace) -> list[Outcome]:
    began = time.monotonic()
    effort = Effort(**{name: getattr(options, name) for name in Effort.__dataclass_fields__})
    outcomes = kept.settled(options.resume, target, chosen, effort) if options.resume else []
    known = {outcome.mutant for outcome in outcomes}
    if rest := [mutant for mutant in chosen if mutant not in known]:
        outcomes += Hunt(target, effort).examine(rest)
    outcomes.sort(key=lambda o: (o.mutant.start, o.mutant.after))
    if options.resume:
        kept.keep(options.resume, target, outcomes, effort)
    show(target, outcomes)
    print(f"{target}: {time.monotonic() - began:.0f} s", flush=True)
    return outcomes


def show(target: Target, outcomes: Sequence[Outcome]) -> None:
    """Print the score by function, what catches, and the survivors."""
    print(f"\n{target}: caught / without those that have a reason / all")
    for name in dict.fromkeys(o.mutant.function for o in outcomes):
        own = [o for o in outcomes if o.mutant.function == name]
        print(f"  {name}: {_caught(own)} / {sum(o.row is None for o in own)} / {len(own)}")
    counts = Counter(o.caught for o in outcomes if o.caught)
    print("caught by", ", ".join(f"{what} ({n})" for what, n in counts.most_common()))
    for text in dict.fromkeys(o.row.why for o in outcomes if o.row):
        print(f"survive: {text}")
        print(*(f"    {o.mutant}" for o in outcomes if o.row and o.row.why == text), sep="\n")
    holes = [o for o in outcomes if o.unexplained]
    print("survive without a reason")
    print(*(f"    {o.mutant}{'' if o.reached else '  (not reached)'}" for o in holes), sep="\n")
    all_ = f"{_caught(outcomes)} of {len(outcomes)} caught"
    print(f"{target}: {all_}, {len(holes)} survive without a reason")


def _caught(outcomes: Sequence[Outcome]) -> int:
    return sum(bool(outcome.caught) for outcome in outcomes)


def _parser(there: dict[str, Target]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.meta.mutants", description=__doc__)
    add, effort = parser.add_argument, Effort()
    add("--optimizer", nargs="+", choices=there, metavar="FILE", help="files (default: all)")
    add("--sample", type=int, default=0, metavar="N", help="as many mutants of a file (0: all)")
    add("--only", default="", metavar="REGEX", help="only mutants whose description it finds")
    add("--examples", type=int, default=effort.examples, help="cases of a check of weight 1")
    add("--questions", type=int, default=effort.questions, help="the most for an excused mutant")
    add("--seed", type=int, default=effort.seed, help="of the sample and the order of questions")
    add("--jobs", type=int, default=effort.jobs, help="mutants at a time")
    add("--report", type=Path, metavar="FILE", help="ask all of a chapter, and write it")
    add("--resume", type=Path, metavar="FOLDER", help="keep what is found there, and go on from it")
    add("--verbose", action="store_true", help="print every mutant, not only those that survive")
    add("--list", action="store_true", help="list the mutants and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
