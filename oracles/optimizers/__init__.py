"""Rules, one file an optimizer; what decay may mean, what is refused, and the registry."""
