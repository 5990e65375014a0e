"""The benchmark `scaling` measures how fast several processes on this machine train a network together."""
