"""A training loop that accumulates gradients over four micro-batches: what does not hold in it?

It prints:

    accumulation undivided: steps 1 to 3 of SGD follow the sum of the means of 4 micro-batches,
        4 times the mean that was meant: nothing divides by 4
        -> divide each loss by the number of micro-batches
    clips each micro-batch: before steps 1 to 3 of SGD gradients are clipped between backward
        passes that are added: the sum that the step follows has no limit
        -> clip once, after the last backward pass of the step
    decay divided by a count: the weight decay of group 0 of SGD is divided by 64 rows: its
        weights move as SGD's batch_scaled
        -> give the decay as it is meant: torch adds it to the gradient of the mean loss
    mended: the loop, 3 steps of SGD after 12 backward passes: nothing is wrong
    the weights of SGD move as SGD's coupled_unscaled
"""

from textwrap import fill

import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_

import oracles

DECAY = 0.1
"""As it is meant."""


def started(decay):
    """A model and its optimizer."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=decay)


def batches():
    """Twelve micro-batches."""
    return [(torch.randn(16, 4), torch.randint(0, 3, (16,))) for _ in range(12)]


def as_it_was():
    """With the report of what was seen."""
    model, optimizer = started(DECAY / 64)
    with oracles.watch(optimizer, model=model, loss="mean", weight_decay=DECAY) as report:
        for n, (x, y) in enumerate(batches()):
            F.cross_entropy(model(x), y).backward()
            clip_grad_norm_(model.parameters(), 0.1)
            if n % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    return report


def mended():
    """The same as it was meant."""
    model, optimizer = started(DECAY)
    with oracles.watch(optimizer, model=model, loss="mean", weight_decay=DECAY) as report:
        for n, (x, y) in enumerate(batches()):
            (F.cross_entropy(model(x), y) / 4).backward()
            if n % 4 == 3:
                clip_grad_norm_(model.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad()
    return report


if __name__ == "__main__":
    for found in as_it_was().findings:
        print(fill(str(found), 92, subsequent_indent="    "), f"    -> {found.advice}", sep="\n")
    report = mended()
    print(f"mended: {report}", *report.follows, sep="\n")
