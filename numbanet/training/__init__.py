"""Training: the epoch loop, early stopping, schedules, optimizers, metrics, callbacks and the history."""
