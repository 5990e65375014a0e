"""How a network is to be trained on a GPU: the arithmetic of it, which needs none."""

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import each
from hypothesis import given
from hypothesis import strategies as st

from numbanet.engines.cuda import resident
from numbanet.engines.cuda.memory import Limits
from numbanet.engines.cuda.planning import KNOWN_LIMITS, PRODUCTS, RESIDENT, plan
from numbanet.engines.topology import Topology

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.rungs import RUNGS

H100 = KNOWN_LIMITS["sm_90"]


def network(sizes, dtype="float32", hidden="relu") -> Topology:
    return Topology(tuple(sizes), (hidden,) * (len(sizes) - 2) + ("softmax",), "cce", np.dtype(dtype))


@each("capability", list(KNOWN_LIMITS))
@each("rung", list(RUNGS))
def test_small_rungs_are_resident_everywhere_and_large_ones_nowhere(rung, capability):
    rung = RUNGS[rung]
    found = plan(network(rung.sizes, rung.dtype), rung.batch, KNOWN_LIMITS[capability])
    small = rung.sizes in ((2, 2, 2), (64, 32, 10))
    assert found.way == (RESIDENT if small else PRODUCTS)
    assert found.shared_bytes <= KNOWN_LIMITS[capability].shared_bytes
    assert (found.shared_bytes > 0) == small


def test_places_by_hand():
    """3-4-2, two samples: x and a with a column of ones, and odd pitches."""
    layers, rows, count = resident.places(network([3, 4, 2]), 2)
    x_0, w_1 = 2 * 5, 4 * 5  # x: 2 x (3 + 1), pitch 5; w: (3 + 1) x 4, pitch 5
    a_1, delta_1 = 2 * 5, 2 * 5
    w_2, a_2, delta_2 = 5 * 3, 2 * 3, 2 * 3
    assert layers[0].tolist() == [3, 4, 3, x_0, 5, 0, 5, x_0 + w_1, 5, x_0 + w_1 + a_1, 5]
    second = x_0 + w_1 + a_1 + delta_1
    assert layers[1].tolist() == [4, 2, 5, second, 3, x_0 + w_1, 5, second + w_2, 3, second + w_2 + a_2, 3]
    tables = second + w_2 + a_2 + delta_2
    assert rows.tolist() == [tables, tables + 4, tables + 8, tables + 12, tables + 14]
    assert count == tables + 16


@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    batch=st.integers(1, 40),
    hidden=st.sampled_from(["relu", "softmax"]),
)
def test_nothing_overlaps_in_shared_memory(sizes, batch, hidden):
    top = network(sizes, hidden=hidden)
    layers, rows, count = resident.places(top, batch)
    widest = max(width for width, kind in zip(sizes[1:], top.activations, strict=True) if kind == "softmax")
    taken = [(rows[name], batch * widest) for name in (resident.Z, resident.U, resident.DL)]
    taken += [(rows[name], batch) for name in (resident.Z_MAX, resident.OTHERS)]
    taken += [(layers[0][resident.X], batch * layers[0][resident.X_PITCH])]
    for layer in layers:
        n_in, n_out = layer[resident.N_IN], layer[resident.N_OUT]
        taken.append((layer[resident.W], (n_in + 1) * layer[resident.W_PITCH]))
        taken.append((layer[resident.A], batch * layer[resident.A_PITCH]))
        taken.append((layer[resident.DELTA], batch * layer[resident.DELTA_PITCH]))
        pitches = layer[[resident.W_PITCH, resident.X_PITCH, resident.A_PITCH, resident.DELTA_PITCH]]
        assert (pitches % 2 == 1).all() and (pitches >= [n_out, n_in + 1, n_out + 1, n_out]).all()
    end = 0
    for start, size in sorted(taken):
        assert start == end
        end = start + size
    assert end == count


@each("dtype, size", [("float32", 4), ("float64", 8)])
def test_a_byte_too_many_means_products(dtype, size):
    top = network([64, 32, 10], dtype)
    wanted = resident.places(top, 32)[2] * size
    fits, short = (plan(top, 32, Limits(132, shared_bytes)) for shared_bytes in (wanted, wanted - 1))
    assert (fits.way, fits.shared_bytes) == (RESIDENT, wanted)
    assert (short.way, short.shared_bytes) == (PRODUCTS, 0)
    assert f"{wanted:,} bytes, more than the {wanted - 1:,}" in short.reason


@pytest.mark.parametrize(("batch", "way"), [(1, RESIDENT), (64, PRODUCTS)])
def test_one_block_is_not_asked_for_the_work_of_many(batch, way):
    """A network that fills the shared memory of a block: on one sample the block is done before kernels have been started."""
    found = plan(network([150, 120, 10]), batch, H100)
    assert found.way == way and "us a step" in found.reason
