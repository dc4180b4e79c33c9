"""What parameters are called for code that looks at names, and how some of them are spoken of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from types import MappingProxyType

Names = Sequence[str]

NAMES: Mapping[int, Names] = MappingProxyType(
    {
        1: ("encoder.bias", "norm.weight", "norm.bias", "attention.scale"),
        2: ("encoder.weight", "embedding.weight", "attention.relative_bias", "image_norm.weight"),
    }
)
"""By dimension, the names in turn."""


def called(dimensions: Sequence[int]) -> list[str]:
    """What parameters of these dimensions are called.

    >>> called([1, 2, 1, 0])
    ['encoder.bias', 'encoder.weight', 'norm.weight', 'other.3']
    """
    usual = {dimension: iter(names) for dimension, names in NAMES.items()}
    return [
        next(usual.get(dimension, iter(())), f"other.{number}")
        for number, dimension in enumerate(dimensions)
    ]


WORDS = (
    *("bias", "norm", "embedding", "scale", "weight"),
    *("encoder", "attention", "image", "relative"),
)
"""What names may be chosen by, the usual words first."""

VECTORS = "of at most one dimension"

Predicate = Callable[[str], bool]


def _has(word: str) -> Predicate:
    return lambda name: word in name


PREDICATES: Mapping[str, Predicate] = MappingProxyType(
    {VECTORS: NAMES[1].__contains__, **{word: _has(word) for word in WORDS}}
)
MOST = 4
"""So many of them are joined."""


def spoken_of(some: Names, among: Names) -> str:
    """Parameters in words that are true of them and of no other.

    >>> everybody = [*NAMES[1], *NAMES[2]]
    >>> spoken_of(["encoder.bias", "norm.bias", "attention.relative_bias"], everybody)
    'parameters named bias'
    >>> spoken_of([*NAMES[1], "embedding.weight"], everybody)
    'parameters of at most one dimension or named embedding'
    >>> spoken_of(["weight"], ["weight", "bias"])
    'weight'
    """
    ours = {*among} <= {name for names in NAMES.values() for name in names}
    for count in range(1, MOST + 1) if ours else ():
        for words in combinations(PREDICATES, count):
            if {name for name in among if any(PREDICATES[w](name) for w in words)} == {*some}:
                told = " or ".join(word for word in words if word != VECTORS)
                parts = [VECTORS] * (VECTORS in words) + [f"named {told}"] * bool(told)
                return f"parameters {' or '.join(parts)}"
    return " and ".join(some)
