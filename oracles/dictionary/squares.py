"""ε, bias corrections, accumulators and rates of the adaptive rules.

cᵢ = 1 − βᵢᵗ, and t counts the gradients that a parameter has seen. What a step divides by a
correction, the learning rate of that step can make up for; what is added inside a root, nothing
can, but where the root is of a sum that starts somewhere (Adagrad).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from oracles.dictionary.decays import LR_SCALED
from oracles.dictionary.entry import (
    SETTLED,
    TORCHS,
    Change,
    Entry,
    Manner,
    Range,
    Refusal,
    alike,
    both,
    constant,
    correction,
    ignoring,
    off,
    pair,
    root,
)
from oracles.dictionary.momenta import STEADY
from oracles.drawing import Hyper
from oracles.numerics import Scalar

EPS_HAT = "ε is added before the correction of the root, or after it"
CORRECTIONS: Manner = frozenset({"uncorrected", "second_uncorrected", "correction_late"})


def _c1(h: Hyper, t: int) -> Scalar:
    return correction(h.beta1, t)


def _r2(h: Hyper, t: int) -> Scalar:
    return root(correction(h.beta2, t))


def _eps_up(h: Hyper, before: Hyper, t: int) -> Mapping[str, Any]:
    return {"eps": h.eps / _r2(h, t)}


def _eps_down(h: Hyper, before: Hyper, t: int) -> Mapping[str, Any]:
    return {"eps": h.eps * _r2(h, t)}


UP, DOWN = "eps_t = ε/√(1 − β2^t)", "eps_t = ε·√(1 − β2^t)"


def _eps() -> Iterator[Entry]:
    beside: dict[str, Any] = {"without": CORRECTIONS}
    first: dict[str, Any] = {"without": CORRECTIONS - {"uncorrected"}}  # NAdam's is of the mean
    yield from pair("Adam", "eps_hat", _eps_up, UP, _eps_down, DOWN, EPS_HAT, **beside)
    yield from pair("NAdam", "eps_hat", _eps_up, UP, _eps_down, DOWN, EPS_HAT, **first)
    yield from pair("Adam", "eps_scaled", _eps_down, DOWN, _eps_up, UP, EPS_HAT, **beside)
    yield from pair("RAdam", "eps_corrected", _eps_down, DOWN, _eps_up, UP, EPS_HAT)
    yield from pair("SparseAdam", "eps_corrected", _eps_down, DOWN, _eps_up, UP, EPS_HAT, **beside)
    yield from _accumulated()
    inside = ("Adam", "NAdam", "RAdam", "RMSprop", "Adagrad", "SparseAdam")
    others = (
        *((rule, "eps_inside") for rule in inside),
        ("Adam", "eps_hat"),
        ("Adam", "eps_scaled"),
        ("NAdam", "eps_hat"),
        ("RAdam", "eps_ignored"),
        ("RAdam", "eps_corrected"),
        ("SparseAdam", "eps_ignored"),
        ("SparseAdam", "eps_corrected"),
        ("Adagrad", "eps_ignored"),
        ("Adamax", "eps_ignored"),
        ("Adamax", "eps_outside"),
        ("Adamax", "eps_on_memory"),
    )
    for rule, name in others:
        yield from alike(rule, name, off("eps"))
    for rule in ("RAdam", "SparseAdam", "Adagrad", "Adamax"):
        yield ignoring(rule, "eps_ignored")


def _accumulated() -> Iterator[Entry]:
    """√(s + ε) is the root of a sum that has started at τ + ε."""
    reason = "√(s + ε) is the root of a sum that starts at τ + ε"
    tau = "initial_accumulator_value"
    for adds in (TORCHS, "eps_ignored"):
        yield Entry(
            rule="Adagrad",
            drops="eps_inside",
            adds=adds,
            change=lambda h, before, t: {tau: h.initial_accumulator_value + h.eps, "eps": 0},
            formula=f"{tau} = τ + ε, eps = 0",
            range=constant("eps"),
            without=frozenset({"accumulator_tenth", "start_ignored"}),
            needs=("eps",),
            reason=reason,
        )
    yield Entry(
        rule="Adagrad",
        drops="accumulator_tenth",
        adds=TORCHS,
        change=lambda h, before, t: {tau: (1 + 0 * h.eps) / 10},
        formula=f"{tau} = 0.1",
        reason="it starts at 0.1 whatever is given",
    )
    yield Entry(
        rule="Adagrad",
        drops=TORCHS,
        adds="accumulator_tenth",
        range=Range(
            f"{tau}=0.1",
            lambda schedule: all(10 * h.initial_accumulator_value == 1 for h in schedule),
        ),
        reason="it starts at 0.1 whatever is given",
    )
    yield Entry(
        rule="Adagrad",
        drops="start_ignored",
        adds=TORCHS,
        change=lambda h, before, t: {tau: 0 * h.initial_accumulator_value},
        formula=f"{tau} = 0",
        reason="it starts at 0 whatever is given",
    )
    yield Entry(
        rule="Adagrad",
        drops=TORCHS,
        adds="start_ignored",
        range=off(tau),
        reason="it starts at 0 whatever is given",
    )


BIAS = "dividing by a correction is a learning rate, and an ε, of the step"
LR_FREE: dict[str, Any] = {"without": LR_SCALED, "needs": ("lr",)}
"""The learning rate is changed, which a decay that hangs on it would notice."""

CORRECTED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Adam": frozenset({"eps_hat", "eps_scaled", "eps_inside", "amsgrad_corrected"}),
        "SparseAdam": frozenset({"eps_corrected"}),
    }
)
"""By rule, what would notice that squares are corrected otherwise: ε is torch's."""


def _scales(name: str, h: Hyper, t: int) -> tuple[Scalar, Scalar]:
    """What lr and ε are multiplied by, from a convention to torch's."""
    c1, r2 = _c1(h, t), _r2(h, t)
    if name == "uncorrected":
        return c1 / r2, 1 / r2
    if name == "second_uncorrected":
        return 1 / r2, 1 / r2
    late1, late2 = _c1(h, t + 1), _r2(h, t + 1)
    return c1 * late2 / (late1 * r2), late2 / r2


FORMULAS = {
    "uncorrected": ("c1/√c2", "√c2/c1", "1/√c2", "√c2"),
    "second_uncorrected": ("1/√c2", "√c2", "1/√c2", "√c2"),
    "correction_late": ("c1·√c2'/(c1'·√c2)", "c1'·√c2/(c1·√c2')", "√c2'/√c2", "√c2/√c2'"),
}
"""By which lr and ε are multiplied, there and back; cᵢ = 1 − βᵢ^t and cᵢ' = 1 − βᵢ^(t+1)."""


def _corrected(name: str) -> tuple[Change, Change]:
    def there(h: Hyper, before: Hyper, t: int) -> Mapping[str, Any]:
        rate, eps = _scales(name, h, t)
        return {"lr": h.lr * rate, "eps": h.eps * eps}

    def back(h: Hyper, before: Hyper, t: int) -> Mapping[str, Any]:
        rate, eps = _scales(name, h, t)
        return {"lr": h.lr / rate, "eps": h.eps / eps}

    return there, back


WHERE_C = ", c1 = 1 − β1^t, c2 = 1 − β2^t"
WHERE_LATE = WHERE_C + ", c1' and c2' those of t + 1"


def _corrections() -> Iterator[Entry]:
    for rule in CORRECTED:
        for name, (rate, back_rate, eps, back_eps) in FORMULAS.items():
            there, back = _corrected(name)
            where = WHERE_LATE if name == "correction_late" else WHERE_C
            if rule == "SparseAdam":  # its torch adds ε before the correction
                there, back = _rates_alone(there), _rates_alone(back)
                formulas = f"lr_t = lr·{rate}{where}", f"lr_t = lr·{back_rate}{where}"
            else:
                formulas = (
                    f"lr_t = lr·{rate}, eps_t = ε·{eps}{where}",
                    f"lr_t = lr·{back_rate}, eps_t = ε·{back_eps}{where}",
                )
            free = {**LR_FREE, "without": LR_SCALED | CORRECTED[rule]}
            yield from pair(rule, name, there, formulas[0], back, formulas[1], BIAS, **free)
    yield from _mean_alone()
    yield from _of_squares_alone()


def _rates_alone(change: Change) -> Change:
    return lambda h, before, t: {"lr": change(h._replace(eps=1), before, t)["lr"]}


def _rated(
    rule: str, name: str, scale: Any, formula: str, back: str, reason: str = BIAS
) -> Iterator[Entry]:
    """Where a learning rate of the step makes up for all."""
    yield from pair(
        rule,
        name,
        lambda h, before, t: {"lr": h.lr * scale(h, t)},
        formula,
        lambda h, before, t: {"lr": h.lr / scale(h, t)},
        back,
        reason,
        **LR_FREE,
    )


def _mean_alone() -> Iterator[Entry]:
    yield from _rated("Adamax", "uncorrected", _c1, "lr_t = lr(1 − β1^t)", "lr_t = lr/(1 − β1^t)")
    yield from _rated(
        "Adamax",
        "norm_corrected",
        lambda h, t: correction(h.beta2, t),
        "lr_t = lr(1 − β2^t)",
        "lr_t = lr/(1 − β2^t)",
    )
    yield from _rated(
        "Adamax",
        "correction_late",
        lambda h, t: _c1(h, t) / _c1(h, t + 1),
        "lr_t = lr(1 − β1^t)/(1 − β1^(t+1))",
        "lr_t = lr(1 − β1^(t+1))/(1 − β1^t)",
    )
    yield from _rated(
        "RAdam", "first_uncorrected", _c1, "lr_t = lr(1 − β1^t)", "lr_t = lr/(1 − β1^t)"
    )


def _r(h: Hyper, t: int) -> Scalar:
    return root(correction(h.alpha, t))


FADING = Range("alpha < 1", lambda schedule: all(abs(h.alpha) < 1 for h in schedule))
"""Where no correction is 0; an alpha that was swapped may be below it."""


def _of_squares_alone() -> Iterator[Entry]:
    """RMSprop: its momentum sums what was scaled, so that the momentum is of the step, too."""

    def there(h: Hyper, before: Hyper, t: int) -> Mapping[str, Any]:
        mu = h.momentum * _r(before, t - 1) / _r(h, t) if t > 1 else h.momentum
        return {"lr": h.lr * _r(h, t), "eps": h.eps * _r(h, t), "momentum": mu}

    def back(h: Hyper, before: Hyper, t: int) -> Mapping[str, Any]:
        mu = h.momentum * _r(h, t) / _r(before, t - 1) if t > 1 else h.momentum
        return {"lr": h.lr / _r(h, t), "eps": h.eps / _r(h, t), "momentum": mu}

    where = ", c = 1 − alpha^t"
    options: dict[str, Any] = {
        "range": both(STEADY, FADING),
        "without": LR_SCALED | {"lr_in_buffer", "momentum_inside", "ema_momentum"},
        "needs": ("lr",),
    }
    yield from pair(
        "RMSprop",
        "corrected",
        there,
        f"lr_t = lr·√c, eps_t = ε·√c, momentum_t = μ·√(c_{{t−1}}/c_t){where}",
        back,
        f"lr_t = lr/√c, eps_t = ε/√c, momentum_t = μ·√(c_t/c_{{t−1}}){where}",
        BIAS,
        **options,
    )


def _switches() -> Iterator[Entry]:
    """Flags and factors that are ignored, turned round or counted from another step."""
    yield from alike("Adam", "amsgrad_corrected", off("amsgrad"))
    yield from alike("Adam", "amsgrad_ignored", off("amsgrad"))
    yield from alike("RMSprop", "centered_late", off("centered"))
    yield from alike("RMSprop", "centered_ignored", off("centered"))
    yield ignoring("Adam", "amsgrad_ignored")
    yield ignoring("RMSprop", "centered_ignored")
    yield ignoring("Adadelta", "lr_ignored", without=LR_SCALED | {"lr_remembered"})
    yield ignoring("Adagrad", "lr_decay_ignored")
    yield ignoring("NAdam", "decay_of_one")
    yield from _swapped()
    yield from _decaying()
    yield from _settled()
    yield Entry(
        rule="NAdam",
        drops=TORCHS,
        adds="decay_of_one",
        range=Range("momentum_decay=1", lambda s: all(h.momentum_decay == 1 for h in s)),
        reason="its factor is 0.96^t, whatever is given",
    )


def _settled() -> Iterator[Entry]:
    """A momentum without a schedule is one whose schedule is over at once."""
    reason = "μ_t = β1(1 − ½·0.96^(t·ψ)) is β1 where 0.96^ψ is less than any format notices"
    yield ignoring("NAdam", "constant_momentum", reason)
    yield Entry(
        rule="NAdam",
        drops=TORCHS,
        adds="constant_momentum",
        range=Range(
            f"momentum_decay >= {SETTLED}",
            lambda schedule: all(h.momentum_decay >= SETTLED for h in schedule),
        ),
        reason=reason,
    )


def _swapped() -> Iterator[Entry]:
    other: Change = lambda h, before, t: {"alpha": 1 - h.alpha}  # noqa: E731
    yield from pair(
        "RMSprop",
        "alpha_swapped",
        other,
        "alpha = 1 − alpha",
        other,
        "alpha = 1 − alpha",
        "alpha is the weight of the new value, or of the old one",
        range=off("centered"),
        without=frozenset({"corrected"}),
        needs=("alpha",),
    )
    other = lambda h, before, t: {"rho": 1 - h.rho}  # noqa: E731
    yield from pair(
        "Adadelta",
        "rho_swapped",
        other,
        "rho = 1 − rho",
        other,
        "rho = 1 − rho",
        "rho is the weight of the new value, or of the old one",
        needs=("rho",),
    )


def _decaying() -> Iterator[Entry]:
    """Adagrad's lr_decay as a schedule, and counted from 1."""
    yield Entry(
        rule="Adagrad",
        drops=TORCHS,
        adds="lr_decay_ignored",
        change=lambda h, before, t: {"lr": h.lr / (1 + (t - 1) * h.lr_decay), "lr_decay": 0},
        formula="lr_t = lr/(1 + (t − 1)·lr_decay)",
        without=LR_SCALED,
        needs=("lr",),
        reason="lr_decay is a schedule of the learning rate",
    )
    yield from alike("Adagrad", "lr_decay_ignored", off("lr_decay"))
    yield Entry(
        rule="Adagrad",
        drops="lr_decay_late",
        adds=TORCHS,
        change=lambda h, before, t: {
            "lr": h.lr / (1 + h.lr_decay),
            "lr_decay": h.lr_decay / (1 + h.lr_decay),
        },
        formula="lr = lr/(1 + lr_decay), lr_decay = lr_decay/(1 + lr_decay)",
        without=LR_SCALED,
        needs=("lr",),
        reason="lr/(1 + tη) is lr/(1 + η) / (1 + (t − 1)η/(1 + η))",
    )
    yield Entry(
        rule="Adagrad",
        drops=TORCHS,
        adds="lr_decay_late",
        change=lambda h, before, t: {
            "lr": h.lr / (1 - h.lr_decay),
            "lr_decay": h.lr_decay / (1 - h.lr_decay),
        },
        formula="lr = lr/(1 − lr_decay), lr_decay = lr_decay/(1 − lr_decay)",
        range=Range("lr_decay < 1", lambda schedule: all(h.lr_decay < 1 for h in schedule)),
        without=LR_SCALED,
        needs=("lr",),
        reason="lr/(1 + (t − 1)η) is lr/(1 − η) / (1 + tη/(1 − η))",
    )
    yield from alike("Adagrad", "lr_decay_late", off("lr_decay"))


def entries() -> Iterator[Entry]:
    """Of all rules, those that hold more widely first."""
    yield from _eps()
    yield from _corrections()
    yield from _switches()


def _root_of_eps(h: Hyper, before: Hyper, t: int) -> Mapping[str, Any]:
    return {"eps": root(h.eps)}


def _square_of_eps(h: Hyper, before: Hyper, t: int) -> Mapping[str, Any]:
    return {"eps": h.eps * h.eps}


REFUSALS = (
    Refusal(
        rules=frozenset({"Adagrad"}),
        one="eps_inside",
        other=TORCHS,
        reason="outside the root ε moves the denominator of a large gradient as much as that of a "
        "small one; only at eps = 0 is it a sum that starts elsewhere",
        folk=_root_of_eps,
        saying="eps = √ε",
        back=_square_of_eps,
        said_back="eps = ε²",
    ),
    Refusal(
        rules=frozenset({"Adam", "NAdam", "RAdam", "RMSprop", "SparseAdam"}),
        one="eps_inside",
        other=TORCHS,
        reason="√(v + ε) is √v + ε' with an ε' of each gradient's own, between 0 and √ε: no one "
        "number serves two gradients",
        folk=_root_of_eps,
        saying="eps = √ε",
        back=_square_of_eps,
        said_back="eps = ε²",
    ),
    Refusal(
        rules=frozenset({"Adam"}),
        one="amsgrad_corrected",
        other=TORCHS,
        reason="the maximum of corrected moments lets an early one stand that the maximum of raw "
        "ones does not: which is larger depends on the gradients",
    ),
    Refusal(
        rules=frozenset({"NAdam"}),
        one="constant_momentum",
        other=TORCHS,
        reason="its momentum is β1 from the first step on, torch's rises to it with momentum_decay",
    ),
    Refusal(
        rules=frozenset({"RMSprop"}),
        one="accumulator_one",
        other=TORCHS,
        reason="its average starts at 1 and torch's at 0; what that adds fades with alpha^t, and "
        "torch takes no number for it",
    ),
    Refusal(
        rules=frozenset({"Adamax"}),
        one="eps_outside",
        other=TORCHS,
        reason="torch adds ε to each gradient inside the maximum, which remembers it; outside, it "
        "is added once to whatever the maximum is",
    ),
    Refusal(
        rules=frozenset({"Adadelta"}),
        one="eps_outside",
        other=TORCHS,
        reason="torch adds ε inside both roots, of which no sum outside is made",
        folk=_square_of_eps,
        saying="eps = ε²",
        back=_root_of_eps,
        said_back="eps = √ε",
    ),
)
