"""What frameworks call their arguments: data, which needs none of them installed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Names = Mapping[str, str]


def _same(*names: str) -> dict[str, str]:
    """Those that are called as torch calls them."""
    return {name: name for name in names}


DECAY = _same("weight_decay")
NESTEROV = _same("momentum", "nesterov")
USE_NESTEROV = {"momentum": "momentum", "nesterov": "use_nesterov"}

RATE = {"lr": "learning_rate"}
PLAIN = {**RATE, **DECAY}
PLAIN_EPS = {**PLAIN, "eps": "epsilon"}
KERAS_MOMENTS = {**PLAIN_EPS, "beta1": "beta_1", "beta2": "beta_2"}
OPTAX_MOMENTS = {**RATE, "beta1": "b1", "beta2": "b2", "eps": "eps"}
MLX_MOMENTS = {**RATE, "beta1": "betas[0]", "beta2": "betas[1]", "eps": "eps"}
MXNET = {**RATE, "weight_decay": "wd"}
MXNET_MOMENTS = {**MXNET, **_same("beta1", "beta2")}
TINYGRAD_SGD = _same("lr", "momentum", "weight_decay", "nesterov")
TINYGRAD_MOMENTS = {"lr": "lr", "beta1": "b1", "beta2": "b2", "eps": "eps"}
ONNX = {"lr": "R", "weight_decay": "norm_coefficient"}
ONNX_MOMENTS = {"lr": "R", "beta1": "alpha", "beta2": "beta", "eps": "epsilon"}
NETWORK = {"lr": "learning_rate_init", "weight_decay": "alpha", "batch_size": "batch_size"}

PADDLE_MOMENTS = {**PLAIN_EPS, **_same("beta1", "beta2")}
MINDSPORE_MOMENTS = {**PLAIN, **_same("beta1", "beta2", "eps")}
TF = {**RATE, "eps": "epsilon"}
HOOKED = {"lr": "lr", "weight_decay": "WeightDecay"}
CHAINER_MOMENTS = {"lr": "alpha", **_same("beta1", "beta2", "eps")}
CHAINER_ADAM = {**CHAINER_MOMENTS, "weight_decay": "weight_decay_rate"}

ARGUMENTS: Mapping[str, tuple[str, Names]] = MappingProxyType(
    {
        "sklearn.MLPRegressor(sgd)": (
            "SGD",
            {**NETWORK, "momentum": "momentum", "nesterov": "nesterovs_momentum"},
        ),
        "sklearn.MLPRegressor(adam)": (
            "Adam",
            {**NETWORK, "beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon"},
        ),
        "sklearn.SGDRegressor": ("SGD", {"lr": "eta0", "weight_decay": "alpha"}),
        "keras.SGD": ("SGD", {**PLAIN, **NESTEROV}),
        "keras.SGD(regularizers.L2)": (
            "SGD",
            {**RATE, **NESTEROV, "weight_decay": "regularizers.L2"},
        ),
        "keras.Adam": ("Adam", {**KERAS_MOMENTS, **_same("amsgrad")}),
        "keras.AdamW": ("AdamW", {**KERAS_MOMENTS, **_same("amsgrad")}),
        "keras.Adamax": ("Adamax", KERAS_MOMENTS),
        "keras.Nadam": ("NAdam", KERAS_MOMENTS),
        "keras.Adagrad": ("Adagrad", {**PLAIN_EPS, **_same("initial_accumulator_value")}),
        "keras.Adadelta": ("Adadelta", {**PLAIN_EPS, **_same("rho")}),
        "keras.RMSprop": (
            "RMSprop",
            {**PLAIN_EPS, "alpha": "rho", **_same("momentum", "centered")},
        ),
        "optax.sgd": ("SGD", {**PLAIN, **NESTEROV}),
        "optax.adam": ("Adam", {**OPTAX_MOMENTS, **_same("amsgrad")}),
        "optax.adamw": ("AdamW", {**OPTAX_MOMENTS, **DECAY}),
        "optax.adamax": ("Adamax", OPTAX_MOMENTS),
        "optax.adamaxw": ("Adamax", {**OPTAX_MOMENTS, **DECAY}),
        "optax.nadam": ("NAdam", OPTAX_MOMENTS),
        "optax.nadamw": ("NAdam", {**OPTAX_MOMENTS, **DECAY}),
        "optax.radam": ("RAdam", OPTAX_MOMENTS),
        "optax.adagrad": ("Adagrad", {**RATE, **_same("eps", "initial_accumulator_value")}),
        "optax.adadelta": ("Adadelta", {**PLAIN, **_same("rho", "eps")}),
        "optax.rmsprop": (
            "RMSprop",
            {**RATE, "alpha": "decay", **_same("eps", "momentum", "centered")},
        ),
        "onnx.Momentum": ("SGD", {**ONNX, "momentum": "alpha", "nesterov": "mode=nesterov"}),
        "onnx.Adam": ("Adam", {**ONNX_MOMENTS, "weight_decay": "norm_coefficient"}),
        "onnx.Adam(post)": ("Adam", {**ONNX_MOMENTS, "weight_decay": "norm_coefficient_post"}),
        "onnx.Adagrad": (
            "Adagrad",
            {
                **ONNX,
                "lr_decay": "decay_factor",
                "eps": "epsilon",
                "initial_accumulator_value": "H",
            },
        ),
        "mlx.SGD": ("SGD", {**PLAIN, **NESTEROV, **_same("dampening")}),
        "mlx.Adam": ("Adam", MLX_MOMENTS),
        "mlx.Adam(bias_correction)": ("Adam", MLX_MOMENTS),
        "mlx.AdamW": ("AdamW", {**MLX_MOMENTS, **DECAY}),
        "mlx.AdamW(bias_correction)": ("AdamW", {**MLX_MOMENTS, **DECAY}),
        "mlx.Adamax": ("Adamax", MLX_MOMENTS),
        "mlx.Adagrad": ("Adagrad", {**RATE, **_same("eps")}),
        "mlx.AdaDelta": ("Adadelta", {**RATE, **_same("rho", "eps")}),
        "mlx.RMSprop": ("RMSprop", {**RATE, **_same("alpha", "eps")}),
        "mxnet.SGD": ("SGD", {**MXNET, **_same("momentum")}),
        "mxnet.NAG": ("SGD", {**MXNET, **_same("momentum")}),
        "mxnet.Adam": ("Adam", {**MXNET_MOMENTS, "eps": "epsilon"}),
        "mxnet.Adamax": ("Adamax", MXNET_MOMENTS),
        "mxnet.Nadam": (
            "NAdam",
            {**MXNET_MOMENTS, "eps": "epsilon", "momentum_decay": "schedule_decay"},
        ),
        "tinygrad.SGD": ("SGD", TINYGRAD_SGD),
        "tinygrad.SGD(classic)": ("SGD", TINYGRAD_SGD),
        "tinygrad.Adam": ("Adam", TINYGRAD_MOMENTS),
        "tinygrad.AdamW": ("AdamW", {**TINYGRAD_MOMENTS, **DECAY}),
        "paddle.SGD": ("SGD", PLAIN),
        "paddle.Momentum": ("SGD", {**PLAIN, **USE_NESTEROV}),
        "paddle.Adam": ("Adam", {**PADDLE_MOMENTS, **_same("amsgrad")}),
        "paddle.AdamW": ("AdamW", {**PADDLE_MOMENTS, **_same("amsgrad")}),
        "paddle.Adamax": ("Adamax", PADDLE_MOMENTS),
        "paddle.NAdam": ("NAdam", {**PADDLE_MOMENTS, **_same("momentum_decay")}),
        "paddle.RAdam": ("RAdam", PADDLE_MOMENTS),
        "paddle.Adagrad": ("Adagrad", {**PLAIN_EPS, **_same("initial_accumulator_value")}),
        "paddle.Adadelta": ("Adadelta", {**PLAIN_EPS, **_same("rho")}),
        "paddle.RMSProp": (
            "RMSprop",
            {**PLAIN_EPS, "alpha": "rho", **_same("momentum", "centered")},
        ),
        "mindspore.SGD": ("SGD", {**PLAIN, **NESTEROV, **_same("dampening")}),
        "mindspore.Momentum": ("SGD", {**PLAIN, **USE_NESTEROV}),
        "mindspore.Adam": ("Adam", {**MINDSPORE_MOMENTS, "amsgrad": "use_amsgrad"}),
        "mindspore.AdamWeightDecay": ("AdamW", MINDSPORE_MOMENTS),
        "mindspore.AdaMax": ("Adamax", MINDSPORE_MOMENTS),
        "mindspore.Adagrad": ("Adagrad", {**PLAIN, "initial_accumulator_value": "accum"}),
        "mindspore.RMSProp": (
            "RMSprop",
            {**PLAIN_EPS, "alpha": "decay", **_same("momentum", "centered")},
        ),
        "tf.train.GradientDescentOptimizer": ("SGD", RATE),
        "tf.train.MomentumOptimizer": ("SGD", {**RATE, **USE_NESTEROV}),
        "tf.train.AdamOptimizer": ("Adam", {**TF, **_same("beta1", "beta2")}),
        "tf.train.AdagradOptimizer": ("Adagrad", {**RATE, **_same("initial_accumulator_value")}),
        "tf.train.AdadeltaOptimizer": ("Adadelta", {**TF, **_same("rho")}),
        "tf.train.RMSPropOptimizer": (
            "RMSprop",
            {**TF, "alpha": "decay", **_same("momentum", "centered")},
        ),
        "chainer.SGD": ("SGD", HOOKED),
        "chainer.MomentumSGD": ("SGD", {**HOOKED, **_same("momentum")}),
        "chainer.NesterovAG": ("SGD", {**HOOKED, **_same("momentum")}),
        "chainer.Adam": ("Adam", {**CHAINER_ADAM, **_same("amsgrad")}),
        "chainer.AdamW": ("AdamW", CHAINER_ADAM),
        "chainer.AMSGrad": ("Adam", CHAINER_MOMENTS),
        "chainer.RMSprop": ("RMSprop", {**HOOKED, **_same("alpha", "eps")}),
        "chainer.AdaGrad": ("Adagrad", {**HOOKED, **_same("eps")}),
    }
)
"""By optimizer, the rule whose name it bears, and by torch's name what it calls what it takes."""
