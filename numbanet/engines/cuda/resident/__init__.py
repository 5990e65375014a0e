"""Training by one resident block: a whole network in the shared memory of one multiprocessor, many steps per launch."""
