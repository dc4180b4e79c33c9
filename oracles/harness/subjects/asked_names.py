"""Names of parameters, and models that have them, which note what they are asked.

Of a pattern (``re``, ``fnmatch``) nothing can be noted, and of a set or a dict in which a name is
looked up no more than that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from oracles.harness.subjects.parameter_names import LAST, Question

Questions = list[Question]


class Asked(str):
    """A name, or what is made of it, that notes what it is asked.

    Attributes:
        whole: the name.
        equal: what is asked of that by whoever asks whether this is a word.
        questions: where it is noted.
    """

    whole: str
    equal: str
    questions: Questions

    @classmethod
    def of(cls, name: str, questions: Questions, equal: str = "is", whole: str = "") -> Asked:
        """A name, or a part of a whole one."""
        asked = cls(name)
        asked.whole, asked.equal, asked.questions = whole or name, equal, questions
        return asked

    def note(self, how: str, words: Any) -> None:
        """Note what is asked: of one word, or of each of several."""
        for word in words if isinstance(words, tuple) else (words,):
            if type(word) is str:
                self.questions.append(Question(how, word, self.whole))

    def __eq__(self, other: object) -> bool:
        self.note(self.equal, other)
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        self.questions.append(Question(LOOKED_UP, self.equal, self.whole))
        return super().__hash__()


LOOKED_UP = "looked up"
"""What is asked of a name that is looked up in a set or a dict."""


def spelled_out(questions: Questions, words: Sequence[str]) -> Questions:
    """With each of some words that names may have been looked up among.

    >>> spelled_out([Question(LOOKED_UP, "is", "bias")], ["token"])
    [Question(how='is', word='token', asked='bias')]
    """
    found = []
    for question in questions:
        if question.how == LOOKED_UP:
            found += [Question(question.word, word, question.asked) for word in words]
        else:
            found.append(question)
    return found


NOTED: Mapping[str, str] = MappingProxyType(
    {
        "__contains__": "contains",
        "startswith": "begins",
        "endswith": "ends",
        **dict.fromkeys(("find", "rfind", "index", "count"), "contains"),
    }
)
"""What is asked by these methods of a string."""

DERIVED: Mapping[str, str | None] = MappingProxyType(
    {
        **dict.fromkeys(("lower", "upper", "casefold", "strip")),
        **dict.fromkeys(("split", "rsplit", "partition", "rpartition"), "piece"),
        **dict.fromkeys(("__getitem__", "removeprefix", "lstrip", "replace"), "begins"),
    }
)
"""What is asked of a name by whoever asks whether what these make of it is a word; None for what is
asked of it."""


def _noting(method: str, how: str) -> Callable[..., Any]:
    def noting(self: Asked, words: Any, *rest: Any) -> Any:
        self.note(how, words)
        return getattr(str, method)(self, words, *rest)

    return noting


def _deriving(method: str, equal: str | None) -> Callable[..., Any]:
    def deriving(self: Asked, *arguments: Any, **options: Any) -> Any:
        def asked(text: str) -> Asked:
            return Asked.of(text, self.questions, equal or self.equal, self.whole)

        made = getattr(str, method)(self, *arguments, **options)
        return asked(made) if isinstance(made, str) else type(made)(map(asked, made))

    return deriving


for _method, _how in NOTED.items():
    setattr(Asked, _method, _noting(_method, _how))
for _method, _equal in DERIVED.items():
    setattr(Asked, _method, _deriving(_method, _equal))


class AskedModel(torch.nn.Module):
    """A model whose names do so."""

    def __init__(self, questions: Questions) -> None:
        super().__init__()
        self.questions = questions

    def _asked(self, named: Iterator[tuple[str, Any]], equal: str) -> Iterator[tuple[str, Any]]:
        for name, it in named:
            yield Asked.of(name, self.questions, equal), it

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Any]]:
        return self._asked(super().named_parameters(*args, **kwargs), "is")

    def named_modules(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Any]]:
        return self._asked(super().named_modules(*args, **kwargs), "part")

    def named_children(self) -> Iterator[tuple[str, Any]]:
        return self._asked(super().named_children(), "part")


def lacking(error: BaseException | None, handed: Any) -> Questions:
    """What is looked for by whoever is refused, in a model that was handed over, or by a key."""
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        key = str(error.args[0])
        return [Question("is" if key.rpartition(".")[2] in LAST else "part", key)]
    if isinstance(error, AttributeError) and isinstance(handed, torch.nn.Module):
        paths = [path for path, module in handed.named_modules() if module is error.obj]
        return [Question("part", f"{path}.{error.name}".removeprefix(".")) for path in paths]
    return []
