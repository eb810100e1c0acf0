"""What a request leaves to the machine: the device, and the precision of stochastic passes on it."""

from __future__ import annotations

from typing import Literal

from albench.config import Protocol
from albench.errors import InputError, unknown_name
from albench.machine.facts import has_bfloat16
from albench.study.file import DEVICES


def choose_device(name: str) -> Literal["cpu", "cuda"]:
    """Resolve ``auto``, and refuse a GPU that is not there."""
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    if name == "cpu":
        return "cpu"
    import torch  # takes seconds to load, and a study on the processor that is finished needs none of it

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: expected a CUDA device that torch can use, found none")
    return "cuda" if torch.cuda.is_available() else "cpu"


def count_gpus() -> int:
    """GPUs that this process may use."""
    from albench.training.runtime import visible_gpus

    return len(visible_gpus())


def machine_precision(device: str) -> Literal["bfloat16", "float32"]:
    """Return what precision ``auto`` means on this machine."""
    return "bfloat16" if device == "cpu" and has_bfloat16() else "float32"


def with_precision(protocol: Protocol, precision: Literal["bfloat16", "float32"]) -> Protocol:
    """Replace precision ``auto`` by `precision`, so that the stored configuration says it."""
    if protocol.scoring.precision != "auto":
        return protocol
    scoring = protocol.scoring.model_copy(update={"precision": precision})
    return protocol.model_copy(update={"scoring": scoring})
