"""How a machine is shared out among chains and loader processes."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albench.machine.placement import Machine, Placement, place

GIB = 2**30


def machine(
    cores: int = 8,
    *,
    allowed: int | None = None,
    quota: float | None = None,
    memory: int = 64 * GIB,
    limited: bool = False,
    shared_memory: int | None = 32 * GIB,
) -> Machine:
    return Machine(allowed or cores, cores, quota, memory, limited, shared_memory)


def placed(found: Machine, n_chains: int = 4, jobs: int | None = None) -> Placement:
    return place(found, n_chains=n_chains, n_threads=1, jobs=jobs)


def test_cores_are_shared_out() -> None:
    assert placed(machine(8), 4) == Placement(4, 1)
    assert placed(machine(8), 2) == Placement(2, 3)
    assert placed(machine(2), 4) == Placement(2, 0)
    assert placed(machine(64), 1) == Placement(1, 8)
    assert placed(machine(8), 4, jobs=1) == Placement(1, 7)
    assert placed(machine(2), 4, jobs=3) == Placement(3, 0)


def test_chains_take_turns_on_a_gpu() -> None:
    assert place(machine(16), n_chains=4, n_threads=1, n_gpus=1) == Placement(1, 8)
    assert place(machine(4, memory=GIB), n_chains=4, n_threads=1, n_gpus=1) == Placement(1, 4)


def test_every_gpu_gets_a_chain() -> None:
    assert place(machine(16), n_chains=8, n_threads=1, n_gpus=4) == Placement(4, 4)
    assert place(machine(16), n_chains=2, n_threads=1, n_gpus=4) == Placement(2, 8)


def test_a_quota_is_named() -> None:
    found = placed(machine(2, allowed=16, quota=1.5))
    assert found.n_processes == 2
    assert found.notes == ("CPU quota of 1.5 cores: using 2 of 16",)


def test_fewer_chains_where_memory_is_limited() -> None:
    found = placed(machine(8, memory=4 * GIB, limited=True))
    assert (found.n_processes, found.n_loaders) == (2, 3)
    assert found.notes == ("memory limit of 4.0 GiB: 2 of 4 possible chains at a time",)
    assert placed(machine(8, memory=4 * GIB)).notes == ("memory of 4.0 GiB: 2 of 4 possible chains at a time",)


def test_one_chain_runs_however_little_memory_there_is() -> None:
    found = placed(machine(1, memory=GIB, limited=True))
    assert found.n_processes == 1
    assert found.notes == ("memory limit of 1.0 GiB: 2.0 GiB are what 1 chain may need",)


def test_the_user_decides_on_jobs_and_is_told() -> None:
    found = placed(machine(8, memory=2 * GIB, limited=True), jobs=3)
    assert found.n_processes == 3
    assert found.notes == ("memory limit of 2.0 GiB: 5.0 GiB are what 3 chains may need",)


def test_small_shared_memory_is_not_used() -> None:
    found = placed(machine(8, shared_memory=64 * 2**20))
    assert (found.n_processes, found.n_loaders, found.shared_memory) == (4, 1, False)
    assert found.notes == (
        "shared memory (/dev/shm) of 64 MiB is little for 4 loader processes: batches go through pipes",
    )


def test_small_shared_memory_does_not_matter_without_loaders() -> None:
    assert placed(machine(4, shared_memory=64 * 2**20)) == Placement(4, 0)


def test_without_shared_memory_there_is_one_process() -> None:
    """Semaphores lie there as well, and neither pools nor loaders do without."""
    found = placed(machine(8, shared_memory=0), jobs=2)
    assert (found.n_processes, found.n_loaders) == (1, 0)
    assert found.notes == ("no shared memory (/dev/shm): a single process, as several need it",)


def test_loaders_are_forked_on_linux_alone() -> None:
    note = "no loader processes, since only Linux forks them safely: chains make their batches themselves"
    assert placed(machine(8, shared_memory=None)) == Placement(4, 0, notes=(note,))
    assert placed(machine(4, shared_memory=None)) == Placement(4, 0)


@given(
    cores=st.integers(1, 256),
    n_chains=st.integers(1, 100),
    n_threads=st.integers(1, 8),
    memory=st.integers(2**28, 2**41),
    shared_memory=st.none() | st.integers(0, 2**40),
    n_gpus=st.integers(0, 4),
)
def test_nothing_is_shared_out_twice(
    cores: int, n_chains: int, n_threads: int, memory: int, shared_memory: int | None, n_gpus: int
) -> None:
    found = place(
        machine(cores, memory=memory, shared_memory=shared_memory),
        n_chains=n_chains,
        n_threads=n_threads,
        n_gpus=n_gpus,
    )
    assert 1 <= found.n_processes <= n_chains
    threads = 0 if n_gpus else n_threads
    assert n_gpus == 0 or found.n_processes <= n_gpus
    assert n_gpus or found.n_processes == 1 or found.n_processes * (threads + found.n_loaders) <= cores
    assert n_gpus or found.n_processes == 1 or found.n_processes * 1.5 * GIB + 0.5 * GIB <= memory
    assert found.shared_memory or found.notes


def test_real_machine() -> None:
    found = Machine.found()
    assert found.n_allowed_cores == len(os.sched_getaffinity(0))
    assert place(found, n_chains=1, n_threads=1).n_processes == 1


@pytest.mark.parametrize("n_gpus", [0, 1])
def test_more_threads_than_cores(n_gpus: int) -> None:
    found = place(machine(2), n_chains=3, n_threads=4, n_gpus=n_gpus)
    assert found.n_processes == 1
