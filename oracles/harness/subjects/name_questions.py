"""What code asks of the names of parameters, and names of which the answers are yes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from oracles.harness.subjects.parameter_names import LAST, NAMES, OTHER, Names, Vocabulary


class Question(NamedTuple):
    """What code asks of a name.

    Attributes:
        how: ``"contains"``, ``"begins"``, ``"ends"``, ``"is"``; ``"piece"``, of what stands between
            dots; ``"part"``, of a model; or ``"wanted"``, of one that may have such a part.
        word: that.
        asked: of which name; empty of a model.
        within: the path of the part of a model that was asked for its names.
        yes: whether the answer was yes.
    """

    how: str
    word: str
    asked: str = ""
    within: str = ""
    yes: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What is asked, of whichever name."""
        return self.how, self.word

    def holds(self, name: str) -> bool:
        """Whether the answer is yes for a whole name.

        >>> Question("ends", ".bias").holds("encoder.bias")
        True
        """
        return HOLDS[self.how](name, self.word)

    def examples(self, count: int = 0, within: str = "") -> dict[int, Names]:
        """By dimension, names of which it is; of so many parts with numbers, if there are any.

        >>> Question("begins", "head.").examples()
        {1: ['head.bias'], 2: ['head.weight']}
        >>> Question("contains", "LayerNorm.weight").examples()
        {1: ['LayerNorm.weight']}
        >>> Question("ends", ".lora_B").examples(), Question("is", "head.weight").examples()
        ({2: ['other.lora_B']}, {2: ['head.weight']})
        >>> Question("begins", "blocks").examples(2)
        {1: ['blocks.0.bias', 'blocks.1.bias'], 2: ['blocks.0.weight', 'blocks.1.weight']}
        >>> Question("contains", "to_k").examples(within="attention")
        {1: ['attention.to_k.bias'], 2: ['attention.to_k.weight']}
        """
        name = self.word
        if within or name.startswith(".") or self.how == "ends":
            name = f"{within or OTHER}.{name.removeprefix('.')}"
        own = name.rpartition(".")[2]
        if own in LAST:
            return {1 if own == "bias" or "norm" in name.lower() else 2: [name]}
        if self.how in ("ends", "is"):
            return {2: [name]}
        name = name.removesuffix(".")
        parts = [f"{name}.{number}" for number in range(count)] or [name]
        more = [f"{within or OTHER}.{self.word}"] if self.how == "piece" else []
        vectors, matrices = ([f"{part}.{own}" for part in parts] for own in LAST)
        return {1: vectors, 2: [*matrices, *more]}


COUNTS = (0, 2, 12)
"""How many parts of a model may go by one word with numbers, in the order in which it is tried."""


def _has_part(name: str, path: str) -> bool:
    return name.startswith(f"{path}.")


HOLDS: Mapping[str, Callable[[str, str], bool]] = MappingProxyType(
    {
        "contains": str.__contains__,
        "begins": str.startswith,
        "ends": str.endswith,
        "is": str.__eq__,
        "piece": lambda name, word: word in name.split("."),
        "part": _has_part,
        "wanted": _has_part,
    }
)


def unanswered(names: Vocabulary, questions: Sequence[Question]) -> list[Question]:
    """Those to which nothing has said yes, once: of the first name they were asked of.

    But for what is true of a name that was not asked, as another word was in it already; and for
    one that is asked in other ways as well.
    """
    every = [*chain(*names.values())]
    heard = {q.word.strip(".") for q in questions if q.yes}
    refused = {(q.key, q.asked) for q in questions if q.asked and not q.yes}

    def lacks(question: Question) -> bool:
        true = [name for name in every if question.holds(name)]
        return not true or any((question.key, name) in refused for name in true)

    return [q for q in _once(questions) if q.word.strip(".") not in heard and lacks(q)]


def _once(questions: Iterable[Question]) -> list[Question]:
    first = {question.key: question for question in reversed([*questions])}
    return [*reversed(first.values())]


def answered(
    names: Vocabulary,
    questions: Sequence[Question],
    *,
    count: int = 0,
    reserved: Container[str] = (),
) -> Vocabulary:
    """Names with some more, so that the answer to each question is yes for one that is asked it.

    Where ``head`` is asked of what has no ``lm_head``, that has a ``head`` is not enough. What is
    asked of no usual name is asked of those alone that another word is in: so are both.

    Args:
        names: to begin with.
        questions: what was asked of them.
        count: how many parts of models have numbers; 0 if none.
        reserved: what no part may be called.

    >>> asked = [Question("is", "bias", "bias", yes=True), Question("is", "token", "bias")]
    >>> answered({1: ["bias"], 2: ["weight"]}, asked)
    {1: ['bias'], 2: ['weight', 'token']}
    """
    found = {dimension: [*some] for dimension, some in names.items()}
    usual = {*chain(*NAMES.values())}
    yes = {question.key for question in questions if question.yes}
    widely = {q.key for q in questions if q.asked in usual and not q.within}
    for question in _once(q for q in questions if q.how != "wanted" and q.key not in yes):
        there = [*chain(*found.values())]
        if question.asked or not any(map(question.holds, there)):
            path = question.within or question.asked.rpartition(".")[0]
            inner = question.how in WITHIN and question.key not in widely
            for dimension, some in question.examples(count, path if inner else "").items():
                for name in (_free(name, reserved) for name in some):
                    if question.holds(name) and not any(_clash(name, other) for other in there):
                        found[dimension].append(name)
                        there.append(name)
    return found


def _clash(one: str, other: str) -> bool:
    """Whether two names are one, or one of them is a part of a model of which the other is.

    >>> _clash("head", "head.weight"), _clash("head.bias", "head.weight")
    (True, False)
    """
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _free(name: str, reserved: Container[str]) -> str:
    """A name whose parts are called as they may be."""
    pieces = name.split(".")
    return ".".join(f"{piece}_own" if piece in reserved else piece for piece in pieces)


WITHIN = ("contains", "ends", "piece")
"""What may be asked of a part of a name."""
