"""Scaling: training by several processes, measured on this machine."""
