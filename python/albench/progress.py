"""How long work says what it is doing; whoever starts it decides where that is shown."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Protocol

Advance = Callable[..., None]


class Reporter(Protocol):
    """Says what is being done."""

    def say(self, text: str) -> None:
        """Print one line."""

    def task(self, title: str, total: int | None = None) -> contextlib.AbstractContextManager[Advance]:
        """Show a task; the block gets a function to call after each of its `total` steps.

        The function takes an optional note (e.g. the loss). With ``at=n`` it says instead that `n` steps were done
        before the work began, or goes on.
        """


class Board(Reporter, Protocol):
    """Reporter that shows tasks of other processes as well, each under a name that its process gave it."""

    def begin(self, task: object, title: str, total: int | None) -> None:
        """Open a task under the name `task`."""

    def step(self, task: object, n_done: int, note: str, began_at: int = 0) -> None:
        """Say how far a task is, `began_at` steps of it done before."""

    def end(self, task: object, *, done: bool) -> None:
        """Close a task."""


class Silent:
    """Says nothing; for tests and library use."""

    def say(self, text: str) -> None:
        """Print nothing."""

    @contextlib.contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Advance]:
        """Show nothing."""
        yield lambda note="", at=None: None

    def begin(self, task: object, title: str, total: int | None) -> None:
        """Show nothing."""

    def step(self, task: object, n_done: int, note: str, began_at: int = 0) -> None:
        """Show nothing."""

    def end(self, task: object, *, done: bool) -> None:
        """Show nothing."""


SILENT = Silent()


class Count:
    """Steps of a task.

    Attributes
    ----------
    n_done
        Of all steps.
    began_at
        Of these, steps that were done before.
    """

    def __init__(self) -> None:
        self.n_done = self.began_at = 0

    def advance(self, at: int | None = None) -> None:
        """Count one more; or so many, done before."""
        if at is None:
            self.n_done += 1
        else:
            self.n_done = self.began_at = at


def every(n: int, advance: Advance) -> Callable[[], None]:
    """Return what calls `advance` at every `n`-th call: what takes `n` passes over units counts units nevertheless."""
    calls = itertools.count(1)

    def advanced() -> None:
        if next(calls) % n == 0:
            advance()

    return advanced
