"""Groups that are chosen by the names of parameters are found, and said in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import pytest
import torch

import oracles
from oracles.harness.subjects.foreign import ForeignOptimizer
from oracles.harness.subjects.handing import LAYERS, MODEL, NAMED, TENSORS
from oracles.identification import Identification, identify
from oracles.reports.identification import render
from tests.support.marks import slow

Named = Iterable[tuple[str, torch.Tensor]]


def split(named: Named, apart: Callable[[str], bool], **theirs: Any) -> list[dict[str, Any]]:
    """Two groups: the others, and those with numbers of their own."""
    named = list(named)
    return [
        {"params": [p for name, p in named if not apart(name)]},
        {"params": [p for name, p in named if apart(name)], **theirs},
    ]


def by_name(named_parameters: Named, lr: float = 0.1, weight_decay: float = 0.0) -> Any:
    groups = split(named_parameters, lambda name: "bias" in name, weight_decay=0.0)
    return torch.optim.SGD(groups, lr=lr, weight_decay=weight_decay)


def without_a_hint(params: Named, lr: float, wd: float) -> Any:
    groups = split(params, lambda name: not name.endswith("weight"), weight_decay=0.0)
    return torch.optim.Adam(groups, lr=lr, weight_decay=wd)


def of_a_model(model: torch.nn.Module, lr: float, weight_decay: float) -> Any:
    exempt = ("bias", "norm")
    named = model.named_parameters()
    groups = split(named, lambda name: any(word in name for word in exempt), weight_decay=0.0)
    return torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay)


def by_module(net: torch.nn.Module, lr: float, weight_decay: float) -> Any:
    """Only weights of linear layers are decayed."""
    linear = {
        f"{name}.weight"
        for name, module in net.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    groups = split(net.named_parameters(), lambda name: name not in linear, weight_decay=0.0)
    return torch.optim.SGD(groups, lr=lr, weight_decay=weight_decay)


def by_dimension(model: torch.nn.Module, lr: float, weight_decay: float) -> Any:
    vectors = {name for name, p in model.named_parameters() if p.dim() < 2}
    groups = split(model.named_parameters(), vectors.__contains__, weight_decay=0.0)
    return torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay)


def twice_as_fast(model: torch.nn.Module, lr: float, weight_decay: float = 0.0) -> Any:
    groups = split(model.named_parameters(), lambda name: "bias" in name, lr=2 * lr)
    return torch.optim.SGD(groups, lr=lr, weight_decay=weight_decay)


class ByName(torch.optim.SGD):
    """As torch's classes from 2.6 on take names."""

    def __init__(self, named_params: Named, lr: float = 0.1, weight_decay: float = 0.0) -> None:
        groups = split(named_params, lambda name: "norm" in name, weight_decay=0.0)
        super().__init__(groups, lr=lr, weight_decay=weight_decay)


def plain(params: Any, lr: float, weight_decay: float = 0.0) -> Any:
    return torch.optim.SGD(params, lr=lr, weight_decay=weight_decay)


def written(model: torch.nn.Module) -> Any:
    """As most people write it: with its numbers in it."""
    vectors = {name for name, p in model.named_parameters() if p.dim() < 2}
    decayed, exempt = split(model.named_parameters(), vectors.__contains__, weight_decay=0.0)
    return torch.optim.AdamW([decayed | {"weight_decay": 0.1}, exempt], lr=6e-4, betas=(0.9, 0.95))


def slower_encoder(model: torch.nn.Module, lr: float) -> Any:
    groups = split(model.named_parameters(), lambda name: name.startswith("encoder"), lr=0.1 * lr)
    return torch.optim.AdamW(groups, lr=lr)


def three_groups(model: torch.nn.Module) -> Any:
    named = dict(model.named_parameters())
    encoder = [p for name, p in named.items() if name.startswith("encoder")]
    norms = [p for name, p in named.items() if "norm" in name]
    others = [p for name, p in named.items() if not name.startswith("enc") and "norm" not in name]
    groups: list[dict[str, Any]] = [
        {"params": encoder, "lr": 1e-3},
        {"params": norms, "weight_decay": 0},
        {"params": others},
    ]
    return torch.optim.SGD(groups, lr=0.01, momentum=0.9, weight_decay=1e-4)


def by_layer(model: torch.nn.Module, lr: float) -> Any:
    """Each parameter has a rate of its own, and some are not decayed."""
    groups = [
        {"params": [p], "lr": lr * 0.5**n, "weight_decay": 0.0 if "bias" in name else 0.2}
        for n, (name, p) in enumerate(model.named_parameters())
    ]
    return torch.optim.AdamW(groups)


def by_type(model: torch.nn.Module, lr: float, momentum: float, weight_decay: float) -> Any:
    """Who is neither a norm, nor a bias, nor a weight of a module, is in no group."""
    norms, weights, biases = [], [], []
    for module in model.modules():
        if isinstance(getattr(module, "bias", None), torch.nn.Parameter):
            biases.append(module.bias)
        if isinstance(module, torch.nn.BatchNorm2d):
            norms.append(module.weight)
        elif isinstance(getattr(module, "weight", None), torch.nn.Parameter):
            weights.append(module.weight)
    optimizer = torch.optim.SGD(norms, lr=lr, momentum=momentum, nesterov=True)
    optimizer.add_param_group({"params": weights, "weight_decay": weight_decay})
    optimizer.add_param_group({"params": biases})
    return optimizer


def vectors_faster(params: Any, lr: float) -> Any:
    groups: list[dict[str, Any]] = [
        {"params": [p for p in params if p.dim() > 1]},
        {"params": [p for p in params if p.dim() < 2], "lr": 10 * lr},
    ]
    return torch.optim.SGD(groups, lr=lr, momentum=0.85)


def plain_vectors_faster(params: Any, lr: float) -> Any:
    """Without momentum there is no Nesterov's, of which nothing is said."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in params if p.dim() > 1]},
        {"params": [p for p in params if p.dim() < 2], "lr": 2 * lr},
    ]
    return torch.optim.SGD(groups, lr=lr)


def _by_dimension(model: torch.nn.Module) -> tuple[list[Any], list[Any]]:
    """Matrices, and what has fewer dimensions."""
    params = list(model.parameters())
    return [p for p in params if p.dim() > 1], [p for p in params if p.dim() < 2]


def decay_written(model: torch.nn.Module, lr: float) -> Any:
    matrices, vectors = _by_dimension(model)
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, weight_decay=0.1)


def rate_written(model: torch.nn.Module, weight_decay: float = 1e-5) -> Any:
    matrices, vectors = _by_dimension(model)
    groups = [
        {"params": vectors, "weight_decay": 0.0},
        {"params": matrices, "weight_decay": weight_decay},
    ]
    return torch.optim.AdamW(groups, lr=1e-3)


def many_numbers(model: torch.nn.Module) -> Any:
    matrices, vectors = _by_dimension(model)
    groups = [
        {"params": matrices, "lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.1},
        {"params": vectors, "lr": 1e-2, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups)


def many_digits(model: torch.nn.Module) -> Any:
    """As a decay from layer to layer makes them."""
    groups = [{"params": [p], "lr": 0.1 * 0.65**n} for n, p in enumerate(model.parameters())]
    return torch.optim.SGD(groups, momentum=0.9)


def biases_up(model: torch.nn.Module) -> Any:
    first, then = split(model.named_parameters(), lambda name: "bias" in name, maximize=True)
    return torch.optim.SGD([first, then], lr=0.1)


def all_sorted(model: torch.nn.Module) -> Any:
    """Each parameter must be the weight or the bias of a layer that it knows."""
    kinds: dict[bool, set[str]] = {True: set(), False: set()}
    for place, module in model.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            if name == "bias" or isinstance(module, torch.nn.Linear | torch.nn.Embedding):
                decayed = name == "weight" and isinstance(module, torch.nn.Linear)
                kinds[decayed].add(f"{place}.{name}")
            elif isinstance(module, torch.nn.LayerNorm):
                kinds[False].add(f"{place}.{name}")
    named = dict(model.named_parameters())
    assert not named.keys() - kinds[True] - kinds[False], "not separated"
    groups = [
        {"params": [named[n] for n in sorted(kinds[kind])], "weight_decay": decay}
        for kind, decay in ((True, 0.1), (False, 0.0))
    ]
    return torch.optim.AdamW(groups, lr=3e-4)


def slower_but_the_head(model: torch.nn.Module, lr: float) -> Any:
    """By a word that is in no usual name."""
    first, then = split(model.named_parameters(), lambda name: "head" in name, lr=lr)
    return torch.optim.AdamW([first | {"lr": 0.1 * lr}, then], lr=lr, weight_decay=0.05)


def encoder_at_rest(model: torch.nn.Module, lr: float) -> Any:
    """Its rate is 0, as no format's roundings are of the given one."""
    groups = split(model.named_parameters(), lambda name: name.startswith("encoder"), lr=0.0)
    return torch.optim.SGD(groups, lr=lr)


def layer_by_layer(model: Any, lr: float) -> Any:
    """Of a list of layers that the model is taken to have; all else is frozen."""
    groups = [
        {"params": layer.parameters(), "lr": lr * 0.8**n} for n, layer in enumerate(model.layers)
    ]
    return torch.optim.AdamW(groups, lr=lr)


def by_parts(model: Any) -> Any:
    """Parts that the model is taken to have."""
    groups = [
        {"params": model.backbone.parameters(), "lr": 1e-3},
        {"params": model.classifier.parameters()},
    ]
    return torch.optim.SGD(groups, lr=0.01, momentum=0.9)


def of_adapters(params: Named, lr: float) -> Any:
    named = dict(params)
    first = [p for name, p in named.items() if name.endswith("lora_A")]
    then = [p for name, p in named.items() if name.endswith("lora_B")]
    groups: list[dict[str, Any]] = [{"params": first}, {"params": then, "lr": 16 * lr}]
    return torch.optim.AdamW(groups, lr=lr)


def tokens(model: torch.nn.Module, lr: float, weight_decay: float) -> Any:
    exempt = ("cls_token", "pos_embed", "norm.bias", "LayerNorm.weight")
    groups = split(model.named_parameters(), lambda name: name in exempt, weight_decay=0.0)
    return torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay)


def by_number(model: torch.nn.Module, lr: float) -> Any:
    """Refused where what follows is no number."""

    def depth(name: str) -> int:
        return int(name.split(".")[2]) if name.startswith("encoder.layers.") else 2

    groups = [
        {"params": [p], "lr": lr * 0.5 ** depth(name)} for name, p in model.named_parameters()
    ]
    return torch.optim.Adam(groups, lr=lr)


def last_slower(params: Any, lr: float) -> Any:
    """By place, and not by dimension."""
    *first, last = params
    groups: list[dict[str, Any]] = [{"params": first}, {"params": [last], "lr": 0.1 * lr}]
    return torch.optim.SGD(groups, lr=lr, momentum=0.9)


class FirstUndecayed(torch.optim.Optimizer):
    """The vector, but for being one."""

    def __init__(self, params: Any, lr: float = 0.1, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for n, p in enumerate(group["params"]):
                decay = group["weight_decay"] if n else 0.0
                p.sub_(group["lr"] * (p.grad + decay * p))


class SecondSlower(torch.optim.SGD):
    """In float32 alone, by place."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        first, *others = params
        if first.dtype != torch.float32:
            raise TypeError("float32 only")
        groups: list[dict[str, Any]] = [{"params": [first]}, {"params": others, "lr": 0.1 * lr}]
        super().__init__(groups, lr=lr)


def embeddings_alone(model: torch.nn.Module, lr: float) -> Any:
    """Of a rule whose cases have two matrices, an encoder's and an embedding's."""
    named = dict(model.named_parameters())
    return torch.optim.Muon([p for name, p in named.items() if "embedding" in name], lr=lr)


FOUND: dict[Any, tuple[str, str]] = {
    SecondSlower: (
        TENSORS,
        "SGD's coupled_unscaled, but lr × 0.1 for the second of two parameters",
    ),
    **(
        {
            embeddings_alone: (
                MODEL,
                "Muon's decoupled_lr, but lr × 0 for parameters named encoder",
            )
        }
        if hasattr(torch.optim, "Muon")
        else {}
    ),
    slower_but_the_head: (
        MODEL,
        "AdamW's decoupled_lr, weight_decay = 0.05 whatever is given, but lr × 0.1 for all "
        "parameters but those named head",
    ),
    encoder_at_rest: (
        MODEL,
        "SGD's coupled_unscaled, but lr × 0 for parameters named encoder",
    ),
    layer_by_layer: (
        MODEL,
        "AdamW's decoupled_lr, but lr × 0.8 for parameters named layers.1, but lr × 0 for all "
        "parameters but those named layers",
    ),
    by_parts: (
        MODEL,
        "SGD's coupled_unscaled, lr = 0.001 and momentum = 0.9 whatever is given, but lr = 0.01 "
        "whatever is given for parameters named classifier, but lr × 0 for all parameters but "
        "those named backbone or classifier",
    ),
    of_adapters: (
        NAMED,
        "AdamW's decoupled_lr, but lr × 16.0 for parameters named lora_B, but lr × 0 for all "
        "parameters but those named lora_A or lora_B",
    ),
    tokens: (
        MODEL,
        "AdamW's decoupled_lr, but decay_ignored for norm.bias and LayerNorm.weight and cls_token "
        "and pos_embed",
    ),
    by_number: (
        MODEL,
        "Adam's coupled_unscaled, but lr × 0.25 for all parameters but those named encoder.layers, "
        "but lr × 0.5 for parameters named encoder.layers.1",
    ),
    last_slower: (
        TENSORS,
        "SGD's coupled_unscaled, momentum = 0.9 whatever is given, but lr × 0.1 for the second of "
        "two parameters",
    ),
    FirstUndecayed: (
        TENSORS,
        "SGD's coupled_unscaled, but decay_ignored for the first of two parameters",
    ),
    by_name: (NAMED, "SGD's coupled_unscaled, but decay_ignored for parameters named bias"),
    without_a_hint: (
        NAMED,
        "Adam's coupled_unscaled, but decay_ignored for all parameters but those named weight",
    ),
    of_a_model: (
        MODEL,
        "AdamW's decoupled_lr, but decay_ignored for parameters named bias or norm",
    ),
    by_module: (
        MODEL,
        "SGD's coupled_unscaled, but decay_ignored for parameters of at most one dimension or "
        "named bias or norm or embedding",
    ),
    by_dimension: (
        MODEL,
        "AdamW's decoupled_lr, but decay_ignored for parameters of at most one dimension",
    ),
    twice_as_fast: (MODEL, "SGD's coupled_unscaled, but lr × 2 for parameters named bias"),
    ByName: (NAMED, "SGD's coupled_unscaled, but decay_ignored for parameters named norm"),
    plain: (TENSORS, "SGD's coupled_unscaled"),
    written: (
        MODEL,
        "AdamW's decoupled_lr, lr = 0.0006, beta2 = 0.95 and weight_decay = 0.1 whatever is given, "
        "but weight_decay = 0.0 whatever is given for parameters of at most one dimension",
    ),
    slower_encoder: (
        MODEL,
        "AdamW's decoupled_lr, but lr × 0.1 for parameters named encoder",
    ),
    three_groups: (
        MODEL,
        "SGD's coupled_unscaled, lr = 0.01, momentum = 0.9 and weight_decay = 0.0001 whatever is "
        "given, but lr = 0.001 whatever is given for parameters named encoder, but "
        "weight_decay = 0 whatever is given for parameters named norm",
    ),
    by_layer: (
        MODEL,
        "AdamW's decoupled_lr, weight_decay = 0.0 whatever is given, "
        "but lr × 0.5, weight_decay = 0.2 whatever is given for encoder.weight, "
        "but lr × 0.015625, weight_decay = 0.2 whatever is given for parameters named embedding, "
        "but lr × 0.03125 for parameters named relative, "
        "but lr × 0.0078125, weight_decay = 0.2 whatever is given for parameters named image, "
        "but lr × 0.25, weight_decay = 0.2 whatever is given for norm.weight, "
        "but lr × 0.125 for norm.bias, "
        "but lr × 0.0625, weight_decay = 0.2 whatever is given for parameters named scale",
    ),
    by_type: (
        MODEL,
        "SGD's coupled_unscaled, nesterov = True whatever is given, but decay_ignored for "
        "encoder.bias and norm.weight and norm.bias and image_norm.weight, but lr × 0 for "
        "parameters named attention",
    ),
    decay_written: (
        MODEL,
        "AdamW's decoupled_lr, weight_decay = 0.1 whatever is given, but decay_ignored for "
        "parameters of at most one dimension",
    ),
    rate_written: (
        MODEL,
        "AdamW's decoupled_lr, lr = 0.001 whatever is given, but decay_ignored for parameters of "
        "at most one dimension",
    ),
    many_numbers: (
        MODEL,
        "AdamW's decoupled_lr, lr = 0.001, beta2 = 0.95 and weight_decay = 0.1 whatever is given, "
        "but lr = 0.01, beta1 = 0.8, beta2 = 0.99, eps = 1e-06 and weight_decay = 0.0 whatever is "
        "given for parameters of at most one dimension",
    ),
    many_digits: (
        MODEL,
        "SGD's coupled_unscaled, lr = 0.065 and momentum = 0.9 whatever is given, "
        "but lr = 0.0075418890625 whatever is given for parameters named embedding, "
        "but lr = 0.01160290625 whatever is given for parameters named relative, "
        "but lr = 0.004902227890625 whatever is given for parameters named image, "
        "but lr = 0.1 whatever is given for encoder.bias, "
        "but lr = 0.04225 whatever is given for norm.weight, "
        "but lr = 0.0274625 whatever is given for norm.bias, "
        "but lr = 0.017850625 whatever is given for parameters named scale",
    ),
    biases_up: (
        MODEL,
        "SGD's coupled_unscaled, lr = 0.1 whatever is given, but maximize = True whatever is given "
        "for parameters named bias",
    ),
    all_sorted: (
        LAYERS,
        "AdamW's decoupled_lr, lr = 0.0003 and weight_decay = 0.1 whatever is given, but "
        "weight_decay = 0.0 whatever is given for parameters of at most one dimension or named "
        "embedding",
    ),
    plain_vectors_faster: (
        TENSORS,
        "SGD's coupled_unscaled, but lr × 2.0 for parameters of at most one dimension",
    ),
    vectors_faster: (
        TENSORS,
        "SGD's coupled_unscaled, momentum = 0.85 whatever is given, but lr × 10.0 for parameters "
        "of at most one dimension",
    ),
}


@cache
def found(make: Any, rule: str) -> Identification:
    return identify(make, [rule])


@pytest.mark.one_in(8)
@pytest.mark.parametrize("make", FOUND, ids=lambda make: str(make.__name__))
def test_groups_are_found(make: Any) -> None:
    form, said = FOUND[make]
    assert ForeignOptimizer(make).form == form
    assert str(found(make, said.split("'")[0])) == f"{make.__name__} follows {said}"


def test_it_is_said_in_words() -> None:
    told = found(by_name, "SGD")
    assert "No weight decay for parameters named bias." in render(told)
    assert told.to_json()["exceptions"][0]["where"] == "for parameters named bias"
    assert not told.torchs


def by_pattern(model: torch.nn.Module, lr: float) -> Any:
    """Patterns ask names nothing that these could note."""
    first, then = split(model.named_parameters(), lambda name: bool(re.match("head", name)))
    return torch.optim.SGD([first, then | {"lr": 10 * lr}], lr=lr)


def by_table(model: torch.nn.Module, lr: float) -> Any:
    """With what is refused whatever follows."""

    def factor(name: str) -> float:
        return {"attn": 0.5}[name.split(".")[1]] if name.startswith("trunk.") else 1.0

    groups = [{"params": [p], "lr": lr * factor(name)} for name, p in model.named_parameters()]
    return torch.optim.SGD(groups, lr=lr)


REMARKS: dict[Any, tuple[str, str]] = {
    by_pattern: (
        "SGD",
        "Not all of it was seen: one of its groups is empty with the parameters that it was given.",
    ),
    by_table: (
        "SGD",
        "Not all of it was seen: no parameter has 'trunk.' in its name that it was given.",
    ),
    written: ("AdamW", "No weight decay for parameters of at most one dimension."),
    by_type: ("SGD", "No step at all for parameters named attention."),
}


@pytest.mark.parametrize("make", REMARKS, ids=lambda make: str(make.__name__))
def test_what_no_group_has_is_said_in_words(make: Any) -> None:
    rule, remark = REMARKS[make]
    told = found(make, rule)
    assert remark in render(told)
    assert not told.torchs


def both(model: torch.nn.Module) -> Any:
    """Two optimizers for two kinds of parameters, and no rule for all."""

    class Both(torch.optim.Optimizer):
        def __init__(self) -> None:
            vectors = [p for p in model.parameters() if p.dim() < 2]
            self.both = [
                torch.optim.SGD(vectors, lr=0.1),
                torch.optim.Adam([p for p in model.parameters() if p.dim() > 1], lr=0.01),
            ]
            super().__init__(model.parameters(), {})

        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for each in self.both:
                each.step()

    return Both()


def undecayed_encoder(model: torch.nn.Module) -> Any:
    named = dict(model.named_parameters())
    first = [p for name, p in named.items() if name.startswith("encoder")]
    rest = [p for name, p in named.items() if not name.startswith("encoder")]
    groups: list[dict[str, Any]] = [
        {"params": first, "lr": 1e-5, "weight_decay": 0.0},
        {"params": rest},
    ]
    return torch.optim.AdamW(groups, lr=1e-3)


@pytest.mark.slow
def test_who_is_not_decayed_does_not_say_whose_decay_it_is() -> None:
    assert str(identify(undecayed_encoder, ["Adam", "AdamW"])) == (
        "undecayed_encoder follows AdamW's decoupled_lr, lr = 0.001 whatever is given, but "
        "lr = 1e-05 and weight_decay = 0.0 whatever is given for parameters named encoder"
    )


def test_what_is_another_rule_s_is_no_exception() -> None:
    told = identify(both, ["SGD", "Adam"])
    assert not told.fits and not told.exceptions


def attention_alone(model: torch.nn.Module, lr: float) -> Any:
    """All else is frozen, and in no group."""
    trained = [p for name, p in model.named_parameters() if "attention" in name]
    return torch.optim.AdamW(trained, lr=lr)


def biases_first(model: torch.nn.Module, lr: float) -> Any:
    first, then = split(model.named_parameters(), lambda name: "bias" not in name)
    optimizer = torch.optim.SGD([first], lr=lr)
    optimizer.add_param_group(then)
    return optimizer


def matrices_alone(params: Any, lr: float) -> Any:
    return torch.optim.RMSprop([p for p in params if p.dim() > 1], lr=lr)


CHOOSE = {
    attention_alone: "AdamW",
    of_adapters: "AdamW",
    biases_first: "SGD",
    matrices_alone: "RMSprop",
}


@pytest.mark.slow
@pytest.mark.parametrize("make", CHOOSE, ids=lambda make: str(make.__name__))
def test_who_chooses_among_parameters_breaks_nothing(make: Any) -> None:
    """What it leaves out is not stepped, and some alone are no parameters for it."""
    report = oracles.check(make, CHOOSE[make], dtypes=[], not_promised=["rule"])
    assert report.ok, report.faults()
    assert len([line for line in report.promises if line.word == "kept"]) > 20


@pytest.mark.slow
@pytest.mark.parametrize("make", slow([by_name, of_a_model, twice_as_fast], of_a_model))
def test_promises_are_kept(make: Any) -> None:
    """Whoever makes its own groups is not asked about others'."""
    report = oracles.check(make, FOUND[make][1].split("'")[0], dtypes=[], not_promised=["rule"])
    assert report.ok, report.faults()
    asked = {line.name: line.why for line in report.promises if line.word == "not asked"}
    assert {"groups", "group added later", "any iterable"} <= {*asked}
    assert "makes its own groups" in asked["groups"]
    assert ("learning rates of their own" in asked.get("edited lr", "")) == (make is twice_as_fast)
