"""What a run says while it goes on: a line each and, on a terminal, a bar below them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from oracles.harness.promise import Known
from oracles.harness.runs.outcome import ABSENT, FAILED, NOT_ASKED, OK, Outcome
from oracles.harness.runs.tally import Tally
from oracles.reports.text import plain

MARKS = {NOT_ASKED: "VACUOUS"}
"""What is said of an optimizer altogether, where that is another word than of its tasks."""


SHOWN = 3
"""How many places are named of many."""


class Running:
    """A run while it goes on: ``with`` it, tell it the outcomes, and read afterwards what it knows.

    Ctrl-C ends the ``with`` block, and nothing else: what has been told until then stays.

    Args:
        total: how many outcomes there will be.
        tally: what is seen.
        verbose: whether to print those that are good, too, and all that is known of the others.

    Attributes:
        done: how many outcomes were told.
        failed: how many of them failed.
        wholes: what is to be said of each optimizer altogether, and how often.
        interrupted: whether Ctrl-C has ended it.
    """

    def __init__(self, total: int, tally: Tally, *, verbose: bool) -> None:
        self.total, self.tally, self.verbose = total, tally, verbose
        self.done, self.failed = 0, 0
        self.wholes, self.interrupted = Counter[str](), False
        self._bar = _bar()
        self._line = self._bar.add_task("", total=total, failed=0)

    def __enter__(self) -> Running:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._bar.stop()
        self.interrupted = kind is KeyboardInterrupt
        return self.interrupted

    def optimizer(self, name: str, outcomes: Iterable[tuple[str, Outcome]]) -> None:
        """Tell what comes of all that one optimizer is asked, count it, and tell the sum.

        Args:
            name: whose.
            outcomes: each with what was asked. Whose faults were all told before is named alone.
        """
        self.ask(name)
        words, known, alike = Counter[str](), Known(), dict[str, list[str]]()
        for asks, outcome in outcomes:
            self.tally.merge(outcome.tally)
            words[outcome.word] += 1
            told = outcome.told if outcome.word == FAILED else {}
            new = known.meet(asks, told)
            if told and not new:
                alike.setdefault(known.first[next(iter(told))], []).append(asks)
            if new and not self.verbose:
                sentences = dict.fromkeys(told[fault] for fault in new)
                outcome = replace(outcome, text="\n".join(sentences))
            self.tell(f"{name}: {asks}", outcome, shown=self.verbose or bool(new))
        for first, others in alike.items():
            self.say(_alike(first, others))
        whole = next((word for word in (FAILED, OK, NOT_ASKED) if word in words), ABSENT)
        self.wholes[whole] += 1
        if whole != ABSENT:
            counts = ", ".join(f"{n} {word}" for word, n in words.items())
            self.say(f"{MARKS.get(whole, whole):9} {name}: {counts}")

    def ask(self, name: str) -> None:
        """Show who is asked next."""
        self._bar.update(self._line, description=name)

    def tell(self, task: str, outcome: Outcome, *, shown: bool = True) -> None:
        """Count an outcome and, if it is to be ``shown``, say how its task went."""
        self.done += 1
        self.failed += outcome.word == FAILED
        self._bar.update(self._line, advance=1, failed=self.failed)
        if shown:
            notes = (*outcome.notes, *_unasked(outcome.tally)) if self.verbose else ()
            lines = [f"{outcome.word:9} {task}", outcome.text, *notes]
            self.say("\n".join(filter(None, lines)))

    def say(self, text: str) -> None:
        """Print, above the bar if there is one."""
        if self._bar.disable:
            print(text, flush=True)
        else:
            self._bar.console.print(text, soft_wrap=True)


def _alike(first: str, others: Sequence[str]) -> str:
    """Who fails in the same way as somebody whose failure was told."""
    fail = "another question fails" if len(others) == 1 else f"{len(others)} other questions fail"
    return f"          {fail} in the same way as {first}: {', '.join(others)}"


def _unasked(tally: Tally) -> Iterator[str]:
    """Where a task has asked nothing, because the ledger knows all that was drawn."""
    for id, places in tally.unasked().items():
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        yield f"          nothing left to ask by {id}: {', '.join(map(str, places[:SHOWN]))}{more}"


def _bar() -> Progress:
    """Who is asked, how many tasks are done and how many failed; silent where nobody watches."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
        console=plain(),
        transient=True,
        refresh_per_second=4,
        disable=not sys.stdout.isatty(),
    )
