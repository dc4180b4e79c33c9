"""What a step of a ``torch.optim.Optimizer`` promises: a table.

No name of a state and no path is looked at. Values are compared to the bit with those of another
run of the same code, so that nothing need be known of its rule.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from oracles.harness.promise import NotAsked, Promise
from oracles.harness.subjects.subject import answering
from oracles.harness.subjects.surroundings import SURROUNDING_PROMISES
from oracles.harness.subjects.tensors import UNTOUCHED, gaps, strided, transposed
from oracles.harness.subjects.trial import (
    HALF,
    SHAPES,
    STEPS,
    Bits,
    Run,
    Trial,
    equal,
    pickled,
    same,
    through_bytes,
)

OTHER_BITS = "steps to other bits"

PARAMETERS, GRADIENTS = "non-contiguous parameters", "non-contiguous gradients"


def moves(trial: Trial) -> str:
    """Every parameter with gradients is moved."""
    run = trial.start()
    before = run.bits()
    after = run.steps().bits()
    still = [n for n in before if equal(before[n], after[n])]
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
    with answering():
        held = [p for group in run.optimizer.param_groups for p in group["params"]]
    if {*map(id, held)} != {*map(id, run.params.values())}:
        return "its param_groups hold other objects than it was given"
    return ""


def _kind(p: torch.Tensor) -> dict[str, Any]:
    return {
        "shape": tuple(p.shape),
        "dtype": p.dtype,
        "device": p.device,
        "requires_grad": p.requires_grad,
    }


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
    return f"parameter {coupled[0]} is stepped otherwise alone" if coupled else ""


def order(trial: Trial) -> str:
    """The order in which parameters are given changes nothing."""
    return _compared(trial.run((1, 0)), trial.run(), "when the parameters are reversed")


def returns_nothing(trial: Trial) -> str:
    """Without a closure a step returns None."""
    trial.without_closure()
    returned = trial.start().step(0)
    return "" if returned is None else f"returns {_short(returned)} where there is no closure"


def closure(trial: Trial) -> str:
    """A closure is called with gradients enabled, and what it returns is returned."""
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
        return f"returns {_short(returned)} instead of the closure's value"
    return ""


def closures_gradients(trial: Trial) -> str:
    """A step with a closure uses the gradients that the closure has made."""
    trial.without_closure()
    run = trial.start()
    for t in range(STEPS):
        with answering():
            run.optimizer.step(run.closure(t))
    return _compared(run.bits(), trial.run(), "when a closure makes the gradients")


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
    run = trial.start()
    run.missing = frozenset({1})
    run.steps(0, HALF)
    run.missing = frozenset()
    run.steps(HALF)
    alone = trial.start((1,)).steps(HALF)
    waiting = trial.start((1,))
    waiting.missing = frozenset({1})
    if not trial.arrangement.closure:
        waiting.steps(0, HALF)
    waiting.missing = frozenset()
    return _either(run.bits()[1], (alone, waiting.steps(HALF)), "after its first gradient was late")


def groups(trial: Trial) -> str:
    """Each group is stepped with its own learning rate, as by an optimizer of its own."""
    rates = _rates(trial)
    params = {n: trial.parameter(n) for n in (0, 1)}
    given = [
        {"params": [p], trial.lr: rate} for p, rate in zip(params.values(), rates, strict=True)
    ]
    together = Run(trial, params, trial.made(given)).steps().bits()
    for n, rate in enumerate(rates):
        if not same(trial.run((n,), rate), {n: together[n]}):
            return f"{OTHER_BITS} in a group with a learning rate of its own"
    return ""


def group_added(trial: Trial) -> str:
    """A group that is added between steps is stepped from then on."""
    run = trial.start((0,)).steps(0, HALF)
    late = trial.parameter(1)
    run.params[1] = late
    with answering():
        run.optimizer.add_param_group({"params": [late]})
    run.steps(HALF)
    waiting = trial.start((1,))
    waiting.missing = frozenset({1})
    if not trial.arrangement.closure:
        waiting.steps(0, HALF)
    waiting.missing = frozenset()
    alone = trial.start((1,)).steps(HALF)
    return _either(run.bits()[1], (alone, waiting.steps(HALF)), "in a group that joined later")


def edited_lr(trial: Trial) -> str:
    """A learning rate that is written into ``param_groups`` takes effect."""
    first, second = _rates(trial)
    run = trial.start(lr=first)
    if lacks := _lacks(run, trial.lr):
        return lacks
    edited = run.reset(second).steps().bits()
    if not same(edited, trial.run(lr=second)):
        return "does not step as one that was built with the learning rate written into its groups"
    late = trial.start(lr=first).steps(0, HALF)
    late.reset(second).steps(HALF)
    if same(late.bits(), trial.run(lr=first)) and _heeds_rate(trial, first, second):
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
    first, _ = _rates(trial)

    def factor(t: int) -> float:
        return 0.5**t

    run, edited = trial.start(lr=first), trial.start(lr=first)
    if trial.lr != "lr":
        return f"its param_groups have {trial.lr!r}; torch's schedulers write 'lr'"
    with answering():
        driven = torch.optim.lr_scheduler.LambdaLR(run.optimizer, factor)
    for t in range(STEPS):
        run.step(t)
        with answering():
            driven.step()
        edited.reset(first * factor(t)).step(t)
    return _compared(run.bits(), edited.bits(), "driven by a scheduler than with its rates written")


def zero_lr(trial: Trial) -> str:
    """A learning rate of zero, with which warm-ups begin, is a step like others."""
    run = trial.start()
    if lacks := _lacks(run, trial.lr):
        raise NotAsked(lacks)
    run.reset(0.0).steps(0, 2)
    if not all(p.isfinite().all() for p in run.bits().values()):
        return "makes parameters that are not finite at a learning rate of zero"
    return ""


def zero_grad(trial: Trial) -> str:
    """``zero_grad`` removes or zeroes gradients, and nothing else."""
    run = trial.start()
    for t in range(STEPS):
        run.step(t)
        for to_none in (False, True):
            run.load(t)
            with answering():
                run.optimizer.zero_grad(set_to_none=to_none)
            for p in run.params.values():
                if to_none != (p.grad is None):
                    return f"zero_grad(set_to_none={to_none}) leaves {_short(p.grad)}"
                if p.grad is not None and p.grad.any():
                    return "zero_grad leaves a gradient that is not zero"
    return _compared(run.bits(), trial.run(), "when gradients are zeroed between steps")


def _continues(other: Callable[[Run], Run], when: str) -> Callable[[Trial], str]:
    """Whoever takes over in the middle ends at the same bits, and leaves the first one alone."""

    def ask(trial: Trial) -> str:
        run = trial.start().steps(0, HALF)
        heir = other(run)
        whole = trial.run()
        if not same(heir.steps(HALF).bits(), whole):
            return f"continues to other bits {when}"
        if not same(run.steps(HALF).bits(), whole):
            return f"is moved by the steps of the one that goes on {when}"
        return ""

    return ask


def _pickle(run: Run) -> Run:
    if "<locals>" in type(run.optimizer).__qualname__:
        raise NotAsked("a class within a function cannot be pickled")
    return run.duplicated(pickled)


state_dict = _continues(lambda run: run.reloaded(copy.deepcopy), "after load_state_dict")
saved = _continues(lambda run: run.reloaded(through_bytes), "after torch.save and torch.load")
deepcopy = _continues(lambda run: run.duplicated(copy.deepcopy), "after a deepcopy")
pickling = _continues(_pickle, "after pickle")


def strided_parameters(trial: Trial) -> str:
    """Parameters whose elements do not lie side by side are stepped like others."""
    expected = trial.run()
    for layout in (strided, transposed):
        run = _laid_out(trial, layout)
        untouched = {n: p.detach().clone() for n, p in run.params.items()}
        run.steps()
        if why := _moved_as(trial, expected, run.bits(), untouched, PARAMETERS):
            return why
        if layout is strided and any(
            gap != UNTOUCHED for p in run.params.values() for gap in gaps(p)
        ):
            return "writes between the elements of a non-contiguous parameter"
    return ""


def strided_gradients(trial: Trial) -> str:
    """Gradients whose elements do not lie side by side are those numbers."""
    trial.without_closure()
    expected = trial.run()
    for layout in (strided, transposed):
        run = trial.start()
        untouched = run.bits()
        for t in range(STEPS):
            run.load(t)
            for p in run.params.values():
                assert p.grad is not None
                p.grad = layout(p.grad)
            with answering():
                run.optimizer.step()
        if why := _moved_as(trial, expected, run.bits(), untouched, GRADIENTS):
            return why
    return ""


def _laid_out(trial: Trial, layout: Callable[[torch.Tensor], torch.Tensor]) -> Run:
    params = {n: layout(trial.parameter(n).detach()).requires_grad_() for n in (0, 1)}
    return Run(trial, params, trial.made([*params.values()]))


def _moved_as(trial: Trial, expected: Bits, got: Bits, before: Bits, what: str) -> str:
    """How parameters are moved otherwise; sums over them may round otherwise, within the margin."""
    if same(expected, got):
        return ""
    if any(equal(got[n], before[n]) for n in got):
        return f"does not move {what}"
    if trial.follows is None:
        raise NotAsked(f"{OTHER_BITS} on {what}, and no rule says how far they may be")
    return "" if trial.follows(what) else f"leaves its rule on {what}"


def no_dimensions(trial: Trial) -> str:
    """A parameter without dimensions is stepped."""
    return _odd(trial, (), "a parameter without dimensions")


def no_elements(trial: Trial) -> str:
    """A parameter without elements is stepped, and the others as ever."""
    return _odd(trial, (0, 3), "a parameter without elements")


def _odd(trial: Trial, shape: tuple[int, ...], what: str) -> str:
    """Beside a parameter of that shape the first one is stepped as ever, and itself if it can."""
    if trial.arrangement.shapes != SHAPES[0]:
        raise NotAsked("it takes matrices only")
    shapes = (trial.arrangement.shapes[0], shape)
    other = replace(trial, arrangement=replace(trial.arrangement, shapes=shapes))
    run = other.start()
    before = run.bits()
    run.steps()
    if not equal(run.bits()[0], trial.run((0,))[0]):
        return f"{OTHER_BITS} beside {what}"
    if before[1].numel() and equal(run.bits()[1], before[1]):
        return f"does not move {what}"
    return "" if run.bits()[1].shape == shape else f"changes the shape of {what}"


def any_iterable(trial: Trial) -> str:
    """Parameters may come from a generator."""
    params = {n: trial.parameter(n) for n in (0, 1)}
    run = Run(trial, params, trial.made(iter([*params.values()])))
    return _compared(run.steps().bits(), trial.run(), "when parameters come from a generator")


def maximize(trial: Trial) -> str:
    """With ``maximize`` it steps as on negated gradients."""
    if "maximize" not in trial.box.accepts:
        raise NotAsked("it takes no maximize")
    trial.without_closure()
    params = {n: trial.parameter(n) for n in (0, 1)}
    run = Run(trial, params, trial.made([*params.values()], maximize=True))
    for t in range(STEPS):
        run.load(t)
        for p in run.params.values():
            assert p.grad is not None
            p.grad.neg_()
        with answering():
            run.optimizer.step()
    return _compared(run.bits(), trial.run(), "under maximize than on negated gradients")


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


def _rates(trial: Trial) -> tuple[float, float]:
    """Two learning rates."""
    rate = float(trial.arrangement.options.get(trial.lr, 0.01))
    return rate, rate / 4


def _lacks(run: Run, name: str) -> str:
    with answering():
        there = all(name in group for group in run.optimizer.param_groups)
    return "" if there else f"keeps no {name!r} in its param_groups"


def _compared(one: Bits, other: Bits, when: str) -> str:
    return "" if same(one, other) else f"{OTHER_BITS} {when}"


def _either(value: torch.Tensor, runs: Sequence[Run], when: str) -> str:
    """The same as one that starts then, or as one that has counted from the beginning."""
    if any(equal(value, run.bits()[1]) for run in runs):
        return ""
    return f"{OTHER_BITS} {when}"


def _equals(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # what it returns may be anything
        return False


def _short(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # what it returns may be anything
        text = f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}..."


_RUN = ("parameters stay themselves", "moves", "finite", "deterministic")
_ALONE = (*_RUN, "independence")

OPTIMIZER_PROMISES: tuple[Promise, ...] = (
    Promise(
        "parameters stay themselves",
        "parameters keep identity, shape, dtype and device",
        stay_themselves,
    ),
    Promise("moves", "every parameter with gradients is moved", moves, _RUN[:1]),
    Promise("finite", "finite numbers stay finite", stays_finite, _RUN[:2]),
    Promise("in place", "parameters keep their memory", in_place, _RUN[:1]),
    Promise(
        "gradients", "gradients are after a step what they were before", gradients_kept, _RUN[:1]
    ),
    Promise("deterministic", "the same numbers give the same bits", deterministic, _RUN[:3]),
    Promise("independence", "a parameter's step hangs on itself alone", independent, _RUN),
    Promise("order", "the order of parameters changes nothing", order, _ALONE),
    Promise("no result", "without a closure a step returns None", returns_nothing, _RUN[:1]),
    Promise(
        "closure",
        "a closure is called with gradients enabled, its value returned",
        closure,
        _RUN[:1],
    ),
    Promise(
        "closure's gradients",
        "a step uses the gradients that its closure makes",
        closures_gradients,
        (*_RUN, "closure"),
    ),
    Promise(
        "missing gradients",
        "a parameter without gradient is left alone",
        missing_gradients,
        _ALONE,
    ),
    Promise(
        "late gradients",
        "a parameter whose first gradient comes later is stepped from then on",
        late_gradients,
        (*_ALONE, "missing gradients"),
    ),
    Promise("groups", "each group is stepped with its own learning rate", groups, _ALONE),
    Promise("group added later", "a group that joins is stepped from then on", group_added, _ALONE),
    Promise("edited lr", "a learning rate written into the groups takes effect", edited_lr, _RUN),
    Promise("scheduler", "torch's schedulers drive it", scheduler, (*_RUN, "edited lr")),
    Promise("lr of zero", "a learning rate of zero is taken", zero_lr, _RUN),
    Promise("zero_grad", "zero_grad removes or zeroes gradients, no more", zero_grad, _RUN),
    Promise(
        "state_dict in mid-run", "load_state_dict continues to the same bits", state_dict, _RUN
    ),
    Promise(
        "state_dict as bytes",
        "so it does through torch.save and torch.load",
        saved,
        (*_RUN, "state_dict in mid-run"),
    ),
    Promise("deepcopy", "a copy in mid-run continues to the same bits", deepcopy, _RUN),
    Promise("pickle", "so it does through pickle", pickling, (*_RUN, "deepcopy")),
    Promise(
        PARAMETERS,
        "how parameters lie in memory changes nothing",
        strided_parameters,
        _RUN,
    ),
    Promise(
        GRADIENTS,
        "how gradients lie in memory changes nothing",
        strided_gradients,
        _RUN,
    ),
    Promise("0-d parameters", "a parameter without dimensions is stepped", no_dimensions, _ALONE),
    Promise("empty parameters", "a parameter without elements is stepped", no_elements, _ALONE),
    Promise("any iterable", "parameters may come from a generator", any_iterable, _RUN),
    Promise("maximize", "maximize steps as on negated gradients", maximize, _RUN),
    Promise(
        "other tensors", "tensors that were not given are left alone", bystanders_kept, _RUN[:1]
    ),
    *SURROUNDING_PROMISES,
)
"""In the order in which they are asked: those that others hang on come first."""
