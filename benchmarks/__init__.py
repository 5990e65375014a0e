"""Benchmarks: numbanet and the installed peers on the same work, each checked before it is timed.

`ladder` (python -m benchmarks.ladder) compares epochs, predictions and whole processes on the CPU; `gpu` (python -m
benchmarks.gpu) does so on an NVIDIA GPU; `scaling` (python -m benchmarks.scaling) times training by several processes;
`suites` is for asv (https://asv.readthedocs.io), which compares commits. All four share `rungs`, the networks and their data,
`peers`, the contestants, `measuring` and `command_line`. docs/performance.md says what the figures mean.
"""
