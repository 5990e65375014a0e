"""The scaling benchmark, which measures training with several processes on this machine."""
