"""Which GPU a worker process sees."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from threading import BrokenBarrierError

import pytest
import torch

from albench.training.runtime import take_gpu, visible_gpus

_BARRIER = None


def _start(barrier: object, gpus: tuple[str, ...]) -> None:
    global _BARRIER  # noqa: PLW0603
    _BARRIER = barrier
    take_gpu(gpus)


def _seen() -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "device_count", lambda: 1)
        assert visible_gpus() == (os.environ["CUDA_VISIBLE_DEVICES"],)
    try:
        _BARRIER.wait(timeout=60)  # type: ignore[attr-defined]  # no worker gets two of these
    except BrokenBarrierError:
        return "alone"
    return os.environ["CUDA_VISIBLE_DEVICES"]


@pytest.mark.parametrize(
    ("named", "n_gpus", "expected"),
    [(None, 0, ()), (None, 3, ("0", "1", "2")), ("2,5", 2, ("2", "5")), ("2,-1,5", 1, ("2",)), ("", 0, ())],
)
def test_visible_gpus_are_named_as_cuda_names_them(
    named: str | None, n_gpus: int, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected


def test_workers_side_by_side_see_different_gpus() -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    with ProcessPoolExecutor(2, context, initializer=_start, initargs=(barrier, ("4", "7"))) as executor:
        seen = [future.result() for future in [executor.submit(_seen) for _ in range(2)]]
    assert sorted(seen) == ["4", "7"]
