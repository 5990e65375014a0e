"""Training: the training loop, early stopping, learning rate schedules, optimizers, metrics, callbacks and the history."""
