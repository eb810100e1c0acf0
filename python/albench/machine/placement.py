"""How many processes a run gets, from what it may use of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from albench.machine.limits import memory_bytes, memory_limit, shared_memory_bytes
from albench_core.cores import cpu_quota, n_allowed_cores, n_cores

PARENT_BYTES = 2**29  # the process that starts the chains: it waits, with the libraries loaded
# The quick protocol's chains come to 1.3 GiB, a loader process to a little of its own beside what it shares.
CHAIN_BYTES = 3 * 2**29
# Batches that are made in advance, five at most; nnU-Net plans none above 100 MB.
LOADER_SHARED_BYTES = 2**29
_MAX_LOADERS = 8


@dataclass(frozen=True)
class Machine:
    """What this process may use.

    Attributes
    ----------
    n_allowed_cores, n_cores
        Cores that it may run on, and that its CPU quota lets it keep busy.
    cpu_quota
        Seconds of processor time a second; None: no quota.
    memory
        Bytes, by its limit where it has one.
    is_memory_limited
        Whether `memory` is a limit rather than all there is.
    shared_memory
        Free bytes for shared memory; 0: neither that nor semaphores, which several processes need; None: not Linux.
    """

    n_allowed_cores: int
    n_cores: int
    cpu_quota: float | None
    memory: int
    is_memory_limited: bool
    shared_memory: int | None

    @classmethod
    def found(cls) -> Machine:
        """Look at the machine."""
        return cls(
            n_allowed_cores(), n_cores(), cpu_quota(), memory_bytes(), memory_limit() is not None, shared_memory_bytes()
        )


@dataclass(frozen=True)
class Placement:
    """Processes of a run.

    Attributes
    ----------
    n_processes
        Chains side by side.
    n_loaders
        Loader processes of each chain.
    shared_memory
        Whether these hand over batches in shared memory; else through pipes, which is slower for large batches alone.
    notes
        What the machine's limits changed, a line each.
    """

    n_processes: int
    n_loaders: int = 0
    shared_memory: bool = True
    notes: tuple[str, ...] = ()


def place(machine: Machine, *, n_chains: int, n_threads: int, n_gpus: int = 0, jobs: int | None = None) -> Placement:
    """Share out the machine.

    Parameters
    ----------
    n_chains
        Chains of the whole run.
    n_threads
        Threads of a chain on the CPU.
    n_gpus
        GPUs that chains run on, one each; 0: they run on the CPU.
    jobs
        Chains side by side that the user wants; None: as many as there are cores and memory for, or GPUs.
    """
    notes = []
    if machine.n_cores < machine.n_allowed_cores:
        notes.append(f"CPU quota of {machine.cpu_quota:g} cores: using {machine.n_cores} of {machine.n_allowed_cores}")
    n_processes = jobs or max(1, min(n_gpus or machine.n_cores // n_threads, n_chains))
    if n_gpus == 0 and machine.memory < PARENT_BYTES + n_processes * CHAIN_BYTES:
        in_memory = max(1, (machine.memory - PARENT_BYTES) // CHAIN_BYTES)
        kind = "memory limit" if machine.is_memory_limited else "memory"
        size = f"{kind} of {machine.memory / 2**30:.1f} GiB"
        if jobs is None and in_memory < n_processes:
            notes.append(f"{size}: {in_memory} of {n_processes} possible chains at a time")
            n_processes = in_memory
        else:
            needed = (PARENT_BYTES + n_processes * CHAIN_BYTES) / 2**30
            notes.append(f"{size}: {needed:.1f} GiB are what {_count(n_processes, 'chain')} may need")
    if machine.shared_memory == 0 and machine.n_cores > 1:
        n_processes = 1
        notes.append("no shared memory (/dev/shm): a single process, as several need it")

    cores = machine.n_cores // n_processes - (0 if n_gpus else n_threads)
    n_loaders = max(0, min(_MAX_LOADERS, cores)) if machine.shared_memory != 0 else 0
    if machine.shared_memory is None and n_loaders > 0:
        notes.append("no loader processes, since only Linux forks them safely: chains make their batches themselves")
        n_loaders = 0
    shared_memory = machine.shared_memory or 0
    wanted = n_processes * n_loaders * LOADER_SHARED_BYTES
    shares = shared_memory >= wanted
    if not shares:
        notes.append(
            f"shared memory (/dev/shm) of {shared_memory / 2**20:.0f} MiB is little for "
            f"{_count(n_processes * n_loaders, 'loader process', 'loader processes')}: batches go through pipes"
        )
    return Placement(n_processes, n_loaders, shares, tuple(notes))


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
