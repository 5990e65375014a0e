"""Checks that the loops are correct: an independent implementation (the oracle), `numbanet verify`, and golden vectors."""
