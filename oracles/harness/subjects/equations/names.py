r"""Names as people write them, ``β₁``, ``\hat{m}_{t-1}``, ``v'``, in letters that Python takes."""

from __future__ import annotations

import keyword
import re
import unicodedata

from oracles.harness.subjects.aliases import romanized

RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵗᵏⁿ"
LOWERED = "₀-₉ₜₖₙᵢⱼ₊₋"
_ACCENTS = {"hat": "\u0302", "widehat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
_SUFFIXES = {"\u0302": "_hat", "\u0304": "_bar", "\u0305": "_bar", "\u0303": "_tilde"}
_FONTS = "vec|mathbf|mathcal|mathscr|mathrm|mathit|boldsymbol|bm|text|operatorname"
_MINUS = str.maketrans("−–", "--")

_BRACED = r"\s*\{\s*(\\?[\w-]+)\s*\}"
_IN_A_FONT = rf"\s*\{{\s*\\(?:{_FONTS}){_BRACED}\s*\}}"
_LETTER_OF = rf"{_IN_A_FONT}|{_BRACED}|\s*(\\[A-Za-z]+)|\s+([A-Za-z])"
_COMMAND = rf"\\({'|'.join(_ACCENTS)}|{_FONTS})(?:{_LETTER_OF})"
_DRESSED = re.sub(r"\((?!\?)", "(?:", _COMMAND)
_LETTER = "[\u0370-\u03ff\u2113\U0001d400-\U0001d7ff][\u0300-\u036f]*[0-9]*"
_PLAIN = r"\\?[A-Za-zÀ-ɏ](?:(?!_\{)[A-Za-z0-9_À-ɏ]|[\u0300-\u036f])*"
_AT = r"\[\s?[tn]\s?(?:[-+−–]\s?\d\s?)?\]"
STEP = r"\s?[tkn]\s?(?:[-+−–]\s?\d\s?)?"
"""The number of a step."""

_BELOW = rf"(?:_\{{[^{{}}\n]{{1,12}}\}}|[{LOWERED}]+|_[A-Za-z0-9_]+|{_AT})*"
NAME = rf"(?>(?:(?:Δ|\\Delta)\s?)?(?:{_DRESSED}|{_LETTER}|{_PLAIN}){_BELOW}['′]?)"
"""A Greek letter, or one of a formula, is a name of its own: ``ηg`` is a product.

To go back in one, over all ways to part it at its underscores, would take for ever.
"""

_TIME = re.compile(r"(?:(\d),)?[tkn]([+-]\d)?(?:,[ij]+)?")
_TAGS = {"new": "new", "old": "old", "prev": "old", "last": "old"}


def identifier(word: str) -> str:
    r"""A name in plain letters; after ``__`` its place in time: steps from t, or new, or old.

    >>> [identifier(word) for word in ("β₁", r"\hat{m}_{t-1}", "v[t+1]", "v'", "w_old", "λ")]
    ['beta1', 'm_hat__m1', 'v__p1', 'v__new', 'w__old', 'lambda_']
    >>> identifier(r"\hat{\boldsymbol{m}}_t")
    'm_hat__p0'
    """
    word, prime = word.rstrip("'′"), word[-1:] in "'′"
    word = re.sub(_COMMAND, _dressed, word)
    word = re.sub(r"\[(.*?)\]|_\{\((.*?)\)\}", lambda m: f"_{{{m[1] or m[2]}}}", word)
    word = re.sub(f"[{LOWERED}]+", lambda m: f"_{{{m[0]}}}", word)
    word = unicodedata.normalize("NFKD", word).translate(_MINUS)
    marks = "".join(_SUFFIXES.get(c, "") for c in word if unicodedata.combining(c))
    word = "".join(romanized(c) for c in word if c not in "\\ " and not unicodedata.combining(c))
    word = re.sub(r"_([tknij])(?=_|$)", r"_{\1}", word).replace("varepsilon", "epsilon")
    name, tag = re.sub(r"_\{.*?\}", "", word), "new" if prime else ""
    for below in re.findall(r"_\{(.*?)\}", word):
        if time := _TIME.fullmatch(below):
            name += time[1] or ""
            tag = (time[2] or "+0").replace("+", "p").replace("-", "m")
        elif not re.fullmatch("[ij],?[ij]?", below):
            name += f"_{below}"
    stem, _, end = name.rpartition("_")
    if stem and end in _TAGS:
        name, tag = stem, _TAGS[end]
    name = re.sub(r"_(?=\d)", "", name) + marks + ("_" if name == "lambda" else "")
    return f"{name}__{tag}" if tag else name


def _dressed(command: re.Match[str]) -> str:
    """A letter with its accent, in whichever font it is."""
    accent, *letters = command.groups()
    return "".join(filter(None, letters)) + _ACCENTS.get(accent, "")


def is_word(name: str) -> bool:
    """Whether Python gives it a meaning, so that it is no factor of a product."""
    return keyword.iskeyword(name) and name not in ("lambda", "None", "True", "False")
