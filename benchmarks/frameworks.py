"""What do the arguments of other frameworks' optimizers mean?

``python -m benchmarks.frameworks --write`` asks every framework that is installed, and writes what
was found into the table that translations go by (``oracles/dictionary/frameworks.json``) and the
page that people read (``FRAMEWORKS.md``). Frameworks that are not installed keep their rows, with
the version that was seen. Without ``--write`` it compares, and carries numbers over: what an
optimizer computes with its own is held to torch's rule under those that ``oracles translate`` gives
for them. Its exit status is 1 if a row is another now, or numbers do not do. ``tox -m frameworks``
does that for each framework at the version pinned there.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.adapters.framework import (
    FRAMEWORKS,
    Framework,
    FrameworkOptimizer,
)
from benchmarks.page import page
from oracles.dictionary.frameworks import PRESETS, SEEN, Seen
from oracles.drawing import Hyper
from oracles.files import write
from oracles.harness.arithmetic.enclosure import holds
from oracles.harness.candidates import Candidate
from oracles.harness.cases.case import Case, Group
from oracles.harness.evidence.settings import settings
from oracles.harness.evidence.sifting import ROUNDINGS
from oracles.harness.oracle import Margin, Oracle
from oracles.identification import identify
from oracles.optimizers.registry import RULES
from oracles.rule import Rule
from oracles.translation import Translation, translate

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "oracles" / "dictionary" / "frameworks.json"
PAGE = ROOT / "FRAMEWORKS.md"


def seen(framework: Framework, optimizer: FrameworkOptimizer) -> Seen:
    """What an optimizer does, by running it."""
    rule = optimizer.acts_by
    found = identify(optimizer, [rule])
    (fit, *others) = found.fits or (None,)
    named = fit is not None and not (others or _changed(fit) or found.exceptions)
    return Seen(
        name=optimizer.name,
        version=f"{framework.package} {framework.version}",
        rule=rule.name,
        conventions=tuple(sorted(fit.names)) if fit is not None and named else None,
        names=dict(optimizer.names),
        defaults={own: _plain(value) for own, value in optimizer.defaults.items()},
        decays_biases=optimizer.decays_biases(rule),
        always=dict(optimizer.always),
    )


def _changed(fit: Candidate) -> bool:
    """Whether it acts with other numbers than it is given, but for float32 that keeps them."""
    return any((argument.how, argument.by) != ("in", "float32") for argument in fit.arguments)


def _plain(value: Any) -> Any:
    """A default as it is typed: ONNX keeps attributes in float32."""
    return value if isinstance(value, bool) or value is None else float(f"{value:.7g}")


def kept(asked: Mapping[str, Seen], there: Iterable[Framework]) -> list[Seen]:
    """What was seen just now, and what was seen before of frameworks that are not there."""
    packages = {framework.package for framework in there}
    before = [row for row in SEEN if row.version.rpartition(" ")[0] not in packages]
    order = list(FRAMEWORKS)
    return sorted(
        [*before, *asked.values()],
        key=lambda row: order.index(row.version.rpartition(" ")[0]),
    )


PARTS = ("weight_decay", "eps", "momentum", "dampening")
"""What stands in the way of some translations, and is left out in turn."""

HELD, REFUSED = "held", "refused"


def carried(optimizer: FrameworkOptimizer) -> Iterator[str]:
    """What became of numbers that were carried over to torch: held, refused, or what went wrong.

    The learning rate changes; each switch is on in turn, one or two of :data:`PARTS` off, or none.
    """
    rule = RULES[optimizer.rule]
    takes = optimizer.takes(rule)
    names = [name for name in PARTS if name in takes]
    cases = [s.case for s in settings(rule, takes) if s.what == "all" or s.what.endswith("=True")]
    for case in cases:
        for off in (*combinations(names, 0), *combinations(names, 1), *combinations(names, 2)):
            (group,) = case.groups
            schedule = tuple(h._replace(**dict.fromkeys(off, 0.0)) for h in group.schedule)
            if not any(map(rule.constraint, schedule)):
                without = replace(case, groups=(replace(group, schedule=schedule),))
                yield _outcome(optimizer, rule, without, off)


def _outcome(optimizer: FrameworkOptimizer, rule: Rule, case: Case, off: Sequence[str]) -> str:
    (group,) = case.groups
    typed = {
        own: [getattr(h, name) for h in group.schedule] for name, own in optimizer.names.items()
    }
    told = translate(typed, optimizer.name, f"torch.{rule.name}")
    if told.refusal is not None:
        return REFUSED
    case = replace(case, precisions=(optimizer.dtype,))
    asked = replace(optimizer, start=optimizer.biased or optimizer.start)
    answer = asked.run(rule, case, optimizer.dtype)
    text = Oracle(rule, _as_torch(told, rule, case), margin=Margin(ROUNDINGS, scalars="float32"))
    balls = text().parameters
    if holds(balls.mid[0], balls.rad[0], answer).all():
        return HELD
    return f"{optimizer.name} without {off} is not torch's with {told}"


def _as_torch(told: Translation, rule: Rule, case: Case) -> Case:
    """The case under the numbers that were told, with those of vectors in a group of their own."""
    (group,) = case.groups
    values = {**told.values}
    for name, members in rule.binding.tuples.items():
        if name in values:
            values |= zip(members, values.pop(name), strict=True)
    groups = []
    for parameter in group.parameters:
        own = {**values, **(told.vectors if parameter.initial.ndim < 2 else {})}
        schedule = [_hyper(rule, own, t) for t in range(case.steps)]
        groups.append(Group((parameter,), tuple(schedule)))
    return replace(case, groups=tuple(groups))


def _hyper(rule: Rule, values: Mapping[str, Any], t: int) -> Hyper:
    return rule.hyper(**{n: v[t] if isinstance(v, tuple) else v for n, v in values.items()})


def objectives() -> Iterator[str]:
    """Where scikit-learn's logistic regression ends is where torch's objective is at rest.

    Its solver ends where no derivative of (mean loss + |w|²/2Cn) is above its tolerance.
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.Generator(np.random.PCG64(0))
    x = rng.normal(size=(40, 3))
    y = (rng.random(40) < 1 / (1 + np.exp(-x @ [1.0, -2.0, 0.5] - 0.3))).astype(float)
    tolerance = 1e-9
    for decay in (0.5, 0.01):
        given = {"weight_decay": decay, "batch_size": len(y)}
        told = translate(given, "torch.SGD", "sklearn.LogisticRegression")
        model = LogisticRegression(**told.values, solver="newton-cholesky", tol=tolerance)
        w = model.fit(x, y).coef_[0]
        residual = 1 / (1 + np.exp(-x @ w - model.intercept_[0])) - y
        slopes = [*(x.T @ residual / len(y) + decay * w), residual.mean()]
        yield HELD if np.abs(slopes).max() <= tolerance else f"{told} ends at slopes of {slopes}"


def checked(framework: Framework) -> Iterator[str]:
    """What became of all numbers that were carried over from a framework."""
    for optimizer in framework.optimizers():
        if optimizer.name in PRESETS:
            yield from carried(optimizer)
    if framework.package == "scikit-learn":
        yield from objectives()


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask whoever is installed, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frameworks", description=__doc__)
    parser.add_argument("packages", nargs="*", help=f"of {', '.join(FRAMEWORKS)}")
    parser.add_argument("--write", action="store_true", help="what was found")
    options = parser.parse_args(arguments)
    there = [f for f in FRAMEWORKS.values() if _wanted(f, options.packages)]
    warnings.simplefilter("ignore")  # of networks that have not converged after a step
    asked = {o.name: seen(f, o) for f in there for o in f.optimizers()}
    known = {row.name: row for row in SEEN}
    changed = [row for name, row in asked.items() if known.get(name) != row]
    for row in changed:
        print(f"was  {known.get(row.name)}\nis   {row}")
    print(f"{len(asked)} optimizers of {len(there)} frameworks asked, {len(changed)} changed")
    if options.write:
        rows = kept(asked, there)
        write(TABLE, (json.dumps([row.as_json() for row in rows], indent=1) + "\n").encode())
        write(PAGE, page(rows).encode())
        return 0
    told = [outcome for framework in there for outcome in checked(framework)]
    wrong = [outcome for outcome in told if outcome not in (HELD, REFUSED)]
    print(
        "\n".join([*wrong, f"{len(told)} translations: {told.count(HELD)} held, {len(wrong)} not"])
    )
    return int(bool(changed or wrong or HELD not in told))


def _wanted(framework: Framework, packages: Sequence[str]) -> bool:
    """Whether it is asked: those that are installed, or those that are named and must be."""
    if framework.package in packages and not framework.installed:
        raise SystemExit(f"{framework.package} is not installed")
    return framework.package in packages or (not packages and framework.installed)


if __name__ == "__main__":
    raise SystemExit(main())
