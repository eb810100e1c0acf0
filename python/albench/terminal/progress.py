"""Progress on the terminal: bars where it is one, plain lines where it is not; also from worker processes."""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_EVERY_S = 20.0
_EVENT_EVERY_S = 0.5
_MESSAGE_BYTES = select.PIPE_BUF - 4  # multiprocessing puts the length before a message
Advance = Callable[..., None]


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        """Of one bar; nothing before there is something to go by."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


class Reporter(Protocol):
    """Says what is being done."""

    def say(self, text: str) -> None:
        """Print one line."""

    def task(self, title: str, total: int | None = None) -> contextlib.AbstractContextManager[Advance]:
        """Show a task; the block gets a function to call after each of its `total` steps.

        The function takes an optional note (e.g. the loss) as its only argument.
        """


class Silent:
    """Says nothing; for tests and library use."""

    def say(self, text: str) -> None:
        """Print nothing."""

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """Show nothing."""
        yield lambda note="": None


@dataclass
class _Task:
    title: str
    total: int | None
    started: float
    last_line: float
    bar: TaskID | None = None


class Terminal:
    """Shows tasks on standard error, several at a time.

    Parameters
    ----------
    console
        Where to write; a terminal gets bars, anything else lines.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, soft_wrap=True)
        self._bars: Progress | None = None
        self._tasks: dict[object, _Task] = {}
        self._lock = threading.Lock()
        self._ids = itertools.count()

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False, highlight=False)

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """Show a task of this process."""
        task, n_done = next(self._ids), 0

        def advance(note: str = "") -> None:
            nonlocal n_done
            n_done += 1
            self.step(task, n_done, note)

        self.begin(task, title, total)
        try:
            yield advance
        except BaseException:
            self.end(task, done=False)
            raise
        self.end(task, done=True)

    def begin(self, task: object, title: str, total: int | None) -> None:
        """Open a task under the name `task`."""
        with self._lock:
            now = time.perf_counter()
            shown = self._tasks[task] = _Task(title, total, now, now)
            if self._console.is_terminal:
                if self._bars is None:
                    self._bars = Progress(
                        TextColumn("{task.description}"),
                        BarColumn(),
                        MofNCompleteColumn(),
                        _Rate(),
                        TimeElapsedColumn(),
                        TimeRemainingColumn(),
                        TextColumn("{task.fields[note]}"),
                        console=self._console,
                        transient=True,
                    )
                    self._bars.start()
                shown.bar = self._bars.add_task(title, total=total, note="")

    def step(self, task: object, n_done: int, note: str) -> None:
        """Say how far a task is."""
        with self._lock:
            shown = self._tasks[task]
            if self._bars is not None and shown.bar is not None:
                self._bars.update(shown.bar, completed=n_done, note=note)
                return
            now = time.perf_counter()
            if now - shown.last_line >= _LINE_EVERY_S:
                shown.last_line = now
                of = f" of {shown.total}" if shown.total else ""
                seconds = now - shown.started
                self.say(f"{shown.title}: {n_done}{of} after {seconds:.0f} s, {n_done / seconds:.1f}/s {note}".rstrip())

    def end(self, task: object, *, done: bool) -> None:
        """Close a task."""
        with self._lock:
            shown = self._tasks.pop(task)
            if self._bars is not None and shown.bar is not None:
                self._bars.remove_task(shown.bar)
                if not self._tasks:
                    self._bars.stop()
                    self._bars = None
            if done:
                self.say(f"{shown.title}: {time.perf_counter() - shown.started:.1f} s")


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
def relay(terminal: Terminal) -> Iterator[Connection]:
    """Show on `terminal` what `Remote` reporters send through the pipe that the block gets, until the block ends.

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
                    terminal.end(values[0], done=values[1])
                else:
                    getattr(terminal, kind)(*values)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield writer
    finally:
        writer.send_bytes(b'["stop"]')
        thread.join()
        writer.close()
        reader.close()
