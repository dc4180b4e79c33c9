"""Is the loop that a switch names the one that runs, and is each group of tensors stepped in it?

What the loops compute is held to the rule elsewhere; they agree, so that does not show which ran.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import torch
from packaging.version import Version

from oracles.harness.subjects.classes import accepted, functional, lacks_functional, module_of
from oracles.optimizers.registry import RULES
from oracles.rule import Rule

pytestmark = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.13"), reason="loops are those of 2.13"
)

Options = dict[str, Any]

LOOPS = ("single_tensor", "multi_tensor", "fused")

SWITCHES: tuple[tuple[Options, str], ...] = (
    ({}, "single_tensor"),
    ({"foreach": False}, "single_tensor"),
    ({"foreach": True}, "multi_tensor"),
    ({"fused": False}, "single_tensor"),
    ({"fused": True}, "fused"),
    ({"fused": True, "foreach": False}, "fused"),
    ({"fused": False, "foreach": True}, "multi_tensor"),
)
"""On a CPU, where torch takes the for-loop if nobody says."""


COMPLEX = ("SGD", "Adam", "AdamW", "Adagrad")
"""Some rules that take complex parameters."""

FASTER = {"Adafactor": "single_tensor"}
"""Which loop a rule takes where foreach is faster, if it is not foreach."""


def there(rule: Rule) -> Any:
    return getattr(torch.optim, rule.name, object)


LOOPING = [rule for rule in RULES.values() if "foreach" in accepted(there(rule))]

looping = pytest.mark.parametrize("rule", LOOPING, ids=lambda rule: rule.name)


def parameters(*dtypes: torch.dtype) -> list[torch.Tensor]:
    found = [torch.tensor([1.0, -0.5], dtype=dtype, requires_grad=True) for dtype in dtypes]
    for p in found:
        p.grad = torch.tensor([0.25, 2.0], dtype=p.dtype)
    return found


def home(rule: Rule) -> tuple[Any, str]:
    """The module with the loops of a class, which may extend another, and their name."""
    pairs = [(module_of(class_), class_.__name__.lower()) for class_ in there(rule).__mro__[:-1]]
    return next((m, name) for m, name in pairs if hasattr(m, f"_single_tensor_{name}"))


def ran(rule: Rule, make: Any) -> list[str]:
    """The loops that a step calls."""
    module, name = home(rule)
    calls: list[str] = []

    def noting(loop: str, function: Any, *args: Any, **options: Any) -> None:
        calls.append(loop)
        function(*args, **options)

    with ExitStack() as stack:
        for loop in LOOPS:
            if function := getattr(module, f"_{loop}_{name}", None):
                noted = partial(noting, loop, function)
                stack.enter_context(patch.object(module, f"_{loop}_{name}", noted))
        make(parameters(torch.float32)).step()
    return calls


@looping
def test_the_loop_that_is_asked_for(rule: Rule) -> None:
    for options, loop in SWITCHES:
        if set(options) <= set(accepted(there(rule))):
            assert ran(rule, partial(there(rule), **options)) == [loop]


@contextmanager
def elsewhere() -> Iterator[None]:
    """A CPU on which torch takes foreach where nobody says, as on a GPU."""
    name = "_get_foreach_kernels_supported_devices"
    with patch.object(module_of(torch.optim.Optimizer), name, lambda: ["cpu"]):
        yield


def anywhere(**options: bool) -> list[str]:
    """Devices that can capture a step."""
    return ["cpu"]


@looping
def test_the_loop_that_is_taken_where_foreach_is_faster(rule: Rule) -> None:
    """Unless another is asked for, or Adam's rate is a tensor, which its foreach loop refuses."""
    boxed = {"lr": torch.tensor(0.5)}
    with elsewhere():
        assert ran(rule, there(rule)) == [FASTER.get(rule.name, "multi_tensor")]
        assert ran(rule, partial(there(rule), foreach=False)) == ["single_tensor"]
        if rule.name in ("Adam", "AdamW"):
            assert ran(rule, partial(there(rule), **boxed)) == ["single_tensor"]
            with patch.object(home(rule)[0], "_get_capturable_supported_devices", anywhere):
                captured = partial(there(rule), **boxed, capturable=True)
                assert ran(rule, captured) == ["multi_tensor"]
        if "fused" in accepted(there(rule)):
            assert ran(rule, partial(there(rule), fused=True)) == ["fused"]
            assert ran(rule, partial(there(rule), fused=False)) == ["single_tensor"]


@looping
def test_a_graph_is_built_by_the_for_loop(rule: Rule) -> None:
    if "differentiable" not in accepted(there(rule)):
        return

    def make(owned: list[torch.Tensor]) -> Any:
        p = owned[0].detach()
        p.grad = owned[0].grad
        return there(rule)([p], differentiable=True)

    assert ran(rule, make) == ["single_tensor"]
    if rule.name != "SGD":  # whose function is not told that there is a graph
        with elsewhere():
            assert ran(rule, make) == ["single_tensor"]


@looping
def test_the_loop_that_a_function_is_told(rule: Rule) -> None:
    class_ = there(rule)
    if lacks_functional(class_):
        return
    module, name = module_of(class_), rule.name.lower()
    function = getattr(module, name)
    for options, loop in SWITCHES:
        if set(options) <= set(inspect.signature(function).parameters):
            with patch.object(module, name, partial(function, **options)):
                told = functional.__wrapped__(class_, rule)
            assert ran(rule, told) == [loop]
    told = functional.__wrapped__(class_, rule)
    with elsewhere():
        assert ran(rule, told) == [FASTER.get(rule.name, "multi_tensor")]


def loops(rule: Rule) -> Iterator[Options]:
    """The switches of each loop that a class has."""
    yield {"foreach": False}
    yield {"foreach": True}
    if "fused" in accepted(there(rule)):
        yield {"fused": True}


@looping
def test_dtypes_side_by_side_are_stepped_alike(rule: Rule) -> None:
    """Each to the bits that it gets alone, in whatever order they come."""
    dtypes = (torch.float32, torch.float64, torch.float32, torch.float64)
    for options in loops(rule):
        together, alone = parameters(*dtypes), [parameters(dtype) for dtype in dtypes]
        for owned in (together, *alone):
            optimizer = there(rule)(owned, lr=0.5, **options)
            optimizer.step()
            optimizer.step()
        assert all(torch.equal(p, own[0]) for p, own in zip(together, alone, strict=True))


@looping
def test_parameters_with_unlike_counts_are_stepped_alike(rule: Rule) -> None:
    """Their gradients come late, one after another: each gets the bits that it gets alone.

    There are as many steps as RAdam needs for the first to be rectified while the last is not.
    """
    captured = {"capturable": True} if "capturable" in accepted(there(rule)) else {}
    for options in (*loops(rule), {"foreach": True, **captured}):
        together, alone = (
            parameters(*[torch.float32] * 4),
            [parameters(torch.float32) for _ in "abcd"],
        )
        with patch.object(
            home(rule)[0], "_get_capturable_supported_devices", anywhere, create=True
        ):
            made = [there(rule)(owned, lr=0.5, **options) for owned in (together, *alone)]
            for t in range(8):
                for i, p in [*enumerate(together), *enumerate(own[0] for own in alone)]:
                    late = torch.tensor([0.25 + i + t, -2.0 / (1 + t)])
                    p.grad = late if t >= 2 * i else None
                for optimizer in made:
                    optimizer.step()
        assert all(torch.equal(p, own[0]) for p, own in zip(together, alone, strict=True))


@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_sparse_gradients_side_by_side_are_stepped_alike(name: str) -> None:
    """Among dense ones, too: each to the bits that it gets alone."""
    rule = RULES[name]
    for options in ({"foreach": False}, {"foreach": True}):
        together, alone = (
            parameters(*[torch.float32] * 4),
            [parameters(torch.float32) for _ in "abcd"],
        )
        for i, p in enumerate((*together, *(p for own in alone for p in own))):
            p.grad = torch.tensor([0.0, 1.0 + i % 4])
            if i % 4 in (1, 3):
                p.grad = p.grad.to_sparse()
        for owned in (together, *alone):
            there(rule)(owned, lr=0.5, **options).step()
        assert all(torch.equal(p, own[0]) for p, own in zip(together, alone, strict=True))


@looping
def test_no_decay_is_none_at_infinity(rule: Rule) -> None:
    """0 · ∞ is no number, so it must not come to that product.

    It does in Adafactor's root mean square, and in the second decay of ASGD's foreach loop.
    """
    if "weight_decay" not in accepted(there(rule)) or rule.name == "Adafactor":
        return
    for options in loops(rule):
        if rule.name == "ASGD" and options["foreach"]:
            continue
        owned = parameters(torch.float32)
        with torch.no_grad():
            owned[0].fill_(torch.inf)
        there(rule)(owned, lr=0.5, weight_decay=0.0, **options).step()
        assert owned[0].tolist() == [torch.inf, torch.inf]


@pytest.mark.parametrize("default", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@looping
def test_a_group_that_joins_begins_like_one_that_was_there(
    rule: Rule, default: torch.dtype
) -> None:
    """With the same state, and the same step after it."""
    options: Options
    chosen = [(options, torch.float32) for options in loops(rule)]
    chosen += [({"foreach": f}, torch.complex64) for f in (False, True) if rule.name in COMPLEX]
    extra = {"initial_accumulator_value": 0.5} if rule.name == "Adagrad" else {}
    before = torch.get_default_dtype()
    for options, dtype in chosen:
        first, second, late = (parameters(dtype) for _ in range(3))
        torch.set_default_dtype(default)
        try:
            early = there(rule)([{"params": first}, {"params": second}], **options, **extra)
            joined = there(rule)(parameters(dtype), **options, **extra)
            joined.add_param_group({"params": late})
            early.step()
            joined.step()
        finally:
            torch.set_default_dtype(before)
        assert repr(early.state[second[0]]) == repr(joined.state[late[0]])
        assert torch.equal(second[0], late[0])


@pytest.mark.parametrize("foreach", [False, True])
@looping
def test_complex_numbers_step_as_pairs_of_real_ones(rule: Rule, foreach: bool) -> None:
    """To the bits, with and without decay. Adafactor refuses them."""
    if rule.name == "Adafactor":
        return
    decays = [{}, {"weight_decay": 0.25}] if "weight_decay" in accepted(there(rule)) else [{}]
    for options in decays:
        (pairs,) = parameters(torch.complex64)
        real = torch.view_as_real(pairs.detach()).clone().requires_grad_()
        for t in range(3):
            pairs.grad = torch.tensor([0.25 + 0.5j, 2.0 - 1.0j]) / (t + 1)
            real.grad = torch.view_as_real(pairs.grad).clone()
            if t == 0:
                both = [there(rule)([p], lr=0.5, foreach=foreach, **options) for p in (pairs, real)]
            for optimizer in both:
                optimizer.step()
        assert torch.equal(torch.view_as_real(pairs.detach()), real)
