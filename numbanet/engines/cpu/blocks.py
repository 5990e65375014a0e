"""All block sizes of the fast CPU engine, and the reason for each size.

The sizes divide the matrix products of the network, here c += x * w, in which w has n columns. A panel is a block of NR columns
of w or c, and a slab is a block of MC rows of x. The microkernel, the innermost loop, adds KC terms to each sum of a tile,
which is a block of MR rows and NR columns of c:

    c (MR, NR) += x (MR, KC) * w (KC, NR)    a tile by the microkernel: c in registers, KC rows of a panel of w in L1
    c (MC, n) += x (MC, KC) * w (KC, n)      KC columns of MC rows of x stay in L2 while the panels of w are read

The names MR, NR, KC and MC come from Goto and van de Geijn (2008, doi:10.1145/1356052.1356053) and from the library BLIS. One
slab of x is multiplied by every panel of w before the next slab is read. Unlike BLIS, numbanet therefore needs no block size
NC. The comments in this module give sizes in bytes for float32. The block sizes KC and MC, and the number of samples in a
block, do not change results, because the terms of a sum are always added in the same order.
"""

from numbanet.engines.cpu.registers import REGISTERS

# --- The products (`kernels.product`) ---

# Number of rows of a tile. 6 x 2 vectors of sums, 2 vectors of w and 1 vector of x fill 15 of AVX2's 16 registers.
# MR cannot be tuned: the functions `sample_rows` and `input_columns` are written for six rows.
MR = 6
# Number of SIMD vectors in a row of a panel. NR, the number of columns of a panel, is NR_VECTORS times the number of a vector's
# lanes (NR is 16 with AVX2 and 32 with AVX-512).
NR_VECTORS = 2
# Whether the microkernel computes two panels at the same time. 6 x 4 vectors of sums, 4 vectors of w and 1 vector of x fill 29
# of the 32 registers of AVX-512 and NEON. With two panels, each term takes 10 loads for 24 multiply-adds, in place of 16 loads.
PAIRS = REGISTERS.number >= 32
# Largest number of panels in a strip, which is the number of panels that the microkernel computes at the same time.
STRIP = 2 if PAIRS else 1
# Number of terms that the microkernel adds to a tile at a time. KC rows of a strip of w take 8 KB with AVX2, a quarter of L1,
# and 32 KB with AVX-512.
KC = 128
# Number of rows of x in a slab, a multiple of MR. MC x KC numbers take 132 KB, and stay in L2 while the panels of w are read.
MC = 43 * MR
# Number of rows (inputs i) of dL/dw in a slab of the weight gradient, a multiple of MR. The slab needs GRADIENT_MC columns of
# x. For the 516 samples of the largest block, GRADIENT_MC columns take 198 KB, and stay in L2 while the panels of delta are
# read.
GRADIENT_MC = 16 * MR

# --- Samples that pass through the network together ---

# Largest number of samples in a block, a multiple of MR. A larger batch is cut into several blocks, so that memory stays small.
BLOCK_ROWS = 2 * MC
# Largest value of (number of weights) * (number of samples in a block). Up to this value, the computation of a block takes at
# most about a second, after which Ctrl-C takes effect.
BLOCK_WEIGHTS = 10**10
# Largest value of (number of inputs and neurons) * (number of samples in a block). Up to this value, one float32 number for
# each input and neuron of each sample takes at most 0.5 GB in total.
BLOCK_NEURONS = 1 << 27
# Number of unused array elements that the panels of any network may contain. In float32, these elements take 16 MB.
UNUSED = 1 << 22
# Number of samples in a block in predictions and evaluations, which have no batch size: the number of rows of a slab.
FORWARD_ROWS = MC
# While a row of x is copied to the panels, the row that is copied ROWS_AHEAD rows later is prefetched, because the hardware
# cannot predict a shuffled order.
ROWS_AHEAD = 2

# --- Threads ---

# If (number of weights) * (number of samples in a block) is less than this value, a single thread computes, because the block
# would be finished before other threads wake up.
SHARED_WEIGHTS = 10**6
# If (number of weights) * (number of samples) is less than this value, a single thread predicts: the prediction takes less than
# about 0.1 ms, which is the time until another thread wakes up.
TURN_WEIGHTS = 5 * 10**6
# Number of threads for which memory is reserved. If the machine has more cores, memory is reserved for one thread per core.
THREADS = 64
# Number of random numbers (uint64) that a thread generates at a time for dropout. The random numbers take 8 KB, a quarter of
# L1.
RANDOM_NUMBERS = 1024
# Size of a cache line in bytes. In an array that does not begin at a multiple of CACHE_LINE, some vectors straddle two lines.
CACHE_LINE = 64
