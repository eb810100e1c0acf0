"""Random streams that depend on names alone: (data set, seed, round, component)."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Key = str | int


def _digest(key: tuple[Key, ...]) -> bytes:
    for part in key:
        if type(part) not in (str, int):  # a NumPy integer prints otherwise, and would draw another stream
            raise TypeError(f"key: expected str and int, got {type(part).__name__} in {key!r}")
    # A separator that repr never emits unescaped keeps ("a", "b") and ("a b",) apart.
    return hashlib.sha256("\x1f".join(repr(part) for part in key).encode()).digest()


def seed_for(*key: Key) -> int:
    """63-bit seed for a component, a pure function of `key`.

    Nothing else feeds it: not the order of calls, not the number of workers. Two strategies that name the
    same key therefore draw the same numbers, which is how they come to share splits and starting sets.
    """
    return int.from_bytes(_digest(key)[:8], "little") >> 1


def generator(*key: Key) -> np.random.Generator:
    """NumPy generator for a component, a pure function of `key`."""
    return np.random.default_rng(int.from_bytes(_digest(key)[:16], "little"))


@contextlib.contextmanager
def seeded(*key: Key) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators inside the block, then restore them.

    nnU-Net's loader and augmentation draw from all three.
    """
    import torch  # takes seconds to load, and names alone need none of it

    seed = seed_for(*key)
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    # manual_seed reseeds every GPU too
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def generator_states() -> dict[str, Any]:
    """States of Python's, NumPy's and torch's global generators, plain values and tensors; that of one GPU."""
    import torch

    name, numbers, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (name, np.asarray(numbers).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,  # type: ignore[no-untyped-call]
    }


def set_generator_states(states: Mapping[str, Any]) -> None:
    """Let the global generators go on from `generator_states`; what is none of these raises something."""
    import torch

    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"])
