"""Findings of each check on machines as they may be."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from albench.doctor import folders, hardware, software
from albench.doctor.examine import examine
from albench.doctor.finding import Finding, findings
from albench.machine.placement import Machine

SOUND = Machine(8, 8, None, 32 * 2**30, False, 16 * 2**30)


def one(found: Iterable[Finding]) -> Finding:
    (finding,) = found
    return finding


def test_a_check_that_fails_is_a_finding_and_the_others_are_made() -> None:
    def broken() -> Iterator[Finding]:
        yield Finding("first", "seen")
        raise ZeroDivisionError("no /proc\nat all")

    found = list(findings({"odd": broken, "sound": lambda: [Finding("sound", "fine")]}))
    assert [each.name for each in found] == ["first", "odd", "sound"]
    assert [each.is_ok for each in found] == [True, False, True]
    assert found[1].found == "could not be found out: no /proc"


@pytest.mark.parametrize(
    ("machine", "said", "cure"),
    [
        (SOUND, "8 of ", ""),
        (replace(SOUND, n_cores=2, cpu_quota=1.5), "by a CPU quota of 1.5", ""),
        (replace(SOUND, n_cores=1, n_allowed_cores=1), "1 of ", "--cpus"),
    ],
)
def test_cores(machine: Machine, said: str, cure: str) -> None:
    found = one(hardware.check_cores(machine))
    assert said in found.found
    assert cure in found.cure
    assert found.is_ok == (not cure)


@pytest.mark.parametrize(
    ("machine", "available", "said", "cure"),
    [
        (SOUND, 20 * 2**30, "32.0 GiB, 20.0 GiB free", ""),
        (replace(SOUND, memory=2**30, is_memory_limited=True), 20 * 2**30, "1.0 GiB by a limit, 1.0", "--memory"),
        (SOUND, 2**30, "32.0 GiB, 1.0 GiB free", "end what uses the memory"),
    ],
)
def test_memory(machine: Machine, available: int, said: str, cure: str) -> None:
    found = one(hardware.check_memory(machine, available))
    assert said in found.found
    assert cure in found.cure
    assert found.is_ok == (not cure)


@pytest.mark.parametrize(
    ("size", "said", "cure"),
    [
        (None, "not Linux", ""),
        (0, "cannot be written to", "--shm-size"),
        (64 * 2**20, "64 MiB free", "pipes"),
        (2**32, "4096 MiB free", ""),
    ],
)
def test_shared_memory(size: int | None, said: str, cure: str) -> None:
    found = one(hardware.check_shared_memory(replace(SOUND, shared_memory=size)))
    assert said in found.found
    assert cure in found.cure
    assert found.is_ok == (not cure)


@pytest.mark.parametrize(("limits", "is_ok"), [((20, 32), False), ((20, 4096), True), ((-1, -1), True)])
def test_open_files(limits: tuple[int, int], is_ok: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    infinite = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(infinite if each < 0 else each for each in limits))
    assert one(hardware.check_open_files()).is_ok == is_ok


def torch_that(*, available: bool, built: str | None = "13.0", count: int = 1, fails: bool = False) -> Any:
    """What the check asks of PyTorch."""

    def ones(n: int, device: str) -> Any:
        if fails:
            raise RuntimeError("CUDA error: out of memory\nmore")
        return SimpleNamespace(sum=lambda: n)

    cuda = SimpleNamespace(
        is_available=lambda: available,
        device_count=lambda: count,
        mem_get_info=lambda number: (10 * 2**30, 20 * 2**30),
        get_device_name=lambda number: "a card",
    )
    return SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda=built), ones=ones)


@pytest.mark.parametrize(
    ("torch", "is_shown", "said", "cure"),
    [
        (torch_that(available=False), False, "none", ""),
        (torch_that(available=False, built=None), True, "built for processors alone", "torch with CUDA"),
        (torch_that(available=False), True, "cannot use it", "nvidia-smi"),
        (torch_that(available=True), True, "a card, 10.0 of 20.0 GiB free", ""),
        (torch_that(available=True, fails=True), True, "does not compute: CUDA error: out of memory", "nvidia-smi"),
    ],
)
def test_gpus(torch: Any, is_shown: bool, said: str, cure: str, tmp_path: Path) -> None:
    if is_shown:
        (tmp_path / "nvidia0").touch()
    found = one(software.check_gpus(torch, tmp_path))
    assert said in found.found
    assert cure in found.cure
    assert found.is_ok == (not cure)


def test_versions_of_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    own, libraries = software.check_versions()
    assert own.is_ok
    assert libraries.is_ok
    monkeypatch.setattr(software, "versions", lambda: json.dumps({"albench": "9.9", "torch": "absent"}))
    own, libraries = software.check_versions()
    assert "reinstall both" in own.cure
    assert libraries.cure == "pip install torch"


def test_the_kernel_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    from albench_core import _core

    monkeypatch.setattr(_core, "isa", lambda: "portable")
    monkeypatch.delenv("ALBENCH_ISA", raising=False)
    assert "AVX2" in one(software.check_kernel("x86_64")).cure
    assert one(software.check_kernel("riscv64")).is_ok
    monkeypatch.setenv("ALBENCH_ISA", "portable")
    assert "unset ALBENCH_ISA" in one(software.check_kernel()).cure


@pytest.mark.parametrize(
    ("status", "error", "said"), [(0, "", "answers"), (1, "no\ndaemon", "(no daemon)"), (None, "", "timed out")]
)
def test_container_engines(status: int | None, error: str, said: str) -> None:
    def run(command: list[str], **_: Any) -> Any:
        if status is None:
            raise subprocess.TimeoutExpired(command, 10)
        return SimpleNamespace(returncode=status, stdout="", stderr=error)

    found = one(software.check_containers(lambda name: name if name == "docker" else None, run))
    assert said in found.found
    assert found.is_ok
    assert "no engine" in one(software.check_containers(lambda name: None)).found


def test_folders_are_written_to_and_left_as_they_were(tmp_path: Path) -> None:
    found = one(folders.check_out(tmp_path / "a" / "b"))
    assert f"(to be made in {tmp_path})" in found.found
    assert "MB/s" in found.found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("patch", "said", "cure"),
    [
        (("_write_rate", lambda folder: 10**6), "at 1 MB/s", "slow"),
        (("_LEAST_FREE", 2**80), "GB free", "free some space"),
        (("_write_rate", lambda folder: (_ for _ in ()).throw(OSError(30, "Read-only"))), "cannot be wri", "--out"),
    ],
)
def test_folders_that_will_not_do(
    patch: tuple[str, Callable[[Path], float] | int], said: str, cure: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(folders, *patch)
    found = one(folders.check_out(tmp_path))
    assert said in found.found
    assert cure in found.cure


def test_where_nothing_may_be_written() -> None:
    found = one(folders.check_out(Path("/proc/out")))
    assert "/proc/out (to be made in /proc): cannot be written to" in found.found
    assert "--out" in found.cure


def test_data_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALBENCH_CACHE", str(tmp_path / "cache"))
    unset = {each.name: each for each in folders.check_data({})}
    assert all(each.is_ok for each in unset.values())
    given = {"ALBENCH_DATA": str(tmp_path), "nnUNet_raw": str(tmp_path / "none"), "nnUNet_results": str(tmp_path)}
    found = {each.name: each for each in folders.check_data(given)}
    assert {name for name, each in found.items() if not each.is_ok} == {"nnUNet_raw"}
    assert "correct or unset nnUNet_raw" in found["nnUNet_raw"].cure
    assert "nnUNet_preprocessed" in found["nnU-Net's folders"].found
    monkeypatch.delenv("ALBENCH_CACHE")
    monkeypatch.setattr(Path, "expanduser", lambda self: (_ for _ in ()).throw(RuntimeError("no home")))
    assert not {each.name: each for each in folders.check_data({})}["cache"].is_ok


def test_everything_together_says_something_of_each(tmp_path: Path) -> None:
    names = [each.name for each in examine(tmp_path)]
    assert {"al-bench", "core's kernel", "cores", "memory", "shared memory", "results", "cache"} <= set(names)
    assert len(names) == len(set(names))
