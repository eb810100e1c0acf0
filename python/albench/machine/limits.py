"""What this process may use of the machine: containers and batch systems give it less than the machine has.

Linux keeps limits on groups of processes in control groups, of two versions; both are read, see cgroups(7) and the
kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst. Functions take the file system's root as an argument,
for tests.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil

_ROOT = Path("/")


@cache
def cpu_quota(root: Path = _ROOT) -> float | None:
    """Processor time that this process may use, seconds a second; None where nothing limits it."""
    quotas = []
    for group in _control_groups("cpu", root):
        match [*_words(group / "cpu.max"), *_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]:
            case [("max" | "-1"), _]:
                pass
            case [quota, period]:
                quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def memory_limit(root: Path = _ROOT) -> int | None:
    """Bytes that this process and those beside it in its control group may use; None where nothing limits them."""
    files = ("memory.max", "memory.high", "memory.limit_in_bytes")
    groups = list(_control_groups("memory", root))
    found = [int(word) for group in groups for file in files for word in _words(group / file) if word != "max"]
    # Version 1 says a number beyond all memory where there is no limit.
    return min((limit for limit in found if limit < psutil.virtual_memory().total), default=None)


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


def _control_groups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of the groups this process is in, its own and those around it, as far as they can be seen from here."""
    own: dict[str, str] = {}  # path of the group by controller; version 2's goes by the empty name
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        _, _, _, shown, mounted_at, *_ = before.split()
        kind, _, options = after.split(maxsplit=2)
        name = {"cgroup": controller, "cgroup2": ""}.get(kind)
        if name is None or name not in own or (name and name not in options.split(",")):
            continue
        top = root / mounted_at.lstrip("/")
        # A container may see its own group alone, by its name outside or as the root.
        inside = Path(own[name])
        folder = top / inside.relative_to(shown) if inside.is_relative_to(shown) else top
        while folder != top:
            yield folder
            folder = folder.parent
        yield top


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, or not for us to read
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
