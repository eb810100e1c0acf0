"""Cores, memory, shared memory, open files: what this process may use."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import psutil

from albench.doctor.finding import Finding
from albench.machine.facts import cpuinfo
from albench.machine.limits import FEWEST_FILES, MANY_FILES
from albench.machine.placement import CHAIN_BYTES, LOADER_SHARED_BYTES, PARENT_BYTES, Machine


def check_cores(machine: Machine) -> Iterator[Finding]:
    """Cores by affinity and by CPU quota."""
    text = f"{machine.n_cores} of {psutil.cpu_count() or machine.n_cores}"
    if machine.n_cores < machine.n_allowed_cores:
        text += f" by a CPU quota of {machine.cpu_quota:g}"
    elif machine.n_allowed_cores < (psutil.cpu_count() or 0):
        text += " by affinity"
    model = cpuinfo("model name")
    cure = ""
    if machine.n_cores < 2:
        cure = "give the process more cores (container: --cpus; batch system: cpus-per-task): one trains for very long"
    yield Finding("cores", text + (f", {model}" if model else ""), cure)


def check_memory(machine: Machine, available: int | None = None) -> Iterator[Finding]:
    """Whether one chain of the quick protocol fits, by the control group's limit too."""
    needed = PARENT_BYTES + CHAIN_BYTES
    free = min(machine.memory, psutil.virtual_memory().available if available is None else available)
    text = f"{machine.memory / 2**30:.1f} GiB{' by a limit' if machine.is_memory_limited else ''}"
    text += f", {free / 2**30:.1f} GiB free"
    cure = ""
    if machine.memory < needed:
        cure = f"allow {needed / 2**30:.1f} GiB or more (container: --memory; batch system: mem): a run may be killed"
    elif free < needed:
        cure = f"end what uses the memory: a run of one chain takes {needed / 2**30:.1f} GiB"
    yield Finding("memory", text, cure)


def check_shared_memory(machine: Machine) -> Iterator[Finding]:
    """Whether processes can hand each other batches, and be several at all."""
    name, size = "shared memory", machine.shared_memory
    if size is None:
        yield Finding(name, "not Linux: chains make their batches themselves")
    elif size == 0:
        cure = "mount a tmpfs at /dev/shm that this user may write to (container: --shm-size=2g); till then one process"
        yield Finding(name, "none: /dev/shm cannot be written to", cure)
    else:
        little = size < LOADER_SHARED_BYTES
        cure = "container: --shm-size=2g; till then batches go through pipes, which is slower" if little else ""
        yield Finding(name, f"/dev/shm with {size / 2**20:.0f} MiB free", cure)


def check_open_files() -> Iterator[Finding]:
    """Batches that travel between processes are open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    cure = f"raise the limit (`ulimit -n {MANY_FILES}`): a run needs {FEWEST_FILES}" if most < FEWEST_FILES else ""
    shown = ["no limit" if each == resource.RLIM_INFINITY else str(each) for each in (soft, hard)]
    yield Finding("open files", f"{shown[0]}, at most {shown[1]}", cure)
