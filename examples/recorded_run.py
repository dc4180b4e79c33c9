"""A run that some other program has recorded, a line of JSON a step: which rule does it follow?

It prints:

    {"w": [2.0, -1.0], "g": [0.5, 0.25], "lr": 0.5, "eps": 0.25, "weight_decay": 0.1}
    run follows AdamW's eps_hat
"""

import json
import math
import tempfile
from pathlib import Path

import oracles

RATES = (0.5, 0.25, 0.5, 0.125)
GRADIENTS = ([0.5, 0.25], [1.5, -0.5], [-0.75, 1.0], [0.25, 0.5])


def record(b1=0.9, b2=0.999, eps=0.25, decay=0.1):
    """Adam with the ε before the correction, and with a decay that shrinks w."""
    w, m, v = [2.0, -1.0], [0.0, 0.0], [0.0, 0.0]
    for t, (g, lr) in enumerate(zip(GRADIENTS, RATES, strict=True), start=1):
        yield {"w": list(w), "g": g, "lr": lr, "eps": eps, "weight_decay": decay}
        rate = lr * math.sqrt(1 - b2**t) / (1 - b1**t)
        for i in range(2):
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            v[i] = b2 * v[i] + (1 - b2) * g[i] ** 2
            w[i] = w[i] * (1 - lr * decay) - rate * m[i] / (math.sqrt(v[i]) + eps)
    yield {"w": list(w)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.jsonl")
        path.write_text("\n".join(json.dumps(line) for line in record()), encoding="utf-8")
        print(path.read_text(encoding="utf-8").splitlines()[0])
        print(oracles.identify(path))
