"""Around a step in a training loop: averages, clipping, scaling, accumulation, ranks."""
