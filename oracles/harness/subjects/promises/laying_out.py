"""How parameters and gradients lie in memory, and which shapes they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import torch

from oracles.harness.promise import NotAsked
from oracles.harness.subjects.handing import TENSORS
from oracles.harness.subjects.laid_out import LaidOut, Way, WithoutDimensions
from oracles.harness.subjects.subject import answering
from oracles.harness.subjects.tensors import UNTOUCHED, gaps, strided, transposed
from oracles.harness.subjects.trial import (
    OTHER_BITS,
    SHAPES,
    STEPS,
    Bits,
    Trial,
    TrialRun,
    compared,
    equal,
    same,
)

LAYOUTS = {"strided": strided, "transposed": transposed}

PARAMETERS, GRADIENTS = "non-contiguous parameters", "non-contiguous gradients"
DIMENSIONS = "0-d parameters"

WAYS: Mapping[str, Sequence[Way]] = MappingProxyType(
    {
        PARAMETERS: [partial(LaidOut, where={"layout": way}) for way in LAYOUTS],
        GRADIENTS: [partial(LaidOut, where={"gradient_layout": way}) for way in LAYOUTS],
        DIMENSIONS: [WithoutDimensions],
    }
)
"""In which ways tensors are handed over, by the promise that speaks of them."""


def strided_parameters(trial: Trial) -> str:
    """Parameters whose elements do not lie side by side are stepped like others."""
    expected = trial.run()
    for layout in LAYOUTS.values():
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
    trial.without_sparse()
    expected = trial.run()
    for layout in LAYOUTS.values():
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


def _laid_out(trial: Trial, layout: Callable[[torch.Tensor], torch.Tensor]) -> TrialRun:
    given = trial.parameters().items()
    params: Bits = {n: torch.nn.Parameter(layout(p.detach())) for n, p in given}
    return TrialRun(trial, params, trial.made([*params.values()]))


def _moved_as(trial: Trial, expected: Bits, got: Bits, before: Bits, what: str) -> str:
    """How parameters are moved otherwise; sums over them may round otherwise, within the margin."""
    if same(expected, got):
        return ""
    if any(equal(got[n], before[n]) for n in got):
        return f"does not move {what}"
    if trial.follows is None:
        raise NotAsked(f"{OTHER_BITS} on {what}, and no rule says how far they may be")
    return "" if trial.follows(WAYS[what]) else f"leaves its rule on {what}"


def no_dimensions(trial: Trial) -> str:
    """A parameter without dimensions is stepped, as one of one element is."""
    trial.without_sparse()  # it has no rows
    if why := _odd(trial, (), "a parameter without dimensions"):
        return why
    if trial.box.form != TENSORS:  # names go by dimensions
        return ""
    bare, single = (_shaped(trial, shape).run()[1] for shape in ((), (1,)))
    if equal(bare, single.reshape(())) or trial.follows is None:
        return ""
    return (
        ""
        if trial.follows(WAYS[DIMENSIONS])
        else "leaves its rule on a parameter without dimensions"
    )


def no_elements(trial: Trial) -> str:
    """A parameter without elements is stepped, and the others as ever."""
    return _odd(trial, (0, 3), "a parameter without elements")


def _odd(trial: Trial, shape: tuple[int, ...], what: str) -> str:
    """Beside a parameter of that shape the first one is stepped as ever, and itself if it can."""
    if trial.arrangement.shapes != SHAPES[0]:
        raise NotAsked("it takes matrices only")
    run = _shaped(trial, shape).start()
    if 1 not in run.chosen:
        raise NotAsked("it chooses among its parameters, and leaves such a one out")
    before = run.bits()
    run.steps()
    if not equal(run.bits()[0], trial.run((0,))[0]):
        return f"{OTHER_BITS} beside {what}"
    if before[1].numel() and equal(run.bits()[1], before[1]):
        return f"does not move {what}"
    return "" if run.bits()[1].shape == shape else f"changes the shape of {what}"


def _shaped(trial: Trial, shape: tuple[int, ...]) -> Trial:
    """The same with a second parameter of that shape."""
    shapes = (trial.arrangement.shapes[0], shape)
    return replace(trial, arrangement=replace(trial.arrangement, shapes=shapes))


def any_iterable(trial: Trial) -> str:
    """Parameters may come from a generator."""
    trial.without_names()
    params = trial.parameters()
    run = TrialRun(trial, params, trial.made(iter([*params.values()])))
    return compared(run.steps().bits(), trial.run(), "when parameters come from a generator")
