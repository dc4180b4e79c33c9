"""What asks a piece of code, by what it is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from oracles.harness.subjects.aliases import ALIASES
from oracles.harness.subjects.blackbox import BlackBox, Function
from oracles.harness.subjects.fits.fit import is_fit
from oracles.harness.subjects.parameter_names import MODELS
from oracles.harness.subjects.scheduled import is_scheduled, is_scheduler
from oracles.naming import unknown

ELSEWHERE: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (
        is_scheduled,
        "says what a learning rate is: oracles.identify names the schedule, and a class of "
        "schedulers is for oracles.check_schedule",
    ),
    (is_fit, "is a training loop: oracles.identify says which rule it follows"),
)
"""What is no optimizer, and who asks it."""


def black_box(
    subject: Any, names: Mapping[str, str], fixed: Mapping[str, Any], called: str = ""
) -> BlackBox:
    """What asks a subject, by what it is; ``called`` so, where its own name is another one.

    Raises:
        TypeError: it is nothing that can be asked.
        ValueError: it has no argument of a name that was said to be its own.
    """
    if not callable(subject):
        if hasattr(subject, "param_groups") or is_scheduler(type(subject)):
            made = type(subject).__name__
            raise TypeError(
                f"subject is {made}(...), made already; allowed: the class, {made}, or a function "
                "that makes one"
            )
        raise TypeError(
            f"subject={subject!r} cannot be asked; allowed: a class of optimizers, a function that "
            "makes one, or a step (params, grads, state, hyper) -> params; for oracles.identify "
            "rates as well, in a list or by a function of the epoch"
        )
    for is_one, said in ELSEWHERE:
        if is_one(subject):
            raise TypeError(f"subject={getattr(subject, '__name__', subject)} {said}")
    if unfit := _unfit(subject):
        raise TypeError(
            f"subject={getattr(subject, '__name__', subject)} takes {unfit}; allowed: a "
            "function of parameters that makes an optimizer, or a step (params, grads, state, "
            "hyper) -> params; a function that trains on its own is for oracles.check_loop"
        )
    if not isinstance(subject, type) and _is_step(subject):
        function = Function(subject, names, fixed, called=called)
        refuse_arguments(function.name, names, fixed, function.keywords)
        return function
    from oracles.harness.subjects.foreign import ForeignOptimizer  # which needs torch

    optimizer = ForeignOptimizer(subject, names, fixed, called)
    refuse_arguments(optimizer.name, names, fixed, _named(subject))
    return optimizer


PARAMETERS = ("param", "named", *MODELS)
"""How the argument is called that is given parameters, or a model that has them."""


def wanting(fault: str) -> str:
    """A fault and, where an argument is missing, how it is given.

    >>> wanting("TypeError: missing 2 required positional arguments: 'a' and 'b'").split("; ")[1]
    "given by fixed={...}, or, if torch has it, by names={'TORCHS': 'a'}"
    """
    missing = re.search(r"missing \d+ required .*?arguments?: '(\w+)'", fault)
    if not missing:
        return fault
    if missing[1].startswith(PARAMETERS):
        return f"{fault}; the first argument is given parameters: write a function of these alone"
    own = f"names={{'TORCHS': {missing[1]!r}}}"
    return f"{fault}; given by fixed={{...}}, or, if torch has it, by {own}"


def refuse_arguments(
    subject: str,
    names: Mapping[str, str],
    fixed: Mapping[str, Any],
    own: Collection[str] | None,
) -> None:
    """Check that what is said to be a subject's own arguments are; None if they may be any.

    Raises:
        ValueError: it has no such argument.
    """
    if own is None:
        return
    for argument, given in (("names", names), ("fixed", fixed)):
        for name, value in given.items():
            said = value if argument == "names" else name
            if said not in own:
                told = f"{argument}={{{name!r}: {value!r}}}: {subject} has no {said!r}"
                none = "" if own else "none, as it has no arguments of its own"
                raise ValueError(unknown(told, said, own, none))


def _named(make: Any) -> list[str] | None:
    """What makes an optimizer takes beside parameters; None if it has a ``**`` or no signature."""
    try:
        _, *rest = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # it is one of C's, or takes nothing at all
        return None
    return None if any(p.kind is p.VAR_KEYWORD for p in rest) else [p.name for p in rest]


def _unfit(subject: Any) -> str:
    """What something takes, if it cannot be asked as what it seems to be."""
    try:
        parameters = [*inspect.signature(subject).parameters.values()]
    except (TypeError, ValueError):  # it is one of C's
        return ""
    step = not isinstance(subject, type) and _is_step(subject)
    if step and len(parameters) > 2 and parameters[2].name in ("lr", *ALIASES["lr"]):
        return f"{parameters[2].name!r} where a step is given its state"
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return ""
    if inspect.ismethod(subject) and not parameters:
        return "no argument, as it is bound to a model already (its class has the function)"
    return f"{len(parameters)} arguments" if len(parameters) < (3 if step else 1) else ""


def _is_step(function: Any) -> bool:
    """Whether a function takes gradients next to parameters."""
    try:
        second = list(inspect.signature(function).parameters)[1:2]
    except ValueError:  # it is one of C's, which has no names
        return False
    return bool(second) and second[0] in ("grads", "gradients", "gs", "g", "grad")
