"""Oracles of learning-rate schedules: one file a schedule of ``torch.optim.lr_scheduler``."""
