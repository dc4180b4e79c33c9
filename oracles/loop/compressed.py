r"""Gradients that are halved on the wire: rounded to 16 bits, shared, and widened again.

Symbols: g_r gradient of rank r, of R; [x] is x rounded to the format of the wire.

    g = [ Σ_r [ [g_r]/R ] ]          summed in that format, in any order

(``default_hooks.py``: ``buffer.to(dtype).div_(R)``, ``all_reduce``, ``copy_``.) The rule is the
mean over ranks; only an enclosure can tell how far the roundings carry it. The optimizer, its
buffers and the decay never see the short format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from oracles.loop.part import Part
from oracles.loop.ranks import SHARING, TORCH, Micro, PerRank, Sharing, accumulated
from oracles.numerics import Array, in_bfloat16, in_float16, kept_like

Halved = Callable[[Array], Array]
"""To the format of the wire."""


def _on_the_wire(
    halved: Halved, origin: Sharing, micro: Micro, rows: Sequence[int], t: int
) -> PerRank:
    own = accumulated(micro)
    shared = origin.compute([[halved(g)] for g in own], rows, t)
    return [kept_like(g, w) for g, w in zip(shared, own, strict=True)]


def _part(name: str, halved: Halved) -> Part:
    ways = (replace(TORCH, equation="g = [Σ_r [[g_r]/R]]", source=name), *SHARING[1:3])
    return Part(
        name=name,
        symbols="g_r gradient of rank r, of R; [x] is x in 16 bits",
        variants=tuple(replace(way, compute=partial(_on_the_wire, halved, way)) for way in ways),
    )


PARTS = tuple(
    _part(f"{short}_compress_hook", halved)
    for short, halved in (("fp16", in_float16), ("bf16", in_bfloat16))
)
"""A part for each format. Means that round less are inside, which nothing can tell from these."""
