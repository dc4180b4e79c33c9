"""watch and check_loop: each planted fault by its name, and nothing of loops that are right."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import oracles
from oracles import cli, movement
from oracles.harness.evidence.witnesses import Recorded
from oracles.harness.subjects.loops.looks import Looks
from oracles.harness.subjects.trace import Trace
from oracles.harness.watching.faults import FAULTS, QUESTIONS
from oracles.reports.watched import render
from oracles.watching import LoopReport
from tests.meta.faulty_loops import ABSENT, FAULTY, SAID
from tests.support.loops import RIGHT
from tests.support.marks import skip_before
from tests.support.training import SCALER, batches, gloo, grad_scaler, mlp, sgd, unwatched

SCHEMA = jsonschema.Draft202012Validator(
    json.loads(files("oracles.reports").joinpath("loop.schema.json").read_text("utf-8"))
)

pytestmark = [
    # What torch itself says of some of these loops, right and wrong ones.
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler:UserWarning"),
    pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler:UserWarning"),
    pytest.mark.filterwarnings("ignore:`parameters` is an empty generator:UserWarning"),
    pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True:UserWarning"),
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning"),
    pytest.mark.filterwarnings("ignore:optimizer contains a parameter group:UserWarning"),
]


class Watching:
    """It watches as ``oracles.watch`` does, and keeps the reports and what was said of a loop."""

    def __init__(self) -> None:
        self.reports: list[LoopReport] = []
        self.said: dict[str, Any] = {}

    @contextmanager
    def __call__(self, optimizer: Any, **said: Any) -> Iterator[None]:
        self.said = {n: said[n] for n in ("loss", "accumulation", "weight_decay") if n in said}
        with oracles.watch(optimizer, **said) as report:
            self.reports.append(report)
            yield


def checked(loop: Callable[[Any], Any], said: dict[str, Any] | None = None) -> LoopReport:
    """A loop that nobody watches from within, as ``check_loop`` sees it."""
    return oracles.check_loop(partial(loop, unwatched), **(said or {}))


def bits(trained: Any) -> list[torch.Tensor]:
    return [trained] if isinstance(trained, torch.Tensor) else [*trained.state_dict().values()]


def names(report: LoopReport) -> set[str]:
    return {found.name for found in report.findings}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("loop", RIGHT)
def test_a_right_loop_is_not_accused_and_computes_the_same(loop: str) -> None:
    watching = Watching()
    torch.manual_seed(1)
    alone = bits(RIGHT[loop](unwatched))
    torch.manual_seed(1)
    watched = bits(RIGHT[loop](watching))
    for report in watching.reports:
        report.raise_if_wrong()
    assert all(map(torch.equal, alone, watched))


@pytest.mark.one_in(8)
@pytest.mark.parametrize("loop", RIGHT)
def test_a_right_loop_is_not_accused_by_check_loop(loop: str) -> None:
    checked(RIGHT[loop]).raise_if_wrong()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("loop", FAULTY)
def test_a_planted_fault_is_told_in_its_own_words_alone(loop: str) -> None:
    planted, watching = FAULTY[loop], Watching()
    if planted.whole:
        report = checked(planted.loop)
    else:
        with suppress(RuntimeError):
            planted.loop(watching)
        (report,) = watching.reports
    assert [found.sentence for found in report.findings] == SAID[loop]
    assert names(report) == {planted.fault}
    with pytest.raises(AssertionError, match=planted.fault):
        report.raise_if_wrong()


def test_the_zoo_has_each_fault_but_those_of_several_processes() -> None:
    assert FAULTY.keys() == SAID.keys() or ABSENT
    shown = {planted.fault for planted in FAULTY.values()} | ABSENT
    assert {f.name for f in FAULTS} - shown == {"ranks differ", "summed over ranks"}


def test_the_guide_lists_all_faults_and_questions() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "loop.md").read_text(encoding="utf-8")
    faults = "".join(f"| {fault.name} | {fault.advice} |\n" for fault in FAULTS)
    asked = "".join(f"| {question.name} | {question.advice} |\n" for question in QUESTIONS)
    assert guide.endswith(f"| fault | what to do |\n| --- | --- |\n{faults}")
    assert f"| question | what would tell |\n| --- | --- |\n{asked}\n" in guide


NUMBERED = hasattr(torch.zeros((), requires_grad=True).clone().grad_fn, "_sequence_nr")
"""Whether nodes of graphs say which was made after which."""


@pytest.mark.parametrize(
    "loop",
    [
        "a_head_and_then_all",
        *["checkpointed"] * NUMBERED,
        "checkpointed_reentrant",
        "overflow_left_out",
        "plain",
        *["scaled"] * SCALER,
        "warmed_up_by_dampening_what_compounds",
    ],
)
def test_of_a_loop_that_can_be_read_nothing_is_asked(loop: str) -> None:
    watching = Watching()
    RIGHT.get(loop, RIGHT["plain"])(watching)
    assert watching.reports[0].doubts == ()


@pytest.mark.parametrize("loop", ["zero_grad_forgotten", "accumulation_undivided", "not_finite"])
def test_check_loop_tells_the_same(loop: str) -> None:
    watching = Watching()
    FAULTY[loop].loop(watching)
    report = checked(FAULTY[loop].loop, watching.said)
    assert [f.sentence for f in report.findings] == [
        f.sentence for f in watching.reports[0].findings
    ]


def test_of_gradients_added_by_hand_each_rounded_sum_is_told() -> None:
    w = nn.Parameter(torch.tensor([0.1, 0.7, 1.3, 2.9]))
    optimizer = torch.optim.SGD([w], lr=0.01)
    with oracles.watch(optimizer) as report:
        for _ in range(4):
            (g,) = torch.autograd.grad((w**3).sum(), [w])
            w.grad = g if w.grad is None else w.grad + g
            optimizer.step()
    assert report.findings[0].sentence.startswith("steps 2 to 4 of SGD follow once more")


def test_of_a_group_that_comes_late_the_steps_are_told_that_follow_too_much() -> None:
    """Its first step takes all that has piled up; the steps after that follow it once more."""
    watching = Watching()
    FAULTY["unfrozen_and_never_cleared"].loop(watching)
    once_more, piled_up = (found.sentence for found in watching.reports[0].findings)
    assert once_more.startswith("steps 4 to 6 of SGD follow once more gradients that")
    assert piled_up == (
        "step 3 of SGD follows all that had piled up in the gradients of 0.weight and 0.bias "
        "before they came into a group: nothing has cleared them"
    )


def test_what_is_allowed_is_not_told() -> None:
    report = oracles.check_loop(
        partial(FAULTY["zero_grad_forgotten"].loop, unwatched), allow=["never cleared"]
    )
    assert report.ok
    assert report.to_json()["allowed"] == ["never cleared"]


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_a_question_of_intention_is_no_fault(count: int) -> None:
    """Nor is it asked where losses are divided by their number."""
    model = mlp()
    optimizer = sgd(model)
    with oracles.watch(optimizer, model=model) as report:
        for n, (x, y) in enumerate(batches()):
            (F.cross_entropy(model(x), y) / count).backward()
            if n % 2:
                optimizer.step()
                optimizer.zero_grad()
    assert report.ok
    doubts = [(doubt.name, doubt.advice) for doubt in report.doubts]
    assert doubts == [("sum or mean of the passes", 'loss="mean" or loss="sum"')] * (count == 1)


@pytest.mark.parametrize(
    ("loop", "name", "said"),
    [
        ("a_head_alone", "not trained", "whether 0.weight and 0.bias of Sequential are to be"),
        ("tuned_in_eval_mode", "eval mode", "whether Sequential, whose dropout or batch norm"),
        ("embeddings_first", "what the loss is", "whether steps 1 to 4 of SGD follow the mean"),
        ("parts_of_one_loss", "what the loss is", "whether steps 1 to 4 of SGD follow the mean"),
        ("norms_frozen_after_an_epoch", "eval mode", "whether Sequential, whose dropout or batch"),
        (
            "nothing_is_to_be_exempt",
            "exemption of nothing",
            "whether group 1 of AdamW, which has no",
        ),
        ("schedule_of_passes", "what the schedule counts", "whether OneCycleLR is to count backw"),
        (
            "rows_weighted_by_their_counts",
            "what the loss is",
            "whether steps 1 to 3 of SGD follow the mean of the losses: after the last pass their",
        ),
    ],
    ids=lambda value: value if value in RIGHT else "",
)
def test_what_may_be_meant_so_is_asked(loop: str, name: str, said: str) -> None:
    watching = Watching()
    RIGHT[loop](watching)
    (doubt,) = watching.reports[0].doubts
    assert doubt.name == name
    assert doubt.sentence.startswith(said)


def asked(train: Callable[[nn.Module, Any], Any], **said: Any) -> list[str]:
    """What is asked of a loop in which nothing is wrong."""
    model = mlp()
    optimizer = sgd(model)
    with oracles.watch(optimizer, model=model, **said) as report:
        train(model, optimizer)
    report.raise_if_wrong()
    return [str(doubt) for doubt in report.doubts]


def by_steps(
    model: nn.Module,
    optimizer: Any,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
    after: Callable[[], Any] = bool,
) -> None:
    for x, y in batches():
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
        after()


def test_a_multiple_of_the_mean_is_asked_about() -> None:
    """A sum over tokens that is divided by sequences, or half of a loss."""

    def half(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(out, y, reduction="sum") / (len(y) / 2)

    said = "whether steps 1 to 4 of SGD are to follow {} times the mean of the losses"
    found = asked(partial(by_steps, loss=half), loss="mean")
    assert found == ["a multiple of the mean: " + said.format(2)]
    assert asked(by_steps, loss="mean") == []


@pytest.mark.parametrize(("share", "count"), [(1.0, 0), (0.7, 1)])
def test_all_tokens_of_a_step_are_a_count(share: float, count: int) -> None:
    """By which sums of micro-batches are divided that have different numbers of them."""

    def train(model: nn.Module, optimizer: Any) -> None:
        for _ in range(2):
            optimizer.zero_grad()
            micros = [(x, y.clone()) for x, y in batches(3)]
            for n, (_, y) in enumerate(micros):
                y[: n + 1] = -100
            tokens = sum(int((y >= 0).sum()) for _, y in micros)
            for x, y in micros:
                (F.cross_entropy(model(x), y, reduction="sum") * share / tokens).backward()
            optimizer.step()

    found = asked(train, loss="mean")
    assert [one.partition(":")[0] for one in found] == count * ["a multiple of the mean"]


@pytest.mark.parametrize(
    ("factor", "count"),
    [
        (lambda n, norm: min(1.0, 0.1 / norm), 0),
        (lambda n, norm: min(1.0, 1e6 / norm), 0),
        (lambda n, norm: 0.7, 1),
        (lambda n, norm: 1 / (n + 2), 1),
        (lambda n, norm: 0.7 + n, 1),
    ],
    ids=["limit", "limit that does not bind", "number", "counts", "more than 1"],
)
def test_a_norm_that_is_limited_by_hand_is_no_multiple(
    factor: Callable[[int, float], float], count: int
) -> None:
    """Each step has a factor of its own then, and none is more than 1."""

    def train(model: nn.Module, optimizer: Any) -> None:
        for n, (x, y) in enumerate(batches()):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            norm = float(torch.stack([g.norm() for g in gradients]).norm())
            for gradient in gradients:
                gradient *= factor(n, norm)
            optimizer.step()

    found = asked(train, loss="mean")
    assert [one.partition(":")[0] for one in found] == count * ["a multiple of the mean"]


def test_what_a_schedule_sets_when_it_is_built_was_set_by_no_hand() -> None:
    """It is built over a rate that a step has used, and the next step uses its first one."""

    def train(model: nn.Module, optimizer: Any) -> None:
        by_steps(model, optimizer)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / 9)
        by_steps(model, optimizer, after=schedule.step)

    assert asked(train) == []


@pytest.mark.parametrize(("based", "count"), [(False, 1), (True, 0)])
def test_a_rate_set_by_hand_is_to_last_where_the_schedule_goes_on_from_it(
    based: bool, count: int
) -> None:
    def train(model: nn.Module, optimizer: Any) -> None:
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)
        by_steps(model, optimizer, after=schedule.step)
        optimizer.param_groups[0]["lr"] = 0.01
        if based:
            schedule.base_lrs = [0.02]
        by_steps(model, optimizer, after=schedule.step)

    assert [one.partition(":")[0] for one in asked(train)] == count * ["a rate set by hand"]


@pytest.mark.parametrize("often", [1, 4])
def test_a_rate_set_by_hand_again_and_again_under_a_schedule_that_goes_on_from_it_is_asked_about(
    often: int,
) -> None:
    """Once, it is to go on from there; at each step, both set it."""

    def train(model: nn.Module, optimizer: Any) -> None:
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        steps = iter(range(4))

        def after() -> None:
            if next(steps) < often:
                optimizer.param_groups[0]["lr"] *= 0.8
            schedule.step()

        by_steps(model, optimizer, after=after)

    found = asked(train)
    assert [one.partition(":")[0] for one in found] == (often > 1) * ["a rate set by hand"]
    assert all("ExponentialLR, which has gone on 4 times from what was" in one for one in found)


@pytest.mark.parametrize("another", [mlp, lambda: nn.Linear(2, 9)], ids=["alike", "other"])
def test_a_scheduler_of_an_optimizer_that_makes_no_step_is_asked_about(another: Any) -> None:
    """A judge may have the generator's shapes; whoever has a schedule itself is not asked."""

    def train(model: nn.Module, optimizer: Any, own: bool) -> None:
        other = torch.optim.SGD(another().parameters(), lr=0.1)
        schedules: list[Any] = [torch.optim.lr_scheduler.ExponentialLR(other, 0.9)]
        if own:
            schedules.append(torch.optim.lr_scheduler.StepLR(optimizer, 9))

        def after() -> None:
            for schedule in schedules:
                schedule.step()

        by_steps(model, optimizer, after=after)

    said = "whose schedule: whether ExponentialLR is to set the rates of SGD (2), which makes no"
    assert [one[: len(said)] for one in asked(partial(train, own=False))] == [said]
    assert asked(partial(train, own=True)) == []


@pytest.mark.parametrize("own", [False, True])
def test_a_scheduler_of_an_optimizer_that_another_has_come_after_is_asked_about(own: bool) -> None:
    """A checkpoint is loaded into a new one, and the schedule stays with the old one."""

    def train(model: nn.Module, optimizer: Any) -> None:
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        by_steps(model, optimizer, after=schedule.step)
        other = sgd(model)
        other.load_state_dict(optimizer.state_dict())
        if own:
            schedule = torch.optim.lr_scheduler.ExponentialLR(other, 0.9)
        by_steps(model, other, after=schedule.step)

    model = mlp()
    report = oracles.check_loop(lambda: train(model, sgd(model)))
    said = (
        "whose schedule: whether ExponentialLR is to set the rates of SGD, which makes no step any"
    )
    assert report.ok
    assert [str(one)[: len(said)] for one in report.doubts] == [said] * (not own)


def test_a_schedule_that_is_taken_up_is_not_accused_if_the_training_breaks_off() -> None:
    model = mlp()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with suppress(KeyboardInterrupt), oracles.watch(optimizer) as report:
        schedule.step()
        by_steps(model, optimizer)
        schedule.step()
        by_steps(model, optimizer)
        raise KeyboardInterrupt
    assert names(report) == {"raises"}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("said", [None, "mean"])
@pytest.mark.parametrize(
    ("windows", "divisor", "step"),
    [
        ([[8], [8], [5]], 8, 3),
        ([[8], [5], [8]], 8, 2),
        ([[8], [3, 2], [8]], 8, 2),
        ([[8], [5, 3]], 8, 0),  # all rows of the window
        ([[8], [5]], None, 0),  # by the rows that there are
        ([[8], [8]], 8, 0),
        ([[5], [3]], 8, 0),  # a number that nobody's rows have
    ],
)
def test_a_sum_over_a_short_batch_that_is_divided_by_a_constant_is_asked_about(
    windows: list[list[int]], divisor: int | None, step: int, said: str | None
) -> None:
    def by_windows(model: nn.Module, optimizer: Any) -> None:
        for window in windows:
            optimizer.zero_grad()
            for rows in window:
                ((x, y),) = batches(1, rows)
                (F.cross_entropy(model(x), y, reduction="sum") / (divisor or rows)).backward()
            optimizer.step()

    found = [one for one in asked(by_windows, loss=said) if one.startswith("a short batch")]
    rows = {1: "5", 2: "2 and 3"}.get(len(windows[step - 1]), "")
    told = f"a short batch: whether step {step} of SGD is to divide the sum over {rows} rows by 8"
    assert [one[: len(told)] for one in found] == [told] * bool(step)


def test_outputs_that_are_compared_with_the_targets_of_others_are_asked_about() -> None:
    def squared(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(out[:, :1], y.float())

    with pytest.warns(UserWarning, match="target size"):
        (found,) = asked(partial(by_steps, loss=squared))
    assert found.startswith("all pairs: whether the loss of steps 1 to 4 of SGD is to compare each")
    for right in (
        lambda out, y: F.mse_loss(out[:, 0], y.float()),
        lambda out, _: F.mse_loss(out, torch.zeros(()).expand_as(out)),
        lambda out, _: F.mse_loss(out[:, :1].expand(-1, 2), out.detach()),
    ):
        assert asked(partial(by_steps, loss=right)) == []


@pytest.mark.parametrize(
    ("length", "times", "said"),
    [
        (3, 1, ["past its end: whether CosineAnnealingLR is to go past its end, which is step 3"]),
        (8, 2, ["more than one advance: whether CosineAnnealingLR is to count anything but steps"]),
        (4, 1, []),
    ],
)
def test_how_often_a_schedule_goes_on_is_asked(length: int, times: int, said: list[str]) -> None:
    def train(model: nn.Module, optimizer: Any) -> None:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, length)

        def after() -> None:
            for _ in range(times):
                schedule.step()

        by_steps(model, optimizer, after=after)

    found = asked(train)
    assert [doubt[: len(start)] for doubt, start in zip(found, said, strict=True)] == said


def test_layers_in_a_plain_list_are_asked_about() -> None:
    model = mlp()
    hidden = [torch.nn.Linear(2, 3), torch.nn.Linear(3, 2)]
    optimizer = sgd(model)
    with oracles.watch(optimizer, model=model) as report:
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(hidden[1](hidden[0](model(x))), y).backward()
            optimizer.step()
    (doubt,) = report.doubts
    assert doubt.name == "not trained"
    assert doubt.sentence.startswith("whether parameters of shape (2, 3), (3, 2), (3,) and (2,) ar")
    assert report.ok
    assert str(report).endswith(": nothing is wrong; open: not trained")


def test_a_schedule_that_ends_with_the_passes_is_one_of_them() -> None:
    assert checked(RIGHT["schedule_of_passes"], {"loss": "mean"}).doubts == ()


@pytest.mark.skipif(not SCALER, reason="there is no scaler for the CPU")
def test_why_a_pass_was_cleared_is_known_where_its_step_was_left_out() -> None:
    watching = Watching()
    FAULTY["schedule_at_a_skipped_step"].loop(watching)
    assert watching.reports[0].doubts == ()


def test_the_rule_that_weights_follow_is_told() -> None:
    watching = Watching()
    RIGHT["plain"](watching)
    assert watching.reports[0].follows == ("the weights of SGD move as SGD's coupled_unscaled",)


def replaceable() -> dict[tuple[str, str], Any]:
    """Whatever might be left behind: functions, methods, hooks."""
    schedulers = [v for v in vars(torch.optim.lr_scheduler).values() if isinstance(v, type)]
    kinds = [
        *schedulers,
        *(type(grad_scaler()).__mro__[:-1] if SCALER else ()),
        torch.optim.Optimizer,
        torch.nn.Module,
        torch.no_grad,
        torch.inference_mode,
        torch.autograd.graph.saved_tensors_hooks,
        torch.optim.swa_utils.AveragedModel,
        sys.modules[__name__],
        sys.modules["tests.support.loops"],
        torch.nn.utils,
        torch.nn.utils.clip_grad,
        torch.autograd,
    ]
    hooks = vars(sys.modules["torch.optim.optimizer"]).get("_global_optimizer_pre_hooks", {})
    found = {(str(kind), name): value for kind in kinds for name, value in vars(kind).items()}
    return found | {("hooks", str(n)): hook for n, hook in hooks.items()}


def test_nothing_stays_behind() -> None:
    model = mlp()
    optimizer = sgd(model)
    before = replaceable()
    during: dict[tuple[str, str], Any] = {}
    watching = Watching()

    def train() -> None:
        with watching(optimizer):
            during.update(replaceable())
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
            F.cross_entropy(model(batches()[0][0]), batches()[0][1]).backward()
            optimizer.step()
            schedule.step()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    after = replaceable()
    assert after.keys() == before.keys()
    assert [key for key, value in before.items() if after[key] is not value] == []
    assert [key for key, value in before.items() if during[key] is not value]
    (report,) = watching.reports
    assert report.findings[0].sentence == "the training raises ZeroDivisionError"
    events = len(report.log.events)
    optimizer.step()
    assert len(report.log.events) == events


SHAPES = [
    ((3,), torch.float32),
    ((2, 2), torch.float64),
    ((4000,), torch.float32),
    ((5,), torch.bfloat16),
    ((50, 60), torch.float16),
    ((), torch.float32),
]
"""Of tensors that are read together, some by a copy and some by a few of their elements."""


def of_all_shapes(times: int = 1) -> list[torch.Tensor]:
    """Parameters, each with a gradient that is its negative, transposed in memory if it can be."""
    torch.manual_seed(0)
    found = [torch.randn(shape).to(dtype).requires_grad_() for shape, dtype in times * SHAPES]
    for p in found:
        p.grad = -p.detach().t().contiguous().t() if p.dim() == 2 else -p.detach()
    return found


@pytest.mark.parametrize("times", [1, 4])
def test_elements_are_those_of_their_tensors(times: int) -> None:
    tensors = of_all_shapes(times)
    looks = Looks()
    looks.follow(tensors)
    for _ in range(2):
        look = looks.look()
        for n, tensor in enumerate(tensors):
            seen = look.gradient(n)
            assert seen is not None
            sizes = tensor.detach().abs().flatten().double()
            parts = sizes.tensor_split(min(4, len(sizes)))
            assert [abs(value) for value in seen.values] == [float(part.max()) for part in parts]
            assert look.weight(n) == tuple(-value for value in seen.values)
        with torch.no_grad():  # behind the counters of versions
            tensors[0].data.mul_(2)
            assert tensors[0].grad is not None
            tensors[0].grad.data.mul_(2)


def test_a_tensor_that_was_replaced_spoils_no_other() -> None:
    tensors = of_all_shapes()
    looks = Looks()
    looks.follow(tensors)
    before = looks.look()
    tensors[0].data = torch.ones(1)
    tensors[1].grad = torch.eye(2, dtype=torch.float64).to_sparse()
    after = looks.look()
    assert [after.weight(n) == before.weight(n) for n in range(6)] == [False] + 5 * [True]
    assert after.weight(0) == ()
    values = [
        [g.values if g else None for g in map(look.gradient, range(6))] for look in (before, after)
    ]
    assert values[1] == [values[0][0], (), *values[0][2:]]


@pytest.mark.parametrize("times", [1, 20], ids=["kept whole", "laid into one"])
def test_tensors_of_another_size_are_read_anew(times: int) -> None:
    """Each by itself, and together again at the next look."""
    tensors = [torch.ones(3) for _ in range(6 * times)]
    for n, p in enumerate(tensors):
        p.grad = torch.full((3,), float(n))
    looks = Looks()
    looks.follow(tensors)
    looks.look()
    tensors[0].data, tensors[4].data = torch.arange(9.0), torch.full((5,), 4.0)
    for look in (looks.look(), looks.look()):
        assert [look.weight(n)[-1] for n in range(6)] == [2.0, 1.0, 1.0, 1.0, 4.0, 1.0]


def test_a_glance_at_some_leaves_the_gradients_of_others_as_they_were() -> None:
    """What has become of them meanwhile is seen by the next look at all."""
    tensors = of_all_shapes()
    looks = Looks()
    looks.follow(tensors)
    first = looks.look()
    for tensor in tensors:
        tensor.grad = None
    some, then = looks.glance(looks.some([tensors[1], tensors[3]])), looks.look()
    gone = [[look.gradient(n) is None for n in range(6)] for look in (first, some, then)]
    assert gone[1:] == [[n in (1, 3) for n in range(6)], 6 * [True]]
    assert not any(gone[0]), "a look stays what it was"
    assert [bool(some.weight(n)) for n in range(6)] == [n in (1, 3) for n in range(6)]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda w: None, (3.0, 3.0)),
        (lambda w: w.grad.mul_(2), (6.0, 6.0)),
        (lambda w: setattr(w, "grad", torch.full((2,), 4.0)), (4.0, 4.0)),
        (lambda w: w.grad.data.zero_(), (3.0, 3.0)),  # which no step of torch's does
        (lambda w: setattr(w, "grad", None), None),
    ],
    ids=["left alone", "written", "replaced", "behind the counters", "cleared"],
)
def test_after_a_step_gradients_are_read_if_it_has_changed_them(change: Any, left: Any) -> None:
    w = torch.ones(2, requires_grad=True)
    w.grad = torch.full((2,), 3.0)
    looks = Looks()
    before = looks.glance(some := looks.some([w]))
    w.data.mul_(2)
    change(w)
    after = looks.after(some, before)
    seen = after.gradient(0)
    assert (seen and seen.values) == left
    assert after.weight(0) == (2.0, 2.0)


def forget(optimizer: Any, *_: Any) -> None:
    """Clear what a step has followed, unseen by torch."""
    for p in optimizer.param_groups[0]["params"]:
        p.grad.data.zero_()


class Forgetting(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        forget(self)


@pytest.mark.parametrize("hooked", [False, True], ids=["class", "hook"])
def test_what_a_step_that_is_not_torchs_leaves_of_gradients_is_read(hooked: bool) -> None:
    w = nn.Parameter(torch.ones(2))
    optimizer = (torch.optim.SGD if hooked else Forgetting)([w], lr=0.1)
    if hooked:
        skip_before("2.2", "steps called no hooks, or none once something was compiled")
        optimizer.register_step_post_hook(forget)
    with oracles.watch(optimizer) as report:
        w.sum().backward()
        optimizer.step()
    look = report.log.events[-1].look
    assert look is not None
    seen = look.gradient(0)
    assert seen is not None
    assert seen.values == (0.0, 0.0)


@pytest.mark.parametrize("weights", [False, True])
def test_what_is_kept_whole_is_as_it_was(weights: bool) -> None:
    w = torch.ones(2, 2, requires_grad=True)
    w.grad = torch.full((2, 2), 3.0)
    looks = Looks()
    looks.follow([w])
    look = looks.look(weights=weights)
    w.grad.zero_()
    w.data.zero_()
    seen = look.gradient(0)
    assert seen is not None
    assert seen.values == (3.0,) * 4
    assert look.weight(0) == (1.0,) * 4 * weights


def test_many_optimizers_are_not_told_one_by_one() -> None:
    optimizers = [torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1) for _ in range(5)]
    with oracles.watch(optimizers) as report:
        for optimizer in optimizers[1:]:
            optimizer.step()
    assert (
        report.seen == "1 step of SGD (2), 1 step of SGD (3), 1 step of SGD (4) and 1 step of "
        "SGD (5) after 0 backward passes"
    )
    with oracles.watch(optimizers) as report:
        for optimizer in optimizers:
            optimizer.step()
    assert report.seen == "5 steps of 5 optimizers after 0 backward passes"


def infinite(*gradients: torch.Tensor) -> list[int]:
    """Whose gradients are found to have elements that are not finite."""
    parameters = [nn.Parameter(torch.zeros_like(g.to_dense())) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    looks = Looks()
    looks.follow(parameters)
    look = looks.look()
    found = looks.infinite(range(len(gradients)))
    return [*(look.latest.elements.infinite() if found is None else found)]


def test_which_gradients_are_not_finite() -> None:
    """A sum that is none may be one of numbers, whether they are laid into one or stand alone."""
    most = torch.finfo(torch.float16).max
    finite = [torch.ones(3), torch.full((2,), most, dtype=torch.float16), torch.ones(4000)]
    assert infinite(*finite) == infinite(*finite, *finite) == []
    wrong = [torch.tensor([1.0, math.nan]), torch.full((4000,), math.inf)]
    assert infinite(*finite, *wrong) == [3, 4]
    assert infinite(*finite, *wrong, *finite, *wrong) == [3, 4, 8, 9]
    assert infinite(torch.eye(2).to_sparse(), *wrong) == [1, 2], "though one cannot be read"
    assert infinite(finite[0], wrong[0]) == [1], "they are kept whole"


def test_a_report_is_read_when_the_loop_is_over() -> None:
    with oracles.watch(sgd(mlp())) as report, pytest.raises(RuntimeError, match=r"is not over"):
        _ = report.findings


class Unhooked(torch.optim.SGD):
    """As dynamo leaves all optimizers of torch 2.1, once something was compiled."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for p in self.param_groups[0]["params"]:
            p -= self.param_groups[0]["lr"] * p.grad

    step.hooked = True  # type: ignore[attr-defined]


def test_an_optimizer_that_calls_no_hooks_is_heard() -> None:
    w = nn.Parameter(torch.ones(2))
    optimizer = Unhooked([w], lr=0.1)
    with oracles.watch(optimizer) as report:
        for _ in range(2):
            w.sum().backward()
            optimizer.step()
    assert names(report) == {"never cleared"}
    assert "step" not in vars(optimizer)


def test_two_may_watch_at_once() -> None:
    one, other = Watching(), Watching()

    @contextmanager
    def both(optimizer: Any, **said: Any) -> Iterator[None]:
        with one(optimizer, **said), other(optimizer, **said):
            yield

    FAULTY["clipped_after_the_step"].loop(both)
    assert names(one.reports[0]) == names(other.reports[0]) == {"clips after the step"}


def test_a_training_can_be_ended_after_some_steps() -> None:
    report = oracles.check_loop(partial(RIGHT["plain"], unwatched), steps=2)
    assert str(report) == "partial, 2 steps of SGD after 2 backward passes: nothing is wrong"
    assert not report.log.whole


def hangs() -> None:
    """It cannot be interrupted."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    while True:
        pass


ALARM = hasattr(signal, "setitimer")
"""Whether there are alarms here."""


def lasts() -> None:
    """Its time is up after four steps."""
    FAULTY["zero_grad_forgotten"].loop(unwatched)
    signal.raise_signal(signal.SIGALRM)


def waits() -> None:
    """Its time is up before it has made a step."""
    signal.raise_signal(signal.SIGALRM)


def decays() -> None:
    FAULTY["decay_for_each_micro_batch"].loop(unwatched)


def trains() -> None:
    print("nobody sees this")
    torch.manual_seed(0)
    FAULTY["zero_grad_forgotten"].loop(unwatched)


def parses() -> None:
    """As most scripts do."""
    argparse.ArgumentParser(Path(sys.argv[0]).name).parse_args()
    assert sys.argv == [__file__]
    RIGHT["plain"](unwatched)


def yields() -> Iterator[None]:
    yield RIGHT["plain"](unwatched)


async def awaits() -> None:
    RIGHT["plain"](unwatched)


async def yields_and_awaits() -> AsyncIterator[None]:
    yield RIGHT["plain"](unwatched)


class Trainer:
    def train(self) -> None:
        RIGHT["plain"](unwatched)


def test_a_training_has_no_arguments_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["oracles", "loop", f"{__name__}:parses", "--steps", "9"])
    ours = sys.argv
    assert oracles.check_loop(f"{__name__}:parses").ok
    assert sys.argv is ours


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        (Trainer, "Trainer is a class, and a call of it trains nothing; allowed: a function .*"),
        (yields, "yields is a generator function, and .* that goes through it to its end"),
        (partial(yields), "partial is a generator function"),
        (awaits, "awaits is an async function, and .* that runs it by asyncio.run"),
        (yields_and_awaits, "yields_and_awaits is an async generator function"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_trains_nothing_when_it_is_called_is_refused(fit: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        oracles.check_loop(fit)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["trains"], 1, "FAILED    never cleared: steps 2 to 4 of SGD follow once more"),
        (["trains", "--steps", "1"], 0, "trains, 1 step of SGD after 1 backward pass: nothing"),
        (["trains", "--allow", "never cleared"], 0, "move as SGD's coupled_unscaled"),
        (["trains", "--accumulation", "4"], 1, "4 of them were to make one"),
        (["trains", "--loss", "sum"], 1, "their sum was meant"),
        (["decays", "--weight-decay", "0.1"], 1, "is multiplied with 4 backward passes"),
        (["hangs", "--time-limit", "0.1"], 1, "the training gives no answer within 0.2 s"),
        (["trains", "--allow", "x"], 2, "--allow='x' is no fault; allowed: raises; no step"),
        (["nowhere"], 2, "cannot be imported: AttributeError: module"),
        (["yields"], 2, "yields is a generator function, and a call of it trains nothing"),
        (["names"], 2, "names needs arguments (missing a required argument: 'report')"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_the_command_says_and_its_status(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *options = arguments
    assert cli.main(["loop", f"{__name__}:{name}", *options]) == status
    output = capsys.readouterr()
    assert said in output.out + output.err
    assert "nobody sees this" not in output.out


@pytest.mark.skipif(not ALARM, reason="there are no alarms")
def test_of_a_training_that_is_ended_what_was_seen_is_told() -> None:
    report = oracles.check_loop(lasts, time_limit=600)
    assert str(report) == (
        "lasts, 4 steps of SGD after 4 backward passes, ended after 600 s: never cleared"
    )
    assert report.doubts[0].sentence == "what comes after 600 s: the training was ended then"
    assert not report.to_json()["whole"]


def test_what_was_seen_is_not_lost_if_it_takes_too_long_to_judge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of it is lost if the process dies while it judges, either."""
    monkeypatch.setattr(LoopReport, "judged", lambda _: os._exit(3))
    report = oracles.check_loop(trains, time_limit=600)
    assert str(report) == "trains, 4 steps of SGD after 4 backward passes: never cleared"


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_a_training_that_has_converged_is_judged_by_steps_that_move(
    rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moves that are no larger than roundings exclude no rule: all would be followed to the end."""
    lengths: list[int] = []

    def recorded(trace: Trace) -> Recorded:
        lengths.extend(map(len, trace.parameters.values()))
        return Recorded(trace)

    monkeypatch.setattr(movement, "Recorded", recorded)

    def converges() -> None:
        model = nn.Linear(1, 1, bias=False)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        for _ in range(200):
            optimizer.zero_grad()
            (model(torch.ones(1)) - 3.0).square().sum().backward()
            optimizer.step()

    report = oracles.check_loop(converges)
    assert report.ok
    assert report.follows == ("the weights of SGD move as SGD's coupled_unscaled",)
    assert max(lengths) <= movement.SEEN + 1


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (SystemExit, []),
        (partial(SystemExit, 0), []),
        (partial(SystemExit, 1), ["raises"]),
        (GeneratorExit, []),
        (KeyboardInterrupt, ["raises"]),
    ],
    ids=["exit", "exit-0", "exit-1", "close", "interrupt"],
)
def test_an_end_that_is_no_fault(ended: Callable[[], BaseException], said: list[str]) -> None:
    """A main() may end in sys.exit(0), and a generator that watches may be closed."""
    with suppress(BaseException), oracles.watch(sgd(mlp()), allow=["no step"]) as report:
        raise ended()
    assert [found.name for found in report.findings] == said


def test_a_training_that_exits_is_over() -> None:
    def exits() -> None:
        RIGHT["plain"](unwatched)
        sys.exit()

    report = oracles.check_loop(exits)
    assert report.ok
    assert report.log.whole


@pytest.mark.skipif(not ALARM, reason="there are no alarms")
def test_a_training_that_is_ended_before_its_first_step_is_not_right() -> None:
    assert names(oracles.check_loop(waits, time_limit=600)) == {"no step"}


def test_the_json_follows_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["loop", f"{__name__}:trains", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    SCHEMA.validate(told)
    assert [found["name"] for found in told["findings"]] == ["never cleared"]
    assert not told["ok"]


def test_the_report_ends_in_the_line_that_can_be_quoted() -> None:
    report = checked(RIGHT["several_losses"])
    lines = render(report).splitlines()
    assert lines[0].startswith("could not tell whether steps 1 to 4 of SGD were to follow the sum")
    assert lines[-1] == str(report)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"optimizer": 3}, TypeError, "optimizer=3 is no optimizer of torch"),
        ({"optimizer": []}, ValueError, r"optimizer=\[\] is empty"),
        ({"model": "x"}, TypeError, "model='x' is no module of torch"),
        ({"loss": "average"}, ValueError, "loss='average' is not known; allowed: 'mean', 'sum'"),
        ({"accumulation": 0}, ValueError, "accumulation=0 must be a whole number from 1 on"),
        ({"weight_decay": math.nan}, ValueError, "weight_decay=nan must be a finite number from"),
        ({"allow": ["x"]}, ValueError, "allow='x' is no fault; allowed: raises"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_refused(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with (
        pytest.raises(error, match=said),
        oracles.watch(**{"optimizer": sgd(mlp())} | arguments),
    ):
        pass


@pytest.mark.parametrize(
    ("share", "open_"),
    [(0.5, ["a multiple of the mean"]), (1 / 8, []), (1 / 16, []), (1.0, [])],
)
def test_a_part_of_a_sum_is_asked_about(share: float, open_: list[str]) -> None:
    """Not if it is the mean over the 8 rows, or over their 16 losses, or no part."""
    model = mlp()
    optimizer = sgd(model)
    with oracles.watch(optimizer, model=model, loss="mean") as report:
        for x, y in batches():
            optimizer.zero_grad()
            target = F.one_hot(y, 2).float()
            (share * F.mse_loss(model(x), target, reduction="sum")).backward()
            optimizer.step()
    assert [doubt.name for doubt in report.doubts] == open_
    assert [found.name for found in report.findings] == ["sum for mean"] * (share == 1)


@pytest.mark.parametrize("steps", [0, -1, math.inf])
def test_a_number_of_steps_that_cannot_be_is_refused(steps: Any) -> None:
    with pytest.raises(ValueError, match=r"steps=.* must be a finite number above 0"):
        oracles.check_loop(trains, steps=steps)


class Ranks(NamedTuple):
    """Two steps, the losses multiplied, the gradients added over ranks and multiplied.

    None for each by itself. A batch may come in parts.
    """

    scale: float | None
    share: float = 1.0
    dtype: torch.dtype = torch.float32
    parts: int = 1


def _rank(store: Path, rank: int, ranks: Ranks, pipe: Any) -> None:
    torch.set_num_threads(1)
    with gloo(store, rank, 2):
        model = mlp().to(ranks.dtype)
        optimizer = sgd(model)
        with oracles.watch(optimizer, model=model, loss="mean", ranks=True) as report:
            for x, y in batches(4)[rank::2]:
                optimizer.zero_grad()
                for rows in torch.arange(len(x)).chunk(ranks.parts):
                    loss = F.cross_entropy(model(x[rows].to(ranks.dtype)), y[rows])
                    (loss * ranks.share).backward()
                for p in model.parameters():
                    if ranks.scale is not None and p.grad is not None:
                        torch.distributed.all_reduce(p.grad)
                        p.grad *= ranks.scale
                optimizer.step()
        pipe.send([str(found) for found in report.findings])  # some gloos hang when they are left


SUMMED = "summed over ranks: steps 1 and 2 of SGD follow the sum of the gradients of 2"


@pytest.mark.one_in(3)
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        (Ranks(0.5), []),
        (Ranks(1.0, share=0.5), []),
        (Ranks(1.0), [SUMMED]),
        (Ranks(1.0, share=0.5, parts=2), [SUMMED]),
        (Ranks(1.0, dtype=torch.bfloat16), [SUMMED]),
        (Ranks(None), ["ranks differ: after step 1 of SGD, rank 1 holds other values of 0.weight"]),
    ],
)
def test_ranks_are_compared(tmp_path: Path, ranks: Ranks, said: list[str]) -> None:
    if ranks.dtype is torch.bfloat16:
        skip_before("2.2", "gloo could not add bfloat16")
    context = multiprocessing.get_context("fork")
    ends = [context.Pipe(duplex=False) for _ in range(2)]
    processes = [
        context.Process(target=_rank, args=(tmp_path / "store", rank, ranks, pipe))
        for rank, (_, pipe) in enumerate(ends)
    ]
    try:
        for process in processes:
            process.start()
        for _, pipe in ends:
            pipe.close()  # so that one who ends without a word is not waited for
        told = [end.recv() if end.poll(60) else ["nothing"] for end, _ in ends]
    finally:
        for process in processes:
            process.kill()
            process.join()
    for found in told:
        assert [sentence[: len(start)] for sentence, start in zip(found, said, strict=True)] == said


def test_ranks_that_are_not_there_cannot_be_compared() -> None:
    with (
        pytest.raises(RuntimeError, match=r"torch.distributed is not initialized"),
        oracles.watch(sgd(mlp()), ranks=True),
    ):
        pass
