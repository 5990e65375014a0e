"""The microkernel, which is the innermost loop of the matrix products, and operations on the tiles that it computes.

A tile is a part of a matrix: MR rows of a panel (a block of NR columns, see the module `layout`) or of two adjacent panels. A
tile in registers is a tuple of SIMD vectors, row by row. A tile in memory is given by a tuple of offsets, one for each panel
(block of NR columns) of the tile. All loops over the rows and vectors of a tile are unrolled. The formula for a single term of
a matrix product comes from `numbanet.equations`.
"""

from numba import types
from numba.core import cgutils

from numbanet._compile import intrinsic, njit_merged, parts_of
from numbanet.engines.cpu.blocks import MR, NR_VECTORS
from numbanet.engines.cpu.kernels.vector import Vector, emit_broadcast, emit_load, emit_store, lanes, pointer
from numbanet.equations import neuron

(weighted_input,) = parts_of(neuron.weighted_input)


@intrinsic
def places(typingctx, strip, start, distance):
    """Returns a tuple with the offset start + panel * distance for each panel index `panel` in the tuple `strip`."""
    result = types.UniTuple(types.intp, len(strip))

    def code(context, builder, signature, arguments):
        strip, start, distance = arguments
        offsets = [builder.add(start, builder.mul(panel, distance)) for panel in cgutils.unpack_tuple(builder, strip)]
        return context.make_tuple(builder, result, offsets)

    return result(strip, types.intp, types.intp), code


@intrinsic
def shifted(typingctx, places, distance):
    """Returns a tuple with the offset place + distance for each offset `place` in the tuple `places`."""

    def code(context, builder, signature, arguments):
        places = cgutils.unpack_tuple(builder, arguments[0])
        return context.make_tuple(builder, signature.return_type, [builder.add(place, arguments[1]) for place in places])

    return places(places, types.intp), code


def _offsets(builder, places, step, half):
    """Emits LLVM code that computes the offsets in memory of a tile's vectors, and returns the offsets, row by row.

    `step` is the distance in memory between two successive rows of a tile; `half` is the distance between two vectors of a row.
    """
    offsets, panels = [], cgutils.unpack_tuple(builder, places)
    for row in range(MR):
        for panel in panels:
            start = builder.add(panel, builder.mul(step, step.type(row)))
            offsets += [builder.add(start, step.type(q * half)) for q in range(NR_VECTORS)]
    return offsets


@intrinsic
def load_tile(typingctx, memory, places, step):
    """Loads a tile from memory. `places` holds, for each panel (block of NR columns) of the tile, the offset of its first row.

    The rows of the tile are `step` elements apart in memory.
    """
    vector = Vector(memory.dtype)
    tile = types.UniTuple(vector, MR * NR_VECTORS * len(places))

    def code(context, builder, signature, arguments):
        memory, places, step = arguments
        offsets = _offsets(builder, places, step, vector.lanes)
        vectors = [emit_load(context, builder, signature.args[0], vector, memory, offset) for offset in offsets]
        return context.make_tuple(builder, tile, vectors)

    return tile(memory, places, types.intp), code


@intrinsic
def store_tile(typingctx, memory, places, step, tile):
    """Stores a tile in memory. `places` holds, for each panel (block of NR columns) of the tile, the offset of its first row.

    The rows of the tile are `step` elements apart in memory.
    """

    def code(context, builder, signature, arguments):
        memory, places, step, vectors = arguments
        offsets = _offsets(builder, places, step, tile.dtype.lanes)
        for offset, vector in zip(offsets, cgutils.unpack_tuple(builder, vectors), strict=True):
            emit_store(context, builder, signature.args[0], memory, offset, vector)
        return context.get_dummy_value()

    return types.void(memory, places, types.intp, tile), code


@intrinsic
def replace_tile(typingctx, function, constant, memory, places, step, tile):
    """Replaces each vector v of a tile in memory with function(constant, c, v).

    The vector c comes from the same row and column of `tile`, which is a tile in registers.
    """
    vector = tile.dtype
    called = function.get_call_type(typingctx, (vector, vector, vector), {})

    def code(context, builder, signature, arguments):
        _, constant, memory, places, step, vectors = arguments
        call, array_type = context.get_function(function, called), signature.args[2]
        offsets = _offsets(builder, places, step, vector.lanes)
        for offset, c in zip(offsets, cgutils.unpack_tuple(builder, vectors), strict=True):
            v = emit_load(context, builder, array_type, vector, memory, offset)
            emit_store(context, builder, array_type, memory, offset, call(builder, [constant, c, v]))
        return context.get_dummy_value()

    return types.void(function, vector, memory, places, types.intp, tile), code


@intrinsic
def with_term(typingctx, function, tile, memory, x, w):
    """Returns a tile with function(c, w_q, x_r) in place of each vector c of `tile`, which is in row r and column q.

    The tuple `w` holds, for each panel, the offset in memory of the panel's vectors w_q. In the vector x_r, every element is
    memory[x[r]].
    """
    vector = tile.dtype
    called = function.get_call_type(typingctx, (vector, vector, vector), {})

    def code(context, builder, signature, arguments):
        _, tile, memory, x, w = arguments
        call, array_type = context.get_function(function, called), signature.args[2]
        starts = [
            builder.add(panel, panel.type(q * vector.lanes))
            for panel in cgutils.unpack_tuple(builder, w)
            for q in range(NR_VECTORS)
        ]
        w_q = [emit_load(context, builder, array_type, vector, memory, start) for start in starts]
        sums = iter(cgutils.unpack_tuple(builder, tile))
        vectors = []
        for place in cgutils.unpack_tuple(builder, x):
            x_r = emit_broadcast(context, builder, vector, builder.load(pointer(context, builder, array_type, memory, place)))
            vectors += [call(builder, [next(sums), w_vector, x_r]) for w_vector in w_q]
        return context.make_tuple(builder, signature.return_type, vectors)

    return tile(function, tile, memory, x, w), code


@njit_merged
def add_term(c, w, x):
    """Returns c + w x."""
    return c + weighted_input(w, x)


@njit_merged
def microkernel(memory, start, step, x, x_step, chunk, chunk_step, w, depth):
    """Returns c[r, j] = start[r, j] + sum_k x[r, k] * w[k, j], for MR = 6 rows r, NR columns j per panel and `depth` terms k.

    The result c is a tile of sums, as a tuple of SIMD vectors, two for each row and panel. A SIMD vector holds q numbers, and a
    panel (block of columns) has NR = 2 * q columns. The diagram shows the memory that the function reads for a tile in one
    panel (c_00 to c_51, w_0 and w_1 are SIMD vectors):

                start, c                   x                                    w
                0 ...    q ... NR-1        k = 0   1   ...    chunk             0 ......... NR-1
               +--------+---------+       +------------------+--------+        +----------------+
    start[0] ->| c_00   | c_01    | x[0]->|  .   .            .       | w[0]-> | w_0    w_1     |  k = 0
    + step     | c_10   | c_11    | x[1]->|  .   .            .       |  + NR  | w_0    w_1     |      1
    + 2 step   | c_20   | c_21    | x[2]->|  .   .            .       |        |   .      .     |      .
               | c_30   | c_31    | x[3]->|  .   .            .       |        |   .      .     |      .
               | c_40   | c_41    | x[4]->|  .   .            .       |        |   .      .     |      .
    + 5 step   | c_50   | c_51    | x[5]->|  .   .            .       |        |   .      .     |  depth - 1
               +--------+---------+       +------------------+--------+        +----------------+

    For a tile in P panels, each term k takes 2 P loads of w, 6 broadcasts of x and 12 P fused multiply-adds. The function keeps
    12 P + 2 P + 1 vectors in registers: 15 for one panel, 29 for two panels.

    Parameters
    ----------
    memory : (numbers,) float32 or float64
        The flat array that contains all operands. An offset is an index into `memory`.
    start : tuple of ints
        For each panel, the offset of the first row of the start values, to which the terms are added.
    step : int
        Distance between successive rows of the start values, which is NR in a panel, or 0 if all rows have the same start
        values, such as b or zeros.
    x : tuple of MR ints
        The offset of x[r, 0] for each row r. The rows of x may be anywhere in memory.
    x_step : int
        Distance from x[r, k] to x[r, k + 1], which is the same for all rows.
    chunk, chunk_step : int
        A row of x in panels is cut after every `chunk` = NR elements. From the last element before a cut to the next element,
        the distance is x_step + chunk_step.
    w : tuple of ints
        For each panel, the offset of its part of w, which contains NR numbers for each k, without gaps.
    depth : int
        Number of terms, at least 0. The function adds the terms to the sums c in the order of k.

    Notes
    -----
    The function does not write to memory. `start` and `w` need no alignment, but vectors that begin at multiples of CACHE_LINE
    bytes are loaded faster. The edges of a matrix need no additional code, because the memory of a matrix has room for whole
    tiles. The function also computes rows beyond the last sample or input, and columns beyond the last neuron, but their values
    affect no result.
    """
    nr = NR_VECTORS * lanes(memory)
    c = load_tile(memory, start, step)
    p = 0
    while depth > 0:
        for _ in range(min(chunk, depth)):
            c = with_term(add_term, c, memory, shifted(x, p), w)
            p += x_step
            w = shifted(w, nr)
        p += chunk_step
        depth -= chunk
    return c
