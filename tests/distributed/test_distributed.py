"""Several processes that train one network together obtain the result of a single process."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numbanet
from numbanet import Adam, AdamW, GradientDescent, Momentum, _cuda
from numbanet.distributed.partition import part_of_shards, part_of_whole
from tests.helpers.engines import ENGINES as ALL_ENGINES
from tests.helpers.engines import each
from tests.helpers.thread_communicators import together

COUNT, SIZE = (7, 2) if _cuda.SIMULATED else (43, 3)
SETTINGS = {"epochs": 2, "batch_size": 5, "learning_rate": 0.1, "verbose": 0}


@pytest.fixture
def samples():
    random = np.random.default_rng(0)
    x = random.standard_normal((COUNT, 3))
    return x, (x[:, 0] + 0.3 * random.standard_normal(COUNT) > 0).astype(int)


def network(device="cpu", kernels="fast", seed=3, **options):
    return numbanet.Network([3, 4, 2], "tanh", "cce", dtype="float64", seed=seed, device=device, kernels=kernels, **options)


def flat(net):
    return np.concatenate([array.ravel() for pair in net.parameters() for array in pair])


def fitted(samples, communicator=None, make=network, **options):
    net = make()
    history = net.fit(*samples, communicator=communicator, **SETTINGS | options)
    figures = {name: values for name, values in history.history.items() if name != "seconds"}
    return flat(net), figures


def assert_same(one, other):
    np.testing.assert_allclose(one[0], other[0], rtol=0, atol=1e-12)
    assert one[1].keys() == other[1].keys()
    for name, values in one[1].items():
        np.testing.assert_allclose(values, other[1][name], rtol=0, atol=1e-12, err_msg=name)


# Parts


@given(count=st.integers(1, 60), batch_size=st.integers(1, 70), size=st.integers(1, 9), seed=st.integers(0, 5))
def test_the_pieces_of_every_batch_are_the_batch(count, batch_size, size, seed):
    order = np.random.default_rng(seed).permutation(count)
    parts = [part_of_whole(order, min(batch_size, count), rank, size) for rank in range(size)]
    for k in range(-(-count // batch_size)):
        pieces = []
        for part in parts:
            first = part.ends[k - 1] if k else 0
            assert part.firsts[k] == k * batch_size + sum(map(len, pieces))
            pieces.append(part.order[first : part.ends[k]])
        batch = order[k * batch_size : (k + 1) * batch_size]
        assert np.concatenate(pieces).tolist() == batch.tolist()
        assert max(map(len, pieces)) - min(map(len, pieces)) <= 1
        assert all(part.sizes[k] == batch.size for part in parts)


@given(counts=st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any), batch_size=st.integers(1, 100))
def test_every_batch_has_a_proportional_piece_of_every_shard(counts, batch_size):
    counts = np.array(counts)
    parts = [part_of_shards(np.arange(n), counts, batch_size, rank) for rank, n in enumerate(counts)]
    steps = -(-counts.sum() // batch_size)
    assert [part.ends[-1] for part in parts] == counts.tolist()
    done = 0
    for k in range(steps):
        for part, n in zip(parts, counts, strict=True):
            piece = part.ends[k] - (part.ends[k - 1] if k else 0)
            assert abs(piece - n / steps) < 1
            assert part.firsts[k] == done
            done += piece
        assert done == sum(part.sizes[: k + 1].sum() for part in parts[:1])


# Several processes obtain the same result as one process


SAME = {
    "gradient_descent": {"optimizer": GradientDescent()},
    "momentum_decay_clip": {"optimizer": Momentum(weight_decay=0.05, clip_norm=0.1)},
    "nesterov": {"optimizer": "nesterov"},
    "adam": {"optimizer": Adam()},
    "adamw_cosine": {"optimizer": AdamW(clip_norm=0.5), "schedule": "cosine"},
    "class_weight": {"class_weight": "balanced", "metrics": ["f1"]},
    "sample_weight": {"sample_weight": np.arange(COUNT) % 4, "label_smoothing": 0.1},
    "validation": {"validation_split": 0.3, "early_stopping": 1, "metrics": ["f1", "mae"]},
}


@each("name", ["momentum_decay_clip", "sample_weight"] if _cuda.SIMULATED else list(SAME))
@each("device, kernels", ALL_ENGINES)
def test_several_train_as_one(device, kernels, name, samples):
    def make():
        return network(device, kernels)

    one = fitted(samples, make=make, **SAME[name])
    several = together(SIZE, lambda communicator: fitted(samples, communicator, make, **SAME[name]))
    assert_same(several[0], one)
    for other in several[1:]:
        assert (other[0] == several[0][0]).all() and other[1] == several[0][1]


@each("device, kernels", ALL_ENGINES)
def test_the_same_neurons_drop_out(device, kernels, samples):
    def make():
        return network(device, kernels, dropout=0.4)

    one = fitted(samples, make=make)
    for other in together(SIZE, lambda communicator: fitted(samples, communicator, make)):
        assert_same(other, one)


def test_more_processes_than_samples_of_a_batch(samples):
    one = fitted(samples, batch_size=2)
    for other in together(5, lambda communicator: fitted(samples, communicator, batch_size=2)):
        assert_same(other, one)


@settings(max_examples=10, deadline=None)  # no deadline, because a busy machine is slow
@given(size=st.integers(2, 5), batch_size=st.integers(1, 50))
def test_any_number_of_processes_and_any_batch(size, batch_size):
    random = np.random.default_rng(1)
    data = random.standard_normal((23, 3)), random.integers(0, 2, 23)
    one = fitted(data, batch_size=batch_size, optimizer="adam")
    for other in together(size, lambda communicator: fitted(data, communicator, batch_size=batch_size, optimizer="adam")):
        assert_same(other, one)


def test_the_same_bits_each_time(samples):
    runs = [together(3, lambda communicator: fitted(samples, communicator)) for _ in range(2)]
    assert (runs[0][0][0] == runs[1][0][0]).all() and runs[0][0][1] == runs[1][0][1]


def test_all_begin_with_what_rank_0_has(samples):
    def other(communicator):
        return fitted(samples, communicator, lambda: network(seed=communicator.rank), optimizer="adam", epochs=3)

    for found in together(3, other):
        assert_same(found, fitted(samples, make=lambda: network(seed=0), optimizer="adam", epochs=3))


def test_all_go_on_as_one(samples):
    """The second call to `fit` continues with the moments and the step number of the first call."""

    def twice(communicator=None):
        net = network()
        for _ in range(2):
            net.fit(*samples, communicator=communicator, optimizer="adam", **SETTINGS)
        return flat(net)

    for found in together(2, twice):
        np.testing.assert_allclose(found, twice(), rtol=0, atol=1e-12)


# Samples of one's own


def shards(samples, size, batch_size):
    """Returns one part of the samples per process, and all samples in the order in which the processes' batches use them."""
    x, y = (array[: len(array) // size * size] for array in samples)
    parts = list(zip(np.split(x, size), np.split(y, size), strict=True))
    piece = batch_size // size
    order = np.arange(len(x)).reshape(size, -1)
    order = np.concatenate([order[:, k : k + piece].ravel() for k in range(0, order.shape[1], piece)])
    return parts, (x[order], y[order])


@each("options", [{}, {"class_weight": "balanced"}, {"metrics": ["f1"], "sample_weight": "all"}, {"optimizer": "adam"}])
def test_parts_of_the_samples_train_as_the_whole(options, samples):
    samples = tuple(array[:36] for array in samples)
    parts, whole = shards(samples, 3, 6)
    validation = samples[0][::-1][:9], samples[1][::-1][:9]
    validations, _ = shards(validation, 3, 3)
    settings = {"batch_size": 6, "shuffle": False} | {k: v for k, v in options.items() if k != "sample_weight"}

    def weights(y):
        return {"sample_weight": 1.0 + y} if "sample_weight" in options else {}

    def part(communicator):
        mine, held_out = parts[communicator.rank], validations[communicator.rank]
        options = settings | weights(mine[1])
        return fitted(mine, communicator, sharded=True, validation_data=held_out, **options)

    one = fitted(whole, validation_data=validation, **settings | weights(whole[1]))
    for found in together(3, part):
        assert_same(found, one)


def test_parts_of_any_size_shuffle_to_the_same_bits(samples):
    x, y = samples
    ends = [0, 1, 20, COUNT]

    def part(communicator):
        mine = slice(ends[communicator.rank], ends[communicator.rank + 1])
        return fitted((x[mine], y[mine]), communicator, sharded=True, validation_split=0.0)

    first, second = together(3, part), together(3, part)
    for a, b in zip(first, second, strict=True):
        assert (a[0] == b[0]).all() and a[1] == b[1] and (a[0] == first[0][0]).all()


def test_batches_that_each_process_reads(samples):
    """Process 1 has fewer batches than process 0, but takes part in every step until process 0 has used all its batches."""
    x, y = samples
    of_rank = [
        [slice(0, 5), slice(5, 7), slice(7, 20)],
        [slice(20, 23), slice(23, 30)],
        [slice(30, 31), slice(31, 33), slice(33, 43)],
    ]
    whole = [np.r_[tuple(ranges[k] for ranges in of_rank if k < len(ranges))] for k in range(3)]
    validation = x[:11], y[:11]

    def part(communicator):
        batches = [(x[rows], y[rows], 1.0 + y[rows]) for rows in of_rank[communicator.rank]]
        return fitted((batches,), communicator, validation_data=validation)

    one = fitted(([(x[rows], y[rows], 1.0 + y[rows]) for rows in whole],), validation_data=validation)
    for found in together(3, part):
        assert_same(found, one)


# Output and callbacks


class Watching(numbanet.Callback):
    """A callback that records each epoch's number, logs it as "mine", sets all weights to it, and stops after epoch 2."""

    def __init__(self):
        self.seen = []

    def on_epoch_end(self, epoch, logs):
        self.seen.append(epoch)
        logs["mine"] = np.float32(epoch)
        self.stop_training = epoch == 2
        self.network.set_parameters([(w * 0 + epoch, b) for w, b in self.network.parameters()])


def test_rank_0_has_the_callbacks(samples):
    def part(communicator):
        watching = Watching()
        return watching.seen, fitted(samples, communicator, callbacks=watching, epochs=9)

    results = together(3, part)
    assert [seen for seen, _ in results] == [[1, 2], [], []]
    for _, (parameters, figures) in results:
        assert figures["mine"] == [1.0, 2.0] and parameters[:12].tolist() == [2.0] * 12


def test_rank_0_speaks(samples, capsys):
    together(3, lambda communicator: fitted(samples, communicator, verbose=1))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_checkpoint_resumes_on_another_number_of_processes(samples, tmp_path):
    options = {"checkpoint": tmp_path / "state.npz", "optimizer": "adam", "early_stopping": 5, "validation_split": 0.2}
    one = fitted(samples, **options | {"epochs": 6, "checkpoint": None})
    for size, epochs in ((3, 2), (2, 4)):
        options["epochs"] = epochs
        together(size, lambda communicator: fitted(samples, communicator, **options))
    assert_same(fitted(samples, **options | {"epochs": 6}), one)
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


@each(
    "other, message",
    [
        ({"learning_rate": 0.2}, "rank 1 differs from rank 0 in learning_rate, which"),
        ({"optimizer": "adam"}, "rank 1 differs from rank 0 in optimizer, which"),
        ({"epochs": 3}, "rank 1 differs from rank 0 in epochs, which"),
        ({"make": lambda: network(kernels="reference")}, "rank 1 differs from rank 0 in network, which"),
        ({"data": True}, "differs from rank 0 in x, .*; if each process has its own samples, pass sharded=True"),
    ],
)
def test_what_is_not_the_same_is_named(other, message, samples):
    def part(communicator):
        options = dict(other) if communicator.rank == 1 else {}
        data = tuple(array[1:] for array in samples) if options.pop("data", False) else samples
        return fitted(data, communicator, **options)

    with pytest.raises(ValueError, match=message):
        together(2, part)


class Failing(numbanet.Callback):
    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, epoch, logs):
        raise self.error


@each("error, seen", [(KeyboardInterrupt(), KeyboardInterrupt), (SystemExit(0), RuntimeError), (OSError("disk"), OSError)])
def test_whatever_ends_one_ends_its_fit_by_an_error(error, seen, samples):
    with pytest.raises(seen):
        together(2, lambda communicator: fitted(samples, communicator, callbacks=Failing(error)))


def test_parameters_that_come_apart_are_noticed(samples):
    def part(communicator):
        exact = communicator.sum

        def careless(flat):
            exact(flat)
            if communicator.rank == 1 and flat.dtype == np.float64 and flat.size > 10:
                flat[0] += 1e-16 + abs(flat[0]) * 1e-15

        communicator.sum = careless
        return fitted(samples, communicator)

    with pytest.raises(RuntimeError, match="the parameters of rank 1 have diverged from the parameters of rank 0"):
        together(2, part)


def test_a_loss_that_is_not_finite_ends_all(samples):
    ended = []

    def part(communicator):
        net = numbanet.Network([3, 4, 1], "relu", "sse", dtype="float64", seed=3)
        before = flat(net)
        with pytest.raises(FloatingPointError, match="epoch 1"):
            net.fit(samples[0] * 1e30, samples[1] * 1e30, communicator=communicator, **SETTINGS)
        ended.append(communicator.rank)
        assert (flat(net) == before).all()

    together(3, part)
    assert sorted(ended) == [0, 1, 2]


def test_what_is_no_communicator_is_refused(samples):
    with pytest.raises(TypeError, match="lacks rank, size, sum, broadcast, barrier"):
        fitted(samples, [1])
    with pytest.raises((TypeError, ValueError), match="sharded"):
        fitted(samples, sharded=3)


def test_alone_nothing_changes(samples):
    one, other = fitted(samples), fitted(samples, numbanet.SerialCommunicator(), sharded=True)
    assert (one[0] == other[0]).all() and one[1] == other[1]
