"""What may be wrong with a training loop: all of it, by name, and what to do about it.

A fault is said only where what was seen leaves no other reading. What may be meant so is asked: a
question, with what would answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from oracles.harness.watching import (
    averages,
    clearing,
    clipping,
    exemptions,
    losses,
    modes,
    movements,
    parameters,
    ranks,
    scaling,
    schedules,
)
from oracles.harness.watching.events import Stepped
from oracles.harness.watching.loop import Loop

Finder = Callable[[Loop], Iterator[str]]
"""It looks at a loop, and says in a sentence each what it finds."""


class Search(NamedTuple):
    """For something that may be wrong, or that cannot be told by looking.

    Attributes:
        name: as reports and ``allow`` write it.
        find: says where it is.
        advice: what to do, or what would tell it.
    """

    name: str
    find: Finder
    advice: str


class Finding(NamedTuple):
    """What is wrong with one loop, or what cannot be told of it.

    Attributes:
        name: of the fault, or of the question.
        sentence: what was seen.
        advice: what to do, or what would tell.
    """

    name: str
    sentence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"


def _error(loop: Loop) -> Iterator[str]:
    if loop.log.error:
        yield f"the training {loop.log.error}"


def _no_step(loop: Loop) -> Iterator[str]:
    stepped = {e.optimizer for e in loop.log.events if isinstance(e, Stepped)}
    watched = {number for number, optimizer in enumerate(loop.log.optimizers) if optimizer.watched}
    if not loop.log.error and not stepped & watched:
        yield "no optimizer of torch that is watched has made a step"


def _cut(loop: Loop) -> Iterator[str]:
    if loop.log.cut:
        yield f"what comes after {loop.log.cut:g} s: the training was ended then"


FAULTS = (
    Search("raises", _error, "mend that first: only what came before it was seen"),
    Search("no step", _no_step, "watch the loop around optimizer.step()"),
    Search(
        "never cleared",
        clearing.never_cleared,
        "call optimizer.zero_grad() before the first backward pass of each step",
    ),
    Search(
        "stale gradient",
        clearing.stale,
        "clear the gradients of all parameters of the optimizer, not of some of them",
    ),
    Search(
        "gradients used twice",
        clearing.repeated,
        "call backward() and zero_grad() once for each step",
    ),
    Search(
        "one loss twice",
        clearing.doubled,
        "call backward() once on each loss",
    ),
    Search(
        "cleared before the step",
        clearing.cleared_before_step,
        "call zero_grad() after step(), or before backward()",
    ),
    Search(
        "cleared between micro-batches",
        clearing.cleared_between,
        "call zero_grad() once for each step, not once for each micro-batch",
    ),
    Search(
        "step after each micro-batch",
        clearing.step_each_pass,
        "call step() and zero_grad() after the last micro-batch only",
    ),
    Search(
        "no gradient",
        clearing.no_gradient,
        "see that the loss depends on the parameters, and that backward() is called",
    ),
    Search("sum for mean", losses.sum_for_mean, "reduce by the mean, or divide by the rows"),
    Search("mean for sum", losses.mean_for_sum, "reduce by the sum"),
    Search(
        "accumulation undivided",
        losses.undivided,
        "divide each loss by the number of micro-batches",
    ),
    Search("accumulation divided twice", losses.divided_twice, "divide once"),
    Search(
        "mean of unequal means",
        losses.unequal,
        "multiply each mean with its rows, and divide by all rows of the step",
    ),
    Search("short window", losses.short, "divide by the micro-batches that the step really has"),
    Search(
        "never unscaled",
        scaling.never_unscaled,
        "call scaler.step(optimizer) in place of optimizer.step()",
    ),
    Search(
        "unscaled twice",
        scaling.unscaled_twice,
        "leave it to scaler.unscale_ or scaler.step, and do not divide by hand",
    ),
    Search("never scaled", scaling.never_scaled, "call scaler.scale(loss).backward()"),
    Search("scaled in part", scaling.scaled_in_part, "scale each loss of the step"),
    Search(
        "not finite",
        scaling.not_finite,
        "look at the loss of that step; leave it out, or use a GradScaler",
    ),
    Search(
        "clips scaled gradients",
        clipping.of_scaled,
        "call scaler.unscale_(optimizer) before clipping",
    ),
    Search(
        "clips to zeros",
        clipping.to_zeros,
        "look at the loss of that step; leave it out, or make it smaller",
    ),
    Search(
        "clips each micro-batch",
        clipping.each_pass,
        "clip once, after the last backward pass of the step",
    ),
    Search("clips after the step", clipping.after_step, "clip between backward() and step()"),
    Search(
        "clips nothing",
        clipping.used_up,
        "keep a list: parameters = list(model.parameters())",
    ),
    Search(
        "clips no gradient",
        clipping.of_none,
        "clip between backward() and step()",
    ),
    Search(
        "clips what piles up",
        clipping.piled_up,
        "clip the parameters of the optimizer alone, or clear the others by model.zero_grad()",
    ),
    Search(
        "schedule per micro-batch",
        schedules.each_pass,
        "call scheduler.step() where optimizer.step() is called",
    ),
    Search("schedule never advances", schedules.never, "call scheduler.step()"),
    Search(
        "schedule before the step",
        schedules.before_step,
        "call scheduler.step() after optimizer.step()",
    ),
    Search(
        "schedule at a skipped step",
        schedules.at_skipped,
        "call scheduler.step() only if the scale has not become smaller at scaler.update()",
    ),
    Search(
        "rate overwritten",
        schedules.overwritten,
        "change the scheduler's base_lrs, or leave the rate to one of them",
    ),
    Search(
        "schedule of nobody",
        schedules.of_nobody,
        "build the scheduler on the optimizer that makes the steps, and after it",
    ),
    Search(
        "schedule made anew",
        schedules.made_anew,
        "build the scheduler before the loop",
    ),
    Search(
        "average before the step",
        averages.before_step,
        "call update_parameters() after optimizer.step()",
    ),
    Search(
        "average of nobody",
        averages.of_nobody,
        "give update_parameters() the model that is trained",
    ),
    Search(
        "dead parameters",
        parameters.dead,
        "build the optimizer after the model is copied, replaced or wrapped",
    ),
    Search("listed twice", parameters.listed_twice, "list each parameter once"),
    Search(
        "two optimizers, one gradient",
        parameters.two_optimizers,
        "give each parameter to one optimizer, or clear its gradient in between",
    ),
    Search(
        "lost in rounding",
        parameters.lost_in_rounding,
        "keep the parameters in float32, and compute under autocast",
    ),
    Search(
        "frozen and moving",
        parameters.frozen_moves,
        "set its .grad to None, or take it out of the optimizer",
    ),
    Search(
        "exemption of some",
        exemptions.uneven,
        "look at the names that the groups were made by; ask for the module's class instead",
    ),
    Search("optimizer made anew", parameters.made_anew, "build the optimizer before the loop"),
    Search(
        "closure never called",
        parameters.closure_unused,
        "call the closure in step(), or backward() before it",
    ),
    Search("left in eval mode", modes.left_in_eval, "call model.train() after validation"),
    Search(
        "decay divided by a count",
        movements.decay_divided,
        "give the decay as it is meant: torch adds it to the gradient of the mean loss",
    ),
    Search(
        "decay multiplied with a count",
        movements.decay_multiplied,
        "give the decay as it is meant: torch adds it once for each step",
    ),
    Search(
        "left behind",
        movements.left_behind,
        "compile or capture the step again when all gradients are there",
    ),
    Search(
        "ranks differ",
        ranks.differ,
        "average the gradients over all ranks before the step, and begin from the same parameters",
    ),
    Search("summed over ranks", ranks.summed, "divide by the number of ranks"),
)
"""In the order in which they are told."""

QUESTIONS = (
    Search("the rest", _cut, "less data, fewer steps, or a longer time limit"),
    Search("sum or mean of the passes", clearing.summed, 'loss="mean" or loss="sum"'),
    Search("cleared on purpose", clearing.dropped, "accumulation=1, or as many as a step takes"),
    Search(
        "unused parameters",
        clearing.unused,
        "freeze them, or leave them out of the optimizer, if that is meant",
    ),
    Search(
        "not trained",
        parameters.not_trained,
        "an optimizer that has them, or requires_grad_(False) if they are to stay",
    ),
    Search(
        "what the loss is",
        losses.unread,
        "a loss of torch.nn.functional, or a mean or sum over rows, times a number",
    ),
    Search(
        "whether the schedule advances",
        schedules.not_yet,
        "watching as far as scheduler.step(), or check_loop to the end",
    ),
    Search(
        "what the schedule counts",
        schedules.counts_passes,
        "scheduler.step() where optimizer.step() is called, unless its length is one in passes",
    ),
    Search(
        "a multiple of the mean",
        losses.multiple,
        "leave loss out if the factor is meant; else divide by the rows that there are",
    ),
    Search(
        "a short batch",
        losses.short_batch,
        "divide by the rows that there are, unless the factor is meant, or drop the last batch",
    ),
    Search(
        "all pairs",
        losses.of_pairs,
        "outputs and targets of one shape, by squeeze or unsqueeze",
    ),
    Search(
        "more than one advance",
        schedules.several_times,
        "one scheduler.step() for each optimizer.step(), or for each epoch",
    ),
    Search(
        "past its end",
        schedules.past_end,
        "as many steps as the schedule is long: T_max counts calls of scheduler.step()",
    ),
    Search("a rate set by hand", schedules.short_lived, "what is to have the last word"),
    Search(
        "whose schedule",
        schedules.of_others,
        "a scheduler that is built on the optimizer that makes the steps, unless it is for others",
    ),
    Search(
        "exemption of nothing",
        exemptions.empty,
        "the names that the groups were made by, unless nothing is to be exempt",
    ),
    Search("eval mode", modes.trained_in_eval, "model.train(), unless it is meant"),
)


def findings(loop: Loop, among: Iterable[Search]) -> Iterator[Finding]:
    """What some searches find in a loop."""
    for search in among:
        yield from (Finding(search.name, said, search.advice) for said in search.find(loop))
