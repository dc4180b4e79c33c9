"""Copies of torch's optimizers in which one thing is another one, on one path and in one dtype.

They say what is wrong by arguments and around a step, so that the same is planted in any release.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch

Plant = Callable[[Any], Any]
"""``class -> class``: of an optimizer, and of its copy."""

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def _concerned(opt: Any, path: str, dtype: str) -> bool:
    """Whether this is the path and the dtype."""
    parameter = opt.param_groups[0]["params"][0]
    return bool(opt.param_groups[0]["foreach"] == (path == "foreach")) and (
        parameter.dtype == DTYPES[dtype]
    )


def stepping(step: Callable[[Any, Any], None], path: str, dtype: str) -> Plant:
    """A step of another kind there; it is given the optimizer and the step that was there."""

    def plant(base: Any) -> Any:
        class Planted(base):  # type: ignore[misc]
            @torch.no_grad()
            def step(self, closure: Any = None) -> Any:
                if closure is None and _concerned(self, path, dtype):
                    return step(self, super().step)
                return super().step(closure)

        return Planted

    return plant


def hearing(path: str, dtype: str, **other: Any) -> Plant:
    """Other hyperparameters there than were given; a function makes them of those."""

    def step(opt: Any, right: Callable[[], Any]) -> None:
        told = [{name: group[name] for name in other} for group in opt.param_groups]
        for group in opt.param_groups:
            for name, value in other.items():
                group[name] = value(group[name]) if callable(value) else value
        right()
        for group, kept in zip(opt.param_groups, told, strict=True):
            group.update(kept)

    return stepping(step, path, dtype)


def wider(path: str) -> Plant:
    """Each step of float32 in float64, and rounded once: whatever the rule is, that is inside.

    No radius is narrower than one rounding of the result.
    """

    def step(opt: Any, right: Callable[[], Any]) -> None:
        torches = next(cls for cls in type(opt).__mro__ if cls.__module__.startswith("torch."))
        for group, p in _moving(opt):
            alone = torches([p.double().requires_grad_()], **_options(torches, group))
            (w,) = alone.param_groups[0]["params"]
            w.grad = p.grad.double()
            for name, value in opt.state.get(p, {}).items():
                alone.state[w][name] = _as(torch.float64, name, value)
            alone.step()
            p.copy_(w)
            for name, value in alone.state[w].items():
                opt.state[p][name] = _as(p.dtype, name, value)

    return stepping(step, path, "float32")


def _moving(opt: Any) -> Iterator[tuple[Any, Any]]:
    for group in opt.param_groups:
        yield from ((group, p) for p in group["params"] if p.grad is not None)


def _options(cls: Any, group: Any) -> dict[str, Any]:
    taken = inspect.signature(cls).parameters
    return {name: value for name, value in group.items() if name in taken and name != "params"}


SCALARS = ("step", "mu_product", "eta", "mu")
"""Buffers that hold one number in a dtype of their own."""


def _as(dtype: torch.dtype, name: str, value: Any) -> Any:
    if name in SCALARS or not isinstance(value, torch.Tensor):
        return value
    return value.to(dtype)


def refusing(dtype: str) -> Plant:
    """No kernel for a dtype, as torch says it."""

    def plant(base: Any) -> Any:
        class Planted(base):  # type: ignore[misc]
            def step(self, closure: Any = None) -> Any:
                if any(p.dtype == DTYPES[dtype] for g in self.param_groups for p in g["params"]):
                    raise RuntimeError("\"addcdiv_cpu_out\" not implemented for 'Float'")
                return super().step(closure)

        return Planted

    return plant


def _signed(planted: Any, change: Callable[[list[Any]], list[Any]]) -> Any:
    """With other arguments of the constructor, as ``inspect`` sees them."""
    taken = [*inspect.signature(planted).parameters.values()]
    planted.__signature__ = inspect.Signature(change(taken))
    return planted


def lacking(argument: str) -> Plant:
    """An argument that the constructor does not know."""

    def plant(base: Any) -> Any:
        class Planted(base):  # type: ignore[misc]
            def __init__(self, params: Any, *given: Any, **options: Any) -> None:
                if argument in options:
                    raise TypeError(f"__init__() got an unexpected keyword argument {argument!r}")
                super().__init__(params, *given, **options)

        Planted.__signature__ = inspect.signature(base)
        return _signed(Planted, lambda taken: [p for p in taken if p.name != argument])

    return plant


def defaulting(argument: str, value: Any) -> Plant:
    """Another default."""

    def plant(base: Any) -> Any:
        class Planted(base):  # type: ignore[misc]
            def __init__(self, params: Any, *given: Any, **options: Any) -> None:
                options.setdefault(argument, value)
                super().__init__(params, *given, **options)

        Planted.__signature__ = inspect.signature(base)
        return _signed(
            Planted,
            lambda taken: [p.replace(default=value) if p.name == argument else p for p in taken],
        )

    return plant


@contextmanager
def healed_groups() -> Iterator[None]:
    """A torch whose groups are not the dictionaries that it was given."""
    kept = torch.optim.Optimizer.add_param_group

    def add_param_group(self: Any, param_group: dict[str, Any]) -> None:
        kept(self, dict(param_group))

    with mock.patch.object(torch.optim.Optimizer, "add_param_group", add_param_group):
        yield


def healed_gradients(base: Any) -> Any:
    """Whose foreach step leaves gradients as they were."""

    class Planted(base):  # type: ignore[misc]
        def step(self, closure: Any = None) -> Any:
            kept = [(p, p.grad.clone()) for _, p in _moving(self)] if closure is None else []
            loss = super().step(closure)
            for p, grad in kept:
                p.grad.copy_(grad)
            return loss

    return Planted


def same(base: Any) -> Any:
    """A copy in which nothing is another one."""

    class Planted(base):  # type: ignore[misc]
        pass

    return Planted
