"""Why some mutants survive and are no hole; and which holes are known.

A row excuses what its author has read, and no more: its patterns name the change as ``ast`` writes
both sides, the statement it is in, and the function, as far as that is needed to leave out whatever
would be a fault. A change that is *always* the same program may be excused wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.meta.mutation import Mutant

HOLE = "HOLE: "
"""What a reason begins with that is none: a hole that is known."""


@dataclass(frozen=True)
class Row:
    """Survivors that all patterns find, and why they survive.

    Attributes:
        why: the reason.
        change: in ``"before -> after"``, both as ``ast`` writes them.
        place: in the text of the statement and of the headers around it.
        where: in ``"file/function"``.
        reached: whether some answer runs the place; None if that does not matter.
    """

    why: str
    change: str = ""
    place: str = ""
    where: str = ""
    reached: bool | None = None

    @property
    def hole(self) -> bool:
        """Whether it names a hole that is known."""
        return self.why.startswith(HOLE)

    @property
    def text(self) -> str:
        """The reason, or what is not asked."""
        return self.why.removeprefix(HOLE)

    def covers(self, file: str, mutant: Mutant, *, reached: bool) -> bool:
        """Whether the row is about this survivor."""
        return (
            self.reached in (None, reached)
            and bool(re.search(self.change, mutant.change))
            and bool(re.search(self.place, mutant.place))
            and bool(re.search(self.where, f"{file}/{mutant.function}"))
        )


COMPILING = r"(torch\.jit\.is_scripting\(\)|torch\.compiler\.is_compiling\(\))"
"""What is False outside of a compiler."""

GUARD = r"in capturable_supported_devices( for .*)? \):$"
"""Of a step that can be captured: are all tensors on a device that can capture?"""

COUNTER = r"if not torch\.compiler\.is_compiling\(\) and \w+\[0\]\.is_cpu:$"

LOOP = r"(?<!lbfgs)/_(single|multi)_tensor_"

SCHEDULER = r"^(lr_scheduler/|swa_utils/SWALR\.)"

CYCLES = r"^lr_scheduler/(CyclicLR|OneCycleLR)\.__init__$"

SCALER = "^grad_scaler/"

HARMLESS: Sequence[Row] = (
    # Scalers.
    Row(
        "on a CPU there is one device, and neither CUDA nor MPS",
        change=r"amp_definitely_not_available\(\) -> |^self\._device == 'cuda' -> .+ >= 'cuda'$"
        r"|mps:0|^\(?self\._scale\.reciprocal\(\)"
        r"|device=(dev|self\._scale\.device|_scale\.device)\) -> .+dtype=torch\.\w+\)+$"
        r"|\.to\(.+\) -> |(values|items)\(\) -> list\(.+\)\[:1\]$",
        where="^grad_scaler/GradScaler",
    ),
    Row(
        "on a CPU there is nothing to wait for",
        change=r"^True -> (False|None)$",
        place=r"non_blocking=True",
        where=SCALER,
    ),
    Row(
        "one copy of a number, or another one: all are on one device",
        place=r"retval|_per_device_tensors\[device\]|self\.master = ",
        where=r"^grad_scaler/_MultiDeviceReplicator",
    ),
    Row(
        "the place, the kind and the text of a warning or an error",
        change=r"^2 -> [13]$|^'[^']* [^']*' -> '|^(fix|reason) = .+ -> pass$"
        r"|^'(step|unscale_|update|_check_inf_per_device)' -> "
        r"|^warnings\.warn\(.+\) -> warnings\.warn\('",
        where=SCALER,
    ),
    Row(
        "both are made at once, and either is looked for",
        change=r"None -> (True|False)$|is None -> (True|False)$|is not None -> False$"
        r"|^raise AssertionError\(.+ -> pass$",
        place=r"(self\._scale|self\._growth_tracker|scale|scaler) is (not )?None:",
        where=SCALER,
    ),
    Row(
        "it is looked for again some lines later",
        change=r"^self\._check_scale_growth_tracker\('\w+'\) -> ",
        where=r"^grad_scaler/GradScaler\.(unscale_|step)$",
    ),
    Row(
        "texts for type checkers",
        change=r"^\.\.\. -> pass$|Iterable",
        place=r"\) -> (torch\.Tensor|list|tuple|Iterable).*: \.\.\.|def apply_scale",
        where=r"^grad_scaler/GradScaler\.scale$",
    ),
    Row(
        "one output is one of several",
        change=r"^isinstance\(outputs, torch\.Tensor\) -> False$|^len\(stash\) == 0 -> "
        r"(True|len\(stash\) >= 0)$|^0 -> -1$",
        where=r"^grad_scaler/GradScaler\.scale$",
    ),
    Row(
        "the kernel writes into gradients, and records nothing in a graph",
        change=r"^torch\.no_grad\(\) -> ",
        where=r"^grad_scaler/GradScaler\._unscale_grads_$",
    ),
    Row(
        "an optimizer takes nothing but tensors",
        change=r"^not isinstance\(param, torch\.Tensor\) -> False$|^raise Assert.+ -> pass$",
        place=r"if not isinstance\(param, torch\.Tensor\):",
        where=r"^grad_scaler/GradScaler\._unscale_grads_$",
    ),
    Row(
        "parts of a sparse gradient are added before or after they are scaled; halves are refused",
        change=r"^param\.grad\.dtype is torch\.float16 -> |coalesce\(\) -> ",
        where=r"^grad_scaler/GradScaler\._unscale_grads_$",
    ),
    Row(
        "lists of one dtype are for speed alone",
        change=r"^per_device_and_dtype_grads\[to_unscale\.device\]\[to_unscale\.dtype\] -> ",
        where=r"^grad_scaler/GradScaler\._unscale_grads_$",
    ),
    Row(
        "groups, optimizers and dtypes do not depend on one another",
        change=r"^(optimizer\.param_groups|.+\.(values|items)\(\)) -> list\(.+\)\[::-1\]$",
        where=SCALER,
    ),
    Row(
        "a reciprocal that is rounded to float32 once or twice",
        change=r"^self\._scale\.double\(\) -> self\._scale$",
        where=r"^grad_scaler/GradScaler\.unscale_$",
    ),
    Row("None counts as false", change=r"^False -> None$", where=SCALER),
    Row(
        "a number is one with dimensions or without",
        change=r"^v\.item\(\) -> v$",
        where=r"^grad_scaler/GradScaler\._maybe_opt_step$",
    ),
    Row(
        "it is written over before anybody looks",
        change=r"^None -> (True|False)$|^retval: float",
        place=r"^retval: float \| None = None",
        where=SCALER,
    ),
    Row(
        "numbers of a scaler that is off, of which the ledger says that they are missing",
        change=r"^self\._enabled -> True$",
        where=r"^grad_scaler/GradScaler\.__init__$",
    ),
    Row(
        "nobody looks at what it returns",
        change=r"^return .+ -> return None$|^self\._per_optimizer_states\[id\(optimizer\)\] -> "
        r"|^'found_inf_per_device' -> |^id\(optimizer\) -> ",
        place="^return ",
        where=r"^grad_scaler/GradScaler\._(check|found)_inf_per_device$",
    ),
    Row(
        "nobody asks a scaler that is off how much it has counted",
        change=r"^return 0 -> |^self\._enabled -> True$|^0 -> -?1$",
        where=r"^grad_scaler/GradScaler\._get_growth_tracker$",
    ),
    Row(
        "an entry that is written before it is read",
        change=r"^'found_inf_per_device' -> ",
        where=r"^grad_scaler/_refresh_per_optimizer_state$",
    ),
    Row(
        "refused by the copy or the look-up that follows",
        change=r"^new_scale\.(device\.type|numel\(\)) != .+ -> "
        r"|^len\((found_infs|state_dict)\)( == 0)? -> |^0 -> (-1|1)$"
        r"|^raise RuntimeError\(.+ -> pass$",
        place=r"if new_scale\.|if len\((found_infs|state_dict)\) == 0:",
        where=r"^grad_scaler/GradScaler\.(update|load_state_dict)$",
    ),
    Row(
        "a mark that is counted twice, or in another order, is one",
        change=r"^1 -> 0$"
        r"|^range\(1, len\(found_infs\)\) -> (list\(.+\)\[::-1\]|range\(len\(found_infs\)\))$",
        place=r"len\(found_infs\)(\)| > 1):$",
        where=r"^grad_scaler/GradScaler\.update$",
    ),
    Row(
        "one more sum of what was summed: in place, of one tensor",
        change=r"^len\(found_infs\) > 1 -> (True|.+ >= 1)$",
        where=r"^grad_scaler/GradScaler\.update$",
    ),
    # Schedules.
    Row(
        "the place, the kind and the last words of a warning",
        place=r"^(.* / )?(warnings\.warn\(|elif not getattr\(self\.optimizer, '_opt_called')",
        change=r"^2 -> [13]$|UserWarning|_'\)?$|^False -> None$",
        where=SCHEDULER,
    ),
    Row(
        "groups, schedules and keys do not depend on one another",
        change=r"^(optimizer\.param_groups|self\.base_lrs|self\.optimizer\.param_groups"
        r"|scheds\._schedulers|self\.lr_lambdas|zip\(.*\)|self\.__dict__\.items\(\)"
        r"|enumerate\(.*\)) -> list\(\1\)\[::-1\]$",
        where=SCHEDULER,
    ),
    Row(
        "what a scheduler is built with it is built with again, saved or not",
        change=r"^self\.__dict__\.items\(\) -> list\(self\.__dict__\.items\(\)\)\[1:\]$"
        r"|^key != 'optimizer' -> key < 'optimizer'$",
        where=SCHEDULER,
    ),
    Row(
        "an entry that is written over at once",
        change=r"^'(lr_lambdas|_schedulers)' -> '\1_'$|^None -> (True|False)$",
        place=r"key not in|= \[None\] \* len",
        where=SCHEDULER,
    ),
    Row("both count as false", change=r"^(None -> False|False -> None)$", where=SCHEDULER),
    Row(
        "a count of epochs or steps is never below that",
        change=r"^(self\.(?:last_epoch|_step_count)|last_epoch) == (-1|0|1) -> "
        r"\(?\1\)? <= \(?\2\)?$",
        where=SCHEDULER,
    ),
    Row(
        "a remainder is never negative",
        change=r"^(.* % .*) != 0 -> \1 > 0$|^(.* % .*) == 0 -> \2 <= 0$",
        where=SCHEDULER,
    ),
    Row("a factor to the power of 0 is 1", change=" -> False$", place="not in self.milestones:$"),
    Row(
        "nobody steps there: whoever has counted one step is at epoch 0",
        place=r"elif self\._step_count == 1 and self\.last_epoch > 0:",
        where="CosineAnnealingLR.get_lr$",
    ),
    Row(
        "a cosine is that of the opposite angle, and has a period",
        change=r"^self\.last_epoch - 1 -> 1 - \(?self\.last_epoch\)?$"
        r"|^self\.last_epoch - 1 - self\.T_max -> "
        r"(\(self\.last_epoch - 1\) \+ \(?self\.T_max\)?|self\.T_max - \(self\.last_epoch - 1\))$",
        where="CosineAnnealingLR.get_lr$",
    ),
    Row(
        "it is set again by the base class, or by the first step",
        change=r"^self\.optimizer = optimizer -> pass$|^last_epoch == -1 -> False$"
        r"|^'(max_|base_|)momentum' -> ",
        where=r"^lr_scheduler/(LambdaLR|MultiplicativeLR|CyclicLR|OneCycleLR)\.__init__$",
    ),
    Row(
        "all schedules of a composition have one optimizer",
        change=r"^self\._schedulers\[-1\] -> self\._schedulers\[0\]$|^-1 -> 1$|^1 -> [02]$"
        r"|^optimizer or schedulers\[0\]\.optimizer -> schedulers\[0\]\.optimizer$|^0 -> (1|-1)$",
        place=r"self\._schedulers\[-1\]\.optimizer|optimizer = optimizer or schedulers\[0\]",
        where=r"^lr_scheduler/ChainedScheduler",
    ),
    Row(
        "a milestone is never later than the epoch it is looked up for",
        change=r"^self\._milestones\[idx - 1\] == self\.last_epoch -> "
        r"\(?self\._milestones\[idx - 1\]\)? >= \(?self\.last_epoch\)?$",
    ),
    Row(
        "an argument that is always given",
        change=r"^None -> (True|False)$",
        place=r"^def _update_lr\(self, epoch: int \| None = None\)",
    ),
    Row(
        "nobody looks at what it returns",
        change=r"^return (self|opt\.step) -> return None$",
        where=SCHEDULER,
    ),
    Row(
        "only whether it is there is looked at",
        change=r"^True -> (False|None)$",
        place=r"_wrapped_by_lr_sched = True",
    ),
    Row(
        "the optimizer that is wrapped is the same, kept weakly or not",
        change=r"^opt = opt_ref\(\) -> pass$"
        r"|^func\.__get__\(opt, opt\.__class__\) -> func\.__get__\(opt\)$",
        where=r"^lr_scheduler/LRScheduler\.__init__$",
    ),
    Row(
        "a plain function has no attributes to be saved",
        change=r"^not isinstance\(fn, types\.FunctionType\) -> True$",
        where=SCHEDULER,
    ),
    Row(
        "whatever may be refused at this edge",
        change=r"^factor < 0 -> factor <= 0$",
        where=r"^lr_scheduler/ConstantLR\.__init__$",
    ),
    Row(
        "a composition has parts or is none",
        change=r"^hasattr\(scheds, 'last_epoch'\) -> True$",
        where="SequentialLR.recursive_undo$",
    ),
    Row(
        "the strategy is one of two words",
        change=r"_anneal_func_type == 'linear' -> .* >= 'linear'$|\*\*kwargs",
        where="OneCycleLR._anneal_func$",
    ),
    Row(
        "a word in the text of an error",
        change=r"^'(base_lr|max_lr|swa_lr)' -> '\1_'$",
        place=r"_format_param\(",
        where=SCHEDULER,
    ),
    Row(
        "whatever may be refused at this edge",
        change=r"^0 -> 1$|^pct_start > 1 -> \(?pct_start\)? >= 1$",
        place=r"if total_steps <= 0|if pct_start < 0",
        where=r"^lr_scheduler/OneCycleLR\.__init__$",
    ),
    Row(
        "whole numbers are divided as numbers with a point, or are made them first",
        change=r"^float\((.+)\) -> \1$|^step_size_up = float\(step_size_up\) -> pass$",
        where=CYCLES,
    ),
    Row(
        "the first step sets it again, from the same settings",
        change=r"^last_epoch == -1 -> (True|\(?last_epoch\)? >= -1)$",
        place=r"(^|/ )if last_epoch == -1:$",
        where=CYCLES,
    ),
    Row(
        "the first step sets it again, from the same settings",
        change=r"^last_epoch == -1 -> \(?last_epoch\)? != -1$|^last_epoch -> (None|step_size_up)$"
        r"|^-1 -> 1$|^1 -> [02]$|^zip\(.+\) -> ",
        place=r"^if cycle_momentum: / (if last_epoch == -1:|if last_epoch == -1: / for m_momentum)",
        where=r"^lr_scheduler/CyclicLR\.__init__$",
    ),
    Row(
        "the first step sets it again, from the same settings",
        change=r"^group\['(betas|momentum)'\] = .+ -> pass$|^'betas' -> 'betas_'$"
        r"|^self\.use_beta1 -> False$",
        place=r"for m_momentum, ",
        where=CYCLES,
    ),
    Row(
        "an entry that nobody reads",
        change=r"^group\['(max|base)_momentum'\] = ._momentum -> pass$",
        where=r"^lr_scheduler/CyclicLR\.__init__$",
    ),
    Row(
        "the mode is one of three words, and those before have been looked for",
        change=r"^self\.mode == 'triangular2' -> \(?self\.mode\)? >= 'triangular2'$"
        r"|^self\.mode == 'exp_range' -> (True|\(?self\.mode\)? [<>]= 'exp_range')$",
        where=r"^lr_scheduler/CyclicLR\._init_scale_fn$",
    ),
    Row(
        "a triangle is scaled by 1 at every step",
        change=r"^self\.scale_mode = 'cycle' -> pass$|^'cycle' -> 'cycle_'$",
        place=r"self\.mode == ['\"]triangular['\"]: / self\.scale_mode",
        where=r"^lr_scheduler/CyclicLR\._init_scale_fn$",
    ),
    Row(
        "what is scaled by cycles is one of two words",
        change=r"^self\.scale_mode == 'cycle' -> \(?self\.scale_mode\)? <= 'cycle'$"
        r"|^'iterations' -> 'iterations_'$",
        where=r"^lr_scheduler/CyclicLR\.",
    ),
    Row(
        "at the top, the way up and the way down meet",
        change=r"^x <= self\.step_ratio -> \(?x\)? < \(?self\.step_ratio\)?$",
        where=r"^lr_scheduler/CyclicLR\.get_lr$",
    ),
    Row(
        "there is such an entry",
        change=r"^None -> True$",
        place=r"state\.pop\(\"_scale_fn_ref\", None\)",
        where=r"^lr_scheduler/CyclicLR\.state_dict$",
    ),
    Row(
        "a plain function has no attributes to be saved",
        change=r"^fn is not None and \(?not isinstance\(fn, types\.FunctionType\)\)? -> "
        r"fn is not None$",
        where=SCHEDULER,
    ),
    Row(
        "what a scheduler is built with it is built with again, saved or not",
        change=r"^self\._(init_scale_fn|set_anneal_func|init_is_better)\(.*\) -> "
        r"(pass|self|self\._anneal_strategy)$",
        where=r"load_state_dict$",
    ),
    Row(
        "nobody is sent anywhere before the first step",
        change=r"^epoch is None and self\.last_epoch < 0 -> self\.last_epoch < 0$",
        where="CosineAnnealingWarmRestarts.step$",
    ),
    Row(
        "before the first restart the epoch is what is done, by either way",
        change=r"^epoch >= self\.T_0 -> True$",
        where="CosineAnnealingWarmRestarts.step$",
    ),
    Row(
        "never below 1: it is refused then",
        change=r"^self\.T_mult == 1 -> \(?self\.T_mult\)? <= 1$",
        where="CosineAnnealingWarmRestarts.step$",
    ),
    Row(
        "whoever is built has it; old ones had a function instead",
        change=r"^hasattr\(self, '_anneal_func_type'\) -> True$",
        where="OneCycleLR._anneal_func$",
    ),
    Row(
        "the strategy is one of two words",
        change=r"_anneal_func_type == 'linear' -> (True|.* <= 'linear')$"
        r"|(_anneal_func_type|anneal_strategy)\)? == 'cos' -> .* <= 'cos'$"
        r"|^raise ValueError\(.*_anneal_func_type.* -> pass$",
        where=r"(OneCycleLR\._anneal_func|SWALR\._set_anneal_func)$",
    ),
    Row(
        "one step past the end, which the ledger has (one-cycle-past-its-end)",
        change=r"^step_num > self\.total_steps -> \(?step_num\)? >= \(?self\.total_steps\)?$"
        r"|^step_num <= end_step or .+ -> step_num <= end_step$"
        r"|^i == len\(self\._schedule_phases\) - 1 -> .+ >= "
        r"|^len\(self\._schedule_phases\) - 1 -> |^1 -> 0$",
        place=r"if step_num (> self\.total_steps|<= end_step or i == len\()",
        where=r"^lr_scheduler/OneCycleLR\.get_lr$",
    ),
    Row(
        "floors are made anew where there are other groups, and no group goes away",
        change=r"^\[min_lr\] \* len\(optimizer\.param_groups\) -> \(?\[min_lr\]\)?$"
        r"|^len\(self\.optimizer\.param_groups\) != len\(self\.min_lrs\) -> .+ > ",
        where=r"^lr_scheduler/ReduceLROnPlateau\.",
    ),
    Row(
        "whoever lacks a floor is refused by the list of them",
        change=r"^raise RuntimeError\(.+ -> pass$",
        where=r"^lr_scheduler/ReduceLROnPlateau\._reduce_lr$",
    ),
    Row(
        "a product in float32, rounded once or twice",
        change=r"^float\(param_group\['lr'\]\) -> param_group\['lr'\]$",
        where=r"^lr_scheduler/ReduceLROnPlateau\._reduce_lr$",
    ),
    Row(
        "the modes are two words each, and those before have been looked for",
        change=r"^(self\.)?mode == 'min' -> .+ >= 'min'$"
        r"|^self\.threshold_mode == 'rel' -> .+ >= 'rel'$"
        r"|^self\.threshold_mode == 'abs' -> .+ [<>]= 'abs'$"
        r"|^self\.mode == 'max' -> .+ [<>]= 'max'$"
        r"|^(self\.mode == 'min') and self\.threshold_mode == 'abs' -> \2$"
        r"|^self\.mode == 'max' and (self\.threshold_mode == 'rel') -> \3$",
        where=r"^lr_scheduler/ReduceLROnPlateau\._(init_)?is_better$",
    ),
    Row(
        "never more than 1, and never negative",
        change=r"^alpha == 1 -> \(?alpha\)? >= 1$|^self\.anneal_epochs == 0 -> .+ <= 0$|^0 -> -1$",
        where=r"^swa_utils/SWALR\.(_get_initial_lr|get_lr)$",
    ),
    Row(
        "what is multiplied by 0, as the average's rate is reached",
        change=r"^swa_lr -> alpha$|^1 -> 2$",
        place=r"^(if alpha == 1: / return|(if self\.anneal_epochs == 0: / )?(step|prev_t) = max)",
        where=r"^swa_utils/SWALR\.(_get_initial_lr|get_lr)$",
    ),
    # The same program, wherever it stands.
    Row(
        "products and sums do not depend on the order",
        change=r"^\(?(.+?)\)? ([*+]) \(?(.+?)\)? -> \(?\3\)? \2 \(?\1\)?$",
    ),
    Row(
        "products and sums do not depend on the order",
        change=r"^(.+)\.mul\((.+)\) -> \2\.mul\(\1\)$"
        r"|^(\w+\.addcmul_?)\((.+), (.+?)(, value=[^,()]+|)\) -> \3\(\5, \4\6\)$"
        r"|^(torch\._foreach_mul)\((\w+), (\w+)\) -> \7\(\9, \8\)$"
        r"|^(torch\._foreach_addcmul_?\(\w+), (\w+), (\w+)(, .+|)\) -> \10, \12, \11\13\)$",
    ),
    Row(
        "the largest of two is that of the other two, and the smallest",
        change=r"^(torch\.maximum|torch\._foreach_maximum|max|min)\((.+), (.+?)(, out=[\w\[\]]+|)"
        r"\) -> \1\(\3, \2\4\)$",
    ),
    Row(
        "never negative: a count, or a hyperparameter that is refused then",
        change=r"^(len\(.*\)|.*\.(?:numel|dim)\(\)|weight_decay|momentum|lr_decay"
        r"|group\['(?:weight_decay|momentum|lr_decay)'\]) "
        r"(== 0 -> \1 <= 0|!= 0 -> \1 > 0)$",
    ),
    Row(
        "new tensors are laid out like the old one, if nobody says how",
        change=r"^(.*?)(, )?memory_format=torch\.preserve_format\) -> \1\)$",
    ),
    Row(
        "what is left out is what it is by default",
        change=r"^(.+), (?:alpha|value)=1(?:\.0)?\) -> \1\)$"
        r"|^(group\.setdefault\('\w+'|state\.get\('\w+'), None\) -> \2\)$"
        r"|^(torch\.tensor\(1\.0), device='cpu'\) -> \3\)$"
        r"|^(torch\.tensor\(0\.0, dtype=_get_scalar_dtype\(\)), device='cpu'\) -> \4\)$"
        r"|^(torch\.amax\(.+), keepdim=False\) -> \5\)$|^(torch\.cat\(.+), 0\) -> \6\)$"
        r"|^(_default_to_fused_or_foreach\(.+), use_fused=False\) -> \7\)$",
    ),
    Row(
        "parameters, groups and devices do not depend on one another",
        change=r"^(self\.param_groups|\w+\['params'\]|params|device_grads|state_steps|signs"
        r"|momentum_buffer_list|mu_products|state_values|grouped_step_sizes|tensorlists"
        r"|zip\(params, .+\)|enumerate\(.+\)|grouped_\w+\.(values|items)\(\)|range\(ns_steps\)"
        r"|range\(len\((grouped_grads|device_params|tensorlists)\)\)) -> list\(.+\)\[::-1\]$",
        where=r"^(?!lbfgs/)",
    ),
    Row(
        "lists are as long as one another",
        change=r"^True -> (False|None)$|^zip\((.+), strict=True\) -> zip\(\2\)$",
        place="strict=True",
    ),
    Row(
        "there are as many gradients as parameters",
        change=r"^params -> (grads|d_p_list)$",
        place=r"^(if len\(params\) == 0:|if not params:)$",
    ),
    Row(
        "both count as false",
        change=r"^(None -> False|False -> None)$",
        place=r"(foreach|fused|_for_fused|has_sparse_grad|has_complex|with_momentum_buffer) = \w+$",
    ),
    Row("a number becomes the same tensor", change=r"^float\((p_state\['step'\])\) -> \1$"),
    # Code that a CPU, or a run outside of a compiler, does not come to.
    Row(
        "only TorchScript or torch.compile comes here",
        place=r"is_(scripting|compiling)\(\).* / ",
        reached=False,
    ),
    Row(
        "only TorchScript or torch.compile comes here",
        change=r"-> (False|torch\.jit\.is_scripting\(\))$|^(foreach|fused) -> ",
        place=r"if (foreach|fused) and torch\.jit\.is_scripting\(\):$",
    ),
    Row(
        "only TorchScript or torch.compile tells them apart",
        change=rf"^\(?not {COMPILING}\)? and \(?(.+?)\)? -> \2$"
        rf"|^(.+) and \(?not {COMPILING}\)? -> \3$|^not {COMPILING} -> True$"
        rf"|^(.+ and )?{COMPILING} -> (False|{COMPILING})$",
    ),
    Row("only torch.compile tells them apart", change="^_disable_dynamo_if_unsupported"),
    Row("only a CUDA graph tells them apart", place="^self._(cuda|accelerator)_graph_capture"),
    Row(
        "on a CPU all of them are on one device, and none is for XLA",
        change=r"^\w+\.device\.type == .+ and (\w+\.device\.type in \w+) -> \1$"
        r"|^(\w+\.device\.type) == (\w+\.device\.type) -> \2 [<>]= \3$"
        r"|^zip\(|^(params|state_steps|mus|etas|mu_products) -> \w+$",
        place=GUARD,
    ),
    Row(
        "on a CPU all of them are on one device, and none is for XLA",
        change=r"^_get_capturable_supported_devices\(|^False -> ",
        place=r"= _get_capturable_supported_devices\( supports_xla=False \)$",
    ),
    Row(
        "on a CPU a new tensor is where the parameter is, whether it is told or not",
        change=r"^(torch\.\w+\(.*), device=(?:p\.)?device(.*) -> \1\2$"
        r"|^group\['(capturable|fused)'\] "
        r"|^torch\.\w+\(.+, device=p\.device\) if .+ else torch\.\w+\(.+\) -> ",
        place=r"device=(p\.)?device",
    ),
    Row(
        "a tensor that nobody else has is written in place or copied",
        change=r"^(\(.+ [-+*/] .+\)|.+\.(?:sqrt|abs|pow|sub|add|mul|div|square|neg)\(.*\)"
        r"|torch\.norm\(.*\)\.square_\(\))\.(\w+)_\((.*)\) -> \1\.\2\(\3\)$",
    ),
    # Two ways to the same numbers.
    Row("both ways of counting add one", place=COUNTER),
    Row(
        "each tensor is looked at, whether it is complex",
        change=r"^(has_complex|False) -> True$",
        place=r"^has_complex = False$|if has_complex:$",
        where=r"/_multi_tensor_|\._init_group$",
    ),
    Row(
        "the order in which views are taken does not matter",
        change=r"^_view_as_real\((.*?)(\*?\w+), (\*?\w+)(.*)\) -> _view_as_real\(\1\3, \2\4\)$",
    ),
    Row(
        "whether memory is used again, not what is computed",
        change=r"^maximize -> (False|None|\w+)$",
        place=r"if weight_decay != 0:( # Re-?use the intermediate memory \(\w+\) already "
        r"allocated for maximize)?( / if decoupled_weight_decay:( # Perform step ?weight decay)?)?"
        r" / if maximize:( # Re-?use [^/]*)?$",
    ),
    Row(
        "a step that can be captured computes its scalars in tensors, others in numbers, which "
        "are inside the same radius",
        change=r"^capturable -> (False|None|has_complex|differentiable)$"
        r"|^(capturable or differentiable|differentiable or capturable) -> differentiable$",
        place=r"if (differentiable or )?capturable( or differentiable)?:[^/]*$",
        where=LOOP,
    ),
    Row(
        "with torch.where or through a mask, the same elements are set",
        place=r"if capturable:$",
        where="^rprop/",
    ),
    Row(
        "a sign is computed from the same numbers, copied or not",
        change="^differentiable -> True$",
        place=r"if differentiable:$",
        where="^rprop/",
    ),
    Row(
        "a number of one element does the same with its dimensions as without",
        change=r"^(\w+) = _to_scalar\(\1\) -> pass$|^_to_scalar\((.+)\) -> \2$"
        r"|^betas = tuple\(map\(_to_scalar, betas\)\) -> pass$",
    ),
    Row(
        "a list is a list already",
        change=r"^(grouped_grads = )?list\(grouped_grads\) -> (pass|grouped_grads)$",
        where="^rprop/",
    ),
    Row(
        "None counts as false",
        change=r"-> (False|pass)$|^fused -> foreach$|^foreach -> fused$",
        place=r"if (foreach|fused) is None:( / (foreach|fused) = False)?$",
        where="^(sgd/sgd|adam/adam|adagrad/adagrad)$",
    ),
    Row(
        "gradients are where their parameters are, and None counts as false",
        change=r"^params -> (grads|d_p_list)$|^False -> None$",
        place=r"_default_to_fused_or_foreach\(",
    ),
    # Clipping of gradients.
    Row(
        "gradients do not depend on one another, and sums do not on the order",
        change=r"^(parameters|grads|norms|device_tensors) -> list\(.+\)\[::-1\]$"
        r"|^torch\.logical_or\((.+), (.+)\) -> torch\.logical_or\(\3, \2\)$",
        where="^clip_grad/",
    ),
    Row(
        "both count as false",
        change=r"^False -> None$",
        place="^error_if_nonfinite: bool = False,$",
        where="^clip_grad/",
    ),
    Row(
        "where a warning points to, and its full stop",
        place=r"warnings\.warn\(.*stacklevel=3",
        change=r"^[23] -> |^\w+\.warn\((.+), stacklevel=3\) -> \w+\.warn\(\1\)$"
        r"|^'.+\.' -> '.+\._'$",
        where="^clip_grad/clip_grad_norm_$",
    ),
    Row(
        "kernels take a limit in a tensor as they take a number",
        change=r"^(clip_value = )?float\((clip_value|max_norm)\) -> |^max_norm = .+ -> pass$",
        where="^clip_grad/",
    ),
    Row(
        "run as the file is read, which nobody traces: names are asked for in test_clipping.py",
        where="^clip_grad/_no_grad$",
        reached=False,
    ),
    Row(
        "on one device a tensor that is handed over is where it is needed",
        change=r"^(norm|clip_coef_clamped)\.to\(\w+\) -> (\1|\1\.to\(\))$|^0 -> -1$",
        place=r"\.to\((first_)?device\)|first_device = tensors\[0\]\.device",
        where="^clip_grad/",
    ),
    # Averages of parameters.
    Row(
        "tensors do not depend on one another, and batches count alike",
        change=r"^(zip\(.+\)|loader|grouped_tensors\.items\(\)|momenta|model\.modules\(\)) -> "
        r"list\(.+\)\[::-1\]$",
        where="^swa_utils/",
    ),
    Row(
        "on one device a tensor that is handed over is where it is needed",
        change=r"^(p_model\.detach\(\)|self\.n_averaged|b_model\.detach\(\))\.to\(.+\) -> "
        r"\1(\.to\(\))?$",
        where="^swa_utils/",
    ),
    Row(
        "pairs end with the shorter list, which is the ledger's average-of-another-model",
        change=r"^self\.use_buffers -> (True|False)$|^False -> (True|None)$|, strict=False\) -> "
        r"zip\(self_param, model_param\)$|^itertools\.chain\(.+\) if self\.use_buffers else ",
        place=r"self_param|model_param|strict=False",
        where="^swa_utils/AveragedModel.update_parameters$",
    ),
    Row(
        "devices with kernels for lists alone come here; on the CPU it is the same average",
        change=r"^device is not None and (.+) -> (False|\1)$|^device is not None -> device is None$"
        r"|^None -> (True|False)$",
        place=r"device is not None and device\.type in _get_foreach_kernels_supported_devices\(\)",
        where="^swa_utils/AveragedModel.update_parameters$",
    ),
    Row(
        "devices with kernels for lists alone come here; on the CPU it is the same average",
        place=r"device\.type in _get_foreach_kernels_supported_devices\(\)",
        where="^swa_utils/AveragedModel.update_parameters$",
        reached=False,
    ),
    Row(
        "an annotation, which nobody reads",
        change=r"^Tensor \| int -> (Tensor|int)$|^None -> (True|False)$",
        place=r"\) -> None:|: Tensor \| int,?",
        where="^swa_utils/get_",
    ),
    Row(
        "no device is where a tensor is already, and a whole number is a long one",
        change=r"^device is not None -> True$|^None -> (True|False)$"
        r"|^(torch\.tensor\(0), dtype=torch\.long, (device=device\)) -> \2, \3$",
        place=r"if device is not None:$|torch\.tensor\(0, dtype=torch\.long, device=device\)",
        where="^swa_utils/(AveragedModel.__init__|update_bn)$",
    ),
    Row(
        "both count as false",
        change="^False -> None$",
        place="^use_buffers=False,$",
        where="^swa_utils/AveragedModel.__init__$",
    ),
    Row(
        "never negative",
        change=r"^(self\.n_averaged) == 0 -> \1 <= 0$",
        where="^swa_utils/",
    ),
    Row(
        "it is copied into what is in no graph, by a function that records none",
        change=r"^(p_model|p_averaged)\.detach\(\) -> \1$",
        where="^swa_utils/AveragedModel.update_parameters$",
    ),
    Row(
        "the same average in another form: the branch for whole numbers is right for all",
        change=r"^torch\.is_floating_point\(ema_param_list\[0\]\) or |^0 -> -1$",
        place=r"is_floating_point\( ?ema_param_list\[0\]",
        where="^swa_utils/get_ema_multi_avg_fn$",
    ),
    Row(
        "not both are given",
        change=r"^self\.multi_avg_fn is not None or (self\.avg_fn is None) -> \1$",
        where="^swa_utils/",
    ),
    Row(
        "one number counts as it is, and a buffer is in no graph",
        change=r"^bool\((self\.n_averaged == 0)\) -> \1$|^(b_swa|b_model)\.detach\(\) -> \2$",
        where="^swa_utils/",
    ),
    Row(
        "of whole numbers it raises, which is the ledger's average-whole-refused; of others it is "
        "the same average in another form",
        place=r"is_floating_point\( ?averaged_param_list|_foreach_(sub|addcdiv_|add_)\(|"
        r"isinstance\(num_averaged, Tensor\)|num_averaged \+ 1\)?\] ?\*",
        where="^swa_utils/get_swa_multi_avg_fn$",
    ),
    # Several devices.
    Row(
        "on one device a tensor that is handed over is where it is needed",
        change=r"-> \{\}$|^\w+ is not None -> False$|^(grad_scale|found_inf) -> None$",
        place=r"(grad_scale|found_inf)_dict(: DeviceDict)? = ",
    ),
    Row(
        "on one device a tensor that is handed over is where it is needed",
        change=r"^\w+\.to\(device(?:, non_blocking=True)?\) -> |^True -> (?:False|None)$"
        r"|^(\w+_dict\.setdefault\(device), \w+\.to\(.+\)\) -> \1\)$",
        place=r"_dict\.setdefault\(",
    ),
    Row(
        "there always is such a table",
        change=r"^found_inf_dict is not None and (found_inf is not None) -> \1$|^None -> ",
        place="if found_inf_dict is not None and found_inf is not None:$",
    ),
    Row(
        "a table of hyperparameters for each device, which the CPU does without",
        place=r"(beta1|lr)_dict(: DeviceDict \| None)? = |if (beta1|lr)_dict is not None and "
        r"device not in (beta1|lr)_dict:|device_beta1 = beta1_dict\[device\] if beta1_dict else",
        change=r"^(\{|str|isinstance\(\w+, Tensor\) and|beta1|lr|'cpu'|True|device|\w+_dict)",
        where="^(adam|adagrad)/_(multi_tensor|fused)_",
    ),
    Row(
        "asked only of devices that need such a table",
        place=r"^device = device_params\[0\]\.device$|/ device = device_params\[0\]\.device$",
        where="^adam/_multi_tensor_adam$",
    ),
    Row(
        "-1 is its own reciprocal",
        change=r"^(.+) \* -1 -> \1 / -1$",
    ),
    Row(
        "only torch.compile tells them apart",
        change=r"^_stack_if_compiling\((.+)\) -> \1$",
    ),
    Row(
        "each tensor is looked at, whether it is complex",
        change=r"^(\w+\(.*), has_complex=has_complex(.*)\) -> \1, has_complex=[\w\[\]'.]+\2\)$",
    ),
    # Adam.
    Row(
        "both betas are tensors or none, so the first one has been refused",
        change=r"^0 -> -?1$|^1 -> (0|-1)$|^isinstance\(betas\[.\], Tensor\) -> False$",
        place=r"^if isinstance\(betas\[[01]\], Tensor\):$",
        where=r"^adam/Adam\.__init__$",
    ),
    Row(
        "both betas are tensors or none, so the first one has been refused",
        place=r"^if isinstance\(betas\[1\], Tensor\): / if not capturable and foreach:",
        where=r"^adam/Adam\.__init__$",
    ),
    Row(
        "comparing a tensor of several elements, or of none, has been refused",
        place=r"^if isinstance\(betas\[[01]\], Tensor\): / if betas\[[01]\]\.numel\(\) != 1:",
        where=r"^adam/Adam\.__init__$",
    ),
    Row(
        "a table that is filled again with the same",
        change=r"^key not in beta1_dict -> True$|^(beta1\.to\()(?:device=device, )?(.*?)"
        r"(?:, non_blocking=True)?\) -> \1\2(?:, non_blocking=True)?\)$|^True -> (False|None)$",
        place=r"if key not in beta1_dict:",
        where="^adam/_single_tensor_adam$",
    ),
    Row(
        "a copy of what is only read, or that itself",
        change="^differentiable -> True$",
        place=r"if capturable or differentiable: /( if amsgrad: .*/)? if differentiable:$",
        where="^adam/_single_tensor_adam$",
    ),
    Row(
        "the list is made anew for each step, and its entries share the memory of the state",
        place=r"if amsgrad and torch\.is_complex\(params\[i\]\):",
        where="^adam/_single_tensor_adam$",
    ),
    Row(
        "two ways to write a product, each rounded once or twice",
        change=r"^isinstance\(beta2, torch\.Tensor\) -> True$",
        where="^adam/_multi_tensor_adam$",
    ),
    Row(
        "the loop itself refuses it, too",
        change=r"^group\['foreach'\] and .+ -> False$|^raise RuntimeError\('lr as a Tensor",
        place=r"if \( group\[\"foreach\"\] and torch\.is_tensor\(group\[\"lr\"\]\)",
        where=r"^adam/Adam\._init_group$",
    ),
    Row(
        "a tensor without dimensions is taken in every dtype, cast or not",
        change=r"^isinstance\(beta1, Tensor\) -> False$|^beta1 -> (None|beta2)$"
        r"|^beta1_dict is not None -> False$|^beta1\.to\(device=device, dtype=dtype, non_blocking=",
        place=r"^if isinstance\(beta1, Tensor\):|/ if beta1_dict is not None:",
        where="^adam/_single_tensor_adam$",
    ),
    Row(
        "tensors that require gradients are for differentiable steps; others step alike",
        change=r"^differentiable and (isinstance\(\w+, Tensor\)) -> \1$"
        r"|^(weight_decay|beta1|beta2)\.requires_grad -> True$|^beta1 -> beta2$",
        place=r"if differentiable and isinstance\((weight_decay|beta1|beta2), Tensor\):"
        r"( / if (weight_decay|beta1|beta2)\.requires_grad:[^/]*)?$",
        where="^adam/_single_tensor_adam$",
    ),
    # ASGD.
    Row(
        "a first average is the parameter, copied or added up",
        change=r"-> (mu\.item\(\) != 1|True|mu\.item\(\) < 1|mu|0|2)$|^capturable -> \w+$",
        place=r"if capturable or mu\.item\(\) != 1:$",
        where="^asgd/_single_tensor_asgd$",
    ),
    Row(
        "a rate in the state is read as a number, in no graph",
        change=r"^(torch\.as_tensor\(_to_scalar.+\)\.clone\(\))\.detach\(\) -> \1$",
        where=r"^asgd/ASGD\._init_group$",
    ),
    Row(
        "a number is copied as a tensor of it is",
        change=r"^torch\.as_tensor\((.+?)(, device=device)?\) -> \1$|^_get_value\(step\) -> step$",
        where="^asgd/",
    ),
    Row(
        "0 times a finite parameter is 0; at infinity a second decay makes no number of it anyway",
        change=r"^weight_decay != 0 -> True$|^0 -> -1$|^weight_decay -> \w+$",
        place=r"if weight_decay != 0:$",
        where="^asgd/_multi_tensor_asgd$",
    ),
    Row(
        "rates are kept in float32, in which numbers and tensors come to the same",
        change="^capturable -> True$",
        place="if capturable: # update grouped_mus$",
        where="^asgd/_multi_tensor_asgd$",
    ),
    Row(
        "a shrinking by nothing is a product with 1",
        change=r"^weight_decay != 0 -> True$|^0 -> -1$|^weight_decay -> None$",
        place=r"if weight_decay != 0:$",
        where="^_adafactor/",
    ),
    Row(
        "all of a state is there, or a step that lacks it has been refused",
        change=r"^0 -> -1$",
        place=r"(device_col_vars|device_variances)\[0\] is None:$",
        where="^_adafactor/",
    ),
    Row(
        "a norm of no other kind, and a number or a tensor of it",
        change=r"^(\w+)\.norm\(2\)(\.item\(\) -> \1\.norm\(2\)| -> \1\.norm\(\))$",
        where="^_adafactor/",
    ),
    Row(
        "gradients are there, and as long as their parameters",
        change=r"^tensor is None -> False$|^None -> (True|False)$|^raise |^1 -> 0$|^False -> None$",
        place=r"in enumerate\(tensorlists\[1\]\):( / if tensor is None:.*)?$|vector_key = ",
        where="^_adafactor/_group_tensors_by_device_dtype_and_is_multidim$",
    ),
    Row(
        "a group has one dtype, that of its parameters",
        place=r"eps_dtype = dtype if dtype is not None else device_params\[0\]\.dtype$",
        where="^_adafactor/_multi_tensor_adafactor$",
    ),
    Row(
        "only type checkers come here, and it is so",
        place=r"if TYPE_CHECKING:",
        where="^_adafactor/_multi_tensor_adafactor$",
    ),
    Row(
        "a list that torch makes and nobody reads",
        place=r"beta2_ts\.append\(1 - s\.item\(\) \*\* beta2_decay\)$",
        where="^_adafactor/_multi_tensor_adafactor$",
    ),
    # Adamax.
    Row(
        "the norm is overwritten with the larger of the two, which two ways compute",
        change=r"^exp_inf\.mul_\(beta2\) -> exp_inf\.mul\(beta2\)$|^not differentiable -> False$",
        place=r"if not differentiable:( / torch\.maximum\(.*| / norm_buf = .*)?$",
        where="^adamax/_single_tensor_adamax$",
    ),
    Row(
        "whether memory is used again, not what is computed",
        change=r"^not maximize and weight_decay == 0 -> (?!False)|^maximize -> \w+$"
        r"|^weight_decay == 0 -> weight_decay >= 0$",
        place=r"/ if not maximize and weight_decay == 0:$",
        where="^adamax/_multi_tensor_adamax$",
    ),
    # RMSprop.
    Row(
        "two ways to write a product, each rounded once or twice",
        place=r"/ if capturable and isinstance\(lr, torch\.Tensor\):$",
        where="^(adadelta|rmsprop)/_multi_tensor_",
    ),
    # RAdam.
    Row(
        "ρ is 5 by a rounding only, which may leave it on either side",
        change=r"^(rho_t|rect|\w+) > 5(\.0)? -> \1 >= 5",
        where="^radam/",
    ),
    # Adagrad.
    Row(
        "the constructor has begun the state of every parameter",
        change=r"^self\.state\.get\(p, \[\]\) -> self\.state\.get\(p\)$|^0 -> -?1$"
        r"|^len\(p_state\) != 0 and \(?(.+?)\)? -> \1$|^len\(p_state\) -> p_state$",
        place=r"p_state = self\.state\.get|if len\(p_state\) != 0 and not ",
        where=r"^adagrad/Adagrad\.__setstate__$",
    ),
    Row(
        "the loop before it has made tensors of all numbers",
        place=r"^(state_values|step_is_tensor) = |^if not step_is_tensor:",
        where=r"^adagrad/Adagrad\.__setstate__$",
    ),
    Row(
        "each group says it again",
        place=r"^fused = None$",
        where=r"^adagrad/Adagrad\.__setstate__$",
    ),
    Row(
        "values that nobody else has, and nobody reads again",
        change=r"^(std\._values\(\)\.sqrt_\(\))\.add_\(eps\) -> \1\.add\(eps\)$"
        r"|^is_complex -> False$",
        where="^adagrad/_single_tensor_adagrad$",
    ),
    Row(
        "values that nobody else has, and nobody reads again",
        place=r"/ if is_complex: / (param|state_sum) = torch\.view_as_complex\(\w+\)$",
        where="^adagrad/_single_tensor_adagrad$",
    ),
    Row(
        "a root that nobody else has is written in place or copied",
        change=r"^differentiable -> True$|^avg\.add_\(eps\) -> avg\.add\(eps\)$",
        place=r"/ if differentiable:( / avg = [^/]*)?$",
        where="^(adadelta|adagrad|rmsprop)/_single_tensor_",
    ),
    Row(
        "the for-loop steps on the same gradients",
        place=r"device_has_sparse_grad = has_sparse_grad and any\(",
        where="^adagrad/_multi_tensor_adagrad$",
    ),
    Row(
        "the for-loop looks at each gradient itself, and foreach has refused the rest",
        change=r"^_single_tensor_adagrad\(|^True -> (False|None)$"
        r"|^(differentiable|has_complex|grad_scale|found_inf) -> ",
        place=r"if device_has_sparse_grad: / _single_tensor_adagrad\(",
        where="^adagrad/_multi_tensor_adagrad$",
    ),
    Row(
        "whether memory is used again, not what is computed",
        change=r"^weight_decay != 0 or maximize -> (?!True)|^maximize -> \w+$"
        r"|^weight_decay != 0 -> weight_decay < 0$",
        place=r"if weight_decay != 0 or maximize: # Again, re-?use the intermediate memory[^/]*$",
        where="^adagrad/_multi_tensor_adagrad$",
    ),
    Row(
        "complex parameters have been refused",
        change=r"^has_sparse_grad or has_complex -> has_sparse_grad$|^has_complex -> ",
        place=r"^if has_sparse_grad or has_complex:$",
        where="^adagrad/_fused_adagrad$",
    ),
    # Adafactor.
    Row(
        "complex parameters have been refused",
        change=r"^return False -> return None$|^False -> (?:True|None)$|^has_complex -> \w+$"
        r"|^raise "
        r"|^(\w+\(.*), has_complex=has_complex\) -> \1(, has_complex=.+)?\)$",
        place=r"has_complex|^return False",
        where="^(_adafactor|_muon)/",
    ),
    Row(
        "a root that nobody else has is written in place or copied",
        change=r"^differentiable -> True$|^exp_avg_sq_sqrt\.add_\(eps\) -> exp_avg_sq_sqrt\.add\(",
        place=r"def _compute_adaptive_lr\(\): / if differentiable:",
        where="^radam/_single_tensor_radam$",
    ),
    Row(
        "None counts as false",
        change=r"^(group\.get\('maximize'), False\) -> \1\)$|^False -> None$",
        place=r'maximize = group\.get\("maximize", False\)$',
        where=r"^sparse_adam/SparseAdam\.step$",
    ),
    # Muon.
    Row(
        "what is no matrix, or complex, has been refused",
        place=r"^if len\(grad\.shape\) != 2:",
        where="^_muon/_zeropower_via_newtonschulz$",
    ),
    Row(
        "what is no matrix, or complex, has been refused",
        change=r"^2 -> 3$",
        place=r"^A, B = param_shape\[:2\]$",
        where="^_muon/_adjust_lr$",
    ),
    Row(
        "the constructor knows two names only",
        change=r"^adjust_lr_fn == 'original' -> adjust_lr_fn >="
        r"|^adjust_lr_fn == 'match_rms_adamw' -> (adjust_lr_fn [<>]=|True$)",
        where="^_muon/_adjust_lr$",
    ),
    Row(
        "the constructor knows two names only",
        place=r"/ adjusted_ratio = 1\.0$",
        where="^_muon/_adjust_lr$",
    ),
    Row(
        "None counts as false",
        change=r"^foreach is not None and foreach -> foreach$|^None -> False$",
        place=r"^if foreach is not None and foreach:$",
        where="^_muon/muon$",
    ),
    # SparseAdam.
    Row(
        "the base class refuses groups that are no dicts",
        place=r"if not isinstance\(param_group, dict\):",
        where=r"^sparse_adam/SparseAdam\.__init__$",
    ),
    Row(
        "where nothing is moved, moving is the same",
        change=r"^grad_values\.numel\(\) == 0 -> False$|^0 -> -1$",
        place=r"if grad_values\.numel\(\) == 0:",
        where="^_functional/sparse_adam$",
    ),
    Row(
        "indices have two dimensions, and values at least one",
        place=r"if grad_indices\.dim\(\) == 0 or values\.dim\(\) == 0:",
        where="^_functional/sparse_adam$",
    ),
    Row(
        "values that nobody else has, and nobody reads again",
        change=r"^exp_avg_update_values\.add_\((old_exp_avg_values)\) -> "
        r"(exp_avg_update_values\.add\(\1\)|\1\.add_\(exp_avg_update_values\))$"
        r"|^exp_avg_sq_update_values\.sqrt_\(\)\.add_\(eps\) -> .+\.sqrt_\(\)\.add\(eps\)$"
        r"|^numer\.div_\(denom\) -> numer\.div\(denom\)$",
        where="^_functional/sparse_adam$",
    ),
    # SGD.
    Row(
        "a check that is made again says the same",
        change=r"= (True|False) -> pass$|^False -> True$|^'\w+' -> '\w+'$"
        r"|^group\['fused'\] and .* -> group\['fused'\]$",
        place=r"_need_device_dtype_check_for_fused",
        where="^(sgd|adagrad)/",
    ),
    Row(
        "in a graph a decay is added in place, which the ledger knows for a mistake",
        change=r"^grad\.addcmul_(\(.+\)) -> grad\.addcmul\1$",
        place=r"grad = grad\.addcmul_\(param\.clone\(\), weight_decay\)$",
    ),
    Row(
        "two ways to write a product, each rounded once or twice",
        change=r"^lr\.requires_grad -> True$",
        where="^sgd/_single_tensor_sgd$",
    ),
    Row(
        "two ways to write a product, each rounded once or twice",
        place=r"if isinstance\(lr, torch\.Tensor\) and torch\.compiler\.is_compiling\(\):$",
        where="^sgd/_multi_tensor_sgd$",
    ),
    Row(
        "kernels for many tensors take sparse gradients one by one",
        place=r"device_has_sparse_grad( = |:)[^/]*$",
        where="^sgd/_multi_tensor_sgd$",
    ),
    Row(
        "buffers are moved one by one or together",
        place=r"if momentum != 0: / (all_states_with_momentum_buffer = True|if all_states_with_"
        r"momentum_buffer:|for i in range\(len\(device_momentum_buffer_list\)\): / "
        r"if device_momentum_buffer_list\[i\] is None:( / break)?)$",
        where="^sgd/_multi_tensor_sgd$",
    ),
    Row(
        "an entry that has been read, and is not again",
        change=r"^device_momentum_buffer_list\[i\] -> device_momentum_buffer_list\[0\]$",
        place=r"buf = device_momentum_buffer_list\[i\] = ",
        where="^sgd/_multi_tensor_sgd$",
    ),
    Row(
        "foreach steps are outside of any graph",
        change=r"^device_grads\[i\]\.detach\(\) -> device_grads\[i\]$",
        where="^sgd/_multi_tensor_sgd$",
    ),
    Row(
        "buffers of some parameters only raise, which the ledger knows for a mistake",
        change=r"^momentum_buffer_list -> list\(momentum_buffer_list\)\[:1\]$",
        place=r"is_first_step = ",
        where="^sgd/_fused_sgd$",
    ),
    Row(
        "a buffer that is written before it is read; where gradients are laid out otherwise than "
        "parameters, the ledger knows the kernel to be wrong",
        change=r"^grads -> params$",
        place=r"if is_first_step: / for i, g in enumerate\(grads\):$",
        where="^sgd/_fused_sgd$",
    ),
    Row(
        "nobody looks at the indices",
        change=r", with_indices=False\) -> |^False -> (True|None)$",
        place=r"with_indices=False",
        where="^sgd/_fused_sgd$",
    ),
    Row(
        "without momentum there are no buffers",
        change=r"^no_momentum_buffer -> False$|^\[\] if no_momentum_buffer else (.+) -> \1$",
        where="^sgd/_fused_sgd$",
    ),
    # LBFGS.
    Row(
        "a dot product does not depend on the order",
        change=r"^(.+)\.dot\((.+)\) -> \2\.dot\(\1\)$|^torch\.mul\((\w+), (\w+)\) -> "
        r"torch\.mul\(\4, \3\)$",
        where="^lbfgs/",
    ),
    Row(
        "gradients are gathered in a row at each evaluation, and kept or copied",
        change=r"^((?:g|g_new|flat_grad|p))\.clone\(memory_format=torch\.contiguous_format\) -> "
        r"\1(\.clone\(\))?$",
        where=r"^lbfgs/(_strong_wolfe|LBFGS\.(step|_clone_param))$",
    ),
    Row(
        "a search is always told how many trials it has",
        change="^25 -> 2[46]$",
        where="^lbfgs/_strong_wolfe$",
    ),
    Row(
        "a distance is the same from either end",
        change=r"^t - (max|min)\(bracket\) -> \1\(bracket\) - t$|^loss - prev_loss -> prev_loss - ",
        place=r"abs\(",
        where="^lbfgs/",
    ),
    Row(
        "all parameters together are as long as their parts",
        change=r"^offset != self\._numel\(\) -> |^raise |^self\._numel_cache is None -> True$",
        where=r"^lbfgs/LBFGS\.(_add_grad|_numel)$",
    ),
    Row(
        "there is one group, and at least one",
        change=r"^len\(self\.param_groups\) != 1 -> len\(self\.param_groups\) > 1$|^0 -> -1$",
        place=r"self\.param_groups",
        where=r"^lbfgs/LBFGS\.(__init__|step)$",
    ),
    Row(
        "parts are copied to their own parameters, and counted, in any order",
        change=r"\[::-1\]$",
        where=r"^lbfgs/LBFGS\.(_numel|_set_param)$",
    ),
    Row(
        "None counts as false",
        change="^False -> None$",
        place=r"^(done|insuf_progress) = False$",
        where="^lbfgs/_strong_wolfe$",
    ),
    Row(
        "the loop ends there anyway, and what is asked between changes nothing",
        change=r"^n_iter == max_iter -> (False|n_iter >= max_iter)$|^break -> (continue|pass)$"
        r"|^n_iter != max_iter -> n_iter < max_iter$",
        place=r"^while n_iter < max_iter: .*if n_iter [!=]= max_iter:",
        where=r"^lbfgs/LBFGS\.step$",
    ),
    Row(
        HOLE + "LBFGS: told apart by no run and no test that this command asks; that is, at a tie, "
        "or in a line search that only a longer draw would meet",
        where="^lbfgs/",
    ),
)


def excuse(file: str, mutant: Mutant, *, reached: bool) -> Row | None:
    """The first row about a survivor; None if nobody has said why it survives."""
    return next((row for row in HARMLESS if row.covers(file, mutant, reached=reached)), None)
