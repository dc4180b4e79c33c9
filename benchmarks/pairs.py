"""Whether each pair of conventions is named in a black box: ``python -m benchmarks.pairs``.

Every pair of a rule that can be combined is planted in code and asked for among what that rule can
be. What comes out is the pair, or something simpler that is the same by all that is asked (told so,
and listed), or that it makes no finite numbers, or anything else, which is an error. A few minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable

from oracles.harness.candidates import Candidate, combined
from oracles.identification import identify
from oracles.optimizers.registry import RULES
from tests.support.planted import Planted

RIGHT = ("named", "named among others", "simpler", "not finite")
"""What may be said of a pair."""


def outcome(candidate: Candidate) -> str:
    """What is said of code that follows a candidate."""
    found = identify(Planted(candidate), [candidate.rule])
    fits = found.fits
    if not fits:
        return "not finite" if "from step 1 on" in found.fault else "refused"
    if any(c.arguments for c in fits):
        return "other arguments"
    if all(c.names == candidate.names for c in fits):
        return "named"
    if any(c.names == candidate.names for c in fits):
        return "named among others"
    return "simpler" if any(len(c.names) < len(candidate.names) for c in fits) else "others named"


def main(names: Iterable[str]) -> int:
    """Print a line a rule, and each pair that is not named; the exit status is 1 after an error."""
    wrong = False
    for name in names:
        told: Counter[str] = Counter()
        slowest = 0.0
        for candidate in combined(RULES[name], 2):
            start = time.process_time()
            word = outcome(candidate)
            slowest = max(slowest, time.process_time() - start)
            told[word] += 1
            wrong |= word not in RIGHT
            if word != "named":
                print(f"    {candidate}: {word}")
        print(f"{name}: {dict(told)}, slowest {slowest:.1f} s", flush=True)
    return int(wrong)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rule", nargs="*", choices=[[], *RULES], help="of these (default: all)")
    sys.exit(main(parser.parse_args().rule or RULES))
