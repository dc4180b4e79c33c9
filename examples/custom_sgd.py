"""An SGD of one's own: which rule does it follow, and which one once it is mended?

It prints:

    BatchScaled follows SGD's batch_scaled
    Mended follows SGD's coupled_unscaled
"""

import torch

import oracles


class BatchScaled(torch.optim.Optimizer):
    """SGD with momentum that divides the weight decay by the batch size."""

    def __init__(self, params, lr, momentum=0.0, weight_decay=0.0, batch_size=1):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.batch_size = batch_size

    def decay(self, weight_decay):
        """What the parameter is multiplied by before it joins the gradient."""
        return weight_decay / self.batch_size

    @torch.no_grad()
    def step(self, closure=None):
        """One step, of every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    d = p.grad + self.decay(group["weight_decay"]) * p
                    if group["momentum"]:
                        state = self.state[p]
                        seen = "velocity" in state
                        d = group["momentum"] * state["velocity"] + d if seen else d
                        state["velocity"] = d
                    p -= group["lr"] * d


class Mended(BatchScaled):
    """The same with the decay as it is given."""

    def decay(self, weight_decay):
        """The argument itself, as torch has it."""
        return weight_decay


if __name__ == "__main__":
    for optimizer in (BatchScaled, Mended):
        print(oracles.check(optimizer, dtypes=["float64"]).found)
