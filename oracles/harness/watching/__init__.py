"""A training loop that was watched: what happened in it, and what does not hold."""
