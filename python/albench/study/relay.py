"""Progress of worker processes, sent through a pipe to the process that shows it."""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import select
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from albench.progress import Advance, Board

_EVENT_EVERY_S = 0.5
_MESSAGE_BYTES = select.PIPE_BUF - 4  # multiprocessing puts the length before a message
_REMOTE_TASKS = itertools.count()


class Remote:
    """Reporter of a worker process: sends what happens to the process that owns the terminal.

    Parameters
    ----------
    events
        Writing end of a `relay`'s pipe.
    """

    def __init__(self, events: Connection) -> None:
        self._events = events

    def say(self, text: str) -> None:
        """Send one line; one too long for a message is cut."""
        self._send("say", _shortened(text))

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """Send a task's progress, at most twice a second."""
        task, n_done, last = f"{os.getpid()}-{next(_REMOTE_TASKS)}", 0, 0.0

        def advance(note: str = "") -> None:
            nonlocal n_done, last
            n_done += 1
            if time.perf_counter() - last >= _EVENT_EVERY_S:
                last = time.perf_counter()
                self._send("step", task, n_done, _shortened(note))

        self._send("begin", task, _shortened(title), total)
        done = False
        try:
            yield advance
            done = True
        finally:
            self._send("end", task, done)

    def _send(self, *event: object) -> None:
        self._events.send_bytes(json.dumps(event).encode())


def _shortened(text: str) -> str:
    """Text that is sure to fit a message: JSON takes up to twelve bytes for a character."""
    longest = (_MESSAGE_BYTES - 200) // 12
    return text if len(text) <= longest else text[: longest - 1] + "…"


@contextlib.contextmanager
def relay(board: Board) -> Iterator[Connection]:
    """Show on `board` what `Remote` reporters send through the pipe that the block gets, until the block ends.

    A pipe without a lock, not a `multiprocessing.Queue`: a worker may be killed at any moment, and one that dies with
    the queue's lock in hand or half a message written would leave the reader waiting for ever. Writes of up to PIPE_BUF
    bytes are atomic (POSIX, write(2)), so every message is there whole or not at all.
    """
    reader, writer = multiprocessing.Pipe(duplex=False)

    def show() -> None:
        while True:
            kind, *values = json.loads(reader.recv_bytes())
            if kind == "stop":
                return
            # A terminal that has gone away is no reason to stop reading: workers would wait for room in the pipe.
            with contextlib.suppress(OSError):
                if kind == "end":
                    board.end(values[0], done=values[1])
                else:
                    getattr(board, kind)(*values)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield writer
    finally:
        writer.send_bytes(b'["stop"]')
        thread.join()
        writer.close()
        reader.close()
