"""scikit-learn's linear models and networks, trained by ``partial_fit`` on rows made to measure.

An optimizer here is given gradients; scikit-learn is given data. With the squared loss a row x and
a target y give the gradient (x·w + b − y) x, so rows of the unit matrix and targets that are read
off the present weights give any gradient that is wanted: what steps is the library itself, with its
own penalty, reduction and optimizer. A network without hidden layers is its ``coefs_``, a matrix,
and its ``intercepts_``. Beside a large weight a target has no digits left for a small gradient; a
row of a linear model weighs as little as that takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from sklearn.linear_model import SGDRegressor
from sklearn.neural_network import MLPRegressor

from benchmarks.adapters.framework import Arrays, FrameworkOptimizer, Step
from oracles.harness.arithmetic.formats import FloatArray

LEAST = 4
"""Rows of a batch: one for each row of a weight, and one that evens out what the bias sees."""


class Network:
    """An ``MLPRegressor`` of no hidden layers: a matrix of weights, and a bias for each column."""

    def __init__(self, weights: FloatArray, bias: FloatArray, solver: str, values: Any) -> None:
        self.model = MLPRegressor(hidden_layer_sizes=(), solver=solver, shuffle=False, **values)
        rows = np.eye(LEAST, len(weights))
        self.model.partial_fit(rows, rows @ weights)  # which allocates; then it begins anew
        del self.model._optimizer  # noqa: SLF001
        self.model.coefs_ = [weights.copy()]
        self.model.intercepts_ = [bias.copy()]

    def step(self, of_weights: FloatArray, of_bias: FloatArray, n: int) -> None:
        """A step on a batch of n rows whose mean loss has these gradients."""
        rows = np.eye(n, len(of_weights))
        deltas = np.zeros((n, of_weights.shape[1]))
        deltas[: len(of_weights)] = n * of_weights
        deltas[-1] = n * of_bias - deltas.sum(axis=0)
        predicted = rows @ self.model.coefs_[0] + self.model.intercepts_[0]
        self.model.set_params(batch_size=n)  # else more than 200 rows are several steps
        self.model.partial_fit(rows, predicted - deltas)

    def told(self, values: Mapping[str, Any]) -> None:
        """Numbers of this step: its optimizer has a copy of its own."""
        self.model.set_params(**values)
        if optimizer := getattr(self.model, "_optimizer", None):
            optimizer.learning_rate = optimizer.learning_rate_init = values["learning_rate_init"]


def _split(values: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """What a network is told, and the rows of a batch."""
    told = dict(values)
    n = int(told.pop("batch_size", LEAST))
    if n != values.get("batch_size", n) or n < LEAST:
        raise ValueError(f"batch_size={values.get('batch_size')}; allowed: whole, {LEAST} or more")
    return told, n


def _as_layer(solver: str, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    """A vector and a matrix as the biases and weights of one network."""
    bias, weights = parameters
    network = Network(weights, bias, solver, _split(values)[0])

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        told, n = _split(values)
        network.told(told)
        network.step(gradients[1], gradients[0], n)
        return [network.model.intercepts_[0], network.model.coefs_[0]]

    return step


def _as_weights(solver: str, parameters: Arrays, values: Mapping[str, Any]) -> Step:
    """Each parameter as the weights of a network whose biases nobody looks at."""
    told, _ = _split(values)
    networks = [
        Network(w, np.zeros(w.shape[1]), solver, told) for w in map(np.atleast_2d, parameters)
    ]

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        told, n = _split(values)
        for network, g in zip(networks, map(np.atleast_2d, gradients), strict=True):
            network.told(told)
            network.step(g, np.zeros(g.shape[1]), n)
        return [network.model.coefs_[0] for network in networks]

    return step


def _linear(parameters: Arrays, values: Mapping[str, Any]) -> Step:
    """A vector as intercepts and a matrix as coefficients, a model for each of their elements."""
    models = [[_model(w, values, intercept=p.ndim == 1) for w in np.ravel(p)] for p in parameters]

    def step(gradients: Arrays, values: Mapping[str, Any]) -> Arrays:
        return [
            np.reshape([_fitted(m, x, values) for m, x in zip(some, np.ravel(g))], g.shape)  # noqa: B905
            for some, g in zip(models, gradients, strict=True)
        ]

    return step


def _model(w: float, values: Mapping[str, Any], *, intercept: bool) -> Any:
    model = SGDRegressor(learning_rate="constant", fit_intercept=intercept, **values)
    model.partial_fit([[1.0]], [0.0])  # which allocates
    model.coef_ = np.array([0.0 if intercept else w])
    model.intercept_ = np.array([w if intercept else 0.0])
    return model


def _fitted(model: Any, g: float, values: Mapping[str, Any]) -> float:
    """The one element of a model after a step on a row whose loss has this gradient."""
    if values["eta0"] * values["alpha"] > 1:
        raise ValueError(f"{values}: its weights stop at 0, where the rule turns their sign")
    model.set_params(**values)
    held = model.intercept_ if model.fit_intercept else model.coef_
    weight = min(1.0, abs(g / held[0])) if g and held[0] else 1.0
    model.partial_fit([[float(not model.fit_intercept)]], [held[0] - g / weight], [weight])
    after = model.intercept_ if model.fit_intercept else model.coef_
    return float(after[0])


OPTIMIZERS = (
    FrameworkOptimizer("sklearn.MLPRegressor(sgd)", partial(_as_layer, "sgd"), MLPRegressor),
    FrameworkOptimizer(
        "sklearn.MLPRegressor(adam)",
        partial(_as_weights, "adam"),
        MLPRegressor,
        above_zero=frozenset({"eps"}),
        biased=partial(_as_layer, "adam"),
    ),
    FrameworkOptimizer("sklearn.SGDRegressor", _linear, SGDRegressor),
)
