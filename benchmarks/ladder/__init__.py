"""The ladder: numbanet and its peers on the CPU, in turns, in one run."""
