"""Why some mutants survive and are no hole; and which holes are known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.meta.mutation import Mutant

COMPILED = r"(is_scripting|is_compiling|is_dynamo_compiling|_stack_if_compiling)"

CONSTANT = r"^(None|False|True|[\d.e-]+) -> "

HOLE = "HOLE: "
"""What a reason begins with that is none: a hole that is known."""


@dataclass(frozen=True)
class Row:
    """Survivors that all patterns find, and why they survive.

    Attributes:
        why: the reason.
        change: in ``"before -> after"``.
        place: in the text of the statement and of the headers around it.
        where: in ``"file/function"``.
        reached: whether some answer runs the place; None if that does not matter.
    """

    why: str
    change: str = ""
    place: str = ""
    where: str = ""
    reached: bool | None = None

    def covers(self, file: str, mutant: Mutant, *, reached: bool) -> bool:
        """Whether the row is about this survivor."""
        return (
            self.reached in (None, reached)
            and bool(re.search(self.change, f"{mutant.before} -> {mutant.after}", re.DOTALL))
            and bool(re.search(self.place, mutant.place))
            and bool(re.search(self.where, f"{file}/{mutant.function}"))
        )


HARMLESS: Sequence[Row] = (
    # Code that a CPU, or a run outside of a compiler, does not come to.
    Row("only TorchScript or torch.compile comes here", place=COMPILED + r".* / ", reached=False),
    Row("only TorchScript or torch.compile tells them apart", change=COMPILED),
    Row("only TorchScript or torch.compile tells them apart", place=COMPILED + r"[^/]*raise"),
    Row("only a CUDA graph tells them apart", place="graph_capture_health_check"),
    Row("needs parameters on several devices", place=r"_dict\b|\.to\((device|.*non_blocking)"),
    Row("needs a device that keeps its counters itself", place=r"is_cpu", reached=False),
    Row("needs a device without capture", place=r"apturable_supported_devices|device\.type"),
    # What a caller is told.
    Row(
        HOLE + "refusals are asked of constructors only, by tests/torch/test_constructor.py",
        place=r"raise (\w+Error)",
        reached=False,
    ),
    Row(HOLE + "conditions of a refusal that no case meets", place=r"if [^/]*$", where="__init__"),
    Row(HOLE + "what a group keeps, without --tests", where="__init__"),
    Row(HOLE + "a functional entry is told no path", where=r"adamw/adamw$"),
    Row(HOLE + "states of older releases, without --tests", where="__setstate__"),
    # Which path is taken, not what it does.
    Row(
        "which path a CPU takes by default, not what the path does",
        place=r"fused is None|foreach is None|_default_to_fused_or_foreach",
    ),
    Row("defaults that the class never leaves to them", change=CONSTANT, place=r"^\w+: .* = \w+,$"),
    # The same thing, written differently.
    Row("both count as false, or as true", change=r"^(None -> False|False -> None|True -> None)$"),
    Row("parameters, groups and devices do not depend on one another", change=r"\[::-1\]\)$"),
    Row("lists are as long as one another", change=r"strict=True|^True -> ", place="strict=True"),
    Row("never negative", change=r"(\w+|\]) (!=|==) 0 -> .* (<=|>|<|>=) 0$"),
    Row("the order in which views are taken does not matter", change=r"_view_as_real\("),
    Row("the largest of two is that of the other two", change=r"maximum"),
    Row("memory is used again or not; the numbers are the same", place=r"if maximize:[^/]*$"),
    Row("kernels refuse what was refused before them", place="is_sparse|has_sparse_grad"),
    Row(
        "products and sums do not depend on the order",
        change=r"^(\w+) ([*+]) (\w+) -> \(\3 \2 \1\)$",
    ),
)


def reason(file: str, mutant: Mutant, *, reached: bool) -> str:
    """Why a survivor is no hole; empty if nobody has said."""
    return next((row.why for row in HARMLESS if row.covers(file, mutant, reached=reached)), "")
