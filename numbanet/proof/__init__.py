"""Proof that the loops are correct: an independent oracle, the verification of every loop against it, and golden vectors."""
