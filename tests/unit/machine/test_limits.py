"""Limits read from control groups, made as files the way kernel, Docker and systemd lay them out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from albench.machine.limits import memory_bytes, memory_limit, shared_memory_bytes
from albench_core import cores
from albench_core.cores import cpu_quota

V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
ROOT_MOUNT = "23 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
UNLIMITED_V1 = "9223372036854771712"


def system(root: Path, own: str, mounts: str, files: dict[str, str]) -> Path:
    """Lay out /proc and /sys below `root`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    (root / "proc/self/mountinfo").write_text(ROOT_MOUNT + mounts)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


def v1(controllers: str, shown: str = "/") -> str:
    return f"32 31 0:29 {shown} /sys/fs/cgroup/{controllers} ro,nosuid - cgroup cgroup rw,{controllers}\n"


def test_version_2_in_a_container(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/\n", V2, {"cpu.max": "150000 100000", "memory.max": str(2**30)})
    assert cpu_quota(root) == 1.5
    assert memory_limit(root) == memory_bytes(root) == 2**30


def test_version_2_without_limits(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/\n", V2, {"cpu.max": "max 100000", "memory.max": "max", "memory.high": "max"})
    assert cpu_quota(root) is None
    assert memory_limit(root) is None
    assert memory_bytes(root) == psutil.virtual_memory().total


def test_version_2_the_tightest_of_the_groups_around_counts(tmp_path: Path) -> None:
    files = {
        "cpu.max": "max 100000",
        "user.slice/cpu.max": "50000 100000",
        "user.slice/job/cpu.max": "400000 100000",
        "user.slice/other/cpu.max": "1000 100000",
        "user.slice/memory.max": str(4 * 2**30),
        "user.slice/job/memory.max": "max",
        "user.slice/job/memory.high": str(3 * 2**30),
        "user.slice/other/memory.max": str(2**20),
    }
    root = system(tmp_path, "0::/user.slice/job\n", V2, files)
    assert cpu_quota(root) == 0.5
    assert memory_limit(root) == 3 * 2**30


@pytest.mark.parametrize("shown", ["/docker/abc", "/"])
def test_version_1_in_a_container(tmp_path: Path, shown: str) -> None:
    """Docker shows a container its own group at the mount point; /proc names it as it is called outside."""
    own = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n"
    inside = "" if shown == "/docker/abc" else "docker/abc/"
    files = {
        f"cpu,cpuacct/{inside}cpu.cfs_quota_us": "50000",
        f"cpu,cpuacct/{inside}cpu.cfs_period_us": "100000",
        f"memory/{inside}memory.limit_in_bytes": str(6 * 2**30),
    }
    root = system(tmp_path, own, v1("cpu,cpuacct", shown) + v1("memory", shown), files)
    assert cpu_quota(root) == 0.5
    assert memory_limit(root) == min(6 * 2**30, psutil.virtual_memory().total)


def test_version_1_without_limits(tmp_path: Path) -> None:
    files = {
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": UNLIMITED_V1,
    }
    root = system(tmp_path, "4:memory:/\n1:cpu:/\n", v1("cpu") + v1("memory"), files)
    assert cpu_quota(root) is None
    assert memory_limit(root) is None


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    """Systemd's hybrid layout: version 2 is mounted too, but has no controllers."""
    unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    files = {
        "unified/job/cgroup.procs": "1",
        "cpu/job/cpu.cfs_quota_us": "200000",
        "cpu/job/cpu.cfs_period_us": "100000",
    }
    root = system(tmp_path, "1:cpu:/job\n0::/job\n", unified + v1("cpu"), files)
    assert cpu_quota(root) == 2.0


def test_a_group_by_a_name_that_is_not_mounted_here(tmp_path: Path) -> None:
    """In a namespace of its own a process may read a path that leads above what it sees."""
    root = system(tmp_path, "0::/../other\n", V2.replace(" / ", " /pod ", 1), {"cpu.max": "300000 100000"})
    assert cpu_quota(root) == 3.0


def test_no_control_groups(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert memory_limit(tmp_path) is None


@pytest.mark.parametrize(("quota", "n_cores"), [(None, 4), (0.2, 1), (1.0, 1), (1.5, 2), (2.0, 2), (9.0, 4)])
def test_cores_by_quota(monkeypatch: pytest.MonkeyPatch, quota: float | None, n_cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert cores.n_allowed_cores() == 4
    assert cores.n_cores() == n_cores


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "shm"
    folder.mkdir(mode=0o500)
    yield folder
    folder.chmod(0o700)


def test_shared_memory(tmp_path: Path) -> None:
    free = shared_memory_bytes(tmp_path)
    assert free is not None
    assert 0 < free < psutil.disk_usage(str(tmp_path)).total
    assert shared_memory_bytes(tmp_path / "absent") == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_shared_memory_that_is_not_ours(unwritable: Path) -> None:
    assert shared_memory_bytes(unwritable) == 0


def test_real_machine() -> None:
    """Whatever limits this machine sets, they are of a kind that exists."""
    assert 1 <= cores.n_cores() <= cores.n_allowed_cores()
    quota = cpu_quota()
    assert quota is None or quota > 0
    assert 2**27 < memory_bytes() <= psutil.virtual_memory().total
