"""What numbanet's speed is measured by, with asv (https://asv.readthedocs.io). From the root of the repository:

    pip install -e '.[bench]'
    asv machine --yes                                     # once per machine
    asv run -E existing --quick --dry-run --show-stderr   # every benchmark once, in a minute or two: does it run?
    asv run HEAD^!                                        # one commit, built and measured in its own environment
    asv continuous HEAD~1 HEAD                            # a commit against the one before

One file per section of the sheet, one class per equation, see `benchmarks.common.Equation`; beside them a whole epoch,
the transfers to the GPU and back, and the import. Every benchmark checks its results before it is timed.

asv.conf.json gives everything one thread, NumPy's products included; `-E existing` does not read that: set
OMP_NUM_THREADS=1 before it.
"""
