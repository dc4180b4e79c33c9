"""Names of parameters, and models that have them, which note what they are asked.

Of a pattern (``re``, ``fnmatch``) nothing can be noted, and of a set or a dict in which a name is
looked up no more than that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from oracles.harness.subjects.name_questions import Question
from oracles.harness.subjects.parameter_names import LAST


class Questions(list[Question]):
    """What was asked; of a copy of a model, too."""

    def __deepcopy__(self, memo: Any) -> Questions:
        return self


class NotingName(str):
    """A name, or what is made of it, that notes what it is asked and what it answers.

    Attributes:
        whole: the name.
        equal: what is asked of that by whoever asks whether this is a word.
        within: the path of the part of a model by which it was told.
        questions: where it is noted.
    """

    whole: str
    equal: str
    within: str
    questions: Questions

    @classmethod
    def of(
        cls, text: str, questions: Questions, equal: str = "is", whole: str = "", within: str = ""
    ) -> NotingName:
        """A name, or a part of a whole one."""
        noting = cls(text)
        noting.whole, noting.equal, noting.within = whole or text, equal, within
        noting.questions = questions
        return noting

    def like(self, text: str, equal: str | None) -> NotingName:
        """What is made of it."""
        return self.of(text, self.questions, equal or self.equal, self.whole, self.within)

    def note(self, how: str, words: Any, answer: Callable[[str], bool]) -> None:
        """Note what is asked, of one word or of each of several; of a piece all is asked alike."""
        how = "piece" if self.equal == "piece" else how
        for word in words if isinstance(words, tuple) else (words,):
            if type(word) is str:
                asked = Question(how, word, self.whole, self.within, answer(word))
                self.questions.append(asked)

    def __eq__(self, other: object) -> bool:
        equal = super().__eq__(other)
        if isinstance(other, str):
            self.note(self.equal, other, lambda word: equal)
        return equal

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        self.questions.append(Question(LOOKED_UP, self.equal, self.whole, self.within))
        return super().__hash__()

    def __getitem__(self, where: Any) -> NotingName:
        equal = None
        if isinstance(where, slice):
            equal = "begins" if not where.start else "ends" if where.stop is None else None
        return self.like(super().__getitem__(where), equal)


LOOKED_UP = "looked up"
"""What is asked of a name that is looked up in a set or a dict."""

NOTED: Mapping[str, str] = MappingProxyType(
    {
        "__contains__": "contains",
        "startswith": "begins",
        "endswith": "ends",
        **dict.fromkeys(("find", "rfind", "index", "count"), "contains"),
    }
)
"""What is asked by these methods of a string."""

ANSWERS: Mapping[str, Callable[[str, str], bool]] = MappingProxyType(
    {"contains": str.__contains__, "begins": str.startswith, "ends": str.endswith}
)

DERIVED: Mapping[str, str | None] = MappingProxyType(
    {
        **dict.fromkeys(("lower", "upper", "casefold", "title", "strip")),
        **dict.fromkeys(("split", "rsplit", "partition", "rpartition"), "piece"),
        **dict.fromkeys(("removeprefix", "lstrip", "replace"), "ends"),
        **dict.fromkeys(("removesuffix", "rstrip"), "begins"),
    }
)
"""What is asked of a name by whoever asks whether what these make of it is a word; None for what is
asked of it."""


def _noting(method: str, how: str) -> Callable[..., Any]:
    def noting(self: NotingName, words: Any, *rest: Any) -> Any:
        text = str(self)
        self.note(how, words, lambda word: ANSWERS[how](text, word))
        return getattr(str, method)(self, words, *rest)

    return noting


def _deriving(method: str, equal: str | None) -> Callable[..., Any]:
    def deriving(self: NotingName, *arguments: Any, **options: Any) -> Any:
        made = getattr(str, method)(self, *arguments, **options)
        if isinstance(made, str):
            return self.like(made, equal)
        return type(made)(self.like(text, equal) for text in made)

    return deriving


for _method, _how in NOTED.items():
    setattr(NotingName, _method, _noting(_method, _how))
for _method, _equal in DERIVED.items():
    setattr(NotingName, _method, _deriving(_method, _equal))


def spelled_out(questions: Sequence[Question], words: Sequence[str]) -> list[Question]:
    """With each of some words that names may have been looked up among.

    What is there is asked whether it is the name, and notes that itself.

    >>> (question,) = spelled_out([Question(LOOKED_UP, "is", "bias")], ["token"])
    >>> question[:3]
    ('is', 'token', 'bias')
    """
    found = []
    for one in questions:
        if one.how == LOOKED_UP:
            found += [one._replace(how=one.word, word=word) for word in words]
        else:
            found.append(one)
    return found


class Noting(torch.nn.Module):
    """A model, or a part of one, whose names note what they are asked."""

    questions: Questions
    path: str = ""

    def _named(self, named: Iterator[tuple[str, Any]], equal: str) -> Iterator[tuple[str, Any]]:
        for name, it in named:
            whole = f"{self.path}.{name}".removeprefix(".")
            how = "ends" if self.path and equal == "is" else equal
            yield NotingName.of(name, self.questions, how, whole, self.path), it

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Any]]:
        return self._named(super().named_parameters(*args, **kwargs), "is")

    def named_modules(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Any]]:
        return self._named(super().named_modules(*args, **kwargs), "part")

    def named_children(self) -> Iterator[tuple[str, Any]]:
        return self._named(super().named_children(), "part")

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if not self.path and not name.startswith("_") and name not in PASSED_OVER:
                self.questions.append(Question("wanted", name))
            raise


PASSED_OVER = (*LAST, "module")
"""What models are asked for that have their own in parts, or are in no other model themselves."""


def noting(module: torch.nn.Module, questions: Questions, path: str = "") -> torch.nn.Module:
    """A module as one whose names note what they are asked; of its own kind, too."""
    kind = type(module)
    module.__class__ = type(kind.__name__, (Noting, kind), {})
    vars(module).update(questions=questions, path=path)
    return module


def lacking(error: BaseException | None, handed: Any) -> list[Question]:
    """What is looked for by whoever is refused, in a model that was handed over, or by a key."""
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        key = str(error.args[0])
        return [Question("is" if key.rpartition(".")[2] in LAST else "part", key)]
    if isinstance(error, AttributeError) and isinstance(handed, torch.nn.Module):
        paths = [path for path, module in handed.named_modules() if module is error.obj]
        return [Question("part", f"{path}.{error.name}".removeprefix(".")) for path in paths]
    return []
