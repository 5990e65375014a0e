"""Training: the epoch loop, early stopping, schedules, optimizers, sample weights, metrics, callbacks and the history."""
