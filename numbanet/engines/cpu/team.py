"""Functions with which threads join a team (the threads of one compiled call) and wait for each other.

The threads of a team work together on one compiled call. In training, the work on one block of samples is called a round.
Thread 0, which is the thread that called the engine, decides when the work on each block of samples begins. Other threads may
join the team at any time, and take part in the work from the next round (block of samples) on. Because the operating system may
start the other threads slowly, thread 0 waits for the other threads before the first block of samples, but only for a few
milliseconds. The computed results do not depend on the number of threads.

In predictions and evaluations, each thread takes the next block of samples, and computes all layers for this block alone. This
work is called a turn. During turns, no thread waits for another thread; at the end of the call, thread 0 waits for all helping
threads.

A team (the threads of one compiled call) is represented by an int64 array, whose fields lie in separate cache lines.
"""

import platform
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from numbanet._compile import intrinsic, njit_merged, njit_part
from numbanet.engines.cpu.kernels.vector import pointer

JOINED, ROUND, POSITION, ARRIVED, PASSED, EXPECTED, INVALID = range(0, 56, 8)
SPINS = 2000  # number of times that a waiting thread reads a field before it begins to sleep for some microseconds at a time
# The field ROUND holds the index of the round, times MOST_THREADS, plus the number of the round's threads. The index and the
# number are in one word, so that a thread always reads both together. After the last round, the field ROUND holds CLOSED, and
# the field POSITION holds the position that the call has reached.
MOST_THREADS, CLOSED = 1 << 16, -1

_HAS_PAUSE = platform.machine() in ("x86_64", "AMD64")
_WINDOWS = platform.system() == "Windows"  # on Windows, Sleep takes milliseconds, and Sleep(0) lets other threads run
_sleep = types.ExternalFunction("Sleep" if _WINDOWS else "usleep", types.int32(types.uint32))
_NAP = np.uint32(0 if _WINDOWS else 20)
_NAPS = 20  # largest number of times that thread 0 sleeps while it waits for helping threads: a few milliseconds altogether


class Member(NamedTuple):
    """A thread as a member of its team (the threads of one compiled call) in one round (the work on one block of samples).

    Parameters
    ----------
    team : (56,) int64
        The array through which the threads communicate. The constants JOINED, ROUND, POSITION, ... are the indices of the
        array's fields.
    number : int
        The index of the thread: 0 for the calling thread, 1 or more for a thread that helps the calling thread.
    size : int
        Number of threads that work in the round; 0 if no round is left.
    round : int
        The value of team[ROUND] in this round, which combines the index of the round and the number of its threads. Thread 0
        does not use the field `round`.
    """

    team: np.ndarray
    number: int
    size: int
    round: int


class Span(NamedTuple):
    """The range of indices begin, ..., end - 1, for example of the samples or the tiles that a thread computes."""

    begin: int
    end: int


def new_team(helpers: int) -> np.ndarray:
    """Returns the int64 array that represents a new team (the threads of one compiled call).

    At first, the only member is the calling thread, which expects `helpers` more threads to join.
    """
    team = np.zeros(56, np.int64)
    if helpers:
        team[EXPECTED] = helpers
    return team


@intrinsic
def fetch_add(typingctx, team, field, value):
    """Adds `value` to team[field] in one atomic operation, and returns the value of the field before the addition."""

    def code(context, builder, signature, arguments):
        team, field, value = arguments
        return builder.atomic_rmw("add", pointer(context, builder, signature.args[0], team, field), value, "seq_cst")

    return types.int64(team, types.intp, types.int64), code


@intrinsic
def read(typingctx, team, field):
    """Returns team[field], read with an acquire load.

    If another thread has set the returned value with `publish`, this thread now sees everything that the other thread wrote to
    memory before it called `publish`.
    """

    def code(context, builder, signature, arguments):
        return builder.load_atomic(pointer(context, builder, signature.args[0], *arguments), "acquire", 8)

    return types.int64(team, types.intp), code


@intrinsic
def publish(typingctx, team, field, value):
    """Sets team[field] = value with a release store.

    A thread that reads `value` from the field with `read` then sees everything that the publishing thread wrote to memory
    before it called `publish`.
    """

    def code(context, builder, signature, arguments):
        team, field, value = arguments
        builder.store_atomic(value, pointer(context, builder, signature.args[0], team, field), "release", 8)
        return context.get_dummy_value()

    return types.void(team, types.intp, types.int64), code


@intrinsic
def pause(typingctx):
    """Tells an x86 CPU core that this thread is only waiting; on other CPUs, does nothing."""

    def code(context, builder, signature, arguments):
        if _HAS_PAUSE:
            instruction = builder.module.declare_intrinsic("llvm.x86.sse2.pause", fnty=ir.FunctionType(ir.VoidType(), []))
            builder.call(instruction, [])
        return context.get_dummy_value()

    return types.void(), code


@njit_merged
def wait_while(team, field, value):
    """Waits as long as team[field] equals `value`, that is, until another thread changes the field."""
    spins = 0
    while read(team, field) == value:
        spins += 1
        if spins < SPINS:
            pause()
        else:
            _sleep(_NAP)


@njit_part
def meet(team, size):
    """Waits until all `size` threads that work on the current block of samples have called this function."""
    passed = read(team, PASSED)
    if fetch_add(team, ARRIVED, 1) == size - 1:
        publish(team, ARRIVED, 0)
        publish(team, PASSED, passed + 1)
    else:
        wait_while(team, PASSED, passed)


@njit_merged
def barrier(member):
    """Waits until all threads that work on the current block of samples have reached this barrier."""
    if member.size > 1:
        meet(member.team, member.size)


@njit_merged
def join(team):
    """Adds the current thread to the team, and returns the index of the thread in the team, which is 1 or more."""
    return fetch_add(team, JOINED, 1) + 1


@njit_merged
def await_helpers(team):
    """Makes thread 0 wait until all expected threads have joined the team, but at most for a few milliseconds."""
    naps = 0
    while read(team, JOINED) < team[EXPECTED] and naps < _NAPS:
        _sleep(_NAP)
        naps += 1


@njit_merged
def enlist(team, helps, waits):
    """Returns a `Member` for the current thread, to be used until the thread gets its first block of samples.

    If `helps` is true, the thread is a helping thread; otherwise it is thread 0, which waits for the helping threads if `waits`
    is true.
    """
    number = 0
    if helps:
        number = join(team)
    elif waits:
        await_helpers(team)
    return Member(team, number, 1, 0)


@njit_merged
def open_round(team, position):
    """Begins a round: lets the threads of the team work on the block of samples that begins at `position`.

    Only thread 0 calls `open_round`. Returns the number of threads that work in the round, which is the number of threads that
    have joined so far.
    """
    size = read(team, JOINED) + 1
    publish(team, POSITION, position)
    publish(team, ROUND, (read(team, ROUND) // MOST_THREADS + 1) * MOST_THREADS + size)
    return size


@njit_merged
def await_round(team, number, seen):
    """Makes the helping thread `number` wait for the next round in which the thread works, or for the end of the call.

    A round is the work on one block of samples. `seen` is the last value of team[ROUND] that the thread has read. Returns the
    new value of team[ROUND], which encodes the index of the round and the number of its threads.
    """
    while True:
        wait_while(team, ROUND, seen)
        seen = read(team, ROUND)
        if seen == CLOSED or number < size_of(seen):
            return seen


@njit_merged
def size_of(round_):
    """Returns the number of threads that work in a round; `round_` is the value of team[ROUND] in this round."""
    return round_ % MOST_THREADS


@njit_merged
def next_round(member, position, stop):
    """Returns a `Member` for the thread in the next round, and the position of the block of samples that the round computes.

    A round is the work on one block of samples. If no round is left, the member's size is 0. If the current thread is thread 0,
    it begins a round, unless `position` has reached `stop`. A helping thread waits until thread 0 begins a round.
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
def next_turn(member, count, stop):
    """Takes the next `count` samples for the current thread, which processes them alone.

    Returns a `Member` for the thread, and the position of the first sample taken. If other threads have already taken all
    samples up to the position `stop`, the member's size is 0.
    """
    position = fetch_add(member.team, POSITION, count)
    return Member(member.team, member.number, 1 if position < stop else 0, member.round), position


@njit_merged
def finish(member):
    """Tells thread 0 that a helping thread has processed its last samples; in thread 0, waits for all helping threads."""
    team = member.team
    if member.number > 0:
        fetch_add(team, ARRIVED, 1)
    else:
        finished = read(team, ARRIVED)
        while finished < read(team, JOINED):
            wait_while(team, ARRIVED, finished)
            finished = read(team, ARRIVED)


@njit_merged
def thread_range(count, member):
    """Divides `count` items, such as samples or tiles, among the threads, and returns the range of this thread's items."""
    if member.size == 1:  # the two divisions below would take a tenth of a very small network's training step
        return Span(0, count)
    return Span(count * member.number // member.size, count * (member.number + 1) // member.size)
