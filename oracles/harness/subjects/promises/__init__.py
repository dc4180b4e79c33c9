"""What a step promises: a module for each kind of promise, and a table for each kind of code."""
