"""Which parameters an optimizer steps: of a model that was changed since, and in groups by name.

An optimizer holds the parameters that it was given. What is done to a model afterwards either keeps
them, or puts others in their place: then the optimizer steps, without a word, on parameters that
nobody uses. Here stands which is which in torch, and which norms and biases rules by name miss.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from tests.support.marks import skip_before

FEATURES = 3


def model() -> nn.Sequential:
    """A layer, and another one."""
    return nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, 2))


def dead(net: nn.Module, optimizer: torch.optim.Optimizer) -> set[str]:
    """Names of parameters that the model uses and the optimizer does not hold."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {name for name, p in net.named_parameters() if id(p) not in held}


def moved(net: nn.Module, optimizer: torch.optim.Optimizer) -> set[str]:
    """Names of parameters that a pass through the model and a step change."""
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    dtype = next(net.parameters()).dtype
    loss: Any = net(torch.ones(2, FEATURES, dtype=dtype)).square().sum()
    loss.backward()
    optimizer.step()
    return {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}


@contextmanager
def overwriting() -> Iterator[None]:
    """With the switch by which conversions make new parameters."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def overwritten(net: Any) -> nn.Module:
    with overwriting():
        converted: nn.Module = net.double()
    return converted


def loaded(net: Any, **options: Any) -> nn.Module:
    net.load_state_dict({k: v.clone() for k, v in net.state_dict().items()}, **options)
    return net  # type: ignore[no-any-return]


def assigned(net: Any) -> nn.Module:
    if "assign" not in nn.Module.load_state_dict.__code__.co_varnames:
        pytest.skip("this torch cannot assign what it loads")
    return loaded(net, assign=True)


def through_a_file(net: Any) -> nn.Module:
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    options: Any = {"weights_only": False} if "weights_only" in _names(torch.load) else {}
    again: nn.Module = torch.load(file, **options)
    return again


def _names(function: Any) -> tuple[str, ...]:
    return tuple(function.__code__.co_varnames)


def head_replaced(net: Any) -> nn.Module:
    net[1] = nn.Linear(FEATURES, 2)
    return net  # type: ignore[no-any-return]


def made_anew(net: Any) -> nn.Module:
    net[0].weight = nn.Parameter(net[0].weight.data)
    return net  # type: ignore[no-any-return]


def data_assigned(net: Any) -> nn.Module:
    net[0].weight.data = net[0].weight.data.clone()
    return net  # type: ignore[no-any-return]


def tied(net: Any) -> nn.Module:
    net[1] = nn.Linear(FEATURES, FEATURES)
    net[1].weight = net[0].weight
    return net  # type: ignore[no-any-return]


def normed(net: Any) -> nn.Module:
    nn.utils.parametrizations.spectral_norm(net[0])
    return net  # type: ignore[no-any-return]


def weight_normed(net: Any) -> nn.Module:
    made = getattr(nn.utils.parametrizations, "weight_norm", nn.utils.weight_norm)
    made(net[0])
    return net  # type: ignore[no-any-return]


def pruned(net: Any) -> nn.Module:
    prune_some: Any = prune.random_unstructured
    prune_some(net[0], "weight", amount=0.3)
    return net  # type: ignore[no-any-return]


def compiled(net: Any) -> nn.Module:
    skip_before("2.1", "no Python that is supported here could compile")
    wrapped: Any = torch.compile(net, backend="eager")
    return wrapped  # type: ignore[no-any-return]


WHOLE = {"0.weight", "0.bias", "1.weight", "1.bias"}
LAST = {"1.weight", "1.bias"}

DONE: dict[str, tuple[Callable[[Any], nn.Module], set[str]]] = {
    "converted to another dtype": (lambda net: net.double(), set()),
    "converted, overwriting parameters": (overwritten, WHOLE),
    "moved to where it is": (lambda net: net.to("cpu"), set()),
    "loaded": (loaded, set()),
    "loaded, assigning": (assigned, WHOLE),
    "copied": (copy.deepcopy, WHOLE),
    "saved whole and loaded": (through_a_file, WHOLE),
    "its last layer replaced": (head_replaced, LAST),
    "a parameter made anew of the same data": (made_anew, {"0.weight"}),
    "other data assigned": (data_assigned, set()),
    "two layers tied": (tied, {"1.bias"}),
    "initialized again": (lambda net: net.apply(_reset), set()),
    "spectral norm": (normed, set()),
    "weight norm": (
        weight_normed,
        {"0.parametrizations.weight.original0", "0.parametrizations.weight.original1"}
        if hasattr(nn.utils.parametrizations, "weight_norm")
        else {"0.weight_g", "0.weight_v"},
    ),
    "pruned": (pruned, set()),
    "wrapped in DataParallel": (nn.DataParallel, set()),
    "compiled": (compiled, set()),
}
"""What is done to a model whose optimizer is built already, and whom the optimizer then lacks."""


def _reset(module: Any) -> None:
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()


@pytest.mark.parametrize("what", DONE)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_what_an_optimizer_holds_when_its_model_is(what: str) -> None:
    do, lost = DONE[what]
    net: Any = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    net = do(net)
    assert dead(net, optimizer) == lost
    if lost:
        assert not moved(net, optimizer) & lost, "what it does not hold, it does not move"


def test_a_model_that_gets_its_memory_later_has_other_parameters() -> None:
    """Built on the meta device, as large models are, and filled later."""
    net: Any = nn.Linear(FEATURES, 2, device="meta")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    net.to_empty(device="cpu")
    assert dead(net, optimizer) == {"weight", "bias"}


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_model_that_learns_its_shapes_later_keeps_them() -> None:
    net = nn.LazyLinear(2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    net(torch.ones(1, FEATURES))
    assert not dead(net, optimizer)


# --- Groups by name -------------------------------------------------------------------------------


class Block(nn.Module):
    """A model with norms of several kinds, whose names say so or do not."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4, 3)
        self.proj = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.GroupNorm(1, 3))
        self.norm = nn.LayerNorm(3)
        self.bn1 = nn.BatchNorm1d(3)
        self.ln_f = nn.LayerNorm(3)
        self.scale = nn.Parameter(torch.ones(1, 3))


NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d)


def by_name(net: nn.Module) -> set[str]:
    """``any(word in name for word in ("bias", "norm"))``, as recipes have it."""
    return {n for n, _ in net.named_parameters() if "bias" in n or "norm" in n.lower()}


def by_dimensions(net: nn.Module) -> set[str]:
    """What has one dimension at most, as timm has it."""
    return {n for n, p in net.named_parameters() if p.ndim <= 1}


def by_module(net: nn.Module) -> set[str]:
    """Biases, and all parameters of norms."""
    return {
        f"{name}.{own}" if name else own
        for name, module in net.named_modules()
        for own, _ in module.named_parameters(recurse=False)
        if own == "bias" or isinstance(module, NORMS)
    }


MISSED = {"proj.1.weight", "proj.2.weight", "bn1.weight", "ln_f.weight"}
"""Norms in whose names is no "norm": those in a Sequential have numbers."""


def test_which_norms_a_rule_by_name_misses() -> None:
    net = Block()
    assert by_module(net) - by_name(net) == MISSED
    assert by_module(net) == by_dimensions(net)
    assert "scale" not in by_dimensions(net), "a scale with a dimension more is decayed"


@pytest.mark.parametrize("rule", [by_name, by_dimensions, by_module])
def test_who_is_exempt_stays_and_all_others_are_decayed(rule: Callable[..., set[str]]) -> None:
    """With gradients of zero a step is its decay: w − γλw, which is exact here."""
    net = Block()
    exempt = rule(net)
    named = dict(net.named_parameters())
    groups: Any = [
        {"params": [p for n, p in named.items() if n in exempt], "weight_decay": 0.0},
        {"params": [p for n, p in named.items() if n not in exempt]},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.5, weight_decay=0.5)
    for p in named.values():
        p.data.fill_(2.0)
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert {n for n, p in named.items() if (p == 2.0).all()} == exempt
    assert all((p == 1.5).all() for n, p in named.items() if n not in exempt)


def test_state_is_loaded_by_order_and_not_by_name() -> None:
    """Who groups otherwise before loading gives the momentum of one parameter to another."""

    def built(*order: int) -> tuple[list[torch.Tensor], torch.optim.Optimizer]:
        members = [torch.full((1,), float(i), requires_grad=True) for i in range(2)]
        named = _with_names_if_taken([(f"p{i}", members[i]) for i in order])
        return members, torch.optim.SGD(named, lr=0.5, momentum=0.5)

    members, optimizer = built(0, 1)
    for i, p in enumerate(members):
        p.grad = torch.full((1,), 3.0 + i)
    optimizer.step()
    others, fresh = built(1, 0)
    fresh.load_state_dict(optimizer.state_dict())
    assert [fresh.state[p]["momentum_buffer"].item() for p in others] == [4.0, 3.0]


def _with_names_if_taken(named: Any) -> Any:
    """Names and parameters, or parameters alone where optimizers take no names."""
    try:
        torch.optim.SGD(named, lr=0.5)
    except TypeError:
        return [p for _, p in named]
    return named
