"""Versions, the selection core's kernel, PyTorch and its GPUs, container engines."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from albench.doctor.finding import Finding
from albench.machine.facts import versions
from albench.machine.text import reason

ENGINES = ("docker", "podman", "apptainer", "singularity")
_WAIT_S = 10.0


def check_versions() -> Iterator[Finding]:
    """Whether the libraries are there, and the core is of the same version as al-bench."""
    found = json.loads(versions())
    core = _core_version()
    own = found.pop("albench")
    cure = "" if own == core else "reinstall both distributions from one release: al-bench and albench-core"
    yield Finding("al-bench", f"{own}, selection core {core}", cure)
    absent = [name for name, version in found.items() if version == "absent"]
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    yield Finding("libraries", text, f"pip install {' '.join(absent)}" if absent else "")


def _core_version() -> str:
    import albench_core

    return str(albench_core.__version__)


def check_kernel(machine: str | None = None) -> Iterator[Finding]:
    """Which instructions the selection core uses; without the processor's vectors it is several times slower."""
    from albench_core import _core

    isa, wanted = _core.isa(), os.environ.get("ALBENCH_ISA")
    cure = ""
    if wanted:
        cure = "unset ALBENCH_ISA, which is for tests"
    elif isa == "portable" and (machine or platform.machine()) in ("x86_64", "AMD64"):
        cure = "use a machine, or a virtual machine's processor type, with AVX2: selection is several times slower here"
    yield Finding("core's kernel", isa + (f", asked for by ALBENCH_ISA={wanted}" if wanted else ""), cure)


def check_gpus(torch: Any = None, devices: Path = Path("/dev")) -> Iterator[Finding]:
    """Whether PyTorch computes on the GPUs that the system shows."""
    if torch is None:
        try:
            import torch
        except Exception as error:  # a broken installation raises anything
            yield Finding("PyTorch", f"cannot be imported: {reason(error)}", "pip install --force-reinstall torch")
            return
    is_shown = any((devices / name).exists() for name in ("nvidiactl", "nvidia0"))
    if not torch.cuda.is_available():
        if not is_shown:
            yield Finding("GPU", "none: networks are trained on the processor")
        elif torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
            yield Finding("GPU", "there is one, but PyTorch is built for processors alone", "install torch with CUDA")
        else:
            cure = (
                "see whether nvidia-smi works and its driver is new enough; unset CUDA_VISIBLE_DEVICES if it is empty"
            )
            yield Finding("GPU", f"there is one, but PyTorch (CUDA {torch.version.cuda}) cannot use it", cure)
        return
    for number in range(torch.cuda.device_count()):
        name = f"GPU {number}"
        try:
            free, total = torch.cuda.mem_get_info(number)
            text = f"{torch.cuda.get_device_name(number)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
            works = float(torch.ones(8, device=f"cuda:{number}").sum()) == 8
        except Exception as error:  # of the driver's: too old, in exclusive use, out of memory
            yield Finding(name, f"does not compute: {reason(error)}", "see nvidia-smi: another process, or the driver")
            continue
        yield Finding(name, text if works else f"{text}, adds up wrongly", "" if works else "replace it: it errs")


def check_containers(
    which: Callable[[str], str | None] = shutil.which, run: Callable[..., Any] = subprocess.run
) -> Iterator[Finding]:
    """Which engines are there and answer; a run needs none, so that nothing here is wrong."""
    engines = [name for name in ENGINES if which(name)]
    if not engines:
        yield Finding("containers", "no engine found; al-bench's image alone needs one")
    for name in engines:
        # What asks the daemon, where there is one.
        command = [name, "info"] if name in ("docker", "podman") else [name, "--version"]
        try:
            done = run(command, capture_output=True, text=True, errors="replace", timeout=_WAIT_S, check=False)
            answer = "answers" if done.returncode == 0 else " ".join((done.stderr or done.stdout).split())[-200:]
        except (OSError, subprocess.SubprocessError) as error:
            answer = reason(error)
        yield Finding(
            name, answer if answer == "answers" else f"does not answer ({answer}); al-bench's image alone needs it"
        )
