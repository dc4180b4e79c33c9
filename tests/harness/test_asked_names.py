"""What a factory looks for in names, or in a model, is there when it is asked."""

from __future__ import annotations

import copy
import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from oracles.harness.subjects.asked_names import DERIVED, NOTED, NotingName, Questions
from oracles.harness.subjects.foreign import ForeignOptimizer
from oracles.harness.subjects.handing import MODEL, NAMED
from oracles.harness.subjects.parameter_names import NAMES

Ask = Callable[[str], bool]


def chosen(model: Any, ask: Ask) -> torch.optim.Optimizer:
    """Two groups, by names."""
    named = list(model.named_parameters() if hasattr(model, "named_parameters") else model)
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in named if ask(name) is there], "lr": 0.1 * (1 + there)}
        for there in (False, True)
    ]
    return torch.optim.SGD(groups, lr=0.1)


def alone(model: Any, ask: Ask) -> torch.optim.Optimizer:
    """A group for each parameter, of which none is empty."""
    named = list(model.named_parameters() if hasattr(model, "named_parameters") else model)
    groups = [{"params": [p], "lr": 0.1 * (1 + ask(name))} for name, p in named]
    return torch.optim.SGD(groups, lr=0.1)


def looked_up(name: str) -> bool:
    match name.split("."):
        case ["head", *_]:
            return True
    return False


UNDECAYED = {"cls_token", "pos_embed"}

ASKS: dict[str, Ask] = {
    "in a set": lambda name: name in {"cls_token", "dist_token"},
    "in a set that is known": lambda name: name in UNDECAYED,
    "a piece as a key": lambda name: {"stem": 0.1, "head": 1.0}.get(name.split(".")[0], 0.5) < 0.5,
    "the shorter word": lambda name: False if "lm_head" in name else "head" in name,
    "what modules have": lambda name: "type" in name and "token_type" not in name,
    "in": lambda name: "head" in name,
    "begins": lambda name: name.startswith("head."),
    "one of several": lambda name: name.startswith(("head", "neck")),
    "ends": lambda name: name.endswith(".lora_B.weight"),
    "is": lambda name: name == "head.weight",
    "in a tuple": lambda name: name in ("cls_token", "pos_embed"),
    "the first piece": lambda name: name.split(".")[0] == "head",
    "any piece": lambda name: "head" in name.split("."),
    "the last piece": lambda name: name.rpartition(".")[2] == "gamma",
    "matched pieces": looked_up,
    "the second piece": lambda name: len(name) > 3 and name.split(".")[1:2] == ["attn"],
    "a piece in small letters": lambda name: (
        name.split(".")[1:] != [] and name.split(".")[1].lower() == "attn"
    ),
    "begins the last piece": lambda name: name.split(".")[-1].startswith("lora_"),
    "in the last piece": lambda name: "lora" in name.rsplit(".", 1)[-1],
    "before the last piece": lambda name: name.rpartition(".")[0] == "attn",
    "the first part": lambda name: name.partition(".")[0] == "attn",
    "stripped": lambda name: name.strip() == "token",
    "the end": lambda name: name[-6:] == "lora_A",
    "without an end": lambda name: name.removesuffix(".weight").removesuffix(".bias") == "head",
    "without points": lambda name: name.replace(".", "/").endswith("head/weight"),
    "in large letters": lambda name: "HEAD" in name.upper(),
    "folded": lambda name: name.casefold().startswith("head"),
    "from the end": lambda name: name.rfind("head") >= 0,
    "where it is": lambda name: "head" in name and name.index("head") == 0,
    "as a title": lambda name: name.title().startswith("Head"),
    "stripped at the end": lambda name: name.rstrip(".weight") == "proj_",
    "stripped at the start": lambda name: name.lstrip("_").startswith("head."),
    "a matrix": lambda name: name == "head.weight",
    "it or what is in it": lambda name: name == "head" or name.startswith("head."),
    "in small letters": lambda name: "layernorm" in name.lower(),
    "without a prefix": lambda name: name.removeprefix("module.").startswith("head"),
    "a slice": lambda name: name[:4] == "head",
    "found": lambda name: name.find("head") >= 0,
    "counted": lambda name: name.count("lora") > 0,
    "both": lambda name: "attn2" in name and ("to_k" in name or "to_v" in name),
    "one without the other": lambda name: "head" in name and "norm" not in name,
    "a number": lambda name: name.startswith("h.") and int(name.split(".")[1]) > 0,
}


def every(box: ForeignOptimizer) -> list[str]:
    return [*chain(*box.vocabulary.values())]


def test_each_method_is_asked_for() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    methods = [method for method in (*NOTED, *DERIVED) if not method.startswith("__")]
    assert not [method for method in methods if f"name.{method}(" not in source]


@pytest.mark.parametrize("what", ASKS)
@pytest.mark.parametrize("argument", ["model", "named_parameters"])
def test_some_name_is_what_is_asked_for(what: str, argument: str) -> None:
    ask = ASKS[what]

    def of_a_model(model: Any, lr: float) -> Any:
        return chosen(model, ask)

    def of_pairs(named_parameters: Iterable[Any], lr: float) -> Any:
        return chosen(named_parameters, ask)

    box = ForeignOptimizer(of_a_model if argument == "model" else of_pairs)
    assert box.form == (MODEL if argument == "model" else NAMED)
    assert not any(map(ask, chain(*NAMES.values())))
    assert any(map(ask, every(box)))
    assert all(type(name) is str for name in every(box))
    assert not box.missed


@pytest.mark.parametrize("what", ASKS)
def test_some_parameter_is_stepped_as_what_is_asked_for(what: str) -> None:
    """Where each has a group of its own, so that none is empty."""
    ask = ASKS[what]

    def make(model: Any, lr: float) -> Any:
        return alone(model, ask)

    box = ForeignOptimizer(make)
    params = [torch.nn.Parameter(torch.zeros(shape)) for shape in box.shapes]
    rates = {group["lr"] for group in box.built(params, {"lr": 0.1}).param_groups}
    assert len(rates) == 2


def of_layers(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Names as minGPT makes them."""
    for path, module in model.named_modules():
        for name, p in module.named_parameters(recurse=False):
            yield ("it" if "lora" in name else "") + path, p


def of_a_part(model: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
    yield from ((name, p) for name, p in model.encoder.named_parameters() if "lora" in name)


def one_of_a_part(model: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
    yield from ((name, p) for name, p in model.encoder.named_parameters() if name == "lora")


def of_a_copy(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """As averages of weights are begun."""
    names = [name for name, _ in copy.deepcopy(model).named_parameters() if "lora" in name]
    yield from ((name, p) for name, p in model.named_parameters() if name in names)


@pytest.mark.parametrize("some", [of_layers, of_a_part, one_of_a_part, of_a_copy])
def test_parts_and_copies_of_a_model_note_what_they_are_asked(some: Any) -> None:
    def make(model: torch.nn.Module, lr: float) -> Any:
        first = [p for _, p in some(model)]
        ids = {id(p) for p in first}
        rest = [p for p in model.parameters() if id(p) not in ids]
        return torch.optim.SGD([{"params": first}, {"params": rest}], lr=lr)

    box = ForeignOptimizer(make)
    assert any("lora" in name for name in every(box))
    told = "no parameter has 'lora' in its name that it was given"  # by its own module
    assert box.missed == told * (some is of_layers)


def test_parts_that_a_model_may_have_are_told() -> None:
    """But not what is asked of models that are wrapped, or of each part."""

    def make(model: Any, lr: float) -> Any:
        whole = model.module if hasattr(model, "module") else model
        assert not hasattr(whole, "bias")
        head = list(whole.head.parameters()) if hasattr(whole, "head") else []
        return torch.optim.SGD([*whole.encoder.parameters(), *head], lr=lr)

    assert ForeignOptimizer(make).missed == "the model that it was given has no 'head'"


def test_of_a_list_there_are_as_many_as_are_looked_for() -> None:
    def make(model: Any, lr: float) -> Any:
        groups = [{"params": model.layers[n].parameters(), "lr": lr * 0.5**n} for n in range(6)]
        return torch.optim.SGD(groups, lr=lr)

    assert "layers.5.weight" in every(ForeignOptimizer(make))


def test_a_switch_and_a_text_are_no_parts() -> None:
    """What is refused without is refused with them."""
    for ask in (lambda model: model.is_quantized, lambda model: model.config.name == "adam"):
        box = ForeignOptimizer(
            lambda model, lr, ask=ask: torch.optim.SGD(
                model.parameters(), lr=0.1 * lr if ask(model) else lr
            ),
            fixed={"ask": ask},
        )
        assert every(box) == [*chain(*NAMES.values())]


PARTS: dict[str, tuple[Callable[[Any], Iterable[Any]], str]] = {
    "a part": (lambda model: model.backbone.parameters(), "backbone.weight"),
    "of a part": (lambda model: model.bert.pooler.parameters(), "bert.pooler.weight"),
    "of a usual part": (lambda model: model.encoder.head.parameters(), "encoder.head.weight"),
    "one of a list": (lambda model: model.transformer.h[0].parameters(), "transformer.h.0.weight"),
    "the last of a list": (lambda model: model.blocks[-1].parameters(), "blocks.1.weight"),
    "each of a list": (
        lambda model: chain(*(layer.parameters() for layer in model.layers)),
        "layers.0.weight",
    ),
    "its own": (lambda model: [model.head.weight], "head.weight"),
    "by name": (lambda model: [dict(model.named_parameters())["head.bias"]], "head.bias"),
    "a module by name": (
        lambda model: dict(model.named_modules())["head"].parameters(),
        "head.weight",
    ),
    "a child by name": (
        lambda model: chain(*(m.parameters() for n, m in model.named_children() if n == "head")),
        "head.weight",
    ),
}


@pytest.mark.parametrize("what", PARTS)
def test_some_part_is_what_is_asked_for(what: str) -> None:
    some, name = PARTS[what]
    box = ForeignOptimizer(lambda model, lr: torch.optim.SGD(some(model), lr=lr))
    assert name in every(box)
    assert not box.missed
    made = box.built([torch.nn.Parameter(torch.zeros(s)) for s in box.shapes], {"lr": 0.1})
    assert 0 < len(made.param_groups[0]["params"]) < len(box.shapes)


def test_who_freezes_the_others_is_asked_with_some_that_are_not() -> None:
    """Where none is left, it is refused, and has asked all the same."""

    def trained(model: torch.nn.Module, lr: float) -> Any:
        for name, p in model.named_parameters():
            p.requires_grad = "lora_" in name
        return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr)

    assert any("lora_" in name for name in every(ForeignOptimizer(trained)))


def test_what_no_name_can_have_is_told() -> None:
    """What begins like a method of a module is in no model."""
    box = ForeignOptimizer(lambda model, lr: chosen(model, lambda name: name.startswith("to.")))
    assert every(box) == [*chain(*NAMES.values())]
    assert box.missed == "no parameter has 'to.' in its name that it was given"


def test_what_was_not_meant_so_is_told() -> None:
    """There is a name with both, and not where they are looked for."""

    def make(model: torch.nn.Module, lr: float) -> Any:
        return alone(model, lambda name: name.split(".")[0] == "x" and name.split(".")[-1] == "y")

    assert ForeignOptimizer(make).missed == "no parameter has 'y' in its name that it was given"


PATTERN = re.compile("head")


def each(model: torch.nn.Module, lr: float, ask: Ask) -> torch.optim.Optimizer:
    """A group for each parameter, so that none is empty."""
    groups = [{"params": [p], "lr": lr * (1 + ask(name))} for name, p in model.named_parameters()]
    return torch.optim.SGD(groups, lr=lr)


def searched(model: torch.nn.Module, lr: float) -> Any:
    return each(model, lr, lambda name: re.search("head|neck", name) is not None)


def compiled(model: torch.nn.Module, lr: float) -> Any:
    return each(model, lr, lambda name: PATTERN.match(name) is not None)


def as_files(model: torch.nn.Module, lr: float) -> Any:
    return each(model, lr, lambda name: fnmatch.fnmatch(name, "*head*"))


def is_head(name: str) -> bool:
    return bool(PATTERN.search(name))


def elsewhere(model: torch.nn.Module, lr: float) -> Any:
    return each(model, lr, is_head)


def without(model: torch.nn.Module, lr: float) -> Any:
    return each(model, lr, lambda name: "bias" in name)


@pytest.mark.parametrize("make", [searched, compiled, as_files, elsewhere, without])
def test_that_there_are_patterns_is_told(make: Any) -> None:
    told = "what it looks for in names by patterns cannot be seen"
    assert ForeignOptimizer(make).missed == told * (make is not without)


NOTHING: dict[str, Any] = {}

REFUSED: dict[str, Callable[[Any], Iterable[Any]]] = {
    "what is called": lambda model: model.get_input_embeddings().parameters(),
    "a number": lambda model: range(model.config.hidden_size),
    "a key": lambda model: [NOTHING["head"]],
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_name_mends_is_refused_as_it_was(what: str) -> None:
    """With the names that there were."""
    some = REFUSED[what]
    box = ForeignOptimizer(lambda model, lr: torch.optim.SGD(some(model), lr=lr))
    assert box.vocabulary == NAMES
    assert not box.missed


def test_a_name_that_notes_is_a_name() -> None:
    questions = Questions()
    noting = NotingName.of("head.weight", questions)
    assert noting == "head.weight"
    assert noting != "head.bias"
    assert "head.weight" in {noting, "head.bias"}
    assert noting.split(".") == ["head", "weight"]
    assert f"{noting}" == str(noting) == "head.weight"
    assert noting.upper() == "HEAD.WEIGHT"
    told = {(q.how, q.word, q.yes) for q in questions if q.asked == "head.weight"}
    assert {("is", "head.bias", False), ("piece", "head", True)} <= told
