"""Let Hypothesis look for a case in which a part of the loop around a step is wrong."""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings

from oracles.harness.deviations.flaws import Flaw, active
from oracles.harness.loop.catalogue import PARTS, questions
from oracles.harness.loop.question import Question
from oracles.harness.runs.profiles import filed, seeded
from oracles.harness.runs.runner import Refuted, Report, noted
from oracles.harness.runs.tally import Tally, count_decided
from oracles.harness.subjects.subject import (
    EVERYWHERE,
    Place,
    SubjectError,
    answering,
    raised_in,
    told,
)
from oracles.harness.verdict import ERRORED, Verdict


@dataclass(frozen=True)
class Site:
    """Where a part of the loop is asked.

    Attributes:
        optimizer: the part, as torch has it.
        place: where.
        version: of torch.
    """

    optimizer: Any
    place: Place
    version: str


def sites(
    part: str,
    paths: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    devices: Sequence[str] = (),
) -> tuple[list[Site], dict[Place, str]]:
    """Where a part is asked, of the chosen (empty: all there are), and why it is not there."""
    from oracles.harness.subjects.description import version  # which needs torch

    home = PARTS[part].torch
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch deprecates of itself, as it is imported
            owner = pkgutil.resolve_name(f"{home}:{part}")
    except (AttributeError, ModuleNotFoundError):
        return [], {Place(part, EVERYWHERE, "", ""): f"this {home} has no {part}"}
    except Exception as error:  # some of torch cannot be imported by every Python that it runs on
        why = f"{home} cannot be imported: {told(error)}"
        return [], {Place(part, EVERYWHERE, "", ""): why}
    places = {place: None for question in questions(part) for place in question.places()}
    chosen = [
        Site(owner, place, version())
        for place in places
        if all(
            not names or name in names
            for names, name in ((paths, place.path), (dtypes, place.dtype), (devices, place.device))
        )
    ]
    nowhere = {Place(part, EVERYWHERE, "", ""): f"{part} cannot run on any device here"}
    return chosen, {} if places else nowhere


def run_question(question: Question, asked: Sequence[Site], tally: Tally) -> int:
    """Put a question on as many cases as the current Hypothesis profile says.

    Returns:
        The number of verdicts that decided something, all of them good; 0 if nobody can be asked.

    Raises:
        Refuted: something is wrong; Hypothesis has shrunk the case.
        Vacuous: nothing was decided.
    """
    can = {*question.places()}
    there = [site for site in asked if site.place in can]
    if not there:
        return 0
    seen, last = Tally(), list[Verdict]()

    name = f"{question.part}: {question.name}"

    @seeded(name)
    @settings(max_examples=question.examples(settings().max_examples), database=filed(name))
    @given(question.cases())
    def refute(drawn: Any) -> None:
        for case in question.each(drawn):
            seen.cases[question.name] += 1
            if failures := _failures(question, case, there, seen):
                last[:] = failures
                raise Refuted

    refute.__name__ = name  # in what Hypothesis says of it
    try:
        refute()
    except Refuted as failure:
        raise noted(Refuted(Report(last)), failure) from None
    finally:
        tally.merge(seen)
    return count_decided(question.name, seen)


def _failures(question: Question, case: Any, asked: Sequence[Site], tally: Tally) -> list[Verdict]:
    """Ask everywhere but where the ledger knows better; the verdicts that failed."""
    failures = []
    for site in asked:
        if row := known_flaw(question, case, site):
            tally.leave_out(row.id, site.place)
            continue
        verdict = _verdict(question, case, site.place)
        tally.add(site.place, verdict)
        if verdict.failed:
            failures.append(verdict)
        elif question.rejects is not None and verdict.separation is not None:
            tally.reject(question.part, question.rejects, verdict.separation)
    return failures


def known_flaw(question: Question, case: Any, site: Site) -> Flaw | None:
    """The row that knows a case to fail at a site, if one does."""
    return next(
        (
            row
            for row in active(question.part, site.version)
            if row.concerns(question.name, site.place)
            and question.regions[row.region](case, site.place)
        ),
        None,
    )


def _verdict(question: Question, case: Any, place: Place) -> Verdict:
    try:
        with answering():
            return question.ask(case, place)
    except SubjectError as error:
        what = "the question itself, not torch, raised" if _is_ours(error) else "raised"
        sentence = f"{place} {what} {error}; {case}"
        return Verdict(ERRORED, lambda: sentence)


def _is_ours(error: SubjectError) -> bool:
    """Whether an oracle or a question has raised it."""
    module = raised_in(error.__cause__ or error)
    return module.startswith("oracles.") and not module.startswith("oracles.harness.subjects.")


def confirm_flaw(row: Flaw, part: str, asked: Sequence[Site], tally: Tally) -> int:
    """Run a row's reproducer: it fails where the row says so, and passes elsewhere.

    Returns:
        1, or 0 if it is about none of these places.

    Raises:
        Refuted: it has healed, or it is back.
    """
    there = [site for site in asked if row.concerns(None, site.place)]
    if not there:
        return 0
    site = there[0]
    try:
        shows = row.shows()
    except Exception as error:
        raise Refuted(
            f"{row.id} of {part} fails in another way in torch {site.version}, by {told(error)}: "
            f"mend its program, or raises=, in flaws.toml; what it was: {row}"
        ) from error
    if row.holds_for(site.version):
        tally.rerun(row.id, site.place, fails=shows)
        if not shows:
            raise Refuted(
                f"{row.id} of {part} has healed in torch {site.version}: bound its versions "
                f"({row.versions}) in flaws.toml; what it was: {row}"
            )
    elif shows:
        raise Refuted(f"{row.id} of {part} is back in torch {site.version}; what it was: {row}")
    return 1
