"""The team of threads that work together on one compiled call: joining it, its rounds, and the barriers within a round.

Thread 0, the caller, opens one round after another. Other threads may join at any time, and take part from the next round on.
Before the first round thread 0 waits for them, for some milliseconds at most: the system may be slow to start them. Results do
not depend on the number of threads.

A team is an array of int64 whose fields lie a cache line apart.
"""

import platform
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from numbanet._compile import intrinsic, njit_merged, njit_part
from numbanet.engines.cpu.kernels.vector import pointer

JOINED, ROUND, POSITION, ARRIVED, PASSED, EXPECTED = range(0, 48, 8)
SPINS = 2000  # of a waiting thread before it gives up its core, for some ten microseconds each time
# ROUND holds the number of the round times MOST_THREADS plus the number of threads on it, in one word so that both are always
# read together; or CLOSED after the last round.
MOST_THREADS, CLOSED = 1 << 16, -1

_HAS_PAUSE = platform.machine() in ("x86_64", "AMD64")
_WINDOWS = platform.system() == "Windows"  # its Sleep counts milliseconds; 0 gives way to other threads
_sleep = types.ExternalFunction("Sleep" if _WINDOWS else "usleep", types.int32(types.uint32))
_NAP = np.uint32(0 if _WINDOWS else 20)
_NAPS = 20  # of thread 0 while it waits for helpers: some milliseconds at most


class Member(NamedTuple):
    """A thread's place on the team in one round.

    Parameters
    ----------
    team : (48,) int64
    number : int
        0 for the caller, 1 or more for a thread that helps it.
    size : int
        Number of threads on the round; 0 after the last round.
    round : int
        The round as the field ROUND has it, for a thread that helps.
    """

    team: np.ndarray
    number: int
    size: int
    round: int


class Span(NamedTuple):
    """A thread's part of a range: begin, ..., end - 1."""

    begin: int
    end: int


def new_team(helpers: int) -> np.ndarray:
    """Returns a team whose only member is the caller, and which expects `helpers` more threads."""
    team = np.zeros(48, np.int64)
    team[EXPECTED] = helpers
    return team


@intrinsic
def fetch_add(typingctx, team, field, value):
    """Adds to a field, as one operation; returns the value before it."""

    def code(context, builder, signature, arguments):
        team, field, value = arguments
        return builder.atomic_rmw("add", pointer(context, builder, signature.args[0], team, field), value, "seq_cst")

    return types.int64(team, types.intp, types.int64), code


@intrinsic
def read(typingctx, team, field):
    """Returns a field; all that was written before it was published can then be read, too."""

    def code(context, builder, signature, arguments):
        return builder.load_atomic(pointer(context, builder, signature.args[0], *arguments), "acquire", 8)

    return types.int64(team, types.intp), code


@intrinsic
def publish(typingctx, team, field, value):
    """Writes a field, after all that was written before."""

    def code(context, builder, signature, arguments):
        team, field, value = arguments
        builder.store_atomic(value, pointer(context, builder, signature.args[0], team, field), "release", 8)
        return context.get_dummy_value()

    return types.void(team, types.intp, types.int64), code


@intrinsic
def pause(typingctx):
    """Tells the core that this thread only waits, if the core has an instruction for that."""

    def code(context, builder, signature, arguments):
        if _HAS_PAUSE:
            instruction = builder.module.declare_intrinsic("llvm.x86.sse2.pause", fnty=ir.FunctionType(ir.VoidType(), []))
            builder.call(instruction, [])
        return context.get_dummy_value()

    return types.void(), code


@njit_merged
def wait_while(team, field, value):
    """Returns once the field has another value."""
    spins = 0
    while read(team, field) == value:
        spins += 1
        if spins < SPINS:
            pause()
        else:
            _sleep(_NAP)


@njit_part
def meet(team, size):
    """Returns when all `size` threads of the round have called it."""
    passed = read(team, PASSED)
    if fetch_add(team, ARRIVED, 1) == size - 1:
        publish(team, ARRIVED, 0)
        publish(team, PASSED, passed + 1)
    else:
        wait_while(team, PASSED, passed)


@njit_merged
def barrier(member):
    """Returns when all threads of the round have reached it."""
    if member.size > 1:
        meet(member.team, member.size)


@njit_merged
def join(team):
    """Puts the calling thread on the team; returns its number, 1 or more."""
    return fetch_add(team, JOINED, 1) + 1


@njit_merged
def await_helpers(team):
    """Thread 0 waits until all expected threads have joined, or for some milliseconds."""
    naps = 0
    while read(team, JOINED) < team[EXPECTED] and naps < _NAPS:
        _sleep(_NAP)
        naps += 1


@njit_merged
def enlist(team, helps):
    """Returns the calling thread as a member before the first round: a thread that helps, or thread 0."""
    number = 0
    if helps:
        number = join(team)
    else:
        await_helpers(team)
    return Member(team, number, 1, 0)


@njit_merged
def open_round(team, position):
    """Thread 0 opens a round, about this position of an order, to all who have joined; returns the number of threads on it."""
    size = read(team, JOINED) + 1
    publish(team, POSITION, position)
    publish(team, ROUND, (read(team, ROUND) // MOST_THREADS + 1) * MOST_THREADS + size)
    return size


@njit_merged
def await_round(team, number, seen):
    """Thread `number` waits for a round other than `seen` that it is on, or for the end; returns that round."""
    while True:
        wait_while(team, ROUND, seen)
        seen = read(team, ROUND)
        if seen == CLOSED or number < size_of(seen):
            return seen


@njit_merged
def size_of(round_):
    """Returns the number of threads on a round."""
    return round_ % MOST_THREADS


@njit_merged
def next_round(member, position, stop):
    """Returns the member of the next round, of size 0 if there is none, and the position of the order that the round is about.

    Thread 0 opens rounds at its position until that has reached `stop`; the other threads wait for them.
    """
    team, round_, size = member.team, member.round, 0
    if member.number > 0:
        round_ = await_round(team, member.number, round_)
        if round_ != CLOSED:
            size, position = size_of(round_), read(team, POSITION)
    elif position < stop:
        size = open_round(team, position)
    else:
        publish(team, ROUND, CLOSED)
    return Member(team, member.number, size, round_), position


@njit_merged
def thread_range(count, member):
    """Returns the span of `count` pieces of work that is this thread's."""
    if member.size == 1:  # the two divisions would be a tenth of a step of a very small network
        return Span(0, count)
    return Span(count * member.number // member.size, count * (member.number + 1) // member.size)
