"""Loops for training that are not on the formula sheet: `gather` copies a batch, and `hits` counts correct outputs."""

from numbanet._compile import njit
from numbanet._cuda import cuda
from numbanet.equations.losses import CCE


@njit
def gather(rows, order, batch):
    """Computes batch[s] = rows[order[s]]: copies the samples of a batch, which have the row indices `order`.

    Reads rows (N, width) and order (n,). Writes batch (n, width). Twin: gather_cuda.
    """
    for s in range(batch.shape[0]):
        for i in range(batch.shape[1]):
            batch[s, i] = rows[order[s], i]


@cuda.jit
def gather_cuda(rows, order, batch):
    """Computes batch[s] = rows[order[s]], with one thread per sample s and column i. Twin: gather."""
    i, s = cuda.grid(2)
    if s < batch.shape[0] and i < batch.shape[1]:
        batch[s, i] = rows[order[s], i]


@njit
def hits(loss_kind, y, y_hat, hits_of_sample):
    """Counts the correct outputs (hits) of each sample.

    With the loss CCE, a sample has 1 hit if the largest y_hat and the largest y have the same index, otherwise 0. With other
    losses, an output is correct if its y_hat and its y are both greater than 1/2, or both at most 1/2.
    Reads y and y_hat, both (n, n_out). Writes hits_of_sample (n,). Twin: hits_cuda.
    """
    for s in range(y.shape[0]):
        half = type(y[s, 0])(0.5)
        target = 0
        guess = 0
        right = 0
        for j in range(y.shape[1]):
            if y[s, j] > y[s, target]:
                target = j
            if y_hat[s, j] > y_hat[s, guess]:
                guess = j
            if (y[s, j] > half) == (y_hat[s, j] > half):
                right += 1
        hits_of_sample[s] = (1 if target == guess else 0) if loss_kind == CCE else right


@cuda.jit
def hits_cuda(loss_kind, y, y_hat, hits_of_sample):
    """Counts the correct outputs of each sample, with one thread per sample s. Twin: hits."""
    s = cuda.grid(1)
    if s < y.shape[0]:
        half = type(y[s, 0])(0.5)
        target = 0
        guess = 0
        right = 0
        for j in range(y.shape[1]):
            if y[s, j] > y[s, target]:
                target = j
            if y_hat[s, j] > y_hat[s, guess]:
                guess = j
            if (y[s, j] > half) == (y_hat[s, j] > half):
                right += 1
        hits_of_sample[s] = (1 if target == guess else 0) if loss_kind == CCE else right
