"""How other code calls what torch calls ``lr``, ``betas``, ...: data, and who stands for whom."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "lr": ("learning_rate", "alpha", "eta", "step_size", "gamma", "rate"),
        "rho": ("decay_rate", "decay"),
        "lr_decay": ("decay",),
        "weight_decay": ("wd", "l2", "lam", "lambda", "lambda_", "lmbda", "l2_reg", "decay", "reg"),
        "alpha": (
            "rho",
            "smoothing",
            "smoothing_constant",
            "decay_rate",
            "discounting_factor",
            "decay",
        ),
        "momentum": ("mu", "mom", "rho", "beta", "momentum_factor"),
        "dampening": ("damping", "tau"),
        "beta1": ("b1", "beta_1"),
        "beta2": ("b2", "beta_2"),
        "eps": ("epsilon", "eps_"),
        "momentum_decay": ("schedule_decay", "psi"),
        "nesterov": ("use_nesterov", "look_ahead"),
        "amsgrad": ("use_amsgrad", "ams_grad"),
        "initial_accumulator_value": ("initial_accumulator", "init_accumulator"),
        "batch_size": ("batch", "n", "m", "n_samples"),
        "maximize": ("ascend",),
        "d": ("clip_threshold",),
        "beta2_decay": ("decay_rate",),
    }
)
"""By torch's name, in the order in which they are tried: a name that is torch's own comes first.

``decay`` is the weight decay of RMSprop, and its α where the weight decay has another name, or the
default is a half or more; Keras' Adagrad calls so what its rate falls by.
"""


def matched(
    names: Iterable[str], wanted: Iterable[str], aliases: Mapping[str, tuple[str, ...]] = ALIASES
) -> dict[str, str]:
    """Which of the names a piece of code takes stands for which of those that are wanted.

    torch's own names are theirs; then each wanted name takes its first alias that nobody else has,
    in the order of the aliases. Greek letters are their names.

    >>> matched(["params", "alpha", "mu", "wd"], ["lr", "momentum", "weight_decay", "nesterov"])
    {'lr': 'alpha', 'momentum': 'mu', 'weight_decay': 'wd'}
    >>> matched(["lr", "alpha"], ["lr", "alpha"])
    {'lr': 'lr', 'alpha': 'alpha'}
    >>> matched(["decay", "weight_decay"], ["alpha", "weight_decay"])
    {'alpha': 'decay', 'weight_decay': 'weight_decay'}
    >>> matched(["decay"], ["alpha", "weight_decay"])
    {'weight_decay': 'decay'}
    >>> matched(["η", "β1", "λ"], ["lr", "beta1", "weight_decay"])
    {'lr': 'η', 'beta1': 'β1', 'weight_decay': 'λ'}
    """
    there, wanted = {spelled(name): name for name in names}, list(wanted)
    found = {name: there[name] for name in wanted if name in there}
    for name in (n for n in aliases if n in wanted):
        free = (there[a] for a in aliases[name] if a in there and there[a] not in found.values())
        if name not in found and (own := next(free, None)) is not None:
            found[name] = own
    return {name: found[name] for name in wanted if name in found}


@cache
def spelled(name: str) -> str:
    """A name with Greek letters as they are called, and what is lowered or raised on the line.

    >>> spelled("η"), spelled("β₁"), spelled("ϵ"), spelled("λ")
    ('eta', 'beta1', 'epsilon', 'lambda')
    """
    return "".join(map(romanized, unicodedata.normalize("NFKC", name)))


_ROMAN = {"LAMDA": "lambda"}


def romanized(letter: str) -> str:
    """``β`` as ``beta``; others as they are."""
    words = unicodedata.name(letter, "").split()
    if words[:1] != ["GREEK"] or words[-2:-1] != ["LETTER"]:
        return letter
    name = _ROMAN.get(words[-1], words[-1].lower())
    return name.title() if words[1] == "CAPITAL" else name
