"""All checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from albench.doctor import folders, hardware, software
from albench.doctor.finding import Finding, findings
from albench.machine.placement import Machine


def examine(out: Path) -> Iterator[Finding]:
    """Look at this machine; `out` is where results shall go.

    Nothing is left behind, and nothing raises: what cannot be found out is said to be so.
    """
    yield from findings(
        {
            "versions": software.check_versions,
            "core's kernel": software.check_kernel,
            "cores": lambda: hardware.check_cores(Machine.found()),
            "memory": lambda: hardware.check_memory(Machine.found()),
            "shared memory": lambda: hardware.check_shared_memory(Machine.found()),
            "open files": hardware.check_open_files,
            "GPU": software.check_gpus,
            "results": lambda: folders.check_out(out),
            "temporary files": folders.check_scratch,
            "data": folders.check_data,
            "containers": software.check_containers,
        }
    )
