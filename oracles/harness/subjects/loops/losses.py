"""What a backward pass is called on, read in its graph without touching it.

From the loss downwards there are products and quotients with numbers, then a mean or a sum over
rows, or one of torch's losses, which says how it reduces. What a mean or a sum is taken of may be
multiplied with numbers, too. Whatever else there is ends the reading, weights of rows among it:
they may hold any factor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from oracles.harness.watching.events import MEAN, SUM, Loss

REDUCTIONS = {1: MEAN, 2: SUM}
"""As torch's losses number them."""

SAVED = "_saved_"
"""What a node keeps is an attribute that begins so."""

WEIGHING = ("AddBackward", "SubBackward", "MulBackward", "DivBackward", "WhereBackward")
"""What may weigh losses, by numbers or by other losses."""

LINEAR = (
    *("SumBackward", "MeanBackward", "SelectBackward", "SliceBackward", "IndexBackward"),
    *("UnsqueezeBackward", "PermuteBackward", "TransposeBackward", "TBackward", "ExpandBackward"),
)
"""What losses may pass before they are reduced; of any other operation they are the results."""

DEEP = 16
"""So many operations are read."""


def read(
    roots: Any, gradients: Any, scales: Mapping[Any, float], safe: int | None, scaling: bool
) -> Loss:
    """What is known of a loss.

    Args:
        roots: what ``backward`` is called on.
        gradients: what it is given to begin with; only None is read.
        scales: nodes of losses that a scaler has scaled, and by what.
        safe: nodes from that number on hold tensors that can be looked at; None for no node. What
            hooks have packed must not be unpacked: a checkpoint computes its part anew then.
        scaling: whether a scaler has scaled anything since the last pass.
    """
    scale = None if scaling else 1.0
    root = roots if isinstance(roots, torch.Tensor) else only(roots)
    if not isinstance(root, torch.Tensor) or root.dim() or gradients is not None:
        return Loss(scale=scale)
    try:
        return _read(root.grad_fn, scale, scales, safe)
    except RuntimeError:  # the graph has been freed
        return Loss(scale=scale)


def _read(node: Any, scale: float | None, scales: Mapping[Any, float], safe: int | None) -> Loss:
    """From a node downwards."""
    factor = 1.0
    for _ in range(DEEP):
        if node is None:
            return Loss(scale=scale)
        scale = scales.get(node, scale)
        if not _safe(node, safe):
            return Loss(scale=scale)
        if (ending := _ending(node)) is not None:
            below = _below(node, safe)
            if below is None:
                return Loss(scale=scale)
            scale = 1.0 if scale is None else scale
            return ending._replace(factor=factor * below, scale=scale, kind=node.name())
        by = _factor(node)
        if by is None:
            return Loss(scale=scale)
        factor *= by
        node = next((f for f, _ in node.next_functions if f is not None), None)
    return Loss(scale=scale)


def parameters(roots: Any) -> Iterator[torch.nn.Parameter]:
    """The parameters that a backward pass reaches."""
    tensors = [roots] if isinstance(roots, torch.Tensor) else roots
    nodes: list[Any] = [getattr(tensor, "grad_fn", None) for tensor in tensors]
    known: set[Any] = {None}
    while nodes:
        node = nodes.pop()
        if node not in known:
            known.add(node)
            nodes.extend(below for below, _ in node.next_functions)
            if isinstance(variable := getattr(node, "variable", None), torch.nn.Parameter):
                yield variable


def only(roots: Any) -> Any:
    """The one of several roots; None if there are more."""
    return roots[0] if isinstance(roots, tuple | list) and len(roots) == 1 else None


def _safe(node: Any, safe: int | None) -> bool:
    number = getattr(node, "_sequence_nr", None)
    return safe is not None and (not safe or (number is not None and number() >= safe))


def _ending(node: Any) -> Loss | None:
    """How a loss is reduced, and what of; None if this is no reduction to one number."""
    if node.name().startswith(("MeanBackward", "SumBackward")) and not hasattr(node, SAVED + "dim"):
        sizes = getattr(node, SAVED + "self_sym_sizes", getattr(node, SAVED + "self_sizes", ()))
        reduction = MEAN if node.name().startswith("Mean") else SUM
        return Loss(1.0, reduction, _first(sizes), math.prod(map(int, sizes)))
    reduction = REDUCTIONS.get(getattr(node, SAVED + "reduction", None) or 0, "")
    if not reduction:
        return None
    sizes = getattr(node, SAVED + "target").shape
    counted = getattr(node, SAVED + "weight", None) is None  # else classes have weights
    losses = _number(getattr(node, SAVED + "total_weight", None)) if counted else None
    elements = math.prod(sizes) if losses is None else losses
    return Loss(1.0, reduction, _first(sizes), elements, pairs=_pairs(node))


def _pairs(node: Any) -> bool:
    """Whether outputs and targets were both spread out, so that each is compared with each."""
    target = getattr(node, SAVED + "target")
    spread = any(n > 1 and not step for n, step in zip(target.shape, target.stride(), strict=True))
    above = next((f for f, _ in node.next_functions if f is not None), None)
    return spread and above is not None and above.name().startswith("ExpandBackward")


def _below(node: Any, safe: int | None) -> float | None:
    """With what the losses are multiplied that a node reduces; None if that may be any weights."""
    if getattr(node, SAVED + "reduction", 0):
        normed = node.name().startswith("NllLoss") and getattr(node, SAVED + "reduction") == 1
        return 1.0 if normed or getattr(node, SAVED + "weight", None) is None else None
    factor = 1.0
    for _ in range(DEEP):
        node = next((f for f, _ in node.next_functions if f is not None), None)
        if node is None or not _safe(node, safe):
            return factor if node is None else None
        by = 1.0 if node.name().startswith(LINEAR) else _factor(node)
        if by is None:
            weighed = node.name().startswith(WEIGHING) and not _square(node)
            return None if weighed or getattr(node, SAVED + "weight", None) is not None else factor
        factor *= by
    return None


def _square(node: Any) -> bool:
    """Whether something is multiplied with itself."""
    return len(node.next_functions) == 2 and len({f for f, _ in node.next_functions}) == 1


def _first(sizes: Any) -> int | None:
    return int(sizes[0]) if len(sizes) else None


def _factor(node: Any) -> float | None:
    """By what an operation multiplies its one operand; None if it does anything else."""
    name = node.name().rstrip("0123456789")
    operands = [f for f, _ in node.next_functions if f is not None]
    if len(operands) != 1:
        return None
    if name in ("AliasBackward", "ViewBackward", "CloneBackward", "SqueezeBackward"):
        return 1.0
    if name == "NegBackward":
        return -1.0
    other = _number(getattr(node, SAVED + "other", None))
    if name == "MulBackward" and other is not None:
        return other
    if name == "DivBackward" and other and node.next_functions[0][0] is not None:
        return 1 / other
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, torch.Tensor):
        return float(value) if value.numel() == 1 else None
    return None if value is None else float(value)
