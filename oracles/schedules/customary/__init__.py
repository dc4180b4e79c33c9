"""Schedules that people use and torch has none of: a file for each kind of them."""
