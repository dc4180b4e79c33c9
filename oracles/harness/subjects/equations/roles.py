"""What the names of an update rule stand for: the parameter, its gradient, hyperparameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from oracles.harness.subjects.aliases import ALIASES
from oracles.harness.subjects.equations.names import identifier
from oracles.harness.subjects.equations.spelling import EquationError, Spelled
from oracles.harness.subjects.equations.tree import BEFORE, Line, ids
from oracles.naming import unknown

GRAD, NABLA = "__grad", "nabla"
"""How ``p.grad`` ends, and what ∇ is called."""

FROM_ZERO = ("epoch", "epochs", "num_updates")
"""Numbers of steps that are 0 at the first one, as loops and schedules count."""

USUAL: Mapping[str, tuple[str, ...]] = {
    "parameter": (
        *("w", "W", "theta", "Theta", "p", "param", "params", "x", "weight", "weights"),
        *("parameter", "parameters", "var", "variable"),
    ),
    "gradient": ("g", "grad", "grads", "gradient", "d_p", "dp", "dw", "dW", "dx", "dtheta", "G"),
    "t": (
        *("t", "step", "steps", "iteration", "iterations", "count", "it", "k", "i"),
        *FROM_ZERO,
    ),
}
"""Names of what is no hyperparameter."""

LETTERS: Mapping[str, tuple[str, ...]] = {
    "alpha": ("rho", "momentum", "lr", "power"),
    "gamma": ("rho", "momentum", "lr"),
    **dict.fromkeys(("beta", "rho", "decay_rate", "smoothing"), ("rho", "momentum")),
    "epsilon": ("eps", "lr"),
    "delta": ("eps",),
    "decay": ("rho", "lr_decay", "weight_decay"),
}
"""Names of several meanings, of which the text shows one. ``rho`` is what averages squares."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "rho": ("rho", "alpha", "beta2"),
    "beta2": ("beta2", "rho", "alpha"),
    "momentum": ("momentum", "beta1"),
    "beta1": ("beta1", "momentum"),
    "lambd": ("lambd", "weight_decay"),
    "power": ("alpha",),
}
"""What rules call a role, whichever they have first; all others have one name."""

COUNTS = frozenset({"t", "t-1"})
"""Roles of the step's number."""

OF_MATRICES = ("d", "beta2_decay")
"""Hyperparameters of Adafactor, which is no matter of one element."""

HYPER = (
    *(name for name in ALIASES if name not in OF_MATRICES),
    *("etaplus", "etaminus", "step_size_min", "step_size_max", "lambd", "t0", "centered"),
)
"""What a text, which says what happens to one element, can be given."""

MEANING: Mapping[str, str] = {
    name: role
    for role in reversed(HYPER)
    for name in (role, *ALIASES.get(role, ()), *("BN" if role == "batch_size" else ""))
    if name not in LETTERS
}
"""Roles by name."""

_TIMES = "[*@]"
_SQUARE = re.compile(rf"\*\* 2|square|addcmul|\b(\w+) {_TIMES} \1\b")


def is_hyper(name: str) -> bool:
    """Whether a name is more likely a hyperparameter than what a step computes."""
    return name in LETTERS or MEANING.get(name, "batch_size") != "batch_size"


def may_be_rate(name: str) -> bool:
    """Whether a name may be that of the learning rate."""
    return "lr" in (MEANING.get(name), *LETTERS.get(name, ()))


def counts(roles: Mapping[str, str]) -> set[str]:
    """What a text calls the number of the step."""
    return {name for name, role in roles.items() if role in COUNTS}


class Roles:
    """Finds them by name, by use where a name has several meanings, or by what is said."""

    def __init__(self, source: Spelled, found: Sequence[Line], names: Mapping[str, str]) -> None:
        self.source = source
        self.lines = [(ast.unparse(line.node), line) for line in found]
        self.written = {name for line in found for name in ids(line.writes)}
        self.open: dict[str, ast.Name] = {}
        """What is read before the text gives it a value, and where."""
        assigned: set[str] = set()
        for line in found:
            for name in line.reads:
                if name.id not in assigned:
                    self.open.setdefault(name.id.removesuffix(BEFORE), name)
            assigned |= {name.id for name in line.writes}
        self.of = dict(self._said(role, word) for role, word in names.items())
        """The role of each name that has one."""
        self.parameter = self._only("parameter", self._parameters())
        self.gradient = self._only("gradient", self._gradients())
        self.computed = self._computed()
        """What the text makes of the gradient: that is no hyperparameter, whatever it is called."""

    def _said(self, role: str, word: str) -> tuple[str, str]:
        known = dict.fromkeys(("parameter", "gradient", "t", "t-1", "rho", *HYPER))
        if role not in known:
            raise EquationError(unknown(f"names: {role!r} is no role", role, known))
        name = identifier(word.replace(".grad", GRAD))
        if name not in self.open:
            given = ", ".join(self.open)
            raise EquationError(f"names: {word!r} is not given to the text; it reads {given}")
        return name, role

    def _only(self, role: str, candidates: list[str]) -> str:
        said = [name for name, known in self.of.items() if known == role]
        candidates = said or [name for name in candidates if name not in self.of]
        if len(candidates) == 1:
            self.of[candidates[0]] = role
            return candidates[0]
        found = f"{' and '.join(candidates)} may each be it" if candidates else "none is found"
        raise EquationError(
            f"a step changes one parameter by one gradient; as {role} {found}: usual names are "
            f"{', '.join(USUAL[role])}, another is told by names={{{role!r}: 'OWN'}}"
        )

    def _parameters(self) -> list[str]:
        graded = [name.removesuffix(GRAD) for name in self.open if name.endswith(GRAD)]
        changed = self.written & self.open.keys()
        return [name for name in dict.fromkeys(graded or USUAL["parameter"]) if name in changed]

    def _gradients(self) -> list[str]:
        certain = [name for name in self.open if name.endswith(GRAD) or name == NABLA]
        usual = [name for name in USUAL["gradient"] if name in self.open]
        return certain or [name for name in usual if name not in self.written] or usual

    def _computed(self) -> set[str]:
        """The gradient, and what is assigned from it or from one of these.

        A rate may be: it does not start at 0, as what is carried does.
        """
        found, known = {self.gradient}, set[str]()
        while found - known:
            known = set(found)
            for _, line in self.lines:
                if ids(line.reads) & known:
                    found |= ids(line.writes)
        return {name for name in found if not may_be_rate(name)}

    def settle(self, ahead: bool) -> dict[str, str]:
        """The role of each name that the text is given.

        Args:
            ahead: whether the text counts in ``t+1`` what it computes in this step.

        Raises:
            EquationError: what a name means is not known.
        """
        for name, node in self.open.items():
            if name not in self.of and name not in self.written:
                self.of[name] = self._count(node, ahead) if self._counts(name) else self._role(node)
            given = is_hyper(name) and name not in self.computed
            if name not in self.of and (given or self._counts(name)):
                self._check_carried(node)
        for node in (node for _, line in self.lines for node in line.reads):
            name, before, _ = node.id.partition(BEFORE)
            if before and name not in {*self.written, self.gradient}:
                self._fail(f"{name} of the step before is not kept: assign it to a name", node)
        roles: dict[str, str] = {}
        for name, role in self.of.items():
            if (other := roles.setdefault(role, name)) != name:
                why = f"{other} and {name} would both be {role}"
                if role == "lr":
                    why += "; write a schedule's factor as 1, its other settings as numbers"
                self._fail(why, self.open[name])
        return self.of

    def _role(self, node: ast.Name) -> str:
        name = node.id.removesuffix(BEFORE)
        if name in MEANING:
            return MEANING[name]
        uses = list(self._uses(name))
        known = [use for use in uses if use in LETTERS.get(name, ())]
        if known and not (known[0] == "lr" and self._raised(name)):
            return known[0]
        if uses[0] == "lr" and not self._may_be_rate(name):
            self._fail(f"{name.rstrip('_')} is not understood: write its value in its place", node)
        return self._ask(node, uses[0], "is not understood:")

    def _raised(self, name: str) -> bool:
        """Whether it is raised to the step's number, as a factor of a schedule is."""
        counts = "|".join(USUAL["t"])
        return any(re.search(rf"\b{name} \*\* \(*({counts})\b", text) for text, _ in self.lines)

    def _may_be_rate(self, name: str) -> bool:
        """Whether something is multiplied by it, and by nothing else that is the rate."""
        others = [own for own in self.open if MEANING.get(own) == "lr"]
        times = rf"\b{name} {_TIMES} |{_TIMES} {name}\b(?! \*\*)"
        return not (others or self._raised(name)) and any(
            re.search(times, text) for text, _ in self.lines
        )

    def _check_carried(self, node: ast.Name) -> None:
        """A step's number is counted first of all; what else is given is not changed."""
        name = node.id.removesuffix(BEFORE)
        counted = next(line for _, line in self.lines if name in ids((*line.reads, *line.writes)))
        if not self._counts(name):
            self._ask(node, MEANING.get(name, "lr"), "changes: give what it becomes a new name, or")
        if name not in ids(counted.writes):
            self._ask(node, "t", "is counted after it was read: count it first, or")

    def _counts(self, name: str) -> bool:
        """Whether it is the number of the step; k and i are if something is raised to them."""
        raised = any(re.search(rf"\*\* \(?{name}\b", text) for text, _ in self.lines)
        return name in USUAL["t"] and (raised or name not in ("k", "i"))

    def _count(self, node: ast.Name, ahead: bool) -> str:
        """Whether it is 1 at the first step (``t``), or 0 (``t-1``).

        Where ``1 − βᵗ`` stands it is 1: else that would be 0 at the first step, and divides.
        """
        name = node.id
        compared = self._first_with(node, rf"\b{name} [=!<>]+ 0\b")
        if not compared and self._first_with(node, rf"\b1(\.0*)? - \w+ \*\* {name}\b"):
            return "t"
        later = self._first_with(node, rf"\b{name} \+ 1\b")
        if (later is not None) != ahead and compared is None and name not in FROM_ZERO:
            plain = self._first_with(node, rf"\b{name}\b(?! \+ 1\b)")
            both = f"{name} stands beside {name} + 1" if later and plain else f"{name} counts steps"
            self._fail(
                f"{both}, and may be 1 or 0 at the first: if it is 1, write {name} = {name} + 1 "
                f"above, or names={{'t': {name!r}}}; if it is 0, names={{'t-1': {name!r}}}",
                later or node,
            )
        return "t-1" if compared or later or name in FROM_ZERO else "t"

    def _first_with(self, node: ast.Name, pattern: str) -> ast.Name | None:
        """Where a name is read in the first statement in which it stands so."""
        found = (line for text, line in self.lines if re.search(pattern, text))
        read = (n for line in found for n in line.reads if n.id == node.id)
        return min(read, key=lambda n: (n.lineno, n.col_offset), default=None)

    def _uses(self, name: str) -> Iterator[str]:
        """The roles that a name can have by what the text does with it, the likeliest first."""
        for text, line in self.lines:
            for target in ids(line.writes) - {self.parameter}:
                old = rf"{target}(?:{BEFORE})?"
                if re.search(
                    rf"\b{name} {_TIMES} {old}\b|\b{old} {_TIMES}=? {name}\b|\b1(\.0*)? - {name}\b"
                    rf"|mul_\({name}\)",
                    text,
                ):
                    same = [other for other, line in self.lines if target in ids(line.writes)]
                    yield "rho" if any(map(_SQUARE.search, same)) else "momentum"
        code = "\n".join(text for text, _ in self.lines)
        moved = rf"\({self.parameter}[\w{BEFORE}]* - {self.parameter}"
        if re.search(rf"\b{name} {_TIMES} {moved}", code):
            yield "momentum"
        if re.search(rf"\b\d+(\.\d*)? \*\* \(*{name}\b", code):
            yield "t"
        if re.search(rf"\*\* {name}\b", code):
            yield "power"
        if re.search(rf"\+ {name}\b(?! [*@/])|(?<![*@/] )\b{name} \+|add_?\({name}\)", code):
            yield "eps"
        if re.search(rf"\b{name} {_TIMES} (?:t|step)\b|\b(?:t|step) {_TIMES} {name}\b", code):
            yield "lr_decay"
        if re.search(rf"\b{name} {_TIMES} {self.parameter}\b", code):
            yield "weight_decay"
        yield "lr"

    def _ask(self, node: ast.Name, role: str, why: str) -> NoReturn:
        name = node.id.removesuffix(BEFORE).rstrip("_")
        self._fail(f"{name} {why} say what it is, such as names={{{role!r}: {name!r}}}", node)

    def _fail(self, reason: str, node: ast.Name) -> NoReturn:
        raise self.source.error(reason, node.lineno, node.col_offset)
