"""What the arguments of training loops are called, and what the loop's own are given."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from oracles.harness.subjects.aliases import ALIASES

DATA = (
    ("x", "x_train", "xs", "features", "inputs", "data", "a"),
    ("y", "y_train", "ys", "t", "labels", "targets", "target"),
)
"""What rows and labels are called, in small letters."""


LOOP: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "epochs": (
            *("epochs", "n_epochs", "num_epochs", "nb_epochs", "max_epochs", "epoch"),
            *("n_iter", "n_iters", "num_iter", "num_iters", "n_iterations", "num_iterations"),
            *("iterations", "iters", "niter", "max_iter", "max_iters", "max_iterations"),
            *("steps", "n_steps", "num_steps"),
        ),
        "batch_size": ("batch_size", "batch", "batchsize", "bs", "minibatch_size", "mini_batch"),
        "seed": ("seed", "random_state", "random_seed"),
        "shuffle": ("shuffle",),
        "verbose": ("verbose", "verbosity"),
        "tol": ("tol", "tolerance"),
        "patience": ("patience", "n_iter_no_change", "early_stopping_rounds"),
        "early_stopping": ("early_stopping", "early_stop"),
    }
)
"""What belongs to the loop and to no rule, by what it is called."""


START: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "start": (
            *("w0", "w_in", "w_init", "init_w", "initial_w", "w", "weights", "initial_weights"),
            *("theta", "theta0", "theta_init", "initial_theta", "beta", "beta0", "init", "params"),
        ),
        "bias_start": ("b0", "b_in", "b_init", "init_b", "initial_b", "b", "bias"),
    }
)
"""Where it starts, if it has to be told."""


QUIET: Mapping[str, Any] = MappingProxyType(
    {
        "seed": 0,
        "shuffle": False,
        "verbose": False,
        "tol": 0.0,
        "patience": 10**6,
        "early_stopping": False,
    }
)
"""What these are given: rows in order, no early end, nothing printed, the same start each time."""


HYPER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **ALIASES,
        "lr": ("eta0", "learning_rate_init", "lrate", *ALIASES["lr"], "step"),
        "weight_decay": (
            *ALIASES["weight_decay"],
            *("lambd", "lmb", "lambda_reg", "reg_lambda", "l2_lambda", "l2_penalty", "penalty"),
            *("regularization", "reg_strength", "ridge", "alpha"),
        ),
    }
)
"""What training loops call hyperparameters. ``alpha`` is a decay where another name is the rate."""
