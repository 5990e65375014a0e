"""Loads the bundled handwritten digits, Fashion-MNIST (if it is installed), and arrays from IDX files."""

from numbanet.datasets.digits import load_digits as load_digits
from numbanet.datasets.fashion_mnist import load_fashion_mnist as load_fashion_mnist
from numbanet.datasets.idx import read_idx as read_idx
