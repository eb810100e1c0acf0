"""Progress on the terminal: bars where it is one, plain lines where it is not."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY_S = 20.0
Advance = Callable[..., None]


class Reporter:
    """Says what is being done.

    Parameters
    ----------
    console
        Where to write; a terminal gets bars, anything else lines.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, markup=False, highlight=False)

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """Show a task; the block gets a function to call after each of its `total` steps.

        The function takes an optional note (e.g. the loss) as its only argument.
        """
        if self.console.is_terminal:
            yield from self._bar(title, total)
        else:
            yield from self._lines(title, total)

    def _bar(self, title: str, total: int | None) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=total, note="")

            def advance(note: str = "") -> None:
                progress.update(task, advance=1, note=note)

            started = time.perf_counter()
            yield advance
        self.say(f"{title}: {time.perf_counter() - started:.1f} s")

    def _lines(self, title: str, total: int | None) -> Iterator[Advance]:
        started = last = time.perf_counter()
        n_done = 0

        def advance(note: str = "") -> None:
            nonlocal last, n_done
            n_done += 1
            now = time.perf_counter()
            if now - last >= _LINE_EVERY_S:
                last = now
                of = f" of {total}" if total else ""
                self.say(f"{title}: {n_done}{of} after {now - started:.0f} s {note}".rstrip())

        yield advance
        self.say(f"{title}: {time.perf_counter() - started:.1f} s")


class Silent(Reporter):
    """Says nothing; for tests and library use."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
