"""The fast engine for NVIDIA GPUs: trains in one thread block, in many cooperating blocks, or with several kernels per step."""
