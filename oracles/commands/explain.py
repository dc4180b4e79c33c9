"""``oracles explain``: what an optimizer computes, and what else may be taken for it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from oracles.commands.command import Usage
from oracles.explanation import ALL, explain


def add(commands: Any) -> None:
    """Its arguments."""
    parser = commands.add_parser(
        "explain", help="what an optimizer computes, and what else may be taken for it"
    )
    parser.add_argument("rule", choices=ALL, metavar="RULE", help=f"of {', '.join(ALL)}")
    parser.add_argument(
        "--convention", metavar="NAME", help="set only this one beside torch's (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        explanation = explain(options.rule, options.convention)
    except ValueError as error:
        raise Usage(f"--convention: {error}") from error
    if options.json:
        print(json.dumps(explanation.to_json(), ensure_ascii=False, indent=2))
    else:
        print(explanation)
    return 0
