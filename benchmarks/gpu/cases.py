"""The benchmark networks, called cases, that the GPU benchmark trains."""

from dataclasses import replace

from benchmarks.rungs import Rung

CASES = (
    Rung("G1", (64, 32, 10), 32, 1_792),
    Rung("G2", (784, 128, 10), 64, 12_800),
    Rung("G3", (784, 128, 10), 256, 25_600),
    Rung("G4", (784, 1024, 1024, 10), 1024, 20_480),
    Rung("G5", (4096, 4096, 4096, 10), 4096, 8_192),
    Rung("G6", (64,) * 13, 2**17, 2**18),
)
# The network that is timed together with a single matrix product of the same size.
SQUARE = "G5"


# Largest number of layers of a network in a dry run.
DRY_LAYERS = 4


def tiny(rung: Rung) -> Rung:
    """Returns a small variant of a benchmark network, for a dry run. An epoch of the small variant has two training steps."""
    sizes = rung.sizes[:DRY_LAYERS] + rung.sizes[-1:] if len(rung.layers) > DRY_LAYERS else rung.sizes
    return replace(rung, sizes=tuple(min(size, 3) for size in sizes), batch=2, samples=4)
