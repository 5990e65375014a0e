"""With the compiler numba-cuda-mlir, the reference kernels give right results; numbanet refuses to run the fast kernels."""

import math
from types import SimpleNamespace

import pytest

from numbanet import Network, _cuda, verify
from numbanet._cuda import mlir
from numbanet.engines.binding import binding_of
from numbanet.equations import activations, neuron
from numbanet.inputs import make_topology

with_mlir = pytest.mark.skipif(not _cuda.no_fast_kernels(), reason="needs numba-cuda-mlir, and not numba-cuda")


@pytest.fixture
def provider():
    """Returns a stand-in for the package numba-cuda-mlir that leaves functions uncompiled."""
    stand_in = object.__new__(mlir.MlirCuda)
    stand_in._cuda = SimpleNamespace(jit=lambda **options: lambda function: function, grid=lambda count: 1)
    return stand_in


def test_formulas_call_what_numba_cuda_mlir_compiles(provider):
    sigmoid = mlir._device_function(activations.sigmoid.py_func, provider)
    assert sigmoid.__globals__["exp"] is math.exp and sigmoid(0.5) == activations.sigmoid.py_func(0.5)


def test_a_kernel_is_rebuilt_when_it_is_first_used(provider):
    def double_cuda(x, y):
        y[cuda.grid(1)] = weighted_input(2.0, x[1])

    kernel = provider.jit(double_cuda)
    cuda, weighted_input, y = provider, neuron.weighted_input, [0, 0]
    kernel.dispatcher([3.0, 4.0], y)
    assert y == [0, 8.0] and kernel.py_func is double_cuda
    assert provider.jit(device=True)(double_cuda).options == {"device": True}


@pytest.mark.skipif(_cuda.SIMULATED, reason="the simulator compiles no kernels")
def test_a_kernel_calls_the_formulas_of_users(provider):
    """The test puts the formula softsign into a kernel, as numbanet does for a network with this activation."""

    def phi_cuda(kind, z, a):
        a[0] = phi(kind, 0.01, z[0])

    phi, a = activations.phi, [0.0]
    topology = make_topology([1, 1], ["softsign"], "mse", "float64", 0.01)
    kernel = binding_of(topology)(provider.jit(device=True)(phi_cuda))
    kernel.dispatcher(topology.kinds[0], [3.0], a)
    assert a == [0.75] and kernel.options == {"device": True}


@with_mlir
@pytest.mark.simulator
def test_every_formula_and_every_reference_step_is_within_its_bound():
    rows = verify("cuda", report=None)
    assert all(row.passed for row in rows) and {row.rung for row in rows} == {"reference cuda"}


@with_mlir
@pytest.mark.simulator
def test_the_fast_kernels_are_refused():
    with pytest.raises(RuntimeError, match=r"cannot compile the fast kernels.*kernels='reference'"):
        Network([3, 4, 2], "tanh", "cce", device="cuda")
    with pytest.warns(RuntimeWarning, match=r"auto' chooses the CPU.*numba-cuda-mlir"):
        assert Network([3, 4, 2], "tanh", "cce", device="auto").device == "cpu"
    assert Network([3, 4, 2], "tanh", "cce", device="auto", kernels="reference").device == "cuda"
