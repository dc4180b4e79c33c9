"""What is to be said of a training loop: a record, in words and as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from oracles.harness.evidence.fits.hunt import Partial
from oracles.harness.evidence.fits.settings import Setting
from oracles.harness.training.batches import FULL
from oracles.harness.training.loop import Loop

IN_ORDER = (
    "Rows that are shuffled, or drawn by chance, cannot be followed: ask with rows in their order, "
    "or all of them at once."
)
"""What is said where no account holds, and the order of rows may be why."""

BY_CHANCE = f"Two calls that are the same differ. {IN_ORDER}"
"""What is said where that is seen."""


@dataclass(frozen=True)
class FitIdentification:
    """What a training loop does.

    Attributes:
        name: of the code.
        fits: the accounts that hold all its answers, those that differ least from torch's rule.
        also: the same loop by torch's rule itself, with numbers of its own, if there is such a one.
        ruled_out: how many accounts some answer excluded.
        nearest: where nothing fits, the account that holds in most settings, if one holds in any,
            and there comes closest.
        limits: where the answer ends.
        untold: what these settings cannot tell, and what would.
        form: what is unusual about how it takes its data.
        written: hyperparameters that the code does not take and acts with.
        bias: whether it is to be said that the bias is decayed, or not.
        example: numbers on which it and torch's rule part.
        order: what is to be said of the order of rows, where nothing fits.
        seen: with what it was asked; None where nothing fits.
    """

    name: str
    fits: tuple[Loop, ...]
    also: tuple[Loop, ...] = ()
    ruled_out: int = 0
    nearest: Partial | None = None
    limits: str = ""
    untold: tuple[str, ...] = ()
    form: str = ""
    written: tuple[tuple[str, float], ...] = ()
    bias: bool = False
    example: Example | None = None
    order: str = ""
    seen: Seen | None = None

    def __str__(self) -> str:
        if not self.fits:
            near = f"; {self.nearest}" if self.nearest else ""
            known = f"no known account of a linear model ({self.ruled_out:,} were ruled out)"
            said = f"{self.name} follows {known}"
            return said + near + self.limits
        also = "".join(f"; the same as {_told(loop)}" for loop in self.also)
        found = " or ".join(_told(loop, bias=self.bias) for loop in self.fits)
        numbers = ((n, v if isinstance(v, bool) else f"{v:g}") for n, v in self.written)
        written = "".join(f"; {name} is {number} in it" for name, number in numbers)
        return f"{self.name} minimizes {found}{also}{written}{self.limits}"

    def remarks(self) -> list[str]:
        """What there is to say beside the answer: a line each."""
        form = [f"asked with {self.form}"] if self.form else []
        hand = [str(self.example)] if self.example else []
        seen = [f"seen with {self.seen}; what it does beyond was not asked"] if self.seen else []
        return [*hand, *form, *self.untold, *filter(None, [self.order]), *seen]

    @property
    def torchs(self) -> bool:
        """Whether it is torch's own rule, with the numbers that are given."""
        return bool(self.fits) and self.fits[0].torchs and not self.limits

    def to_json(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "fits": [_plain(loop) for loop in self.fits],
            "also": [_plain(loop) for loop in self.also],
            "nearest": _plain(self.nearest.loop) if self.nearest else None,
            "untold": list(self.untold),
            "form": self.form,
            "written": dict(self.written),
            "example": asdict(self.example) if self.example else None,
            "seen": asdict(self.seen) if self.seen else None,
        }


def _plain(loop: Loop) -> dict[str, Any]:
    """An account as plain data."""
    return {
        "said": _told(loop),
        "loss": asdict(loop.loss),
        "rule": loop.candidate.rule.name,
        "conventions": [c.name for c in loop.candidate.conventions],
        "batches": asdict(loop.batches),
        "bias_decayed": loop.bias_decayed,
        "counted": loop.counted,
        "lr": loop.lr,
        "weight_decay": loop.weight_decay,
    }


def _told(loop: Loop, *, bias: bool = False) -> str:
    """An account in words."""
    scales = {"lr": loop.lr, "weight_decay": loop.weight_decay}
    scaled = " and ".join(name + scale for name, scale in scales.items() if scale)
    words = f"{loop.loss} by {loop.candidate}"
    words += f" with {scaled}" if scaled else ""
    words += " (m being all rows)" if loop.counted == "all" else ""
    words += f", {loop.batches}" if loop.batches != FULL else ""
    words += f"; the bias is {'decayed, too' if loop.bias_decayed else 'not decayed'}" * bias
    return words


@dataclass(frozen=True)
class Seen:
    """What a loop was given.

    Attributes:
        hyper: ranges of each hyperparameter that it takes.
        rows: how many, at least and at most.
        epochs: how many, at most.
        gradients: how long one of all rows was, at most.

    >>> print(Seen({"lr": (0.0001, 1.0)}, (2, 1000), 60, 6.12))
    lr from 0.0001 to 1, 2 to 1,000 rows, up to 60 epochs, gradients of a length of up to 6.1
    """

    hyper: Mapping[str, tuple[float, float]]
    rows: tuple[int, int]
    epochs: int
    gradients: float

    @classmethod
    def of(cls, asked: Sequence[Setting], gradients: float) -> Seen:
        """What is in some settings."""
        given = [dict(setting.given) for setting in asked]
        names = [name for name, value in given[0].items() if not isinstance(value, bool)]
        values = {name: [float(one[name]) for one in given] for name in names}
        rows = [setting.m for setting in asked]
        return cls(
            {name: (min(some), max(some)) for name, some in values.items()},
            (min(rows), max(rows)),
            max(setting.epochs[-1] for setting in asked),
            gradients,
        )

    def __str__(self) -> str:
        hyper = (f"{name} from {low:g} to {high:g}" for name, (low, high) in self.hyper.items())
        rows = "{:,} to {:,} rows".format(*self.rows)
        length = f"gradients of a length of up to {self.gradients:.2g}"
        return ", ".join([*hyper, rows, f"up to {self.epochs} epochs", length])


@dataclass(frozen=True)
class Example:
    """The smallest numbers on which an answer and torch's rule part, to be worked by hand.

    Attributes:
        given: hyperparameters.
        epoch: after which they are seen to part.
        got: the weights, and the bias if there is one, end to end.
        torchs: what torch's rule would give.
        loss: on which.
    """

    given: tuple[tuple[str, Any], ...]
    epoch: int
    got: tuple[float, ...]
    torchs: tuple[float, ...]
    loss: str

    def __str__(self) -> str:
        given = ", ".join(f"{name} = {value:g}" for name, value in self.given if value)
        got, torchs = (", ".join(f"{v:.4g}" for v in each) for each in (self.got, self.torchs))
        return (
            f"by hand: x = 1 and 2 with labels 0 and 1, {given}: {got} after {self.epoch} epochs; "
            f"torch's rule on {self.loss} gives {torchs}"
        )
