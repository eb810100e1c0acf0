"""Progress on the terminal: bars where it is one, plain lines where it is not."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

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

from albench.progress import Advance, Count

_LINE_EVERY_S = 20.0


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        """Of one bar; nothing before there is something to go by."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


@dataclass
class _Task:
    title: str
    total: int | None
    started: float
    last_line: float
    bar: TaskID | None = None
    began_at: int = 0


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
        task, count = next(self._ids), Count()

        def advance(note: str = "", at: int | None = None) -> None:
            count.advance(at)
            self.step(task, count.n_done, note, count.began_at)

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
                        TextColumn("{task.description}", markup=False),
                        BarColumn(),
                        MofNCompleteColumn(),
                        _Rate(),
                        TimeElapsedColumn(),
                        TimeRemainingColumn(),
                        TextColumn("{task.fields[note]}", markup=False),
                        console=self._console,
                        transient=True,
                    )
                    self._bars.start()
                shown.bar = self._bars.add_task(title, total=total, note="")

    def step(self, task: object, n_done: int, note: str, began_at: int = 0) -> None:
        """Say how far a task is; what was done before counts for no rate."""
        with self._lock:
            shown, now = self._tasks[task], time.perf_counter()
            if began_at != shown.began_at:
                shown.began_at, shown.started = began_at, now
                if self._bars is not None and shown.bar is not None:
                    self._bars.reset(shown.bar, completed=began_at)
            if self._bars is not None and shown.bar is not None:
                self._bars.update(shown.bar, completed=n_done, note=note)
                return
            if now - shown.last_line >= _LINE_EVERY_S:
                shown.last_line = now
                of = f" of {shown.total}" if shown.total else ""
                seconds = max(now - shown.started, 1e-6)
                rate = (n_done - began_at) / seconds
                self.say(f"{shown.title}: {n_done}{of} after {seconds:.0f} s, {rate:.1f}/s {note}".rstrip())

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
