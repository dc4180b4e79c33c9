"""``oracles check``: hold the installed torch, or code of one's own, against the oracles."""

from __future__ import annotations

import argparse
import io
import os
from contextlib import closing, redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import Any

from oracles.commands import asked, scheduled
from oracles.commands.chosen import Choice, add_choices, nobody, reported, subjects
from oracles.commands.command import (
    SEVERAL,
    STATUSES,
    Usage,
    add_profile,
    add_seed,
    count,
    writable,
)
from oracles.everybody import EVERYBODY, tasks_of
from oracles.harness.cases.case import plain
from oracles.harness.loop.catalogue import PARTS, on_ranks
from oracles.harness.runs import profiles
from oracles.harness.runs.outcome import ABSENT, FAILED, OK, Outcome, outcome
from oracles.harness.runs.tally import Tally, vacuities
from oracles.harness.runs.walk import Task
from oracles.harness.runs.workers import Died, begun, cores, in_order
from oracles.optimizers.registry import REPLAYED, RULES, unknown_rule
from oracles.reports.progress import Running
from oracles.reports.run_report import Chosen, report, write

AHEAD = (
    "oracles.harness.runs.walk",
    "oracles.harness.subjects.ahead",
    "oracles.optimizers.registry",
    "oracles.reports.progress",
)
"""What workers find imported."""


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "check",
        help="hold the installed torch, or code of your own, against the oracles",
        epilog=STATUSES,
    )
    parser.add_argument(
        "subject",
        nargs="?",
        metavar="MODULE:NAME",
        help="a class of optimizers, a function that makes one, or a functional step: which rule "
        "does it follow, how accurately, and which promises of a step does it keep? (default: "
        "torch's classes, asked all that there is); or, with --rule and the name of a schedule, a "
        "class of schedulers",
    )
    parser.add_argument(
        "--as-torch",
        action="store_true",
        help="ask the class all that torch's are asked: states, names, paths, edges, roundings",
    )
    parser.add_argument("--no-color", action="store_true", help="as the variable NO_COLOR does")
    add_profile(parser)
    add_seed(parser, "; of torch's classes and with --as-torch 0 leaves it to the profile")
    strict = parser.add_argument_group("of torch's classes, and with --as-torch")
    add_choices(
        parser,
        EVERYBODY,
        'code of your own to a convention, too, as reports name it ("Adam\'s eps_hat"); '
        f"of torch's classes {SEVERAL} (default: all; with --as-torch the one whose name the class "
        "or a base of it bears)",
        strict,
    )
    strict.add_argument(
        "-j",
        "--jobs",
        type=count,
        default=cores(),
        metavar="N",
        help="processes that share the work; the report is the same (default: %(default)s, the "
        "cores there are)",
    )
    strict.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="keep what was seen there, for `oracles compare`; compressed if it ends in .xz; its "
        "folder is made",
    )
    asked.add(parser.add_argument_group("of code of your own"))
    parser.set_defaults(run=_run)


def answered(choice: Choice, profile: str, seed: int, errand: tuple[str, str]) -> Outcome:
    """Do one task, which is given by the names of its rule or part and its own.

    Raises:
        Usage: nobody can be asked because the call is off.
    """
    whose, name = errand
    profiles.load(profile, seed)
    with redirect_stdout(io.StringIO()):  # code of one's own may print at each step
        there, missing = subjects(choice, whose)
        tally = Tally(absent=dict(missing))
        if not there:
            return Outcome(ABSENT, tally=tally)
        if choice.optimizer and (fault := _unbuilt(choice, whose)):
            return Outcome(FAILED, fault, tally=tally)
        task = next(task for task in tasks_of(whose) if task.name == name)
        return outcome(partial(task.run, there), tally)


@cache
def _unbuilt(choice: Choice, name: str) -> str:
    """Why a class of one's own cannot be built anywhere, which each question would be told."""
    from oracles.harness.subjects.subject import SubjectError, first_taken

    there, _ = subjects(choice, name)
    try:
        first_taken(there, lambda subject: subject.start(plain(RULES[name])))
    except SubjectError as error:
        return f"{choice.optimizer} cannot be built: {error.sentence}"
    return ""


def _run(options: argparse.Namespace) -> int:
    if options.no_color:
        os.environ["NO_COLOR"] = "1"
    if scheduled.is_one(options):
        return scheduled.run(options)
    if options.subject in REPLAYED:
        raise Usage(unknown_rule(options.subject))
    if options.subject in EVERYBODY:
        raise Usage(f"{options.subject} is torch's: ask it by --rule {options.subject}")
    if options.subject is not None and not options.as_torch:
        return asked.run(options)
    if options.as_torch and options.subject is None:
        raise Usage("--as-torch asks a class of your own: name one, as MODULE:CLASS")
    asked.refuse(options)
    return _strict(options)


def _strict(options: argparse.Namespace) -> int:
    choice = Choice.of(options)
    if options.report:
        writable(options.report)
    if options.jobs > 1:
        begun(AHEAD)
    todo = choice.tasks(options.rule)
    errands = [(name, task.name) for name, tasks in todo.items() for task in tasks]
    work = partial(answered, choice, options.profile, options.seed)
    running = Running(len(errands), Tally(), verbose=options.verbose)
    everybody = f"{len(RULES)} optimizers and {len(PARTS)} parts of the loop"
    about = everybody if [*todo] == [*EVERYBODY] else ", ".join(todo)
    running.say(f"{len(errands)} questions about {about}")
    seen: list[tuple[Task, Outcome]] = []
    answers = in_order(work, errands, options.jobs, ahead=AHEAD, of_one=_on_ranks)
    with running, closing(answers) as results:
        for name, tasks in todo.items():
            tell = partial(_told, seen)
            running.optimizer(name, map(tell, tasks, results))  # in step: no result too many
    if {*running.wholes} == {ABSENT} and not running.interrupted:
        raise nobody(running.tally)
    good = {*running.wholes} <= {OK, ABSENT} and not vacuities(running.tally)
    if options.report and not running.interrupted:
        places, seed = (choice.paths, choice.dtypes, choice.devices), options.seed or None
        chosen = Chosen(*places, choice.optimizer, options.profile, seed)
        write(options.report, report(chosen, seen, partial(subjects, choice)))
    return reported(running, good=good)


def _on_ranks(errand: tuple[str, str]) -> bool:
    """Whether a task is asked on processes that whoever does it starts."""
    return on_ranks(errand[0])


def _told(
    seen: list[tuple[Task, Outcome]], task: Task, result: Outcome | Died
) -> tuple[str, Outcome]:
    """What has come of a task, by what it asks."""
    outcome = Outcome(FAILED, str(result)) if isinstance(result, Died) else result
    seen.append((task, outcome))
    return task.asks, outcome
