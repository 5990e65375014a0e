"""The block sizes of the fast CPU engine: all of them in one table, each with its reason.

The names MR, NR, KC, MC come from Goto and van de Geijn (2008, doi:10.1145/1356052.1356053) and from BLIS:

    c (MR, NR) += x (MR, KC) w (KC, NR)    one call of the microkernel: c in registers, KC rows of a panel of w in L1
    c (MC, n) += x (MC, KC) w (KC, n)      MC rows of x, KC deep, stay in L2 while the panels of w pass by

There is no NC: a slab of MC rows meets every panel of w before the next slab begins. Sizes in bytes are for float32.
KC, MC and the number of samples in a block do not change a result: a sum always adds its terms in the same order.
"""

# --- The products (`kernels.product`) ---

# Rows of a tile. 6 x 2 vectors of sums, 2 vectors of w and 1 of x fill 15 of the 16 registers of AVX2.
# MR is no tuning parameter: the text of `microkernel`, `descend_tile`, `sample_rows` and `input_columns` names six rows, and
# does not compile with another number.
MR = 6
# Vectors in a row of a tile: NR, the number of columns, is NR_VECTORS times the lanes of a vector (16 with AVX2, 32 with
# AVX-512). As MR, it is fixed by the text of `microkernel`.
NR_VECTORS = 2
# Terms that the microkernel adds to a tile at a time: KC rows of a panel of w take 8 KB with AVX2, a quarter of L1.
KC = 128
# Rows of x in a slab, a multiple of MR: MC x KC numbers take 132 KB, and stay in L2 while the panels of w pass by.
MC = 43 * MR
# Rows of dw (inputs i) in a slab of the weight gradient, a multiple of MR: that many columns of x, 198 KB for the 516 samples
# of the largest block, stay in L2 while the panels of delta pass by.
GRADIENT_MC = 16 * MR

# --- Samples that pass through the network together ---

# Samples of a block at most, a multiple of MR. A larger batch takes several blocks, and memory stays small.
BLOCK_ROWS = 2 * MC
# Weights times samples of a block at most: a block takes about a second at most, after which Ctrl-C is heard.
BLOCK_WEIGHTS = 10**10
# Samples of a block if nothing asks for a batch (predictions and evaluations): one slab.
FORWARD_ROWS = MC
# Rows of x to fetch in advance while a row is copied to the panels: the hardware does not foresee a shuffled order.
ROWS_AHEAD = 2

# --- Threads ---

# Weights times samples of a block below which a single thread computes: the block ends before other threads are awake.
SHARED_WEIGHTS = 10**6
# Threads that have memory to work in; a machine with more cores gets more.
THREADS = 64
# Random numbers (uint64) that a thread makes at a time for dropout: 8 KB, a quarter of L1.
RANDOM_NUMBERS = 1024
# Bytes. Vectors that do not begin at a multiple of it straddle two lines.
CACHE_LINE = 64
