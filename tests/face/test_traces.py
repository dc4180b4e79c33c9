"""A recorded run says which rule it follows, as far as its settings tell, in any kind of file."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator

import oracles
from oracles.harness.arithmetic.formats import HALF, round_to
from oracles.harness.evidence.witnesses import Recorded
from oracles.harness.subjects.trace import Trace
from oracles.harness.subjects.trace_files import PARTS, TraceError, rates, read
from oracles.optimizers.registry import RULES
from oracles.reports.identification import render
from tests.support.marks import slow

CHECKED = Draft202012Validator(
    json.loads((Path(oracles.__file__).parent / "reports/identification.schema.json").read_bytes())
)

M = 16
"""Rows of the batch."""


def run(
    penalty: float, *, steps: int = 6, lr: float = 0.05, dtype: str = "float64", undecayed: str = ""
) -> Trace:
    """Logistic regression by a hand-written loop: a matrix, a bias, and a decay of so much."""
    rng = np.random.Generator(np.random.PCG64(7))
    number = np.dtype(dtype).type
    x, y = rng.normal(size=(M, 4)).astype(dtype), rng.integers(0, 2, M).astype(dtype)
    w = {"weight": np.full((1, 4), 0.5, dtype), "bias": np.full(1, 0.25, dtype)}
    known: dict[str, list[Any]] = {name: [value] for name, value in w.items()}
    given: dict[str, list[Any]] = {name: [] for name in w}
    for _ in range(steps):
        off = 1 / (1 + np.exp(-(x @ w["weight"][0] + w["bias"]))) - y
        gradients = {"weight": (off @ x / number(M))[None], "bias": off.mean(keepdims=True)}
        for name, g in gradients.items():
            decay = number(0 if name == undecayed else penalty)
            w[name] = w[name] - number(lr) * (g + decay * w[name])
            known[name].append(w[name])
            given[name].append(g)
    hyper = {"lr": lr, "weight_decay": 0.1, "batch_size": M}
    return Trace(
        "scratch",
        {name: np.stack(values).astype(np.float64) for name, values in known.items()},
        {name: np.stack(values).astype(np.float64) for name, values in given.items()},
        {name: (float(value),) * steps for name, value in hyper.items()},
        dtype,
    )


TORCH = run(0.1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_two_loops_of_the_question(dtype: str) -> None:
    """The one divides the penalty by the number of rows, as the published answer says."""
    assert str(oracles.identify(run(0.1 / M, dtype=dtype))) == "scratch follows SGD's batch_scaled"
    torchs = oracles.identify(run(0.1, dtype=dtype))
    assert str(torchs) == "scratch follows SGD's coupled_unscaled"


def test_a_run_in_half_precision() -> None:
    for penalty, convention in ((0.1, "coupled_unscaled"), (0.1 / M, "batch_scaled")):
        found = oracles.identify(run(penalty, lr=2.0, dtype="float16"), ["SGD"])
        assert str(found) == f"scratch follows SGD's {convention}"


def descended(by: float, dtype: str, lr: float = 0.1, **hyper: float) -> Trace:
    """Gradient descent in a short format, at a multiple of the rate that is said."""
    rng = np.random.Generator(np.random.PCG64(0))
    start, *gradients = round_to(dtype, rng.normal(size=(10, 20)))
    known = [start]
    for g in gradients:
        known.append(round_to(dtype, known[-1] - round_to(dtype, by * lr * g)))
    given = {name: (value,) * 9 for name, value in {"lr": lr, **hyper}.items()}
    return Trace("mine", {"w": np.array(known)}, {"w": np.array(gradients)}, given, dtype)


@pytest.mark.parametrize("dtype", HALF)
def test_of_a_short_format_is_said_what_it_does_not_tell(dtype: str) -> None:
    """Nobody is told that the step is not why who may have another rate."""
    found = oracles.identify(descended(1.0, dtype))
    assert found.torchs and found.seen and found.seen.unseen > {"bfloat16": 0.08}.get(dtype, 0.01)
    said = render(found, width=1000)
    assert "is not told from it. Record it in float64." in said
    assert "the step is not why" not in said
    assert not list(CHECKED.iter_errors(json.loads(json.dumps(found.to_json()))))


@pytest.mark.slow
@pytest.mark.parametrize(("by", "dtype"), [(1.03, "float16"), (1.08, "float16")])
def test_a_short_format_makes_no_numbers_up(by: float, dtype: str) -> None:
    """Nor is a rule told that holds by its width alone."""
    found = oracles.identify(descended(by, dtype), ["SGD", "ASGD"])
    assert not found.fits


def test_what_moves_nothing_is_told_at_once_to_be_open() -> None:
    still = Trace("mine", {"w": np.ones((2, 1))}, {"w": np.ones((1, 1))}, {"lr": (0.0,)})
    found = oracles.identify(still)
    assert {RULES["SGD"], RULES["Adam"]} <= {one.rule for one in found.open}


def test_of_one_element_no_rule_is_named_that_lives_on_several() -> None:
    """Divided by the norm of all, a gradient is a sign there."""
    gradients = np.array([[1.0], [-2.0], [0.5], [-1.0]])
    known = np.cumsum([[1.0], *(-0.1 * np.sign(gradients))], axis=0)
    found = oracles.identify(
        Trace("mine", {"w": known}, {"w": gradients}, {"lr": (0.1,) * 4}), ["Adafactor"]
    )
    assert not found.fits and found.open
    assert "each of its parameters has one element" in str(found)
    assert "Record a parameter of several elements." in render(found, width=1000)


def test_what_its_settings_do_not_tell() -> None:
    """Without momentum, what momentum means is open; of decay all is told."""
    found = oracles.identify(TORCH)
    told = {c.conventions[-1].name: u.needs for u in found.untold for c in u.candidates}
    assert told["lr_in_velocity"] == ("momentum != 0", "a learning rate that changes")
    assert told["decoupled_lr"] == ("momentum != 0",)
    assert not {"batch_scaled", "decoupled", "decay_ignored", "bias_undecayed"} & set(told)


def test_a_run_without_decay_or_batch_leaves_decay_open() -> None:
    hyper = {**TORCH.hyper, "weight_decay": (0.0,) * TORCH.steps}
    found = oracles.identify(Trace("plain", run(0.0).parameters, run(0.0).gradients, hyper))
    told = {c.conventions[-1].name: u.needs for u in found.untold for c in u.candidates}
    assert str(found) == "plain follows SGD's coupled_unscaled"
    assert told["batch_scaled"] == ("weight_decay != 0",)


def test_what_a_record_does_not_have_is_said() -> None:
    assert oracles.identify(TORCH).assumed == {
        "momentum": 0,
        "dampening": 0,
        "nesterov": False,
        "maximize": False,
    }


def test_what_is_said_to_act_otherwise_is_not_assumed_as_well() -> None:
    hyper = {"lr": TORCH.hyper["lr"], "batch_size": TORCH.hyper["batch_size"]}
    found = oracles.identify(Trace("mine", TORCH.parameters, TORCH.gradients, hyper), ["SGD"])
    assert str(found) == "mine follows SGD's coupled_unscaled, weight_decay = 0.1 whatever is given"
    assert set(found.assumed) == {"momentum", "dampening", "nesterov", "maximize"}


@pytest.mark.parametrize("elements", [3, 4])
def test_few_moves_are_explained_by_no_other_value(elements: int) -> None:
    """Two steps of three elements by any number would be; eight moves are told enough."""
    w, g = np.arange(1.0, 1 + elements), np.ones((2, elements))
    moved = np.stack([w, w - 0.07, w - 0.14])
    found = oracles.identify(Trace("run", {"w": moved}, {"w": g}, {"lr": (0.1, 0.1)}), ["SGD"])
    assert bool(found.fits) == (elements == 4)


@pytest.mark.slow
def test_names_of_its_own() -> None:
    hyper = {"speed": TORCH.hyper["lr"], "l2": TORCH.hyper["weight_decay"]}
    trace = Trace("mine", TORCH.parameters, TORCH.gradients, hyper)
    without = oracles.identify(trace)
    assert str(without) == "mine follows SGD's coupled_unscaled, lr = 0.05 whatever is given"
    found = oracles.identify(trace, names={"lr": "speed"})
    assert str(found) == "mine follows SGD's coupled_unscaled"


@pytest.mark.slow
def test_steps_below_the_roundings_of_w_say_nothing() -> None:
    found = oracles.identify(run(0.1, lr=1e-7, dtype="float32"), ["SGD"])
    assert not found.fits and len(found.open) > 100
    assert str(found) == "scratch cannot be told: its steps are no larger than its roundings"


# --- files ---


def rows(trace: Trace, text: Any = float) -> list[dict[str, Any]]:
    """A row a step, and one for what is there at the end."""
    table: list[dict[str, Any]] = []
    for t in range(trace.steps + 1):
        table.append({f"w.{n}": text(w[t]) for n, w in trace.parameters.items()})
        if t < trace.steps:
            table[t] |= {f"g.{n}": text(g[t]) for n, g in trace.gradients.items()}
            table[t] |= {name: values[t] for name, values in trace.hyper.items()} if not t else {}
    return table


def write_jsonl(path: Path, trace: Trace) -> None:
    table = rows(trace, lambda values: values.tolist())
    path.write_text("\n".join(map(json.dumps, table)), encoding="utf-8")


def write_csv(path: Path, trace: Trace, form: str = "") -> None:
    table: list[dict[str, str]] = []
    for row in rows(trace, np.asarray):
        cells: dict[str, str] = {}
        for name, value in row.items():
            for index, number in np.ndenumerate(value):
                place = f"[{','.join(map(str, index))}]" if index else ""
                cells[name + place] = format(float(number), form if index else "")
        table.append(cells)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def write_npz(path: Path, trace: Trace) -> None:
    arrays: dict[str, Any] = {f"w.{n}": w.astype(trace.dtype) for n, w in trace.parameters.items()}
    arrays |= {f"g.{n}": g.astype(trace.dtype) for n, g in trace.gradients.items()}
    arrays |= {name: np.array(values) for name, values in trace.hyper.items()}
    np.savez(path, **arrays)


WRITERS = {".jsonl": write_jsonl, ".csv": write_csv, ".npz": write_npz}


@pytest.mark.parametrize("dtype", slow(["float64", "float32"], "float32"))
@pytest.mark.parametrize("suffix", WRITERS)
def test_files_say_the_same(tmp_path: Path, suffix: str, dtype: str) -> None:
    path = tmp_path / f"scratch{suffix}"
    WRITERS[suffix](path, run(0.1 / M, dtype=dtype))
    assert str(oracles.identify(path)) == "scratch follows SGD's batch_scaled"


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_torch_takes_together_is_read_apart(tmp_path: Path, suffix: str) -> None:
    betas: Any = ((0.8, 0.95),) * TORCH.steps
    path = tmp_path / f"scratch{suffix}"
    WRITERS[suffix](path, Trace("scratch", TORCH.parameters, TORCH.gradients, {"betas": betas}))
    assert read(path)[0].hyper == {"beta1": (0.8,) * TORCH.steps, "beta2": (0.95,) * TORCH.steps}


def test_so_it_is_where_it_stands_once_for_all_steps(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, w=np.ones(3), g=np.ones(2), betas=np.array([0.8, 0.95]), lr=np.array([1, 2]))
    assert read(path)[0].hyper == {"beta1": (0.8, 0.8), "beta2": (0.95, 0.95), "lr": (1, 2)}


def test_all_that_torch_takes_together_is_read_apart() -> None:
    """But for eps, which is one number of most rules."""
    single = {name for rule in RULES.values() for name in rule.hyper()._fields}
    together = [pair for rule in RULES.values() for pair in rule.binding.tuples.items()]
    assert {name: parts for name, parts in together if name not in single} == PARTS


@pytest.mark.slow
@pytest.mark.parametrize("form", slow([".6f", ".7g", ".5e"], ".7g", ".5e"))
def test_numbers_that_were_printed_to_few_digits(tmp_path: Path, form: str) -> None:
    """Nothing fits them as they stand; rounded to the digits that are there, one rule does."""
    path = tmp_path / "printed.csv"
    write_csv(path, run(0.1, lr=0.5), form)
    found = oracles.identify(path)
    assert str(found) == "printed follows SGD's coupled_unscaled"
    assert not oracles.identify(read(path)[0], ["SGD"]).fits


@pytest.mark.parametrize(("form", "readings"), [(".17g", 1), (".15g", 2)])
def test_numbers_that_have_all_their_digits_were_not_rounded(
    tmp_path: Path, form: str, readings: int
) -> None:
    write_csv(path := tmp_path / "a.csv", TORCH, form)
    assert len(read(path)) == readings


@pytest.mark.parametrize(("form", "rounded"), [(".7g", True), (".8g", False)])
def test_eight_digits_may_be_all_of_float32(tmp_path: Path, form: str, rounded: bool) -> None:
    write_csv(path := tmp_path / "a.csv", run(0.1, dtype="float32"), form)
    assert [bool(t.parameter_radii) for t in read(path) if t.dtype == "float32"] == [rounded]


@pytest.mark.slow
def test_few_steps_and_digits_leave_nothing_open_that_leads_elsewhere(tmp_path: Path) -> None:
    """RAdam's first steps may be of any size, but are not what was printed."""
    path = tmp_path / "printed.csv"
    write_csv(path, run(0.1, lr=0.5, steps=2, undecayed="weight"), ".7g")
    found = oracles.identify(path, ["SGD", "RAdam"])
    assert str(found) == "printed follows SGD's coupled_unscaled, but decay_ignored for weight"


def test_what_no_rule_calls_so_is_said_where_nothing_fits() -> None:
    """The rate changes at each step, so that none that is written explains it."""
    hyper = {"speed": tuple(0.1 * 2.0**-t for t in range(4)), "l2": (0.1,) * 4}
    w, g = [np.ones(3)], [np.array([0.5, -1.0, 2.0]) / (t + 1) for t in range(4)]
    for given, rate in zip(g, hyper["speed"], strict=True):
        w.append(w[-1] - rate * (given + 0.1 * w[-1]))
    found = oracles.identify(Trace("mine", {"w": np.stack(w)}, {"w": np.stack(g)}, hyper), ["SGD"])
    assert (found.fits, found.open) == ((), ())
    assert (found.unread, found.assumed) == (("speed",), {"lr": 0.001})


def test_digits_bound_what_was_rounded(tmp_path: Path) -> None:
    """Every number is within its radius of what it was before it was printed."""
    path = tmp_path / "printed.csv"
    write_csv(path, TORCH, ".3g")
    (trace,) = (t for t in read(path) if t.parameter_radii and t.dtype == "float64")
    for name, values in TORCH.parameters.items():
        off = np.abs(trace.parameters[name] - values)
        assert np.all(off <= trace.parameter_radii[name])
        assert np.all(trace.parameter_radii[name] <= 0.005)


def test_decimals_are_counted_behind_exponents(tmp_path: Path) -> None:
    (path := tmp_path / "a.csv").write_text("w,g\n1.5e-05,2e-05\n1.3e-05,\n", encoding="utf-8")
    (trace,) = (t for t in read(path) if t.parameter_radii and t.dtype == "float64")
    assert trace.parameter_radii["w"].tolist() == [0.5e-6] * 2


HAND = '{"w": 1, "g": -32, "lr": 0.1, "weight_decay": 1, "m": 2}'


def test_by_hand(tmp_path: Path) -> None:
    """The worked example of the published answer: 4.1, or 4.15 where the penalty is divided."""
    for last, name in ((4.1, "coupled_unscaled"), (4.15, "batch_scaled")):
        path = tmp_path / "hand.jsonl"
        path.write_text(f'{HAND}\n{{"w": {last}, "g": null}}\n', encoding="utf-8")
        assert name in str(oracles.identify(path, ["SGD"]))


def same_as_by_hand(path: Path) -> bool:
    trace, *_ = read(path)
    steps = {name: values.tolist() for name, values in trace.parameters.items()}
    return (steps, *trace.hyper) == ({"w": [[1.0, 2.0], [0.5, 3.0]]}, "lambda", "β1")


@pytest.mark.parametrize("names", ["w[0],w[1],g[0],g[1]", "w1,w2,g1,g2", "w_1,w_2,g[1],g[2]"])
@pytest.mark.parametrize("last", [",,,", "nan,NaN,nan,nan"])
def test_elements_are_counted_from_0_or_from_1(tmp_path: Path, names: str, last: str) -> None:
    """And what is no number in the row after the last step is not there."""
    path = tmp_path / "a.csv"
    path.write_text(f"{names},lambda,β1\n1,2,1,1,0.1,0.9\n0.5,3,{last}\n", encoding="utf-8")
    assert same_as_by_hand(path)


def test_usual_names_and_greek_letters_of_columns_are_known(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("w,g,η,λ\n1,-32,0.1,1\n4.1,,,\n", encoding="utf-8")
    trace, *_ = read(path)
    assert Recorded(trace).names(RULES["SGD"]) == {"lr": "η", "weight_decay": "λ"}


OFF: Mapping[str, tuple[str, str, str]] = {
    "not JSON": ("a.jsonl", HAND + "\n{'w': 1}", "line 2, column 2: Expecting property name"),
    "no object": ("a.jsonl", HAND + "\n[1]", "line 2 is no object"),
    "no number": ("a.jsonl", HAND.replace("-32", '"x"') + '\n{"w": 1}', "line 1: 'g' is 'x'"),
    "a truth": ("a.jsonl", '{"w": [true], "g": [1]}\n{"w": [1]}', "line 1: 'w' is .True.; allow"),
    "a null": ("a.jsonl", HAND + '\n{"w": null}', "line 2 has no 'w'"),
    "nulls": ("a.jsonl", '{"w": [1], "g": [null]}\n{"w": [1]}', "line 1: 'g' is .None.; allowed"),
    "no last row": ("a.jsonl", HAND, "has 1 rows"),
    "too many g": ("a.jsonl", f"{HAND}\n{HAND}", "line 2 has a gradient"),
    "no w": ("a.jsonl", HAND + '\n{"lr": 1}', "line 2 has no 'w'"),
    "other shape": ("a.jsonl", HAND + '\n{"w": [1]}', "line 2: 'w' has shape"),
    "no setting": ("a.jsonl", '{"w": 1, "g": 1}\n{"w": 1, "g": 1, "lr": 1}\n{"w": 1}', "no 'lr'"),
    "not finite": ("a.jsonl", HAND.replace("-32", "NaN") + '\n{"w": 1}', "not finite"),
    "cells": ("a.csv", "w,g,lr\n1,2\n", "line 2 has 2 of the cells; allowed: 3, of which"),
    "an index": ("a.csv", "w[a],g\n1,2\n1,\n", "column 'w\\[a\\]'"),
    "no first": (
        "a.csv",
        "w0,g_10\n1,2\n1,\n",
        "g has 1 elements from g.10. to g.10.; allowed: all of them, counted from 0 or from 1",
    ),
    "twice": ("a.csv", "w,w1,g\n1,2,1\n1,2,\n", "line 2 has 'w' beside elements of it"),
    "a part of a gradient": ("a.csv", "w0,w1,g0,g1\n1,2,1,1\n1,2,nan,1\n", "has a gradient"),
    "semicolons": ("a.csv", "w;g;lr\n1,5;2;1\n", "separated by ';'; allowed: commas between"),
    "semicolons beside commas": ("a.csv", '"w[0,1]";g\n1;2\n', "separated by ';'"),
    "other gradients": (
        "a.csv",
        "w.a[0],grad.a[0],lr\n1,2,1\n1,,\n",
        "a has no gradients among lr, w.a, grad.a; allowed: 'g', or by name 'g.weight', not",
    ),
    "elements": ("a.csv", "w[0],w[2],g\n1,2,3\n1,2,\n", "w has 2 elements from w.0. to w.2."),
    "the kind": ("a.txt", "", "allowed: .npz, .csv, .jsonl"),
    "an archive": ("a.npz", "nothing", "is no file that numpy.savez wrote, or was cut"),
}


def test_an_archive_that_is_cut_or_holds_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, w=np.array([object()], dtype=object))
    with pytest.raises(TraceError, match=r"a.npz: w is not of numbers"):
        read(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TraceError, match="or was cut"):
        read(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(TraceError, match=r"is no file that numpy\.savez wrote"):
        read(path)


@pytest.mark.parametrize("what", OFF)
def test_a_file_that_is_off(tmp_path: Path, what: str) -> None:
    name, text, message = OFF[what]
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(TraceError, match=message):
        read(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"gone.csv cannot be read"):
        read(tmp_path / "gone.csv")


@pytest.mark.parametrize("count", ["step", "global_step", "iteration", "iter", "epoch"])
def test_a_log_of_rates_goes_on_by_one(tmp_path: Path, count: str) -> None:
    (path := tmp_path / "a.csv").write_text(f"{count},lr\n0,1\n2,0.5\n4,0.25\n", encoding="utf-8")
    with pytest.raises(TraceError, match=f"counts '{count}' by 2"):
        rates(path)


def test_an_archive_may_have_rates_alone(tmp_path: Path) -> None:
    path = tmp_path / "rates.npz"
    np.savez(path, lr=[0.1 * 0.5**t for t in range(5)], epoch=np.arange(5))
    assert str(oracles.identify(path)).startswith("rates follows ExponentialLR's per_epoch")


@pytest.mark.slow
def test_what_is_not_read_is_told() -> None:
    hyper = {"lr": TORCH.hyper["lr"], "weigth_decay": TORCH.hyper["weight_decay"]}
    found = oracles.identify(Trace("mine", TORCH.parameters, TORCH.gradients, hyper))
    assert found.unread == ("weigth_decay",)
    assert found.to_json()["unread"] == ["weigth_decay"]
    assert "go by other names: weigth_decay." in render(found)


COLUMNS = {
    "as it is": ([0.1 * 0.5**t for t in range(6)], "lr follows ExponentialLR's per_epoch with "),
    "rounded": ([0.1, 0.0333, 0.0111, 0.0037, 0.0012346, 0.0004115], "lr, read to its digits, f"),
    "of no schedule": ([0.1, 0.3, 0.05, 0.2, 0.15, 0.1], ""),
    "constant": ([0.1] * 6, ""),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("what", COLUMNS)
def test_beside_the_rule_is_said_which_schedule_the_rates_are_of(what: str) -> None:
    rates, said = COLUMNS[what]
    w = np.cumsum([1.0, *(-rate * 0.5 for rate in rates)])[:, None]
    trace = Trace("mine", {"w": w}, {"w": np.full((6, 1), 0.5)}, {"lr": (*rates,)})
    found = oracles.identify(trace, ["SGD"])
    assert found.torchs
    assert str(found).startswith(
        "mine follows SGD's coupled_unscaled" + f", where {said}" * bool(said)
    )
    assert bool(found.to_json()["rate"]) == bool(said)


@pytest.mark.slow
def test_a_few_steps_of_another_rule_are_no_known_one() -> None:
    """Signs of a mean look like Rprop's, but Rprop has no betas."""
    rng = np.random.default_rng(1)
    w, m, rows, given = np.array([0.5, -1.0]), np.zeros(2), [], []
    for _ in range(5):
        g = rng.uniform(-1, 1, 2)
        rows.append(w)
        given.append(g)
        w, m = w - 0.1 * np.sign(0.9 * m + 0.1 * g), 0.99 * m + 0.01 * g
    hyper = {"lr": (0.1,) * 5, "beta1": (0.9,) * 5, "beta2": (0.99,) * 5}
    trace = Trace("lion", {"w": np.stack([*rows, w])}, {"w": np.stack(given)}, hyper)
    assert not oracles.identify(trace).fits


@pytest.mark.slow
def test_what_the_nearest_rule_leaves_aside_is_said() -> None:
    """Gradient descent recorded with moments' rates: it holds every move, and is not the rule."""
    moments = {"beta1": (0.9,) * TORCH.steps, "eps": (1e-8,) * TORCH.steps}
    found = oracles.identify(
        Trace("mine", TORCH.parameters, TORCH.gradients, {**TORCH.hyper, **moments})
    )
    assert found.fits == () and found.nearest is not None
    told = "SGD's coupled_unscaled, which has all moves right, but knows no beta1 or eps"
    assert str(found.nearest) == told
    assert found.to_json()["nearest"]["aside"] == ["beta1", "eps"]


def in_half(dtype: torch.dtype, steps: int) -> Trace:
    """torch's SGD with a momentum, in a half format."""
    p = torch.nn.Parameter(torch.linspace(-1, 1, 6).to(dtype))
    optimizer = torch.optim.SGD([p], lr=0.25, momentum=0.9)
    weights, gradients = [p.detach().double().numpy()], []
    for step in range(steps):
        p.grad = torch.sin(torch.arange(1, 7) * (step + 1)).to(dtype)
        gradients.append(p.grad.double().numpy())
        optimizer.step()
        weights.append(p.detach().double().numpy())
    hyper = {"lr": (0.25,) * steps, "momentum": (0.9,) * steps}
    return Trace("half", {"w": np.stack(weights)}, {"w": np.stack(gradients)}, hyper)


IN_HALF = {
    torch.float16: "half follows SGD's coupled_unscaled",
    torch.bfloat16: "half cannot be told: its steps are no larger than its roundings",
}


@pytest.mark.parametrize("dtype", slow(IN_HALF, torch.bfloat16))
def test_what_is_all_in_a_half_format_is_read_in_it(tmp_path: Path, dtype: torch.dtype) -> None:
    """And not held against the roundings of others, within which no rule is."""
    path = tmp_path / "half.jsonl"
    write_jsonl(path, in_half(dtype, 8))
    assert read(path)[-1].dtype == str(dtype).removeprefix("torch.")
    told = oracles.identify(path, ["SGD", "Adam"])
    assert str(told) == IN_HALF[dtype]
    assert "ecord it in float64" in " ".join(render(told).split())
    write_jsonl(path, in_half(dtype, 1))  # of so few numbers it may be chance
    assert {trace.dtype for trace in read(path)} == {"float64", "float32"}
