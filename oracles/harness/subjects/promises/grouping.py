"""Groups, their hyperparameters, and parameters that miss or join."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

import numpy as np
import torch

from oracles.harness.promise import NotAsked
from oracles.harness.subjects.subject import SubjectError, answering
from oracles.harness.subjects.trial import (
    HALF,
    OTHER_BITS,
    STEPS,
    Trial,
    TrialRun,
    compared,
    equal,
    lacks,
    rates,
    same,
)


def missing_gradients(trial: Trial) -> str:
    """A parameter without gradient is left alone, and does not touch the others."""
    run = trial.start()
    run.missing = frozenset({1})
    run.steps()
    if not equal(run.bits()[1], trial.parameter(1).detach()):
        return "moves a parameter that has no gradient"
    if not equal(run.bits()[0], trial.run((0,))[0]):
        return f"{OTHER_BITS} when another parameter has no gradient"
    trial.without_closure()
    run.missing = frozenset({0, 1})
    before = run.bits()
    run.steps(0, 1)
    return "" if same(before, run.bits()) else "moves parameters that have no gradients"


def late_gradients(trial: Trial) -> str:
    """A parameter whose first gradient comes later is stepped from then on."""
    return _from_the_middle(trial, _late(trial), "after its first gradient was late")


def _from_the_middle(trial: Trial, late: torch.Tensor, when: str) -> str:
    """The second parameter as one that starts then, or has counted from the beginning."""
    alone, waiting = trial.start((1,)).steps(HALF), trial.start((1,))
    waiting.missing = frozenset({1})
    if not trial.arrangement.closure:
        waiting.steps(0, HALF)
    waiting.missing = frozenset()
    if any(equal(late, run.bits()[1]) for run in (alone, waiting.steps(HALF))):
        return ""
    return f"{OTHER_BITS} {when}"


COUNTS = (
    "counts steps that had no gradient: a layer that is trained from later on is corrected as if "
    "it had been trained all along (count in each parameter's state, or do not promise it)"
)


def late_steps(trial: Trial) -> str:
    """Its steps are counted from its first gradient on, as those of one that starts then."""
    alone = trial.start((1,)).steps(HALF)
    return "" if equal(_late(trial), alone.bits()[1]) else COUNTS


def _late(trial: Trial) -> torch.Tensor:
    """The second parameter, whose gradients come from the middle of a run on."""
    run = trial.start()
    run.missing = frozenset({1})
    run.steps(0, HALF)
    run.missing = frozenset()
    return run.steps(HALF).bits()[1]


def groups(trial: Trial) -> str:
    """Each group is stepped with its own settings, as by an optimizer of its own."""
    trial.without_names()
    first, second = rates(trial)
    if not _apart(trial, {trial.lr: first}, {trial.lr: second}):
        return f"{OTHER_BITS} in a group with a learning rate of its own"
    for name, given in _settings(trial).items():
        if not _apart(trial, {}, given):
            return f"{OTHER_BITS} in a group with its own {name}"
    return ""


def _apart(trial: Trial, *given: Mapping[str, Any]) -> bool:
    """Whether groups with such options are stepped as parameters alone with them."""
    params = {n: trial.parameter(n) for n in range(len(given))}
    own = [{trial.key if n == trial.lr else n: x for n, x in o.items()} for o in given]
    listed = [{"params": [params[n]], **options} for n, options in enumerate(own)]
    together = TrialRun(trial, params, trial.made(listed)).steps().bits()
    return all(
        same(trial.run((n,), **options), {n: together[n]}) for n, options in enumerate(given)
    )


def _settings(trial: Trial) -> dict[str, dict[str, Any]]:
    """By torch's names, another value of each hyperparameter that its groups have."""
    if trial.candidate is None:
        return {}
    rule = trial.candidate.rule
    with answering():
        (group, *_) = trial.start((0,)).optimizer.param_groups
    found = {}
    for name, own in trial.box.arguments(rule).items():
        if own in group and own != trial.lr and own not in trial.box.fixed:
            for value in others(group[own]):
                with suppress(SubjectError):  # who refuses it beside the others
                    trial.run((0,), **{own: value})
                    found[name] = {own: value}
                    break
    return found


def others(value: Any) -> tuple[Any, ...]:
    """Other values than a hyperparameter has; none of what is a word."""
    if value is None:
        return (0.01,)
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return value + 1, value - 1
    if isinstance(value, float):
        return (value / 2, value * 2) if value and math.isfinite(value) else (0.01, 2.0)
    if isinstance(value, tuple | list):
        return tuple(type(value)(each) for each in product(*map(others, value)))
    return ()


def group_added(trial: Trial) -> str:
    """A group that is added between steps is stepped from then on."""
    trial.without_names()
    run = trial.start((0,)).steps(0, HALF)
    late = trial.parameter(1)
    run.params[1] = late
    with answering():
        run.optimizer.add_param_group({"params": [late]})
    run.steps(HALF)
    return _from_the_middle(trial, run.bits()[1], "in a group that joined later")


def edited_lr(trial: Trial) -> str:
    """A learning rate that is written into ``param_groups`` takes effect."""
    first, second = rates(trial)
    run = trial.start(**{trial.lr: first})
    if lacking := lacks(run, trial.lr):
        return lacking
    trial.without_rates(run)
    edited = run.reset(second).steps().bits()
    if not same(edited, trial.run(**{trial.lr: second})):
        return "does not step as one that was built with the learning rate written into its groups"
    late = trial.start(**{trial.lr: first}).steps(0, HALF)
    late.reset(second).steps(HALF)
    if same(late.bits(), trial.run(**{trial.lr: first})) and _heeds_rate(trial, first, second):
        return "does not heed a learning rate that is edited between steps"
    return ""


def _heeds_rate(trial: Trial, first: float, second: float) -> bool:
    """Whether the rule it follows, if that is known, does: Rprop's looks at its first one only."""
    if trial.candidate is None:
        return True
    rule, convention = trial.candidate.rule, trial.candidate.convention
    gradients = [np.ones((2, 2))] * STEPS

    def moved(rates: Sequence[float]) -> Any:
        schedule = [rule.hyper(lr=rate) for rate in rates]
        *_, (w, _) = rule.run(convention, np.ones((2, 2)), gradients, schedule)
        return w

    edited = [first] * HALF + [second] * (STEPS - HALF)
    return not np.array_equal(moved(edited), moved([first] * STEPS))


def scheduler(trial: Trial) -> str:
    """torch's schedulers drive it."""
    first, _ = rates(trial)

    def factor(t: int) -> float:
        return 0.5**t

    run, edited = trial.start(**{trial.lr: first}), trial.start(**{trial.lr: first})
    if trial.key != "lr":
        return f"its param_groups have {trial.key!r}; torch's schedulers write 'lr'"
    with answering():
        driven = torch.optim.lr_scheduler.LambdaLR(run.optimizer, factor)
    for t in range(STEPS):
        run.step(t)
        with answering():
            driven.step()
        edited.reset(first * factor(t)).step(t)
    return compared(run.bits(), edited.bits(), "driven by a scheduler than with its rates written")


def zero_lr(trial: Trial) -> str:
    """A learning rate of zero, with which warm-ups begin, is a step like others."""
    run = trial.start()
    if lacking := lacks(run, trial.lr):
        raise NotAsked(lacking)
    run.reset(0.0).steps(0, 2)
    if not all(p.isfinite().all() for p in run.bits().values()):
        return "makes parameters that are not finite at a learning rate of zero"
    return ""


def maximize(trial: Trial) -> str:
    """With ``maximize`` it steps as on negated gradients."""
    if "maximize" not in {*trial.box.accepts} - {*trial.box.fixed}:
        raise NotAsked("it takes no maximize")
    trial.without_closure()
    params = trial.parameters()
    run = TrialRun(trial, params, trial.made([*params.values()], maximize=True))
    for t in range(STEPS):
        run.load(t)
        for p in run.params.values():
            assert p.grad is not None
            p.grad.neg_()
        with answering():
            run.optimizer.step()
    plain = trial.run(maximize=False)
    return compared(run.bits(), plain, "under maximize than on negated gradients")
