"""Who is listened to in a training loop of torch.

Optimizers tell of their steps by torch's own hooks, or by a method of their own where a torch has
none; backward passes, clipping, schedulers and scalers by way of functions that are put back at the
end. No module is hooked and no tensor is written to: the loop computes what it computes without.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from oracles.harness.subjects.loops import losses
from oracles.harness.subjects.loops.patches import Patches, uncompiled
from oracles.harness.subjects.loops.recorder import Recorder
from oracles.harness.watching.events import (
    Advanced,
    Asked,
    Averaged,
    Begun,
    Clipped,
    Derived,
    Ended,
    Look,
    Skipped,
    Turned,
    Unrecorded,
    Unscaled,
    Used,
)

CLIPPING = ("clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_")
"""Functions of ``torch.nn.utils`` that limit gradients."""

optimizers: Any = importlib.import_module("torch.optim.optimizer")
HOOKS = hasattr(optimizers, "register_optimizer_step_pre_hook")
"""Whether this torch lets optimizers tell of their steps."""


class Enough(BaseException):
    """So many steps were to be watched, and were made."""


class Listener:
    """It listens from its making on, until it is closed.

    Args:
        recorder: who is told.
        steps: after so many steps the loop is ended, by :class:`Enough`; None for never.
        schedulers, scalers: those whose classes may not be torch's.
    """

    def __init__(
        self,
        recorder: Recorder,
        steps: int | None = None,
        schedulers: Iterable[Any] = (),
        scalers: Iterable[Any] = (),
    ) -> None:
        self.recorder = recorder
        self.steps = steps
        self.patches = Patches()
        self._stack: list[tuple[Any, int, Any]] = []
        self._calls: int | None = None
        self._skipping = False
        self._passes = 0
        self._inner = 0
        self._clipping = False
        self._scaled: dict[Any, float] = {}
        self._scaling = False
        self._packing = 0
        self._root: tuple[Any, int] | None = None
        self._safe: int | None = 0
        self._left = Look()
        self._iterators: list[Any] = []
        try:
            self._to_optimizers()
            self._to_functions()
            self._to_schedulers(schedulers)
            self._to_scalers(scalers)
            self._to_models()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Put everything back."""
        self.patches.restore()
        self._stack.clear()

    # Optimizers

    def _to_optimizers(self) -> None:
        self.patches.method(torch.optim.Optimizer, "__init__", self._built)
        if HOOKS:
            before, after = map(uncompiled, (self._before, self._after))
            self.patches.later(optimizers.register_optimizer_step_pre_hook(before).remove)
            self.patches.later(optimizers.register_optimizer_step_post_hook(after).remove)
        for optimizer in self.recorder.optimizers:
            self._hear(optimizer)

    def _built(self, original: Any, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        original(optimizer, *args, **kwargs)
        self.recorder.optimizer(optimizer)
        self._hear(optimizer)

    def _hear(self, optimizer: Any) -> None:
        if not _tells(optimizer):
            self._by_method(optimizer)

    def _by_method(self, optimizer: Any) -> None:
        """Listen to one optimizer that calls no hooks: its step is a method of its own."""
        own, original = vars(optimizer).get("step"), optimizer.step

        @functools.wraps(original)
        def step(_: Any, *args: Any, **kwargs: Any) -> Any:
            args, kwargs = self._before(optimizer, args, kwargs) or (args, kwargs)
            result = original(*args, **kwargs)
            self._after(optimizer, args, kwargs)
            return result

        method = types.MethodType(step, optimizer)  # schedulers look for its function
        optimizer.step = method

        def undo() -> None:
            if vars(optimizer).get("step") is method:
                del optimizer.step
                if own is not None:
                    optimizer.step = own

        self.patches.later(undo)

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> Any:
        """A step begins; one within another one's is part of that."""
        if not self.patches.on:
            return None
        number = self.recorder.number(optimizer)
        frame = _caller()
        if self._stack:  # of others, or of those that have raised
            running = _running(frame)
            self._stack = [one for one in self._stack if id(one[2]) in running]
        self._stack.append((optimizer, number, frame))
        if len(self._stack) > 1:
            return None
        self._calls = None
        self._skipping = bool(getattr(optimizer, "found_inf", None))
        given = [a for a in (*args, *kwargs.values()) if a is not None and a is not optimizer]
        if given:
            closure, put = _closure(optimizer, args, kwargs)
            if closure is not None:
                self._calls = 0
                return put(self._counted(optimizer, number, closure))
        if not self._skipping:
            self.recorder.note(self.recorder.used(optimizer, number, told=bool(given)))
        return None

    def _counted(
        self, optimizer: Any, number: int, closure: Callable[[], Any]
    ) -> Callable[[], Any]:
        """A closure after whose calls the optimizer takes the gradients."""

        def call() -> Any:
            result = closure()
            if self.patches.on:
                self._calls = (self._calls or 0) + 1
                self.recorder.note(self.recorder.used(optimizer, number))
            return result

        return call

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self.patches.on:
            return
        while self._stack:
            other, number, _ = self._stack.pop()
            if other is optimizer:
                break
        else:  # its beginning was not seen
            return
        if self._stack:
            return
        if self._skipping:
            self.recorder.note(Skipped(optimizer=number))
            return
        self.recorder.note(self.recorder.stepped(optimizer, number, self._calls))
        if self.recorder.meant.ranks:
            self.recorder.tell(number, self._left)
        if self.steps and self.recorder.steps() >= self.steps:
            raise Enough

    # Backward passes and clipping

    def _to_functions(self) -> None:
        clipping = (getattr(torch.nn.utils, name, None) for name in CLIPPING)
        functions = {function: self._clip for function in clipping if function is not None}
        passes = {torch.autograd.backward: self._pass, torch.autograd.grad: self._derive}
        self.patches.functions({**passes, **functions})
        hooks = torch.autograd.graph.saved_tensors_hooks
        self.patches.method(hooks, "__enter__", self._packed)
        self.patches.method(hooks, "__exit__", self._unpacked)
        for kind in (torch.no_grad, torch.inference_mode):
            self.patches.method(kind, "__exit__", self._unrecorded)

    def _pass(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        """A backward pass; one within another one's, of a checkpoint, is part of that."""
        if self._passes:
            return original(*args, **kwargs)
        roots = args[0] if args else kwargs.get("tensors")
        gradients = args[1] if len(args) > 1 else kwargs.get("grad_tensors")
        safe = None if self._packing else self._safe
        loss = losses.read(roots, gradients, self._scaled, safe, self._scaling)
        self.recorder.renew()
        self.recorder.reached(roots)
        training = self.recorder.training()
        retained = args[2] if len(args) > 2 else kwargs.get("retain_graph")
        created = args[3] if len(args) > 3 else kwargs.get("create_graph")
        kept = bool(created if retained is None else retained)
        begun = Begun(
            look=self.recorder.looks.look(),
            loss=loss,
            kept=kept,
            training=training,
            again=self._again(roots, gradients),
        )
        self.recorder.note(begun)
        self._passes += 1
        try:
            return original(*args, **kwargs)
        finally:
            self._passes -= 1
            self._scaled.clear()
            self._scaling, self._safe = False, 0
            self._left = self.recorder.looks.look(weights=False)
            self.recorder.note(Ended(look=self._left))

    def _derive(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        """Gradients are computed, and returned: those of parameters may become theirs by hand."""
        if len(args) > 1 and isinstance(args[1], Iterator):  # of which both of us want all
            args = (args[0], (*args[1],), *args[2:])
        elif isinstance(kwargs.get("inputs"), Iterator):
            kwargs["inputs"] = (*kwargs["inputs"],)
        found = original(*args, **kwargs)
        inputs = args[1] if len(args) > 1 else kwargs.get("inputs", ())
        tensors = (inputs,) if isinstance(inputs, torch.Tensor) else _each(inputs)
        of_known = {
            number: gradient
            for tensor, gradient in zip(tensors, _each(found), strict=False)
            if (number := self.recorder.looks.known(tensor)) is not None
            and gradient is not None
            and gradient.shape == tensor.shape
        }
        if of_known:
            self.recorder.note(Derived(elements=self.recorder.looks.derived(of_known)))
        return found

    def _again(self, roots: Any, gradients: Any) -> bool:
        """Whether a pass is called on the loss of the one before, which nobody has changed."""
        before, self._root = self._root, None
        root = roots if isinstance(roots, torch.Tensor) else losses.only(roots)
        if not isinstance(root, torch.Tensor) or gradients is not None or root.is_inference():
            return False
        self._root = (weakref.ref(root), root._version)  # noqa: SLF001 there is no other way to it
        return before is not None and before[0]() is root and before[1] == self._root[1]

    def _unrecorded(self, original: Any, context: Any, *args: Any) -> Any:
        """No graphs were recorded for a while: a validation, where a model is in eval mode."""
        training = self.recorder.training()
        last = self.recorder.events[-1] if self.recorder.events else None
        if not (all(training) or (isinstance(last, Unrecorded) and last.training == training)):
            self.recorder.note(Unrecorded(training=training))
        return original(context, *args)

    def _packed(self, original: Any, hooks: Any) -> Any:
        self._packing += 1
        return original(hooks)

    def _unpacked(self, original: Any, hooks: Any, *args: Any) -> Any:
        """From here on, what nodes of a graph hold is not packed by hooks."""
        result = original(hooks, *args)
        self._packing -= 1
        with torch.enable_grad():
            node: Any = torch.zeros((), requires_grad=True).clone().grad_fn
        number = getattr(node, "_sequence_nr", None)
        self._safe = number() if number else None
        return result

    def _clip(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        if self._clipping:
            return original(*args, **kwargs)
        given = args[0] if args else kwargs.pop("parameters", ())
        limits = (*args[1:2], *(kwargs[n] for n in ("max_norm", "clip_value") if n in kwargs))
        tensors = [given] if isinstance(given, torch.Tensor) else given
        spent = any(given is other for other in self._iterators)
        if isinstance(tensors, Iterator):
            self._iterators.append(given)
            tensors = list(tensors)
            given = (tensor for tensor in tensors)
        known = [n for n in map(self.recorder.looks.known, tensors) if n is not None]
        before = self.recorder.looks.look(weights=False)
        self._clipping = True
        try:
            result = original(given, *args[1:], **kwargs)
        finally:
            self._clipping = False
        self.recorder.note(
            Clipped(
                look=self.recorder.looks.look(weights=False),
                before=before,
                parameters=tuple(known),
                limit=float(limits[0]),
                by_norm=original.__name__ != "clip_grad_value_",
                spent=spent and not tensors,
            )
        )
        return result

    # Schedulers

    def _to_schedulers(self, given: Iterable[Any]) -> None:
        module = torch.optim.lr_scheduler
        roots = [
            found
            for found in vars(module).values()
            if isinstance(found, type) and found.__module__ == module.__name__
        ]
        mine = [base for one in given for base in type(one).__mro__]
        for kind in dict.fromkeys([*_heirs(roots), *mine]):
            if hasattr(kind, "step") and not issubclass(kind, torch.optim.Optimizer):
                if "step" in vars(kind):
                    self.patches.method(kind, "step", self._advance)
                if "__init__" in vars(kind):
                    self.patches.method(kind, "__init__", self._scheduling)

    def _scheduling(self, original: Any, scheduler: Any, *args: Any, **kwargs: Any) -> None:
        """A scheduler is built, which steps meanwhile, or makes others step."""
        self._inner += 1
        try:
            original(scheduler, *args, **kwargs)
        finally:
            self._inner -= 1
        if not self._inner:
            self.recorder.built(scheduler)

    def _advance(self, original: Any, scheduler: Any, *args: Any, **kwargs: Any) -> Any:
        if self._inner:
            return original(scheduler, *args, **kwargs)
        number = self.recorder.scheduler(scheduler)
        based = self.recorder.based(scheduler)
        before = self.recorder.rates(scheduler)
        last = tuple(map(float, getattr(scheduler, "_last_lr", ())))
        left = last if len(last) == len(before) else ()
        self._inner += 1
        try:
            result = original(scheduler, *args, **kwargs)
        finally:
            self._inner -= 1
        placed = any(value is not None for value in (*args, *kwargs.values()))
        after = self.recorder.rates(scheduler)
        self.recorder.note(
            Advanced(
                scheduler=number, before=before, after=after, left=left, placed=placed, based=based
            )
        )
        return result

    # Scalers

    def _to_scalers(self, given: Iterable[Any]) -> None:
        homes: list[Any] = [torch.cuda.amp, getattr(torch, "amp", None)]
        roots = [home.GradScaler for home in homes if hasattr(home, "GradScaler")]
        mine = [base for one in given for base in type(one).__mro__]
        around = {
            "scale": self._scale,
            "unscale_": self._unscale,
            "step": self._scaler_step,
            "get_scale": self._asked,
        }
        for kind in dict.fromkeys([*_heirs(roots), *mine]):
            for name in around.keys() & vars(kind).keys():
                self.patches.method(kind, name, around[name])

    def _scale(self, original: Any, scaler: Any, outputs: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(scaler, outputs, *args, **kwargs)
        if scaler.is_enabled():
            self._scaling = True
            node = getattr(result, "grad_fn", None)
            if node is not None:
                self._scaled[node] = _scale_of(scaler)
        return result

    def _unscale(self, original: Any, scaler: Any, optimizer: Any, *args: Any, **kw: Any) -> Any:
        scale = _scale_of(scaler) if scaler.is_enabled() else 1.0
        result = original(scaler, optimizer, *args, **kw)
        if scaler.is_enabled() and hasattr(optimizer, "param_groups"):
            number = self.recorder.optimizer(optimizer)
            self.recorder.note(
                Unscaled(
                    look=self.recorder.looks.look(weights=False), optimizer=number, scale=scale
                )
            )
        return result

    def _scaler_step(
        self, original: Any, scaler: Any, optimizer: Any, *args: Any, **kw: Any
    ) -> Any:
        events = len(self.recorder.events)
        result = original(scaler, optimizer, *args, **kw)
        new = self.recorder.events[events:]
        told = any(isinstance(event, Used | Skipped) for event in new)
        if scaler.is_enabled() and not told and isinstance(optimizer, torch.optim.Optimizer):
            self.recorder.note(Skipped(optimizer=self.recorder.optimizer(optimizer)))
        return result

    def _asked(self, original: Any, scaler: Any, *args: Any, **kwargs: Any) -> Any:
        self.recorder.note(Asked())
        return original(scaler, *args, **kwargs)

    # Models

    def _to_models(self) -> None:
        """Whose parameters are asked for is a model, where none was given; and who averages."""
        swa = importlib.import_module("torch.optim.swa_utils")
        self.patches.method(swa.AveragedModel, "update_parameters", self._averaged)
        self.patches.method(torch.nn.Module, "train", self._turned)
        if not self.recorder.models:
            self.patches.method(torch.nn.Module, "named_parameters", self._model)

    def _averaged(self, original: Any, average: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(average, model, *args, **kwargs)
        if isinstance(model, torch.nn.Module):
            number, parameters = self.recorder.averaged(average, model)
            self.recorder.note(Averaged(average=number, parameters=parameters))
        return result

    def _turned(self, original: Any, module: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(module, *args, **kwargs)
        for number, model in enumerate(self.recorder.models):
            if model is module:
                self.recorder.note(Turned(model=number, training=module.training))
        return result

    def _model(self, original: Any, module: Any, *args: Any, **kwargs: Any) -> Any:
        self.recorder.model(module)
        return original(module, *args, **kwargs)


def _tells(optimizer: Any) -> bool:
    """Whether its step calls hooks.

    In torch 2.0 and 2.1 none does once something was compiled: dynamo takes off what calls them.
    """
    step = getattr(type(optimizer), "step", None)
    while step is not None:
        names = getattr(getattr(step, "__code__", None), "co_names", ())
        if "_global_optimizer_pre_hooks" in names:
            return True
        step = getattr(step, "__wrapped__", None)
    return False


def _each(some: Any) -> Iterable[Any]:
    """Tensors that are handed over in a row, or by their names."""
    return some.values() if isinstance(some, Mapping) else some


def _caller() -> Any:
    """The call of a step, in which its hook is called, by way of the compiler maybe."""
    frame: Any = inspect.currentframe()
    frame = frame.f_back.f_back
    while frame.f_globals.get("__name__", "").startswith("torch._dynamo"):
        frame = frame.f_back
    return frame


def _running(frame: Any) -> set[int]:
    """The calls that a call is made in, itself included."""
    found = set()
    while frame is not None:
        found.add(id(frame))
        frame = frame.f_back
    return found


def _closure(optimizer: Any, args: Any, kwargs: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The closure that a step is given, and what puts another one in its place."""
    if kwargs.get("closure") is not None:
        return kwargs["closure"], lambda other: (args, {**kwargs, "closure": other})
    place = 1 if args and args[0] is optimizer else 0  # hooks are given the optimizer, too
    if len(args) > place and callable(args[place]):
        return args[place], lambda other: ((*args[:place], other, *args[place + 1 :]), kwargs)
    return None, lambda other: None


def _heirs(kinds: Iterable[type]) -> Iterator[type]:
    """Classes, and all that inherit from them."""
    for kind in kinds:
        yield kind
        yield from _heirs(type.__subclasses__(kind))


def _scale_of(scaler: Any) -> float:
    """The scale of a scaler, which is not told that it was asked."""
    method = type(scaler).get_scale
    return float(getattr(method, "__wrapped__", method)(scaler))
