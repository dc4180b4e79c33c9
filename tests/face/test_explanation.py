"""explain: it tells what a rule's file says, and what it says of conventions is true.

The golden documents are the witness: they say, from 80 digits, which of their cases tell a
convention from torch's.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from rich.cells import cell_len

from oracles import cli, explain
from oracles.explanation import ALL, SAID, Explanation
from oracles.harness.cases.case import Group, Parameter
from oracles.harness.golden import DIFFERS
from oracles.layout import fill
from oracles.loop.registry import PARTS_OF_LOOP
from oracles.optimizers.registry import RULES
from oracles.optimizers.sgd import RULE as SGD
from oracles.reports.picture import drawn, follow, picture
from oracles.rule import Convention, Rule
from oracles.schedule_explanation import ALL as SCHEDULES
from oracles.schedule_explanation import ScheduleExplanation, explain_schedule
from oracles.schedules.registry import CUSTOMARY
from tests.support.pinned import vectors

each_rule = pytest.mark.parametrize("name", ALL)
each_enclosed = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the least width that most have."""
    monkeypatch.setenv("COLUMNS", "80")


on_a_terminal = pytest.mark.usefixtures("terminal")


def fits(text: str) -> bool:
    return max(map(cell_len, text.splitlines())) <= 80


@cache
def explained(name: str) -> Explanation:
    return explain(name)


def holds(condition: str, group: Group, parameter: Parameter) -> bool:
    """Whether a case is one of those in which a convention is said to be torch's."""
    if condition == "lr never changes":
        return len({h.lr for h in group.schedule}) == 1
    if condition.startswith("w has"):
        return (parameter.initial.ndim > 1) == condition.endswith("several dimensions")
    name, value = condition.split(" = ")
    return all(str(getattr(h, name)) in (value, f"{value}.0") for h in group.schedule)


def switched(convention: Convention, group: Group) -> bool:
    """Whether a case turns on what a convention has nothing to do with."""
    switches = {n for h in group.schedule for n, v in h._asdict().items() if v is True}
    return bool(switches - convention.parts)


@pytest.mark.slow
@each_enclosed
def test_a_case_that_tells_two_apart_is_none_in_which_they_are_the_same(rule: Rule) -> None:
    for difference in explained(rule.name).differences:
        seen = 0
        for vector in vectors(rule, difference.convention.name).values():
            (group,) = vector.case.groups
            if DIFFERS not in vector.flags or switched(difference.convention, group):
                continue
            seen += 1
            for condition in difference.same:
                everywhere = all(holds(condition, group, p) for p in group.parameters)
                assert not everywhere, f"{difference.convention.name}, {vector.id}: {condition}"
        assert seen


@pytest.mark.parametrize("convention", SGD.conventions[1:], ids=lambda c: c.name)
def test_of_sgd_the_conditions_are_the_parts(convention: Convention) -> None:
    """That it is torch's without any of them is shown elsewhere, in fractions."""
    words = {"lr never changes": "schedule", "w has several dimensions": "vector"}
    (difference,) = (d for d in explained("SGD").differences if d.convention is convention)
    found = {words.get(condition, condition.split(" = ")[0]) for condition in difference.same}
    assert found >= convention.parts - {"momentum"}
    assert found <= convention.parts


@pytest.mark.one_in(8)
@each_rule
def test_the_smallest_numbers_are_the_rule_s(name: str) -> None:
    rule = ALL[name]
    for difference in explained(name).differences:
        example, convention = difference.example, difference.convention
        if example is None:
            assert (name, convention.name) == ("LBFGS", "curvature_relative")
            continue
        h = rule.hyper(**{k: v for k, v in example.changed.items() if k != "lr"})
        rates = example.changed.get("lr", h.lr)
        schedule = [h._replace(lr=r) for r in (rates if isinstance(rates, list) else [rates] * 8)]
        for c, expected in ((rule.torch, example.first), (convention, example.second)):
            decays = c.decays(example.initial.ndim)
            steps = schedule[: len(example.gradients)]
            *_, (w, _) = rule.run(c, example.initial, example.gradients, steps, decays=decays)
            assert np.array_equal(w, expected)
        assert difference.numbers.count(str(convention.name)) == 1
        shown = difference.numbers.split(": torch ")[1].split(f", {convention.name} ")
        assert shown[0] != shown[1], "four digits do not show it"


@pytest.mark.one_in(5)
@each_enclosed
def test_what_gradients_must_do_the_smallest_numbers_do(rule: Rule) -> None:
    """NAdam without its look-ahead shows at the first step, whatever it draws gradients for."""
    for difference in explained(rule.name).differences:
        if difference.example and (said := difference.seen_with):
            sizes = [np.abs(g) for g in difference.example.gradients]
            signs = [np.sign(g) for g in difference.example.gradients]
            shown = {
                "gradients that fall": any((b < a).any() for a, b in pairwise(sizes)),
                "gradients that grow": any((b > a).any() for a, b in pairwise(sizes)),
                "gradients that change their sign": any((a != b).any() for a, b in pairwise(signs)),
                "gradients that are 0 somewhere": any((g == 0).any() for g in sizes),
                "a matrix that is not square": len({*difference.example.initial.shape}) > 1,
            }
            assert all(shown[words] for words in said), difference.convention.name


def test_numbers_that_can_be_checked_by_hand() -> None:
    """w = 2, g = 1: torch's 2 − (1 + ½·2) = 0, and 2 − (1 + ½/2·2) = ½ if λ is divided by 2."""
    (difference,) = explain("SGD", "batch_scaled").differences
    assert difference.numbers == (
        "w = 2, g = 1, lr=1, weight_decay=0.5, batch_size=2: torch 0, batch_scaled 0.5"
    )


@pytest.mark.one_in(5)
@each_rule
@on_a_terminal
def test_what_the_file_says_is_told(name: str) -> None:
    explanation, rule = explained(name), ALL[name]
    text = str(explanation)
    assert [s for s in SAID if not any(h.startswith(s) for h in explanation.sections)] == []
    assert f"torch.optim.{name}" in explanation.title
    assert all(c.name in text and c.source.split()[0] in text for c in rule.conventions)
    assert "``" not in text and ":`" not in text
    assert fits(text)
    for argument, value in rule.arguments(rule.hyper()).items():
        assert argument == "batch_size" or f"{argument}=" in text, value


def test_at_the_defaults() -> None:
    """Adam's λ is 0 there and AdamW's is not; ε is small, and a missing correction is not."""
    adam = {d.convention.name: d.share for d in explained("Adam").differences}
    adamw = {d.convention.name: d.share for d in explained("AdamW").differences}
    assert adam["batch_scaled"] == adam["decoupled_lr"] == adam["amsgrad_ignored"] == 0
    assert adamw["batch_scaled"] > 0 and adamw["coupled_unscaled"] > 0
    assert 0 < adam["eps_hat"] < 1e-6 < adam["uncorrected"]


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="rule='Adamm' is not known"):
        explain("Adamm")
    with pytest.raises(ValueError, match="SGD has no convention 'none'; allowed: coupled"):
        explain("SGD", "none")
    names: Any = ["SGD"]
    for door, what in ((explain, "rule"), (explain_schedule, "schedule")):
        with pytest.raises(ValueError, match=rf"{what}=\['SGD'\] is not known.*; allowed: "):
            door(names)


def test_a_rule_of_one_s_own_is_explained() -> None:
    own = Rule(**{f: getattr(SGD, f) for f in SGD.__dataclass_fields__} | {"name": "Mine"})
    assert "Mine" in json.dumps(explain(own, "batch_scaled").to_json())


def names_of(told: Explanation | ScheduleExplanation) -> list[str]:
    if isinstance(told, Explanation):
        return [difference.convention.name for difference in told.differences]
    return [line.name for line in told.others]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Muon", "SparseAdam", "NoamLR", "OneCycleLR"])
def test_a_picture_has_a_panel_a_convention_and_no_words_over_others(name: str) -> None:
    """Of long settings, missing gradients, tiny rates, and lines that are not seen to part."""
    told = explained(name) if name in ALL else explain_schedule(name)
    figure = drawn(told)
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles == names_of(told)
    boxes = [figure.legends[0].get_window_extent()]
    for axes in panels:
        words = [text for text in axes.findobj(Text) if text.get_text() in titles]
        boxes += [text.get_window_extent() for text in (*words, *axes.texts)]
    assert len(boxes) == 1 + 2 * len(titles)
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("kind", "first"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_picture_is_the_same_bytes_each_time(kind: str, first: bytes) -> None:
    one, two = (picture(explain("SGD", "decoupled"), kind) for _ in range(2))
    assert one == two and one.startswith(first)


def test_two_lines_part_where_the_ring_is() -> None:
    """Rprop's alternatives go with it until the gradient turns; the ring is no step too late."""
    (difference,) = explain("Rprop", "rprop_minus").differences
    schedule = tuple([ALL["Rprop"].hyper(lr=0.25)] * 12)
    ours, theirs = (
        follow(ALL["Rprop"], c, difference, schedule)
        for c in (ALL["Rprop"].torch, difference.convention)
    )
    (axes, *_) = drawn(explain("Rprop", "rprop_minus")).axes
    (ring,) = np.asarray(axes.lines[-1].get_xdata(), dtype=int)
    assert np.array_equal(ours[: ring + 1], theirs[: ring + 1])
    assert ours[ring + 1] != theirs[ring + 1]


def test_a_picture_says_what_is_drawn_with_which_settings() -> None:
    figure = drawn(explain("SGD", "lr_in_velocity"))
    (axes,) = figure.axes
    assert axes.texts[0].get_text().startswith("lr=[0.25, 0.125, ...], momentum=")
    assert "w after each step, from 5" in figure.get_suptitle()


def test_the_rates_of_a_schedule_are_drawn() -> None:
    """As long as there are any; a ring is at their last common epoch, where there is one."""
    figure = drawn(explain_schedule("OneCycleLR"))
    later, floor, ahead, _ = figure.axes
    peaks = [int(np.argmax(line.get_ydata())) for line in (*later.lines[:2], ahead.lines[1])]
    assert peaks == [2, 3, 1] and np.size(later.lines[0].get_ydata()) == 10
    assert [len(axes.lines) for axes in (later, floor, ahead)] == [3, 2, 2]
    assert "not seen to part" in " ".join(floor.texts[0].get_text().split())
    assert figure.legends[0].get_texts()[0].get_text() == "torch"
    (endless, *_) = drawn(explain_schedule("CosineAnnealingWarmRestarts", "no_restart")).axes
    assert np.size(endless.lines[0].get_ydata()) == 30 + 3 * 3


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.main(["explain", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_says_what_the_function_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "SGD") == f"{explained('SGD')}\n"
    data = json.loads(told(capsys, "SGD", "--convention", "decoupled", "--json"))
    assert data == json.loads(json.dumps(explain("SGD", "decoupled").to_json()))
    assert [c["name"] for c in data["conventions"]] == ["decoupled"]


def test_the_command_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "pictures" / "sgd.svg"
    assert told(capsys, "SGD", "--convention", "decoupled", "--picture", str(file))
    assert file.read_bytes() == picture(explain("SGD", "decoupled"), "svg")
    assert told(capsys, "LinearLR", "--picture", str(file))
    assert file.read_bytes() == picture(explain_schedule("LinearLR"), "svg")


@pytest.mark.parametrize(
    ("convention", "file", "said"),
    [
        ("decoupled", "sgd.gif", "sgd.gif' is of no known kind; allowed: .png, .svg"),
        (
            "coupled_unscaled",
            "sgd.png",
            "'coupled_unscaled' parts from nothing",
        ),
        ("decoupled", "a file/sgd.png", "a file/sgd.png' cannot be written: "),
    ],
    ids=("kind", "nothing", "place"),
)
def test_what_cannot_be_drawn_is_told(
    convention: str, file: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    picture = str(tmp_path / file)
    assert cli.main(["explain", "SGD", "--convention", convention, "--picture", picture]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_the_command_is_off_without_such_a_convention(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "SGD", "--convention", "none"]) == 2
    assert "oracles: SGD has no convention 'none'; allowed" in capsys.readouterr().err


# --- schedules ---


@pytest.mark.parametrize("name", PARTS_OF_LOOP)
@on_a_terminal
def test_a_part_of_the_loop_is_explained(name: str) -> None:
    part, told = PARTS_OF_LOOP[name], explain_schedule(name)
    text = " ".join(str(told).split())
    assert fits(str(told))
    assert told.title and told.theory and "``" not in text and "---" not in text
    assert all(" ".join(v.source.split()) in text for v in part.variants)
    one = explain_schedule(name, part.variants[-1].name)
    assert f": {part.variants[-1].name} beside torch's" in str(one)
    assert part.symbols in " ".join(str(one).split()) and "in no epoch" not in str(one)


def test_no_formula_is_torn() -> None:
    """A line may end between formulas, and between one and what is said of it."""
    told = fill(f"{'x' * 30} γ_t = γ₀(ρ + (1 − ρ)u(t/W)) for t < W, then γ₀", columns=52)
    assert told.splitlines() == ["x" * 30, "γ_t = γ₀(ρ + (1 − ρ)u(t/W)) for t < W, then γ₀"]


@pytest.mark.parametrize("name", SCHEDULES)
@on_a_terminal
def test_a_schedule_is_explained(name: str) -> None:
    """torch's, those that others have, and those that put schedules together."""
    told = explain_schedule(name)
    text = str(told)
    assert fits(text)
    assert told.torchs == ("torch follows" in text) == (name not in CUSTOMARY)
    assert told.first.name in text and told.title and told.theory
    assert all(line.name in text for line in told.others)
    assert told.to_json()["first"]["name"] == told.first.name


def test_a_timing_of_others_is_set_beside_theirs() -> None:
    told = explain_schedule("get_linear_schedule_with_warmup", "from_one")
    assert str(told).startswith(
        "get_linear_schedule_with_warmup: from_one beside from_zero\n\nfrom_zero\n"
    )
    assert told.others[0].numbers == "epoch 0: from_zero 0, from_one 0.01"


def test_the_first_timing_is_told_alone() -> None:
    told = explain_schedule("CosineAnnealingLR", "to_floor")
    assert not told.others and "torch follows to_floor" in str(told)


def test_each_timing_of_others_shows_in_some_epoch() -> None:
    for name in CUSTOMARY:
        assert all(line.numbers for line in explain_schedule(name).others), name
