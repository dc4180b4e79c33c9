"""What type checkers see of the face: this file is checked and not run (``tox -e types``).

It is checked twice: with everything else, and alone against the wheel, as a user's file is.
"""

from __future__ import annotations

from typing import Any, assert_type

import oracles


def step(params: Any, grads: Any, state: Any, lr: float) -> Any:
    return [w - lr * g for w, g in zip(params, grads, strict=True)]


report = oracles.check(step, "SGD", dtypes=["float64"], within=1, seed=3, profile="thorough")
assert_type(report, oracles.Report)
assert_type(report.ok, bool)
assert_type(report.found, oracles.Identification | None)
assert_type(report.faults(), list[str])
assert_type(report.to_json(), dict[str, Any])

found = oracles.identify(step, ["SGD", oracles.RULES["Adam"]], names={"lr": "speed"})
assert_type(found, oracles.Identification)
assert_type(found.torchs, bool)
assert_type(str(found.fits[0]), str)
assert_type(oracles.identify(equation="w -= lr*g"), oracles.Identification)

translation = oracles.translate({"lr": 0.1}, "keras.SGD", found)
assert_type(translation, oracles.Translation)
assert_type(translation.values["lr"], Any)
assert_type(translation.range, tuple[str, ...])
assert_type(str(translation), str)

assert_type(oracles.explain("SGD", "batch_scaled"), oracles.Explanation)
assert_type(oracles.RULES, dict[str, oracles.Rule])
assert_type(oracles.__version__, str)


@oracles.parametrize_with_checks([step], rule="SGD", expected_failures={"state": "none is kept"})
def test_mine(check: Any) -> None:
    check()


assert_type(test_mine(check=None), None)
