"""How this process uses the processor and the GPUs: threads, memory allocator, number formats, which GPU."""

from __future__ import annotations

import ctypes
import os
import platform

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 2**30


def configure_cpu(n_threads: int) -> None:
    """Set torch's threads and let the C library keep freed memory.

    Every batch allocates and frees the same few hundred megabytes of activations. By default glibc returns such
    blocks to the system at once, and fetching them again, page by page, costs a fifth of a forward pass.
    """
    torch.set_num_threads(n_threads)
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)


def visible_gpus() -> tuple[str, ...]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    n_gpus = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",")[:n_gpus]) if named else tuple(map(str, range(n_gpus)))
