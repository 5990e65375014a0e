"""Transfers of numbers to the GPU and back, which no other benchmark of a kernel includes."""

import numpy as np

from numbanet.engines.loops import CudaLoops

from .equation import PARAMETERS, need_gpu


class Transfer:
    """The parameters of 784-512-256-10 in float32, 2.1 MB."""

    def setup(self) -> None:
        """Uploads the parameters once, and checks that they come back."""
        need_gpu()
        self.loops, self.host = CudaLoops(), np.random.default_rng(0).standard_normal(PARAMETERS, np.float32)
        self.device = self.loops.upload(self.host)
        np.testing.assert_array_equal(self.loops.download(self.device), self.host)

    def time_host_to_device(self) -> None:
        """Times an upload and the wait for its end."""
        self.loops.upload(self.host)
        self.loops.wait()

    def time_device_to_host(self) -> None:
        """Times a download and the wait for its end."""
        self.loops.download(self.device)
        self.loops.wait()
