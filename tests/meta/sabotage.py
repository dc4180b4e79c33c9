"""Ways to break any optimizer, and which check must find each.

Where one can be planted is asked of the rule's data -- its states, switches, hyperparameters,
tuples -- and of what the optimizer takes; never of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from oracles.harness.checks.names import (
    AGREEMENT,
    CLOSURE,
    COPIED,
    EDGE,
    ENDURING,
    GAPS,
    GRADIENTS,
    LARGE,
    LATE,
    LONG,
    MANY,
    ORDER,
    SAVED,
    SHORT,
    SKIPPED,
    SPARSE,
    SPLITTING,
    SURROUNDINGS,
    THREADED,
    TO_NONE,
    TO_ZERO,
    TRANSPOSING,
)
from oracles.harness.subjects.classes import accepted
from oracles.rule import Rule
from tests.meta.planting import PLANTED, SCALED, Around, Group, Specimen, Wrong, swapped

Needs = Callable[[Rule], bool]


@dataclass(frozen=True)
class Sabotage:
    """One way to break an optimizer.

    Attributes:
        name: of the specimens, with the optimizer's.
        caught_by: checks that must find it, as far as a rule has them.
        broken: what goes before the optimizer's class.
        needs: whether a rule has what it breaks.
        paths: the paths it is planted in.
    """

    name: str
    caught_by: tuple[str, ...]
    broken: type
    needs: Needs = lambda rule: True
    paths: tuple[str, ...] = PLANTED


SABOTAGES: list[Sabotage] = []


def around(
    *caught_by: str, needs: Needs = lambda rule: True, paths: tuple[str, ...] = PLANTED
) -> Callable[[Wrong], Wrong]:
    """Enter something that happens around the step, under the function's name."""

    def enter(wrong: Wrong) -> Wrong:
        name = wrong.__name__
        SABOTAGES.append(Sabotage(name, caught_by, _around(name, wrong), needs, paths))
        return wrong

    return enter


def _around(name: str, wrong: Wrong) -> type:
    return type(name, (Around,), {"around": wrong, "__doc__": wrong.__doc__})


def instead(
    *caught_by: str, needs: Needs = lambda rule: True, paths: tuple[str, ...] = PLANTED
) -> Callable[[type], type]:
    """Enter a class whose methods replace the optimizer's."""

    def enter(broken: type) -> type:
        SABOTAGES.append(Sabotage(broken.__name__, caught_by, broken, needs, paths))
        return broken

    return enter


def remembers(rule: Rule) -> bool:
    return bool(rule.states)


def buffered(rule: Rule) -> bool:
    return bool(set(rule.states) - {"step"})


def counted(rule: Rule) -> bool:
    return "step" in rule.states


def counts(rule: Rule) -> bool:
    """Whether the number of gradients seen enters the arithmetic."""
    h = rule.drawing.nearest_allowed(
        rule.hyper(**{n: d.high / 4 for n, d in rule.drawing.domains.items() if d.high})
    )
    w, g = np.ones((2, 3)), np.full((2, 3), 0.5)
    early, late = (rule.step(w, g, t, rule.start(w, h), h, rule.torch) for t in (1, 9))
    return counted(rule) and any(
        not np.array_equal(a, b)
        for a, b in zip((early[0], *early[1].values()), (late[0], *late[1].values()), strict=True)
    )


def has(*names: str) -> Needs:
    return lambda rule: set(names) <= set(rule.hyper()._fields)


def buffers(opt: Any, p: torch.Tensor) -> dict[str, torch.Tensor]:
    """A parameter's state without its counter."""
    held = opt.state.get(p, {})
    return {name: v for name, v in held.items() if name != "step" and torch.is_tensor(v)}


# --- memory of the past -------------------------------------------------------------------------


@around(AGREEMENT, GRADIENTS, needs=lambda rule: buffered(rule) and not rule.sparse)
def buffer_is_the_gradient(opt: Any) -> Iterator[None]:
    """A buffer lives in ``.grad``, which the next backward pass overwrites."""
    yield
    for _, p in opt.moving():
        for buffer in buffers(opt, p).values():
            if buffer.shape == p.shape:
                p.grad = buffer
                break


def buffers_through(dtype: torch.dtype, opt: Any) -> Iterator[None]:
    yield
    for _, p in opt.moving():
        for name, buffer in buffers(opt, p).items():
            opt.state[p][name] = buffer.to(dtype).to(buffer.dtype)


@around(AGREEMENT, needs=buffered)
def buffers_in_float16(opt: Any) -> Iterator[None]:
    """All buffers pass through float16."""
    return buffers_through(torch.float16, opt)


@around(AGREEMENT, needs=buffered)
def buffers_in_float32(opt: Any) -> Iterator[None]:
    """All buffers pass through float32."""
    return buffers_through(torch.float32, opt)


@around(AGREEMENT, needs=buffered)
def buffers_negated(opt: Any) -> Iterator[None]:
    """All buffers are kept with the other sign, and turned back before they are used."""
    for _, p in opt.moving():
        for name, buffer in buffers(opt, p).items():
            opt.state[p][name] = -buffer
    yield
    for _, p in opt.moving():
        for name, buffer in buffers(opt, p).items():
            opt.state[p][name] = -buffer


def _count(opt: Any, p: torch.Tensor, more: int) -> None:
    if "step" in opt.state.get(p, {}):
        opt.state[p]["step"] = opt.state[p]["step"] + more


@around(AGREEMENT, needs=counted)
def counter_starts_at_one(opt: Any) -> Iterator[None]:
    """The counter is one ahead."""
    new = [p for _, p in opt.moving() if not opt.state.get(p, {}).get("step")]
    yield
    for p in new:
        _count(opt, p, 1)


@around(AGREEMENT, needs=counts)
def counter_lags(opt: Any) -> Iterator[None]:
    """From the second step on the counter that is used is one behind the one that is kept."""
    old = [p for _, p in opt.moving() if opt.state.get(p, {}).get("step")]
    for p in old:
        _count(opt, p, -1)
    yield
    for p in old:
        _count(opt, p, 1)


@around(AGREEMENT, needs=counted)
def counter_stands(opt: Any) -> Iterator[None]:
    """The counter stays 1."""
    yield
    for _, p in opt.moving():
        if opt.state[p]["step"] > 1:
            _count(opt, p, -1)


@around(AGREEMENT, needs=counted)
def counter_is_shared(opt: Any) -> Iterator[None]:
    """Each parameter of a group advances the counter of all."""
    yield
    for group in opt.param_groups:
        moved = [p for p in group["params"] if p.grad is not None]
        for p in moved:
            _count(opt, p, len(moved) - 1)


@instead(SAVED, needs=remembers)
class StateNotSaved:
    """``state_dict`` leaves the state out."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "state": {}}  # type: ignore[misc]


@instead(SAVED)
class RatesNotRestored:
    """``load_state_dict`` keeps the hyperparameters there are."""

    def load_state_dict(self, state: Any) -> None:
        kept = [dict(group) for group in self.param_groups]  # type: ignore[attr-defined]
        super().load_state_dict(state)  # type: ignore[misc]
        for group, old in zip(self.param_groups, kept, strict=True):  # type: ignore[attr-defined]
            group["lr"] = old["lr"]


@instead(SAVED, needs=counted)
class CounterNotSaved:
    """``state_dict`` saves counters as 0."""

    def state_dict(self) -> dict[str, Any]:
        saved: dict[str, Any] = super().state_dict()  # type: ignore[misc]
        state = {k: {**v, "step": v["step"] * 0} for k, v in saved["state"].items()}
        return {**saved, "state": state}


@instead(*COPIED, needs=remembers)
class StateNotCopied:
    """Copies and pickles start without state."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        self.state.clear()  # type: ignore[attr-defined]


# --- parameters without gradient, and groups ----------------------------------------------------


@around(GAPS)
def moves_without_gradient(opt: Any) -> Iterator[None]:
    """A parameter without gradient shrinks all the same."""
    for _, p in opt.waiting():
        p.mul_(0.5)
    yield


@around(GAPS, needs=buffered)
def buffers_decay_without_gradient(opt: Any) -> Iterator[None]:
    """The buffers of a parameter without gradient shrink all the same."""
    for _, p in opt.waiting():
        for buffer in buffers(opt, p).values():
            buffer.mul_(0.5)
    yield


@around(GAPS, needs=counted)
def counter_advances_without_gradient(opt: Any) -> Iterator[None]:
    """Steps are counted for parameters without gradient, too."""
    for _, p in opt.waiting():
        _count(opt, p, 1)
    yield


@around(GAPS)
def late_group_ignored(opt: Any) -> Iterator[None]:
    """A group that is added later does not move."""
    late = [p for group in opt.param_groups[opt.founded :] for p in group["params"]]
    before = [p.clone() for p in late]
    yield
    for p, old in zip(late, before, strict=True):
        p.copy_(old)


@instead(GAPS)
class LateGroupLikeFirst:
    """A group that is added later gets the first group's hyperparameters."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)  # type: ignore[misc]
        first, *_, last = groups = self.param_groups  # type: ignore[attr-defined]
        if self.state and len(groups) > 1:  # type: ignore[attr-defined]
            last.update({k: v for k, v in first.items() if k != "params"})


@around(GAPS)
def first_group_rules(opt: Any) -> Iterator[None]:
    """All groups step with the first group's hyperparameters."""
    first = {name: v for name, v in opt.param_groups[0].items() if name != "params"}
    with swapped(opt, lambda number, group: first):
        yield


# --- gradients ----------------------------------------------------------------------------------


def with_gradients(opt: Any, change: Callable[[Any], Any]) -> Iterator[None]:
    """Step on other gradients, and put the given ones back."""
    kept = [(p, p.grad) for _, p in opt.moving()]
    for p, g in kept:
        p.grad = change(g)
    yield
    for p, g in kept:
        p.grad = g


@around(AGREEMENT)
def gradient_negated(opt: Any) -> Iterator[None]:
    """The gradient has the wrong sign."""
    return with_gradients(opt, lambda g: -g)


@around(AGREEMENT)
def gradient_halved_late(opt: Any) -> Iterator[None]:
    """From the fifth step on the gradient counts half."""
    opt.steps += 1
    return with_gradients(opt, lambda g: g * 0.5 if opt.steps >= 5 else g)


# Not on fused, which does so itself: see fused-cpu-layout in the ledger.
@around(
    AGREEMENT, needs=lambda rule: not rule.sparse, paths=("for-loop", "foreach", "differentiable")
)
def strides_ignored(opt: Any) -> Iterator[None]:
    """Gradients are read as flat memory."""

    def flat(g: torch.Tensor) -> torch.Tensor:
        if g.is_sparse or 0 in g.stride():
            return g
        return torch.empty(g.shape, dtype=g.dtype).copy_(
            g.as_strided(g.shape, torch.empty(g.shape).stride(), g.storage_offset())
        )

    return with_gradients(opt, flat)


@around(EDGE)
def nonfinite_swallowed(opt: Any) -> Iterator[None]:
    """inf and nan gradients are replaced by zero."""
    return with_gradients(opt, _finite)


def _finite(g: torch.Tensor) -> torch.Tensor:
    values = torch.nan_to_num(g.to_dense(), 0.0, 0.0, 0.0)
    return values.to_sparse() if g.is_sparse else values


@around(GRADIENTS)
def gradient_decayed(opt: Any) -> Iterator[None]:
    """Something of the parameter is left in ``.grad``."""
    yield
    for _, p in opt.moving():
        p.grad = p.grad + 0.5 * p


@around(GRADIENTS, needs=has("maximize"))
def gradient_left_negated(opt: Any) -> Iterator[None]:
    """Under *maximize* ``.grad`` is left with the other sign."""
    yield
    for group, p in opt.moving():
        if group["maximize"]:
            p.grad = -p.grad


@around(GRADIENTS)
def gradient_cleared(opt: Any) -> Iterator[None]:
    """The step also zeroes the gradients."""
    yield
    for _, p in opt.moving():
        p.grad = p.grad * 0


# On the paths that take sparse gradients in every torch.
@around(SPARSE, paths=("default", "for-loop"))
def sparse_gradient_twice(opt: Any) -> Iterator[None]:
    """A sparse gradient moves its parameter twice as far."""
    kept = [(p, p.clone()) for _, p in opt.moving() if p.grad.is_sparse]
    yield
    for p, old in kept:
        p.add_(p - old)


@around(SPARSE, needs=lambda rule: rule.sparse, paths=("default",))
def repeated_indices_counted_apart(opt: Any) -> Iterator[None]:
    """What a sparse gradient says of an index for the second time is passed over."""
    for _, p in opt.moving():
        if p.grad.is_sparse:
            p.grad = p.grad.coalesce() / 2
    yield


# --- elements -----------------------------------------------------------------------------------


@around(AGREEMENT, ORDER)
def first_parameter_only(opt: Any) -> Iterator[None]:
    """Of each group only the first parameter moves."""
    others = [p for group in opt.param_groups for p in group["params"][1:]]
    before = [p.clone() for p in others]
    yield
    for p, old in zip(others, before, strict=True):
        p.copy_(old)


@around(AGREEMENT, SPLITTING)
def last_element_forgotten(opt: Any) -> Iterator[None]:
    """The last of several elements does not move."""
    kept = [(p, p.clone()) for _, p in opt.moving() if p.numel() > 1]
    yield
    for p, old in kept:
        last = tuple(n - 1 for n in p.shape)
        p[last] = old[last]


@around(AGREEMENT, SPLITTING)
def tail_forgotten(opt: Any) -> Iterator[None]:
    """Elements after the last full block of eight do not move."""
    kept = [(p, p.clone()) for _, p in opt.moving() if p.numel() > 8]
    yield
    for p, old in kept:
        full = p.numel() // 8 * 8
        flat, last = p.reshape(-1).clone(), old.reshape(-1)
        flat[full:] = last[full:]
        p.copy_(flat.view(p.shape))


# On fused few matrices are left to transpose: see fused-cpu-layout in the ledger.
@around(AGREEMENT, TRANSPOSING, paths=("for-loop", "foreach", "differentiable"))
def first_row_forgotten(opt: Any) -> Iterator[None]:
    """The first row of a matrix does not move."""
    kept = [(p, p[0].clone()) for _, p in opt.moving() if p.ndim > 1 and p.shape[0]]
    yield
    for p, old in kept:
        p[0] = old


@around(AGREEMENT)
def parameters_in_bfloat16(opt: Any) -> Iterator[None]:
    """The new parameter passes through bfloat16."""
    yield
    for _, p in opt.moving():
        p.copy_(p.to(torch.bfloat16))


@around(AGREEMENT)
def last_bits_lost(opt: Any) -> Iterator[None]:
    """Parameters pass through a subtraction that loses the last bits."""
    yield
    for _, p in opt.moving():
        p.copy_((p + 64 * p) - 64 * p)


@around(EDGE)
def subnormals_flushed(opt: Any) -> Iterator[None]:
    """Results below the normal range become zero."""
    yield
    for _, p in opt.moving():
        p.copy_(torch.where(p.abs() < torch.finfo(p.dtype).tiny, torch.zeros_like(p), p))


# --- short formats ------------------------------------------------------------------------------


def in_short_groups(
    opt: Any, dtypes: Sequence[torch.dtype], name: str, change: Callable[[Any], Any]
) -> Any:
    """Another hyperparameter in groups of such parameters."""

    def new(number: int, group: Group) -> dict[str, Any]:
        short = all(p.dtype in dtypes for p in group["params"])
        return {name: change(group[name]) if short else group[name]}

    return swapped(opt, new)


def starts_on_eps(rule: Rule) -> bool:
    """Whether ε enters the first step."""
    w, g, h = np.zeros((2, 3)), np.full((2, 3), 4.0), rule.drawing.trial
    if "eps" not in h._fields:
        return False
    one, other = (
        rule.step(w, g, 1, rule.start(w, eps), eps, rule.torch)[0]
        for eps in (h._replace(eps=0.25), h._replace(eps=0.125))
    )
    return not np.array_equal(one, other)


@around(SHORT, needs=starts_on_eps)
def eps_floored_in_float16(opt: Any) -> Iterator[None]:
    """In float16 alone ε is 1e-4 at least."""
    with in_short_groups(opt, [torch.float16], "eps", lambda eps: max(eps, 1e-4)):
        yield


@around(SHORT, needs=has("beta2"))
def forgetting_floored_in_short_formats(opt: Any) -> Iterator[None]:
    """In bfloat16 and float16 β₂ is one half at least."""
    short = [torch.bfloat16, torch.float16]
    with in_short_groups(opt, short, "betas", lambda betas: (betas[0], max(betas[1], 0.5))):
        yield


@around(SHORT)
def last_bit_lost_in_short_formats(opt: Any) -> Iterator[None]:
    """In bfloat16 and float16 gradients keep two bits."""

    def fewer(g: torch.Tensor) -> torch.Tensor:
        significand, exponent = torch.frexp(g.to_dense().float())
        rounded = torch.ldexp(torch.round(significand * 4) / 4, exponent).to(g.dtype)
        return rounded.to_sparse() if g.is_sparse else rounded

    return with_gradients(opt, lambda g: fewer(g) if g.element_size() == 2 else g)


# --- large sizes --------------------------------------------------------------------------------


def held_back(opt: Any, since: Callable[[torch.Tensor], int]) -> Iterator[None]:
    """Elements from one on do not move."""
    kept = [(p, p.clone()) for _, p in opt.moving() if since(p) < p.numel()]
    yield
    for p, old in kept:
        flat = p.reshape(-1).clone()
        flat[since(p) :] = old.reshape(-1)[since(p) :]
        p.copy_(flat.view(p.shape))


@around(LONG, needs=lambda rule: rule.elementwise)
def far_elements_forgotten(opt: Any) -> Iterator[None]:
    """Elements from the 40,000th on do not move."""
    return held_back(opt, lambda p: 40_000)


@around(LARGE, needs=lambda rule: not (rule.elementwise or rule.drawing.shapes))
def elements_past_a_share_forgotten(opt: Any) -> Iterator[None]:
    """Elements past those that one thread takes do not move."""
    return held_back(opt, lambda p: 32_768)


@around(LONG, needs=lambda rule: rule.elementwise)
def element_past_a_chunk_forgotten(opt: Any) -> Iterator[None]:
    """What is left after full chunks of 65,536 elements does not move, if it is one element."""
    return held_back(opt, lambda p: p.numel() - (p.numel() % 65_536 == 1 < p.numel()))


@around(THREADED, needs=lambda rule: rule.elementwise)
def second_thread_idle(opt: Any) -> Iterator[None]:
    """Where there are several threads, the second half of a long parameter does not move."""
    shared = torch.get_num_threads() > 1
    return held_back(opt, lambda p: p.numel() // 2 if shared and p.numel() > 32_768 else p.numel())


@around(MANY)
def tensor_65_forgotten(opt: Any) -> Iterator[None]:
    """The 65th parameter of a group does not move."""
    far = {id(p) for group in opt.param_groups for p in group["params"][64:65]}
    return held_back(opt, lambda p: 0 if id(p) in far else p.numel())


# --- many steps ---------------------------------------------------------------------------------


@around(ENDURING)
def tired_after_a_thousand(opt: Any) -> Iterator[None]:
    """From the thousandth step on the gradient counts twice, with the wrong sign."""
    opt.steps += 1
    return with_gradients(opt, lambda g: -2 * g if opt.steps >= 1_000 else g)


def stopping_at(last: int, opt: Any) -> Iterator[None]:
    yield
    for _, p in opt.moving():
        if opt.state[p]["step"] > last:
            _count(opt, p, last - int(opt.state[p]["step"]))


@around(LATE, needs=counted)
def counter_stops_at_65536(opt: Any) -> Iterator[None]:
    """The counter has sixteen bits."""
    return stopping_at(2**16, opt)


# Those that torch keeps in float32 stop there anyway: see counter-ends in the ledger.
@around(LATE, needs=lambda rule: rule.sparse and counted(rule), paths=("default",))
def counter_stops_where_float32_does(opt: Any) -> Iterator[None]:
    """The counter is kept in float32."""
    return stopping_at(2**24, opt)


@around(LATE, needs=counts)
def corrections_by_half_the_count(opt: Any) -> Iterator[None]:
    """Once a hundred gradients have been seen, the count that is used is half of the one kept."""
    old = [(p, int(opt.state.get(p, {}).get("step", 0))) for _, p in opt.moving()]
    far = [(p, seen // 2) for p, seen in old if seen >= 100]
    for p, less in far:
        _count(opt, p, -less)
    yield
    for p, less in far:
        _count(opt, p, less)


# --- what else there is -------------------------------------------------------------------------


@instead(SURROUNDINGS)
class ReturnsANorm:
    """A step without a closure has a result."""

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)  # type: ignore[misc]
        return 0.0 if closure is None else loss


@around(SURROUNDINGS)
def draws_random_numbers(opt: Any) -> Iterator[None]:
    """The step advances torch's random state."""
    torch.rand(())
    yield


@around(SURROUNDINGS)
def replaces_memory(opt: Any) -> Iterator[None]:
    """Parameters move to new memory, so that views of them go stale."""
    yield
    for _, p in opt.moving():
        p.data = p.data.clone()


# Not on fused, which does so itself: see fused-cpu-layout in the ledger.
@around(SURROUNDINGS, paths=("for-loop", "foreach", "differentiable"))
def writes_between_elements(opt: Any) -> Iterator[None]:
    """The memory between the elements of a strided parameter is overwritten."""
    yield
    for _, p in opt.moving():
        if p.ndim and p.stride(-1) == 2 and p.shape[-1] > 1:
            wider = p.as_strided((2 * p.shape[-1] - 1,), (1,), p.storage_offset())
            wider[1] = 0.0


# Not on differentiable, whose parameters are no leaves that require grad.
@around(SURROUNDINGS, paths=("for-loop", "foreach", "fused"))
def freezes_parameters(opt: Any) -> Iterator[None]:
    """Parameters no longer require grad after the step."""
    yield
    for _, p in opt.moving():
        p.requires_grad_(False)


@around(SURROUNDINGS)
def replaces_gradients(opt: Any) -> Iterator[None]:
    """``.grad`` is another tensor with the same values after the step."""
    yield
    for _, p in opt.moving():
        p.grad = p.grad.clone()


@around(SURROUNDINGS)
def edits_hyperparameters(opt: Any) -> Iterator[None]:
    """The step lowers its own learning rate."""
    yield
    for group in opt.param_groups:
        group["lr"] = group["lr"] * 0.999


@around(SURROUNDINGS)
def keeps_more_state(opt: Any) -> Iterator[None]:
    """The state grows by something the rule does not have."""
    yield
    for _, p in opt.moving():
        opt.state[p]["last_gradient"] = p.grad.clone()


@instead(CLOSURE)
class ClosureTwice:
    """The closure is called twice."""

    def step(self, closure: Any = None) -> Any:
        if closure is not None:
            closure()
        return super().step(closure)  # type: ignore[misc]


@instead(CLOSURE)
class ClosureWithoutGradients:
    """The closure is called with gradients disabled."""

    def step(self, closure: Any = None) -> Any:
        with torch.no_grad():
            loss = closure() if closure is not None else None
        super().step()  # type: ignore[misc]
        return loss


@instead(CLOSURE)
class LossLost:
    """The closure's value is not returned."""

    def step(self, closure: Any = None) -> Any:
        super().step(closure)  # type: ignore[misc]


@instead(TO_NONE, TO_ZERO)
class ZeroGradForgets:
    """``zero_grad`` does nothing."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


@instead(SKIPPED, paths=SCALED)
class SkipIgnored:
    """A step that the grad scaler wants skipped is made all the same."""

    _step_supports_amp_scaling = True

    def step(self, closure: Any = None) -> Any:
        scale = getattr(self, "grad_scale", None)
        if scale is not None:
            for group in self.param_groups:  # type: ignore[attr-defined]
                for p in group["params"]:
                    p.grad = None if p.grad is None else p.grad / scale
            self.grad_scale = self.found_inf = None
        return super().step(closure)  # type: ignore[misc]


# --- what hyperparameters and states a rule has -------------------------------------------------


def changed(rule: Rule, field: str, group: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """The argument of torch's constructor that holds a hyperparameter, with another value."""
    for name, members in rule.binding.tuples.items():
        if field in members:
            parts = list(group[name])
            parts[members.index(field)] = value
            return {name: tuple(parts)}
    return {field: value}


def held(rule: Rule, field: str, group: Mapping[str, Any]) -> Any:
    """A hyperparameter of a group."""
    for name, members in rule.binding.tuples.items():
        if field in members:
            return group[name][members.index(field)]
    return group[field]


def stale(rule: Rule, field: str, opt: Any) -> Iterator[None]:
    """A hyperparameter is read once, at construction."""
    with swapped(
        opt, lambda number, group: changed(rule, field, group, held(rule, field, opt.built[number]))
    ):
        yield


def rounded(rule: Rule, field: str, opt: Any) -> Iterator[None]:
    """A hyperparameter passes through float32."""

    def change(number: int, group: Group) -> dict[str, Any]:
        value = held(rule, field, group)
        return changed(rule, field, group, None if value is None else float(np.float32(value)))

    with swapped(opt, change):
        yield


def doubled(rule: Rule, field: str, opt: Any) -> Iterator[None]:
    """A hyperparameter counts twice."""

    def change(number: int, group: Group) -> dict[str, Any]:
        value = held(rule, field, group)
        return changed(rule, field, group, None if value is None else 2 * value)

    with swapped(opt, change):
        yield


def reversed_tuple(name: str, opt: Any) -> Iterator[None]:
    """The members of a tuple are taken in the wrong order."""
    with swapped(opt, lambda number, group: {name: group[name][::-1]}):
        yield


def switched(name: str, value: bool, opt: Any) -> Iterator[None]:
    """A switch is ignored, or taken for on."""
    with swapped(opt, lambda number, group: {name: value}):
        yield


def emptied(name: str, opt: Any) -> Iterator[None]:
    """A buffer is 0 after each step."""
    yield
    for _, p in opt.moving():
        if name in opt.state[p]:
            opt.state[p][name] = opt.state[p][name] * 0


COVERED = ("momentum_decay",)
"""Whose last digits the product of momenta, which is kept in float32, covers until it is small."""


def by_data(rule: Rule, optimizer: Any) -> Iterator[Sabotage]:
    """One sabotage for each hyperparameter, switch, tuple and buffer a rule has."""
    known = accepted(optimizer)

    # Where t is a float32 tensor, other numbers become one beside it.
    exact = tuple(path for path in PLANTED if path not in rule.binding.tensor_step)

    def broken(
        name: str,
        wrong: Callable[..., Iterator[None]],
        *args: Any,
        paths: tuple[str, ...] = PLANTED,
        caught_by: str = AGREEMENT,
    ) -> Sabotage:
        return Sabotage(name, (caught_by,), _around(name, partial(wrong, *args)), paths=paths)

    for field, domain in rule.drawing.domains.items():
        if not known & {field, *(n for n, m in rule.binding.tuples.items() if field in m)}:
            continue
        yield broken(f"stale_{field}", stale, rule, field)
        if domain.high:
            late = LATE if field in COVERED else AGREEMENT
            yield broken(f"rounded_{field}", rounded, rule, field, paths=exact, caught_by=late)
    if "eps" in rule.drawing.domains:
        yield broken("doubled_eps", doubled, rule, "eps")
    for name in (name for name in rule.binding.tuples if name in known):
        yield broken(f"reversed_{name}", reversed_tuple, name)
    for name, default in rule.hyper()._asdict().items():
        if isinstance(default, bool) and name in known:
            yield broken(f"{name}_ignored", switched, name, False)
            yield broken(f"{name}_always", switched, name, True)
    for name in (name for name in rule.states if name != "step"):
        yield broken(f"emptied_{name}", emptied, name)


@cache
def specimens(rule: Rule) -> tuple[Specimen, ...]:
    """Every sabotage that can be planted in a rule's optimizer; none where torch lacks that."""
    optimizer = getattr(torch.optim, rule.name, None)
    if optimizer is None:
        return ()
    made = []
    for sabotage in (*SABOTAGES, *by_data(rule, optimizer)):
        if sabotage.needs(rule):
            class_ = type(f"{rule.name}_{sabotage.name}", (sabotage.broken, optimizer), {})
            class_.__module__ = __name__
            globals()[class_.__name__] = class_  # so that it can be pickled
            made.append(Specimen(class_, sabotage.caught_by, sabotage.paths))
    return tuple(made)


@cache
def untouched(rule: Rule) -> Any:
    """The optimizer with nothing happening around its step."""
    bases = (_around("untouched", lambda opt: iter([None])), getattr(torch.optim, rule.name))
    class_ = type(f"{rule.name}_untouched", bases, {"__module__": __name__})
    globals()[class_.__name__] = class_
    return class_
