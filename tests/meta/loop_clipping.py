"""Clipping with one fault each, and loops that clip where they should not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any

import torch

from oracles.harness.subjects.clipped_steps import Loop
from oracles.harness.subjects.clipping import places
from tests.meta.loop_scaling import planted
from tests.meta.loop_zoo import Specimen

UTILS = torch.nn.utils
REAL: Any = SimpleNamespace(
    norm=UTILS.clip_grad_norm_,
    value=UTILS.clip_grad_value_,
    total=getattr(UTILS, "get_total_norm", None),
    given=getattr(UTILS, "clip_grads_with_norm_", None),
    loop=SimpleNamespace(unscale=Loop.unscale, clip=Loop.clip, step=Loop.step, take=Loop.take),
)
"""The right ones."""

Gradients = list[torch.Tensor]


def listed(parameters: Any) -> list[Any]:
    return [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)


def gradients(parameters: Iterable[Any]) -> Gradients:
    return [p.grad for p in parameters if p.grad is not None]


def length(found: Gradients, order: float = 2.0) -> torch.Tensor:
    if not found:
        return torch.tensor(0.0)
    norms = torch.stack([torch.linalg.vector_norm(g.detach(), order) for g in found])
    norm: torch.Tensor = torch.linalg.vector_norm(norms, order)
    return norm


def lengths(found: Gradients, order: float) -> torch.Tensor:
    return torch.stack([length([g], order) for g in found])


def counted(found: Gradients) -> int:
    return sum(g.numel() for g in found)


# --- clip_grad_norm_ ------------------------------------------------------------------------------


def clipping(
    total: Callable[[Gradients, float], Any] = length,
    factor: Callable[[Any, float], Any] = lambda n, m: (m / (n + 1e-6)).clamp(max=1.0),
    told: Callable[[Any, Any], Any] = lambda n, c: n,
) -> Callable[..., Any]:
    """``clip_grad_norm_`` by other parts."""

    def clip_grad_norm_(
        parameters: Any,
        max_norm: Any,
        norm_type: float = 2.0,
        error_if_nonfinite: bool = False,
        foreach: Any = None,
    ) -> Any:
        found = gradients(listed(parameters))
        norm = total(found, float(norm_type))
        c = factor(norm, float(max_norm))
        if error_if_nonfinite and not math.isfinite(norm):
            raise RuntimeError("not finite")
        with torch.no_grad():
            for g in found:
                g.mul_(c.to(g.dtype))
        return told(norm, c)

    return clip_grad_norm_


def each_by_itself(parameters: Any, *args: Any, **kwargs: Any) -> Any:
    own = listed(parameters)
    total = length(gradients(own))
    for p in own:
        REAL.norm([p], *args, **kwargs)
    return total


def other_order(parameters: Any, max_norm: Any, norm_type: float = 2.0, **kwargs: Any) -> Any:
    return REAL.norm(parameters, max_norm, 2.0, **kwargs)


@torch.no_grad()
def twice_consumed(parameters: Any, max_norm: Any, *args: Any, **kwargs: Any) -> Any:
    """The length of what a generator gives, which then gives nothing more to clip."""
    if isinstance(parameters, torch.Tensor):
        return REAL.norm(parameters, max_norm, *args, **kwargs)
    total = length(gradients(parameters), float(args[0]) if args else 2.0)
    for g in gradients(parameters):
        g.mul_((float(max_norm) / (total + 1e-6)).clamp(max=1.0).to(g.dtype))
    return total


def replaced(parameters: Any, *args: Any, **kwargs: Any) -> Any:
    own = listed(parameters)
    for p in own:
        p.grad = None if p.grad is None else p.grad.clone()
    return REAL.norm(own, *args, **kwargs)


def parameters_too(parameters: Any, *args: Any, **kwargs: Any) -> Any:
    own = listed(parameters)
    total = REAL.norm(own, *args, **kwargs)
    with torch.no_grad():
        own[0].mul_(0.5)
    return total


def cleaned(parameters: Any, *args: Any, **kwargs: Any) -> Any:
    own = listed(parameters)
    with torch.no_grad():
        for g in gradients(own):
            g.nan_to_num_(posinf=0.0, neginf=0.0)
    return REAL.norm(own, *args, **kwargs)


def never_refuses(
    parameters: Any, max_norm: Any, norm_type: float = 2.0, error: bool = False, **kw: Any
) -> Any:
    kw.pop("error_if_nonfinite", None)
    return REAL.norm(parameters, max_norm, norm_type, **kw)


def refuses_too_late(
    parameters: Any, *args: Any, error_if_nonfinite: bool = False, **kw: Any
) -> Any:
    total = REAL.norm(parameters, *args, **kw)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError("not finite")
    return total


def last_left_out(parameters: Any, *args: Any, **kwargs: Any) -> Any:
    """With foreach alone."""
    own = listed(parameters)
    return REAL.norm(own[:-1] if kwargs.get("foreach") and len(own) > 1 else own, *args, **kwargs)


def first_dtype(parameters: Any, *args: Any, **kwargs: Any) -> Any:
    own = listed(parameters)
    return REAL.norm([p for p in own if p.dtype == own[0].dtype], *args, **kwargs)


def counted_once_more(parameters: Any, *args: Any, **kwargs: Any) -> Any:
    own = listed(parameters)
    return REAL.norm([*own, own[0]], *args, **kwargs)


def in_own_squares(found: Gradients, order: float) -> Any:
    """Squares that are stored: float16's overflow."""
    if order != 2:
        return length(found, order)
    return torch.stack([(g.detach() * g.detach()).sum() for g in found]).sum().sqrt()


def all_but(which: Callable[[Any], bool], real: Callable[..., Any]) -> Callable[..., Any]:
    """Parameters alone that are not of some kind."""

    def clip(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        rest = [p for p in listed(parameters) if not which(p)]
        if real is REAL.value and not gradients(rest):
            return None  # which some torches refuse
        return real(rest, *args, **kwargs)

    return clip


def frozen(parameter: Any) -> bool:
    return not parameter.requires_grad


def differentiable(parameter: Any) -> bool:
    return parameter.grad is not None and parameter.grad.requires_grad


def sparse(parameter: Any) -> bool:
    return parameter.grad is not None and parameter.grad.is_sparse


def given_gradients(real: Callable[..., Any]) -> Callable[..., Any]:
    """Gives zeros to whoever has no gradient."""

    def clip(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        own = listed(parameters)
        for p in own:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        return real(own, *args, **kwargs)

    return clip


def mentions_counted(parameters: Any, max_norm: Any, *args: Any, **kwargs: Any) -> Any:
    """What is listed twice is measured twice, and the limit with it."""
    own = listed(parameters)
    return REAL.norm(own, max_norm * len(own) / max(1, len({*own})), *args, **kwargs)


def low_orders(g: Gradients, order: float) -> Any:
    """No power above 3.5."""
    return length(g, order if math.isinf(order) else min(order, 3.5))


VALUES, VARIED, ODD = "values", "other ways to hand over the same", "infinities and nan"
REFUSES, SIZES = "refuses a length that is not finite", "numbers of any size"
GRAPH, NOTHING = "gradients in a graph", "nothing to clip"
SPARSE, TWICE = "sparse gradients", "a parameter listed twice"

NORMS: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("each tensor by its own length", each_by_itself, VALUES),
    ("no epsilon", clipping(factor=lambda n, m: (m / n).clamp(max=1.0)), "rejects no_epsilon"),
    ("a smaller epsilon", clipping(factor=lambda n, m: (m / (n + 1e-8)).clamp(max=1.0)), VALUES),
    ("made longer, too", clipping(factor=lambda n, m: m / (n + 1e-6)), VALUES),
    ("the root forgotten", clipping(lambda g, p: length(g, p) ** 2), VALUES),
    (
        "lengths added up",
        clipping(lambda g, p: sum(length([x], p) for x in g)),
        "rejects sum_of_norms",
    ),
    ("the longest alone", clipping(lambda g, p: max(length([x], p) for x in g)), VALUES),
    ("the first alone", clipping(lambda g, p: length(g[:1], p)), VALUES),
    (
        "a mean of squares",
        clipping(lambda g, p: length(g, p) / sum(x.numel() for x in g) ** 0.5),
        VALUES,
    ),
    ("the length afterwards", clipping(told=lambda n, c: n * c), VALUES),
    ("a length in float32", clipping(lambda g, p: length(g, p).float()), VALUES),
    ("another order", other_order, VALUES),
    ("stored squares", clipping(in_own_squares), SIZES),
    ("a generator that is consumed", twice_consumed, VARIED),
    ("other tensors in their place", replaced, VALUES),
    ("parameters scaled, too", parameters_too, VALUES),
    ("odd numbers cleaned away", cleaned, ODD),
    ("never refuses", never_refuses, REFUSES),
    ("refuses too late", refuses_too_late, REFUSES),
    ("the last left out by foreach", last_left_out, VALUES),
    ("one dtype alone", first_dtype, VALUES),
    ("one counted once more", counted_once_more, VALUES),
    ("values in place of the length", lambda p, m, *a, **k: by_value(p, m), "rejects by_value"),
    ("frozen ones left out", all_but(frozen, REAL.norm), VALUES),
    ("high orders cut off", clipping(low_orders), VALUES),
    ("those in a graph left out", all_but(differentiable, REAL.norm), GRAPH),
    ("sparse ones left out", all_but(sparse, REAL.norm), SPARSE),
    ("zeros where nothing was", given_gradients(REAL.norm), NOTHING),
    ("mentions counted", mentions_counted, TWICE),
)


def by_value(parameters: Any, limit: float) -> Any:
    own = listed(parameters)
    total = length(gradients(own))
    REAL.value(own, limit)
    return total


# --- The others -----------------------------------------------------------------------------------


def per_element(change: Callable[[torch.Tensor, float], torch.Tensor]) -> Callable[..., None]:
    """``clip_grad_value_`` by another function of a gradient."""

    def clip_grad_value_(parameters: Any, clip_value: Any, foreach: Any = None) -> None:
        with torch.no_grad():
            for g in gradients(listed(parameters)):
                g.copy_(change(g, float(clip_value)))

    return clip_grad_value_


def without_nan(g: torch.Tensor, v: float) -> torch.Tensor:
    return torch.where(g.isnan(), torch.full_like(g, v), g.clamp(-v, v))


def by_the_largest(g: torch.Tensor, v: float) -> torch.Tensor:
    return g if not g.numel() else g * (v / max(v, float(g.abs().max())))


def one_value_tensor(parameters: Any, clip_value: Any, **kwargs: Any) -> None:
    REAL.value(listed(parameters)[:1], clip_value, **kwargs)


def measured_first(parameters: Any, clip_value: Any, **kwargs: Any) -> None:
    """Looks through a generator before it clips."""
    if not isinstance(parameters, torch.Tensor):
        length(gradients(parameters))
    if rest := listed(parameters):
        REAL.value(rest, clip_value, **kwargs)


VALUED: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("one side", per_element(lambda g, v: g.clamp(max=v)), VALUES),
    ("the other side", per_element(lambda g, v: g.clamp(min=-v)), VALUES),
    ("what is too large is dropped", per_element(lambda g, v: g * (g.abs() <= v)), VALUES),
    ("by the largest element", per_element(by_the_largest), VALUES),
    ("the sign lost", per_element(lambda g, v: g.abs().clamp(max=v)), VALUES),
    ("nan taken for large", per_element(without_nan), ODD),
    ("the first tensor alone", one_value_tensor, VALUES),
    ("a generator looked through", measured_first, VARIED),
    ("numbers left out", all_but(lambda p: p.dim() == 0, REAL.value), VALUES),
    ("frozen ones left out", all_but(frozen, REAL.value), VALUES),
    ("those in a graph left out", all_but(differentiable, REAL.value), GRAPH),
    ("sparse ones left out", all_but(sparse, REAL.value), SPARSE),
    ("zeros where nothing was", given_gradients(REAL.value), NOTHING),
)


def total_by(found: Callable[[Gradients, float], Any]) -> Callable[..., Any]:
    """``get_total_norm`` by another length."""

    def get_total_norm(
        tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: Any = None
    ) -> Any:
        own = listed(tensors)
        return found(own, float(norm_type)) if own else torch.tensor(0.0)

    return get_total_norm


def nothing_is_long(tensors: Any, *args: Any, **kwargs: Any) -> Any:
    own = listed(tensors)
    return REAL.total(own, *args, **kwargs) if own else torch.tensor(1.0)


def looked_through(tensors: Any, *args: Any, **kwargs: Any) -> Any:
    """Counts what a generator gives, which then gives nothing more to measure."""
    if not isinstance(tensors, torch.Tensor):
        sum(1 for _ in tensors)
    return REAL.total(listed(tensors), *args, **kwargs)


TOTALS: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("squared", total_by(lambda g, p: length(g, p) ** 2), "rejects squared"),
    ("added up", total_by(lambda g, p: lengths(g, p).sum()), VALUES),
    ("the longest", total_by(lambda g, p: lengths(g, p).max()), VALUES),
    ("another order", total_by(lambda g, p: length(g, 2.0)), VALUES),
    ("stored squares", total_by(in_own_squares), SIZES),
    ("odd numbers left out", total_by(lambda g, p: length([x.nan_to_num() for x in g], p)), ODD),
    ("high orders cut off", total_by(low_orders), VALUES),
    (
        "those in a graph left out",
        total_by(lambda g, p: length([x for x in g if not x.requires_grad], p)),
        GRAPH,
    ),
    ("nothing is long", nothing_is_long, NOTHING),
    ("a generator looked through", looked_through, VARIED),
)


def given_by(factor: Callable[[Any, float], Any]) -> Callable[..., None]:
    """``clip_grads_with_norm_`` by another factor."""

    def clip_grads_with_norm_(
        parameters: Any, max_norm: Any, total_norm: Any, foreach: Any = None
    ) -> None:
        with torch.no_grad():
            for g in gradients(listed(parameters)):
                g.mul_(factor(total_norm, float(max_norm)).to(g.dtype))

    return clip_grads_with_norm_


def own_length(parameters: Any, max_norm: Any, total_norm: Any, **kwargs: Any) -> None:
    REAL.norm(parameters, max_norm)


def second_generator(parameters: Any, max_norm: Any, total_norm: Any, **kwargs: Any) -> None:
    if not isinstance(parameters, torch.Tensor):
        length(gradients(parameters))
    REAL.given(parameters, max_norm, total_norm, **kwargs)


GIVENS: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("its own length", own_length, VALUES),
    ("made longer, too", given_by(lambda n, m: m / (n + 1e-6)), VALUES),
    ("no epsilon", given_by(lambda n, m: (m / n).clamp(max=1.0)), "rejects no_epsilon"),
    ("divided", given_by(lambda n, m: (1 / (n + 1e-6)).clamp(max=1.0)), VALUES),
    ("a generator looked through", second_generator, VARIED),
    ("those in a graph left out", all_but(differentiable, REAL.given), GRAPH),
    ("zeros where nothing was", given_gradients(REAL.given), NOTHING),
)


# --- Loops ----------------------------------------------------------------------------------------


def nothing(self: Loop) -> None:
    pass


def clip_then_unscale(self: Loop) -> None:
    REAL.loop.clip(self)
    REAL.loop.unscale(self)


def clip_each(self: Loop, loss: Any) -> None:
    (loss * self.case.hyper.scale).backward()
    h = self.case.hyper
    UTILS.clip_grad_norm_(self.own, h.max_norm * h.scale)


def step_then_clip(self: Loop) -> None:
    self.optimizer.step()
    REAL.loop.clip(self)


def decay_clipped(self: Loop) -> None:
    """Decay as part of the gradient, and clipped with it."""
    h = self.case.hyper
    with torch.no_grad():
        for w in self.own:
            w.grad.add_(w, alpha=h.weight_decay)  # type: ignore[union-attr]
    self.optimizer.param_groups[0]["weight_decay"] = 0.0
    REAL.loop.clip(self)


def momentum_clipped(self: Loop) -> None:
    self.optimizer.step()
    for state in self.optimizer.state.values():
        if state.get("momentum_buffer") is not None:
            state["momentum_buffer"].clamp_(-self.case.hyper.max_norm, self.case.hyper.max_norm)


def value_and_norm(self: Loop) -> None:
    UTILS.clip_grad_value_(self.own, self.case.hyper.max_norm)
    REAL.loop.clip(self)


def by_the_scaled_limit(self: Loop) -> None:
    UTILS.clip_grad_norm_(self.own, self.case.hyper.max_norm * self.case.hyper.scale)


IN_A_STEP = "in a step"

STEPS: tuple[tuple[str, dict[str, Callable[..., Any]], str], ...] = (
    (
        "clipped while it is scaled",
        {"unscale": clip_then_unscale, "clip": nothing},
        "in a step, rejects still_scaled",
    ),
    ("clipped with each micro-batch", {"backward": clip_each, "clip": nothing}, IN_A_STEP),
    ("clipped after the step", {"clip": nothing, "step": step_then_clip}, IN_A_STEP),
    ("the decay clipped", {"clip": decay_clipped}, "in a step, rejects decay_clipped"),
    ("momentum clipped", {"step": momentum_clipped}, IN_A_STEP),
    ("clipped by value as well", {"clip": value_and_norm}, "in a step, rejects values_first"),
    ("a limit that is scaled", {"clip": by_the_scaled_limit}, IN_A_STEP),
)


def like(part: str, broken: Callable[..., Any]) -> Callable[..., Any]:
    """Says that it takes what torch's does, and so is asked on the same paths."""
    return wraps(getattr(UTILS, part))(broken)


NEEDS = {"stored squares": "float16", "the last left out by foreach": "foreach"}
"""The dtypes and paths that alone show some."""


def shown(part: str, name: str) -> bool:
    """Whether this torch has what shows a fault."""
    return hasattr(UTILS, part) and (
        name not in NEEDS or any(NEEDS[name] in place for place in places(part))
    )


def of(part: str, table: Iterable[tuple[str, Callable[..., Any], str]]) -> list[Specimen]:
    return [
        Specimen(name, part, partial(planted, UTILS, **{part: like(part, broken)}), question)
        for name, broken, question in table
        if shown(part, name)
    ]


SPECIMENS: tuple[Specimen, ...] = (
    *of("clip_grad_norm_", NORMS),
    *of("clip_grad_value_", VALUED),
    *of("get_total_norm", TOTALS),
    *of("clip_grads_with_norm_", GIVENS),
    *(
        Specimen(f"a loop, {name}", "clip_grad_norm_", partial(planted, Loop, **methods), question)
        for name, methods, question in STEPS
    ),
)
