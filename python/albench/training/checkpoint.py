"""Files of trained models: read without running anything in them, written as nnU-Net's own predictor wants them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from albench.errors import InputError
from albench.machine.files import atomic_file
from albench.machine.text import reason
from albench.training.preprocess import PreprocessedStore

_TRAINER = "nnUNetTrainer"
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
    fold: int
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
            _TRAINER,
            {"configuration": self.configuration, "fold": self.fold},
            self.mirror_axes,
        )
        # Serialised in memory first: torch reports a full disk as an unspecific RuntimeError, the file system as
        # OSError.
        buffer = io.BytesIO()
        torch.save(dict(zip(_KEYS, values, strict=True)), buffer)
        with atomic_file(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())


def build_network(store: PreprocessedStore) -> nn.Module:
    """Build the network that the plans describe, without deep supervision, on torch's default device."""
    configuration = store.configuration_manager
    network: nn.Module = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        len(store.dataset_json["channel_names"]),
        store.label_manager.num_segmentation_heads,
        allow_init=False,
        deep_supervision=False,
    )
    return network


def read_checkpoint(path: Path, store: PreprocessedStore) -> Checkpoint:
    """Read a model of the network that `store` has the plans of.

    Raises
    ------
    InputError
        It is no file, no model, holds anything but tensors and plain values, or weights that are not finite or of
        another network.
    """
    try:
        content = _load(path)
        weights = _weights(content["network_weights"], _shapes(store))
        configuration, fold = content["init_args"]["configuration"], content["init_args"]["fold"]
        axes = content["inference_allowed_mirroring_axes"]
        n_axes = len(store.configuration_manager.patch_size)
        if set(content) != set(_KEYS) or set(content["init_args"]) != {"configuration", "fold"}:
            raise _NoModelError(f"the keys {', '.join(map(str, content))}")
        if content["trainer_name"] != _TRAINER or configuration != store.configuration or type(fold) is not int:
            raise _NoModelError("one of another trainer, configuration or fold")
        if axes is not None and not (isinstance(axes, tuple | list) and set(axes) <= set(range(n_axes))):
            raise _NoModelError(f"mirrored axes {axes!r}")
    except _NoModelError as error:
        fault = str(error)
    except Exception as error:  # torch raises what the damaged place happens to lead to
        fault = reason(error)
    else:
        return Checkpoint(weights, configuration, fold, None if axes is None else tuple(axes))
    raise InputError(f"{path}: expected a model that `al-bench run` trained here, found {fault:.300}")


class _NoModelError(ValueError):
    """What is wrong with a file."""


def _load(path: Path) -> dict[str, Any]:
    if path.is_symlink() or not path.is_file():
        raise _NoModelError("a link" if path.is_symlink() else "no file")
    with path.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise _NoModelError("another format")
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
        # torch never compresses: a small file that unpacks to a large one is no model
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise _NoModelError("more content than the file has bytes")
        stream.seek(0)
        content = torch.load(stream, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise _NoModelError(f"a {type(content).__name__}")
    return content


def _shapes(store: PreprocessedStore) -> dict[str, torch.Size]:
    """Shapes of a network's weights; it is built without memory for them."""
    with torch.device("meta"):
        return {name: weight.shape for name, weight in build_network(store).state_dict().items()}


def _weights(weights: Any, shapes: Mapping[str, torch.Size]) -> dict[str, torch.Tensor]:
    if not isinstance(weights, dict) or set(weights) != set(shapes):
        raise _NoModelError("weights of another network")
    for name, weight in weights.items():
        if type(weight) is not torch.Tensor or weight.layout != torch.strided or weight.device.type != "cpu":
            raise _NoModelError(f"{name}, which is no tensor of numbers")
        if weight.dtype != torch.float32 or weight.shape != shapes[name]:
            raise _NoModelError(f"{name} of {weight.dtype} {tuple(weight.shape)}, not float32 {tuple(shapes[name])}")
        if not torch.isfinite(weight).all():
            raise _NoModelError(f"{name} with values that are no numbers")
    return dict(weights)
