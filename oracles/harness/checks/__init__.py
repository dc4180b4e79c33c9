"""Checks: a question each, with the cases it is asked on."""
