"""What is to be said of somebody's code, beside what its author claims."""

from __future__ import annotations

import importlib.metadata
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from oracles.accuracy import Accuracy
from oracles.harness.evidence.settings import DRAWS, Draws
from oracles.harness.promise import Line, Word, alike, faults
from oracles.identification import Identification
from oracles.inquiry import ACCURACY, RULE
from oracles.optimizers.registry import RULES, unknown_rule
from oracles.rule import Rule


@dataclass(frozen=True)
class Claim:
    """What the author says the code follows: ``"Adam"``, or ``"Adam's eps_hat with decoupled_lr"``.

    A rule alone means torch's convention of it.

    Attributes:
        rule: the rule.
        names: of its conventions, without torch's.
    """

    rule: Rule
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str | Rule) -> Claim:
        """What a text claims.

        Raises:
            ValueError: there is no such rule, or no such convention of it.

        >>> sorted(Claim.of("Adam's eps_hat with decoupled_lr").names)
        ['decoupled_lr', 'eps_hat']
        """
        if isinstance(text, Rule):
            return cls(text)
        name, _, conventions = str(text).partition("'s ")
        if name not in RULES:
            raise ValueError(unknown_rule(name))
        rule = RULES[name]
        names = [rule.convention(part).name for part in conventions.split(" with ") if part]
        return cls(rule, frozenset(names) - {rule.torch.name})

    def __str__(self) -> str:
        return f"{self.rule.name}'s {' with '.join(sorted(self.names)) or self.rule.torch.name}"

    def holds(self, found: Identification) -> bool:
        """Whether it is among what fits, everywhere and with all hyperparameters heeded."""
        own = [c for c in found.fits if c.rule is self.rule and c.names == self.names]
        all_heeded = not (found.exceptions or found.shapes or found.ignores)
        return all_heeded and any(not candidate.arguments for candidate in own)


@dataclass(frozen=True)
class Report:
    """What is to be said of somebody's code.

    >>> import oracles
    >>> def sgd(params, grads, state, lr):
    ...     return [w - lr * g for w, g in zip(params, grads)]
    >>> report = oracles.check(sgd, "SGD", dtypes=["float64"], within=1)
    >>> report.ok, report.faults(), [str(candidate) for candidate in report.found.fits]
    (True, [], ["SGD's coupled_unscaled"])

    Attributes:
        name: of the code.
        found: which rule it follows; None if it could not be asked.
        accuracies: by dtype that it takes.
        refused: dtypes that it does not take, or in which nothing can be judged, and why.
        failed: dtypes in which it raises, ends its process or does not return.
        promises: a line each.
        as_torch: a line for each check that its class was held to as a clone of torch's.
        fault: why it could not be asked, or not which rule it follows.
        claim: what its author says it follows.
        bound: of its errors in radii, if its author has set one.
        declined: by the names of rules, how it refused to be stepped as theirs are.
        printed: how many lines it has printed meanwhile.
        imported: whether there was anybody to ask.
        late: the checks that were to be asked and were not.
        rest: why not.
        own: whether it is said to follow a rule of its own, which need be none that is known.
        draws: which cases were drawn, and how many.
    """

    name: str
    found: Identification | None = None
    accuracies: tuple[Accuracy, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    promises: tuple[Line, ...] = ()
    as_torch: tuple[Line, ...] = ()
    fault: str = ""
    claim: Claim | None = None
    bound: float | None = None
    declined: Mapping[str, str] = field(default_factory=dict)
    printed: int = 0
    imported: bool = True
    late: tuple[str, ...] = ()
    rest: str = ""
    own: bool = False
    draws: Draws = DRAWS

    @property
    def follows(self) -> bool:
        """Whether it follows a known rule: the claimed one, if one is claimed."""
        if self.found is None or self.claim is None:
            return bool(self.found and self.found.fits and not self.found.shapes)
        return self.claim.holds(self.found)

    @property
    def broken(self) -> tuple[Line, ...]:
        """The promises that it breaks, and the checks of a clone of torch's that it fails."""
        return tuple(ln for ln in (*self.promises, *self.as_torch) if ln.word is Word.BROKEN)

    @property
    def too_far(self) -> tuple[Accuracy, ...]:
        """The dtypes in which it is further off than its author's bound allows."""
        if self.bound is None:
            return ()
        return tuple(a for a in self.accuracies if not a.radii <= self.bound)

    @property
    def left(self) -> tuple[Accuracy, ...]:
        """The dtypes in which it does not follow what it follows else."""
        return tuple(a for a in self.accuracies if a.left)

    @property
    def unbounded(self) -> bool:
        """Whether its author has set a bound, and there is no figure that it can hold."""
        return self.bound is not None and self.found is not None and not self.accuracies

    @property
    def ok(self) -> bool:
        """Whether it follows its rule within the bound and breaks no promise."""
        return not self.faults()

    @property
    def asked(self) -> int:
        """How many questions have an answer."""
        lines = Counter(line.word for line in (*self.promises, *self.as_torch))
        answered = lines[Word.KEPT] + lines[Word.BROKEN]
        return (self.found is not None) + len(self.accuracies) + answered

    def outcome(self, check: str) -> tuple[bool | None, str]:
        """Whether one check of :meth:`Checking.checks` is passed, None if it has no answer; why."""
        if check == RULE:
            told = self._of_the_rule()
            return (None, "not promised") if self.own and not told else (not told, "".join(told))
        if self.fault and not self.promises:
            return None, self.fault
        if check in self.late:
            return False, self.rest
        if check.startswith(ACCURACY):
            return self._of_accuracy(check.removeprefix(ACCURACY))
        (line,) = (line for line in self.promises if line.name == check)
        passed = {Word.KEPT: True, Word.BROKEN: False}.get(line.word)
        return passed, line.why or line.word

    def _of_the_rule(self) -> list[str]:
        """What is wrong about the rule it follows."""
        if self.found is None and not (self.own and self.promises):
            return [f"{self.name} {self.fault}"]
        if self.found is None or self.follows or self.own:
            return []
        if self.claim is None:
            return [str(self.found)]
        return [f"{self.found}; its author claims {self.claim}"]

    def _of_accuracy(self, dtype: str) -> tuple[bool | None, str]:
        for accuracy in self.accuracies:
            if accuracy.dtype == dtype:
                return accuracy not in (*self.too_far, *self.left), str(accuracy)
        if failed := dict(self.failed).get(dtype):
            return False, failed
        why = dict(self.refused).get(dtype, "it follows no known rule")
        if self.unbounded:
            return False, f"{why}: no figure that the bound can hold"
        return None, why

    def faults(self) -> list[str]:
        """What is wrong, a sentence for each fault."""
        sentences = self._of_the_rule()
        if self.left and self.found:
            dtypes, off = _off(self.left)
            sentences.append(f"in {dtypes} it does not follow {self.found.fits[0]}: {off}")
        if self.too_far:
            dtypes, off = _off(self.too_far)
            verb = "is" if len(self.too_far) == 1 else "are"
            sentences.append(f"{dtypes} {verb} {off}; its author's bound is {self.bound:g}")
        reasons = dict.fromkeys(why for _, why in self.failed)
        same = {why: [dtype for dtype, other in self.failed if other == why] for why in reasons}
        sentences += [f"{', '.join(dtypes)}: {why}" for why, dtypes in same.items()]
        if self.unbounded:
            sentences.append(f"there is no figure that the bound of {self.bound:g} radii can hold")
        if self.late:
            sentences.append(f"{self.rest}, and {len(self.late)} of the questions have no answer")
        return sentences + faults((*self.promises, *self.as_torch))

    def __str__(self) -> str:
        """The one line that a person can quote."""
        if self.found is None:
            return f"{self.name} {self.fault}"
        parts = [str(self.found) + self._among(), *map(str, self.accuracies)]
        if first := alike(self.broken):
            more = len(self.broken) - len(first)
            parts.append(f"breaks: {', '.join(first)}{f' and {more} more alike' if more else ''}")
        return "; ".join(parts)

    def _among(self) -> str:
        """In which dtypes it follows its rule, if not in all."""
        held = ", ".join(a.dtype for a in self.accuracies if not a.left)
        return f" in {held or 'float64'}" if self.left else ""

    def to_json(self) -> dict[str, Any]:
        """The report as plain data, as ``oracles/reports/check.schema.json`` describes it."""
        return {
            "schema": 1,
            "oracles": importlib.metadata.version("optimizer-oracles"),
            "subject": self.name,
            **vars(self.draws),
            "ok": self.ok,
            "follows": self.follows,
            "summary": str(self),
            "faults": self.faults(),
            "claim": None if self.claim is None else str(self.claim),
            "rule": self.found and self.found.to_json(),
            "declined": dict(self.declined),
            "bound": self.bound,
            "accuracy": [_finite(asdict(accuracy)) for accuracy in self.accuracies],
            "refused": [{"dtype": dtype, "why": why} for dtype, why in self.refused],
            "failed": [{"dtype": dtype, "why": why} for dtype, why in self.failed],
            "promises": [asdict(line) for line in self.promises],
            "as_torch": [asdict(line) for line in self.as_torch],
            "printed": self.printed,
            "asked": self.asked,
        }


def _off(some: Sequence[Accuracy]) -> tuple[str, str]:
    """Dtypes, and how far off the worst of them is: several that are off are one fault."""
    worst = max(some, key=lambda a: a.radii)
    where, most = ("", "") if len(some) == 1 else (f"{worst.dtype}, ", "up to ")
    off = f"off by {most}{worst.radii:.2g} radii ({where}{worst.setting})"
    return ", ".join(a.dtype for a in some), off


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: null stands for it."""
    infinite = {name for name, value in record.items() if value == math.inf}
    return {name: None if name in infinite else value for name, value in record.items()}
