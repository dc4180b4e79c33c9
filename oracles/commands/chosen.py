"""Who is asked, as the command line says it, and how a run over them ends."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from oracles.commands.command import INTERRUPTED, SEVERAL, Usage, optimizer, several
from oracles.everybody import EVERYBODY, present, refuse_unknown, tasks_of
from oracles.harness.runs.tally import Tally
from oracles.harness.runs.walk import Task, walk_checks
from oracles.harness.subjects.paths import CHOICES
from oracles.harness.subjects.subject import Place
from oracles.optimizers.registry import REPLAYED, RULES, unknown_rule
from oracles.reports.progress import Running
from oracles.reports.terminal import render


def add_choices(
    parser: argparse.ArgumentParser, names: Iterable[str], rules: str, strict: Any = None
) -> None:
    """Arguments that say who is asked.

    Args:
        parser: of the command.
        names: of rules.
        rules: what else is to be said of them.
        strict: the group of what only torch's classes and their clones are told.
    """
    parser.add_argument(
        "--rule",
        action="extend",
        type=several,
        metavar="RULE",
        help=f"hold it to this one of {', '.join(names)}; {rules}",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="each check and each path")
    for option, example in CHOICES.items():
        (parser if option == "dtype" else strict or parser).add_argument(
            f"--{option}",
            action="extend",
            type=several,
            default=[],
            help=f"ask only this one, e.g. {example}; {SEVERAL} (default: all)",
        )


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
        return cls(options.subject, *(tuple(getattr(options, option)) for option in CHOICES))

    def tasks(self, chosen: Iterable[str] | None) -> dict[str, list[Task]]:
        """What is to be done, by rule: the chosen ones, or that of the class's name, or all.

        Raises:
            Usage: the class, a rule, or a path, dtype or device of them is not there, or no rule
                has the name of the class.
        """
        names = self._names(chosen)
        if self.paths or self.dtypes or self.devices:
            _quiet()
            try:
                refuse_unknown(names, self.paths, self.dtypes, self.devices)
            except ValueError as error:
                raise Usage(str(error)) from error
        if self.optimizer is not None:
            return {name: list(walk_checks(RULES[name])) for name in names}
        return {name: list(tasks_of(name)) for name in names}

    def _names(self, chosen: Iterable[str] | None) -> list[str]:
        allowed = EVERYBODY if self.optimizer is None else RULES
        for name in chosen or ():
            if name not in allowed:
                raise Usage(unknown_rule(name, allowed))
        if self.optimizer is not None:
            return [*(chosen or rules_of(optimizer(self.optimizer)))]
        return [*(chosen or EVERYBODY)]


@cache
def subjects(choice: Choice, name: str) -> tuple[list[Any], dict[Place, str]]:
    """The chosen subjects of a rule, or sites of a part; and, by place, why others are absent.

    They are looked for once in each process.

    Raises:
        Usage: the class is not there.
        ModuleNotFoundError: torch is not.
    """
    _quiet()
    cls = None if choice.optimizer is None else optimizer(choice.optimizer)
    return present(name, choice.paths, choice.dtypes, choice.devices, optimizer=cls)


def _quiet() -> None:
    """Import torch, which is to say nothing.

    Raises:
        ModuleNotFoundError: it is not there.
    """
    from oracles.harness.subjects.torch_optim import quiet

    quiet()


def rules_of(cls: Any) -> Iterable[str]:
    """The rule whose name a class of one's own, or a base of it, bears.

    Raises:
        Usage: there is no such name.
    """
    for base in cls.__mro__:
        if base.__name__ in RULES:
            return (base.__name__,)
        if base.__name__ in REPLAYED:
            raise Usage(unknown_rule(base.__name__))
    raise Usage(f"say with --rule which rule {cls.__name__} is to follow")


def nobody(tally: Tally) -> Usage:
    """None of the chosen is there, and why."""
    reasons = "; ".join(f"{place}: {why}" for place, why in tally.absent.items())
    return Usage(f"nothing that was chosen is there: {reasons or 'no such place is asked'}")


def reported(running: Running, *, good: bool) -> int:
    """Print what is known; returns the exit status."""
    print(render(running.tally, full=running.verbose))
    if running.interrupted:
        print(f"INCOMPLETE: Ctrl-C after {running.done} of {running.total}")
        return INTERRUPTED
    return int(not good)
