"""Whole training loops as texts: a rule on the gradients of a loss, batch after batch."""
