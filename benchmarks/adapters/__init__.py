"""Optimizers of other frameworks, run for real: a framework a file, imported when it is asked."""
