"""``oracles soak``: large random batches, for as long, and on as many processes, as you like."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from oracles.commands.chosen import Choice, add_choices, nobody, reported, subjects
from oracles.commands.command import SEVERAL, STATUSES, Usage, add_seed, count, positive
from oracles.harness.runs import fleet
from oracles.harness.runs.fleet import Done
from oracles.harness.runs.outcome import OK, outcome
from oracles.harness.runs.runner import Refuted
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
        help="a class of your own that is to be a clone of torch's, in arguments, states and "
        "roundings; no other passes (default: torch's classes)",
    )
    add_choices(
        parser,
        RULES,
        f"{SEVERAL} (default: all; of a class of your own the one whose name it or a base of it "
        "bears)",
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        default=60.0,
        help="for how long, shared by the rules (default: %(default)g)",
    )
    add_seed(parser)
    parser.add_argument(
        "--database",
        type=Path,
        metavar="FOLDER",
        help="Hypothesis's example database: what fails is kept there, shrunk, and what is there "
        "is asked first (default: none)",
    )
    many = parser.add_mutually_exclusive_group()
    many.add_argument(
        "--workers", type=count, metavar="N", help="on so many processes of this host, by Dask"
    )
    many.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="on the workers of a Dask scheduler, each of which asks the devices it has",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.workers is not None or options.scheduler is not None:
        return _fleet(options)
    from oracles.harness.runs.soak import soak

    choice, tally = Choice.of(options), Tally()
    chosen = {}
    for name in _rules(choice, options.rule):
        there, missing = subjects(choice, name)
        tally.absent |= missing
        if there:
            chosen[name] = there
    if not chosen:
        raise nobody(tally)
    seconds = options.seconds / len(chosen)
    kept = {"seed": options.seed, "database": _database(options.database)}
    with Running(len(chosen), tally, verbose=options.verbose) as running:
        running.say(f"{seconds:g} seconds of questions about each of {', '.join(chosen)}")
        for name, there in chosen.items():
            running.ask(name)
            todo = partial(soak, RULES[name], there, seconds=seconds, **kept)
            told = outcome(todo, tally)
            running.wholes[told.word] += 1
            running.tell(f"{name}: soak", told)
    return reported(running, good={*running.wholes} == {OK})


def _rules(choice: Choice, chosen: Sequence[str] | None) -> list[str]:
    """The rules of those that were chosen, which have cases as long as one likes.

    Raises:
        Usage: something else was chosen.
    """
    names = [*choice.tasks(chosen)]
    for name in chosen or ():
        if name not in RULES:
            raise Usage(f"rule={name!r} is no optimizer's, and has no long cases; ask `check`")
    return [name for name in names if name in RULES]


def _database(folder: Path | None) -> Any:
    from hypothesis.database import DirectoryBasedExampleDatabase

    return DirectoryBasedExampleDatabase(folder) if folder else None


# --- on a fleet ---


def work(choice: Choice, stint: Any) -> Done:
    """Do a stint, in a worker: ask the devices that are there, and name them with their kind."""
    from hypothesis.database import InMemoryExampleDatabase

    from oracles.harness.runs import soak
    from oracles.harness.subjects.description import machine

    kinds: Mapping[str, str] = machine()["devices"]
    database, failure = InMemoryExampleDatabase(), ""
    with fleet.ALONE:
        there, missing = subjects(choice, stint.rule)
        tally = Tally(absent=dict(missing))
        try:
            soak.work(RULES[stint.rule], there, stint, tally, database=database)
        except Refuted as error:
            failure = f"{error}\non {', '.join(f'{d} {kind}' for d, kind in kinds.items())}"
    examples = tuple((key, value) for key, values in database.data.items() for value in values)
    return Done(tally.on(kinds).to_json(), failure, examples)


def devices() -> str:
    """What a worker has."""
    from oracles.harness.subjects.description import machine

    told = machine()
    kinds = ", ".join(f"{device} {kind}" for device, kind in told["devices"].items())
    return f"{kinds}, torch {told['torch']}"


def _fleet(options: argparse.Namespace) -> int:
    choice = Choice.of(options)
    elsewhere = options.scheduler is not None  # where there may be other devices
    given = f"scheduler={options.scheduler!r}" if elsewhere else f"workers={options.workers}"
    names = _rules(replace(choice, devices=()) if elsewhere else choice, options.rule)
    running = Running(len(names), Tally(), verbose=options.verbose)
    with running, ExitStack() as stack:
        try:
            client = stack.enter_context(_client(options))
        except (OSError, ValueError) as error:  # nobody is there, or it is no address
            raise Usage(f"{given} cannot be reached: {error}") from error
        who = Counter(client.run(devices).values())
        if not who:
            raise Usage(f"{given} has no workers; `dask worker ADDRESS` adds some")
        told = "; ".join(f"{number} with {kinds}" for kinds, number in who.items())
        running.say(f"{options.seconds:g} seconds of questions, by workers: {told}")
        _gather(client, choice, names, options, running)
    if not running.tally.lines and not running.interrupted:
        raise nobody(running.tally)
    return reported(running, good={*running.wholes} == {OK})


def _gather(
    client: Any, choice: Choice, names: Sequence[str], options: argparse.Namespace, running: Running
) -> None:
    """Add up what workers have seen, keep what failed, and say how each rule's subjects did."""
    database = _database(options.database)
    seen = {name: Tally() for name in names}
    failures: dict[str, str] = {}
    stints = _stints(names, options, database, failures)
    for stint, done in fleet.results(client, partial(work, choice), stints):
        running.ask(stint.rule)
        for tally in (seen[stint.rule], running.tally):
            tally.merge(Tally.from_json(done.tally))
        for key, value in done.examples if database else ():
            database.save(key, value)
        if done.failure:
            failures.setdefault(stint.rule, done.failure)
    for name in names:
        result = outcome(partial(_judged, seen[name], failures.get(name)), Tally())
        running.wholes[result.word] += 1
        running.tell(f"{name}: soak", result)


def _client(options: argparse.Namespace) -> AbstractContextManager[Any]:
    if options.scheduler is not None:
        return fleet.remote(options.scheduler)
    return fleet.local(options.workers)


def _stints(
    names: Sequence[str], options: argparse.Namespace, database: Any, failed: Mapping[str, str]
) -> Iterator[Any]:
    """What has failed before, and then rule by rule until time is up; who failed is let alone."""
    from oracles.harness.runs.soak import Stint, kept

    for name in names if database else ():
        yield from kept(name, database)
    end = time.monotonic() + options.seconds
    for seed in fleet.seeds(options.seed):
        for name in names:
            if time.monotonic() >= end or len(failed) == len(names):
                return
            if name not in failed:
                yield Stint(name, seed, cases=fleet.STINT)


def _judged(seen: Tally, failure: str | None, _: Tally) -> int:
    from oracles.harness.runs.soak import judged

    if failure:
        raise Refuted(failure)
    return judged(seen)
