"""The command ``oracles``: check the installed torch, soak it, or list the known conventions."""

from __future__ import annotations

import argparse
import importlib
import math
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from oracles.harness.deviations.ledger import Deviation
from oracles.harness.runs import profiles
from oracles.harness.runs.outcome import ABSENT, FAILED, OK, Outcome, outcome
from oracles.harness.runs.tally import Tally, vacuities
from oracles.harness.runs.walk import Task, walk
from oracles.harness.runs.workers import Died, cores, in_order
from oracles.harness.subjects.paths import CHOICES
from oracles.harness.subjects.subject import Place
from oracles.optimizers.registry import REPLAYED, RULES
from oracles.reports.progress import Running
from oracles.reports.terminal import render

STATUSES = (
    "exit status: 0 if all is as expected, 1 if something failed, 2 if the call is off, 130 if "
    "Ctrl-C ended it"
)

INTERRUPTED = 128 + signal.SIGINT
"""As shells report it."""

AHEAD = (
    "oracles.harness.runs.walk",
    "oracles.harness.subjects.ahead",
    "oracles.optimizers.registry",
    "oracles.reports.progress",
)
"""What workers find imported."""

ALL = RULES | REPLAYED
"""Rules whose conventions can be listed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status, as :data:`STATUSES` says."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except Usage as error:
        print(f"oracles: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before there was anything to report
        return INTERRUPTED
    return status


class Usage(ValueError):
    """The call cannot be carried out as it stands."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oracles", description=__doc__, epilog=STATUSES)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser(
        "check", help="hold the installed torch against the oracles", epilog=STATUSES
    )
    _choose_subjects(check)
    check.add_argument(
        "--profile",
        choices=profiles.EXAMPLES,
        default="default",
        help="how long to look (default: %(default)s)",
    )
    check.add_argument(
        "-j",
        "--jobs",
        type=_count,
        default=cores(),
        metavar="N",
        help="processes that share the work; the report is the same (default: %(default)s, the "
        "cores there are)",
    )
    check.set_defaults(run=_check)

    soak = commands.add_parser(
        "soak", help="large random batches, for as long as you like", epilog=STATUSES
    )
    _choose_subjects(soak)
    soak.add_argument(
        "--seconds", type=_positive, default=60.0, help="shared by the rules (default: %(default)s)"
    )
    soak.add_argument(
        "--seed", type=_natural, default=0, help="the same draws the same (default: %(default)s)"
    )
    soak.set_defaults(run=_soak)

    listing = commands.add_parser("conventions", help="the conventions an optimizer may follow")
    listing.add_argument(
        "rule", choices=ALL, nargs="?", metavar="RULE", help=f"of {', '.join(ALL)} (default: all)"
    )
    listing.set_defaults(run=_conventions)
    return parser


def _choose_subjects(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--optimizer",
        metavar="MODULE:CLASS",
        help="ask a class of your own, with the arguments of torch's (default: torch's classes)",
    )
    parser.add_argument(
        "--rule",
        choices=RULES,
        action="append",
        metavar="RULE",
        help=f"hold it to this one of {', '.join(RULES)}; may be given several times (default: "
        "all, or the one whose name the class or a base of it bears)",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="each check and each path")
    for option, example in CHOICES.items():
        parser.add_argument(
            f"--{option}",
            action="append",
            default=[],
            help=f"ask only this one, e.g. {example}; may be given several times (default: all)",
        )


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number of seconds above 0")
    return value


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


@dataclass(frozen=True)
class Choice:
    """Who is asked, as the command line says it and workers are told it."""

    optimizer: str | None
    paths: tuple[str, ...]
    dtypes: tuple[str, ...]
    devices: tuple[str, ...]

    @classmethod
    def of(cls, options: argparse.Namespace) -> Choice:
        """What was chosen."""
        return cls(options.optimizer, *(tuple(getattr(options, option)) for option in CHOICES))

    def tasks(self, chosen: Iterable[str] | None) -> dict[str, list[Task]]:
        """What is to be done, by rule: the chosen ones, or that of the class's name, or all.

        Raises:
            Usage: the class is not there, or no rule has its name.
        """
        names = chosen or _rules(_imported(self.optimizer) if self.optimizer else None)
        return {
            name: [
                task
                for task in walk(RULES[name])
                # What torch gets wrong is not asked of others.
                if not (self.optimizer and isinstance(task.what, Deviation))
            ]
            for name in names
        }


@cache
def subjects(choice: Choice, name: str) -> tuple[list[Any], dict[Place, str]]:
    """The chosen subjects of a rule and, by place, why others are absent.

    They are looked for once in each process.

    Raises:
        Usage: torch, the class or a chosen path, dtype or device is not there.
    """
    try:
        from oracles.harness.subjects.selection import select
        from oracles.harness.subjects.torch_optim import quiet
    except ModuleNotFoundError as error:
        raise Usage(
            f"this needs torch (pip install 'optimizer-oracles[torch]'): {error}"
        ) from error
    quiet()
    optimizer = _imported(choice.optimizer) if choice.optimizer else None
    chosen = choice.paths, choice.dtypes, choice.devices
    try:
        return select(RULES[name], *chosen, optimizer=optimizer)
    except ValueError as error:
        raise Usage(str(error)) from error


def answered(choice: Choice, profile: str, errand: tuple[str, str]) -> Outcome:
    """Do one task, which is given by the names of its rule and its own.

    Raises:
        Usage: nobody can be asked because the call is off.
    """
    rule, name = errand
    profiles.load(profile)
    there, missing = subjects(choice, rule)
    tally = Tally(absent=dict(missing))
    if not there:
        return Outcome(ABSENT, tally=tally)
    task = next(task for task in walk(RULES[rule]) if task.name == name)
    return outcome(partial(task.run, there), tally)


def _rules(optimizer: Any) -> Iterable[str]:
    """All rules or, for a class of one's own, the one whose name it or a base of it bears.

    Raises:
        Usage: there is no such name.
    """
    if optimizer is None:
        return RULES
    for cls in optimizer.__mro__:
        if cls.__name__ in RULES:
            return (cls.__name__,)
        if cls.__name__ in REPLAYED:
            raise Usage(f"{cls.__name__} is replayed by pytest, from its own gradients; not here")
    raise Usage(f"say with --rule which rule {optimizer.__name__} is to follow")


def _imported(name: str) -> Any:
    """The class that ``package.module:Class`` names, looked up from the current folder, too."""
    sys.path.insert(0, "")
    module, _, attribute = name.partition(":")
    try:
        if not (module and attribute):
            raise ImportError("there is no module before, or no class after, a colon")
        found = getattr(importlib.import_module(module), attribute, None)
        if found is None:
            raise ImportError(f"{module} has no {attribute}")
    except ImportError as error:
        raise Usage(f"--optimizer={name!r} is not MODULE:CLASS of a class: {error}") from error
    if not isinstance(found, type) or not hasattr(found, "step"):
        raise Usage(f"--optimizer={name!r} has no step: it is no class of optimizers")
    return found


def _check(options: argparse.Namespace) -> int:
    choice = Choice.of(options)
    todo = choice.tasks(options.rule)
    errands = [(name, task.name) for name, tasks in todo.items() for task in tasks]
    work = partial(answered, choice, options.profile)
    running = Running(len(errands), Tally(), verbose=options.verbose)
    running.say(f"{len(errands)} questions about {', '.join(todo)}")
    with running, closing(in_order(work, errands, options.jobs, ahead=AHEAD)) as results:
        for name, tasks in todo.items():
            running.optimizer(name, map(_told, tasks, results))  # in step: no result too many
    if {*running.wholes} == {ABSENT} and not running.interrupted:
        raise _nobody(running.tally)
    good = {*running.wholes} <= {OK, ABSENT} and not vacuities(running.tally)
    return _reported(running, good=good)


def _told(task: Task, result: Outcome | Died) -> tuple[str, bool, Outcome]:
    """A task's outcome with its name, and whether it says nothing new of who has failed before.

    Who has left the rule is not told again for each convention that it is no proof against.
    """
    if isinstance(result, Died):
        return task.name, False, Outcome(FAILED, str(result))
    return task.name, getattr(task.what, "rejects", None) is not None, result


def _soak(options: argparse.Namespace) -> int:
    from oracles.harness.runs.soak import soak

    choice, tally = Choice.of(options), Tally()
    chosen = {}
    for name in choice.tasks(options.rule):
        there, missing = subjects(choice, name)
        tally.absent |= missing
        if there:
            chosen[name] = there
    if not chosen:
        raise _nobody(tally)
    seconds = options.seconds / len(chosen)
    with Running(len(chosen), tally, verbose=options.verbose) as running:
        running.say(f"{seconds:g} seconds of questions about each of {', '.join(chosen)}")
        for name, there in chosen.items():
            running.ask(name)
            todo = partial(soak, RULES[name], there, seconds=seconds, seed=options.seed)
            told = outcome(todo, tally)
            running.wholes[told.word] += 1
            running.tell(f"{name}: soak", told)
    return _reported(running, good={*running.wholes} == {OK})


def _nobody(tally: Tally) -> Usage:
    reasons = "; ".join(f"{place}: {why}" for place, why in tally.absent.items())
    return Usage(f"nothing that was chosen is there: {reasons}")


def _reported(running: Running, *, good: bool) -> int:
    """Print what is known; returns the exit status."""
    print(render(running.tally, full=running.verbose))
    if running.interrupted:
        print(f"INCOMPLETE: Ctrl-C after {running.done} of {running.total}")
        return INTERRUPTED
    return int(not good)


def _conventions(options: argparse.Namespace) -> int:
    for rule in [ALL[options.rule]] if options.rule else ALL.values():
        print(f"{rule.name}: {rule.symbols}\n")
        for convention in rule.conventions:
            mark = "  (torch)" if convention is rule.torch else ""
            print(f"{convention.name}{mark}\n    {convention.equation}\n    {convention.source}")
        print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
