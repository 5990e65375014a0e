"""The scaling benchmark: measures training with several processes on this machine."""
