"""Checks of what surrounds a step: torch's global state, and what the optimizer was handed.

What a step computes hangs on parameters, gradients and hyperparameters alone, and what is handed
over stays the caller's: an optimizer neither changes it nor follows it.
"""

from __future__ import annotations

from oracles.harness.checks.contract import held
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.subject import SteppedRun, SteppedSubject, World
from oracles.harness.verdict import Verdict, broken, judge

WIDER = World.FLOAT64
"""The world in which torch means to keep scalars more precisely (``_get_scalar_dtype``): values may
be others there within the enclosure, and what they are kept in is a question of its own."""

REROUNDED = (WIDER, World.AUTOCAST)
"""Worlds in which some operation may be computed in a wider dtype (autocast has a list of those for
float32): the enclosure decides. In all others the same kernels get the same numbers."""


def same_in(world: World, subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """In that world, too, a step follows the rule and keeps its state as anywhere else.

    On the CPU to the bit, but for :data:`REROUNDED`. Elsewhere a deterministic kernel may be
    another one, and the enclosure decides.
    """
    case = oracle.case
    plain, run = subject.start(case), subject.start(case, world)
    for t in range(case.steps):
        _step(plain, t)
        _step(run, t)
        if world is not WIDER and (other := _differences(plain, run)):
            return broken(case, subject, f"keeps {other} under {world}, after step {t + 1}")
        plain.record()
        run.record()
    answer = run.answer()
    exact = world not in REROUNDED and subject.place.device == "cpu"
    if exact and not answer.has_the_bits_of(plain.answer()):
        return broken(case, subject, f"steps to other bits under {world}")
    return judge(oracle, subject, answer)


def kept_alike(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """What is kept has the same dtype when Python numbers become float64 by default."""
    case = oracle.case
    plain, run = subject.start(case), subject.start(case, WIDER)
    for t in range(case.steps):
        _step(plain, t)
        _step(run, t)
    if other := _differences(plain, run):
        return broken(case, subject, f"keeps {other} under {WIDER}")
    return held(case)


def surroundings_kept(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """A step changes the given parameters and its own state, and nothing else; it has no result."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        run.load(t)
        before = run.surroundings()
        returned = run.step()
        after = run.surroundings()
        if returned is not None:
            return broken(case, subject, f"returns {returned!r} where there is no closure")
        changed = [name for name in before if before[name] != after[name]]
        if changed:
            return broken(case, subject, f"changed {', '.join(changed)} at step {t + 1}")
        if run.strays():
            return broken(case, subject, f"keeps more state than the rule: {run.strays()}")
    return held(case)


def groups_kept(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """Groups that are handed over are left as they were, and editing them later does nothing."""
    case = oracle.case
    run = subject.start(case)
    for t in range(case.steps):
        run.load(t)
        if altered := run.altered():
            return broken(case, subject, f"changed {', '.join(altered)} of a group it was handed")
        run.spoil()
        run.step()
        run.record()
    return judge(oracle, subject, run.answer())


def loading_changes_nothing(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """A ``state_dict`` is not changed by who loads it, and its groups may be edited afterwards."""
    if changed := _stepped(subject, oracle).reload():
        return broken(oracle.case, subject, f"changed or follows {', '.join(changed)} it loaded")
    return held(oracle.case)


def loading_shares_nothing(subject: SteppedSubject, oracle: Oracle) -> Verdict:
    """The tensors of a ``state_dict`` are copied by who loads it: two may load the same one."""
    run = _stepped(subject, oracle)
    run.reload()
    if shared := run.shared():
        return broken(
            oracle.case, subject, f"shares {', '.join(shared)} with the state_dict it loaded"
        )
    return held(oracle.case)


def _step(run: SteppedRun, t: int) -> None:
    run.load(t)
    run.step()


def _stepped(subject: SteppedSubject, oracle: Oracle) -> SteppedRun:
    """A subject after all steps of a case."""
    run = subject.start(oracle.case)
    for t in range(oracle.case.steps):
        _step(run, t)
    return run


def _differences(plain: SteppedRun, run: SteppedRun) -> str:
    """What the second run keeps otherwise than the first; empty if it is all the same."""
    return next(
        (
            f"{name} of parameter {number} as {now.get(name, 'nothing')}, "
            f"not {was.get(name, 'nothing')},"
            for number, (was, now) in enumerate(zip(plain.kinds(), run.kinds(), strict=True))
            for name in was | now
            if now.get(name) != was.get(name)
        ),
        "",
    )
