"""Data that comes with the package."""

from numbanet.datasets.digits import load_digits as load_digits
