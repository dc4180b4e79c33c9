"""Formats and enclosures: what rounding can do to what a rule computes."""
