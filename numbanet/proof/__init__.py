"""Checks of the equations' loops: the oracle (an independent implementation), `numbanet verify`, and golden vectors."""
