"""Training by a cooperative grid: thread blocks that run at the same time and wait for each other, so that they train together.

One launch performs many steps, during which each block keeps at most one tile (part) of every layer's w in shared memory.
"""
