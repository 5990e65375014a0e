"""Data-parallel training by several processes: communicators, the division of samples, and the agreement on the state."""
