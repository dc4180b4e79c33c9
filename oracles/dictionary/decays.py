"""What ``weight_decay`` means: the entries between its conventions, for every rule that has it.

γ is the learning rate, λ the decay, n the batch size of the step. torch's own is ``coupled`` (d = g
+ λw) or ``decoupled_lr`` (w = (1 − γλ)w before the step), by rule. Coupled decay enters whatever a
rule remembers; where it remembers nothing (SGD without momentum) the two are one, and elsewhere no
number makes them so.
"""

from __future__ import annotations

from collections.abc import Iterator

from oracles.dictionary.entry import (
    ALWAYS,
    SPOKEN,
    TORCHS,
    Change,
    Entry,
    Manner,
    Range,
    Refusal,
    alike,
    both,
    constant,
    off,
    same,
)
from oracles.drawing import Hyper
from oracles.numerics import Scalar
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

COUPLED = "coupled_unscaled"

FORMS = (
    COUPLED,
    "batch_scaled",
    "coupled_doubled",
    "decay_sign_flipped",
    "decoupled_lr",
    "decoupled_batch_scaled",
    "decoupled_sign_flipped",
    "decoupled",
    "decay_after_lr",
    "decay_after",
    "decay_ignored",
    "decay_drift",
    "switched",
)
"""All that decay can be."""

OWN_NAMES = {
    "decoupled_batch_scaled": "batch_scaled",
    "decoupled_sign_flipped": "decay_sign_flipped",
}
"""How rules call them whose torch decays so; there, the coupled ones of those names are none."""

LR_SCALED: Manner = frozenset(
    {
        "decoupled_lr",
        "decoupled_batch_scaled",
        "decoupled_sign_flipped",
        "decay_after_lr",
        "decay_drift",
        "switched",
    }
)
"""Those that shrink w by a multiple of the learning rate, and so hang on it."""

SHRINKING: Manner = LR_SCALED | {"decoupled", "decay_after"}
"""Those in which λw is no part of d."""

SWITCHED = frozenset({"Adam", "NAdam", "RAdam"})
"""Rules whose torch class takes ``decoupled_weight_decay``."""

MOVING = Range("lr is not 0", lambda schedule: all(h.lr != 0 for h in schedule))
WHOLE = Range(
    "lr times weight_decay is not 1",
    lambda schedule: all(h.lr * h.weight_decay != 1 for h in schedule),
)
NO_MOMENTUM = off("momentum")


def called(rule: Rule, form: str) -> str | None:
    """The convention that is that form of decay in a rule, or is spoken; None if it has none.

    >>> called(RULES["Adam"], "decoupled_lr"), called(RULES["Adam"], COUPLED)
    ('decoupled_lr', '')
    >>> called(RULES["Muon"], "decoupled_lr"), called(RULES["Muon"], "decoupled_batch_scaled")
    ('', 'batch_scaled')
    >>> called(RULES["SGD"], "switched"), called(RULES["Adam"], "sum_loss")
    (None, 'sum_loss')
    """
    if form == rule.torch.name:
        return TORCHS
    if form == "switched":
        return form if rule.name in SWITCHED else None
    if rule.torch.name == "decoupled_lr":
        form = OWN_NAMES.get(form, "" if form in OWN_NAMES.values() else form)
    elif form in OWN_NAMES:
        return form if rule.name == "Adam" else None
    spoken = form in SPOKEN and form not in FORMS
    return form if spoken or any(c.name == form for c in rule.conventions) else None


def _by_rows(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"weight_decay": h.weight_decay / h.batch_size}


def _times_rows(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"weight_decay": h.weight_decay * h.batch_size}


def _by_rate(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"weight_decay": h.weight_decay / h.lr}


def _times_rate(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"weight_decay": h.weight_decay * h.lr}


def _none(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"weight_decay": 0}


def _rest(h: Hyper) -> Scalar:
    """What decay leaves of w."""
    return 1 - h.lr * h.weight_decay


def _in_one(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"lr": h.lr * _rest(h), "weight_decay": h.weight_decay / _rest(h)}


def _in_two(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"lr": h.lr / _rest(h), "weight_decay": h.weight_decay * _rest(h)}


def _in_one_of_two(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {**_in_one(h, before, t), "lambd": h.lambd / _rest(h)}


def _in_two_of_two(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {**_in_two(h, before, t), "lambd": h.lambd * _rest(h)}


DECAYED_OTHERWISE: Manner = frozenset({"decay_before_rms"})
"""Adafactor's size of a parameter, which is measured after a decay of its own."""

IN_PART: Manner = frozenset({"bias_undecayed"})
"""Decay of some parameters only: another learning rate is for all of them."""

Row = tuple[str, str, Change, str, Range, tuple[str, ...], str]

N, LR = ("batch_size",), ("lr",)
ROWS = "the penalty is divided by the batch size with the losses, or it is not"
RATE = "the shrinkage is multiplied by the learning rate, or it is not"
PAIRS: tuple[Row, ...] = (
    ("batch_scaled", COUPLED, _by_rows, "weight_decay = λ/n", ALWAYS, N, ROWS),
    (COUPLED, "batch_scaled", _times_rows, "weight_decay = λ·n", ALWAYS, N, ROWS),
    ("decoupled_batch_scaled", "decoupled_lr", _by_rows, "weight_decay = λ/n", ALWAYS, N, ROWS),
    ("decoupled_lr", "decoupled_batch_scaled", _times_rows, "weight_decay = λ·n", ALWAYS, N, ROWS),
    ("decoupled", "decoupled_lr", _by_rate, "weight_decay = λ/lr", MOVING, LR, RATE),
    ("decoupled_lr", "decoupled", _times_rate, "weight_decay = λ·lr", ALWAYS, LR, RATE),
    ("decay_after", "decay_after_lr", _by_rate, "weight_decay = λ/lr", MOVING, LR, RATE),
    ("decay_after_lr", "decay_after", _times_rate, "weight_decay = λ·lr", ALWAYS, LR, RATE),
    (
        "coupled_doubled",
        COUPLED,
        lambda h, before, t: {"weight_decay": 2 * h.weight_decay},
        "weight_decay = 2λ",
        ALWAYS,
        (),
        "the gradient of λ|w|² is 2λw, that of ½λ|w|² is λw",
    ),
    (
        COUPLED,
        "coupled_doubled",
        lambda h, before, t: {"weight_decay": h.weight_decay / 2},
        "weight_decay = λ/2",
        ALWAYS,
        (),
        "the gradient of λ|w|² is 2λw, that of ½λ|w|² is λw",
    ),
    (
        "switched",
        "decoupled_lr",
        same,
        "",
        ALWAYS,
        (),
        "decoupled_weight_decay=True is the same decay by another name",
    ),
    (
        "decoupled_lr",
        "switched",
        same,
        "decoupled_weight_decay=True",
        ALWAYS,
        (),
        "decoupled_weight_decay=True is the same decay by another name",
    ),
    (
        "decay_ignored",
        COUPLED,
        _none,
        "weight_decay = 0",
        ALWAYS,
        (),
        "whatever is given is ignored",
    ),
    (
        "decay_ignored",
        "decoupled_lr",
        _none,
        "weight_decay = 0",
        ALWAYS,
        (),
        "whatever is given is ignored",
    ),
)
"""What holds in every rule: from, to, the numbers, the formula, where, what must be known, why."""

ONE_STEP = (
    "without momentum nothing is remembered: w − γ(g + λw) is (1 − γλ)w − γg, in whichever order"
)
AT_ONCE: tuple[Row, ...] = (
    ("decoupled_lr", COUPLED, same, "", NO_MOMENTUM, (), ONE_STEP),
    (COUPLED, "decoupled_lr", same, "", NO_MOMENTUM, (), ONE_STEP),
)
"""What holds in SGD, which remembers nothing without momentum."""

IN_STEPS: Manner = frozenset(
    {"lr_in_velocity", "lr_in_buffer", "lr_ignored", "lr_remembered", "lambd_unscaled"}
)
"""Steps that are no multiple of the learning rate: it is in what they remember, or nowhere."""

SHRUNK = "decay after the step shrinks the step, too: (1 − γλ)(w − γu)"
ONE = "lr = lr(1 − lr·λ), weight_decay = λ/(1 − lr·λ)"
TWO = "lr = lr/(1 − lr·λ), weight_decay = λ(1 − lr·λ)"
WITH_THE_STEP: tuple[Row, ...] = (
    ("decay_after_lr", "decoupled_lr", _in_one, ONE, WHOLE, LR, SHRUNK),
    ("decoupled_lr", "decay_after_lr", _in_two, TWO, WHOLE, LR, SHRUNK),
)
"""The same under another learning rate, which makes up for a step u that shrinks, too."""

STILL = both(constant("lr", "weight_decay"), WHOLE)
ONE_OF_TWO, TWO_OF_TWO = f"{ONE}, lambd = ℓ/(1 − lr·λ)", f"{TWO}, lambd = ℓ(1 − lr·λ)"
LAMBD = (*LR, "lambd")
WITH_LAMBD: tuple[Row, ...] = (
    ("decay_after_lr", "decoupled_lr", _in_one_of_two, ONE_OF_TWO, STILL, LAMBD, SHRUNK),
    ("decoupled_lr", "decay_after_lr", _in_two_of_two, TWO_OF_TWO, STILL, LAMBD, SHRUNK),
)
"""In ASGD, whose step follows the rate of the step before, and shrinks w by lambd times it."""


def _entries(
    rule: Rule, rows: tuple[Row, ...], without: Manner = DECAYED_OTHERWISE
) -> Iterator[Entry]:
    for one, other, change, formula, where, needs, reason in rows:
        drops, adds = called(rule, one), called(rule, other)
        if drops is None or adds is None:
            continue
        yield Entry(
            rule=rule.name,
            drops=drops,
            adds=adds,
            change=change,
            formula=formula,
            range=where,
            without=without,
            needs=needs,
            reason=reason,
        )


def _unflipped() -> Iterator[Entry]:
    """AdamW's flipped sign is decoupled decay, where nothing is maximized."""
    yield from alike("Adam", "decoupled_sign_flipped", off("maximize"), other="decoupled_lr")


def _without_any(rule: Rule) -> Iterator[Entry]:
    """Where there is no decay, or its sign is not turned, it does not matter which it is."""
    for form in FORMS:
        name = called(rule, form)
        if not name:
            continue
        ranges = [off("weight_decay")]
        if form == "decay_sign_flipped" or name == "decay_sign_flipped":
            ranges.append(off("maximize"))
        for where in ranges:
            yield from alike(rule.name, name, where)


BIASES = "one decays matrices only, torch whatever is in a group with weight_decay"


def _biases(rule: Rule) -> Iterator[Entry]:
    """A group of their own for parameters of at most one dimension."""
    yield Entry(
        rule=rule.name,
        drops="bias_undecayed",
        adds=TORCHS,
        vectors={"weight_decay": 0},
        without=frozenset({"inverse_strength"}),  # whose 0 weighs losses
        formula="weight_decay = 0 for biases and other parameters of at most one dimension",
        reason=BIASES,
    )
    yield Entry(
        rule=rule.name,
        drops=TORCHS,
        adds="bias_undecayed",
        range=Range("for matrices: there is no way to decay a bias", lambda schedule: True),
        reason=BIASES,
    )
    yield from alike(rule.name, "bias_undecayed", off("weight_decay"))


def entries() -> Iterator[Entry]:
    """Of all rules, those that hold more widely first."""
    for rule in RULES.values():
        if rule.name == "AdamW" or "weight_decay" not in rule.hyper()._fields:
            continue  # AdamW is Adam with decoupled_lr
        yield from _entries(rule, PAIRS)
        if rule.name == "SGD":
            yield from _entries(rule, AT_ONCE)
        if rule.name != "Adafactor":
            after = WITH_LAMBD if rule.name == "ASGD" else WITH_THE_STEP
            yield from _entries(rule, after, IN_PART | IN_STEPS)
        if rule.name == "Adam":
            yield from _unflipped()
        yield from _without_any(rule)
        yield from _biases(rule)


def _optimum(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"weight_decay": h.weight_decay * (1 - h.momentum)}


def _no_optimum(h: Hyper, before: Hyper, t: int) -> dict[str, object]:
    return {"weight_decay": h.weight_decay / (1 - h.momentum) if h.momentum != 1 else 0}


ADAPTIVE = frozenset(RULES) - {"SGD", "ASGD", "Muon", "Rprop", "SparseAdam"}
"""Rules that divide by a root of squares."""

INSTEAD = (
    "; what no number does, a line does: p.mul_(1 - lr * λ) {} the step is decoupled decay, "
    "p.grad.add_(p, alpha=λ) is coupled decay"
)
REMEMBERED = "coupled decay is part of what the momentum remembers, decoupled decay is not"
OPTIMA = (
    "; they end at the same optimum with weight_decay·(1 − momentum), and get there by other ways"
)
ADAPTED = (
    "coupled decay is divided by the root of the squares, so that where gradients are large there "
    "is hardly any; decoupled decay is not, and no one number is both"
)
ORDERS = (("decoupled_lr", "before"), ("decay_after_lr", "after"))
"""Decoupled decay, and on which side of the step."""

REFUSALS = (
    Refusal(
        rules=frozenset({"SGD"}),
        one="decoupled_lr",
        other=COUPLED,
        reason=REMEMBERED + OPTIMA + INSTEAD.format("before"),
        folk=_optimum,
        saying="weight_decay = λ(1 − momentum)",
        back=_no_optimum,
        said_back="weight_decay = λ/(1 − momentum)",
    ),
    Refusal(
        rules=frozenset({"SGD"}),
        one="decay_after_lr",
        other=COUPLED,
        reason=REMEMBERED + INSTEAD.format("after"),
    ),
    *(
        Refusal(rules=ADAPTIVE, one=one, other=COUPLED, reason=ADAPTED + INSTEAD.format(side))
        for one, side in ORDERS
    ),
    *(
        Refusal(
            rules=frozenset({"ASGD", "Muon"}),
            one=one,
            other=COUPLED,
            reason="coupled decay goes through all that the rule makes of a gradient, decoupled "
            "decay goes by it",
        )
        for one, _ in ORDERS
    ),
    Refusal(
        rules=frozenset(RULES) - {"ASGD", "Adafactor"},
        one="decay_after_lr",
        other="decoupled_lr",
        reason="where lr times weight_decay is 1 nothing is left of w after the step, nor of the "
        "step; a decay before it leaves the step",
    ),
    Refusal(
        rules=frozenset({"ASGD"}),
        one="decay_after_lr",
        other="decoupled_lr",
        reason="a decay after the step shrinks the step as well, which follows the rate of the "
        "step before: another lr makes up for that only while lr and weight_decay are constant",
    ),
    Refusal(
        rules=frozenset({"Adafactor"}),
        one="decay_after_lr",
        other="decoupled_lr",
        reason="a decay after the step shrinks the step as well, and its rate is min(lr, 1/√t), "
        "for which no one lr makes up once 1/√t is below lr",
    ),
    Refusal(
        one="decoupled_sign_flipped",
        other="decoupled_lr",
        reason="under maximize its decay grows w, and torch allows no negative weight_decay",
    ),
    Refusal(
        one="decay_sign_flipped",
        other=COUPLED,
        reason="under maximize its decay grows w, and torch allows no negative weight_decay",
    ),
    Refusal(
        rules=frozenset({"SGD"}),
        one="decay_drift",
        other=COUPLED,
        reason="it pulls by lr·λ whatever w is: no decay, which is in proportion to w",
    ),
    Refusal(
        one="decay_ignored",
        other=COUPLED,
        reason="it has no decay: pull the penalty into the loss instead",
    ),
)
"""Forms that no number makes the same."""
