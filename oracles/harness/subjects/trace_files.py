"""Recorded runs in files: ``.npz``, ``.csv`` and ``.jsonl``, which any language can write.

A file has a row for each step, with the parameters *before* that step, what its gradient was and
the hyperparameters in force; and one row more with the parameters after the last step. The names
are the same in all three:

``w``, ``g``            a parameter and its gradient
``w.bias``, ``g.bias``  those of a parameter that has a name, where there are several
anything else           a hyperparameter, under torch's name or a usual one (``beta1``, ``beta2``,
                        or both as ``betas``); one that is not in a row is what it was in the row
                        before

======== ===========================================================================================
CSV      columns; an element a column, ``w[0]``, ``w[1]`` or ``w.weight[0,1]``, or counted from 1;
         ``w1``, ``w2`` are elements, too
JSON     an object a line: ``{"w": [1.0, 2.0], "g": [0.5, 0.5], "lr": 0.1}``
NPZ      arrays: ``w`` (steps + 1, ...), ``g`` (steps, ...), hyperparameters (steps,) or one number
======== ===========================================================================================

Numbers in text are taken for what the run had to the bit, as languages print them by default; and
if that fits nothing, for rounded to the digits that were written
(:func:`read` gives both readings).
"""

from __future__ import annotations

import csv
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oracles.harness.arithmetic.formats import FORMATS, FULL, FloatArray, round_to
from oracles.harness.subjects.aliases import ALIASES
from oracles.harness.subjects.trace import Trace

Rows = list[tuple[str, dict[str, Any]]]
"""Where each row is, and by name what is in it: numbers as they are written, in lists."""


DIGITS = 8
"""Fewer do not tell one number of float32 from the next: who writes them to the bit needs so many
for most numbers."""


MANY = 32
"""So many numbers are not all in a half format by chance: one in 2¹³ of float32's is in float16."""

COUNTED = ("step", "global_step", "iteration", "iter", "epoch")
"""What a log of rates may count."""

RATES = ("lr", *ALIASES["lr"])
"""What it may call them."""


class TraceError(ValueError):
    """A file is no record of a run; the message says where it is off, and what is allowed."""


def read(path: Path) -> tuple[Trace, ...]:
    """What a file may say, whose name ends in ``.npz``, ``.csv`` or ``.jsonl``.

    The strictest reading first: in float64, or in float32 if all its numbers can be that; to the
    bit, or rounded to the digits that were written; at last in a half format that so many numbers
    are in only if the run was.

    Raises:
        TraceError: it is no record of a run, or cannot be read.
    """
    loaded = _loaded(path)
    table = loaded if isinstance(loaded, Table) else _table(path, loaded)
    dtypes = [dtype for dtype in FULL if table.may_be(dtype)]
    exact = [table.trace(path.stem, d) for d in dtypes if d == "float64" or table.digits >= DIGITS]
    cut = [table.trace(path.stem, d, rounded=True) for d in dtypes if table.is_cut(d)]
    half = [d for d in ("bfloat16", "float16") if table.must_be(d)][:1]  # the one of fewer digits
    return (*exact, *cut, *(table.trace(path.stem, d) for d in half))


def rates(path: Path) -> list[float]:
    """The rates of a log that has them, changing, and no parameters; none of any other file.

    Raises:
        TraceError: it cannot be read, or what it counts does not go on by one from row to row.
    """
    loaded = _loaded(path)
    columns = loaded.values if isinstance(loaded, Table) else _counts_and_rates(loaded)
    names = [name for name in columns if name in RATES]
    if any(map(_letter, columns)) or len(names) != 1:
        return []
    found: list[float] = np.ravel(columns[names[0]]).tolist()
    if len({*found}) == 1:
        return []
    steps = {own: np.diff(column) for own, column in columns.items() if own in COUNTED}
    if steps and not any((step == 1).all() for step in steps.values()):
        own = min(steps)
        by = ", ".join(f"{step:g}" for step in dict.fromkeys(steps[own]))
        raise TraceError(
            f"{path.name} counts {own!r} by {by}; allowed: a rate for each step or each epoch, one "
            "after another"
        )
    return found


def _counts_and_rates(rows: Rows) -> dict[str, FloatArray]:
    """What rows of text count, wherever they all do, and their rates; none beside parameters."""
    names, places = dict.fromkeys(name for _, row in rows for name in row), [at for at, _ in rows]
    if any(map(_letter, names)):
        return {}
    texts = {name: [row.get(name) for _, row in rows] for name in names}
    texts = {n: _carried(places[0], n, texts[n]) if n in RATES else texts[n] for n in names}
    read = (n for n in names if n in RATES or (n in COUNTED and None not in texts[n]))
    return {name: _numbers(places, name, texts[name]) for name in read}


def _loaded(path: Path) -> Table | Rows:
    if path.suffix not in _READERS:
        kinds = f"allowed: {', '.join(_READERS)}; an update rule as text is equation='...'"
        raise TraceError(f"{path.name} is of no known kind; {kinds}")
    try:
        loaded: Table | Rows = _READERS[path.suffix](path)
        return loaded
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise TraceError(f"{path.name} cannot be read: {why}") from error


@dataclass(frozen=True)
class Table:
    """What a file has, by name.

    Attributes:
        values: (rows, ...) of parameters; one row less of gradients and hyperparameters.
        radii: how far numbers may be from those that are written, where they are written as text.
        digits: as many as some number is written with.
    """

    values: Mapping[str, FloatArray]
    radii: Mapping[str, FloatArray] = field(default_factory=dict)
    digits: float = math.inf

    def may_be(self, dtype: str) -> bool:
        """Whether all parameters and gradients can be numbers of a dtype, as they are written."""
        return not any(
            np.any(np.abs(round_to(dtype, v) - v) > self.radii.get(name, 0.0))
            for name, v in self.values.items()
            if _letter(name)
        )

    def must_be(self, dtype: str) -> bool:
        """Whether there are many parameters and gradients, and all are numbers of a dtype."""
        values = [np.ravel(v) for name, v in self.values.items() if _letter(name)]
        every = np.concatenate(values) if values else np.zeros(0)
        return every.size >= MANY and np.array_equal(every, round_to(dtype, every))

    def is_cut(self, dtype: str) -> bool:
        """Whether some number has fewer digits than tell it from the next one of a dtype.

        Of a 0 that cannot be seen: it is one where the others have all of theirs.
        """
        u, values = FORMATS[dtype].u, self.values
        cut = ((off > u * np.abs(values[n])) & (values[n] != 0) for n, off in self.radii.items())
        return any(map(np.any, cut))

    def trace(self, name: str, dtype: str, *, rounded: bool = False) -> Trace:
        """As one record.

        Raises:
            TraceError: its parts do not belong together.
        """
        parameters, gradients = _of("w", self.values), _of("g", self.values)
        if set(parameters) == {"w"} and set(gradients) == {"g"}:
            gradients = {"w": gradients["g"]}
        if not gradients:
            there = f"{name} has no gradients among {', '.join(self.values)}"
            raise TraceError(f"{there}; allowed: 'g', or by name 'g.weight', not 'grad.weight'")
        steps = min(map(len, gradients.values()))
        radii = self.radii if rounded else {}
        try:
            return Trace(
                name,
                parameters,
                gradients,
                dict(_schedules({n: v for n, v in self.values.items() if not _letter(n)}, steps)),
                dtype,
                _of("w", radii),
                dict(zip(gradients, _of("g", radii).values(), strict=False)),
            )
        except ValueError as error:
            raise TraceError(f"{name}: {error}") from error


def _of(letter: str, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """By the name of a parameter, what there is of it: its values, or its gradients."""
    return {n.partition(".")[2] or n: v for n, v in values.items() if _letter(n) == letter}


def _letter(name: str) -> str:
    """w for a parameter, g for a gradient, nothing for a hyperparameter."""
    return name[0] if re.fullmatch(r"[wg](\..+)?", name) else ""


PARTS = {
    "betas": ("beta1", "beta2"),
    "etas": ("etaminus", "etaplus"),
    "step_sizes": ("step_size_min", "step_size_max"),
    "ns_coefficients": ("ns_a", "ns_b", "ns_c"),
}
"""What numbers are called that torch takes together; an ``eps`` may be one number as well."""


def _schedules(hyper: Mapping[str, FloatArray], steps: int) -> Iterator[tuple[str, Any]]:
    """Each hyperparameter at each step; those that torch takes together one by one."""
    for name, values in hyper.items():
        parts = PARTS.get(name)
        if parts and values.shape[-1:] == (len(parts),):
            each = np.broadcast_to(values, (steps, len(parts))).T
            yield from zip(parts, map(tuple, each.tolist()), strict=True)
        else:
            each = np.broadcast_to(values, (steps,)) if values.ndim < 1 else values
            yield name, tuple(each.tolist())


def _npz(path: Path) -> Table:
    if not zipfile.is_zipfile(path):
        path.open().close()  # of a file that is not there, it is told
        raise TraceError(f"{path.name} is no file that numpy.savez wrote, or was cut")
    try:
        with np.load(path) as file:
            return Table({name: _floats(name, file) for name in file.files})
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TraceError(f"{path.name}: {error}") from error


def _floats(name: str, file: Any) -> FloatArray:
    try:
        return np.asarray(file[name], dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise TraceError(f"{name} is not of numbers") from error


def _jsonl(path: Path) -> Rows:
    rows: Rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        place = f"{path.name}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
        except json.JSONDecodeError as error:
            raise TraceError(f"{place}, column {error.colno}: {error.msg}") from error
        if not isinstance(row, dict):
            raise TraceError(f"{place} is no object; allowed: one like {{'w': 1.0, 'g': 0.5}}")
        rows.append((place, row))
    return rows


def _csv(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        columns = [name.strip() for name in next(lines, [])]
        within = r"[;\t|]" if len(columns) == 1 else r"[;\t]"  # beside commas, as in "w[0,1]"
        if other := re.search(within, ",".join(columns)):
            told = f"{path.name} is separated by {other[0]!r}"
            raise TraceError(f"{told}; allowed: commas between cells, and points in numbers")
        columns = [re.sub(r"^([wg])_?(\d+)$", r"\1[\2]", name) for name in columns]
        rows: Rows = []
        for cells in lines:
            place = f"{path.name}, line {lines.line_num}"
            if not any(map(str.strip, cells)):
                continue
            if len(cells) != len(columns):
                raise TraceError(
                    f"{place} has {len(cells)} of the cells; allowed: {len(columns)}, of which "
                    "those of a row after the last step may be empty"
                )
            there = {n: c.strip() for n, c in zip(columns, cells, strict=True) if c.strip()}
            rows.append((place, _gathered(place, there)))
    return rows


def _gathered(place: str, cells: Mapping[str, str]) -> dict[str, Any]:
    """Elements ``w[0,1]`` as the nested lists that they are part of."""
    row: dict[str, Any] = {}
    arrays: dict[str, dict[tuple[int, ...], str]] = {}
    for column, cell in cells.items():
        name, bracket, inside = column.partition("[")
        if not bracket:
            row[name] = cell
            continue
        try:
            index = tuple(int(i) for i in inside.rstrip("] ").split(","))
        except ValueError as error:
            raise TraceError(f"{place}, column {column!r}: allowed are w[0] or w[0,1]") from error
        arrays.setdefault(name, {})[index] = cell
    if twice := [name for name in arrays if name in row]:
        raise TraceError(f"{place} has {twice[0]!r} beside elements of it; allowed: one of them")
    return row | {name: _nested(place, name, cells) for name, cells in arrays.items()}


def _nested(place: str, name: str, cells: Mapping[tuple[int, ...], str]) -> Any:
    axes = [*zip(*cells, strict=True)]
    first = int(all(min(axis) == 1 for axis in axes))  # as Julia, R and MATLAB count
    array = np.empty([max(axis) + 1 - first for axis in axes], dtype=object)
    for index, cell in cells.items():
        array[tuple(i - first for i in index)] = cell
    if len(cells) != array.size:
        low, high = (",".join(str(end(axis)) for axis in axes) for end in (min, max))
        raise TraceError(
            f"{place}: {name} has {len(cells)} elements from {name}[{low}] to {name}[{high}]; "
            "allowed: all of them, counted from 0 or from 1"
        )
    return array.tolist()


def _table(path: Path, rows: Rows) -> Table:
    """Rows of text as arrays of numbers."""
    names = dict.fromkeys(name for _, row in rows for name in row)
    if len(rows) < 2 or not any(_letter(name) == "w" for name in names):
        there = f" with {', '.join(names)}" if names else ""
        raise TraceError(
            f"{path.name} has {len(rows)} rows{there}; allowed: one for each step with w and g, "
            "and one with the w after the last step; or, in a log of rates, an lr that changes"
        )
    rows = [*rows[:-1], _after(*rows[-1])]
    values, written = {}, {}
    for name in names:
        letter = _letter(name)
        given = rows if letter == "w" else rows[:-1]
        texts = [_cell(place, row, name, letter) for place, row in given]
        if not letter:
            texts = _carried(rows[0][0], name, texts)
        values[name] = _numbers([place for place, _ in given], name, texts)
        if letter:
            cells = np.array(texts, dtype=object).ravel()
            written[name] = [_Written.of(str(text)) for text in cells]
    if any(_letter(n) == "g" and rows[-1][1].get(n) is not None for n in names):
        raise TraceError(
            f"{rows[-1][0]} has a gradient; allowed: the parameters after the last step alone"
        )
    numbers = [number for column in written.values() for number in column]
    digits = max(1, *(number.digits for number in numbers))
    decimals = max(number.decimals for number in numbers)
    radii = {
        name: _radii(column, digits, decimals).reshape(values[name].shape)
        for name, column in written.items()
    }
    return Table(values, radii, digits)


def _after(place: str, row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The row after the last step: a gradient or hyperparameter that is nan there is none."""
    return place, {n: text for n, text in row.items() if _letter(n) == "w" or not _is_nan(text)}


def _is_nan(text: Any) -> bool:
    """Whether all that is written is no number, as tables are filled up with.

    >>> _is_nan(["nan", "NaN"]), _is_nan("0.1"), _is_nan("x")
    (True, False, False)
    """
    try:
        return bool(np.isnan(np.array(text, dtype=np.float64)).all())
    except (TypeError, ValueError):
        return False


def _cell(place: str, row: Mapping[str, Any], name: str, letter: str) -> Any:
    if letter and row.get(name) is None:
        raise TraceError(f"{place} has no {name!r}; allowed: a number or a list of numbers")
    return row.get(name)


def _carried(place: str, name: str, texts: list[Any]) -> list[Any]:
    """A hyperparameter that is not in a row is what it was before."""
    if texts[0] is None:
        raise TraceError(f"{place} has no {name!r}; allowed: every hyperparameter in the first row")
    for number, text in enumerate(texts):
        texts[number] = texts[number - 1] if text is None else text
    return texts


def _numbers(places: Iterable[str], name: str, texts: list[Any]) -> FloatArray:
    rows: list[FloatArray] = []
    dtype = str if _letter(name) else np.float64  # of what is no switch, true is no number
    for place, text in zip(places, texts, strict=True):
        try:
            row = np.array(text, dtype=dtype).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TraceError(f"{place}: {name!r} is {text!r}; allowed: numbers") from error
        if rows and row.shape != rows[0].shape:
            raise TraceError(f"{place}: {name!r} has shape {row.shape}; before: {rows[0].shape}")
        rows.append(row)
    return np.stack(rows)


class _Written(NamedTuple):
    """A number as text: its size, how many digits it has, and how many after the point."""

    size: float
    digits: int
    decimals: int

    @classmethod
    def of(cls, text: str) -> _Written:
        mantissa, _, exponent = text.lower().lstrip("+-").partition("e")
        decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
        return cls(abs(float(text)), len(mantissa.replace(".", "").lstrip("0")), decimals)


def _radii(written: list[_Written], digits: int, decimals: int) -> FloatArray:
    """Half a unit of the last digit that was written, of any parameter or gradient in the file.

    Whoever writes a file writes all of it alike: that a number is short says nothing of how it was
    rounded. Whether to decimals or to significant digits cannot be seen: the larger.
    """
    with np.errstate(divide="ignore"):
        leading = np.floor(np.log10([number.size for number in written]))
    return np.maximum(0.5 * 10.0**-decimals, 0.5 * 10.0 ** (leading - digits + 1))


_READERS: Mapping[str, Callable[[Path], Any]] = {".npz": _npz, ".csv": _csv, ".jsonl": _jsonl}

KINDS = tuple(_READERS)
"""What the names of files end in that can be read."""
