"""Trains one network in several processes: they communicate, divide the samples, and keep the same parameters."""
