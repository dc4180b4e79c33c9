"""The command ``oracles``: check the installed torch, soak it, or list the known conventions."""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from oracles.harness.deviations.ledger import Deviation
from oracles.harness.runs import profiles
from oracles.harness.runs.runner import Refuted, vacuities
from oracles.harness.runs.tally import Tally
from oracles.harness.runs.walk import walk
from oracles.harness.subjects.paths import CHOICES
from oracles.harness.verdict import Vacuous
from oracles.optimizers.registry import REPLAYED, RULES
from oracles.reports.terminal import render
from oracles.rule import Rule

STATUSES = "exit status: 0 if all is as expected, 1 if something failed, 2 if the call is off"

ALL = RULES | REPLAYED
"""Rules whose conventions can be listed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns 0 if all is well, 1 if a subject failed, 2 if the call is off."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except Usage as error:
        print(f"oracles: {error}", file=sys.stderr)
        return 2
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


def _subjects(options: argparse.Namespace, tally: Tally) -> Iterator[tuple[Rule, list[Any]]]:
    """The chosen rules with the chosen subjects; what is lacking goes into the tally.

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
    optimizer = _imported(options.optimizer) if options.optimizer else None
    found = False
    for name in options.rule or _rules(optimizer):
        rule = RULES[name]
        try:
            subjects, missing = select(
                rule, options.path, options.dtype, options.device, optimizer=optimizer
            )
        except ValueError as error:
            raise Usage(str(error)) from error
        tally.absent |= missing
        found = found or bool(subjects)
        if subjects:
            yield rule, subjects
    if not found:
        reasons = "; ".join(f"{place}: {why}" for place, why in tally.absent.items())
        raise Usage(f"nothing that was chosen is there: {reasons}")


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
    profiles.load(options.profile)
    tally = Tally()
    failed = False
    for rule, subjects in _subjects(options, tally):
        answers = Counter[str]()
        for task in walk(rule):
            if options.optimizer and isinstance(task.what, Deviation):
                continue  # what torch gets wrong is not asked of others
            # Who left the rule is not told again for each convention that it is no proof against.
            told = bool(answers["FAILED"]) and getattr(task.what, "rejects", None) is not None
            todo = partial(task.run, subjects, tally)
            answers[_say(task.name, todo, options.verbose, told=told)] += 1
        counts = ", ".join(f"{n} {answer}" for answer, n in answers.items())
        whole = "FAILED" if answers["FAILED"] else "ok" if answers["ok"] else "VACUOUS"
        print(f"{whole:9} {rule.name}: {counts}", flush=True)
        failed = failed or whole != "ok"
    print(render(tally, full=options.verbose))
    return int(failed or bool(vacuities(tally)))


def _say(name: str, todo: Callable[[], int], verbose: bool, *, told: bool = False) -> str:
    """Do it and say how it went, if it failed and the reason has not been ``told``."""
    try:
        answer, text = "ok" if todo() else "not asked", ""
    except (Refuted, Vacuous) as failure:
        answer, text = "FAILED", f"\n{failure}"
        if verbose:  # Hypothesis says there how to see it again
            text = "\n".join([text, *getattr(failure, "__notes__", [])])
    if verbose or (answer == "FAILED" and not told):
        print(f"{answer:9} {name}{text}", flush=True)
    return answer


def _soak(options: argparse.Namespace) -> int:
    from oracles.harness.runs.soak import soak

    tally = Tally()
    chosen = [*_subjects(options, tally)]
    answers = []
    for rule, subjects in chosen:
        seconds = options.seconds / len(chosen)
        todo = partial(soak, rule, subjects, tally, seconds=seconds, seed=options.seed)
        answers.append(_say(f"{rule.name}: soak", todo, verbose=True))
    print(render(tally, full=options.verbose))
    return int("FAILED" in answers)


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
