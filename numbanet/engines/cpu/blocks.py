"""All block sizes of the fast CPU engine, with the reason for each size.

The names MR, NR, KC, MC come from Goto and van de Geijn (2008, doi:10.1145/1356052.1356053) and from BLIS:

    c (MR, NR) += x (MR, KC) w (KC, NR)    one call of the microkernel: c in registers, KC rows of a panel of w in L1
    c (MC, n) += x (MC, KC) w (KC, n)      KC columns of MC rows of x stay in L2 while the panels of w are read

A panel is a block of NR columns of a matrix, and a slab is a block of MC rows of x. BLIS also has a block size NC, which is not
needed here: each slab of x is multiplied by every panel of w before the next slab begins. Sizes in bytes in the comments are
for float32. KC, MC and the number of samples in a block do not change a result, because the terms of a sum are always added in
the same order.
"""

# --- The products (`kernels.product`) ---

# Rows of a tile. 6 x 2 vectors of sums, 2 vectors of w and 1 of x fill 15 of the 16 registers of AVX2.
# MR cannot be tuned: the code of `microkernel`, `descend_tile`, `sample_rows` and `input_columns` names six rows, and does not
# compile with another value.
MR = 6
# Vectors in a row of a tile: NR, the number of columns, is NR_VECTORS times the lanes of a vector (16 with AVX2, 32 with
# AVX-512). Like MR, NR_VECTORS is fixed by the code of `microkernel`.
NR_VECTORS = 2
# Terms that the microkernel adds to a tile at a time: KC rows of a panel of w take 8 KB with AVX2, a quarter of L1.
KC = 128
# Rows of x in a slab, a multiple of MR: MC x KC numbers take 132 KB, and stay in L2 while the panels of w are read.
MC = 43 * MR
# Rows of dw (inputs i) in a slab of the weight gradient, a multiple of MR: GRADIENT_MC columns of x, 198 KB for the 516 samples
# of the largest block, stay in L2 while the panels of delta are read.
GRADIENT_MC = 16 * MR

# --- Samples that pass through the network together ---

# Largest number of samples in a block, a multiple of MR. A larger batch takes several blocks, so that memory stays small.
BLOCK_ROWS = 2 * MC
# Largest product of weights and samples of a block: a block then takes at most about a second, after which Ctrl-C is noticed.
BLOCK_WEIGHTS = 10**10
# Number of samples in a block of predictions and evaluations, which have no batch size: one slab.
FORWARD_ROWS = MC
# Number of rows of x to prefetch while a row is copied to the panels: the hardware cannot predict a shuffled order.
ROWS_AHEAD = 2

# --- Threads ---

# Product of weights and samples of a block below which a single thread computes: the block ends before other threads wake up.
SHARED_WEIGHTS = 10**6
# Number of threads for which memory is reserved; on a machine with more cores, the number of cores.
THREADS = 64
# Random numbers (uint64) that a thread generates at a time for dropout: 8 KB, a quarter of L1.
RANDOM_NUMBERS = 1024
# Size of a cache line in bytes. In memory that does not begin at a multiple of it, some vectors straddle two lines.
CACHE_LINE = 64
