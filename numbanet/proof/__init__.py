"""Checks of the equations' loops: the oracle (an independent implementation), `numbanet verify`, and golden vectors.

Golden vectors are the values of one training step, with which implementations in other languages are compared.
"""
