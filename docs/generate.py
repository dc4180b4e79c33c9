"""What the site has beside its written pages, made while mkdocs builds it.

A page a rule, from the records that the tests use; the ledger of deviations; the public face, from
its docstrings. A ``console`` block that holds one command and no output is given the command's own.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any
from unittest import mock

from links import to_site  # beside this file, where mkdocs looks, too
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pygments.formatters import HtmlFormatter

import oracles
from oracles import cli
from oracles.explanation import (
    ALL,
    SWITCHES,
    Difference,
    Explanation,
    explain,
    without_marks,
)
from oracles.harness import golden, golden_rates
from oracles.harness.deviations.flaws import Flaw, flaws_of
from oracles.harness.deviations.ledger import Deviation, ledger
from oracles.optimizers.registry import RULES
from oracles.reports.picture import picture
from oracles.schedule_explanation import ALL as SCHEDULES
from oracles.schedule_explanation import ScheduleExplanation, explain_schedule
from oracles.schedules import registry

WIDTH = 96
"""Columns of what commands print on the site."""

EXAMPLES = Path(__file__).parents[1] / "examples"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages into the navigation."""
    assert config.nav is not None
    rules = [{"All": "rules/index.md"}, *({name: f"rules/{name}.md"} for name in ALL)]
    timed = [{"All": "schedules/index.md"}, *({n: f"schedules/{n}.md"} for n in SCHEDULES)]
    config.nav += [
        {"Rules": rules},
        {"Schedules": timed},
        {"Deviations": "deviations.md"},
        {"Python": "python.md"},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and pictures."""
    for path, content in generated():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Give the commands that a page shows what they print, and lead its links to the site."""
    markdown = to_site(markdown)
    markdown = re.sub(r"```console\n\$ (oracles .*)\n```", _ran, markdown)
    markdown = re.sub(r"```console\n\$ python examples/(\w+)\.py\n```", _said, markdown)
    return re.sub(r"```python\n# examples/(\w+)\.py\n```", _code, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Show what docstrings refer to by Sphinx's roles as plain names; let wide tables scroll."""
    html = re.sub(r":\w+:<code>~(?:\w+\.)*(\w+)</code>", r"<code>\1</code>", html)
    html = re.sub(r":\w+:<code>([^<]*)</code>", r"<code>\1</code>", html)
    return html.replace("<table>", '<div class="wide"><table>').replace(
        "</table>", "</table></div>"
    )


def _ran(block: re.Match[str]) -> str:
    """A console block with what its command prints.

    Raises:
        RuntimeError: the call is off.
    """
    out = io.StringIO()
    columns = mock.patch.dict(os.environ, COLUMNS=str(WIDTH))
    with contextlib.redirect_stdout(out), columns:
        status = cli.main(shlex.split(block[1])[1:])
    if status == 2:
        raise RuntimeError(f"{block[1]} cannot be carried out as it stands")
    return f"```text\n$ {block[1]}\n{out.getvalue().rstrip()}\n```"


def _said(block: re.Match[str]) -> str:
    """A console block with what an example says that it prints, which tests hold it to."""
    said, _ = _example(block[1])
    said = dedent(said.partition("It prints:\n\n")[2])
    return f"```text\n$ python examples/{block[1]}.py\n{said}\n```"


def _code(block: re.Match[str]) -> str:
    """The example itself."""
    _, code = _example(block[1])
    return f"```python\n{code.strip()}\n```"


def _example(name: str) -> tuple[str, str]:
    """What an example says of itself, and its code."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    said, _, code = text.partition('\n"""\n')
    return said, code


def generated() -> Iterator[tuple[str, str | bytes]]:
    """Paths within the site and what is there."""
    explanations = [explain(name) for name in ALL]
    for explanation in explanations:
        name = explanation.rule.name
        yield f"rules/{name}.md", rule_page(explanation)
        yield f"rules/{name}.svg", picture(explanation, "svg")
    yield "rules/index.md", rules_page(explanations)
    timed = [explain_schedule(name) for name in SCHEDULES]
    for schedule in timed:
        yield f"schedules/{schedule.name}.md", schedule_page(schedule)
        if schedule.name in registry.KNOWN:
            yield f"schedules/{schedule.name}.svg", picture(schedule, "svg")
    yield "schedules/index.md", schedules_page(timed)
    yield "deviations.md", deviations_page()
    yield "python.md", python_page()
    yield "pygments.css", HtmlFormatter(style="friendly").get_style_defs(".highlight")


# --- a rule ---


def rule_page(explanation: Explanation) -> str:
    """All that is known of a rule."""
    rule = explanation.rule
    parts = [f"# {rule.name}\n\n{explanation.title}"]
    sections = {heading: _section(heading, t) for heading, t in explanation.sections.items()}
    parts += [text for heading, text in sections.items() if heading.startswith(FIRST)]
    parts.append(
        f"## Its conventions\n\ntorch follows `{rule.torch.name}`: {rule.torch.equation} "
        f"({rule.torch.source}). Other code follows one or several of these:\n\n"
        + table(
            ("convention", "its line, and who computes it so", "the same as torch's where", "e.g."),
            [_row(difference) for difference in explanation.differences],
        )
        + f"\n\nThe same{SWITCHES}. The numbers are the smallest that show the "
        "difference: w is the parameter, g its gradient, and the settings are torch's defaults but "
        "for those named.\n\n"
        + _picture(f"Each convention of {rule.name} beside torch's on one small problem", rule.name)
    )
    parts.append("## With the default arguments\n\n" + "\n\n".join(explanation.defaults()))
    parts += [text for heading, text in sections.items() if not heading.startswith(FIRST)]
    if rule.name in RULES:
        parts.append(_golden(rule.name))
    parts.append(f"## What torch gets wrong\n\n{_deviations(rule.name)}")
    return "\n\n".join(parts) + "\n"


def _picture(what: str, name: str) -> str:
    """That of a page, which leads to itself alone."""
    lines = "the first one's line is solid, the other dashed, and a ring is where they part"
    return f"[![{what}: {lines}]({name}.svg)]({name}.svg)"


FIRST = ("Symbols", "The rule")
"""Sections of a rule's file that come before its conventions."""


def _section(heading: str, text: str) -> str:
    """A section of a rule's file; what is laid out in columns stays so."""
    title, _, source = heading.removesuffix(")").partition(" (")
    shown = [f"## {title}", *([f"({_markdown(source)})"] if source else [])]
    for number, paragraph in enumerate(text.split("\n\n")):
        if re.match(r"\d\. ", paragraph) or (title == "Symbols" and number == 0):
            shown.append(f"```text\n{without_marks(paragraph)}\n```")
        elif not paragraph.startswith("Each convention below"):
            shown.append(_markdown(paragraph))
    return "\n\n".join(shown)


def _markdown(text: str) -> str:
    """A docstring's paragraph."""
    named = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", text)
    return named.replace("``", "`")


def _row(difference: Difference) -> tuple[str, ...]:
    convention = difference.convention
    line = f"{_cell(convention.equation)}<br>*{_cell(convention.source)}*"
    return f"`{convention.name}`", line, _cell(difference.where), _cell(difference.numbers)


def _golden(name: str) -> str:
    """The questions that the pinned vectors of a rule answer."""
    asked = golden.questions(RULES[name], golden.folder())
    rows = [(f"`{question.id}`", _cell(question.comment)) for question in asked.each]
    return (
        "## The pinned vectors\n\n"
        f"One document a convention in `golden/{name.lower()}/` answers, to the bit:\n\n"
        + table(("question", "why it is asked"), rows)
    )


# --- a schedule ---


def schedule_page(explanation: ScheduleExplanation) -> str:
    """All that is known of a schedule."""
    first, name = explanation.first, explanation.name
    parts = [
        f"# {name}\n\n{explanation.title}",
        f"```text\n{explanation.theory}\n```",
        f"## Its timings\n\n{explanation.follows}: {first.equation} ({first.source}). "
        "Other code follows one of these:\n\n"
        + table(
            ("timing", "its line, and who computes it so", "where it shows first"),
            [
                (f"`{o.name}`", f"{_cell(o.equation)}<br>*{_cell(o.source)}*", _cell(o.numbers))
                for o in explanation.others
            ],
        ),
        explanation.defaults,
    ]
    if name in registry.KNOWN:
        parts.append(_picture(f"The learning rate by each timing of {name}", name))
    if name in registry.SCHEDULES:
        asked = golden_rates.questions(registry.SCHEDULES[name], golden.folder())
        rows = [(f"`{question.id}`", _cell(question.comment)) for question in asked]
        parts.append(
            f"## The pinned rates\n\nOne document a timing in `golden/schedules/{name.lower()}/` "
            "answers, to the bit:\n\n" + table(("question", "why it is asked"), rows)
        )
    if explanation.torchs:
        parts.append(f"## What torch gets wrong\n\n{_flaws(name)}")
    return "\n\n".join(filter(None, parts)) + "\n"


def _flaws(name: str) -> str:
    rows = [
        (
            f"`{row.id}`",
            _versions(row),
            f"{_cell(row.reason)}{_link(row.upstream)}",
        )
        for row in flaws_of(name)
    ]
    if not rows:
        return "Nothing is in the ledger."
    return table(("deviation", "torch", "what happens"), rows)


def _link(upstream: str) -> str:
    """An issue or a change, with its repository's name if it is not torch's own."""
    if not upstream:
        return ""
    *_, repository, _, number = upstream.split("/")
    return f" [{repository.removeprefix('pytorch')}#{number}]({upstream})"


def schedules_page(explanations: Sequence[ScheduleExplanation]) -> str:
    """A line for each schedule."""
    rows = [
        (f"[{e.name}]({e.name}.md)", f"`{e.first.name}`", _cell(e.first.equation), len(e.others))
        for e in sorted(explanations, key=lambda e: not e.torchs)
    ]
    cells = [tuple(map(str, row)) for row in rows]
    count = sum(e.torchs for e in explanations)
    columns = ("schedule", "its timing", "its line", "others")
    return (
        "# Schedules\n\nEvery class of `torch.optim.lr_scheduler`, and SWALR. "
        "[What can be asked](../learning_rates.md).\n\n"
        f"{table(columns, cells[:count])}\n\n"
        "## What others call theirs\n\nSchedules that torch has not, by the name of a function or "
        f"a class that has them.\n\n{table(columns, cells[count:])}\n"
    )


# --- other pages ---


def rules_page(explanations: Sequence[Explanation]) -> str:
    """A line for each rule."""
    rows = [
        (
            f"[{e.rule.name}]({e.rule.name}.md)",
            f"`{e.rule.torch.name}`",
            _cell(e.rule.torch.equation),
            str(getattr(e.rule.hyper(), "weight_decay", "none")),
            str(len(e.rule.conventions)),
        )
        for e in explanations
    ]
    columns = ("optimizer", "torch's convention", "its lines", "weight_decay", "conventions")
    return f"# Rules\n\nEvery optimizer of `torch.optim`.\n\n{table(columns, rows)}\n"


def deviations_page() -> str:
    """The ledger, by optimizer."""
    parts = [
        "# What released torch gets wrong\n\nEach row has a minimal reproducer that runs in every "
        "suite: where a row says so it must still fail, and its healing is reported. Seen on "
        "torch 1.13 to 2.15."
    ]
    parts += [f"## {name}\n\n{_deviations(name)}" for name in ALL]
    return "\n\n".join(parts) + "\n"


def _deviations(name: str) -> str:
    rows = [_known(row) for row in ledger() if name in row.rules]
    if not rows:
        return "Nothing is in the ledger."
    return table(("deviation", "torch", "paths", "what happens"), rows)


def _known(row: Deviation) -> tuple[str, ...]:
    paths = "; ".join(row.paths) or "all"
    return f"`{row.id}`", _versions(row), paths, f"{_cell(row.reason)}{_link(row.upstream)}"


def _versions(row: Deviation | Flaw) -> str:
    """The releases that have it, from which on before until when."""
    return _cell(", ".join(sorted(map(str, row.versions), reverse=True))) or "all"


def python_page() -> str:
    """The public face, whatever it exports."""
    parts = ["# Python\n\nWhat `import oracles` gives; each is imported when it is asked for."]
    for name in sorted(set(oracles.__all__) - {"__version__"}, key=str.lower):
        home = oracles._HOMES[name]  # noqa: SLF001 (where mkdocstrings finds it)
        parts.append(
            f"::: {home}.{name}\n    options:\n      heading: oracles.{name}\n"
            f"      toc_label: {name}"
        )
    return "\n\n".join(parts) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, of cells in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Plain text as a cell."""
    marked = re.sub(r"([\\`|*_~\[\]])", r"\\\1", " ".join(text.split()))
    return marked.replace("<", "&lt;")
