"""The team of threads that work together on one compiled call: functions to join the team, and to wait at barriers.

A round is the work on one block of samples. Thread 0, the caller, opens one round after another. Other threads may join the
team at any time, and take part from the next round on. Before the first round, thread 0 waits for the expected threads, at most
for some milliseconds, because the system may be slow to start them. Results do not depend on the number of threads.

A team is an array of int64; its fields are a cache line apart.
"""

import platform
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from numbanet._compile import intrinsic, njit_merged, njit_part
from numbanet.engines.cpu.kernels.vector import pointer

JOINED, ROUND, POSITION, ARRIVED, PASSED, EXPECTED = range(0, 48, 8)
SPINS = 2000  # reads by a waiting thread before it gives up its core, for some ten microseconds each time
# The field ROUND holds the index of the round times MOST_THREADS plus the number of its threads, in one word, so that they are
# always read together. After the last round it holds CLOSED, and POSITION holds the position that the call has reached.
MOST_THREADS, CLOSED = 1 << 16, -1

_HAS_PAUSE = platform.machine() in ("x86_64", "AMD64")
_WINDOWS = platform.system() == "Windows"  # its Sleep counts milliseconds; 0 gives way to other threads
_sleep = types.ExternalFunction("Sleep" if _WINDOWS else "usleep", types.int32(types.uint32))
_NAP = np.uint32(0 if _WINDOWS else 20)
_NAPS = 20  # calls of _sleep by thread 0 while it waits for helpers: some milliseconds at most


class Member(NamedTuple):
    """A thread as a member of its team (the threads of one compiled call) in one round (the work on one block of samples).

    Parameters
    ----------
    team : (48,) int64
        The array through which the threads communicate; JOINED, ROUND, ... are the indices of its fields.
    number : int
        The index of the thread: 0 for the caller, 1 or more for a thread that helps it.
    size : int
        Number of threads that take part in the round; 0 after the last round.
    round : int
        The value of the field team[ROUND] in this round, which combines the index of the round and the number of its threads;
        only a helping thread uses it.
    """

    team: np.ndarray
    number: int
    size: int
    round: int


class Span(NamedTuple):
    """A range of indices begin, ..., end - 1, such as the samples or the tiles that one thread computes."""

    begin: int
    end: int


def new_team(helpers: int) -> np.ndarray:
    """Returns the array of a team whose only member is the caller, and which expects `helpers` more threads."""
    team = np.zeros(48, np.int64)
    team[EXPECTED] = helpers
    return team


@intrinsic
def fetch_add(typingctx, team, field, value):
    """Adds `value` to team[field] in one atomic operation; returns the value of the field before the addition."""

    def code(context, builder, signature, arguments):
        team, field, value = arguments
        return builder.atomic_rmw("add", pointer(context, builder, signature.args[0], team, field), value, "seq_cst")

    return types.int64(team, types.intp, types.int64), code


@intrinsic
def read(typingctx, team, field):
    """Returns team[field] (an acquire load): all memory written before `publish` set the field is then visible."""

    def code(context, builder, signature, arguments):
        return builder.load_atomic(pointer(context, builder, signature.args[0], *arguments), "acquire", 8)

    return types.int64(team, types.intp), code


@intrinsic
def publish(typingctx, team, field, value):
    """Sets team[field] = value (a release store): a thread that reads this value also sees all memory written before."""

    def code(context, builder, signature, arguments):
        team, field, value = arguments
        builder.store_atomic(value, pointer(context, builder, signature.args[0], team, field), "release", 8)
        return context.get_dummy_value()

    return types.void(team, types.intp, types.int64), code


@intrinsic
def pause(typingctx):
    """Tells the core that this thread is only waiting, if the core has an instruction for this purpose."""

    def code(context, builder, signature, arguments):
        if _HAS_PAUSE:
            instruction = builder.module.declare_intrinsic("llvm.x86.sse2.pause", fnty=ir.FunctionType(ir.VoidType(), []))
            builder.call(instruction, [])
        return context.get_dummy_value()

    return types.void(), code


@njit_merged
def wait_while(team, field, value):
    """Waits while team[field] equals `value`; returns as soon as another thread has changed it."""
    spins = 0
    while read(team, field) == value:
        spins += 1
        if spins < SPINS:
            pause()
        else:
            _sleep(_NAP)


@njit_part
def meet(team, size):
    """Waits until all `size` threads that work on the present block of samples have called this function."""
    passed = read(team, PASSED)
    if fetch_add(team, ARRIVED, 1) == size - 1:
        publish(team, ARRIVED, 0)
        publish(team, PASSED, passed + 1)
    else:
        wait_while(team, PASSED, passed)


@njit_merged
def barrier(member):
    """Waits until all threads that work on the present block of samples have reached this barrier."""
    if member.size > 1:
        meet(member.team, member.size)


@njit_merged
def join(team):
    """Adds the calling thread to the team; returns its index, 1 or more."""
    return fetch_add(team, JOINED, 1) + 1


@njit_merged
def await_helpers(team):
    """Makes thread 0 wait until all expected threads have joined, but at most for some milliseconds."""
    naps = 0
    while read(team, JOINED) < team[EXPECTED] and naps < _NAPS:
        _sleep(_NAP)
        naps += 1


@njit_merged
def enlist(team, helps):
    """Returns the calling thread as a member before the first round: a helping thread if `helps`, otherwise thread 0."""
    number = 0
    if helps:
        number = join(team)
    else:
        await_helpers(team)
    return Member(team, number, 1, 0)


@njit_merged
def open_round(team, position):
    """Starts the work on the block of samples at `position` (a round); called by thread 0.

    Returns the number of threads that take part, which are all threads that have joined so far.
    """
    size = read(team, JOINED) + 1
    publish(team, POSITION, position)
    publish(team, ROUND, (read(team, ROUND) // MOST_THREADS + 1) * MOST_THREADS + size)
    return size


@njit_merged
def await_round(team, number, seen):
    """Makes the helping thread `number` wait for the next block of samples on which it works, or for the end of the call.

    `seen` is the last value of team[ROUND] that the thread has read. Returns the new value of team[ROUND].
    """
    while True:
        wait_while(team, ROUND, seen)
        seen = read(team, ROUND)
        if seen == CLOSED or number < size_of(seen):
            return seen


@njit_merged
def size_of(round_):
    """Returns the number of threads that work on a block of samples, from the value `round_` of the field team[ROUND]."""
    return round_ % MOST_THREADS


@njit_merged
def next_round(member, position, stop):
    """Returns the thread as a member of the next round, and the position of the block of samples that the round computes.

    The size of the member is 0 if there is no further round. Thread 0 opens rounds until its position has reached `stop`; the
    helping threads wait for the rounds.
    """
    team, round_, size = member.team, member.round, 0
    if member.number > 0:
        round_ = await_round(team, member.number, round_)
        if round_ != CLOSED:
            size, position = size_of(round_), read(team, POSITION)
    elif position < stop:
        size = open_round(team, position)
    else:
        publish(team, POSITION, position)
        publish(team, ROUND, CLOSED)
    return Member(team, member.number, size, round_), position


@njit_merged
def thread_range(count, member):
    """Returns the range of indices of the pieces of work that this thread processes, out of `count` pieces in all."""
    if member.size == 1:  # the two divisions would be a tenth of a step of a very small network
        return Span(0, count)
    return Span(count * member.number // member.size, count * (member.number + 1) // member.size)
