"""What parameters are called for code that looks at names, and how some of them are spoken of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from operator import itemgetter
from types import MappingProxyType

Names = Sequence[str]
Vocabulary = Mapping[int, Names]

NAMES: Vocabulary = MappingProxyType(
    {
        1: ("encoder.bias", "norm.weight", "norm.bias", "attention.scale"),
        2: ("encoder.weight", "embedding.weight", "attention.relative_bias", "image_norm.weight"),
    }
)
"""By dimension, the names in turn."""


MODELS = ("model", "module", "net")
"""How an argument begins that is given a whole model."""

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


LAST = ("bias", "weight")
"""What the parameters of most modules are called."""

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


TWO = 2
"""Vectors and matrices; or the first of two parameters, and the second."""


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

    @property
    def by_name(self) -> bool:
        """Whether they are more than can be told apart by dimension, or by place."""
        return len(self.numbers) > TWO

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
