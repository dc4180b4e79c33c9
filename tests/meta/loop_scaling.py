"""Loss scalers with one fault each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

from oracles.harness.subjects.scaling import scaler_class
from tests.meta.loop_zoo import Specimen

SCALER = scaler_class()
REAL: Any = SimpleNamespace(**{name: getattr(SCALER, name) for name in dir(SCALER)})
"""Its methods as torch has them."""

CHECK = "_amp_foreach_non_finite_check_and_unscale_"
UPDATE = "_amp_update_scale_"


@contextmanager
def planted(owner: Any, **others: Any) -> Iterator[None]:
    """Other functions in the place of those that a module or class has."""
    with patch.multiple(owner, **others):
        yield


def kernel(name: str, broken: Callable[..., Any]) -> AbstractContextManager[None]:
    """Another function in the place of one that a scaler calls; it is handed torch's."""
    return planted(torch, **{name: partial(broken, getattr(torch, name))})


# --- What becomes of the scale: (scale, tracker, found, growth, backoff, interval) ----------------


def tracker_survives(real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    before = tracker.clone()
    real(scale, tracker, found, *rest)
    if found.item():
        tracker.copy_(before)


def skips_counted(real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    before = tracker.clone()
    real(scale, tracker, found, *rest)
    if found.item():
        tracker.copy_(before + 1)


def tracker_runs_on(real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    before = tracker.clone()
    real(scale, tracker, found, *rest)
    if not found.item() and not tracker.item():
        tracker.copy_(before)


def backoff_each(real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    for _ in range(max(1, int(found.item()))):
        real(scale, tracker, found, *rest)


def interval_off(by: int, real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    growth, backoff, interval = rest
    real(scale, tracker, found, growth, backoff, max(1, interval + by))


def swapped(real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    growth, backoff, interval = rest
    real(scale, tracker, found, 1 / backoff, 1 / growth, interval)


def floored(real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    real(scale, tracker, found, *rest)
    scale.clamp_(min=1)


def unbounded(real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    before, counted = scale.clone(), tracker.clone()
    real(scale, tracker, found, *rest)
    if not found.item() and tracker.item() == 0 and counted.item() + 1 == rest[2]:
        scale.copy_(before * rest[0])


def never_updated(real: Any, *arguments: Any) -> None:
    pass


def updated_late(real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    """By what was found in the last iteration, which the scale itself keeps."""
    before = getattr(scale, "pending", torch.zeros_like(found))
    scale.pending = found.clone()
    real(scale, tracker, before, *rest)


def floored_low(real: Any, scale: Any, tracker: Any, found: Any, *rest: Any) -> None:
    real(scale, tracker, found, *rest)
    scale.clamp_(min=2.0**-30)


# --- What is found, and what is unscaled: (gradients, found, inverse) -----------------------------


def blind_to(kind: Callable[[Any], Any], real: Any, grads: Any, found: Any, inverse: Any) -> None:
    seen = [torch.where(kind(g), torch.zeros_like(g), g) for g in grads]
    real(seen, found, torch.ones_like(inverse))
    real(grads, torch.zeros_like(found), inverse)


def first_only(real: Any, grads: Any, found: Any, inverse: Any) -> None:
    real([g.clone() for g in grads[:1]], found, inverse)
    real(grads, torch.zeros_like(found), inverse)


def looked_at(which: Callable[[Any], Any], real: Any, grads: Any, found: Any, inverse: Any) -> None:
    """Some of the gradients alone."""
    real([g.clone() for g in which(grads)], found, inverse)
    real(grads, torch.zeros_like(found), inverse)


def tail_unseen(real: Any, grads: Any, found: Any, inverse: Any) -> None:
    real([g.reshape(-1)[: g.numel() // 8 * 8 or None].clone() for g in grads], found, inverse)
    real(grads, torch.zeros_like(found), inverse)


def never_unscaled(real: Any, grads: Any, found: Any, inverse: Any) -> None:
    real(grads, found, torch.ones_like(inverse))


def unscaled_twice(real: Any, grads: Any, found: Any, inverse: Any) -> None:
    real(grads, found, inverse * inverse)


def coarse(real: Any, grads: Any, found: Any, inverse: Any) -> None:
    real(grads, found, inverse.half().float())


def zeroed(real: Any, grads: Any, found: Any, inverse: Any) -> None:
    real(grads, torch.zeros_like(found), inverse)
    for g in grads:
        torch.nan_to_num_(g, 0.0, 0.0, 0.0)


def on_zeros(real: Any, grads: Any, found: Any, inverse: Any) -> None:
    seen = torch.zeros_like(found)
    real(grads, seen, inverse)
    if seen.item():
        for g in grads:
            g.zero_()


# --- The scaler itself ----------------------------------------------------------------------------


def partly_stepped(self: Any, owner: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
    held = {p: p.grad for group in owner.param_groups for p in group["params"]}
    for p, g in held.items():
        values = g.coalesce().values() if g is not None and g.is_sparse else g
        p.grad = g if values is not None and torch.isfinite(values).all() else None
    returned = owner.step(*args, **kwargs)
    for p, g in held.items():
        p.grad = g
    return returned


def none_or_all(self: Any, owner: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
    found = [
        v for s in self._per_optimizer_states.values() for v in s["found_inf_per_device"].values()
    ]
    return None if any(v.item() for v in found) else owner.step(*args, **kwargs)


def skip_counted(self: Any, owner: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
    if not any(v.item() for v in state["found_inf_per_device"].values()):
        return owner.step(*args, **kwargs)
    for entry in owner.state.values():
        if "step" in entry:
            entry["step"] += 1
    return None


def skip_decays_momentum(self: Any, owner: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
    if not any(v.item() for v in state["found_inf_per_device"].values()):
        return owner.step(*args, **kwargs)
    for entry in owner.state.values():
        for name in ("momentum_buffer", "exp_avg"):
            if entry.get(name) is not None:
                entry[name].mul_(0.5)
    return None


def hooked_anyway(self: Any, owner: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
    """Whoever waits for the end of a step is told of a skipped one, too."""
    if not any(v.item() for v in state["found_inf_per_device"].values()):
        return owner.step(*args, **kwargs)
    for hook in owner._optimizer_step_post_hooks.values():  # noqa: SLF001
        hook(owner, args, kwargs)
    return None


def result_dropped(self: Any, owner: Any, state: Any, *args: Any, **kwargs: Any) -> None:
    REAL._maybe_opt_step(self, owner, state, *args, **kwargs)  # noqa: SLF001


def begun_anew(self: Any, owner: Any, *args: Any, **kwargs: Any) -> Any:
    """A step that is interrupted leaves no trace, and so its gradients are unscaled again."""
    try:
        return REAL.step(self, owner, *args, **kwargs)
    except InterruptedError:
        self._per_optimizer_states.pop(id(owner), None)
        raise


def growth_for_backoff(self: Any) -> Any:
    return REAL.get_growth_factor(self)


def updated_before_unscaling(self: Any, owner: Any) -> None:
    held = self._scale.clone()
    self._scale.mul_(self._growth_factor)
    REAL.unscale_(self, owner)
    self._scale.copy_(held)


def tracker_not_saved(self: Any) -> dict[str, Any]:
    saved = dict(REAL.state_dict(self))
    return saved | {"_growth_tracker": 0} if saved else saved


def loaded_once_scaled(self: Any, state: Any) -> None:
    if not self.is_enabled() or self._scale is not None:
        REAL.load_state_dict(self, state)


def loaded_before_scaled(self: Any, state: Any) -> None:
    scale = None if not self.is_enabled() or self._scale is None else self._scale.clone()
    REAL.load_state_dict(self, state)
    if scale is not None:
        self._scale.copy_(scale)


def factors_not_loaded(self: Any, state: Any) -> None:
    held = self.__dict__.get("_growth_factor")
    REAL.load_state_dict(self, state)
    if held is not None:
        self._growth_factor = held


def tracker_not_pickled(self: Any) -> dict[str, Any]:
    return {**REAL.__getstate__(self), "_init_growth_tracker": 0}


def tracker_reset_by_hand(self: Any, new_scale: Any = None) -> None:
    REAL.update(self, new_scale)
    if new_scale is not None and self.is_enabled():
        self._growth_tracker.zero_()


def hand_ignored(self: Any, new_scale: Any = None) -> None:
    REAL.update(self)


def first_scaled(self: Any, outputs: Any) -> Any:
    if not isinstance(outputs, list | tuple):
        return REAL.scale(self, outputs)
    return type(outputs)([REAL.scale(self, outputs[0]), *outputs[1:]])


def stages_kept(self: Any, new_scale: Any = None) -> None:
    held = self._per_optimizer_states if self.is_enabled() else {}
    REAL.update(self, new_scale)
    if self.is_enabled():
        self._per_optimizer_states.update(held)


def unscaled_again(self: Any, owner: Any) -> None:
    if self.is_enabled():
        self._per_optimizer_states.pop(id(owner), None)
    REAL.unscale_(self, owner)


def stepped_again(self: Any, owner: Any, *args: Any, **kwargs: Any) -> Any:
    if self.is_enabled() and self._per_optimizer_states[id(owner)]["stage"].name == "STEPPED":
        return owner.step(*args, **kwargs)
    return REAL.step(self, owner, *args, **kwargs)


def closures_taken(self: Any, owner: Any, *args: Any, **kwargs: Any) -> Any:
    closure = kwargs.pop("closure", None)
    return REAL.step(self, owner, *args, *(() if closure is None else (closure,)), **kwargs)


def always_scaled(self: Any, outputs: Any) -> Any:
    return REAL.scale(self, outputs) if self.is_enabled() else outputs * 8.0


def disabled_halves(self: Any, owner: Any, *args: Any, **kwargs: Any) -> Any:
    if not self.is_enabled():
        for group in owner.param_groups:
            for p in group["params"]:
                if p.grad is not None and not p.grad.is_sparse:
                    p.grad.mul_(0.5)
    return REAL.step(self, owner, *args, **kwargs)


SCALE, STEPS, WHOLE = "scale", "steps", "skips are whole"
FOUND, ORDER, OUTPUTS = "finds inf and nan", "order of calls", "outputs"
FINITE, HOOKS, AGAIN = "steps are finite", "hooks of skipped steps", "a step made again"
CUSTOM, SAYS = "one's own optimizers", "settings"

UPDATES: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("tracker survives a skip", tracker_survives),
    ("growth counted on skips", skips_counted),
    ("tracker not reset by growth", tracker_runs_on),
    ("backoff for each optimizer", backoff_each),
    ("growth one iteration late", partial(interval_off, 1)),
    ("growth one iteration early", partial(interval_off, -1)),
    ("growth and backoff swapped", swapped),
    ("a floor of 1", floored),
    ("grows to inf", unbounded),
    ("never updated", never_updated),
    ("updated an iteration late", updated_late),
    ("a floor of 2^-30", floored_low),
)
ELSEWHERE = {
    "backoff for each optimizer": "rejects backoff_for_each",
    "a floor of 1": "rejects floor_of_one",
    "grows to inf": "rejects unbounded",
    "updated an iteration late": "schedules",
}
"""What finds those that runs within the usual range may not."""

CHECKS: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("nan not found", partial(blind_to, torch.isnan), FOUND),
    ("inf not found", partial(blind_to, torch.isposinf), FOUND),
    ("minus inf not found", partial(blind_to, torch.isneginf), FOUND),
    ("only the first gradient looked at", first_only, STEPS),
    ("the tail of long gradients not looked at", tail_unseen, FOUND),
    ("never unscaled", never_unscaled, STEPS),
    ("unscaled twice", unscaled_twice, STEPS),
    ("the third gradient not looked at", partial(looked_at, lambda grads: grads[:2]), FOUND),
    (
        "numbers not looked at",
        partial(looked_at, lambda grads: [g for g in grads if g.dim()]),
        FOUND,
    ),
    ("a reciprocal in float16", coarse, STEPS),
    ("a reciprocal beyond float16", coarse, FINITE),
    ("zeros in place of inf", zeroed, STEPS),
    ("a step on zeros in place of none", on_zeros, WHOLE),
)

METHODS: tuple[tuple[str, dict[str, Callable[..., Any]], str], ...] = (
    ("only spoilt parameters skipped", {"_maybe_opt_step": partly_stepped}, WHOLE),
    ("all optimizers skipped", {"_maybe_opt_step": none_or_all}, STEPS),
    ("a skipped step counted", {"_maybe_opt_step": skip_counted}, WHOLE),
    ("momentum decays in a skipped step", {"_maybe_opt_step": skip_decays_momentum}, WHOLE),
    ("unscaled by the next scale", {"unscale_": updated_before_unscaling}, STEPS),
    ("tracker not saved", {"state_dict": tracker_not_saved}, SCALE),
    ("not loaded before the first scale", {"load_state_dict": loaded_once_scaled}, SCALE),
    ("scale not loaded after it", {"load_state_dict": loaded_before_scaled}, SCALE),
    ("growth factor not loaded", {"load_state_dict": factors_not_loaded}, SCALE),
    ("tracker not pickled", {"__getstate__": tracker_not_pickled}, SCALE),
    ("tracker reset by a scale set by hand", {"update": tracker_reset_by_hand}, SCALE),
    ("a scale set by hand ignored", {"update": hand_ignored}, SCALE),
    ("only the first output scaled", {"scale": first_scaled}, OUTPUTS),
    ("stages kept over an update", {"update": stages_kept}, ORDER),
    ("unscaled as often as asked", {"unscale_": unscaled_again}, ORDER),
    ("stepped as often as asked", {"step": stepped_again}, ORDER),
    ("closures taken", {"step": closures_taken}, ORDER),
    ("disabled, and scales", {"scale": always_scaled}, OUTPUTS),
    ("disabled, and unscales", {"step": disabled_halves}, "disabled steps"),
    ("hooks of skipped steps called", {"_maybe_opt_step": hooked_anyway}, HOOKS),
    ("begun anew", {"step": begun_anew}, AGAIN),
    ("the result of a step dropped", {"_maybe_opt_step": result_dropped}, CUSTOM),
    ("growth told for backoff", {"get_backoff_factor": growth_for_backoff}, SAYS),
)

SPECIMENS: tuple[Specimen, ...] = (
    *(
        Specimen(name, "GradScaler", partial(kernel, UPDATE, broken), ELSEWHERE.get(name, SCALE))
        for name, broken in UPDATES
    ),
    *(
        Specimen(name, "GradScaler", partial(kernel, CHECK, broken), question)
        for name, broken, question in CHECKS
    ),
    *(
        Specimen(name, "GradScaler", partial(planted, SCALER, **methods), question)
        for name, methods, question in METHODS
    ),
)
