"""Files of trained models: read without running anything in them, written as nnU-Net's own predictor wants them."""

from __future__ import annotations

import importlib
import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as nnUNetTrainer_module
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from albench.errors import InputError
from albench.machine.files import atomic_file
from albench.machine.text import reason
from albench.training.preprocess import PreprocessedStore

OWN_TRAINER = "nnUNetTrainer"
"""Whose models al-bench writes."""
_KEYS = ("network_weights", "trainer_name", "init_args", "inference_allowed_mirroring_axes")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained network.

    Attributes
    ----------
    weights
        The network's state: finite tensors on the CPU, by name.
    mirror_axes
        Spatial axes along which it was trained on mirrored images; None for none.
    """

    weights: Mapping[str, torch.Tensor]
    configuration: str
    fold: int | str
    mirror_axes: tuple[int, ...] | None

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        OSError
            No space left.
        """
        values = (
            self.weights,
            OWN_TRAINER,
            {"configuration": self.configuration, "fold": self.fold},
            self.mirror_axes,
        )
        # Serialised in memory first: torch reports a full disk as an unspecific RuntimeError, the file system as
        # OSError.
        buffer = io.BytesIO()
        torch.save(dict(zip(_KEYS, values, strict=True)), buffer)
        with atomic_file(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())


def build_network(store: PreprocessedStore, trainer: str = OWN_TRAINER) -> nn.Module:
    """Build the network that the plans describe, without deep supervision, on torch's default device."""
    return network_of(store.plans, store.dataset_json, store.configuration, trainer)


def network_of(
    plans: Mapping[str, Any], description: Mapping[str, Any], configuration: str, trainer: str = OWN_TRAINER
) -> nn.Module:
    """Build the network as nnU-Net's predictor does, without deep supervision.

    Parameters
    ----------
    plans, description
        Checked: see `albench.training.stored_plans`.
    trainer
        Name of the trainer, which may build another network than the plans say, as ``nnUNetTrainerBN`` does. One that
        nnU-Net does not come with is taken to build the plans' own.
    """
    manager = PlansManager(dict(plans))
    planned = manager.get_configuration(configuration)
    n_heads = manager.get_label_manager(dict(description)).num_segmentation_heads
    known = None if trainer == OWN_TRAINER else _known_trainer(trainer)
    network: nn.Module
    if known is not None:
        n_channels = len(description["channel_names"])
        network = known.build_network_architecture(manager, planned, n_channels, n_heads, False)
        return network
    network = get_network_from_plans(
        planned.network_arch_class_name,
        planned.network_arch_init_kwargs,
        planned.network_arch_init_kwargs_req_import,
        len(description["channel_names"]),
        n_heads,
        allow_init=False,
        deep_supervision=False,
    )
    return network


def _known_trainer(name: str) -> type[nnUNetTrainer] | None:
    """Return the trainer of this name that nnU-Net comes with; None where it does not.

    nnU-Net's own search imports every module there on the way, whatever packages that takes.
    """
    folder = Path(nnUNetTrainer_module.__file__).parent
    defines = re.compile(rf"^class {re.escape(name)}\(", re.MULTILINE)
    for path in sorted(folder.rglob("*.py")):
        if defines.search(path.read_text(encoding="utf-8")):
            parts = path.relative_to(folder).with_suffix("").parts
            found = getattr(importlib.import_module(".".join((nnUNetTrainer_module.__package__, *parts))), name)
            return found if isinstance(found, type) and issubclass(found, nnUNetTrainer) else None
    return None


def read_checkpoint(path: Path, store: PreprocessedStore) -> Checkpoint:
    """Read a model of the network that `store` has the plans of.

    Raises
    ------
    InputError
        It is no file, no model, holds anything but tensors and plain values, or weights that are not finite or of
        another network.
    """
    try:
        content = load_tensors(path)
        shapes = {name: weight.shape for name, weight in empty_weights(store).items()}
        weights = require_weights(content["network_weights"], shapes)
        configuration, fold = content["init_args"]["configuration"], content["init_args"]["fold"]
        n_axes = len(store.configuration_manager.patch_size)
        if set(content) != set(_KEYS) or set(content["init_args"]) != {"configuration", "fold"}:
            raise NoModelError(f"the keys {', '.join(map(str, content))}")
        if content["trainer_name"] != OWN_TRAINER or configuration != store.configuration or type(fold) is not int:
            raise NoModelError("one of another trainer, configuration or fold")
        axes = require_axes(content["inference_allowed_mirroring_axes"], n_axes)
    except NoModelError as error:
        fault = str(error)
    except Exception as error:  # torch raises what the damaged place happens to lead to
        fault = reason(error)
    else:
        return Checkpoint(weights, configuration, fold, axes)
    raise InputError(f"{path}: expected a model that `al-bench run` trained here, found {fault:.300}")


class NoModelError(ValueError):
    """What is wrong with a file."""


def require_plain_file(path: Path) -> None:
    """Refuse what is no file of its own: NoModelError."""
    if path.is_symlink() or not path.is_file():
        raise NoModelError("a link" if path.is_symlink() else "no file")


def load_tensors(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds; NoModelError where it is no file of torch's, or larger than it says."""
    require_plain_file(path)
    with path.open("rb") as stream:
        return read_tensors(stream, path.stat().st_size)


def read_tensors(stream: BinaryIO, n_bytes: int) -> dict[str, Any]:
    """Return what torch wrote into a stream of so many bytes; as `load_tensors`."""
    if not zipfile.is_zipfile(stream):
        raise NoModelError("another format")
    with zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
    # torch never compresses: a small file that unpacks to a large one is no model
    if sum(entry.file_size for entry in entries) > n_bytes:
        raise NoModelError("more content than the file has bytes")
    stream.seek(0)
    content = torch.load(stream, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise NoModelError(f"a {type(content).__name__}")
    return content


def load_trusted(path: Path) -> Any:
    """Return what a checkpoint holds, whatever that is and does: only where the user has said who made it."""
    return torch.load(path, map_location="cpu", weights_only=False)


def empty_weights(store: PreprocessedStore) -> dict[str, torch.Tensor]:
    """Return a network's state without values, nor memory for them."""
    with torch.device("meta"):
        return dict(build_network(store).state_dict())


def require_axes(axes: Any, n_axes: int) -> tuple[int, ...] | None:
    """Return mirrored axes that are some of `n_axes`, or None for none; NoModelError where they are not."""
    if axes is not None and not (isinstance(axes, tuple | list) and set(axes) <= set(range(n_axes))):
        raise NoModelError(f"mirrored axes {axes!r}")
    return None if axes is None else tuple(axes)


def require_weights(weights: Any, shapes: Mapping[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Return weights that are finite tensors of these shapes; NoModelError where they are not."""
    if not isinstance(weights, dict) or set(weights) != set(shapes):
        raise NoModelError("weights of another network")
    for name, weight in weights.items():
        if type(weight) is not torch.Tensor or weight.layout != torch.strided or weight.device.type != "cpu":
            raise NoModelError(f"{name}, which is no tensor of numbers")
        if weight.dtype != torch.float32 or weight.shape != shapes[name]:
            raise NoModelError(f"{name} of {weight.dtype} {tuple(weight.shape)}, not float32 {tuple(shapes[name])}")
        if not torch.isfinite(weight).all():
            raise NoModelError(f"{name} with values that are no numbers")
    return dict(weights)
