"""Checks that the loops are correct: the oracle (an independent implementation), `numbanet verify`, and golden vectors."""
