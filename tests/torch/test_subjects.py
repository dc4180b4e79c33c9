"""A case reaches torch as it was drawn: layouts, tensors, schedules, scalers, old gradients."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from oracles.harness.cases.case import GRADIENT_LAYOUTS, Case, Group, Parameter, single
from oracles.harness.checks.catalogue import checks
from oracles.harness.deviations.ledger import ledger
from oracles.harness.runs.asking import concerned
from oracles.harness.subjects.classes import takes_tensor
from oracles.harness.subjects.paths import PATHS
from oracles.harness.subjects.run import SCALE, Run
from oracles.harness.subjects.selection import select
from oracles.harness.subjects.subject import SubjectError
from oracles.harness.subjects.tensors import prepared, zeros
from oracles.harness.subjects.torch_optim import TorchSubject, absent
from oracles.optimizers.registry import RULES
from oracles.optimizers.sgd import RULE

H = RULE.hyper(lr=0.5, momentum=0.5)
W = np.arange(6.0).reshape(2, 3)
ALIKE = np.ones((2, 3))
CHECKS = {check.name: check for check in checks(RULE)}


def on(path: str, dtype: str = "float32") -> TorchSubject:
    row = next(p for p in PATHS if p.name == path)
    if reason := absent(RULE, torch.optim.SGD, row, dtype, "cpu"):
        pytest.skip(f"{path}: {reason}")
    return TorchSubject(RULE, torch.optim.SGD, row, dtype)


def loaded(path: str, case: Case) -> Run:
    run = on(path).start(case)
    run.load(0)
    return run


def scheduled(*rates: float) -> Case:
    return single([1.0], [[1.0]] * len(rates), [H._replace(lr=lr) for lr in rates])


@pytest.mark.parametrize(
    ("layout", "stride"), [("contiguous", (3, 1)), ("transposed", (1, 2)), ("strided", (6, 2))]
)
def test_parameter_layouts(layout: str, stride: tuple[int, ...]) -> None:
    (p,) = loaded("for-loop", single(W, [ALIKE], H, layout=layout)).parameters
    assert p.stride() == stride
    assert p.tolist() == W.tolist()


@pytest.mark.parametrize("layout", GRADIENT_LAYOUTS)
def test_gradient_layouts(layout: str) -> None:
    (p,) = loaded("for-loop", single(W, [ALIKE], H, gradient_layout=layout)).parameters
    assert p.grad is not None
    assert p.grad.to_dense().tolist() == ALIKE.tolist()
    strides = {"contiguous": (3, 1), "transposed": (1, 2), "strided": (6, 2), "expanded": (0, 1)}
    if layout == "sparse":  # not added up yet: every index is there twice
        assert p.grad.is_sparse and not p.grad.is_coalesced()
    else:
        assert p.grad.stride() == strides[layout]


def test_a_new_gradient_overwrites_the_old_one() -> None:
    run = on("for-loop").start(single([1.0], [[1.0], [2.0]], H))
    run.load(0)
    (p,) = run.parameters
    old = p.grad
    run.load(1)
    assert p.grad is old
    assert p.grad is not None
    assert p.grad.tolist() == [2.0]


@pytest.mark.parametrize("path", ["for-loop", "for-loop, tensor lr"])
def test_a_schedule_takes_effect_as_schedulers_do_it(path: str) -> None:
    """A number is replaced; a tensor is filled in place, so whoever holds it sees the change."""
    run = on(path).start(scheduled(0.5, 0.25))
    before = run.optimizer.param_groups[0]["lr"]
    run.load(1)
    after: Any = run.optimizer.param_groups[0]["lr"]
    assert float(after) == 0.25
    assert torch.is_tensor(after) == (path != "for-loop")
    assert (after is before) == torch.is_tensor(after)


class Unboxing(torch.optim.SGD):
    """Keeps a number where it was given a tensor."""

    def step(self, closure: Any = None) -> Any:
        self.param_groups[0]["lr"] = float(self.param_groups[0]["lr"])
        return super().step(closure)


def test_who_keeps_no_tensor_to_be_filled_is_told_so() -> None:
    path = next(p for p in PATHS if p.name == "for-loop, tensor lr")
    with pytest.raises(SubjectError, match="'float' object has no attribute 'fill_'"):
        TorchSubject(RULE, Unboxing, path, "float32").ask(scheduled(0.5, 0.25))


@pytest.mark.parametrize(("name", "parts"), [("SGD", [4.0, 0.0]), ("Adagrad", [2.0, 2.0])])
def test_an_index_that_is_there_twice_shows_who_squares_too_early(
    name: str, parts: list[float]
) -> None:
    """Halves add up before they are squared; a step that is linear may add them one by one."""
    rule = RULES[name]
    (subject,), _ = select(rule, ["for-loop"], ["float64"], ["cpu"])
    p = Parameter(np.ones(2), (np.array([0.0, 4.0]),), gradient_layout="sparse")
    run = subject.start(Case((Group((p,), (rule.hyper(lr=0.5),)),)))
    run.load(0)
    gradient = run.parameters[0].grad
    assert gradient is not None
    # values() is for gradients that have been added up.
    assert gradient._values().tolist() == parts  # noqa: SLF001


def test_tensors_in_the_graph_require_grad() -> None:
    run = on("differentiable, tensors in the graph").start(scheduled(0.5, 0.25))
    run.load(1)
    assert all(run.optimizer.param_groups[0][n].requires_grad for n in ("lr", "weight_decay"))


@pytest.mark.parametrize("path", ["for-loop, grad scaler", "fused, grad scaler"])
def test_the_scaler_scales_and_is_stepped_through(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = loaded(path, single([1.0], [[1.0]], H))
    (p,) = run.parameters
    assert p.grad is not None
    assert p.grad.tolist() == [SCALE]
    stepped = []
    assert run.scaler is not None
    real = run.scaler.step
    monkeypatch.setattr(run.scaler, "step", lambda optimizer: stepped.append(real(optimizer)))
    run.step()
    assert len(stepped) == 1
    assert p.tolist() == [0.5]


def test_a_group_joins_when_it_should() -> None:
    late = Group((Parameter(np.ones(1), (None, np.ones(1))),), (H, H), joins=1)
    first = Group((Parameter(np.ones(1), (np.ones(1),) * 2),), (H, H))
    run = on("for-loop").start(Case((first, late)))
    run.load(0)
    assert len(run.optimizer.param_groups) == 1
    run.load(1)
    assert len(run.optimizer.param_groups) == 2


def test_who_is_asked_what() -> None:
    general, loop = CHECKS["agreement"], on("for-loop")
    plain = single(W, [ALIKE], H)
    assert concerned(general, loop, plain)
    assert not concerned(general, on("for-loop", "float64"), Case(plain.groups, ("float32",)))
    for layout, path in (("sparse", "fused"), ("expanded", "for-loop, grad scaler")):
        case = single(W, [ALIKE], H, gradient_layout=layout)
        assert concerned(general, loop, case)
        assert not concerned(general, on(path), case)
    assert not concerned(general, on("for-loop, grad scaler"), Case(plain.groups, edge=True))
    assert not concerned(CHECKS["a skipped step changes nothing"], loop, plain)


def test_parameters_take_turns_on_several_devices() -> None:
    """Values, and what stands for buffers that are not there; ``meta`` is everywhere."""
    case = Case((Group((Parameter(W, (ALIKE,)),) * 3, (H,)),))
    expected = ["cpu", "meta", "cpu"]
    assert [[str(v.device) for v in p] for p in prepared(case, "float32", "cpu+meta")] == [
        [device] * 2 for device in expected
    ]
    assert [str(z.device) for z in zeros(case, "float32", "cpu+meta")] == expected


def test_several_devices_are_read_back_as_one() -> None:
    case = Case((Group((Parameter(W, (ALIKE,)),) * 3, (H,)),))
    one = on("for-loop")
    assert replace(one, device="cpu+cpu").ask(case).has_the_bits_of(one.ask(case))


@pytest.mark.parametrize(
    ("rule", "path", "dtype", "expected"),
    [
        ("Adam", "for-loop", "float32", ""),
        ("Adam", "for-loop, tensor lr", "float32", "lr"),
        ("Adam", "for-loop, tensor lr", "float64", ""),
        ("Adam", "for-loop, capturable", "float32", "lr step"),
        ("Adam", "for-loop, capturable", "float64", "step"),
        ("Adam", "for-loop, tensor betas", "bfloat16", "beta1 beta2 lr"),
        ("Adam", "for-loop, tensor betas", "mixed", "beta1 beta2"),
        ("ASGD", "default", "float32", ""),
        ("ASGD", "foreach", "float32", "lr step"),
        ("SGD", "foreach, tensor lr", "float32", "lr"),
    ],
)
def test_scalars_that_a_path_computes_in_float32(
    rule: str, path: str, dtype: str, expected: str
) -> None:
    """The oracle is told these: one too few makes radii too small, one too many too wide."""
    row = next(p for p in PATHS if p.name == path)
    subject = TorchSubject(RULES[rule], getattr(torch.optim, rule), row, dtype)
    assert subject.tensors == set(expected.split())


def test_where_torch_takes_foreach_by_itself_it_is_asked_as_foreach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it does on CUDA: with its tensor count, and with what the ledger knows of it."""
    asgd = TorchSubject(RULES["ASGD"], torch.optim.ASGD, PATHS[0], "float32")
    assert asgd.effective_path is asgd.path
    monkeypatch.setattr(
        sys.modules[torch.optim.Optimizer.__module__],
        "_default_to_fused_or_foreach",
        lambda params, differentiable, use_fused: (False, True),
        raising=False,  # torch 1.13 has no such choice to make
    )
    there, loop = replace(asgd), TorchSubject(RULES["ASGD"], torch.optim.ASGD, PATHS[1], "float32")
    assert (there.effective_path.name, loop.effective_path.name) == ("foreach", "for-loop")
    assert "step" in there.tensors and "step" not in loop.tensors
    row = next(row for row in ledger() if row.id == "foreach-rate-power")
    assert row.concerns(there) and not row.concerns(loop)


def test_state_of_what_is_no_parameter_is_a_stray() -> None:
    run = loaded("for-loop", single([1.0], [[1.0]], H))
    run.step()
    assert run.strays() == []
    run.optimizer.state["global"] = {"momentum_buffer": torch.zeros(1)}  # type: ignore[index]
    assert run.strays() == ["state of str"]
    run.optimizer.state[run.parameters[0]]["norm"] = torch.zeros(1)
    assert run.strays() == ["state of str", "norm"]


class Handing(torch.optim.SGD):
    """Hands its options on, as many a class outside torch does."""

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)


class Restricting(torch.optim.SGD):
    """Hands them on, too, and says of one what it may be."""

    def __init__(self, params: Any, lr: float = 1e-3, **options: Any) -> None:
        super().__init__(params, lr=lr, **options)


@pytest.mark.parametrize(("optimizer", "taken"), [(Handing, True), (Restricting, False)])
def test_a_class_takes_tensors_where_it_hands_them_to_one_that_does(
    optimizer: Any, taken: bool
) -> None:
    """And is asked with one, unless its own annotation says otherwise."""
    if not takes_tensor(torch.optim.SGD, "lr"):
        pytest.skip("this torch's SGD takes no tensor for lr=")
    path = next(p for p in PATHS if p.name == "for-loop, tensor lr")
    reason = "" if taken else "Restricting takes no tensor for lr="
    assert takes_tensor(optimizer, "lr") == taken
    assert absent(RULE, optimizer, path, "float32", "cpu") == reason


def test_threads_are_as_before_once_somebody_was_asked_on_several() -> None:
    before, seen = torch.get_num_threads(), []

    class Counting(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            seen.append(torch.get_num_threads())
            return super().step(closure)

    case = single(W, [ALIKE], H)
    threaded = replace(on("for-loop"), optimizer=Counting).ask_on_threads(case, before + 1)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
    assert threaded.has_the_bits_of(on("for-loop").ask(case))
