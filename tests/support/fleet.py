"""A fleet of two real processes, one of which is killed: `python -m tests.support.fleet FOLDER`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from oracles.harness.runs import fleet
from oracles.harness.runs.fleet import Done
from oracles.harness.runs.soak import Stint
from oracles.harness.runs.tally import Line, Tally
from oracles.harness.subjects.subject import Place

STINTS = [Stint("SGD", seed, cases=4) for seed in range(8)]

MORTAL = 2
"""The stint in whose middle its process is killed, once."""


def seen(stint: Stint) -> Tally:
    """What comes of a stint without torch, whose import takes longer than all of this."""
    line = Line(runs=4, elements=stint.seed, undecided=1 / (3 + stint.seed), share=0.5)
    return Tally(lines={Place("SGD", "for-loop", "float64", "cpu AVX2"): line})


def work(folder: Path, stint: Stint) -> Done:
    """Does a stint; whoever is given one of them first is killed."""
    told = folder / "process"
    if stint.seed == MORTAL and not told.exists():
        told.with_suffix(".part").write_text(str(os.getpid()))
        told.with_suffix(".part").rename(told)
        threading.Event().wait()
    return Done(seen(stint).to_json())


def kill(folder: Path) -> None:
    """Kill it, as the kernel does when memory runs out."""
    while not (folder / "process").exists():
        time.sleep(0.01)
    os.kill(int((folder / "process").read_text()), signal.SIGKILL)


def main(folder: Path) -> None:
    """Print what was seen, and which stints have come."""
    threading.Thread(target=kill, args=[folder], daemon=True).start()
    whole, came = Tally(), []
    with fleet.local(2) as client:
        for stint, done in fleet.results(client, partial(work, folder), iter(STINTS)):
            whole.merge(Tally.from_json(done.tally))
            came.append(stint.seed)
    print(json.dumps({"tally": whole.to_json(), "came": came}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
