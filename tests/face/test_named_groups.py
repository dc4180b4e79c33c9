"""Groups that are chosen by the names of parameters are found, and said in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch

import oracles
from oracles.harness.subjects.foreign import ForeignOptimizer
from oracles.harness.subjects.handing import MODEL, NAMED, TENSORS
from oracles.identification import identify
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


FOUND: dict[Any, tuple[str, str]] = {
    by_name: (NAMED, "SGD's coupled_unscaled, but decay_ignored for parameters named bias"),
    without_a_hint: (
        NAMED,
        "Adam's coupled_unscaled, but decay_ignored for parameters named bias or scale",
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
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("make", FOUND, ids=lambda make: str(make.__name__))
def test_groups_are_found(make: Any) -> None:
    form, said = FOUND[make]
    assert ForeignOptimizer(make).form == form
    assert str(identify(make, [said.split("'")[0]])) == f"{make.__name__} follows {said}"


def test_it_is_said_in_words() -> None:
    found = identify(by_name, ["SGD"])
    assert "No weight decay for parameters named bias." in render(found)
    assert found.to_json()["exceptions"][0]["where"] == "for parameters named bias"
    assert not found.torchs


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
