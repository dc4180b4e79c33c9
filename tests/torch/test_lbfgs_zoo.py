"""A zoo of wrong LBFGS: torch's own text with one thing broken, which replays must notice.

Each specimen is built in memory from the installed source, as ``ast`` writes it, so that the quotes
and line breaks of a release do not matter.
"""

from __future__ import annotations

import ast
import importlib.util
import types
from importlib.abc import InspectLoader
from typing import Any

import numpy as np
import pytest

from tests.support.lbfgs_runs import SCRIPTS, STOPS, along, scripted
from tests.support.recording import SIZE, Run, Seen, drawn, replayed
from tests.support.searches import SEARCHES

FIRST = "min(1.0, 1.0 / flat_grad.abs().sum()) * lr"
LATER = "\n                t = lr\n"

ZOO: dict[str, dict[str, str]] = {
    # What becomes what, wherever it stands.
    "first step not shortened": {FIRST: "lr"},
    "every step shortened": {LATER: LATER.replace("lr", FIRST)},
    "rate ignored": {LATER: LATER.replace("lr", "1")},
    "scale of one": {"H_diag = ys / y.dot(y)": "H_diag = 1"},
    "long scale": {"H_diag = ys / y.dot(y)": "H_diag = s.dot(s) / ys"},
    "oldest pair first": {"range(num_old - 1, -1, -1)": "range(num_old)"},
    "longer history": {"len(old_dirs) == history_size": "len(old_dirs) > history_size"},
    "shorter history": {
        "len(old_dirs) == history_size": "len(old_dirs) == max(1, history_size - 1)"
    },
    "roles exchanged": {
        "old_dirs.append(y)": "old_dirs.append(s)",
        "old_stps.append(s)": "old_stps.append(y)",
    },
    "direction for step": {"s = d.mul(t)": "s = d"},
    "curvature unasked": {"ys > 1e-10": "True"},
    "curvature of any size": {"ys > 1e-10": "ys > 0"},
    "uphill": {"q = flat_grad.neg()": "q = flat_grad.clone()"},
    "memory lost between calls": {"state['n_iter'] == 1": "n_iter == 1"},
    "asked again after the last iteration": {"n_iter != max_iter": "True"},
    "flat gradient ignored": {
        "opt_cond = flat_grad.abs().max() <= tolerance_grad": "opt_cond = False"
    },
    "small moves go on": {"d.mul(t).abs().max() <= tolerance_change": "False"},
    "small gains go on": {"abs(loss - prev_loss) < tolerance_change": "False"},
    "evaluations not counted": {"state['func_evals'] += ls_func_evals": "pass"},
    "parameters left at the last trial": {"self._set_param(x)": "pass"},
    "closure without grad": {"closure = torch.enable_grad()(closure)": "pass"},
    "gradient used up": {
        "opt_cond = flat_grad.abs().max() <= tolerance_grad": "opt_cond = flat_grad.abs().max() <= "
        "tolerance_grad; self._params[0].grad.zero_()"
    },
    "another loss returned": {"return orig_loss": "return orig_loss.clone()"},
    "any fall is enough": {"c1=0.0001": "c1=0"},
    "fall not asked for within a bracket": {
        "f_new > f + c1 * t * gtd or f_new >= bracket_f[low_pos]": "f_new >= bracket_f[low_pos]"
    },
    "weak Wolfe condition": {"abs(gtd_new) <= -c2 * gtd": "gtd_new >= c2 * gtd"},
    "flatter than need be": {"c2=0.9": "c2=0.1"},
    "bisection for interpolation": {"d2_square >= 0": "False"},
    "ends not kept off": {"eps = 0.1 * (max(bracket) - min(bracket))": "eps = 0"},
}


def _runs() -> list[Run]:
    """What other tests ask by hand, then drawn runs: always the same."""
    rng = np.random.Generator(np.random.PCG64(5))
    return [
        *(scripted(gradients, h) for gradients, h in SCRIPTS.values()),
        *(along(case) for case in SEARCHES.values()),
        *(stop.run for stop in STOPS.values()),
        *(drawn(rng.bytes(SIZE)) for _ in range(10)),
    ]


RUNS = _runs()


def normal() -> str:
    """The installed source, as ``ast`` writes it."""
    name = "torch.optim.lbfgs"
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert isinstance(spec.loader, InspectLoader)
    source = spec.loader.get_source(name)
    assert source is not None
    return ast.unparse(ast.parse(source))


def built(source: str) -> Any:
    """The optimizer in it; the module needs a name for its relative imports."""
    module = types.ModuleType("torch.optim._broken")
    module.__package__ = "torch.optim"
    exec(compile(source, "<broken>", "exec"), module.__dict__)
    return module.LBFGS


def noticed(optimizer: Any) -> str:
    """What is wrong with it; empty if nothing is seen."""
    for run in RUNS:
        try:
            replayed(run, Seen(), optimizer)
        except Exception as error:
            return str(error)
    return ""


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", ZOO)
def test_it_is_noticed(name: str) -> None:
    source = normal()
    for before, after in ZOO[name].items():
        assert before in source, f"this torch has no {before!r} to break"
        source = source.replace(before, after)
    assert noticed(built(source))


def test_an_unbroken_one_is_not() -> None:
    assert not noticed(built(normal()))
