"""Imported once, by the process that workers are forked from: torch, and what it imports late.

The first optimizer of a process imports about as much again as ``import torch``. Where there may be
a GPU that is left to the workers: a process that has asked for one must not be forked.
"""

from __future__ import annotations

import gc

import torch

import oracles.harness.subjects.selection  # noqa: F401

if not (torch.version.cuda or torch.version.hip):
    torch.optim.SGD([torch.zeros(1)], lr=1.0)

gc.freeze()  # nobody who is forked, and no end of a process, looks through all that again
