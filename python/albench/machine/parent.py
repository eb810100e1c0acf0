"""Processes that end when the one that started them does, however that ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

_LOOK_EVERY_S = 0.5
_TO_TIDY_UP_S = 60.0


def end_with_parent() -> None:
    """Watch the parent from a thread, and end this process at once when that is gone; for processes of multiprocessing.

    Nobody would read what an orphan computes, a rerun would race it, and it would hold memory and locks for as long as
    it waits for somebody to take what it made. Every system gives an orphan another parent; an end of a pipe, which
    other forked processes hold as well, does not always close.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None
    threading.Thread(target=_watch, args=(parent.pid,), name="watches parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)


def stop_with_input() -> None:
    """Have this process stop as by SIGTERM when its standard input ends.

    That is a pipe whose other end is held by whoever started this process, however they end.
    """
    threading.Thread(target=_await_end_of_input, name="watches standard input", daemon=True).start()


def _await_end_of_input() -> None:
    # not sys.stdin: a thread that waits in it has Python abort where it exits meanwhile
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_TO_TIDY_UP_S)
    os._exit(128 + signal.SIGTERM)
