"""Proof that the loops are correct: an independent implementation (the oracle), comparisons of every loop with it, and golden vectors."""
