"""From an update rule as people write it to the same in Python's spelling, which Python parses.

Mathematics has signs that Python lacks. Each becomes one of Python's that binds as strongly and
that the text itself cannot hold: a product without a sign is ``@``, a root is ``~``.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from oracles.harness.subjects.equations.functions import FUNCTIONS
from oracles.harness.subjects.equations.indices import indexed
from oracles.harness.subjects.equations.names import (
    LOWERED,
    NAME,
    RAISED,
    STEP,
    identifier,
    is_word,
)

MAX_CHARACTERS = 20_000
MAX_WORDS = 1_500
MAX_NESTED = 100
"""Levels of brackets, signs and conditions in one another."""


class EquationError(ValueError):
    """A text that is no update rule, or not one that is read here.

    Attributes:
        reason: what was found, and what is allowed.
        line, column: where, counted from 1; 0 if it is about the text as a whole.
    """

    def __init__(self, reason: str, text: str = "", at: int | None = None) -> None:
        self.reason = reason
        self.line = self.column = 0
        if at is None:
            super().__init__(reason)
            return
        before = text[:at].rpartition("\n")[2]
        self.line, self.column = text.count("\n", 0, at) + 1, len(before) + 1
        shown = text.split("\n")[self.line - 1].expandtabs(1)
        width = sum(not unicodedata.combining(c) for c in before)
        place = f"line {self.line}, column {self.column}"
        super().__init__(f"{place}: {reason}\n    {shown[:200]}\n    {' ' * width}^")


_END = r"(?![A-Za-z])"
_OWNER = (
    r"(?:self|state|param_state|group|param_group|config|cfg|args|opt|options|h|hp|hyper|hparams"
    r"|hyperparams|hyperparameters)(?![\w])"
)
_MODULE = (
    r"(?:np|numpy|torch|[mM]ath|jnp|jax\.numpy|tf|tf\.math|xp|cp|mx|nd|(?:keras\.)?ops|paddle|F|K)"
    r"\."
)
_TYPE = "(?:float|double|auto|let)"
_LOSS = r"(?:[LJECf]|[Ll]oss|\\math(?:cal|scr)\{[A-Z]\})"
_FIRST = rf"(?:{_LOSS}\s*,\s*)?"
_OF = rf"{_LOSS}(?:_\w)?(?:\s*\([^()\n]*\))?"
_PARTIAL = r"\s*\{\s*\\partial\s*[\w\\]+(?:_?\{\s*\\?\w+\s*\})?\s*\}"
_SLOPE = (
    rf"(?:∂|d){_OF}\s*/\s*(?:∂|d)(?:θ|theta|[wWxp])(?:_[ij]|[ᵢⱼ])?(?!\w)"
    rf"|\\[dt]?frac\s*\{{\s*\\partial\s*(?:{_OF}|[\w\\]+)\s*\}}{_PARTIAL}"
    rf"|\\[dt]?frac\s*\{{\s*\\partial\s*\}}{_PARTIAL}\s*{_OF}"
)
"""A derivative of the loss."""

_TOKEN = re.compile(
    rf"""(?P<newline>\n|\\\\[^\S\n]*\n?)
    |(?P<space>(?:(?<=[;\n])|\A)[^\S\n]*(?:(?:const\s+)?{_TYPE}\s+(?={NAME})|(?://|%)[^\n]*)
        |/\*[\s\S]*?\*/|(?:\\q?quad\s*|(?<![-+*/=])(?:[^\S\n]{{2,}}|\t))\([0-9.]+[a-z]?\)(?=[^\S\n]*(?:\n|\Z|\\[\\\]]))
        |[^\S\n]+|\\\n|\\[,;:!\[\]()]|[&$`]|\#[^\n]*
        |\\tag\*?\{{[^{{}}\n]*\}}|\\label\{{[^{{}}\n]*\}}|\\(?:notag|nonumber){_END}
        |\\(?:left|right|q?quad|displaystyle|big[lr]?){_END}|\\(?:begin|end)\{{\w+\*?\}}|\\text\{{\([^{{}}\n]*\)\}}
        |\.(?=[-+*/^=])|\.data\b|\[(?:[ijklp:]|key|name|param|idx)\]|{_MODULE}(?=[a-z])|std::
        |(?:(?<=[;\n])|\A)@\.|\((?:float|double)\)
        |\w+,\s*\w+\s*=\s*{_OWNER}\[.betas.\])
    |(?P<root>\\sqrt\s*\[)
    |(?P<index>(?<=[\w)\]}}])\[(?:[-+−–:,\dijklnpt\s]+|\s?[^\W\d]\w*\s?|\.\.\.)\])
    |(?P<less>(?:(?<=_[tkn])|(?<=[ₜₖₙ]))[-+−–][0-9](?![\w.]))
    |(?P<dash>--)
    |(?P<choice>\?)
    |(?P<comment>(?<=[^\S\n])(?://|%)[^\S\n]+[^\W\d][\w ]*[.,;]?(?=\n|\Z))
    |(?P<missing>['"](?P<key>\w+)['"]\s+(?P<not>not\s+)?in\s+{_OWNER})
    |(?P<beta>(?:{_OWNER}(?:\.|\[.))?betas(?:['"]\])?\[(?P<which>[01])\])
    |(?P<owned>{_OWNER}(?:\.(?P<attribute>\w+)|\[(?:'(?P<item>\w+)'|"(?P<text>\w+)")\]))
    |(?P<grad>(?P<of>[A-Za-z]\w*)(?:\.data)?\.grad\b)
    |(?P<mean>(?:E|RMS)\[(?P<what>[^\[\]\n]{{1,24}})\](?P<when>_\w+|_\{{[^{{}}\n]{{1,12}}\}}|[{LOWERED}]+)?)
    |(?P<float>(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][+-]?[0-9]+)?)[fF](?![\w(])
    |(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<raised>[{RAISED}]+)
    |(?P<nabla>(?:(?:∇|\\nabla{_END})(?:_(?:\{{(?:[^{{}}\n]|\{{[^{{}}\n]*\}})*\}}|\\?\w+))?(?:\s*(?:(?:\\?\w+|{_LOSS})(?:_\{{\w\}})?(?=\()
            |{_LOSS}(?:_[tki])?\s+(?=\(\s*{NAME}\s*\))|{_LOSS}(?:_\{{\(?{STEP}\)?\}})?(?!\w)))?
            |grad(?:ient)?(?:_?{_LOSS})?(?=\(\s*{_FIRST}{NAME}\s*\)))
            (?:\(\s*{_FIRST}(?P<at>{NAME})\s*\))?
        |{_SLOPE})
    |(?P<sign>\\(?:cdot|times|odot|ast|leftarrow|gets|sqrt|[lr]vert|circ|oslash){_END}|\\[dt]?frac\s*\{{
        |\+\+(?=\s*(?:[;\n]|\Z))|\*\*|//|<-|:=|[-+*/]=|[=!<>]=|[-+*/%^()\[\]{{}}|,;:.=<>←⟵≔−–×·⋅∗⊙∘÷⊘≠≤≥√])
    |(?P<swapped>(?P<stem>{NAME})(?P<power>\^[0-9tkn]|\^\{{[0-9tkn]\}}|[{RAISED}]+)
        (?P<below>_[0-9tkn](?!\w)|_\{{[^{{}}\n]{{1,12}}\}}|[{LOWERED}]+))
    |(?P<name>{NAME})""",
    re.VERBOSE,
)
_UNCLEAR: Mapping[str, str] = {
    "root": "a root of another order: write (…)^(1/3)",
    "index": "an index is a step's, as in v[t] and v[t-1], or i, j, k, l, p or key; a factor in "
    "such brackets has '*' before it",
    "choice": "a choice is written 'a if c else b', or where(c, a, b)",
    "dash": "twice less, or a dash? Write '-' once, or - (-x)",
    "comment": "a comment, or a division? A comment begins with '#', a division stands in brackets",
    "less": "a step's number, or a sum? Write v_{t-1}, or v_t - 1 with spaces",
}
"""What is read in two ways, by the group that finds it."""

_SPELLED: Mapping[str, str] = {
    "^": "**",
    "++": "+= 1",
    **dict.fromkeys("−–", "-"),
    **dict.fromkeys((*"×·⋅∗⊙∘", r"\cdot", r"\times", r"\odot", r"\ast", r"\circ"), "*"),
    **dict.fromkeys(("÷", "⊘", r"\oslash"), "/"),
    **dict.fromkeys(("<-", ":=", *"←⟵≔", r"\leftarrow", r"\gets"), "="),
    "≠": "!=",
    "≤": "<=",
    "≥": ">=",
    **dict.fromkeys(("√", r"\sqrt"), "~"),
    **dict.fromkeys((r"\dfrac{", r"\tfrac{"), r"\frac{"),
    **dict.fromkeys((r"\lvert", r"\rvert"), "|"),
}
_RAISED_AS = str.maketrans(RAISED, "0123456789+-()tkn")
_BRACKETS: Mapping[str, tuple[str, str, str]] = {
    "(": ("(", ")", ")"),
    "[": ("(", "]", ")"),
    "{": ("(", "}", ")"),
    "|": ("abs (", "|", ")"),
    r"\frac{": ("( (", "}", ") /"),
}
"""How each is spelled, what closes it, and how that is spelled."""


class Word(NamedTuple):
    """A word of the text in Python's spelling, and where it stands."""

    kind: str
    text: str
    at: int
    ends: int


class Spelled(NamedTuple):
    """An update rule in Python's spelling.

    Attributes:
        python: to be parsed.
        text: as it was given.
        places: offsets of words in the one, and where they stand in the other and end there.
    """

    python: str
    text: str
    places: tuple[tuple[int, int, int], ...]

    def error(self, reason: str, line: int, column: int) -> EquationError:
        """What is wrong at a place that Python names (lines from 1, columns from 0)."""
        return EquationError(reason, self.text, self.place(line, column))

    def place(self, line: int, column: int) -> int:
        """Where in the text that is which Python names so."""
        return self._word(line, column)[1]

    def written(self, node: ast.stmt | ast.expr) -> str:
        """What stands there in the text of which a part of the tree was made.

        >>> source = spelled("η_t = 0.1·0.5^t  # of this step; w -= η_t g")
        >>> source.written(source.parsed().body[0])
        'η_t = 0.1·0.5^t'
        """
        line, column = node.end_lineno or node.lineno, node.end_col_offset or 0
        first, last = self.place(node.lineno, node.col_offset), self._word(line, column - 1)
        return self.text[first : last[2]]

    def _word(self, line: int, column: int) -> tuple[int, int, int]:
        lines = self.python.split("\n")
        offset = sum(len(one) + 1 for one in lines[: line - 1]) + column
        place = bisect_right(self.places, (offset, len(self.text), len(self.text))) - 1
        return self.places[max(place, 0)]

    def parsed(self) -> ast.Module:
        """The tree of it.

        Raises:
            EquationError: it is none, with the place and why.
        """
        try:
            return ast.parse(self.python)
        except SyntaxError as error:
            what = error.msg.partition(".")[0].partition(" (")[0]
            reason = f"{what}; a step is written as 'name = formula', one a line or after ';'"
            raise self.error(reason, error.lineno or 1, (error.offset or 1) - 1) from None
        except (RecursionError, MemoryError, ValueError) as error:
            raise EquationError(f"the text cannot be parsed: {error}") from None


def spelled(text: str) -> Spelled:
    """Write an update rule in Python's spelling.

    >>> print(spelled("θ ← θ − α m̂/(√v̂ + ε)").python.strip())
    theta = theta - alpha @ m_hat / ( ~ v_hat + epsilon )

    Raises:
        EquationError: it is too long, or holds a character that means nothing here.
    """
    if len(text) > MAX_CHARACTERS:
        raise EquationError(f"{len(text)} characters of text; allowed: {MAX_CHARACTERS}")
    words = list(_words(text))
    if len(words) > MAX_WORDS:
        raise EquationError(f"{len(words)} words of text; allowed: {MAX_WORDS}")
    python, places = "", []
    for word in _Writer(text, words).written():
        python += " " if python[-1:].strip() and word.kind != "newline" else ""
        places.append((len(python), word.at, word.ends))
        python += word.text
    return Spelled(python, text, (*places, (len(python), len(text), len(text))))


def _words(text: str) -> Iterator[Word]:
    at, read = 0, indexed(text)
    while at < len(text):
        match = _TOKEN.match(read, at)
        if match is None:
            raise EquationError(f"{text[at]!r} means nothing in an update rule", text, at)
        kind = match.lastgroup or ""
        if kind in _UNCLEAR:
            raise EquationError(_UNCLEAR[kind], text, at)
        if match["missing"]:
            yield Word("word", f"{match['key']} is{' ' if match['not'] else ' not '}None", at, at)
        elif match["beta"]:
            yield Word("name", f"beta{int(match['which']) + 1}", at, match.end())
        elif match["owned"]:
            name = match["attribute"] or match["item"] or match["text"]
            yield Word("name", identifier(name), at, match.end())
        elif match["mean"]:
            what = "".join(c if c.isalpha() else "" for c in match["what"].replace("\\", " "))
            called = f"{match[0].partition('[')[0]}_{identifier(what)}{match['when'] or ''}"
            yield Word("name", _named(called, text, at), at, match.end())
        elif match["grad"]:
            yield Word("name", f"{match['of']}__grad", at, match.end())
        elif match["at"]:
            name = _named(match["at"], text, match.start("at")).partition("__")[0]
            yield Word("nabla", f"{name}__grad", at, match.end())
        elif match["float"]:
            yield Word("number", match["float"], at, match.end())
        elif kind == "nabla":
            yield Word("nabla", "nabla", at, match.end())
        elif kind == "swapped":
            yield Word("name", _named(match["stem"] + match["below"], text, at), at, at)
            yield Word("raised", match["power"].strip("^{}"), at, match.end())
        elif kind == "name" and identifier(match[0]) == "pi":
            yield Word("number", repr(math.pi), at, match.end())
        elif kind == "name" and not is_word(match[0]):
            yield Word(kind, _named(match[0], text, at), at, match.end())
        elif kind == "newline":
            yield Word("newline", "\n", at, match.end())
        elif kind != "space":
            sign = "".join(match[0].split())
            yield Word(kind, _SPELLED.get(sign, sign), at, match.end())
        at = match.end()
    yield Word("newline", "\n", at, at)


def _named(word: str, text: str, at: int) -> str:
    name = identifier(word)
    if "__" in word or not (name.isascii() and name.isidentifier()):
        raise EquationError(f"{word!r} is no name that is read here", text, at)
    return name


class _Writer:
    """Goes through the words once, with the brackets that are open."""

    def __init__(self, text: str, words: list[Word]) -> None:
        self.text, self.words = text, words
        self.blocks = any(b.kind == "newline" and a.text == ":" for a, b in pairwise(words))
        indents = re.findall(r"^([^\S\n]*)[^\s#]", text, re.MULTILINE)
        self.margin = min((len(indent.expandtabs(4)) for indent in indents), default=0)
        self.open: list[tuple[str, str]] = []
        self.last = Word("newline", "\n", 0, 0)
        self.value = False
        """Whether a value has just ended, so that one that begins is multiplied by it."""

    def written(self) -> Iterator[Word]:
        yield from self._indented(0)
        for word, after in pairwise([*self.words, self.words[-1]]):
            ends = word.text in (".", ",") and after.kind == "newline"  # of a sentence
            if self.open or word.kind != "newline":
                if self.open or not ends:
                    yield from (word._replace(text=text) for text in self._spelled(word))
            else:
                yield word
                yield from self._indented(word.ends)
                self.value = False
            self.last = word

    def _indented(self, at: int) -> Iterator[Word]:
        blank = re.compile(r"[^\S\n]*").match(self.text, at)
        if self.blocks and blank:
            yield Word("newline", blank[0].expandtabs(4)[self.margin :], at, at)

    def _spelled(self, word: Word) -> Iterator[str]:
        """A word, after the sign of a product if one is left out."""
        kind, text = word.kind, word.text
        if kind == "newline":
            return
        touches = self.last.kind in ("name", "nabla") and self.last.ends == word.at
        calls = text == "(" and (touches or self.last.text in FUNCTIONS)
        closes = bool(self.open) and text == self.open[-1][0] and (text != "|" or self.value)
        operand = kind in ("number", "nabla") or (kind == "name" and not is_word(text))
        opens = text in (*_BRACKETS, "~") and not (calls or closes)
        if self.value and (operand or opens):
            yield "@"
        self.value = kind == "raised" or operand
        if closes:
            yield self._closed()
        elif text in _BRACKETS:
            yield self._opened(word)
        elif kind == "raised":
            exponent = re.sub(r"(?<=[0-9tkn)])(?=[tkn(])", " @ ", text.translate(_RAISED_AS))
            yield f"** ({exponent})"
        else:
            yield text

    def _opened(self, word: Word) -> str:
        if len(self.open) == MAX_NESTED:
            raise EquationError(f"more than {MAX_NESTED} brackets are open", self.text, word.at)
        if word.text == self.last.text == "|" and self.open[-1:] == [("|", ")")]:
            reason = "a norm is of all elements; what is read is done to each"
            raise EquationError(reason, self.text, word.at)
        bracket, closing, spelling = _BRACKETS[word.text]
        denominator = word.text == "{" and self.last.text == "}" and not self.value
        self.open.append((closing, "))" if denominator else spelling))
        return bracket

    def _closed(self) -> str:
        _, spelling = self.open.pop()
        self.value = spelling != ") /"
        return spelling
