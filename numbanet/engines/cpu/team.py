"""How threads work on one compiled call together: who is on the team, and where they wait for each other.

Thread 0, the caller, opens one round after another. Others may join at any time and take part from the next round on. Thread 0
waits for them before the first one, but not for long: the system may be slow to start them. No number that is computed depends
on how many there are.

A team is an array of int64, its fields a line of the cache apart.
"""

import platform

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from numbanet._compile import njit_merged, njit_part

JOINED, ROUND, POSITION, ARRIVED, PASSED, EXPECTED = range(0, 48, 8)
SPINS = 2000  # before a waiting thread leaves its core to others, for some ten microseconds each time
# ROUND holds the number of the round times MOST_THREADS plus how many threads are on it, in one word so that both are always
# read together; or CLOSED, when there is no further round.
MOST_THREADS, CLOSED = 1 << 16, -1

_HAS_PAUSE = platform.machine() in ("x86_64", "AMD64")
_WINDOWS = platform.system() == "Windows"  # whose Sleep counts milliseconds; 0 lets others run
_sleep = types.ExternalFunction("Sleep" if _WINDOWS else "usleep", types.int32(types.uint32))
_NAP = np.uint32(0 if _WINDOWS else 20)
_NAPS = 20  # that thread 0 waits for others: some milliseconds at most


def new_team(helpers: int) -> np.ndarray:
    """A team of which only the caller is, and which so many are to join."""
    team = np.zeros(48, np.int64)
    team[EXPECTED] = helpers
    return team


def _pointer(context, builder, signature, arguments):
    return builder.gep(context.make_array(signature.args[0])(context, builder, arguments[0]).data, [arguments[1]])


@intrinsic
def fetch_add(typingctx, team, field, value):
    """Adds to a field, as one operation; returns what it was before."""

    def code(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _pointer(context, builder, signature, arguments), arguments[2], "seq_cst")

    return types.int64(team, types.intp, types.int64), code


@intrinsic
def read(typingctx, team, field):
    """A field, and with it all that was written before it was published."""

    def code(context, builder, signature, arguments):
        return builder.load_atomic(_pointer(context, builder, signature, arguments), "acquire", 8)

    return types.int64(team, types.intp), code


@intrinsic
def publish(typingctx, team, field, value):
    """Writes a field, after all that was written before."""

    def code(context, builder, signature, arguments):
        builder.store_atomic(arguments[2], _pointer(context, builder, signature, arguments), "release", 8)
        return context.get_dummy_value()

    return types.void(team, types.intp, types.int64), code


@intrinsic
def pause(typingctx):
    """Tells the core that this thread only waits, where it has an instruction for that."""

    def code(context, builder, signature, arguments):
        if _HAS_PAUSE:
            instruction = builder.module.declare_intrinsic("llvm.x86.sse2.pause", fnty=ir.FunctionType(ir.VoidType(), []))
            builder.call(instruction, [])
        return context.get_dummy_value()

    return types.void(), code


@njit_merged
def wait_while(team, field, value):
    """Returns once the field is something else."""
    spins = 0
    while read(team, field) == value:
        spins += 1
        if spins < SPINS:
            pause()
        else:
            _sleep(_NAP)


@njit_part
def barrier(team, size):
    """Returns when all `size` threads of the round have come here."""
    if size > 1:
        passed = read(team, PASSED)
        if fetch_add(team, ARRIVED, 1) == size - 1:
            publish(team, ARRIVED, 0)
            publish(team, PASSED, passed + 1)
        else:
            wait_while(team, PASSED, passed)


@njit_merged
def join(team):
    """Puts the calling thread on the team; returns its number, 1 or more."""
    return fetch_add(team, JOINED, 1) + 1


@njit_merged
def await_helpers(team):
    """Thread 0 waits until all who are expected have joined, or for some milliseconds."""
    naps = 0
    while read(team, JOINED) < team[EXPECTED] and naps < _NAPS:
        _sleep(_NAP)
        naps += 1


@njit_merged
def open_round(team, position):
    """Thread 0 opens a round, about this position of an order, to all who have joined; returns how many they are."""
    size = read(team, JOINED) + 1
    publish(team, POSITION, position)
    publish(team, ROUND, (read(team, ROUND) // MOST_THREADS + 1) * MOST_THREADS + size)
    return size


@njit_merged
def await_round(team, me, seen):
    """Another thread waits for a round other than `seen` that it is on, or for the end; returns that round."""
    while True:
        wait_while(team, ROUND, seen)
        seen = read(team, ROUND)
        if seen == CLOSED or me < size_of(seen):
            return seen


@njit_merged
def size_of(round_):
    """How many threads are on a round."""
    return round_ % MOST_THREADS


@njit_merged
def share(count, size, me):
    """What of `count` pieces is thread me's: from, and up to but without."""
    if size == 1:  # the two divisions would be a tenth of a step of a very small network
        return 0, count
    return count * me // size, count * (me + 1) // size
