"""Somebody else's training loops: what they are called with, and where their answers are."""
