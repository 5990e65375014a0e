"""Signals that arrive while Numba compiles."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from numba.core import event
from numba.core.compiler_lock import global_compiler_lock


class _Signals(event.Listener):
    """Signal handlers, and the signals that wait for them.

    The handlers are called between two passes of the compiler. LLVM calls Python through ctypes; if a handler raises an
    exception, such as KeyboardInterrupt, in such a call, ctypes prints and drops it, and LLVM lacks the result of the call.
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
        """Calls the handlers before a pass of the compiler, because a long compilation would keep the signals for seconds."""
        if threading.current_thread() is threading.main_thread():
            self.handle()

    def on_end(self, event: Any) -> None:
        pass

    def release(self) -> None:
        """Restores the handlers, unless one of them has set another, and calls those whose signals wait."""
        self.held = False
        for number, handler in self.handlers.items():
            if signal.getsignal(number) == self.note:
                signal.signal(number, handler)
        self.handle()


_holding = False


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Returns a context for a compilation in the main thread: handlers of signals run only where they may raise exceptions."""
    global _holding
    if _holding or threading.current_thread() is not threading.main_thread():
        yield
        return
    with global_compiler_lock:  # while another thread compiles, signals are handled at once
        signals = _Signals()
        try:
            _holding = True
            signals.hold()
            with event.install_listener("numba:run_pass", signals):
                yield
        finally:
            _holding = False
            signals.release()
