"""Data-parallel training by several processes: communicators, division of the samples, agreement of the processes."""
