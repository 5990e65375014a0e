"""Training by a cooperative grid: the weights spread over all multiprocessors, many steps per launch."""
