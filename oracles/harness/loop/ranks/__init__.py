"""Questions about training on several ranks, a file for each thing that can go wrong."""
