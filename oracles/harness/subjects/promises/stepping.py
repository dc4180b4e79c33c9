"""One step: what it does to parameters, gradients and whoever looks on."""

from __future__ import annotations

from typing import Any

import torch

from oracles.harness.promise import FEW, NotAsked
from oracles.harness.subjects.handing import TENSORS
from oracles.harness.subjects.subject import answering
from oracles.harness.subjects.trial import (
    STEPS,
    Trial,
    compared,
    equal,
    same,
    short,
)


def stay_themselves(trial: Trial) -> str:
    """Parameters are the same objects, of the same kind."""
    run = trial.start()
    before = {n: _kind(p) for n, p in run.params.items()}
    for t in range(STEPS):
        run.step(t)
        for n, p in run.params.items():
            now = _kind(p)
            for what in now:
                if now[what] != before[n][what]:
                    change = f"{before[n][what]} became {now[what]}"
                    return f"changes the {what} of parameter {n} at step {t + 1}: {change}"
    given = {*map(id, run.params.values())}
    if run.held != given and not (run.held < given and trial.chooses):
        return "its param_groups hold other objects than it was given"
    return ""


def _kind(p: torch.Tensor) -> dict[str, Any]:
    return {
        "shape": tuple(p.shape),
        "dtype": p.dtype,
        "device": p.device,
        "requires_grad": p.requires_grad,
    }


def moves(trial: Trial) -> str:
    """Every parameter with gradients is moved that is not left out by who makes an optimizer."""
    run = trial.start()
    before = run.bits()
    after = run.steps().bits()
    still = [n for n in run.chosen if equal(before[n], after[n])]
    return f"leaves parameter {still[0]} where it was, {STEPS} gradients long" if still else ""


def stays_finite(trial: Trial) -> str:
    """Finite numbers stay finite."""
    run = trial.start()
    for t in range(STEPS):
        run.step(t)
        for n, p in run.bits().items():
            if not p.isfinite().all():
                return f"parameter {n} is not finite after step {t + 1}"
    return ""


def in_place(trial: Trial) -> str:
    """A step writes where its parameters are: whoever shares their memory sees it."""
    run = trial.start()
    before = {n: p.data_ptr() for n, p in run.params.items()}
    for t in range(STEPS):
        run.step(t)
        for n, p in run.params.items():
            if p.data_ptr() != before[n]:
                return f"puts parameter {n} into other memory at step {t + 1}"
    return ""


def gradients_kept(trial: Trial) -> str:
    """Gradients are after a step what they were before."""
    trial.without_closure()
    run = trial.start()
    for t in range(STEPS):
        run.step(t)
        for n, p in run.params.items():
            if p.grad is None:
                return f"takes the gradient of parameter {n} away at step {t + 1}"
            if not equal(p.grad, trial.gradient(n, t)):
                return f"changes the gradient of parameter {n} at step {t + 1}"
    return ""


def deterministic(trial: Trial) -> str:
    """The same numbers give the same bits."""
    return "" if same(trial.run(), trial.run()) else "two runs on the same numbers give other bits"


def independent(trial: Trial) -> str:
    """A parameter's step hangs on itself alone.

    Who follows a rule of this registry promises that. Other rules may couple parameters on purpose.
    """
    together = trial.run()
    coupled = [n for n in together if not same(trial.run((n,)), {n: together[n]})]
    if coupled and trial.candidate is None:
        raise NotAsked("it couples parameters, as the rule it follows may")
    if coupled:
        return f"parameter {coupled[0]} is stepped otherwise alone"
    if trial.candidate is None or trial.box.form != TENSORS:  # names are for looking at
        return ""
    many = trial.run(range(FEW))
    other = [n for n in many if not equal(many[n], together[n % len(together)])]
    return f"parameter {other[0]} is stepped otherwise than one like it" if other else ""


def order(trial: Trial) -> str:
    """The order in which parameters are given changes nothing."""
    return compared(trial.run((1, 0)), trial.run(), "when the parameters are reversed")


def returns_nothing(trial: Trial) -> str:
    """Without a closure a step returns None."""
    trial.without_closure()
    returned = trial.start().step(0)
    return "" if returned is None else f"returns {short(returned)} where there is no closure"


def closure(trial: Trial) -> str:
    """A closure is called with gradients enabled, and what it returns is returned.

    Once, by who follows a rule of this registry: other rules may look at several losses.
    """
    run = trial.start()
    calls: list[bool] = []
    losses = []

    def remembered() -> Any:
        losses.append(loss())
        return losses[-1]

    loss = run.closure(0, calls)
    with answering():
        returned = run.optimizer.step(remembered)
    if not calls:
        return "does not call the closure"
    if not all(calls):
        return "calls the closure while gradients are not recorded"
    if not any(returned is value or _equals(returned, value) for value in losses):
        return f"returns {short(returned)} instead of the closure's value"
    if trial.candidate is not None and len(calls) > 1:
        return f"calls the closure {len(calls)} times in one step"
    return ""


def closures_gradients(trial: Trial) -> str:
    """A step with a closure uses the gradients that the closure has made."""
    trial.without_closure()
    run = trial.start()
    for t in range(STEPS):
        with answering():
            run.optimizer.step(run.closure(t))
    return compared(run.bits(), trial.run(), "when a closure makes the gradients")


def _equals(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # what it returns may be anything
        return False


def bystanders_kept(trial: Trial) -> str:
    """Tensors that were not handed over are left alone, and so are their gradients."""
    other = trial.parameter(1)
    other.grad = trial.gradient(1, 0)
    trial.start((0,)).steps()
    now: dict[str, Any] = {"value": other.detach(), "gradient": other.grad}
    before = {"value": trial.parameter(1).detach(), "gradient": trial.gradient(1, 0)}
    for what, value in now.items():
        if value is None or not equal(value, before[what]):
            return f"changes the {what} of a tensor it was not given"
    return ""
