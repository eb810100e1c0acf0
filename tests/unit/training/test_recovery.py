"""Batches are halved where memory runs out, and only there."""

from __future__ import annotations

import pytest
import torch

from albench.training.recovery import LoaderDiedError, halving, is_dead_loader, is_out_of_memory

HOST = RuntimeError("[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), HOST], ids=type)
def test_batches_are_halved_until_they_fit(error: Exception) -> None:
    tried: list[int] = []
    notes: list[str] = []

    def attempt(batch_size: int) -> str:
        tried.append(batch_size)
        if batch_size > 3:
            raise error
        return "done"

    assert halving(13, attempt, notes.append) == "done"
    assert tried == [13, 6, 3]
    assert notes == [
        "out of memory with batches of 13, went on with 6",
        "out of memory with batches of 6, went on with 3",
    ]


def test_what_does_not_fit_at_all_is_an_error() -> None:
    tried: list[int] = []

    def attempt(batch_size: int) -> None:
        tried.append(batch_size)
        raise MemoryError

    with pytest.raises(MemoryError):
        halving(4, attempt, lambda line: None)
    assert tried == [4, 2, 1]


def test_other_errors_are_let_through_at_once() -> None:
    tried: list[int] = []

    def attempt(batch_size: int) -> None:
        tried.append(batch_size)
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        halving(4, attempt, lambda line: None)
    assert tried == [4]


def test_the_two_kinds_are_told_apart() -> None:
    dead = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    assert is_dead_loader(dead)
    assert is_dead_loader(LoaderDiedError("the connection broke"))
    assert not is_dead_loader(RuntimeError("Caught RuntimeError in DataLoader worker process 0."))
    assert not is_out_of_memory(dead)
    assert not is_dead_loader(HOST)
    # the host's message as this version of torch words it
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
