"""Questions about what stands around a step: schedules, averages, clipping, scaling, ranks."""
