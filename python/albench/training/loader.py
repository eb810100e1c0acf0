"""nnU-Net's batches, the same ones at any number of loader processes."""

from __future__ import annotations

import contextlib
import functools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from nnunetv2.training.dataloading import data_loader
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from threadpoolctl import ThreadpoolController
from torch.utils.data import DataLoader, Dataset

from albench.machine.parent import end_with_parent
from albench.seeding import Key, seeded
from albench.training.recovery import LoaderDiedError

_REPORT_WITHIN_S = 1.0
_LINGER_S = 10


@functools.cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def _limit_threads(limits: int, user_api: str | None) -> contextlib.AbstractContextManager[Any]:
    limiter: contextlib.AbstractContextManager[Any] = _thread_pools().limit(limits=limits, user_api=user_api)
    return limiter


# nnU-Net limits its threads anew for every batch, and threadpool_limits looks for the process's libraries each time:
# 4 % of a training on one core.
data_loader.threadpool_limits = _limit_threads


class _Batches(Dataset[dict[str, Any]]):
    """Batch i is a pure function of (key, i), so neither order nor process count changes what is learned."""

    def __init__(self, source: nnUNetDataLoader, first: int, n_batches: int, key: tuple[Key, ...]) -> None:
        self._source = source
        self._first = first
        self._n_batches = n_batches
        self._key = key

    def __len__(self) -> int:
        return self._n_batches - self._first

    def __getitem__(self, index: int) -> dict[str, Any]:
        with seeded(*self._key, self._first + index):
            batch: dict[str, Any] = self._source.generate_train_batch()
        return {"data": batch["data"], "target": batch["target"]}


def batches(
    source: nnUNetDataLoader,
    *,
    n_batches: int,
    key: tuple[Key, ...],
    n_workers: int,
    shared_memory: bool = True,
    first: int = 0,
) -> Iterator[dict[str, Any]]:
    """Iterate over `n_batches` augmented batches of nnU-Net's loader, or over those from the number `first` on.

    Parameters
    ----------
    source
        nnU-Net's loader, transforms included.
    key
        Names of the random stream; batch i draws from (key, i).
    n_workers
        Loader processes; 0 loads in this process.
    shared_memory
        Whether loader processes hand over tensors, which torch puts into shared memory. Where that is small (64 MB is
        a container's default) they would die, or wait for ever; arrays go through a pipe instead.
    """
    through_pipes = n_workers > 0 and not shared_memory
    loader: DataLoader[Any] = DataLoader(
        _Batches(source, first, n_batches, key),
        batch_size=None,
        shuffle=False,
        num_workers=n_workers,
        prefetch_factor=4 if n_workers else None,
        # Spawned ones, the default of some systems and versions, load torch and nnU-Net anew for every training.
        multiprocessing_context="fork" if n_workers else None,
        collate_fn=_as_arrays if through_pipes else None,
        worker_init_fn=_begin if n_workers else None,
    )
    # Here, not at the first batch: it draws from torch's generator, which by then is the dropout's.
    iterator = iter(loader)
    if n_workers == 0:
        return iterator
    watched = _watched(iterator)
    return map(_as_tensors, watched) if through_pipes else watched


def _begin(number: int) -> None:
    """Begin a loader process. torch's own look for an orphan, and then wait for somebody to empty their pipe.

    Who asks all processes of a job to end, as batch systems do, asks the one that trains as well: that one needs its
    batch yet, saves the training and ends, and this one with it.
    """
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_LINGER_S))


def _watched(iterator: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Pass on what loader processes made, and call a dead one by that name however its death shows.

    torch raises ``RuntimeError`` as soon as the system reports the death. The sockets of a killed process close before
    that, and who fetches a tensor through one just then sees a broken connection.
    """
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except (ConnectionError, EOFError) as error:
            if str(error).startswith("Caught "):  # raised in a loader process, which lives, and passed on
                raise
            time.sleep(_REPORT_WITHIN_S)  # torch's handler interrupts it and says which process it was
            raise LoaderDiedError(f"the connection to a loader process broke: {error!r}") from error
        yield batch


def _as_arrays(batch: Any) -> dict[str, Any]:
    return {name: _each(torch.Tensor.numpy, value) for name, value in batch.items()}


def _as_tensors(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: _each(torch.from_numpy, value) for name, value in batch.items()}


def _each(convert: Callable[[Any], Any], value: Any) -> Any:
    """Convert a tensor or array, or each of a list: targets with deep supervision are one a resolution."""
    return [convert(each) for each in value] if isinstance(value, list) else convert(value)
