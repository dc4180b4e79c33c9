"""The pytest plugin: each check of somebody's code is a test of its own.

It is loaded by its entry point, without a line in anybody's ``conftest.py``, and does nothing where
nobody asks anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from oracles.naming import name_of, refuse_unlisted, refuse_unmapped, unknown

try:
    import pytest
except ModuleNotFoundError:  # help() tells of the decorator all the same
    pytest = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from oracles.checking import Checking
    from oracles.report import Report

Test = TypeVar("Test", bound=Callable[..., None])

ARGUMENT = "check"
"""What the decorated test calls the check that it is handed."""


@dataclass(eq=False)
class Checked:
    """One piece of code, asked once, when the first of its checks is run."""

    checking: Checking

    @cached_property
    def report(self) -> Report:
        """What is to be said of it."""
        return self.checking.report(dict(self.checking.answers()))


@dataclass(eq=False)
class Check:
    """One check of one piece of code: call it in a test.

    Attributes:
        name: of the check, as ``expected_failures`` writes it.
        subject: the code.
        called: whether the test has done so.
        asked: whether there was an answer.
    """

    name: str
    subject: Checked = field(repr=False)
    called: bool = False
    asked: bool = False

    def __call__(self) -> None:
        """Nothing, if the check is passed.

        Raises:
            AssertionError: it is not; the message says why.
            Skipped: it cannot be asked, with the reason.
        """
        __tracebackhide__ = True
        self.called = True
        report = self.subject.report
        passed, why = report.outcome(self.name)
        if passed is None:
            pytest.skip(why)
        self.asked = True
        if not passed:
            raise AssertionError(f"{report.name}: {self.name}: {why}")


def parametrize_with_checks(
    subjects: Any,
    *,
    expected_failures: Mapping[str, str] | None = None,
    **options: Any,
) -> Callable[[Test], Test]:
    """A test for each subject and each check: which rule, how accurate, and every promise.

    The decorated function has the argument ``check``, and calls it.

    Args:
        subjects: classes of optimizers, functions that make one, or functional steps; or one alone.
        expected_failures: names of checks that are known to fail, each with the reason. One that
            does not fail any more is red.
        **options: of :func:`oracles.check`.

    Raises:
        ValueError: a name in ``expected_failures`` is no check, or an option is not allowed:
            ``as_torch``, too, whose checks have names only when it is known which rule is followed.
        TypeError: there is no such option, or a list or a dict is none.
        ModuleNotFoundError: pytest is not installed.

    >>> import oracles
    >>> def step(params, grads, state, lr):
    ...     return [w - lr * g for w, g in zip(params, grads)]
    >>> @oracles.parametrize_with_checks([step], rule="SGD", within=1)
    ... def test_my_step(check):
    ...     check()
    """
    if pytest is None:
        raise ModuleNotFoundError(
            "parametrize_with_checks makes tests of pytest's, which is not installed; allowed: pip "
            "install pytest, or oracles.check(subject), which needs none"
        )
    if options.get("as_torch"):
        raise ValueError(
            "as_torch=True is no option of parametrize_with_checks; allowed: a test that asserts "
            "oracles.check(subject, as_torch=True).ok"
        )
    refuse_unmapped(expected_failures=expected_failures)
    expected = dict(expected_failures or {})
    alone = callable(subjects) or isinstance(subjects, str)
    several = [subjects] if alone else subjects
    refuse_unlisted(subjects=several)
    tests = [test for subject in several for test in _tests(subject, expected, options)]
    known = dict.fromkeys(test.values[0].name for test in tests)
    for name in expected:
        if name not in known:
            told = f"expected_failures has {name!r}, which is no check"
            raise ValueError(unknown(told, name, known))

    def decorate(test: Test) -> Test:
        @wraps(test)
        def calling(*args: Any, **given: Any) -> None:
            __tracebackhide__ = True
            test(*args, **given)
            if not given[ARGUMENT].called:
                raise AssertionError(f"{test.__name__} does not call the check it is handed")

        decorated: Test = pytest.mark.parametrize(ARGUMENT, tests)(calling)
        return decorated

    return decorate


def _tests(subject: Any, expected: Mapping[str, str], options: Mapping[str, Any]) -> list[Any]:
    """A parameter of pytest's for each check of one subject."""
    from oracles.checking import Checking

    known = [*inspect.signature(Checking).parameters][1:]
    for name in options:
        if name not in known:
            told = f"{name!r} is no option of parametrize_with_checks"
            raise TypeError(unknown(told, name, known))
    checked = Checked(Checking(subject, **options))
    title = subject if isinstance(subject, str) else name_of(subject)
    return [
        pytest.param(Check(name, checked), id=f"{title}-{name}", marks=_failing(expected.get(name)))
        for name in checked.checking.checks()
    ]


def _failing(reason: str | None) -> list[pytest.MarkDecorator]:
    if reason is None:
        return []
    return [pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)]


PROPERTY = "oracles check"
"""Under which name it travels from workers to whoever counts that a check had an answer."""

COUNTER = "oracles-counter"
"""What pytest knows that one as."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The number of checks may be locked."""
    parser.getgroup("oracles").addoption(
        "--expect-checks",
        type=int,
        metavar="N",
        help="fail unless N checks of oracles.parametrize_with_checks have an answer: those that "
        "are skipped have none",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is counted yet."""
    config.pluginmanager.register(_Counter(), COUNTER)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Say that a check had an answer."""
    callspec = getattr(item, "callspec", None)
    check = callspec.params.get(ARGUMENT) if callspec else None
    if isinstance(check, Check) and check.asked:
        item.user_properties.append((PROPERTY, check.name))


class _Counter:
    """Counts what all workers report."""

    def __init__(self) -> None:
        self.count = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = [name for name, _ in report.user_properties if name == PROPERTY]
        self.count += len(told) if report.when == "teardown" else 0


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Another number of checks than was expected is a failure."""
    if _unexpected(session.config):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say so."""
    if _unexpected(config):
        expected = config.getoption("--expect-checks")
        counted = _counted(config)
        terminalreporter.write_line(f"oracles: {counted} checks were asked; {expected} expected")


def _unexpected(config: pytest.Config) -> bool:
    expected = config.getoption("--expect-checks")
    is_worker = hasattr(config, "workerinput")
    return expected is not None and not is_worker and _counted(config) != expected


def _counted(config: pytest.Config) -> int:
    counter = config.pluginmanager.get_plugin(COUNTER)
    assert isinstance(counter, _Counter)
    return counter.count
