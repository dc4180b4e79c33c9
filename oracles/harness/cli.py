"""The command ``oracles``: check the installed torch, soak it, or list the known conventions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from hypothesis import settings

from oracles import RULES
from oracles.harness import profiles
from oracles.harness.checks import checks
from oracles.harness.deviations import ledger
from oracles.harness.report import render
from oracles.harness.runner import Refuted, confirm, hold
from oracles.harness.tally import Tally
from oracles.harness.verdict import Vacuous
from oracles.rule import Rule


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns 0 if all is well, 1 if a subject failed, 2 if the call is off."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except ValueError as error:
        print(f"oracles: {error}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oracles", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="hold the installed torch against the oracles")
    _choose_subjects(check)
    check.add_argument(
        "--profile",
        choices=profiles.EXAMPLES,
        default="default",
        help="how long to look (default: %(default)s)",
    )
    check.set_defaults(run=_check)

    soak = commands.add_parser("soak", help="large random batches, for as long as you like")
    _choose_subjects(soak)
    soak.add_argument("--seconds", type=float, default=60.0, help="default: %(default)s")
    soak.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    soak.set_defaults(run=_soak)

    listing = commands.add_parser("conventions", help="the conventions an optimizer may follow")
    listing.add_argument("rule", choices=RULES, nargs="?", default=next(iter(RULES)))
    listing.set_defaults(run=_conventions)
    return parser


def _choose_subjects(parser: argparse.ArgumentParser) -> None:
    for option, example in (("path", "foreach"), ("dtype", "bfloat16"), ("device", "cuda")):
        parser.add_argument(
            f"--{option}",
            action="append",
            default=[],
            help=f"ask only this one, e.g. {example}; may be given several times (default: all)",
        )


def _check(options: argparse.Namespace) -> int:
    from oracles.harness.subjects.selection import select
    from oracles.harness.subjects.torch_optim import quiet

    quiet()
    profiles.register()
    settings.load_profile(options.profile)
    statuses = []
    tally = Tally()
    for rule in RULES.values():
        subjects, missing = select(rule, options.path, options.dtype, options.device)
        tally.lack(rule.name, missing)
        for check in checks(rule):
            todo = partial(hold, check, rule, subjects, tally)
            statuses.append(_say(f"{rule.name}: {check.name}", todo))
        for row in ledger():
            if row.rule == rule.name:
                todo = partial(confirm, row, rule, subjects, tally)
                statuses.append(_say(f"{rule.name}: known deviation {row.id}", todo))
    print(render(tally))
    return max(statuses)


def _say(name: str, todo: Callable[[], int]) -> int:
    """Do it and print a line about it; returns the exit status."""
    try:
        print(f"{'ok' if todo() else 'not asked':9} {name}", flush=True)
    except (Refuted, Vacuous) as failure:
        notes = getattr(failure, "__notes__", [])  # Hypothesis says there how to see it again
        print("\n".join([f"{'FAILED':9} {name}", str(failure), *notes]), flush=True)
        return 1
    return 0


def _soak(options: argparse.Namespace) -> int:
    from oracles.harness.soak import soak
    from oracles.harness.subjects.selection import select
    from oracles.harness.subjects.torch_optim import quiet

    quiet()
    tally = Tally()
    status = 0
    for rule in RULES.values():
        subjects, missing = select(rule, options.path, options.dtype, options.device)
        tally.lack(rule.name, missing)
        try:
            soak(rule, subjects, tally, seconds=options.seconds, seed=options.seed)
        except (Refuted, Vacuous) as failure:
            print(f"FAILED {rule.name}\n{failure}")
            status = 1
    print(render(tally))
    return status


def _conventions(options: argparse.Namespace) -> int:
    rule: Rule = RULES[options.rule]
    for convention in rule.conventions:
        print(f"{convention.name:20} {convention.equation}\n{'':20} {convention.source}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
