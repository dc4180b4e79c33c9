"""Logistic regression by hand, with "L2 0.1", that does not end where PyTorch does: why?

It prints:

    by_hand follows SGD's batch_scaled
    w = 2, g = 1, lr=1, weight_decay=0.5, batch_size=2: torch 0, batch_scaled 0.5
    as_torch follows SGD's coupled_unscaled
    after 200 epochs the weights are [2.97 1.21] by hand and [1.32 0.42] as torch has them
"""

import numpy as np

import oracles


def by_hand(params, grads, state, lr, lam, n):
    """The penalty joins the sum over the rows, and all is divided by their number."""
    return [w - lr * (n * g + lam * w) / n for w, g in zip(params, grads, strict=True)]


def as_torch(params, grads, state, lr, lam, n):
    """The penalty joins the mean."""
    return [w - lr * (g + lam * w) for w, g in zip(params, grads, strict=True)]


def train(update, epochs=200, lr=0.5, lam=0.1):
    """Full batches of eight rows, mean cross-entropy, from zero."""
    x = np.array([[2, 1], [1, 0], [3, 2], [2, -1], [-1, 2], [-2, 1], [-3, -2], [1, -3]]) / 2
    y = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    w = np.zeros(2)
    for _ in range(epochs):
        g = x.T @ (1 / (1 + np.exp(-x @ w)) - y) / len(y)
        (w,) = update([w], [g], {}, lr, lam, len(y))
    return w


if __name__ == "__main__":
    print(oracles.check(by_hand, dtypes=["float64"]).found)
    (difference,) = oracles.explain("SGD", "batch_scaled").differences
    print(difference.numbers)
    print(oracles.check(as_torch, dtypes=["float64"]).found)
    hand, torch = (train(update).round(2) for update in (by_hand, as_torch))
    print(f"after 200 epochs the weights are {hand} by hand and {torch} as torch has them")
