"""What a step of a ``torch.optim.Optimizer`` promises: a table.

No name of a state and no path is looked at. Values are compared to the bit with those of another
run of the same code, so that nothing need be known of its rule.
"""

from __future__ import annotations

from oracles.harness.promise import Promise
from oracles.harness.subjects.promises import continuing, grouping, laying_out, stepping
from oracles.harness.subjects.surroundings import SURROUNDING_PROMISES

_RUN = ("parameters stay themselves", "moves", "finite", "deterministic")
_ALONE = (*_RUN, "independence")

OPTIMIZER_PROMISES: tuple[Promise, ...] = (
    Promise(
        "parameters stay themselves",
        "parameters keep identity, shape, dtype and device",
        stepping.stay_themselves,
    ),
    Promise("moves", "every parameter with gradients is moved", stepping.moves, _RUN[:1]),
    Promise("finite", "finite numbers stay finite", stepping.stays_finite, _RUN[:2]),
    Promise("in place", "parameters keep their memory", stepping.in_place, _RUN[:1]),
    Promise(
        "gradients",
        "gradients are after a step what they were before",
        stepping.gradients_kept,
        _RUN[:1],
    ),
    Promise(
        "deterministic", "the same numbers give the same bits", stepping.deterministic, _RUN[:3]
    ),
    Promise("independence", "a parameter's step hangs on itself alone", stepping.independent, _RUN),
    Promise("order", "the order of parameters changes nothing", stepping.order, _ALONE),
    Promise(
        "no result", "without a closure a step returns None", stepping.returns_nothing, _RUN[:1]
    ),
    Promise(
        "closure",
        "a closure is called once, with gradients enabled, its value returned",
        stepping.closure,
        _RUN[:1],
    ),
    Promise(
        "closure's gradients",
        "a step uses the gradients that its closure makes",
        stepping.closures_gradients,
        (*_RUN, "closure"),
    ),
    Promise(
        "missing gradients",
        "a parameter without gradient is left alone",
        grouping.missing_gradients,
        _ALONE,
    ),
    Promise(
        "late gradients",
        "a parameter whose first gradient comes later is stepped from then on",
        grouping.late_gradients,
        (*_ALONE, "missing gradients"),
    ),
    Promise(
        "late steps",
        "steps are counted from a parameter's first gradient on",
        grouping.late_steps,
        (*_ALONE, "missing gradients", "late gradients"),
    ),
    Promise("groups", "each group is stepped with settings of its own", grouping.groups, _ALONE),
    Promise(
        "group added later",
        "a group that joins is stepped from then on",
        grouping.group_added,
        _ALONE,
    ),
    Promise(
        "edited lr",
        "a learning rate written into the groups takes effect",
        grouping.edited_lr,
        _RUN,
    ),
    Promise("scheduler", "torch's schedulers drive it", grouping.scheduler, (*_RUN, "edited lr")),
    Promise("lr of zero", "a learning rate of zero is taken", grouping.zero_lr, _RUN),
    Promise(
        "zero_grad", "zero_grad removes or zeroes gradients, no more", continuing.zero_grad, _RUN
    ),
    Promise(
        "state_dict in mid-run",
        "load_state_dict continues to the same bits",
        continuing.state_dict,
        _RUN,
    ),
    Promise(
        "state_dict as bytes",
        "so it does through torch.save and torch.load",
        continuing.saved,
        (*_RUN, "state_dict in mid-run"),
    ),
    Promise("deepcopy", "a copy in mid-run continues to the same bits", continuing.deepcopy, _RUN),
    Promise("pickle", "so it does through pickle", continuing.pickling, (*_RUN, "deepcopy")),
    Promise(
        laying_out.PARAMETERS,
        "how parameters lie in memory changes nothing",
        laying_out.strided_parameters,
        _RUN,
    ),
    Promise(
        laying_out.GRADIENTS,
        "how gradients lie in memory changes nothing",
        laying_out.strided_gradients,
        _RUN,
    ),
    Promise(
        laying_out.DIMENSIONS,
        "a parameter without dimensions is stepped as one of one element",
        laying_out.no_dimensions,
        _ALONE,
    ),
    Promise(
        "empty parameters",
        "a parameter without elements is stepped",
        laying_out.no_elements,
        _ALONE,
    ),
    Promise("any iterable", "parameters may come from a generator", laying_out.any_iterable, _RUN),
    Promise("maximize", "maximize steps as on negated gradients", grouping.maximize, _RUN),
    Promise(
        "other tensors",
        "tensors that were not given are left alone",
        stepping.bystanders_kept,
        _RUN[:1],
    ),
    *SURROUNDING_PROMISES,
)
"""In the order in which they are asked: those that others hang on come first."""
