"""Proof that the loops are right: an independent oracle, the verification of every loop against it, and golden vectors."""
