"""Training by a cooperative grid: each block keeps a tile of every layer's w in shared memory, for many steps in one launch."""
