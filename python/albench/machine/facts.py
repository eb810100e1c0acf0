"""Facts about this run that belong beside its results: versions, hardware, memory."""

from __future__ import annotations

import contextlib
import json
import platform
import resource
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from albench.machine.limits import memory_bytes
from albench_core.cores import n_cores

_LIBRARIES = ("albench", "nnunetv2", "torch", "numpy", "scipy", "SimpleITK", "pandas")


def peak_rss_mib() -> float:
    """Largest resident size of this process so far, MiB."""
    # On Linux a process starts with its parent's ru_maxrss (kernel, exec_mmap), but with a VmHWM of its own.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes: getrusage(2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def utc_now() -> str:
    """Return the time in ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> str:
    """JSON object, library to version."""
    by_library = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            by_library[name] = version("al-bench" if name == "albench" else name)
        except PackageNotFoundError:
            by_library[name] = "absent"
    return json.dumps(by_library)


@cache
def code_version() -> str:
    """Version of this package."""
    return version("al-bench")


def cpuinfo(field: str) -> str:
    """Value of a field of the first processor in ``/proc/cpuinfo``; empty where the system has none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == field), "")


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively; without, it is slower than float32."""
    flags = cpuinfo("flags").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


@cache
def hardware() -> str:
    """Processor, and the cores and memory that this process may use, in one line."""
    model = cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{model}, {n_cores()} cores, {memory_bytes() / 2**30:.0f} GiB"
