"""What this process may use of the machine: containers and batch systems give it less than the machine has.

How many cores that is, the selection core knows (`albench_core.cores`). Functions take the file system's root as an
argument, for tests.
"""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path

import psutil

from albench.errors import InputError
from albench_core.cores import control_groups, words

_ROOT = Path("/")


def memory_limit(root: Path = _ROOT) -> int | None:
    """Bytes that this process and those beside it in its control group may use; None where nothing limits them."""
    files = ("memory.max", "memory.high", "memory.limit_in_bytes")
    groups = list(control_groups("memory", root))
    limits = [int(word) for group in groups for file in files for word in words(group / file) if word != "max"]
    # Version 1 says a number beyond all memory where there is no limit.
    return min((limit for limit in limits if limit < psutil.virtual_memory().total), default=None)


def memory_bytes(root: Path = _ROOT) -> int:
    """Memory that this process may use: the machine's, or its limit."""
    return memory_limit(root) or int(psutil.virtual_memory().total)


def shared_memory_bytes(folder: Path = Path("/dev/shm")) -> int | None:
    """Free bytes where Linux keeps shared memory and semaphores; 0: none may be kept there; None: not Linux."""
    if platform.system() != "Linux":
        return None
    if not os.access(folder, os.W_OK | os.X_OK):
        return 0
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


FEWEST_FILES, MANY_FILES = 64, 4096


def allow_open_files() -> None:
    """Raise this process's own limit of open files as far as it may; batches that travel between processes are files.

    Raises
    ------
    InputError
        It may have fewer than a run needs; torch would wait for ever for a file that could not be opened.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < FEWEST_FILES:
        raise InputError(f"open files: expected a limit of {FEWEST_FILES} or more (`ulimit -n`), found {most}")
