"""Benchmarks of copies to the GPU and back. The benchmarks of CUDA kernels in the other modules do not include copies."""

import numpy as np

from numbanet.engines.loops import CudaLoops

from .equation import PARAMETERS, need_gpu


class Transfer:
    """Benchmark of copying 2.1 MB to the GPU and back: the float32 parameters of a network with the sizes 784-512-256-10."""

    def setup(self) -> None:
        """Copies the parameters to the GPU once, and checks that the copy has the same values."""
        need_gpu()
        self.loops, self.host = CudaLoops(), np.random.default_rng(0).standard_normal(PARAMETERS, np.float32)
        self.device = self.loops.upload(self.host)
        np.testing.assert_array_equal(self.loops.download(self.device), self.host)

    def time_host_to_device(self) -> None:
        """Times a copy from host memory to the GPU, until it is complete."""
        self.loops.upload(self.host)
        self.loops.wait()

    def time_device_to_host(self) -> None:
        """Times a copy from the GPU to host memory, until it is complete."""
        self.loops.download(self.device)
        self.loops.wait()
