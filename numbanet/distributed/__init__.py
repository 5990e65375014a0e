"""Data-parallel training by several processes: communicators, division of the samples, and agreement on the state."""
