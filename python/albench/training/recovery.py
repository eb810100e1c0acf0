"""What a computation survives: a batch too large for the memory, a loader process that dies."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


class LoaderDiedError(RuntimeError):
    """A process that makes batches is gone."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on the GPU or on the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # torch has no class of its own for the host's
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def is_dead_loader(error: BaseException) -> bool:
    """Whether a process that makes batches was killed, most often by the system for want of memory."""
    if isinstance(error, LoaderDiedError):
        return True
    # torch has no class of its own; what a living process raised it passes on, beginning with "Caught"
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")


def halving(
    batch_size: int, attempt: Callable[[int], Result], note: Callable[[str], None], smallest: int = 1
) -> Result:
    """Return ``attempt(batch_size)``; where memory runs out, try again with half the batch, and again.

    Parameters
    ----------
    attempt
        Does the whole work with batches of the given size; what a failed attempt left does not matter to the next.
    note
        Takes a line about every retry.
    smallest
        Below this the error is let through.
    """
    while True:
        try:
            return attempt(batch_size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or batch_size // 2 < smallest:
                raise
        # Outside the handler: there the traceback still holds on to the tensors that filled the memory.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        note(f"out of memory with batches of {batch_size}, went on with {batch_size // 2}")
        batch_size //= 2
