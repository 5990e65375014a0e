"""The ladder: whole epochs of ReLU + softmax + CCE networks, float32, plain gradient descent, against everybody installed.

    python benchmarks/ladder.py                       # all rungs, on the cores this process may use
    python benchmarks/ladder.py R2 R3 --cores 1       # two rungs, pinned to one core
    python benchmarks/ladder.py --json ladder.json

All start from the same parameters and take the samples in the same orders, from arrays that lie ready in memory. Before
anything is timed, the losses of two epochs have to agree. Then everybody runs an epoch in turn, for a number of rounds; the
table shows medians. Work is counted as 6 operations per weight and sample, less the gradient with respect to the input, which
nobody needs.
"""

import argparse
import contextlib
import importlib.metadata
import itertools
import json
import os
import statistics
import time

RUNGS = {
    "R1": ((2, 2, 2), 4, 4_000),
    "R2": ((64, 32, 10), 32, 1_792),
    "R3": ((784, 128, 10), 64, 12_800),
    "R4": ((784, 512, 256, 10), 128, 12_800),
    "R5": ((784, 1024, 1024, 10), 256, 5_120),
    "R6": ((2048, 2048, 2048, 10), 512, 2_048),
}
ETA = 0.01


def main():
    options = arguments()
    pin(options.cores)
    import numpy as np  # after pinning: its BLAS counts the cores when it is loaded

    results = [measure(name, options.rounds, np) for name in options.rungs or RUNGS]
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"cores": options.cores, "versions": versions(), "rungs": results}, file, indent=2)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rungs", nargs="*", metavar="RUNG", help=f"of {', '.join(RUNGS)}; all by default")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="how many to use (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each that are timed (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="where to write the figures")
    options = parser.parse_args()
    if unknown := set(options.rungs) - set(RUNGS):
        parser.error(f"no such rung: {', '.join(sorted(unknown))}")
    return options


def pin(cores):
    """Keeps this process, and every thread pool yet to be made, to that many cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(cores)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if cores > 1 else 'false'}"


def versions():
    found = {}
    for name in ("numbanet", "numba", "numpy", "jax", "torch", "scikit-learn"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def measure(name, rounds, np):
    """One rung: checks, then times, then prints its line."""
    sizes, batch, count = RUNGS[name]
    random = np.random.default_rng(0)
    parameters = [
        (random.uniform(-1, 1, (n_in, n_out)).astype("f4") * (6 / n_in) ** 0.5, np.zeros(n_out, "f4"))
        for n_in, n_out in itertools.pairwise(sizes)
    ]
    x, labels = random.standard_normal((count, sizes[0]), "f4"), random.integers(0, sizes[-1], count)
    orders = [random.permutation(count) for _ in range(rounds + 2)]
    trainers = {}
    for maker in (numbanet_trainer, jax_trainer, torch_trainer, sklearn_trainer):
        with contextlib.suppress(ImportError):
            trainers[maker.__name__.removesuffix("_trainer")] = maker(sizes, batch, parameters, x, labels)
    check(trainers, orders[:2], np)
    seconds = {peer: [] for peer in trainers}
    for order in orders[2:]:
        for peer, train in trainers.items():
            start = time.perf_counter()
            train(order)
            seconds[peer].append(time.perf_counter() - start)
    return report(name, sizes, batch, count, {peer: statistics.median(times) for peer, times in seconds.items()})


def check(trainers, orders, np):
    """Everybody's mean losses over two epochs agree: they compute the same. The first call of each compiles."""
    losses = {peer: [float(train(order)) for order in orders] for peer, train in trainers.items()}
    for peer, values in losses.items():
        np.testing.assert_allclose(values, losses["numbanet"], rtol=1e-4, err_msg=f"{peer} computes something else")


def report(name, sizes, batch, count, seconds):
    weights = [n_in * n_out for n_in, n_out in itertools.pairwise(sizes)]
    operations = count * (6 * sum(weights) - 2 * weights[0])
    steps = -(-count // batch)
    best = min((time for peer, time in seconds.items() if peer != "numbanet"), default=float("nan"))
    ratio = best / seconds["numbanet"]
    columns = "  ".join(
        f"{peer} {time / steps * 1e6:.1f} us ({operations / time / 1e9:.1f} GFLOP/s)" for peer, time in seconds.items()
    )
    print(f"{name} {'-'.join(map(str, sizes))}, batch {batch}: {columns}  best peer / numbanet {ratio:.2f}", flush=True)
    return {"rung": name, "microseconds per step": {p: t / steps * 1e6 for p, t in seconds.items()}, "ratio": ratio}


# Each trainer is a function of the order of the samples, which trains for one epoch and returns its mean loss.


def numbanet_trainer(sizes, batch, parameters, x, labels):
    import numpy as np

    from numbanet.engines import Topology, make_engine

    # The engine is what fit drives; fit would draw orders of its own.
    topology = Topology(sizes, ("relu",) * (len(sizes) - 2) + ("softmax",), "cce", np.dtype("f4"))
    engine = make_engine(topology, "cpu", "fast")
    engine.write(np.concatenate([array.ravel() for pair in parameters for array in pair]))
    x, y = x.copy(), np.eye(sizes[-1], dtype="f4")[labels]
    x.flags.writeable = y.flags.writeable = False

    def train(order):
        *_, totals = engine.train_epoch(x, y, order, batch, ETA)
        return totals.loss / totals.samples

    return train


def jax_trainer(sizes, batch, parameters, x, labels):
    import jax
    import jax.numpy as jnp

    def loss(parameters, x, labels):
        for w, b in parameters[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = parameters[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(x @ w + b), labels[:, None], axis=1).mean()

    def step(parameters, rows):
        value, gradients = jax.value_and_grad(loss)(parameters, x[rows], labels[rows])
        return jax.tree.map(lambda p, g: p - ETA * g, parameters, gradients), value

    def epoch(parameters, order):
        parameters, losses = jax.lax.scan(step, parameters, order.reshape(-1, batch))
        return parameters, losses.mean()

    x, labels = jnp.asarray(x), jnp.asarray(labels)
    compiled = jax.jit(epoch, donate_argnums=0)
    state = [[(jnp.array(w), jnp.array(b)) for w, b in parameters]]

    def train(order):
        state[0], value = compiled(state[0], jnp.asarray(order))
        return value.block_until_ready()

    return train


def torch_trainer(sizes, batch, parameters, x, labels):
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layers = []
    for w, b in parameters:
        linear = torch.nn.Linear(*w.shape)
        linear.weight.data, linear.bias.data = torch.tensor(w.T.copy()), torch.tensor(b)
        layers += [linear, torch.nn.ReLU()]
    model, loss = torch.nn.Sequential(*layers[:-1]), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=ETA)
    x, labels = torch.from_numpy(x), torch.from_numpy(labels)

    def train(order):
        total = 0.0
        for rows in torch.from_numpy(order).split(batch):
            optimizer.zero_grad()
            value = loss(model(x[rows]), labels[rows])
            value.backward()
            optimizer.step()
            total += value.item() * len(rows)
        return total / len(order)

    return train


def sklearn_trainer(sizes, batch, parameters, x, labels):
    import numpy as np
    from sklearn.neural_network import MLPClassifier

    if sizes[-1] == 2:
        raise ImportError("scikit-learn has one sigmoid output for two classes: another network")
    model = MLPClassifier(
        sizes[1:-1], solver="sgd", momentum=0, alpha=0, batch_size=batch, learning_rate_init=ETA, shuffle=False
    )
    model.partial_fit(x[: batch * 2], labels[: batch * 2], classes=np.arange(sizes[-1]))  # makes the arrays
    for w, b, (w_start, b_start) in zip(model.coefs_, model.intercepts_, parameters, strict=True):
        w[:], b[:] = w_start, b_start

    def train(order):
        return model.partial_fit(x[order], labels[order]).loss_

    return train


if __name__ == "__main__":
    main()
