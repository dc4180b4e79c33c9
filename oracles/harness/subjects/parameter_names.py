"""What parameters are called for code that looks at names, and how some of them are spoken of."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

Names = Sequence[str]
Vocabulary = Mapping[int, Names]

NAMES: Vocabulary = MappingProxyType(
    {
        1: ("encoder.bias", "norm.weight", "norm.bias", "attention.scale"),
        2: ("encoder.weight", "embedding.weight", "attention.relative_bias", "image_norm.weight"),
    }
)
"""By dimension, the names in turn."""


OTHER = "other"
"""A part of a model that is there for what it has alone."""


def called(dimensions: Sequence[int], names: Vocabulary = NAMES) -> list[str]:
    """What parameters of these dimensions are called.

    >>> called([1, 2, 1, 0])
    ['encoder.bias', 'encoder.weight', 'norm.weight', 'other.3']
    """
    usual = {dimension: iter(some) for dimension, some in names.items()}
    return [
        next(usual.get(dimension, iter(())), f"{OTHER}.{number}")
        for number, dimension in enumerate(dimensions)
    ]


class Question(NamedTuple):
    """What code asks of a name.

    Attributes:
        how: ``"contains"``, ``"begins"``, ``"ends"``, ``"is"``; ``"piece"``, of what stands between
            dots; or ``"part"``, of a model.
        word: that.
        asked: of which name.
    """

    how: str
    word: str
    asked: str = ""

    def holds(self, name: str) -> bool:
        """Whether the answer is yes.

        >>> Question("ends", ".bias").holds("encoder.bias")
        True
        """
        return ASKED[self.how](name, self.word)

    def named(self, *, numbered: bool = False, within: str = "") -> dict[int, Names]:
        """By dimension, names of which the answer is yes; numbered ones if the parts have numbers.

        >>> Question("begins", "head.").named()
        {1: ['head.bias'], 2: ['head.weight']}
        >>> Question("contains", "LayerNorm.weight").named(), Question("ends", ".lora_B").named()
        ({1: ['LayerNorm.weight']}, {2: ['other.lora_B']})
        >>> Question("begins", "blocks").named(numbered=True)
        {1: ['blocks.0.bias', 'blocks.1.bias'], 2: ['blocks.0.weight', 'blocks.1.weight']}
        >>> Question("contains", "to_k").named(within="attention")
        {1: ['attention.to_k.bias'], 2: ['attention.to_k.weight']}
        """
        name = self.word
        if within or name.startswith(".") or self.how == "ends":
            name = f"{within or OTHER}.{name.removeprefix('.')}"
        own = name.rpartition(".")[2]
        if own in LAST:
            return {1: [name]}
        if self.how in ("ends", "is"):
            return {2: [name]}
        parts = [f"{name.removesuffix('.')}{number}" for number in NUMBERS[numbered]]
        more = [f"{within or OTHER}.{self.word}"] if self.how == "piece" else []
        vectors, matrices = ([f"{part}.{own}" for part in parts] for own in LAST)
        return {1: vectors, 2: [*matrices, *more]}


NUMBERS: Mapping[bool, tuple[str, ...]] = MappingProxyType({False: ("",), True: (".0", ".1")})
"""Of parts of a model that go by one word."""

LAST = ("bias", "weight")
"""What the parameters of most modules are called."""

ASKED: Mapping[str, Callable[[str, str], bool]] = MappingProxyType(
    {
        "contains": str.__contains__,
        "begins": str.startswith,
        "ends": str.endswith,
        "is": str.__eq__,
        "piece": lambda name, word: word in name.split("."),
        "part": lambda name, word: name.startswith(f"{word}."),
    }
)


def unanswered(names: Vocabulary, questions: Iterable[Question]) -> list[Question]:
    """Those of which the answer is no for each name, once: of the first name they were asked of."""
    every = [*chain(*names.values())]
    return [q for q in _once(questions) if not any(map(q.holds, every))]


def _once(questions: Iterable[Question]) -> list[Question]:
    first = {(q.how, q.word): q for q in reversed([*questions])}
    return [*reversed(first.values())]


def answered(
    names: Vocabulary,
    questions: Sequence[Question],
    *,
    numbered: bool = False,
    reserved: Container[str] = (),
) -> Vocabulary:
    """Names with some more, so that the answer to each question is yes for one that is asked it.

    Where ``head`` is asked of what has no ``lm_head``, that has a ``head`` is not enough. What is
    asked of no usual name is asked of those alone that another word is in: so are both.

    Args:
        names: to begin with.
        questions: what was asked of them.
        numbered: whether parts of models have numbers.
        reserved: what no part may be called.

    >>> answered({1: ["bias"], 2: ["weight"]}, [Question("is", "bias"), Question("is", "token")])
    {1: ['bias'], 2: ['weight', 'token']}
    """
    found = {dimension: [*some] for dimension, some in names.items()}
    usual = {*chain(*NAMES.values())}
    widely = {(q.how, q.word) for q in questions if q.asked in usual}
    yes = {(q.how, q.word) for q in questions if q.holds(q.asked)}
    for question in _once(questions):
        there = [*chain(*found.values())]
        told = any(map(question.holds, there)) and not question.asked
        if not told and question[:2] not in yes:
            inner = question.asked and question.how in WITHIN and question[:2] not in widely
            within = question.asked.rpartition(".")[0] if inner else ""
            for dimension, some in question.named(numbered=numbered, within=within).items():
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


WORDS = (
    *("bias", "norm", "embedding", "scale", "weight"),
    *("encoder", "attention", "image", "relative"),
)
"""What names may be chosen by, the usual words first."""

VECTORS = "of at most one dimension"

Predicate = Callable[[str], bool]


def _has(word: str) -> Predicate:
    return lambda name: word in name


def _in_pieces(word: str) -> Predicate:
    return lambda name: f".{word}." in f".{name}."


MOST = 4
"""So many words are joined."""


@dataclass(frozen=True)
class Kinds:
    """Parameters that code may treat in ways of their own.

    Attributes:
        numbers: which, by what they are called.
        names: by dimension, where they were called so that they can be spoken of in words.

    >>> everybody = [*NAMES[1], *NAMES[2]]
    >>> kinds = Kinds({name: (n,) for n, name in enumerate(everybody)}, NAMES)
    >>> kinds.spoken_of(["encoder.bias", "norm.bias", "attention.relative_bias"])
    'parameters named bias'
    >>> kinds.spoken_of([*NAMES[1], "embedding.weight"])
    'parameters of at most one dimension or named embedding'
    >>> Kinds({"weight": (0,), "bias": (1,)}).spoken_of(["weight"])
    'weight'
    """

    numbers: Mapping[str, tuple[int, ...]]
    names: Vocabulary = field(default_factory=dict)

    def spoken_of(self, some: Names) -> str:
        """Some of them in words that are true of them and of no other, as few as can be."""
        if not self.names:
            return " and ".join(some)
        words = self._words(frozenset(some))
        others = self._words(frozenset(self.numbers) - {*some})
        ways = (
            (len(words), f"parameters {_joined(words)}"),
            (len(some), " and ".join(some)),
            (len(others), f"all parameters but those {_joined(others)}"),
        )
        return min((way for way in ways if way[0]), key=itemgetter(0))[1]

    def _words(self, some: frozenset[str]) -> tuple[str, ...]:
        """The fewest words that are true of some of them and of no other; empty if there are none.

        The usual words come first, then paths to modules, and what the last module calls its own.
        """
        usual = {*chain(*NAMES.values())}
        others = [name for name in chain(*self.names.values()) if name not in usual]
        says: dict[str, Predicate] = {VECTORS: self.names[1].__contains__}
        says |= {word: _has(word) for word in WORDS}
        for *path, own in (name.removeprefix(f"{OTHER}.").split(".") for name in others):
            paths = [".".join(path[:n]) for n in range(len(path), 0, -1)]
            whole = ".".join((*path, own)) if own not in LAST else own
            says |= {word: _in_pieces(word) for word in (whole, *paths, own) if word not in LAST}
        true = {word: frozenset(filter(says[word], self.numbers)) for word in says}
        held = {of: word for word, of in reversed(true.items()) if of and of <= some}
        for count in range(1, MOST + 1):
            for words in combinations(sorted(held.values(), key=[*says].index), count):
                if frozenset().union(*(true[word] for word in words)) == some:
                    return words
        return ()


def _joined(words: Sequence[str]) -> str:
    told = " or ".join(word for word in words if word != VECTORS)
    return " or ".join([VECTORS] * (VECTORS in words) + [f"named {told}"] * bool(told))
