"""The examples in docstrings give what they say, in every module of the package."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import oracles
from oracles import drawing, numerics, rule
from oracles.optimizers.registry import REPLAYED, RULES
from tests.support.marks import slow


def modules() -> Iterator[ModuleType]:
    """The package's."""
    yield oracles
    for found in pkgutil.walk_packages(oracles.__path__, "oracles."):
        yield importlib.import_module(found.name)


def examples() -> Iterator[doctest.DocTest]:
    """Those of all modules, their functions and their classes."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in modules():
        yield from finder.find(module)
        for name, value in vars(module).items():  # the finder does not see what is dispatched
            if getattr(value, "__module__", None) == module.__name__ and hasattr(value, "dispatch"):
                yield from finder.find(inspect.unwrap(value), f"{module.__name__}.{name}", module)


EXAMPLES = {found.name: found for found in examples() if found.examples}


@pytest.mark.parametrize("name", slow(EXAMPLES, "oracles.schedule_checking.check_schedule"))
def test_an_example_gives_what_it_says(name: str) -> None:
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    assert runner.run(EXAMPLES[name], out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("name", RULES | REPLAYED)
def test_every_rule_shows_a_step(name: str) -> None:
    step = (RULES | REPLAYED)[name].step
    assert f"{step.__module__}.{step.__name__}" in EXAMPLES


@pytest.mark.parametrize("name", [n for n in oracles.__all__ if callable(getattr(oracles, n))])
def test_whatever_the_face_has_shows_itself(name: str) -> None:
    value = getattr(oracles, name)
    assert f"{value.__module__}.{value.__qualname__}" in EXAMPLES


@pytest.mark.parametrize("module", [drawing, numerics, rule], ids=lambda module: module.__name__)
def test_what_rules_are_made_of_is_explained(module: ModuleType) -> None:
    public = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    assert public
    assert [name for name, value in public.items() if not value.__doc__] == []
