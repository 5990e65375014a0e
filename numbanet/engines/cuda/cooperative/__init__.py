"""Training by a cooperative grid: the weights are divided among all multiprocessors, for many steps per kernel launch."""
