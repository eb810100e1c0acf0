"""Signals that ask this process to end: raised as an interruption, or held back until a stop costs nothing."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_AGAIN_S = 3.0
_repeats = False


def interrupt_at_sigterm(note: Callable[[], None]) -> None:
    """Have SIGTERM stop everything the way Ctrl-C does: `docker stop` and batch systems at their time limit ask so.

    Nothing changes where the caller of this process ignores the signal.

    Parameters
    ----------
    note
        Called when it comes.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        global _repeats  # noqa: PLW0603 - one process has one timer
        note()
        # Python drops what is raised inside its own callbacks, at a fork for instance: again until it gets through.
        _repeats = True
        signal.signal(signal.SIGALRM, terminate)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, terminate)


def interruption_got_through() -> None:
    """Raise no more of what `interrupt_at_sigterm` raised: whoever calls this is ending."""
    global _repeats  # noqa: PLW0603
    if _repeats:
        _repeats = False
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Hold back SIGTERM and Ctrl-C for a block, which is given a function that says whether one came.

    The block should end soon then; after it the signal does what it did before. A second Ctrl-C does so at once, a
    second SIGTERM does not: batch systems send it to every process, and the parent of this one may pass it on. Signals
    that are ignored stay so. Outside of the main thread, which alone gets signals, nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    ours = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if came.count(signal.SIGINT) > 1:
            raise KeyboardInterrupt

    for number in ours:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[-1])
