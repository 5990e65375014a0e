"""Delays the handlers of signals that arrive while Numba compiles, so that Ctrl-C interrupts a compilation safely."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from numba.core import event
from numba.core.compiler_lock import global_compiler_lock


class _Signals(event.Listener):
    """Stores the signals that arrive during a compilation, and calls their handlers between two passes of the compiler.

    Within a compiler pass, LLVM calls Python functions through ctypes. If a signal handler raised an exception, such as
    KeyboardInterrupt, in a function that LLVM calls, ctypes would print and discard the exception, and LLVM would not get the
    function's result.
    """

    def __init__(self):
        signals = ((number, signal.getsignal(number)) for number in signal.valid_signals())
        self.handlers: dict[int, Callable] = {number: handler for number, handler in signals if callable(handler)}
        self.waiting: list[tuple[int, Any]] = []
        self.held = False

    def hold(self) -> None:
        self.held = True
        for number in self.handlers:
            signal.signal(number, self.note)

    def note(self, number: int, frame: Any) -> None:
        self.waiting.append((number, frame))
        if not self.held:
            self.handle()

    def handle(self) -> None:
        while self.waiting:
            number, frame = self.waiting.pop(0)
            self.handlers[number](number, frame)

    def on_start(self, event: Any) -> None:
        """Calls, before each compiler pass, the handlers of the signals that have arrived.

        Ctrl-C therefore need not wait for the end of the whole compilation, which may take seconds.
        """
        if threading.current_thread() is threading.main_thread():
            self.handle()

    def on_end(self, event: Any) -> None:
        pass

    def release(self) -> None:
        """Restores the original signal handlers, and calls the handlers of the signals that arrived during the compilation.

        The original handler of a signal is not restored if a new handler was set for the signal during the compilation.
        """
        self.held = False
        for number, handler in self.handlers.items():
            if signal.getsignal(number) == self.note:
                signal.signal(number, handler)
        self.handle()


_holding = False


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Returns a context manager that delays signal handlers while a function is compiled.

    In the with block, signal handlers run only when they can safely raise exceptions. Outside the main thread, the context
    manager does nothing, because Python calls signal handlers only in the main thread.
    """
    global _holding
    if _holding or threading.current_thread() is not threading.main_thread():
        yield
        return
    with global_compiler_lock:  # while another thread compiles, this thread waits, and handles signals at once
        signals = _Signals()
        try:
            _holding = True
            signals.hold()
            with event.install_listener("numba:run_pass", signals):
                yield
        finally:
            _holding = False
            signals.release()
