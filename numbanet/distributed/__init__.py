"""Data-parallel training by several processes: communicators, and how a batch is divided among the processes."""
