"""Which accounts of a training loop hold, for one rule and one reading of its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

from oracles.harness.candidates import MOST, Candidate, candidates
from oracles.harness.evidence.fits.evidence import Evidence
from oracles.harness.evidence.fits.settings import (
    FEWER,
    ROWS,
    TOLD,
    UNTOLD,
    Setting,
    crowded,
    far_off,
    firsts,
)
from oracles.harness.evidence.sifting import MARGINS
from oracles.harness.oracle import Margin
from oracles.harness.training.batches import Batches
from oracles.harness.training.loop import SCALES, Loop
from oracles.harness.training.losses import LOSSES
from oracles.rule import Rule


@dataclass(frozen=True, order=True)
class Partial:
    """How far an account held.

    Attributes:
        settings: in how many settings.
        off: by how much it then left the answer, in terms of the largest weight, negated.
        loop: the account.
        setting: the first one in which it did not hold.
    """

    settings: int
    off: float
    loop: Loop = field(compare=False)
    setting: str = field(compare=False)

    def __str__(self) -> str:
        return (
            f"with a learning rate alone it minimizes {self.loop.loss}, {self.loop.batches}, but "
            f"with {self.setting} nothing known holds (nearest: {self.loop.candidate}, off by "
            f"{-self.off:.1g} of the largest weight)"
        )


UNASKED = frozenset({"schedule", "maximize", "vector"})
"""What no setting has: the learning rate of a loop stays what it is; which parameters are decayed
is a question of its own."""


@dataclass(eq=False)
class Hunt:
    """The accounts of one rule that hold one reading of a loop's answers.

    Attributes:
        evidence: the loop's answers, in one reading.
        rule: which it may step by.
        settings: what it is asked.
        most: how many conventions are combined at most.
        scaled: whether rate and decay may be scaled before the rule sees them.
        ruled_out: how many accounts did not hold.
        nearest: the account that came closest where none held any more, if one ever did.
    """

    evidence: Evidence
    rule: Rule
    settings: list[Setting]
    most: int = MOST
    scaled: bool = False
    ruled_out: int = 0
    nearest: Partial | None = None

    def accounts(self) -> list[Loop]:
        """Those that hold on all rows at once."""
        plain, *rest = self.full
        rates = SCALES if self.scaled and self.rule.linear else ("",)
        first = [
            Loop(loss, core, batches, lr=lr)
            for batches in self.ways[:3]
            for loss in LOSSES
            for lr in rates
            for core in self.cores(plain)
        ]
        return self.sifted(list(self.decayed(self.sifted(first, [plain]))), rest)

    def decays(self) -> Iterator[float]:
        """Weight decays with which torch's own rule holds while nothing but a rate is given.

        Of code that divides them by the rows, what it divides.
        """
        plain, flags = self.full[0], (True, False) if self.evidence.biased else (True,)
        for batches, loss, flag in product(self.ways[:3], LOSSES, flags):
            loop = Loop(loss, Candidate(self.rule), batches, bias_decayed=flag)
            if (decay := self.evidence.decay(loop, plain)) > 0:
                yield from (decay, decay * plain.m)

    @property
    def ways(self) -> tuple[Batches, ...]:
        """What it may do in batches."""
        return TOLD if "batch_size" in self.evidence.box.takes(()) else UNTOLD

    @cached_property
    def full(self) -> list[Setting]:
        """Settings on few rows and all at once."""
        return [s for s in self.settings if s.m in (ROWS, FEWER)]

    @cached_property
    def far(self) -> list[Setting]:
        """What is asked last on few rows, as far as it is answered."""
        return [s for s in far_off(self.rule, self.settings) if self.evidence.answers(s)]

    @cached_property
    def crowded(self) -> list[Setting]:
        """What is asked last on many rows, if it is answered."""
        setting = crowded(self.evidence.box, self.settings)
        return [setting] if self.evidence.answers(setting) else []

    @cached_property
    def candidates(self) -> list[Candidate]:
        """Those that some setting asks for."""
        asked = {
            c.name
            for c in self.rule.conventions
            if not c.parts & UNASKED and any(s.active(c) for s in self.settings)
        }
        return [c for c in candidates(self.rule, self.most) if c.names <= asked]

    def core(self, candidate: Candidate, setting: Setting) -> Candidate:
        """What a candidate comes to in a setting."""
        some = tuple(c for c in candidate.conventions if setting.active(c))
        return Candidate(self.rule, some)

    def cores(self, setting: Setting) -> list[Candidate]:
        """What all candidates come to."""
        found = (self.core(c, setting) for c in self.candidates)
        return firsts(found, lambda candidate: candidate.names)

    def decayed(self, loops: list[Loop]) -> Iterator[Loop]:
        """Accounts that come to the given ones in the plain setting."""
        plain = self.full[0]
        names = [self.core(c, plain).names for c in self.candidates]
        flags = (True, False) if self.evidence.biased and self.decaying else (True,)
        decays = SCALES if self.scaled and self.decaying else ("",)
        for loop, bias, scale in product(loops, flags, decays):
            for candidate, name in zip(self.candidates, names, strict=True):
                if name == loop.candidate.names:
                    yield from replace(
                        loop, candidate=candidate, bias_decayed=bias, weight_decay=scale
                    ).counts()

    @cached_property
    def decaying(self) -> bool:
        """Whether some setting has weight decay."""
        return any(getattr(s.h, "weight_decay", 0) for s in self.settings)

    def batched(self, loops: Iterable[Loop]) -> Iterator[Loop]:
        """Accounts that come to the given ones on all rows at once, but may differ in batches."""
        for loop, batches in product(loops, self.ways):
            for reduction in ("mean", "sum", "share"):
                loss = replace(loop.loss, reduction=reduction)
                yield from replace(loop, loss=loss, batches=batches).counts()

    def sifted(self, loops: list[Loop], settings: Sequence[Setting]) -> list[Loop]:
        """The accounts that are near in each setting, one of those that come to the same."""
        for setting in settings:
            left = [loop for loop in loops if self.evidence.near(loop, setting)]
            self.ruled_out += len(loops) - len(left)
            if loops and not left:
                self._note(loops, setting)
            loops = left
        return firsts(loops, lambda loop: tuple(self.evidence.same(loop, s) for s in settings))

    def _note(self, loops: list[Loop], setting: Setting) -> None:
        """Remember which account came closest where none held any more, if one ever did."""
        asked = self.settings
        number = asked.index(setting) if setting in asked else len(asked)
        for loop in loops if number and not self.scaled else []:
            near = Partial(number, -self.evidence.farthest(loop, setting), loop, setting.what)
            self.nearest = near if self.nearest is None else max(self.nearest, near)

    def proven(self, loops: list[Loop]) -> list[Loop]:
        """The accounts whose margin holds all answers on few rows, and says something of most."""
        for margin in self.margins:
            found = [loop for loop in loops if self.speaks(loop, margin)]
            if found:
                return found
        return []

    @property
    def margins(self) -> Sequence[Margin]:
        """In float64 the narrow one: what scalars in float32 may do there is as much as an ε may.

        Where all is float32 they make little difference.
        """
        short = self.evidence.dtype(self.full[0]) == "float32"
        return MARGINS if short else MARGINS[:1]

    def lasting(self, loops: list[Loop]) -> list[Loop]:
        """The accounts that hold far off as well."""
        return self.sifted(loops, self.far) if loops else []

    def speaks(self, loop: Loop, margin: Margin) -> bool:
        """Whether an account's margin holds all answers on few rows, and is narrow for most."""
        narrow = 0
        for setting in self.full:
            inside, known = self.evidence.within(loop, margin, setting)
            if not inside:
                return False
            narrow += known
        return 2 * narrow > len(self.full)

    def holds(self, loop: Loop, settings: Sequence[Setting]) -> bool:
        """Whether an account's wider margin holds all answers in further settings."""
        return all(self.evidence.within(loop, self.margins[-1], s)[0] for s in settings)
