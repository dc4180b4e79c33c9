"""What released versions of ``torch.optim.LBFGS`` get wrong, as rows that are run.

The ledger (``oracles/harness/deviations/deviations.toml``) holds rows whose reproducer is a case of
supplied gradients. These are about copies, saved state, searches and hyperparameters that change,
so each brings its own few lines. A row that has healed is red, like one that was never true.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from packaging.specifiers import SpecifierSet

from tests.support.recording import VERSION

Tensor = torch.Tensor

LBFGS: Any = torch.optim.LBFGS


@dataclass(frozen=True)
class Row:
    """One deviation.

    Attributes:
        id: short name.
        versions: PEP 440 specifier of torch.
        reason: what happens, and where in the code.
        upstream: issue or pull request nearest to it; "" if none was found.
        shows: whether it happens here.
    """

    id: str
    versions: str
    reason: str
    upstream: str
    shows: Callable[[], bool]


ROWS: list[Row] = []


def row(
    versions: str, reason: str, upstream: str = ""
) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Enter a reproducer, named after the function, with what it shows."""

    def enter(shows: Callable[[], bool]) -> Callable[[], bool]:
        name = shows.__name__.replace("_", "-")
        ROWS.append(Row(name, versions, " ".join(reason.split()), upstream, shows))
        return shows

    return enter


# --- what reproducers need ------------------------------------------------------------------------


def stepper(
    p: Tensor, loss: Callable[[Tensor], Tensor] | None = None, gradients: Any = (), **options: Any
) -> tuple[Any, Callable[[], Tensor]]:
    """An optimizer of one parameter and its closure, from a loss or from gradients in turn."""
    given = iter(gradients)

    def closure() -> Tensor:
        p.grad = None
        if loss is None:
            p.grad = torch.as_tensor(next(given), dtype=p.dtype).reshape(p.shape)
            return torch.zeros((), dtype=p.dtype)
        value = loss(p)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    return LBFGS([p], **options), closure


def leaf(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def bowl(w: Tensor) -> Tensor:
    return (torch.tensor([3.0, 1.0], dtype=w.dtype) * w * w).sum() / 2


def raises(error: type[Exception], act: Callable[[], Any]) -> bool:
    """Whether it raises that; another exception is our error."""
    try:
        act()
    except error:
        return True
    return False


# --- the rows -------------------------------------------------------------------------------------


@row(
    ">=1.13",
    """A copy lacks _params and _numel_cache, which Optimizer.__getstate__ leaves out: its
    first step raises AttributeError.""",
    "https://github.com/pytorch/pytorch/pull/19308",
)
def deepcopy_loses_the_parameters() -> bool:
    p = leaf(1.0, 2.0)
    copied, twin = copy.deepcopy((p, LBFGS([p])))
    return raises(AttributeError, lambda: twin.step(lambda: bowl(copied)))


@row(">=1.13", "As deepcopy.", "https://github.com/pytorch/pytorch/pull/19308")
def pickle_loses_the_parameters() -> bool:
    p = leaf(1.0, 2.0)
    copied, twin = pickle.loads(pickle.dumps((p, LBFGS([p]))))
    return raises(AttributeError, lambda: twin.step(lambda: bowl(copied)))


@row(
    ">=1.13",
    """State is filed under the first parameter, so load_state_dict casts all of it to that
    one's dtype: with a float32 and a float64 parameter the next dot product meets two dtypes
    and raises.""",
)
def loaded_state_has_the_first_parameters_dtype() -> bool:
    p, q = torch.zeros(2, requires_grad=True), torch.zeros(2, dtype=torch.float64).requires_grad_()

    def closure() -> Tensor:
        p.grad = q.grad = None
        loss = ((p - 1) ** 2).sum() + 3 * ((q - 2) ** 2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer = LBFGS([p, q], max_iter=2, lr=0.5)
    optimizer.step(closure)
    saved = copy.deepcopy(optimizer.state_dict())
    fresh = LBFGS([p, q], max_iter=2, lr=0.5)
    fresh.load_state_dict(saved)
    return raises(RuntimeError, lambda: fresh.step(closure))


@row(
    ">=1.13",
    """With a learning rate in a 0-d tensor, state["t"] is that tensor: whoever changes it in
    place, as schedulers do, changes the length of the last step, and s = t d is not what was
    taken.""",
)
def a_rate_tensor_is_remembered_by_reference() -> bool:
    """γ = 1/2, then the tensor becomes 1/4: torch remembers half of the second step."""
    p = leaf(1.0, 2.0)
    rate = torch.tensor(0.5, dtype=torch.float64)
    optimizer, closure = stepper(p, bowl, lr=rate, max_iter=1)
    places = []
    for _ in range(3):
        places.append(p.detach().clone())
        optimizer.step(closure)
        rate.fill_(0.25 if len(places) == 2 else float(rate))
    taken, remembered = places[2] - places[1], optimizer.state[p]["old_stps"][1]
    return torch.equal(remembered, taken / 2)


@row(
    ">=1.13",
    """Where g·d > -tolerance_change the step is left out, but d and t are kept and s = t d
    enters the memory at the next iteration. With another batch's gradient that pair is about a
    step nobody took.""",
)
def a_step_not_taken_is_remembered() -> bool:
    p = leaf(1.0)
    optimizer, closure = stepper(p, gradients=[1e-5, -1.0], max_iter=1)
    optimizer.step(closure)
    unmoved = p.tolist() == [1.0]
    optimizer.step(closure)
    return unmoved and len(optimizer.state[p]["old_stps"]) == 1


@row(
    ">=1.13",
    """_cubic_interpolate divides 0 by 0 where the cubic has its maximum halfway between the
    two points, and min and max let nan through: the parameter becomes nan.""",
    "https://github.com/pytorch/pytorch/issues/5953",
)
def a_symmetric_cubic_makes_nan() -> bool:
    """w(w + 1)² from 0, slope -1, to -2, slope -5: its maximum, 0, is at -1."""
    p = leaf(0.0)
    optimizer, closure = stepper(
        p,
        lambda w: (w * (w + 1) ** 2).sum(),
        lr=2,
        max_iter=1,
        max_eval=9,
        line_search_fn="strong_wolfe",
    )
    optimizer.step(closure)
    return bool(p.isnan().all())


@row(
    ">=1.13",
    """A loss of nan is neither too high nor steep, so the search takes it for a good step and
    goes on, ten times as far each time: the parameters end far out.""",
    "https://github.com/pytorch/pytorch/issues/5953",
)
def a_loss_of_nan_counts_as_a_fall() -> bool:
    p = leaf(0.0)

    def loss(w: Tensor) -> Tensor:
        """-w up to 2, and not defined beyond."""
        return torch.where(w <= 2, -w, torch.full_like(w, float("nan"))).sum()

    def closure() -> Tensor:
        p.grad = torch.full_like(p, -1.0)
        return loss(p.detach())

    optimizer = LBFGS([p], max_iter=1, max_eval=6, line_search_fn="strong_wolfe")
    optimizer.step(closure)
    return bool(p > 1000)


@row(
    ">=1.13",
    """A learning rate that has become 0 makes the line search compare two points at one place,
    which divides by the int 0.""",
    "https://github.com/pytorch/pytorch/pull/42093",
)
def a_search_from_length_zero_divides_by_it() -> bool:
    p = leaf(1.0, 2.0)
    optimizer, closure = stepper(p, bowl, max_iter=1, max_eval=9, line_search_fn="strong_wolfe")
    optimizer.step(closure)
    optimizer.param_groups[0]["lr"] = 0.0
    return raises(ZeroDivisionError, lambda: optimizer.step(closure))


@row(
    "<2.10",
    "A line search has 25 trials after the first, whatever max_eval is.",
    "https://github.com/pytorch/pytorch/issues/91581",
)
def a_search_ignores_max_eval() -> bool:
    p = leaf(0.0)
    optimizer, closure = stepper(
        p, gradients=[2.0**50] * 40, max_iter=1, max_eval=3, line_search_fn="strong_wolfe"
    )
    optimizer.step(closure)
    return bool(optimizer.state[p]["func_evals"] > 4)


@row(
    ">=2.10",
    """max_eval=0 leaves -1 trials, so that neither loop of the line search is entered and its
    names are not bound: UnboundLocalError.""",
)
def a_search_with_nothing_left_is_unbound() -> bool:
    optimizer, closure = stepper(leaf(1.0, 2.0), bowl, max_eval=0, line_search_fn="strong_wolfe")
    return raises(UnboundLocalError, lambda: optimizer.step(closure))


@row(">=1.13", "max_eval is looked at after an evaluation: one more is made than it allows.")
def max_eval_is_exceeded_by_one() -> bool:
    p = leaf(1.0, 2.0)
    optimizer, closure = stepper(p, bowl, max_iter=5, max_eval=1, lr=0.125)
    optimizer.step(closure)
    return bool(optimizer.state[p]["func_evals"] == 2)


@row(">=1.13", "history_size=0 is taken, and pops the oldest pair of none: IndexError.")
def no_history_is_an_index_error() -> bool:
    optimizer, closure = stepper(leaf(1.0, 2.0), bowl, history_size=0, max_iter=3)
    return raises(IndexError, lambda: optimizer.step(closure))


@row(
    ">=1.13",
    """A history_size that grows in mid-run overruns the scratch list state["al"], which was
    made for the first one: IndexError.""",
)
def a_longer_history_is_an_index_error() -> bool:
    optimizer, closure = stepper(leaf(1.0, 2.0), bowl, history_size=1, max_iter=3, lr=0.5)
    optimizer.step(closure)
    optimizer.param_groups[0]["history_size"] = 3
    return raises(IndexError, lambda: optimizer.step(closure))


@row(
    ">=1.13",
    """A history_size that shrinks in mid-run is never reached again, because pairs are dropped
    where their number equals it: the memory goes on growing, up to the first size and into
    IndexError.""",
)
def a_shorter_history_is_ignored() -> bool:
    p = leaf(1.0, 2.0, -1.0)
    optimizer, closure = stepper(
        p, gradients=[[3.0 / k, 2.0 / k, -1.0 / k] for k in range(1, 9)], history_size=6, max_iter=1
    )
    for step in range(6):
        if step == 4:
            optimizer.param_groups[0]["history_size"] = 2
        optimizer.step(closure)
    return len(optimizer.state[p]["ro"]) == 5


@row(
    ">=1.13",
    """_gather_flat_grad flattens with view, which a gradient that is not contiguous refuses:
    RuntimeError for every transposed or channels-last parameter, whose gradients have its
    layout.""",
    "https://github.com/pytorch/pytorch/issues/130346",
)
def layouts_are_refused() -> bool:
    p = torch.ones(3, 2).t().requires_grad_()
    optimizer, closure = stepper(p, lambda w: (w * w).sum())
    return raises(RuntimeError, lambda: optimizer.step(closure))


@row(
    "<2.3",
    "Complex parameters are compared as they are, which is not defined: RuntimeError.",
    "https://github.com/pytorch/pytorch/pull/118184",
)
def complex_parameters_are_refused() -> bool:
    p = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    optimizer, closure = stepper(p, lambda w: (w.abs() ** 2).sum())
    return raises(RuntimeError, lambda: optimizer.step(closure))


@row(
    ">=1.13",
    """An optimizer whose parameters have no elements asks for the maximum of none:
    RuntimeError. (Since 2.14 one without any parameters does nothing.)""",
)
def parameters_without_elements_are_refused() -> bool:
    p = torch.zeros(0, requires_grad=True)
    optimizer, closure = stepper(p, lambda w: w.sum())
    return raises(RuntimeError, lambda: optimizer.step(closure))


@row(
    ">=1.13",
    """The tolerance of the group does not reach the line search, which gives up a bracket
    narrower than 1e-9 whatever the user asked.""",
)
def a_search_has_a_tolerance_of_its_own() -> bool:
    """The minimum is 1e-12 away. The first trial, at 1e-10, is no good, and there is no second."""
    p = leaf(1e-12)
    optimizer, closure = stepper(
        p,
        lambda w: (w * w).sum() * 50,
        tolerance_change=0,
        tolerance_grad=0,
        max_iter=1,
        max_eval=99,
        line_search_fn="strong_wolfe",
    )
    optimizer.step(closure)
    return p.tolist() == [1e-12]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_it_deviates_where_the_row_says_so(row: Row) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = row.shows()
    assert shown == SpecifierSet(row.versions).contains(VERSION), row.reason
