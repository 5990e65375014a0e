"""Benchmarks, in which numbanet and other installed libraries do the same work.

The benchmarks check all results before they measure times.

The package `ladder` (python -m benchmarks.ladder) compares the times of epochs, predictions and whole processes on the CPU. The
package `gpu` (python -m benchmarks.gpu) compares the times of epochs on an NVIDIA GPU. The package `scaling` (python -m
benchmarks.scaling) measures training with several processes. The package `suites` is for asv (https://asv.readthedocs.io),
which compares commits. The four packages of benchmarks use the module `rungs`, which defines the benchmark networks and their
data; the module `peers`, which defines the libraries to compare; and the modules `measuring` and `command_line`. The page
docs/performance.md explains the results.
"""
