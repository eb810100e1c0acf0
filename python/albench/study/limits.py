"""What a part of a study ran into, in one line that says where: memory, disk, limits of the process, no numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from albench.errors import InputError
from albench.machine.files import writing_to
from albench.machine.limits import memory_bytes
from albench.machine.text import reason

_NO_MEMORY = ("DefaultCPUAllocator", "CUDA out of memory", "could not create a primitive", "std::bad_alloc")
_NO_THREAD = ("can't start new thread",)


@contextlib.contextmanager
def named(title: str, folder: Path) -> Iterator[None]:
    """Say of which part of a study an error is, where the user can do something about it.

    Parameters
    ----------
    title
        Of the part.
    folder
        That it writes to.

    Raises
    ------
    InputError
        Memory, disk or a limit of the process is exhausted, or numbers that are none came of a computation.
    """
    try:
        with writing_to(folder):
            yield
    except FloatingPointError as error:
        raise InputError(f"{title}: {error}") from error
    except (MemoryError, RuntimeError) as error:
        message = reason(error)
        if isinstance(error, MemoryError) or any(words in message for words in _NO_MEMORY):
            raise InputError(
                f"{title}: out of memory ({message}); {memory_bytes() / 2**30:.1f} GiB are there for all processes, "
                f"less where `ulimit -v` says so; fewer --jobs need less"
            ) from error
        if any(words in message for words in _NO_THREAD):
            raise InputError(f"{title}: {message}; `ulimit -u` and `ulimit -v` have the limits") from error
        raise
