"""Training loops of other people: planted ones, honest rewrites, and methods of another kind.

Nothing here knows of the oracles: gradients are written out once more.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

Fit = Callable[..., Any]


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


# --- Planted: one text, its parts chosen ----------------------------------------------------------

SLOPES = {"linear": lambda z, y: z - y, "logistic": lambda z, y: sigmoid(z) - y}

DIVISORS: dict[str, Callable[[int, int], float]] = {
    "mean": lambda n, m: n,
    "sum": lambda n, m: 1,
    "share": lambda n, m: m,
}

RETURNS: dict[str, Callable[[Any, Any], Any]] = {
    "pair": lambda w, b: (w, b),
    "floats": lambda w, b: (w.tolist(), float(b)),
    "columns": lambda w, b: (w[:, None], np.array([[b]])),
    "last": lambda w, b: np.append(w, b),
    "first": lambda w, b: np.insert(w, 0, b),
    "dict": lambda w, b: {"bias": np.array([b]), "weights": w, "losses": [0.5, 0.25]},
    "history": lambda w, b: (0.125 * float(w @ w), w, b),
    "estimator": lambda w, b: SimpleNamespace(coef_=w[None], intercept_=np.array([b])),
    "layers": lambda w, b: [{"W": w[:, None], "b": np.array([[b]])}],
    "weights": lambda w, b: w,
}


@dataclass(frozen=True)
class Planted:
    """A loop of chosen parts; ``names`` are what it calls lr, weight_decay, momentum, epochs, ...

    Attributes:
        decay: ``(w, g, lr, wd, n, m) -> (w, g)``, before the step.
        after: ``(w, lr, wd) -> w``, after it.
        batches: ``"full"``, ``"rows"``, ``"short"``, ``"dropped"``, ``"single"``, or a size.
        momentum: ``""``, ``"torch"``, ``"sutskever"`` or ``"ema"``.
        expected: what is said of it.
    """

    expected: str
    model: str = "logistic"
    factor: int = 1
    reduction: str = "mean"
    decay: Callable[..., Any] = lambda w, g, lr, wd, n, m: (w, g + wd * w)
    after: Callable[..., Any] = lambda w, lr, wd: w
    bias_decayed: bool = False
    bias: bool = True
    batches: str | int = "full"
    momentum: str = ""
    returns: str = "pair"
    names: dict[str, str] = field(default_factory=dict)

    def slices(self, m: int, size: int, epoch: int) -> Iterator[slice]:
        n = {"full": m, "rows": 1}.get(str(self.batches), size)
        n = self.batches if isinstance(self.batches, int) else n
        whole = [slice(i, min(i + n, m)) for i in range(0, m, n)]
        if self.batches == "dropped":
            whole = whole[: m // n]
        yield from [whole[epoch % len(whole)]] if self.batches == "single" else whole

    def train(
        self, x: Any, y: Any, lr: float, wd: float, mu: float, epochs: int, size: int
    ) -> tuple[Any, Any]:
        point, speed = [np.zeros(x.shape[1]), np.zeros(1)], [0.0, 0.0]
        for epoch in range(epochs):
            for rows in self.slices(len(y), size, epoch):
                n = len(y[rows])
                r = SLOPES[self.model](x[rows] @ point[0] + point[1], y[rows]) * self.factor
                r = r / DIVISORS[self.reduction](n, len(y))
                for k, g in enumerate((r @ x[rows], r.sum() * self.bias)):
                    rate = wd if k == 0 or self.bias_decayed else 0.0
                    w, g = self.decay(point[k], g, lr, rate, n, len(y))
                    speed[k], move = self.moved(speed[k], g, lr, mu)
                    point[k] = self.after(w - move, lr, rate)
        return point[0], point[1][0]

    def moved(self, v: Any, g: Any, lr: float, mu: float) -> tuple[Any, Any]:
        if self.momentum == "torch":
            v = mu * v + g
            return v, lr * v
        if self.momentum == "sutskever":
            v = mu * v + lr * g
            return v, v
        if self.momentum == "ema":
            v = mu * v + (1 - mu) * g
            return v, lr * v
        return v, lr * g

    def fit(self) -> Fit:
        """As a function, with the arguments that its parts need."""
        told = self.batches in ("short", "dropped", "single")
        wanted = ["lr", "weight_decay", "epochs", *["momentum"] * bool(self.momentum)]
        own = {n: self.names.get(n, n) for n in [*wanted, *["batch_size"] * told]}

        def fit(X: Any, y: Any, **given: Any) -> Any:
            v = {n: given.get(own.get(n, n), 0) for n in (*wanted, "batch_size", "momentum")}
            w, b = self.train(
                X, y, v["lr"], v["weight_decay"], v["momentum"], v["epochs"], v["batch_size"]
            )
            return RETURNS[self.returns](w, b)

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = ["X", "y", *own.values()]
        fit.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])  # type: ignore[attr-defined]
        return fit


def scaled(w: Any, g: Any, lr: float, wd: float, n: int, m: int) -> Any:
    return w, g + wd / n * w


def scaled_by_all(w: Any, g: Any, lr: float, wd: float, n: int, m: int) -> Any:
    return w, g + wd / m * w


def times(w: Any, g: Any, lr: float, wd: float, n: int, m: int) -> Any:
    return w, g + wd * m * w


def doubled(w: Any, g: Any, lr: float, wd: float, n: int, m: int) -> Any:
    return w, g + 2 * wd * w


def shrunk(w: Any, g: Any, lr: float, wd: float, n: int, m: int) -> Any:
    return w * (1 - wd), g


def shrunk_lr(w: Any, g: Any, lr: float, wd: float, n: int, m: int) -> Any:
    return w * (1 - lr * wd), g


def ignored(w: Any, g: Any, lr: float, wd: float, n: int, m: int) -> Any:
    return w, g


TORCH, BIAS, NO_BIAS = (
    "SGD's coupled_unscaled",
    "; the bias is decayed, too",
    "; the bias is not decayed",
)

IN_BATCHES = ", in batches of the size given"
IN_TURN = ", on one batch of the size given an epoch, in turn"
SHARE = "half the sum of squared errors of a batch divided by all rows"

PLANTED = (
    Planted(f"the mean logistic loss by {TORCH}{NO_BIAS}"),
    Planted(f"the mean logistic loss by {TORCH}{BIAS}", bias_decayed=True, returns="first"),
    Planted(f"the mean logistic loss by SGD's batch_scaled{NO_BIAS}", decay=scaled, returns="dict"),
    Planted(
        f"the mean logistic loss by SGD's batch_scaled{BIAS}",
        decay=scaled,
        bias_decayed=True,
        returns="last",
        names={"lr": "alpha", "weight_decay": "lam", "epochs": "num_iters"},
    ),
    Planted(f"the sum of logistic losses by {TORCH}{NO_BIAS}", reduction="sum", returns="floats"),
    Planted(
        f"the sum of logistic losses by SGD's batch_scaled{NO_BIAS}", reduction="sum", decay=scaled
    ),
    Planted(f"the mean logistic loss by {TORCH} with lr·m{NO_BIAS}", reduction="sum", decay=times),
    Planted(f"the mean squared error by {TORCH}{NO_BIAS}", "linear", 2, returns="estimator"),
    Planted(
        f"half the mean squared error by {TORCH}{NO_BIAS}",
        "linear",
        names={"lr": "eta", "weight_decay": "lambda_", "epochs": "n_iter"},
    ),
    Planted(f"the sum of squared errors by {TORCH}{BIAS}", "linear", 2, "sum", bias_decayed=True),
    Planted(
        f"half the sum of squared errors by {TORCH}",
        "linear",
        1,
        "sum",
        bias=False,
        returns="weights",
    ),
    Planted(
        "half the mean squared error by SGD's batch_scaled",
        "linear",
        decay=scaled,
        bias=False,
        returns="weights",
    ),
    Planted(
        f"the mean squared error by SGD's coupled_doubled{NO_BIAS}", "linear", 2, decay=doubled
    ),
    Planted(f"the mean logistic loss by SGD's decoupled{NO_BIAS}", decay=shrunk, returns="history"),
    Planted(
        f"the mean logistic loss by SGD's decay_after{BIAS}",
        decay=ignored,
        after=lambda w, lr, wd: w * (1 - wd),
        bias_decayed=True,
    ),
    Planted("the mean logistic loss by SGD's decay_ignored", decay=ignored),
    Planted(
        f"the mean logistic loss by SGD's decay_after_lr{NO_BIAS}",
        decay=ignored,
        after=lambda w, lr, wd: w * (1 - lr * wd),
    ),
    Planted(
        f"the mean logistic loss by {TORCH}{NO_BIAS}",
        momentum="torch",
        names={"momentum": "mu", "weight_decay": "l2"},
    ),
    Planted(f"the mean logistic loss by {TORCH}{BIAS}", momentum="sutskever", bias_decayed=True),
    Planted(f"the mean squared error by SGD's ema_momentum{NO_BIAS}", "linear", 2, momentum="ema"),
    Planted(
        f"the mean logistic loss by SGD's decoupled_lr{NO_BIAS}", decay=shrunk_lr, momentum="torch"
    ),
    Planted(
        f"the mean logistic loss by SGD's decoupled_lr with ema_momentum{NO_BIAS}",
        decay=shrunk_lr,
        momentum="ema",
    ),
    Planted(f"the mean logistic loss by {TORCH}{IN_BATCHES}{NO_BIAS}", batches="short"),
    Planted(
        f"the mean logistic loss by SGD's batch_scaled{IN_BATCHES}{NO_BIAS}",
        batches="short",
        decay=scaled,
        returns="layers",
    ),
    Planted(
        f"the mean logistic loss by SGD's batch_scaled (m being all rows){IN_BATCHES}{BIAS}",
        batches="short",
        decay=scaled_by_all,
        bias_decayed=True,
    ),
    Planted(
        f"the sum of squared errors by {TORCH}{IN_BATCHES}{NO_BIAS}",
        "linear",
        2,
        "sum",
        batches="short",
        returns="columns",
    ),
    Planted(
        f"{SHARE} by {TORCH}{IN_BATCHES}{NO_BIAS}",
        "linear",
        1,
        "share",
        batches="short",
    ),
    Planted(
        f"the mean logistic loss by {TORCH}{IN_BATCHES}, leaving out a short last one{NO_BIAS}",
        batches="dropped",
        momentum="torch",
    ),
    Planted(
        f"the mean logistic loss by {TORCH}{IN_TURN}{NO_BIAS}",
        batches="single",
        names={"epochs": "steps"},
    ),
    Planted(f"the mean logistic loss by {TORCH}, row after row{NO_BIAS}", batches="rows"),
    Planted(
        f"the mean squared error by SGD's batch_scaled (m being all rows), row after row{NO_BIAS}",
        "linear",
        2,
        batches="rows",
        decay=scaled_by_all,
    ),
    Planted(f"the mean logistic loss by {TORCH}, in batches of 32 rows{NO_BIAS}", batches=32),
)


# --- Honest rewrites: texts of one loop that share no line ----------------------------------------


def question(X: Any, Y: Any, alpha: Any, lam: Any, iterations: Any) -> Any:
    """The loop of the question: decay is added to the sum, and all of it divided by n."""
    beta, n = np.zeros(X.shape[1] + 1), len(Y)
    for _ in range(iterations):
        temp = np.zeros(len(beta))
        for j in range(n):
            error = sigmoid(beta[0] + np.dot(X[j, :], beta[1:])) - Y[j]
            temp[0] = temp[0] + error
            temp[1:] = temp[1:] + error * X[j, :]
        for k in range(len(beta)):
            temp[k] = temp[k] + lam * beta[k]
        temp = temp / (1.0 * n)
        beta = beta - alpha * temp
    return beta


def answer(X: Any, Y: Any, alpha: Any, lam: Any, iterations: Any) -> Any:
    """The loop as the answer corrects it."""
    beta, n = np.zeros(X.shape[1] + 1), len(Y)
    for _ in range(iterations):
        temp = np.zeros(len(beta))
        for j in range(n):
            error = sigmoid(beta[0] + np.dot(X[j, :], beta[1:])) - Y[j]
            temp[0] = temp[0] + error
            temp[1:] = temp[1:] + error * X[j, :]
        temp = temp / (1.0 * n)
        beta = beta - alpha * (temp + lam * beta)
    return beta


class TorchRegression(nn.Module):
    """The module of the question."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.linear.weight.data.fill_(0.0)
        self.linear.bias.data.fill_(0.0)

    def forward(self, x: Any) -> Any:
        return torch.sigmoid(self.linear(x))


def question_in_torch(X: Any, y: Any, lr: float, weight_decay: float, num_epochs: int) -> Any:
    model, criterion = TorchRegression(X.shape[1]), nn.BCELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=weight_decay)
    loader = DataLoader(TensorDataset(X, y), batch_size=1096, shuffle=False)
    for _ in range(num_epochs):
        for inputs, labels in loader:
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


def answer_s_example(X: Any, y: Any, lr: float, weight_decay: float, epochs: int) -> Any:
    """The worked example of the answer: a linear model that starts at one."""
    linear = nn.Linear(X.shape[1], 1)
    linear.weight.data.fill_(1.0)
    linear.bias.data.fill_(1.0)
    optimizer = torch.optim.SGD(linear.parameters(), lr=lr, weight_decay=weight_decay)
    for _ in range(epochs):
        optimizer.zero_grad()
        nn.functional.mse_loss(linear(X), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return linear.weight.data, linear.bias.data


def shuffled_off(X: Any, y: Any, lr: float, l2: float, epochs: int, batch_size: int = 32) -> Any:
    """Batches by torch in float64, from NumPy's arrays and a random start."""
    x, t = torch.as_tensor(X), torch.as_tensor(y)[:, None]
    linear = nn.Linear(X.shape[1], 1).double()
    optimizer = torch.optim.SGD(linear.parameters(), lr=lr, momentum=0.9, weight_decay=l2)
    for _ in range(epochs):
        for inputs, labels in DataLoader(TensorDataset(x, t), batch_size=batch_size):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(linear(inputs), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return {k: v.numpy() for k, v in linear.state_dict().items()}


def normal_equations(X: Any, y: Any, learning_rate: float, ridge: float, n_iters: int) -> Any:
    """XᵀXw − Xᵀy, with the decay in the matrix."""
    gram, moment = X.T @ X / len(y) + ridge * np.eye(X.shape[1]), X.T @ y / len(y)
    w = np.zeros(X.shape[1])
    for _ in range(n_iters):
        w -= learning_rate * (gram @ w - moment)
    return w


def column_of_ones(X: Any, y: Any, eta: float, reg: float, epochs: int) -> Any:
    """The bias as one more weight, after the others."""
    A = np.hstack([X, np.ones((len(X), 1))])
    theta = np.zeros((A.shape[1], 1))
    for _ in range(epochs):
        p = 0.5 * (1 + np.tanh(A @ theta / 2))
        theta = (1 - eta * reg) * theta - eta * (A.T @ (p - y.reshape(-1, 1))) / A.shape[0]
    return theta


def plus_and_minus(X: Any, y: Any, lr: float, lambd: float, steps: int) -> Any:
    """Labels −1 and 1: −y σ(−yz)."""
    w, b = np.zeros(X.shape[1]), 0.0
    for _ in range(steps):
        s = -y / (1 + np.exp(y * (X @ w + b)))
        w, b = w - lr * ((s[:, None] * X).mean(axis=0) + lambd * w), b - lr * s.mean()
    return w, b


class Regressor:
    """In the style of scikit-learn, with other names."""

    def __init__(self, eta0: float = 0.1, alpha: float = 0.0, max_iter: int = 100) -> None:
        self.eta0, self.alpha, self.max_iter = eta0, alpha, max_iter

    def fit(self, X: Any, y: Any) -> Any:
        rng = np.random.RandomState(1)
        self.coef_, self.intercept_ = rng.uniform(-1, 1, X.shape[1]), 0.0
        for _ in range(self.max_iter):
            slope, offset = np.zeros(X.shape[1]), 0.0
            for row, target in zip(X, y, strict=True):
                error = float(row @ self.coef_) + self.intercept_ - target
                slope, offset = slope + 2 * error * row, offset + 2 * error
            self.coef_ = self.coef_ - self.eta0 * (slope / len(y) + self.alpha * self.coef_)
            self.intercept_ -= self.eta0 * offset / len(y)
        return self


def course(X: Any, y: Any, w_in: Any, b_in: Any, alpha: float, num_iters: int) -> Any:
    """As a well-known course has it: told where to start, no decay, a history beside."""
    w, b, history = w_in, b_in, []
    for _ in range(num_iters):
        error = X @ w + b - y
        w, b = w - alpha * X.T @ error / len(y), b - alpha * error.sum() / len(y)
        history.append(float(error @ error) / (2 * len(y)))
    return w, b, history


def across(w: Any, b: Any, X: Any, Y: Any, num_iterations: int, learning_rate: float) -> Any:
    """As another course has it: a row is a column, and gradients are given back, too."""
    m = X.shape[1]
    for _ in range(num_iterations):
        activations = sigmoid(np.dot(w.T, X) + b)
        dw, db = np.dot(X, (activations - Y).T) / m, np.sum(activations - Y) / m
        w, b = w - learning_rate * dw, b - learning_rate * db
    return {"w": w, "b": b}, {"dw": dw, "db": db}, [0.5]  # which raises if there is no iteration


def adam_by_hand(
    X: Any, y: Any, lr: float, beta1: float, beta2: float, wd: float, epochs: int
) -> Any:
    """Adam with its ε written in it, decay in the gradient."""
    w, m, v = np.zeros(X.shape[1]), 0.0, 0.0
    for t in range(1, epochs + 1):
        g = X.T @ (sigmoid(X @ w) - y) / len(y) + wd * w
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        w = w - lr * np.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + 1e-8)
    return w


def adamw_by_hand(
    X: Any, y: Any, lr: float, b1: float, b2: float, eps: float, wd: float, epochs: int
) -> Any:
    """Decay after the gradient was taken, before the step."""
    w, m, v = np.zeros(X.shape[1]), 0.0, 0.0
    for t in range(1, epochs + 1):
        g = X.T @ (X @ w - y) / len(y)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w * (1 - lr * wd) - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return w


def adam_times_m(
    X: Any, y: Any, lr: float, b1: float, b2: float, eps: float, wd: float, epochs: int
) -> Any:
    """The decay of a sum beside the gradient of a mean."""
    w, m, v = np.zeros(X.shape[1]), 0.0, 0.0
    for t in range(1, epochs + 1):
        g = X.T @ (X @ w - y) / len(y) + wd * len(y) * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return w


def summed_with_a_decay_of_its_own(X: Any, y: Any, lr: float, epochs: int, batch_size: int) -> Any:
    """A sum of losses, and a decay that is written."""
    w, b = np.zeros(X.shape[1]), 0.0
    for _ in range(epochs):
        for start in range(0, len(y), batch_size):
            x, t = X[start : start + batch_size], y[start : start + batch_size]
            off = sigmoid(x @ w + b) - t
            w, b = w - lr * (x.T @ off + 0.03 * w), b - lr * off.sum()
    return w, b


def adagrad_by_hand(X: Any, y: Any, lr: float, epochs: int) -> Any:
    """With an ε of its own, which is not torch's."""
    w, v = np.zeros(X.shape[1]), 0.0
    for _ in range(epochs):
        g = X.T @ (X @ w - y) / len(y)
        v = v + g * g
        w = w - lr * g / (np.sqrt(v) + 1e-8)
    return w


def looking_ahead(X: Any, y: Any, lr: float = 0.01, epochs: int = 10, mu: float = 0.9) -> Any:
    """Nesterov's momentum, which is no argument of it."""
    w, v = 0 * X[0], 0 * X[0]
    for _ in range(epochs):
        before, v = v, mu * v - lr * X.T @ (X @ w - y) / len(y)
        w = w - mu * before + (1 + mu) * v
    return w


def rmsprop_by_hand(X: Any, y: Any, lr: float, rho: float, eps: float, epochs: int) -> Any:
    """With ε inside of the root: Adadelta without its numerator is the same."""
    w, v = np.zeros(X.shape[1]), 0.0
    for _ in range(epochs):
        g = X.T @ (X @ w - y) / len(y)
        v = rho * v + (1 - rho) * g * g
        w = w - lr * g / np.sqrt(v + eps)
    return w


@dataclass(frozen=True)
class Written:
    """A loop, and what is said of it.

    Attributes:
        values: hyperparameters that are written in it.
    """

    fit: Fit
    expected: str
    values: dict[str, float] = field(default_factory=dict)


BATCH_SCALED = f"the mean logistic loss by SGD's batch_scaled{BIAS}"
LOGISTIC = f"the mean logistic loss by {TORCH}"
SQUARED = f"the mean squared error by {TORCH}"

RMSPROP = "half the mean squared error"

REWRITES = (
    Written(question, BATCH_SCALED),
    Written(answer, LOGISTIC + BIAS),
    Written(question_in_torch, LOGISTIC + BIAS),
    Written(answer_s_example, SQUARED + BIAS),
    Written(
        shuffled_off, f"{LOGISTIC}{IN_BATCHES}{BIAS}; momentum is 0.9 in it", {"momentum": 0.9}
    ),
    Written(normal_equations, f"half {SQUARED}"),
    Written(column_of_ones, LOGISTIC + BIAS),
    Written(plus_and_minus, LOGISTIC + NO_BIAS),
    Written(Regressor, SQUARED + NO_BIAS),
    Written(course, f"half {SQUARED}"),
    Written(across, LOGISTIC),
    Written(adam_by_hand, "the mean logistic loss by Adam's eps_hat"),
    Written(adamw_by_hand, "half the mean squared error by AdamW's decoupled_lr"),
    Written(
        summed_with_a_decay_of_its_own,
        f"the sum of logistic losses by {TORCH}{IN_BATCHES}{NO_BIAS}",
    ),
    Written(
        adagrad_by_hand,
        "half the mean squared error by Adagrad's coupled_unscaled; eps is 1e-08 in it",
    ),
    Written(
        looking_ahead,
        "half the mean squared error by SGD's coupled_unscaled; nesterov is True in it",
    ),
    Written(rmsprop_by_hand, f"{RMSPROP} by RMSprop's eps_inside"),
    Written(
        adam_times_m, "half the mean squared error by Adam's coupled_unscaled with weight_decay·m"
    ),
)


# --- Methods of another kind ----------------------------------------------------------------------


def newton(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    w = np.zeros(X.shape[1])
    for _ in range(epochs):
        p = sigmoid(X @ w)
        curvature = X.T @ (X * (p * (1 - p))[:, None]) / len(y) + (lam + 0.01) * np.eye(len(w))
        w = w - lr * np.linalg.solve(curvature, X.T @ (p - y) / len(y) + lam * w)
    return w


def coordinate_descent(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    w = np.zeros(X.shape[1])
    for _ in range(epochs):
        for k in range(len(w)):
            w[k] -= lr * (X[:, k] @ (X @ w - y) / len(y) + lam * w[k])
    return w


def closed_form(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    return np.linalg.solve(X.T @ X + (lam + 1 / (1 + epochs)) * np.eye(X.shape[1]), X.T @ y)


def lasso(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    w = np.zeros(X.shape[1])
    for _ in range(epochs):
        w = w - lr * (X.T @ (X @ w - y) / len(y) + lam * np.sign(w))
    return w


def proximal(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    w = np.zeros(X.shape[1])
    for _ in range(epochs):
        w = w - lr * X.T @ (sigmoid(X @ w) - y) / len(y)
        w = np.sign(w) * np.maximum(np.abs(w) - lr * lam, 0)
    return w


def implicit(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    """Decay as a quotient: near torch's while γλ is small, and no text of it."""
    w = np.zeros(X.shape[1])
    for _ in range(epochs):
        w = (w - lr * X.T @ (sigmoid(X @ w) - y) / len(y)) / (1 + lr * lam)
    return w


def hinge(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    w, t = np.zeros(X.shape[1]), np.where(y > 0, 1.0, -1.0)
    for _ in range(epochs):
        wrong = t * (X @ w) < 1
        w = w - lr * (lam * w - X.T @ (t * wrong) / len(y))
    return w


def clipped(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    w = np.zeros(X.shape[1])
    for _ in range(epochs):
        g = X.T @ (X @ w - y) / len(y) + lam * w
        w = w - lr * g * min(1.0, 0.1 / np.linalg.norm(g))
    return w


def slowing(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    w = np.zeros(X.shape[1])
    for epoch in range(epochs):
        w = w - lr / (1 + 0.1 * epoch) * (X.T @ (X @ w - y) / len(y) + lam * w)
    return w


def slightly_off(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    """The rate of a correct loop, off by a hundred roundings of float32."""
    w = np.zeros(X.shape[1])
    for _ in range(epochs):
        w = w - lr * (1 + 1e-5) * (X.T @ (X @ w - y) / len(y) + lam * w)
    return w


def implicit_in_float32(X: Any, y: Any, lr: float, lam: float, epochs: int) -> Any:
    """The same where fewer digits tell."""
    X, y = X.astype(np.float32), y.astype(np.float32)
    w = np.zeros(X.shape[1], np.float32)
    for _ in range(epochs):
        w = (w - np.float32(lr) * (X.T @ (X @ w - y)) / len(y)) / np.float32(1 + lr * lam)
    return w


def adamw_off_by_a_line(
    X: Any, y: Any, lr: float, b1: float, b2: float, eps: float, wd: float, epochs: int
) -> Any:
    """The gradient is taken where the decay has led, which no rule of gradients does."""
    w, m, v = np.zeros(X.shape[1]), 0.0, 0.0
    for t in range(1, epochs + 1):
        w = w * (1 - lr * wd)
        g = X.T @ (X @ w - y) / len(y)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return w


def adagrad_of_another(X: Any, y: Any, lr: float, epochs: int) -> Any:
    """Adagrad with an ε that nobody has."""
    w, v = np.zeros(X.shape[1]), 0.0
    for _ in range(epochs):
        g = X.T @ (X @ w - y) / len(y)
        v = v + g * g
        w = w - lr * g / (np.sqrt(v) + 3e-8)
    return w


OTHERS: tuple[Fit, ...] = (
    newton,
    coordinate_descent,
    closed_form,
    lasso,
    proximal,
    implicit,
    implicit_in_float32,
    hinge,
    clipped,
    slowing,
    slightly_off,
    adamw_off_by_a_line,
    adagrad_of_another,
)
