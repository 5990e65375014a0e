"""Trains one network in several processes, which divide the samples among themselves and keep equal parameters."""
