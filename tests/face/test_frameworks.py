"""What was seen of other frameworks, as far as none of them need be there."""

from __future__ import annotations

import doctest
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmarks.page
from benchmarks.adapters.framework import (
    FRAMEWORKS,
    Framework,
    FrameworkOptimizer,
    Step,
)
from benchmarks.frameworks import HELD, REFUSED, carried, kept, seen
from benchmarks.page import page
from oracles.dictionary.arguments import ARGUMENTS
from oracles.dictionary.frameworks import PRESETS, SEEN
from oracles.optimizers.registry import RULES
from oracles.translation import translate

ROOT = Path(__file__).parents[2]


def test_the_page_says_what_the_table_says() -> None:
    assert (ROOT / "FRAMEWORKS.md").read_text(encoding="utf-8") == page(SEEN)


def test_its_examples_give_what_they_say() -> None:
    tried = doctest.testmod(benchmarks.page)
    assert (tried.failed, tried.attempted > 0) == (0, True)


def test_a_row_is_read_as_it_is_written() -> None:
    """What is said of arguments once, in the package, is in no row of the table."""
    table = json.loads((ROOT / "oracles/dictionary/frameworks.json").read_text("utf-8"))
    assert [json.loads(json.dumps(row.as_json())) for row in SEEN] == table
    assert not {"rule", "names"} & {key for row in table for key in row}


def test_every_optimizer_has_been_seen() -> None:
    assert [row.name for row in SEEN] == sorted(
        ARGUMENTS, key=lambda name: [row.name for row in SEEN].index(name)
    )


def test_tox_pins_the_versions_that_were_seen() -> None:
    pinned = re.findall(
        r"^ +\w+: ([\w-]+)(?:\[\w+\])?==(\S+)", (ROOT / "tox.ini").read_text(), re.MULTILINE
    )
    assert {f"{name} {version}" for name, version in pinned} == {row.version for row in SEEN}
    assert [name for name, _ in pinned] == list(FRAMEWORKS)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_carried_over_to_torch_or_it_is_said_why_not(name: str) -> None:
    """With all its defaults but a learning rate."""
    preset = PRESETS[name]
    given = {"batch_size": 7} | ({"lr": 0.5} if "lr" in preset.names else {})
    found = translate(given, name, f"torch.{preset.rule}")
    assert bool(found.values or found.schedules) == (found.refusal is None)
    assert found.refusal is None or found.refusal.example is not None
    assert " ".join(translate(given, name, name).range) in ("", preset.where.words)


def _start(parameters: Any, values: Mapping[str, Any]) -> Step:
    """A framework of ours that follows torch's SGD, or decays by twice as much."""
    held = [p.copy() for p in parameters]
    buffers = [np.zeros_like(p) for p in parameters]

    def step(gradients: Any, values: Mapping[str, Any]) -> Any:
        for w, b, g in zip(held, buffers, gradients, strict=True):
            d = g + values["weight_decay"] * w
            b[...] = values["momentum"] * b + d
            w -= values["lr"] * (d + values["momentum"] * b if values["nesterov"] else b)
        return [w.copy() for w in held]

    return step


def _signature(lr: float, weight_decay: float = 0.25, momentum: Any = None) -> None: ...


NUMPY = Framework("numpy", "numpy", "ours")
OURS = FrameworkOptimizer("tinygrad.SGD", _start, _signature)


class TestOfAFrameworkOfOurs:
    """Under the name and arguments of one that was seen."""

    def test_it_is_seen(self) -> None:
        row = seen(NUMPY, OURS)
        assert row.version == f"numpy {np.__version__}"
        assert (row.rule, row.conventions, row.decays_biases) == ("SGD", (), True)
        assert row.defaults == {"weight_decay": 0.25, "momentum": None}

    def test_what_its_signature_leaves_out(self) -> None:
        """MXNet's wd, which is handed on, and Chainer's hook, without which nothing decays."""
        ours = replace(OURS, beside={"nesterov": False, "momentum": 0.5})
        assert ours.defaults == {"weight_decay": 0.25, "momentum": None, "nesterov": False}
        handed: dict[str, dict[str, Any]] = {
            "mxnet.SGD": {"wd": 0.0},
            "chainer.SGD": {"WeightDecay": None},
        }
        rows = {row.name: row for row in SEEN}
        assert all(d.items() <= rows[name].defaults.items() for name, d in handed.items())

    def test_what_it_always_acts_with_is_seen_and_carried_over(self) -> None:
        """Without a switch it looks ahead; chainer's AMSGrad is such a one."""

        def ahead(parameters: Any, values: Mapping[str, Any]) -> Step:
            step = _start(parameters, {**values, "nesterov": True})
            return lambda gradients, values: step(gradients, {**values, "nesterov": True})

        ours = FrameworkOptimizer("chainer.NesterovAG", ahead, _signature)
        names = {"lr": "lr", "weight_decay": "weight_decay", "momentum": "momentum"}
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(FrameworkOptimizer, "names", names)
            assert seen(NUMPY, ours).conventions is None
            row = seen(NUMPY, replace(ours, always={"nesterov": True}))
        assert (row.conventions, row.always) == ((), {"nesterov": True})
        assert row.as_json()["always"] == {"nesterov": True}
        told = translate({"alpha": 0.5}, "chainer.AMSGrad", "torch.Adam")
        assert told.values["amsgrad"] is True

    def test_what_keeps_numbers_in_float32_is_seen_as_the_rule(self) -> None:
        def short(parameters: Any, values: Mapping[str, Any]) -> Step:
            def cut(values: Mapping[str, Any]) -> dict[str, Any]:
                return {**values, "momentum": float(np.float32(values["momentum"]))}

            step = _start(parameters, cut(values))
            return lambda gradients, values: step(gradients, cut(values))

        assert seen(NUMPY, replace(OURS, start=short)).conventions == ()

    def test_what_computes_in_float32_is_asked_in_that(self) -> None:
        def started(parameters: Any, values: Mapping[str, Any]) -> Step:
            assert parameters[0].dtype == np.float32
            return _start(parameters, values)

        ours = replace(OURS, start=started, dtype="float32")
        assert seen(NUMPY, ours).conventions == ()
        assert set(carried(ours)) == {HELD}

    def test_numbers_that_are_carried_over_are_run(self) -> None:
        assert set(carried(OURS)) == {HELD}

    def test_numbers_that_do_not_do_are_told(self) -> None:
        def doubled(parameters: Any, values: Mapping[str, Any]) -> Step:
            step = _start(parameters, values)
            return lambda gradients, values: step(
                gradients, {**values, "weight_decay": 2 * values["weight_decay"]}
            )

        told = list(carried(FrameworkOptimizer("tinygrad.SGD", doubled, _signature)))
        assert HELD in told  # without decay
        assert [x for x in told if x.startswith("tinygrad.SGD without () is not torch's with lr=(")]
        assert REFUSED not in told

    def test_what_it_refuses_at_0_is_the_least_number(self) -> None:
        box = FrameworkOptimizer("tinygrad.Adam", _start, _signature, above_zero=frozenset({"eps"}))
        assert box.given(RULES["Adam"].hyper(eps=0.0))["eps"] == 5e-324


def test_what_is_not_installed_keeps_its_rows() -> None:
    """A run that saw one framework, and one optimizer of it, replaces that framework's rows."""
    (row, *_) = [row for row in SEEN if row.name == "optax.sgd"]
    rows = kept({row.name: row}, [FRAMEWORKS["optax"]])
    assert [r.name for r in rows if "optax" in r.name] == ["optax.sgd"]
    assert [r for r in rows if "optax" not in r.name] == [r for r in SEEN if "optax" not in r.name]
