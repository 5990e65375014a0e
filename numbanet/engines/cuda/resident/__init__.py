"""Training in one thread block, which keeps the whole network in its shared memory for many steps per launch."""
