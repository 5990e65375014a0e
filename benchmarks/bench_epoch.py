"""One epoch of 64-32-10 on the bundled digits, ReLU, softmax and CCE, batches of 32, and what is learnt in thirty."""

import numpy as np

from numbanet import Network, load_digits

from .common import need_gpu, one_hot

SIZES, BATCH, ETA = [64, 32, 10], 32, 0.1
X, LABELS, X_TEST, LABELS_TEST = load_digits()


def network(impl):
    """A Network, the same seed for all; impl is a rung on the CPU, or "cuda"."""
    if impl == "cuda":
        need_gpu()
        return Network(SIZES, "relu", "cce", seed=0, device="cuda")
    return Network(SIZES, "relu", "cce", seed=0, kernels=impl)


def numpy_epoch(parameters, x, y):
    """Gradient descent through all batches in whole-array NumPy; updates the parameters, returns the mean loss."""
    (w1, b1), (w2, b2) = parameters
    loss = 0.0
    for first in range(0, x.shape[0], BATCH):
        x_batch, y_batch = x[first : first + BATCH], y[first : first + BATCH]
        a1 = np.maximum(x_batch @ w1 + b1, 0)
        z2 = a1 @ w2 + b2
        z2 -= z2.max(axis=1, keepdims=True)
        powers = np.exp(z2)
        sums = powers.sum(axis=1, keepdims=True)
        loss -= float((y_batch * (z2 - np.log(sums))).sum())
        delta2 = (powers / sums - y_batch) / x_batch.shape[0]
        delta1 = (delta2 @ w2.T) * (a1 > 0)
        w2 -= ETA * (a1.T @ delta2)
        b2 -= ETA * delta2.sum(axis=0)
        w1 -= ETA * (x_batch.T @ delta1)
        b1 -= ETA * delta1.sum(axis=0)
    return loss / x.shape[0]


def numpy_trainer(dtype):
    """A call that trains for one epoch and returns its mean loss, as all of them."""
    parameters = [(w.astype(dtype), b.astype(dtype)) for w, b in network("fast").parameters()]
    x, y = X.astype(dtype), one_hot(LABELS).astype(dtype)
    return lambda: numpy_epoch(parameters, x, y)


def network_trainer(impl):
    net = network(impl)
    settings = {"batch_size": BATCH, "learning_rate": ETA, "shuffle": False, "verbose": 0}
    return lambda: net.fit(X, LABELS, epochs=1, **settings).history["loss"][0]


def sklearn_trainer():
    try:
        from sklearn.neural_network import MLPClassifier
    except ImportError as missing:
        raise NotImplementedError("scikit-learn is not installed") from missing
    model = MLPClassifier(
        SIZES[1:-1], solver="sgd", momentum=0, alpha=0, batch_size=BATCH, learning_rate_init=ETA, shuffle=False
    )
    model.partial_fit(X, LABELS, classes=np.arange(SIZES[-1]))  # makes the arrays, which then take our parameters
    for w, b, (w_start, b_start) in zip(model.coefs_, model.intercepts_, network("fast").parameters(), strict=True):
        w[:], b[:] = w_start, b_start
    return lambda: model.partial_fit(X, LABELS).loss_


class Epoch:
    """One epoch in file order through each one's front door: `fit`, `partial_fit`, and in NumPy a plain function."""

    params = ("fast", "reference", "cuda", "numpy", "scikit-learn")
    param_names = ("impl",)

    epoch = None

    def setup(self, impl):
        if self.epoch is not None:  # asv sets up again before every call
            return
        trainers = {"numpy": lambda: numpy_trainer(np.float32), "scikit-learn": sklearn_trainer}
        self.epoch = trainers.get(impl, lambda: network_trainer(impl))()
        precise = numpy_trainer(np.float64)
        for _ in range(2):  # the loss of the second epoch tells whether the first one learnt the same
            np.testing.assert_allclose(self.epoch(), precise(), rtol=1e-6)

    def time_epoch(self, impl):
        self.epoch()


class Accuracy:
    """Share of the held-out digits read right after thirty epochs: a speed-up that breaks training shows here."""

    params = ("fast", "reference", "cuda")
    param_names = ("impl",)
    unit = "share"

    def setup(self, impl):
        self.net = network(impl)

    def track_test_accuracy(self, impl):
        self.net.fit(X, LABELS, epochs=30, batch_size=BATCH, learning_rate=ETA, verbose=0)
        return self.net.evaluate(X_TEST, LABELS_TEST)["accuracy"]
