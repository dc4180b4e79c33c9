"""The page on what the arguments of other frameworks mean, from what was seen of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from oracles.dictionary.decays import FORMS
from oracles.dictionary.frameworks import Seen
from oracles.optimizers.registry import RULES
from oracles.reports.text import line

HEAD = """\
# What the arguments of other frameworks' optimizers mean

Each row is from a run: the optimizer was asked for its steps, in float64 if it computes in that,
and `oracles.identify` found the one combination of known conventions that holds them. `python -m
benchmarks.frameworks --write` asks what is installed and writes this page anew (rows of what is not
installed stay, with the version that was seen); `tox -m frameworks` holds it against the versions
pinned in `tox.ini`.
Differences to `torch.optim`'s rule of that name are spelled out; "as torch" is none, "–" is no such
argument. Equations are those of `oracles explain RULE`, which has the symbols.

`oracles translate --from keras.SGD --to torch.SGD lr=0.1 momentum=0.9` says which numbers to type.
"""

NOTES = {
    "sklearn.SGDRegressor": "its decay stops at 0, w = max(1 − γλ, 0)w − γg: with γλ above 1, "
    "where it was not asked, it is not torch's.",
    "mxnet.NAG": "its kernel writes the weight before the momentum, which then remembers the decay "
    "of the weight just written: w + (1 + μ)v' − μv with v' = μv − γ(g + λw), but what is kept is "
    "μv − γ(g + λw') with the new w'. Without decay it is the standard form, always on.",
    "mxnet.Nadam": "its product of momenta belongs to the optimizer and is multiplied once a "
    "parameter, not once a step, so that parameters change each other's steps. With a single one "
    "it is torch's rule.",
    "mindspore.RMSProp": "its CPU kernel takes eight numbers at once and adds ε outside of the "
    "root there, D = √v + ε; those that are left over, up to seven at the end of a tensor, have "
    "it inside, D = √(v + ε), as documented. Centered, all have it inside. The rest is TensorFlow "
    "1's: v starts at 1, and b = μb + γ d/D, w = w − b.",
}
"""Of optimizers that fit nothing, or not all, why: read in their source and seen in their steps."""

MOMENTUM = ("momentum", "velocity", "buffer", "dampened")
LOOKING_AHEAD = ("nesterov", "amsgrad")
COLUMNS = ("weight decay", "momentum, first step", "ε", "nesterov, amsgrad", "other")
TITLES = ("optimizer", "rule", *COLUMNS, "biases decayed", "arguments (torch's name)")


def page(rows: Iterable[Seen]) -> str:
    """All rows, framework by framework.

    >>> row = Seen("mine.SGD", "mine 1.0", "SGD", ("batch_scaled",), {"lr": "lr"}, {}, None)
    >>> print(page([row]).splitlines()[-1])
    | `mine.SGD` | SGD | batch_scaled: d = g + (λ/m)w | – | – | – | as torch | – | `lr` |
    """
    told, rows = [HEAD], list(rows)
    version = ""
    for row in rows:
        if row.version != version:
            version = row.version
            told += ["", f"## {version}", "", line(TITLES), line(["---"] * len(TITLES))]
        told.append(line(_cells(row)))
    told += ["", *(f"* `{row.name}`: {NOTES[row.name]}" for row in rows if row.name in NOTES)]
    return "\n".join(told).rstrip() + "\n"


def _cells(row: Seen) -> list[str]:
    if row.conventions is None:
        said = ["fits no known combination of conventions", *[""] * (len(COLUMNS) - 1)]
    else:
        said = [_differing(row, column) for column in COLUMNS]
    biases = {True: "yes", False: "no", None: "–"}[row.decays_biases]
    return [f"`{row.name}`", row.rule, *said, biases, ", ".join(_arguments(row))]


def column(name: str) -> str:
    """Where a convention belongs.

    >>> column("eps_hat"), column("lr_in_velocity"), column("decoupled"), column("uncorrected")
    ('ε', 'momentum, first step', 'weight decay', 'other')
    """
    if name in FORMS:
        return COLUMNS[0]
    if name.startswith("eps_"):
        return COLUMNS[2]
    if name.startswith(LOOKING_AHEAD):
        return COLUMNS[3]
    return COLUMNS[1] if any(word in name for word in MOMENTUM) else COLUMNS[4]


ASKED: dict[str, Sequence[str]] = {
    COLUMNS[0]: ("weight_decay",),
    COLUMNS[1]: ("momentum",),
    COLUMNS[2]: ("eps",),
    COLUMNS[3]: LOOKING_AHEAD,
}
"""By column, the arguments without which it says nothing."""


def _differing(row: Seen, title: str) -> str:
    rule = RULES[row.rule]
    found = [
        f"{name}: {rule.convention(name).equation}"
        for name in row.conventions or ()
        if column(name) == title and name != "bias_undecayed"
    ]
    if found:
        return "; ".join(found)
    asked = ASKED.get(title)
    return "as torch" if asked is None or set(asked) & set(row.names) else "–"


def _arguments(row: Seen) -> list[str]:
    always = [f"always {name}={value}" for name, value in row.always.items()]
    return [*(_argument(own, name, row) for name, own in row.names.items()), *always]


def _argument(own: str, name: str, row: Seen) -> str:
    default: Any = f"={row.defaults[own]}" if own in row.defaults else ""
    return f"`{own}{default}`" if own == name else f"`{own}{default}` ({name})"
