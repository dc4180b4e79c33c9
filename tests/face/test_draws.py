"""A seed says which cases somebody's code is asked, and a profile how many."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch

import oracles
from oracles import schedule_checking, strictness
from oracles.checking import Checking
from oracles.cli import main
from oracles.commands.check import answered
from oracles.commands.chosen import Choice
from oracles.harness.evidence.settings import PROFILES, Draws
from oracles.harness.promise import Word
from oracles.harness.runs import parts, profiles
from oracles.harness.runs.outcome import OK
from oracles.harness.runs.profiles import EXAMPLES
from oracles.harness.runs.tally import Line
from oracles.harness.subjects.subject import Place
from oracles.harness.subjects.trace import Trace
from oracles.identification import identify
from tests.support.marks import slow

ROOT = Path(oracles.__file__).parents[1]

ASKED = ("rule", "accuracy: float32", "promise: deterministic", "promise: groups")
"""One question of each kind."""


def step(params: Any, grads: Any, state: Any, lr: float) -> Any:
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


def recording(kind: str, seen: list[float]) -> Callable[..., Any]:
    """Code of a kind that writes down a gradient of each step, and a parameter before it."""

    def recorded(params: Any, grads: Any, state: Any, lr: float) -> Any:
        seen.extend((float(grads[0].ravel()[0]), float(params[0].ravel()[0])))
        return step(params, grads, state, lr)

    class Recorded(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            p = self.param_groups[0]["params"][0]
            seen.extend((float(p.grad.ravel()[0]), float(p.ravel()[0])))
            return super().step(closure)

    def made(params: Any, lr: float = 0.1) -> torch.optim.Optimizer:
        return Recorded(params, lr=lr)

    return recorded if kind == "step" else made


def numbers(kind: str, **given: Any) -> dict[str, list[float]]:
    """What code was given, by question."""
    seen: list[float] = []
    checking = Checking(recording(kind, seen), "SGD", dtypes=["float32"], **given)
    found = {}
    for question, _ in checking.answers():
        found[question], seen[:] = list(seen), []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", slow(["step", "optimizer"], "optimizer"))
def test_a_seed_says_which(kind: str) -> None:
    """But for cases that tell conventions apart, and numbers worked by hand."""
    zero, one, again, other = (numbers(kind, seed=seed) for seed in (0, 3, 3, 4))
    assert one == again
    for question in ASKED if kind == "optimizer" else ASKED[:3]:
        assert not {*one[question]} & {*other[question]} - {*zero["rule"]}, question
        assert {*one[question]} - {*zero[question]}
        assert len(one[question]) == len(other[question])


@pytest.mark.slow
def test_a_profile_says_how_many() -> None:
    few, many = numbers("step"), numbers("step", profile="thorough")
    assert len({*many["promise: order"]}) == 10 * len({*few["promise: order"]})
    steps = len(few["accuracy: float32"])
    first = steps // 3  # a case that shows what it can be given
    assert len(many["accuracy: float32"]) - first == 10 * (steps - first)
    assert numbers("step", profile="ci") == few


def test_profiles_are_those_of_all_checks() -> None:
    """As many times longer as the documents say."""
    assert {name: many // EXAMPLES["default"] for name, many in EXAMPLES.items()} == PROFILES
    assert PROFILES["thorough"] == 10
    for page in ("README.md", "docs/author.md"):
        told = re.sub(r"[|\s]+", " ", (ROOT / page).read_text(encoding="utf-8"))
        assert "--profile thorough` ten times" in told


RARE, MORE = 0.8, 1.0


def rare(params: Any, grads: Any, state: Any, lr: float) -> Any:
    """Is wrong for rates between those that the default draws and those that are far off."""
    return step(params, [2 * g if RARE < lr < MORE else g for g in grads], state, lr)


@pytest.mark.slow
def test_what_is_rare_is_found_by_whoever_looks_longer() -> None:
    found = [str(identify(rare, ["SGD"], profile=profile)) for profile in PROFILES]
    assert found[0] == "rare follows SGD's coupled_unscaled"
    assert found[2].startswith("rare follows no known rule")


@pytest.mark.slow
def test_a_promise_is_kept_if_it_is_on_all_draws() -> None:
    class Fussy(torch.optim.SGD):
        """Writes into gradients above any that the default draws."""

        def step(self, closure: Any = None) -> Any:
            loss = super().step(closure)
            for p in self.param_groups[0]["params"]:
                if p.grad is not None and (p.grad.abs() > 1.992).any():
                    p.grad.zero_()
            return loss

    told = [oracles.check(Fussy, "SGD", dtypes=[], profile=p) for p in ("default", "thorough")]
    assert [[line.name for line in report.broken] for report in told] == [[], ["gradients"]]


@pytest.mark.slow
def test_they_are_in_the_documents() -> None:
    report = oracles.check(step, "SGD", dtypes=[], seed=7, profile="thorough").to_json()
    assert (report["seed"], report["profile"]) == (7, "thorough")
    assert (report["rule"]["seed"], report["rule"]["profile"]) == (7, "thorough")


RECORD = Trace("run", {"w": np.ones((2, 1))}, {"w": np.ones((1, 1))}, {"lr": (0.5,)})


def fit(X: Any, y: Any, lr: float, epochs: int) -> Any: ...


@pytest.mark.parametrize(
    "subject", [RECORD, fit, [0.1, 0.05, 0.025, 0.0125]], ids=["a record", "a loop", "a schedule"]
)
def test_what_is_not_drawn_has_no_seed(subject: Any) -> None:
    for given in ({"seed": 1}, {"profile": "thorough"}):
        with pytest.raises(ValueError, match=r"(seed|profile)=.* has no use for it"):
            identify(subject, **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seed": -1}, "seed=-1 is not allowed; allowed: whole numbers from 0 on"),
        ({"seed": 0.5}, "seed=0.5 is not allowed"),
        ({"profile": "thorogh"}, "profile='thorogh' is not known (did you mean 'thorough'?)"),
    ],
)
def test_what_is_off_is_named(given: dict[str, Any], said: str) -> None:
    rates = partial(identify, [0.1, 0.05, 0.025, 0.0125])
    for ask in (partial(oracles.check, step), partial(identify, step), rates):
        with pytest.raises(ValueError, match=re.escape(said)):
            ask(**given)


@pytest.mark.slow
def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """``check`` is asked of what is right: to hear of a fault again takes it seconds."""
    asked = ["--rule", "SGD", "--json"]
    for seed, profile in ((0, "default"), (1, "thorough")):
        chosen = ["--seed", str(seed), "--profile", profile]
        for command, code in (("check", "step"), ("identify", "rare")):
            status = main([command, f"tests.face.test_draws:{code}", *asked, *chosen])
            told = json.loads(capsys.readouterr().out)
            assert (told["seed"], told["profile"]) == (seed, profile)
            assert status == (code == "rare" and profile == "thorough")


# --- what a clone of torch's is asked, and torch itself ---

AGREES = "SGD: agreement"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The cases that are asked, in place of an answer; the profile comes back."""
    seen: list[Any] = []

    def note(search: Any, case: Any) -> None:
        seen.append([p.initial.tolist() for p in case.parameters])
        search.seen.lines[Place("SGD", "for-loop", "float64", "cpu")] = Line(runs=1)

    monkeypatch.setattr("oracles.harness.runs.runner._Search.ask", note)
    before = hypothesis.settings.get_current_profile_name()
    yield seen
    profiles.load(before)


def clone(number: int) -> None:
    found = dict(strictness.questions(torch.optim.SGD, oracles.RULES["SGD"], Draws(number)))
    assert found[AGREES]().word is Word.KEPT


def torchs(number: int) -> None:
    choice = Choice(None, ("for-loop",), ("float64",), ("cpu",))
    assert answered(choice, "ci", number, ("SGD", AGREES)).word == OK


@pytest.mark.slow
@pytest.mark.parametrize("ask", [clone, torchs])
def test_a_seed_says_what_is_drawn_of_torch_and_its_clones(
    ask: Callable[[int], None], asked: list[Any]
) -> None:
    told = []
    for number in (0, 3, 3, 4, 0):
        ask(number)
        told.append(asked[:])
        asked.clear()
    assert told[0] == told[4] and told[1] == told[2]
    assert told[0] != told[1] != told[3] != told[0]


@pytest.mark.slow
def test_so_it_does_of_a_class_of_schedulers(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def note(question: Any, case: Any, there: Any, tally: Any) -> list[Any]:
        seen.append(repr(case))
        return []

    monkeypatch.setattr(parts, "_failures", note)
    told = []
    for number in (0, 3, 3):
        schedule_checking.check_schedule(torch.optim.lr_scheduler.ExponentialLR, seed=number)
        told.append(seen[:])
        seen.clear()
    assert told[0] != told[1] == told[2]
    assert profiles._SEED.get() == 0, "nothing is left of it"  # noqa: SLF001
