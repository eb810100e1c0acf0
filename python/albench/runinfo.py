"""Facts about this run that belong beside its results: versions, hardware, memory."""

from __future__ import annotations

import json
import os
import platform
import resource
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

import albench

_LIBRARIES = ("albench", "nnunetv2", "torch", "numpy", "scipy", "SimpleITK", "pandas")


def peak_rss_mib() -> float:
    """Largest resident size of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def utc_now() -> str:
    """Return the time in ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> str:
    """JSON object, library to version."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version("al-bench" if name == "albench" else name)
        except PackageNotFoundError:
            found[name] = "absent"
    return json.dumps(found)


@cache
def code_version() -> str:
    """Version of this package."""
    return albench.__version__


@cache
def hardware() -> str:
    """Processor, cores this process may use, and memory, in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"
