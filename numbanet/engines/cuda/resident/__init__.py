"""Training in one thread block, which keeps the whole network in shared memory and performs many steps per kernel launch."""
