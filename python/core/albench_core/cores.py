"""How many cores this process may keep busy: containers and batch systems give it less than the machine has.

Linux keeps limits on groups of processes in control groups, of two versions; both are read, see cgroups(7) and the
kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst. Functions take the file system's root as an argument,
for tests.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_ROOT = Path("/")


def n_allowed_cores() -> int:
    """Cores that this process may run on, whatever its CPU quota."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def n_cores() -> int:
    """Cores that this process may keep busy: no more than its CPU quota pays for, part of a core counting as one."""
    cores, quota = n_allowed_cores(), cpu_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


@cache
def cpu_quota(root: Path = _ROOT) -> float | None:
    """Processor time that this process may use, seconds a second; None where nothing limits it."""
    quotas = []
    for group in control_groups("cpu", root):
        match [*words(group / "cpu.max"), *words(group / "cpu.cfs_quota_us"), *words(group / "cpu.cfs_period_us")]:
            case [("max" | "-1"), _]:
                pass
            case [quota, period]:
                quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def control_groups(controller: str, root: Path = _ROOT) -> Iterator[Path]:
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


def words(path: Path) -> list[str]:
    """Words of a file of a control group; none where there is no such file."""
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, or not for us to read
        return []
