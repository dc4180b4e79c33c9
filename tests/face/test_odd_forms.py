"""Right code in forms that nobody has foreseen is not refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import oracles
from oracles.identification import identify
from tests.support.marks import NADAM, skip_before, slow
from tests.support.odd_forms import (
    ODD_FORMS,
    PLAIN_FORMS,
    Bound,
    InAClosure,
    Passing,
    Slotted,
    by_name,
    look_ahead,
)

LARGEST = 2
"""Radii: these forms make a few roundings more than torch's, and none of them a shorter one."""


def name(form: Any) -> str:
    return getattr(form, "__name__", "partial")


@pytest.mark.one_in(6)
@pytest.mark.parametrize("form", slow(ODD_FORMS, by_name, look_ahead, Slotted, Bound), ids=name)
def test_it_follows_its_rule(form: Any) -> None:
    if form is Bound:
        skip_before("2.0", NADAM)
    found = identify(form)
    assert str(found.fits[0]) == ODD_FORMS[form]


@pytest.mark.parametrize("form", PLAIN_FORMS, ids=name)
def test_where_its_rate_is_kept_is_no_matter(form: Any) -> None:
    found = identify(form, ["SGD"])
    assert str(found.fits[0]) == "SGD's coupled_unscaled"


def test_a_rate_by_torch_s_name_in_groups_keeps_what_hangs_on_it() -> None:
    assert oracles.check(Passing, "SGD", dtypes=[]).faults() == []


@pytest.mark.slow
def test_what_has_one_dimension_is_an_exception() -> None:
    """And there is no one figure for what follows two conventions."""
    report = oracles.check(by_name, dtypes=["float64"])
    assert report.found
    (exception,) = report.found.exceptions
    assert str(exception) == "decay_ignored for parameters of at most one dimension"
    assert not report.accuracies
    assert dict(report.refused)["float64"] == (
        "not measured: some parameters are stepped otherwise than the others"
    )


@pytest.mark.slow
def test_the_figure_is_beside_what_the_rule_sees() -> None:
    """Its Nesterov switch is on whatever is given."""
    report = oracles.check(look_ahead, dtypes=["float64"])
    assert report.accuracies[0].radii < LARGEST


@pytest.mark.slow
def test_a_step_that_needs_a_closure_is_given_one() -> None:
    report = oracles.check(InAClosure, "Adam", dtypes=["float32"])
    assert report.ok
    assert report.accuracies[0].radii < LARGEST


class Once(InAClosure):
    """Raises whether it is given a closure or not."""

    def step(self, closure: Any = None) -> Any:
        raise RuntimeError("no closure" if closure is None else "a closure")


def test_who_raises_with_a_closure_as_well_is_told_without() -> None:
    found = identify(lambda params, lr: Once(params, lr))
    assert found.fault == "RuntimeError: no closure"
    assert torch.is_grad_enabled()


class Lit(torch.nn.Module):
    """A model that says itself how it is optimized, as people copy it."""

    def configure_optimizers(self, weight_decay: float, learning_rate: float, betas: Any) -> Any:
        named = dict(self.named_parameters())
        groups = [
            {"params": [p for p in named.values() if (p.dim() > 1) is matrices], "weight_decay": d}
            for matrices, d in ((True, weight_decay), (False, 0.0))
        ]
        return torch.optim.AdamW(groups, lr=learning_rate, betas=betas)

    def own(self) -> Any:
        return torch.optim.AdamW(self.parameters())

    def with_more(self) -> Any:
        return {"optimizer": torch.optim.AdamW(self.parameters()), "monitor": "loss"}


def of_a_config(config: Any, model: torch.nn.Module) -> Any:
    return torch.optim.SGD(model.parameters(), lr=config.lr)


@pytest.mark.slow
def test_a_method_of_a_model_is_given_one() -> None:
    """And numbers that are a pair where they must be."""
    told = str(identify(Lit.configure_optimizers, ["AdamW"]))
    assert told.endswith(
        "AdamW's decoupled_lr, but decay_ignored for parameters of at most one dimension"
    )


def test_how_it_can_be_asked_is_said() -> None:
    assert str(identify(Lit.with_more)).endswith("dict has no step(); return the optimizer alone")
    told = "'model'; the first argument is given parameters: write a function of these alone"
    assert str(identify(of_a_config)).endswith(told)
    with pytest.raises(TypeError, match="takes no argument, as it is bound to a model already"):
        identify(Lit().own)
