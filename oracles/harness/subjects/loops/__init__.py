"""Training loops of torch, watched while they run."""
