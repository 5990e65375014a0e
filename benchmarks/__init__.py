"""What numbanet's speed is measured by; docs/performance.md says how to run it and what the numbers mean.

`ladder.py` is a command that measures numbanet and everybody installed in turns, by `epochs`, `prediction`, `processes` (which
start `process`) and `fashion`. `bench_*.py` are for asv (https://asv.readthedocs.io), which measures one commit after another:
a file per section of the sheet with a class per equation, see `common.Equation`, then layers, epochs, predictions, processes,
transfers. Both take their networks from `rungs` and who computes with them from `peers`. Everything checks its results before
it is timed.
"""
