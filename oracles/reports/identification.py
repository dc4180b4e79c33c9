"""What a piece of code follows, as text that a person can act on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from rich.console import Console
from rich.table import Table

from oracles.harness.arguments import Argument
from oracles.harness.candidates import Candidate
from oracles.harness.evidence.sifting import still, undecayed
from oracles.identification import Identification
from oracles.layout import fill
from oracles.reports.text import columns, printed, put

ELSEWHERE = (
    "This is torch's own rule: if results differ all the same, the step is not why. Look at the "
    "gradient, which may not be that of the loss that was named (a sum where torch takes a mean, a "
    "half, a penalty inside of the loss beside weight_decay), at the order of data, at the start, "
    "and at the dtype."
)
WRITTEN = (
    "What it does not take was held to torch's defaults, and to any number in the simplest rules "
    "but Muon's."
)
PASTED = (
    "A learning rate that code makes of the step's number is found in a text of it alone: "
    "equation='lr_t = 0.1*0.95**t; w -= lr_t*g'."
)
MOST = 8
"""So many examples are shown."""


def render(
    found: Identification,
    *,
    full: bool = False,
    width: int | None = None,
    words: Callable[[str], str] = str,
) -> str:
    """All of it, in the words of whoever asks; of examples only the first few unless ``full``."""
    return printed(partial(_show, found, full=full, words=words), width)


def _show(
    found: Identification, console: Console, *, full: bool, words: Callable[[str], str]
) -> None:
    console.print(fill(words(f"{found}."), columns=console.width))
    for paragraph in (*_equations(found), *_remarks(found)):
        console.print()
        for line in words(paragraph).splitlines():
            indent = " " * (len(line) - len(line.lstrip()))
            console.print(fill(line, hanging=indent, columns=console.width))
    for title, table in (_examples(found, full=full), _untold(found)):
        if table.row_count:
            console.print(f"\n{title}")
            put(console, table)


def _equations(found: Identification) -> Iterator[str]:
    """The lines in which it is not torch's, with torch's beside them."""
    near = [found.nearest.candidate] if found.nearest else []
    told = [*(found.fits[:1] or near), *(e.candidate for e in found.exceptions)]
    for candidate in told:
        for convention in candidate.conventions:
            yield f"{convention.name}: {convention.equation}\n    {convention.source}"
    if any(candidate.conventions for candidate in told):
        torch = told[0].rule.torch
        yield f"torch has {torch.name}: {torch.equation}"


def _remarks(found: Identification) -> Iterator[str]:
    if found.schedule is not None:
        yield from found.schedule.remarks()
        return
    if found.loop is not None:
        yield from found.loop.remarks()
    if found.rate is not None:
        yield from found.rate.remarks()
    unseen = found.seen.unseen if found.seen else 0.0
    if found.torchs and found.scalars == "float64" and not unseen:  # else the step may be why
        yield ELSEWHERE
    if found.written and not (found.named or found.fault):
        yield WRITTEN
        yield from [PASTED] if found.name != "the equation" else []
    for exception in found.exceptions:
        if undecayed(exception.candidate):
            yield f"No weight decay {exception.where}."
        if still(exception.candidate):
            yield f"No step at all {exception.where}."
    if found.missed:
        yield f"Not all of it was seen: {found.missed}."
    if found.assumed:
        values = ", ".join(f"{name} = {value}" for name, value in found.assumed.items())
        asked = "Written in it as torch's defaults are"
        told = "The record does not say, so torch's defaults are taken"
        yield f"{asked if found.draws else told}: {values}."
    if found.unread:
        names = ", ".join(found.unread)
        asked = "Left at their defaults, as this rule has no such hyperparameters"
        told = "Not read, as hyperparameters of this rule go by other names"
        if not found.fits:
            told = (
                "Not read, as no hyperparameter goes by such a name (--name says which one it is)"
            )
        yield f"{asked if found.draws else told}: {names}."
    if found.scalars != "float64":
        yield f"It keeps something in {found.scalars}."
    if found.seen:
        yield f"Seen with {found.seen}; what it does beyond was not asked."
    if unseen:
        told = f"a step that is off by less than about {unseen:.1%} of itself is not told from it"
        yield f"In a short format {told}. Record it in float64."
    if found.open:
        names = ", ".join(dict.fromkeys(c.rule.name for c in found.open))
        what = (
            "a parameter of several elements"
            if found.alone
            else "it in float64, or with larger steps"
        )
        yield f"Nothing is ruled out for {names}. Record {what}."


def _examples(found: Identification, *, full: bool) -> tuple[str, Table]:
    shown = found.examples if full else found.examples[:MOST]
    rest = len(found.examples) - len(shown)
    table = columns("given", "rule", "gives", "code")
    for e in shown:
        names = ", ".join(map(_short, e.rejected))
        table.add_row(e.given, names, f"{e.expected:.7g}", f"{e.got:.7g}")
    more = f" ({rest} more with --full)" if rest else ""
    return f"By hand, what rules others out{more}:", table


def _short(candidate: Candidate) -> str:
    names = " with ".join(c.name for c in candidate.conventions)
    return names or f"{candidate.rule.torch.name} (torch)"


def _one_more(candidate: Candidate, arguments: tuple[Argument, ...]) -> str:
    """What it has beside what was found: the last of its conventions, and numbers of its own."""
    *others, last = candidate.conventions
    name = f"with {last.name}" if others else last.name
    return name if candidate.arguments == arguments else ", ".join([name, *candidate.heeded])


def _untold(found: Identification) -> tuple[str, Table]:
    table = columns("these", "what would")
    for untold in found.untold:
        arguments = found.fits[0].arguments
        names = ", ".join(_one_more(c, arguments) for c in untold.candidates)
        table.add_row(names, " and ".join(untold.needs) or "more digits")
    return "Not told apart from it, because all that is known is the same for", table
