"""What commands share: exit statuses, calls that are off, and types of arguments.

It imports next to nothing: ``--help`` and Ctrl-C need not wait for that.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import math
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

from oracles.layout import shown
from oracles.naming import unknown

STATUSES = (
    "exit status: 0 if all is as expected, 1 if something failed, 2 if the call is off, 130 if "
    "Ctrl-C ended it"
)

INTERRUPTED = 128 + signal.SIGINT
"""As shells report it."""


EXTRAS = {"torch": "torch", "jinja2": "page", "distributed": "fleet", "matplotlib": "plot"}
"""Modules that not everybody has, and which extra of this package brings each."""


JSON = "--json"
"""What asks for a document that ``oracles/reports`` has a schema of, errors included."""


class Usage(ValueError):
    """The call cannot be carried out as it stands."""


def missing(error: ModuleNotFoundError) -> str:
    """Which module a call needs, and how it is installed; empty of a module that no extra brings.

    >>> missing(ModuleNotFoundError("No module named 'torch'", name="torch.optim"))
    "this needs torch (pip install 'optimizer-oracles[torch]'): No module named 'torch'"
    """
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return ""
    return f"this needs {module} (pip install 'optimizer-oracles[{EXTRAS[module]}]'): {error}"


class Parser(argparse.ArgumentParser):
    """One that says which command, choice or option was meant, as all else here does."""

    as_json = False
    """Whether that is for a program."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            told = unknown(f"{value!r} is not known", value, map(str, action.choices))
            raise argparse.ArgumentError(action, told)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but that a word is refused by the command that does not know it."""
        self.as_json = JSON in (args or ())
        known, left = super().parse_known_args(args, namespace)
        for word in left:
            name = word.partition("=")[0]
            what = "option" if word.startswith("-") else "argument"
            self.error(unknown(f"{name} is no {what} of {self.prog}", name, self._options()))
        return known, left

    def error(self, message: str) -> NoReturn:
        """Say what is off, and no more: ``--help`` says the rest."""
        refuse(message, self.prog, as_json=self.as_json)
        self.exit(2)

    def _options(self) -> Sequence[str]:
        return [name for name in self._option_string_actions if name.startswith("--")]


def refuse(message: str, who: str = "oracles", *, as_json: bool = False) -> None:
    """Say why a call is off: in lines of a terminal's width, in one line elsewhere; or as JSON."""
    if as_json:
        print(in_json({"error": message}))
        return
    lines = f"{who}: {message}".splitlines()  # of a program that has failed, several
    print("\n".join(shown(line, sys.stderr) for line in lines), file=sys.stderr)


OPTIONS = {
    "equation": "--equation",
    "names": "--name",
    "fixed": "--fixed",
    "values": "--value",
    "rule": "--rule",
    "rules": "--rule",
    "dtypes": "--dtype",
    "dtype": "--dtype",
    "path": "--path",
    "device": "--device",
    "not_promised": "--not-promised",
    "convention": "--convention",
    "timing": "--convention",
    "allow": "--allow",
    "releases": "--releases",
    "folder": "--folder",
    "within": "--within",
    "arrays": "--arrays",
    "time_limit": "--time-limit",
    "seed": "--seed",
    "profile": "--profile",
}
"""Arguments of Python's face, as the command line calls them."""

CALLS = {
    "oracles.check_loop": "`oracles loop`",
    "oracles.check_schedule": "`oracles check MODULE:NAME --rule SCHEDULE`",
    "oracles.identify": "`oracles identify`",
}
"""Functions of Python's face, as the command line calls them."""

_TABLE = re.compile(rf"\b({'|'.join(OPTIONS)})=\{{(.*?)\}}")
_ARGUMENT = re.compile(rf"(?:^|(?<=: ))({'|'.join(OPTIONS)})(?==|: )")
_PAIR = re.compile(r"'([^']*)': (?:'([^']*)'|([^,]*))")


def add_given(parser: Any) -> None:
    """The arguments that say what code calls its own, and what it is always given."""
    parser.add_argument(
        "--name",
        action="extend",
        default=[],
        type=pairs,
        metavar="TORCHS=OWN",
        help=f"what it calls one of torch's hyperparameters, e.g. lr=speed; {SEVERAL}",
    )
    parser.add_argument(
        "--fixed",
        action="extend",
        default=[],
        type=pairs,
        metavar="NAME=VALUE",
        help=f"an argument that it is always given; {SEVERAL}",
    )


def add_profile(parser: argparse.ArgumentParser) -> None:
    """The argument that says how long to look."""
    from oracles.harness.evidence.settings import PROFILES

    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="default",
        help="how long to look: thorough draws ten times as many cases, ci the same on each "
        "run (default: %(default)s)",
    )


def add_seed(parser: Any, fixed: str = "") -> None:
    """The argument that says which cases are drawn, and what none are drawn for."""
    parser.add_argument(
        "--seed",
        type=natural,
        default=0,
        metavar="N",
        help=f"another one draws other cases{fixed} (default: %(default)s)",
    )


def add_reports(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which releases are meant, and where their reports are."""
    from oracles.reports.environments import RELEASES

    parser.add_argument(
        "--releases",
        type=Path,
        default=RELEASES,
        metavar="FILE",
        help="which (default: those that the suite is run on)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("reports"),
        help="where reports are kept (default: %(default)s)",
    )


def writable(path: Path) -> None:
    """Refuse, before anything is asked, a file that cannot be written; its folder is made.

    Raises:
        Usage: it cannot.
    """
    from oracles import files

    try:
        files.make_room(path)
    except OSError as error:
        raise Usage(f"{path} cannot be written: {error.strerror}") from error


def in_options(text: str) -> str:
    """A sentence that speaks of arguments as Python has them, in options.

    >>> in_options("say what it is by names={'lr': 'v'}, or fixed={...}")
    'say what it is by --name lr=v, or --fixed NAME=VALUE'
    >>> in_options("rule='Lion' is not known")
    "--rule='Lion' is not known"
    >>> in_options("that is for oracles.check_loop")
    'that is for `oracles loop`'
    """

    def options(match: re.Match[str]) -> str:
        pairs = _PAIR.findall(match[2])
        any_ = "TORCHS=OWN" if match[1] == "names" else "NAME=VALUE"
        said = [f"{name}={word or value}" for name, word, value in pairs] or [any_]
        return " ".join(f"{OPTIONS[match[1]]} {pair}" for pair in said)

    for function, command in CALLS.items():
        text = text.replace(function, command)
    return _ARGUMENT.sub(lambda match: OPTIONS[match[1]], _TABLE.sub(options, text))


SEVERAL = "several with commas between, or given again"
"""How options are given more than once."""


def several(text: str) -> list[str]:
    """What is listed with commas between; a comma before a space belongs to a name.

    >>> several("float32,float64")
    ['float32', 'float64']
    >>> several("foreach, tensor lr,fused")
    ['foreach, tensor lr', 'fused']
    """
    return re.split(r",(?! )", text)


def pairs(text: str) -> list[tuple[str, str]]:
    """Names and what each is given, with commas between.

    >>> pairs("betas=(0.9,0.99),lr=0.1")
    [('betas', '(0.9,0.99)'), ('lr', '0.1')]
    """
    return [_pair(one) for one in re.split(r",(?=\w+=)", text)]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def literal(text: str) -> Any:
    """A number, a truth value or another literal of Python's; else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def in_json(told: Any) -> str:
    """Plain data, for a program and for eyes."""
    return json.dumps(told, ensure_ascii=False, indent=2)


def progress(said: str) -> None:
    """Say how far it is, beside what is printed."""
    print(said, file=sys.stderr, flush=True)


@contextmanager
def ending_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM end what goes on, and with it what it made; a second one changes nothing.

    Raises:
        SystemExit: with the status that shells report of the signal.
    """

    def end(number: int, _: Any) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def positive(text: str) -> float:
    """A number above 0: of seconds, or of radii."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def natural(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


def imported(name: str) -> Any:
    """What ``package.module:name`` is.

    Raises:
        Usage: it is not there, or its module cannot be imported.
    """
    from oracles.harness.subjects import importing
    from oracles.harness.subjects.subject import SubjectError

    try:
        with redirect_stdout(io.StringIO()):
            return importing.imported(name)
    except SubjectError as error:
        raise Usage(f"{name} cannot be imported: {error.sentence}") from error


def optimizer(name: str) -> Any:
    """The class of optimizers that ``package.module:Class`` is.

    Raises:
        Usage: it is not there, or is no such class.
    """
    found = imported(name)
    if not isinstance(found, type) or not hasattr(found, "step"):
        raise Usage(f"{name} has no step: it is no class of optimizers")
    return found
