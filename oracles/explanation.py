"""explain: the rule of an optimizer in words and equations, and its conventions side by side.

The words are those of the rule's own file. What is said of a convention beside them is computed:
where it is the same as torch's, how far it is from torch's at the default arguments, and the
smallest numbers in which one sees it.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracles.harness.agreement import agree, at_defaults, same, share_of_way
from oracles.harness.cases.smallest import Smallest, smallest
from oracles.layout import INDENTED, fill, narrowed, width
from oracles.naming import unknown
from oracles.optimizers.registry import REPLAYED, RULES
from oracles.rule import Convention, Rule

ALL = RULES | REPLAYED
"""Rules that can be explained, by name."""

SEEN_WITH = {
    "falling": "gradients that fall",
    "rising": "gradients that grow",
    "turning": "gradients that change their sign",
    "missing": "gradients that are 0 somewhere",
    "oblong": "a matrix that is not square",
}
"""What no hyperparameter switches off, by the part of a case that asks for it."""

OF_SEVERAL = frozenset({"falling", "rising", "turning"})
"""Of these, what a gradient that is the same at each step does not have."""

SAID = ("Symbols", "The rule", "Where sources disagree")
"""How the sections of a rule's file begin that are told to people."""


SWITCHES = ", while switches are off that it has nothing to do with"


@dataclass(frozen=True)
class Difference:
    """A convention beside torch's.

    Attributes:
        convention: its name, equation and source.
        same: where it is the same as torch's, each a condition that is enough while switches are
            off that it has nothing to do with.
        seen_with: what else a case must have for the two to part.
        share: how far it is from torch's after ten steps with torch's default arguments, as a share
            of torch's way; 0 where it is the same.
        example: the smallest numbers that show it, if there are any.
    """

    convention: Convention
    same: tuple[str, ...]
    seen_with: tuple[str, ...]
    share: float
    example: Smallest | None

    @property
    def where(self) -> str:
        """Where it is the same, and what it is seen with."""
        found = [" or ".join(self.same), *(f"seen with {words}" for words in self.seen_with)]
        return "; ".join(filter(None, found)) or "none found"

    @property
    def numbers(self) -> str:
        """The smallest numbers that show it, on one line."""
        if self.example is None:
            return "none are small"
        example = self.example
        w, first, second = map(_short, (example.initial, example.first, example.second))
        said = ", ".join([f"w = {w}", _gradients(example), *settings(example.changed)])
        return f"{said}: torch {first}, {self.convention.name} {second}"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **_named(self.convention),
            "same_where": list(self.same),
            "seen_with": list(self.seen_with),
            "share_of_way_at_defaults": self.share,
            "smallest_numbers": self.example and _plain(self.example),
        }


@dataclass(frozen=True)
class Explanation:
    """What is to be said of a rule.

    Attributes:
        rule: whose it is.
        title: one line.
        sections: of the rule's file, by heading.
        differences: conventions beside torch's.

    >>> explanation = explain("AdamW", "coupled_unscaled")
    >>> print(str(explanation).splitlines()[0])
    AdamW: coupled_unscaled beside torch's decoupled_lr
    >>> explanation.to_json()["torch"]["equation"]
    'w = (1 − γλ)w before the step; λw enters no moment'
    """

    rule: Rule
    title: str
    sections: Mapping[str, str]
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        """For people, in as many columns as the terminal has, 100 elsewhere."""
        one = len(self.differences) == 1
        parts = self._one(*self.differences) if one else self._all()
        return "\n\n".join(part.strip("\n") for part in parts)

    def _one(self, difference: Difference) -> Iterator[str]:
        """One convention beside torch's."""
        torch, other = self.rule.torch, difference.convention
        switches = SWITCHES if difference.same else ""
        yield f"{self.rule.name}: {other.name} beside torch's {torch.name}"
        for heading, *lines in (
            ("torch", torch.equation, torch.source),
            (other.name, other.equation, other.source),
            ("the same where", f"{difference.where}{switches}"),
            ("the smallest numbers that show it", difference.numbers),
            ("with torch's arguments", *self.defaults()),
            ("the letters", self.rule.symbols),
        ):
            yield "\n".join([heading, *(fill(line, *INDENTED) for line in lines)])

    def _all(self) -> Iterator[str]:
        """The rule and its conventions."""
        yield fill(self.title)
        for name, text in self.sections.items():
            if name.startswith(SAID):
                yield f"{fill(without_marks(name))}\n\n{narrowed(without_marks(text))}"
        torch = self.rule.torch
        yield f"torch follows {torch.name}\n\n{fill(torch.equation)}\n{fill(f'({torch.source})')}"
        yield from map(fill, self.defaults())
        if not self.differences:
            return
        yield _table(self.differences)
        yield f"(the same{SWITCHES})"
        sources = (f"{d.convention.name}: {d.convention.source}" for d in self.differences)
        yield "\n".join(fill(line, hanging="    ") for line in sources)

    def defaults(self) -> Iterator[str]:
        """torch's arguments, and what they make of the conventions."""
        arguments = self.rule.arguments(self.rule.hyper())
        del arguments["batch_size"]
        yield f"By default {', '.join(settings(arguments))}."
        after = "After ten steps with these arguments"
        alike = [d.convention.name for d in self.differences if d.share == 0]
        if alike:
            yield f"{after} nothing but rounding is between torch and {', '.join(alike)}."
        apart = [f"{d.convention.name} {_share(d)}" for d in self.differences if d.share > 0]
        if apart:
            yield f"{after} off by so much of torch's way: {', '.join(apart)}."

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "rule": self.rule.name,
            "title": self.title,
            "sections": dict(self.sections),
            "defaults": self.rule.hyper()._asdict(),
            "torch": _named(self.rule.torch),
            "conventions": [difference.to_json() for difference in self.differences],
        }


def explain(rule: str | Rule, convention: str | None = None) -> Explanation:
    """Say what a rule computes, and what else may be taken for it.

    Args:
        rule: an optimizer of torch, by name, or a rule of your own.
        convention: the only one to be set beside torch's, by name (default: all).

    Raises:
        ValueError: there is no rule, or no convention of it, of that name.

    >>> explanation = explain("SGD", "batch_scaled")
    >>> explanation.title
    'Stochastic gradient descent with momentum: the rule of torch.optim.SGD.'
    >>> (difference,) = explanation.differences
    >>> difference.where
    'weight_decay = 0 or batch_size = 1'
    >>> print(difference.numbers)
    w = 2, g = 1, lr=1, weight_decay=0.5, batch_size=2: torch 0, batch_scaled 0.5
    """
    if not isinstance(rule, Rule):
        if rule not in [*ALL]:  # what is no name may have no hash
            allowed = f"{', '.join(ALL)}; schedules and parts of the loop by explain_schedule"
            raise ValueError(unknown(f"rule={rule!r} is not known", rule, ALL, allowed))
        rule = ALL[rule]
    others = rule.conventions[1:] if convention is None else (rule.convention(convention),)
    title, sections = _theory(rule)
    differences = tuple(_difference(rule, c) for c in others if c is not rule.torch)
    return Explanation(rule, without_marks(title), sections, differences)


def _theory(rule: Rule) -> tuple[str, dict[str, str]]:
    """The first line and the sections of what a rule's file says at its beginning."""
    said = inspect.getdoc(inspect.getmodule(rule.hyper)) or rule.name
    title, *parts = re.split(r"\n\n([^\n]+)\n-{3,}\n", said)
    return title, dict(zip(parts[::2], parts[1::2], strict=True))


def without_marks(text: str) -> str:
    """A docstring as plain text; columns stay where they are."""
    aligned = re.sub(r"``([^`]+)``(\S*)( {2,})", r"\1\2\3    ", text)
    return re.sub(r":\w+:`([^`]+)`|``([^`]+)``|\*(\w[^*\n]*)\*", r"\1\2\3", aligned)


def _difference(rule: Rule, convention: Convention) -> Difference:
    enclosed = rule.name in RULES  # what is replayed is followed by no enclosure
    case = at_defaults(rule)
    alike = agree(rule, convention, case, enclosed=enclosed)
    example = smallest(rule, convention)
    steady = example is not None and len({g.tobytes() for g in example.gradients}) == 1
    parts = convention.parts - (OF_SEVERAL if steady else frozenset())
    return Difference(
        convention,
        same(rule, convention, enclosed=enclosed),
        tuple(words for part, words in SEEN_WITH.items() if part in parts),
        0.0 if alike else share_of_way(rule, convention, case),
        example,
    )


def _table(differences: tuple[Difference, ...]) -> str:
    """The conventions side by side."""
    columns = {
        "its line": 4,
        "the same as torch's where": 3,
        "the smallest numbers that show it": 4,
    }
    rows = [(d.convention.name, d.convention.equation, d.where, d.numbers) for d in differences]
    return side_by_side("convention", columns, rows)


def side_by_side(first: str, columns: Mapping[str, int], rows: Iterable[Sequence[str]]) -> str:
    """Rows of a name and texts, in columns that share what names leave of the terminal's width."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    table.add_column(first, no_wrap=True)
    for column, ratio in columns.items():
        table.add_column(column, ratio=ratio, overflow="fold")
    for row in rows:
        table.add_row(*row)
    out = io.StringIO()
    Console(file=out, width=width(), highlight=False, markup=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _gradients(example: Smallest) -> str:
    shown = [_short(g) for g in example.gradients]
    if len(shown) > 1 and len({*shown}) == 1:
        return f"g = {shown[0]} at each of {len(shown)} steps"
    return f"g = {', then '.join(shown)}"


def _short(value: Any) -> str:
    """Numbers in four digits; of one element, no brackets."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    if isinstance(value, np.ndarray | list):
        return f"[{', '.join(map(_short, value))}]"
    if isinstance(value, float):
        return f"{round(value, 12):.4g}"
    return str(value)


def settings(values: Mapping[str, Any]) -> list[str]:
    """Arguments and their values, as a call has them but for digits."""
    return [f"{name}={_short(value)}" for name, value in values.items()]


def _share(difference: Difference) -> str:
    share = difference.share
    if share >= 10:
        return f"{share:,.0f}-fold"
    return f"{share:.0%}" if share >= 0.01 else f"{share:.0e}"


def _named(convention: Convention) -> dict[str, str]:
    return {
        "name": convention.name,
        "equation": convention.equation,
        "source": convention.source,
    }


def _plain(example: Smallest) -> dict[str, Any]:
    return {
        "w": example.initial.tolist(),
        "gradients": [g.tolist() for g in example.gradients],
        "settings": example.changed,
        "torch": example.first.tolist(),
        "convention": example.second.tolist(),
    }
