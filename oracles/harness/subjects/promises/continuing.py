"""Who goes on from the middle goes on to the same bits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

from oracles.harness.promise import NotAsked
from oracles.harness.subjects.subject import answering
from oracles.harness.subjects.tensors import dense, pickled, through_a_file
from oracles.harness.subjects.trial import (
    HALF,
    STEPS,
    Trial,
    TrialRun,
    compared,
    same,
    short,
)


def zero_grad(trial: Trial) -> str:
    """``zero_grad`` removes or zeroes gradients, and nothing else.

    Without a decay, which would make a new tensor of a gradient: whoever keeps the gradient itself
    keeps zeros from then on.
    """
    run = trial.start(**trial.undecayed)
    for t in range(STEPS):
        run.step(t)
        for to_none in (False, True):
            if any(p.grad is None for p in run.params.values()):
                run.load(t)
            with answering():
                run.optimizer.zero_grad(set_to_none=to_none)
            for p in (run.params[n] for n in run.chosen):
                if to_none != (p.grad is None):
                    return f"zero_grad(set_to_none={to_none}) leaves {short(p.grad)}"
                if p.grad is not None and dense(p.grad).any():
                    return "zero_grad leaves a gradient that is not zero"
    plain = trial.run(**trial.undecayed)
    return compared(run.bits(), plain, "when gradients are zeroed between steps")


def _continues(other: Callable[[TrialRun], TrialRun], when: str) -> Callable[[Trial], str]:
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


def _pickle(run: TrialRun) -> TrialRun:
    if "<locals>" in type(run.optimizer).__qualname__:
        raise NotAsked("a class within a function cannot be pickled")
    return run.duplicated(pickled)


state_dict = _continues(lambda run: run.reloaded(copy.deepcopy), "after load_state_dict")
saved = _continues(
    lambda run: run.reloaded(partial(through_a_file, weights_only=False)),
    "after torch.save and torch.load",
)
deepcopy = _continues(lambda run: run.duplicated(copy.deepcopy), "after a deepcopy")
pickling = _continues(_pickle, "after pickle")
