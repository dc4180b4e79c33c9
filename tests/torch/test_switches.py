"""What constructors keep of their switches, and which combinations and steps they refuse.

A refusal must come before anything has moved: a user who catches the error keeps the parameters.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Container
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import torch
from packaging.version import Version

from oracles.harness.subjects.classes import accepted, functional, lacks_functional, module_of
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from tests.support.marks import needs_muon, skip_without

pytestmark = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.13"), reason="older releases refuse less"
)

SWITCHES = {
    "foreach": None,
    "maximize": False,
    "capturable": False,
    "differentiable": False,
    "fused": None,
    "amsgrad": False,
}
"""With what they are if nobody says."""

FOREACH: tuple[dict[str, bool], ...] = ({"foreach": False}, {"foreach": True})

rules = pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)


def class_of(rule: Rule) -> Any:
    skip_without(rule.name)
    return getattr(torch.optim, rule.name)


def parameters(rule: Rule, count: int = 2, **options: Any) -> list[torch.Tensor]:
    shape = (rule.drawing.shapes or ((2,),))[-1]
    found = [torch.ones(shape, **options).requires_grad_() for _ in range(count)]
    for p in found:
        p.grad = torch.ones_like(p)
        if rule.gradient_layout == "sparse":
            p.grad = p.grad.to_sparse()
    return found


def takes(rule: Rule, *names: str) -> bool:
    return set(names) <= set(accepted(getattr(torch.optim, rule.name, object)))


def having(*names: str, without: Container[str] = ()) -> pytest.MarkDecorator:
    """Each rule whose class takes all of these options."""
    there = [rule for rule in RULES.values() if takes(rule, *names) and rule.name not in without]
    return pytest.mark.parametrize("rule", there, ids=lambda rule: rule.name)


# --- What is kept ---------------------------------------------------------------------------------


@rules
def test_switches_are_kept(rule: Rule) -> None:
    """Each alone, either way; and the others stay what they are if nobody says."""
    own = {name: default for name, default in SWITCHES.items() if takes(rule, name)}
    for change in ({}, *({name: value} for name in own for value in (True, False))):
        group = class_of(rule)(parameters(rule), **change).param_groups[0]
        assert repr({name: group[name] for name in own}) == repr({**own, **change})


@rules
def test_what_is_not_given_is_the_rules(rule: Rule) -> None:
    group = class_of(rule)(parameters(rule)).param_groups[0]
    names = accepted(class_of(rule))
    expected = {n: v for n, v in rule.arguments(rule.hyper()).items() if n in names}
    assert {name: group[name] for name in expected} == expected


@rules
def test_each_hyperparameter_is_kept_under_its_own_name(rule: Rule) -> None:
    """One at a time, and the others stay what they are if nobody says."""
    default = rule.hyper()
    counts = ("batch_size", "ns_steps")
    numbers = [n for n, v in default._asdict().items() if type(v) in (int, float)]
    numbers = [n for n in numbers if n not in counts]
    asked = 0
    for name, value in itertools.product(numbers, (0.25, 0.625, 2.0)):
        h = default._replace(**{name: value})
        arguments = {n: v for n, v in rule.arguments(h).items() if takes(rule, n)}
        if rule.constraint(h) is None:
            group = class_of(rule)(parameters(rule), **arguments).param_groups[0]
            assert {n: group[n] for n in arguments} == arguments
            asked += 1
    assert asked >= len(numbers)


@rules
def test_a_rate_in_a_tensor_is_one_number(rule: Rule) -> None:
    for options in FOREACH if takes(rule, "foreach") else ({},):
        if rule.name in ("Adam", "AdamW") and options.get("foreach"):
            continue  # which they refuse, and a test below asks
        steps = []
        for shape in ((), (1,), (1, 1)):
            owned = parameters(rule)
            decay = {"weight_decay": 0.25} if takes(rule, "weight_decay") else {}
            class_of(rule)(owned, lr=torch.full(shape, 0.5), **decay, **options).step()
            steps.append(owned[0])
        assert all(torch.equal(one, steps[0]) for one in steps)
    for shape in ((2,), (0,), (1, 2)):
        with pytest.raises(ValueError, match="1-element"):
            class_of(rule)(parameters(rule), lr=torch.ones(shape))


# --- What is refused ------------------------------------------------------------------------------


class Refused(NamedTuple):
    """Options that exclude one another: what is refused, in which words, and what is not."""

    options: dict[str, Any]
    words: str
    unless: dict[str, Any]


RATE = {"lr": torch.tensor(0.5)}
BETAS = {"betas": (torch.tensor(0.5), torch.tensor(0.75))}

EXCLUDED = (
    Refused({"fused": True, "foreach": True}, "cannot be `True` together", {"foreach": False}),
    Refused({"fused": True, "differentiable": True}, "differentiable", {"differentiable": False}),
)

ADAMS = (
    Refused({**RATE, "foreach": True}, "lr as a Tensor", {"capturable": True}),
    Refused({**RATE, "foreach": True}, "lr as a Tensor", {"foreach": False}),
    Refused({**BETAS, "foreach": True}, "as a Tensor", {"capturable": True}),
    Refused({**BETAS, "foreach": True}, "as a Tensor", {"foreach": False}),
    Refused({"betas": (0.5, torch.tensor(0.75))}, "both", BETAS),
    Refused({"betas": (torch.tensor(0.5), 0.75)}, "both", {"betas": (0.5, 0.75)}),
    Refused(
        {"betas": (torch.full((1,), 0.5), torch.full((2,), 0.75))}, "1-element|ambiguous", BETAS
    ),
    Refused(
        {"betas": (torch.full((2,), 0.5), torch.full((1,), 0.75))}, "1-element|ambiguous", BETAS
    ),
)
"""Of Adam and AdamW, whose betas may be tensors."""


@rules
def test_options_that_exclude_one_another(rule: Rule) -> None:
    class_ = class_of(rule)
    for row in (*EXCLUDED, *(ADAMS if rule.name in ("Adam", "AdamW") else ())):
        if takes(rule, *row.options, *row.unless):
            with pytest.raises((ValueError, RuntimeError), match=row.words):
                class_(parameters(rule), **row.options)
            class_(parameters(rule), **{**row.options, **row.unless})


def refuses(optimizer: Any, owned: list[torch.Tensor], error: type[Exception], words: str) -> None:
    """A step raises, and has moved nothing."""
    before = [p.detach().clone() for p in owned]
    with pytest.raises(error, match=words):
        optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(before, owned, strict=True))


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
def test_sparse_adam_refuses_parameters_it_cannot_step(place: tuple[int, int]) -> None:
    """Sparse and complex ones, wherever among the groups, and says where."""
    for unfit in (torch.ones(2).to_sparse(), torch.ones(2, dtype=torch.complex64)):
        groups = [[torch.ones(2), torch.ones(2)] for _ in range(2)]
        groups[place[0]][place[1]] = unfit
        with pytest.raises(ValueError, match=re.escape(str([[*place]]))):
            torch.optim.SparseAdam([{"params": own} for own in groups])


def test_sparse_adam_refuses_dense_gradients() -> None:
    """On the second parameter: the first has not moved."""
    owned = parameters(RULES["SparseAdam"])
    owned[1].grad = torch.ones_like(owned[1])
    refuses(torch.optim.SparseAdam(owned), owned, RuntimeError, "dense gradients")


adafactor = pytest.mark.skipif(
    not hasattr(torch.optim, "Adafactor"), reason="this torch has no Adafactor"
)


def test_adagrad_decays_no_sparse_gradients() -> None:
    owned = parameters(RULES["Adagrad"])
    owned[1].grad = torch.ones_like(owned[1]).to_sparse()
    optimizer = torch.optim.Adagrad(owned[1:], weight_decay=0.5)
    refuses(optimizer, owned, RuntimeError, "not compatible with sparse")


def test_adagrad_shares_its_sums() -> None:
    """Those of every parameter of every group."""
    groups = [{"params": parameters(RULES["Adagrad"])} for _ in range(2)]
    optimizer = torch.optim.Adagrad(groups)
    optimizer.share_memory()
    sums = [optimizer.state[p]["sum"] for group in groups for p in group["params"]]
    assert all(one.is_shared() for one in sums)


@having("fused", without=("SGD",))
def test_a_complex_group_that_joins_fused_ones(rule: Rule) -> None:
    owned = parameters(rule)
    optimizer = class_of(rule)(owned, fused=True)
    optimizer.step()
    late = parameters(rule, dtype=torch.complex64)
    optimizer.add_param_group({"params": late})
    refuses(optimizer, late, RuntimeError, "requires all the params to be floating point")


foreach = pytest.mark.parametrize("foreach", [False, True])


@adafactor
def test_adafactor_refuses_a_decay_that_grows() -> None:
    torch.optim.Adafactor(parameters(RULES["Adafactor"]), beta2_decay=0.0)
    for exponent in (1e-300, 0.5):
        with pytest.raises(ValueError, match="beta2_decay"):
            torch.optim.Adafactor(parameters(RULES["Adafactor"]), beta2_decay=exponent)


@foreach
@adafactor
def test_adafactor_refuses_complex_parameters(foreach: bool) -> None:
    owned = parameters(RULES["Adafactor"], dtype=torch.complex64)
    refuses(
        torch.optim.Adafactor(owned, foreach=foreach), owned, RuntimeError, "not support complex"
    )


@pytest.mark.parametrize("name", ["grad_scale", "found_inf"])
@foreach
@adafactor
def test_adafactor_unscales_nothing(foreach: bool, name: str) -> None:
    """Neither as a class that a grad scaler has told, nor as a function."""
    owned = parameters(RULES["Adafactor"])
    optimizer = torch.optim.Adafactor(owned, foreach=foreach)
    setattr(optimizer, name, torch.ones(()))
    refuses(optimizer, owned, AssertionError, "outside of optimizer.step")
    switches = {"foreach": foreach, name: torch.ones(())}
    made = told(RULES["Adafactor"], **switches)(owned)
    refuses(made, owned, AssertionError, "outside of optimizer.step")


@pytest.mark.parametrize(
    ("shape", "name"), [((2,), "variance"), ((2, 2), "row_var"), ((2, 2), "col_var")], ids=str
)
@foreach
@adafactor
def test_adafactor_misses_what_its_state_lacks(
    foreach: bool, shape: tuple[int, ...], name: str
) -> None:
    p = torch.ones(shape, requires_grad=True)
    p.grad = torch.ones_like(p)
    optimizer: Any = torch.optim.Adafactor([p], foreach=foreach)
    optimizer.step()
    del optimizer.state[p][name]
    refuses(optimizer, [p], AssertionError, "should be defined")


@needs_muon
@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
def test_muon_refuses_what_is_no_matrix(place: tuple[int, int]) -> None:
    """Wherever among the groups."""
    for shape in ((2,), (2, 2, 2)):
        groups = [[torch.ones(2, 2), torch.ones(2, 2)] for _ in range(2)]
        groups[place[0]][place[1]] = torch.ones(shape)
        with pytest.raises(ValueError, match="2D"):
            torch.optim.Muon([{"params": own} for own in groups])


@needs_muon
def test_muon_refuses_complex_matrices() -> None:
    """On the second parameter: the first has not moved."""
    owned = parameters(RULES["Muon"])
    owned[1] = owned[1].detach().to(torch.complex64).requires_grad_()
    owned[1].grad = torch.ones_like(owned[1])
    refuses(torch.optim.Muon(owned), owned, RuntimeError, "complex")


@needs_muon
@pytest.mark.parametrize("coefficients", [(1.0, 2.0), (1.0, 2.0, 3.0, 4.0)], ids=len)
def test_muon_refuses_other_than_three_coefficients(coefficients: tuple[float, ...]) -> None:
    owned = parameters(RULES["Muon"])
    options: dict[str, Any] = {"ns_coefficients": coefficients}
    refuses(torch.optim.Muon(owned, **options), owned, ValueError, "exactly 3")


@needs_muon
@pytest.mark.parametrize("shape", [(2,), (2, 2, 2)], ids=str)
def test_muon_refuses_what_is_no_matrix_and_came_later(shape: tuple[int, ...]) -> None:
    """A group that joins is looked at when it steps."""
    optimizer = torch.optim.Muon([torch.ones(2, 2, requires_grad=True)])
    late = torch.ones(shape, requires_grad=True)
    late.grad = torch.ones_like(late)
    optimizer.add_param_group({"params": [late]})
    refuses(optimizer, [late], ValueError, "Param gradient must be a 2D")


@needs_muon
def test_muon_has_no_foreach_loop() -> None:
    owned = parameters(RULES["Muon"])
    refuses(told(RULES["Muon"], foreach=True)(owned), owned, RuntimeError, "not supported")
    told(RULES["Muon"], foreach=False)(owned).step()


@needs_muon
def test_muon_knows_two_adjustments() -> None:
    for name in (None, "original", "match_rms_adamw"):
        torch.optim.Muon(parameters(RULES["Muon"]), adjust_lr_fn=name)
    with pytest.raises(ValueError, match="not supported"):
        torch.optim.Muon(parameters(RULES["Muon"]), adjust_lr_fn="other")


@having("fused")
def test_what_fused_kernels_have_no_step_for(rule: Rule) -> None:
    """Complex parameters and sparse gradients, in words and before a kernel is called.

    A group may say for itself that it is fused.
    """
    words = "requires all the params to be floating point"
    owned = parameters(rule, dtype=torch.complex64)
    refuses(class_of(rule)(owned, fused=True), owned, RuntimeError, words)
    owned = parameters(rule, dtype=torch.complex64)
    group = {"params": owned, "fused": True}
    refuses(class_of(rule)([group]), owned, RuntimeError, words)
    owned = parameters(rule)
    owned[1].grad = torch.ones_like(owned[1]).to_sparse()
    refuses(class_of(rule)(owned, fused=True), owned, RuntimeError, "not support sparse")


@having("lr", without=("SGD", "Adagrad", "SparseAdam"))
def test_sparse_gradients_that_a_rule_has_no_step_for(rule: Rule) -> None:
    """On the second parameter: the first has not moved. SGD and Adagrad do step on them."""
    for options in FOREACH if takes(rule, "foreach") else ({},):
        owned = parameters(rule)
        owned[1].grad = torch.ones_like(owned[1]).to_sparse()
        refuses(class_of(rule)(owned, **options), owned, RuntimeError, "sparse")


@pytest.mark.parametrize("foreach", [False, True])
@having("foreach", "capturable")
def test_a_captured_step_on_a_device_without_capture(rule: Rule, foreach: bool) -> None:
    """The CPU is one; the checks lift this guard, so that the arithmetic behind it is asked."""
    owned = parameters(rule)
    optimizer = class_of(rule)(owned, capturable=True, foreach=foreach)
    refuses(optimizer, owned, AssertionError, "capturable=True")


@having("foreach", "differentiable", without=("SGD",))
def test_a_foreach_step_inside_the_graph(rule: Rule) -> None:
    """SGD's foreach loop is not told that it is inside one."""
    owned = [p.detach() for p in parameters(rule)]
    for p in owned:
        p.grad = torch.ones_like(p)
    optimizer = class_of(rule)(owned, differentiable=True, foreach=True)
    refuses(optimizer, owned, AssertionError, "autograd")


@having("foreach", without=("SGD", "ASGD"))
def test_counts_that_are_no_tensors(rule: Rule) -> None:
    """Older releases kept numbers; all but ASGD refuse to go on with those."""
    names = sorted({"step", "mu_product"} & set(rule.states))
    for name, place in itertools.product(names, range(3)):
        owned = parameters(rule, 3)
        optimizer = class_of(rule)(owned)
        optimizer.step()
        state = optimizer.state[owned[place]]
        state[name] = state[name].item()
        refuses(optimizer, owned, RuntimeError, "API has changed|singleton tensors")


# --- The functional entries -----------------------------------------------------------------------


def entry(rule: Rule) -> Any:
    """The function behind a class; None if it cannot be called in the place of its step."""
    class_ = getattr(torch.optim, rule.name, None)
    if class_ is None or lacks_functional(class_):
        return None
    return getattr(module_of(class_), rule.name.lower())


def told(rule: Rule, **switches: Any) -> Any:
    """The class that steps through its module's function, which is told a path."""
    class_ = class_of(rule)
    switched = partial(entry(rule), **switches)
    with patch.object(module_of(class_), rule.name.lower(), switched):
        return functional.__wrapped__(class_, rule)


def telling(*names: str, without: Container[str] = ()) -> list[Rule]:
    """Each rule whose function takes all of these options."""
    entries = {rule.name: entry(rule) for rule in RULES.values()}
    known = {name: inspect.signature(e).parameters for name, e in entries.items() if e is not None}
    return [RULES[n] for n, own in known.items() if set(names) <= set(own) and n not in without]


UNTOLD = {
    "foreach": None,
    "fused": None,
    "capturable": False,
    "differentiable": False,
    "maximize": False,
    "decoupled_weight_decay": False,
    "has_complex": False,
    "has_sparse_grad": False,
    "grad_scale": None,
    "found_inf": None,
}
"""What a function takes for given if it is not told: it chooses a path, and descends."""


@pytest.mark.parametrize("rule", telling(), ids=lambda one: getattr(one, "name", ""))
def test_what_a_function_takes_for_given(rule: Rule) -> None:
    told(rule)(parameters(rule)).step()
    signature = inspect.signature(entry(rule)).parameters
    own = {name: p.default for name, p in signature.items() if p.default is not p.empty}
    assert repr(own) == repr({name: UNTOLD[name] for name in own})


class Told(NamedTuple):
    """What a function is told, and what it says to that."""

    switches: dict[str, Any]
    error: type[Exception]
    words: str


ONE = torch.ones(())

TOLD = (
    Told({"foreach": True, "differentiable": True}, AssertionError, "autograd"),
    Told({"foreach": True, "capturable": True}, AssertionError, "capturable=True"),
    Told({"foreach": False, "capturable": True}, AssertionError, "capturable=True"),
    Told({"fused": True, "differentiable": True}, RuntimeError, "differentiable=True"),
    *(
        Told({"fused": False, "foreach": foreach, name: ONE}, AssertionError, "grad_scale")
        for foreach in (False, True)
        for name in ("grad_scale", "found_inf")
    ),
)


@pytest.mark.parametrize(
    ("rule", "row"),
    [(rule, row) for row in TOLD for rule in telling(*row.switches)],
    ids=lambda one: getattr(one, "name", ""),
)
def test_a_function_that_is_told_a_path_takes_it(rule: Rule, row: Told) -> None:
    """What that path refuses shows which one it is."""
    class_ = told(rule, **row.switches)
    owned = parameters(rule)
    refuses(class_(owned), owned, row.error, row.words)


@pytest.mark.parametrize("skip", [None, 0.0, 1.0])
@pytest.mark.parametrize("scale", [None, 4.0])
@pytest.mark.parametrize("rule", telling("fused"), ids=lambda one: getattr(one, "name", ""))
def test_a_fused_function_unscales_and_skips(
    rule: Rule, scale: float | None, skip: float | None
) -> None:
    """Gradients are divided by ``grad_scale``; with ``found_inf`` nothing moves."""
    expected = parameters(rule)
    if not skip:
        told(rule, fused=True)(expected).step()
    owned = parameters(rule)
    for p in owned:
        p.grad = (scale or 1.0) * torch.ones_like(p)
    given = {"grad_scale": scale, "found_inf": skip}
    boxed = {name: None if v is None else torch.tensor(v) for name, v in given.items()}
    told(rule, fused=True, **boxed)(owned).step()
    assert all(torch.equal(one, other) for one, other in zip(owned, expected, strict=True))


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(
    "rule",
    telling("foreach", "has_complex", without=("Adafactor", "Muon")),
    ids=lambda one: getattr(one, "name", ""),
)
def test_a_function_on_complex_parameters(rule: Rule, foreach: bool) -> None:
    """It makes the same bits as the class, which is held to its rule elsewhere.

    Adafactor and Muon refuse them.
    """
    makers, results = (told(rule, foreach=foreach), partial(class_of(rule), foreach=foreach)), []
    for make in makers:
        owned = parameters(rule, dtype=torch.complex64)
        for p in owned:
            p.grad = torch.full_like(p, 0.5 + 0.25j)
        optimizer = make(owned)
        optimizer.step()
        optimizer.step()
        results.append(owned)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
