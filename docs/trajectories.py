"""Draw ``docs/trajectories.png``: where each convention takes the question's problem, and torch.

``python docs/trajectories.py`` (needs the extras ``torch`` and ``plot``)

Logistic regression with 4 features and a bias on 1096 generated rows, mean cross-entropy, lr 0.05,
weight decay 0.1, full batch, 1000 epochs from zero: the setting of the question that started the
project, without momentum. Lines are the oracle in float64; dots are ``torch.optim.SGD``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from oracles.harness.arithmetic.formats import FloatArray
from oracles.optimizers.sgd import RULE as SGD

ROWS, FEATURES, EPOCHS = 1096, 4, 1000
H = SGD.hyper(lr=0.05, weight_decay=0.1, batch_size=ROWS)

SHOWN = {
    # convention: (colour, how far its label is moved up)
    "coupled_unscaled": ("#0b5fa5", 0.0),
    "batch_scaled": ("#c2410c", 0.0),
    "decay_ignored": ("#78716c", 0.12),
    "bias_undecayed": ("#15803d", 0.0),
    "coupled_doubled": ("#7e22ce", 0.0),
    "decay_drift": ("#a16207", -0.03),
    "decoupled": ("#be185d", 0.0),
}

Gradient = Callable[[FloatArray], FloatArray]


def problem() -> tuple[FloatArray, FloatArray]:
    """Rows with a constant last column for the bias, and noisy labels of a shifted linear rule."""
    rng = np.random.Generator(np.random.PCG64(1096))
    x = rng.normal(size=(ROWS, FEATURES))
    score = x @ [1.5, -2.0, 0.5, 1.0] + 2.0 + rng.logistic(size=ROWS)
    return np.column_stack([x, np.ones(ROWS)]), (score > 0).astype(float)


def gradient(x: FloatArray, y: FloatArray) -> Gradient:
    """Gradient of the mean cross-entropy of a logistic model."""
    return lambda w: x.T @ (1 / (1 + np.exp(-x @ w)) - y) / len(y)


def follow(name: str, g: Gradient) -> list[float]:
    """Length of (weights, bias) after each epoch when a convention takes the steps."""
    convention = SGD.convention(name)
    weights, bias = np.zeros((1, FEATURES)), np.zeros(1)
    lengths = [0.0]
    for _ in range(EPOCHS):
        both = g(np.append(weights, bias))
        moved = []
        for w, part in ((weights, both[None, :-1]), (bias, both[-1:])):
            decays = convention.decays(w.ndim)
            ((new, _),) = SGD.run(convention, w, [part], [H], decays=decays)
            moved.append(new)
        weights, bias = moved
        lengths.append(float(np.linalg.norm(np.append(weights, bias))))
    return lengths


def torch_runs(x: FloatArray, y: FloatArray) -> list[float]:
    """The same with ``torch.optim.SGD``, autograd and ``BCELoss``, in float32 as it was asked."""
    model = torch.nn.Linear(FEATURES, 1)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=H.lr, weight_decay=H.weight_decay)
    inputs = torch.tensor(x[:, :-1], dtype=torch.float32)
    targets = torch.tensor(y[:, None], dtype=torch.float32)
    lengths = [0.0]
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy(model(inputs).sigmoid(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        parameters = torch.cat([model.weight.flatten(), model.bias]).detach()
        lengths.append(float(parameters.norm()))
    return lengths


def main() -> None:
    """Write the picture beside this file."""
    x, y = problem()
    g = gradient(x, y)
    figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
    for name, (colour, up) in SHOWN.items():
        lengths = follow(name, g)
        style: dict[str, dict[str, Any]] = {
            "coupled_unscaled": {"linewidth": 2.5},
            "decay_ignored": {"dashes": (4, 4)},
        }
        axes.plot(lengths, color=colour, **style.get(name, {}))
        label = f"{name}   {SGD.convention(name).equation.split(':')[0]}"
        axes.text(EPOCHS * 1.01, lengths[-1] + up, label, color=colour, va="center", fontsize=9)
    every = slice(0, None, 50)
    axes.plot(
        range(EPOCHS + 1)[every],
        torch_runs(x, y)[every],
        "o",
        color="black",
        markersize=4,
        zorder=5,
        label=f"torch.optim.SGD(lr={H.lr}, weight_decay={H.weight_decay})",
    )
    axes.set_xlim(0, EPOCHS * 1.85)
    axes.set_xticks(range(0, EPOCHS + 1, 200))
    axes.set_xlabel("epoch (full batch of 1096 rows)", x=0.27)
    axes.set_ylabel("length of (weights, bias)")
    axes.set_title("Same data, same λ = 0.1: where each reading of “weight decay” goes", loc="left")
    axes.legend(loc="upper left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
