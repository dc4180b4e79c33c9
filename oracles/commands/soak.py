"""``oracles soak``: large random batches, for as long as you like."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from oracles.commands.chosen import Choice, add_choices, nobody, reported, subjects
from oracles.commands.command import STATUSES, add_seed, positive
from oracles.harness.runs.outcome import OK, outcome
from oracles.harness.runs.tally import Tally
from oracles.optimizers.registry import RULES
from oracles.reports.progress import Running


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "soak", help="large random batches, for as long as you like", epilog=STATUSES
    )
    parser.add_argument(
        "subject",
        nargs="?",
        metavar="MODULE:CLASS",
        help="a class of your own, with the arguments of torch's (default: torch's classes)",
    )
    add_choices(
        parser,
        "may be given several times (default: all; of a class of your own the one whose name it or "
        "a base of it bears)",
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        default=60.0,
        help="for how long, shared by the rules (default: %(default)g)",
    )
    add_seed(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from oracles.harness.runs.soak import soak

    choice, tally = Choice.of(options), Tally()
    chosen = {}
    for name in choice.tasks(options.rule):
        there, missing = subjects(choice, name)
        tally.absent |= missing
        if there:
            chosen[name] = there
    if not chosen:
        raise nobody(tally)
    seconds = options.seconds / len(chosen)
    with Running(len(chosen), tally, verbose=options.verbose) as running:
        running.say(f"{seconds:g} seconds of questions about each of {', '.join(chosen)}")
        for name, there in chosen.items():
            running.ask(name)
            todo = partial(soak, RULES[name], there, seconds=seconds, seed=options.seed)
            told = outcome(todo, tally)
            running.wholes[told.word] += 1
            running.tell(f"{name}: soak", told)
    return reported(running, good={*running.wholes} == {OK})
