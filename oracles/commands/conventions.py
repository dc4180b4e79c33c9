"""``oracles conventions``: the conventions an optimizer may follow."""

from __future__ import annotations

import argparse
from typing import Any

from oracles.optimizers.registry import REPLAYED, RULES

ALL = RULES | REPLAYED
"""Rules whose conventions can be listed."""


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser("conventions", help="the conventions an optimizer may follow")
    parser.add_argument(
        "rule", choices=ALL, nargs="?", metavar="RULE", help=f"of {', '.join(ALL)} (default: all)"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    for rule in [ALL[options.rule]] if options.rule else ALL.values():
        print(f"{rule.name}: {rule.symbols}\n")
        for convention in rule.conventions:
            mark = "  (torch)" if convention is rule.torch else ""
            print(f"{convention.name}{mark}\n    {convention.equation}\n    {convention.source}")
        print()
    return 0
