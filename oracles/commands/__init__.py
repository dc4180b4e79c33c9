"""The commands: each one adds its arguments and runs."""
