"""Training by a cooperative grid: all multiprocessors share the weights, and one kernel launch performs many training steps."""
