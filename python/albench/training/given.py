"""A trained nnU-Net in its folder, anybody's or one that al-bench exported, opened without running what is in it."""

from __future__ import annotations

import _codecs
import contextlib
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from albench.data.nnunet_layout import IGNORE
from albench.errors import InputError
from albench.machine.text import read_json_text, reason
from albench.training.checkpoint import (
    Checkpoint,
    NoModelError,
    load_tensors,
    load_trusted,
    network_of,
    require_axes,
    require_weights,
)
from albench.training.nnunet_env import quiet
from albench.training.stored_plans import PLANS_NAME, checked_description, checked_plans

FINAL = "checkpoint_final.pth"
ALL = "all"
"""nnU-Net's name of the fold that trains on every case."""

_PREFIXES = ("_orig_mod.", "module.")  # of weights saved from a compiled network, or one spread over GPUs
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
    _codecs.encode,
]
"""What nnU-Net's checkpoints hold beside tensors: the numbers of its log."""


@dataclass(frozen=True, eq=False)
class GivenModel:
    """A trained nnU-Net.

    Attributes
    ----------
    folder
        ``<trainer>__<plans>__<configuration>``, as ``nnUNetv2_predict_from_modelfolder -m`` takes it.
    plans, description
        nnU-Net's plans, of the one configuration, and its ``dataset.json``, both checked; labels there have an ignore
        label.
    trainer
        Name of nnU-Net's trainer.
    folds
        Names of the folds that were opened.
    files
        Their checkpoints.
    networks
        What is in them, in the same order.
    """

    folder: Path
    plans: Mapping[str, Any]
    description: Mapping[str, Any]
    configuration: str
    trainer: str
    folds: tuple[str, ...]
    files: tuple[Path, ...]
    networks: tuple[Checkpoint, ...]

    @property
    def labels(self) -> dict[int, str]:
        """Value to name, the ignore label left out."""
        named = self.description["labels"].items()
        return {int(value): str(name) for name, value in sorted(named, key=lambda item: item[1]) if name != IGNORE}

    @property
    def channel_names(self) -> tuple[str, ...]:
        """One per channel, in order."""
        return tuple(self.description["channel_names"].values())

    @property
    def reader(self) -> BaseReaderWriter:
        """The reader that the plans name."""
        reader: BaseReaderWriter = PlansManager(dict(self.plans)).image_reader_writer_class()
        return reader

    @property
    def is_2d(self) -> bool:
        """Whether it looks at slices."""
        return len(self.plans["configurations"][self.configuration]["patch_size"]) == 2

    @property
    def slicing_axis(self) -> int:
        """Axis of the (z, y, x) grid, as the plans' reader gives it, along which a 2D network slices."""
        return int(self.plans["transpose_forward"][0])

    @property
    def mirror_axes(self) -> tuple[int, ...]:
        """Spatial axes along which every network has seen mirrored images."""
        of_each = [set(network.mirror_axes or ()) for network in self.networks]
        return tuple(sorted(set.intersection(*of_each)))

    @property
    def has_dropout(self) -> bool:
        """Whether the network has layers of it."""
        arguments = self.plans["configurations"][self.configuration]["architecture"]["arch_kwargs"]
        return arguments["dropout_op"] is not None


def open_model(
    folder: Path, *, folds: Sequence[str] = (), checkpoint: str = FINAL, trusted: bool = False
) -> GivenModel:
    """Open a trained model.

    Parameters
    ----------
    folds
        Names, such as ``0`` or ``all``; none: all that have the checkpoint, and ``all`` only where there is no other,
        as nnU-Net chooses.
    checkpoint
        Name of the file in each fold's folder.
    trusted
        Whether a checkpoint may hold anything, and is loaded as nnU-Net does: what is in it is then run.

    Raises
    ------
    InputError
        The folder is none of a model; the plans name something that is not nnU-Net's, or a cascade; labels are
        regions; a checkpoint holds other things than numbers, or the weights of another network.
    """
    missing = [name for name in ("plans.json", "dataset.json") if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"--model {folder}: expected nnU-Net's folder of a trained model, with plans.json, dataset.json and fold_0 "
            f"or others in it, found no {missing[0]}"
        )
    chosen = _folds(folder, folds, checkpoint)
    files = tuple(folder / f"fold_{fold}" / checkpoint for fold in chosen)
    contents = [_content(file, trusted) for file in files]
    configuration, trainer = _of_all(files, contents)
    plans = _plans(folder, configuration)
    description = _description(folder)
    with quiet(), torch.device("meta"):
        network = network_of(plans, description, configuration, trainer)
        if not (hasattr(network, "encoder") and hasattr(network, "decoder")):
            raise InputError(f"--model {folder}: expected a network with encoder and decoder, found {type(network)}")
        shapes = {name: weight.shape for name, weight in network.state_dict().items()}
    n_axes = len(plans["configurations"][configuration]["patch_size"])
    networks = tuple(
        _network(file, content, shapes, n_axes, configuration, fold)
        for file, content, fold in zip(files, contents, chosen, strict=True)
    )
    return GivenModel(folder, plans, description, configuration, trainer, chosen, files, networks)


def _folds(folder: Path, folds: Sequence[str], checkpoint: str) -> tuple[str, ...]:
    there = sorted(path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{checkpoint}"))
    if not there:
        names = sorted({path.name for path in folder.glob("fold_*/*.pth")})
        raise InputError(
            f"--model {folder}: expected fold_0/{checkpoint} or another fold's, found none"
            + (f"; --checkpoint takes one of {', '.join(names)}" if names else "")
        )
    if unknown := [fold for fold in folds if fold not in there]:
        raise InputError(f"--folds: expected some of {', '.join(there)} in {folder}, got {unknown[0]}")
    numbered = tuple(fold for fold in there if fold != ALL)
    return tuple(dict.fromkeys(folds)) or numbered or (ALL,)


def _content(file: Path, trusted: bool) -> dict[str, Any]:
    """Read a checkpoint's keys that matter."""
    try:
        if trusted:
            content = load_trusted(file)
        else:
            with torch.serialization.safe_globals(_NUMPY):
                content = load_tensors(file.resolve())
        weights, trainer = content["network_weights"], content["trainer_name"]
        configuration = content["init_args"]["configuration"]
        if not (isinstance(weights, Mapping) and isinstance(trainer, str) and isinstance(configuration, str)):
            raise NoModelError("other values under their keys")
    except NoModelError as error:
        fault = str(error)
    except Exception as error:  # torch raises what the damaged place happens to lead to
        fault = reason(error)
        if "weights_only" in str(error) or "Unsupported" in str(error):
            fault = (
                "objects beside numbers, which only run as a program; --trust-checkpoint loads them as nnU-Net does, "
                f"where you know who made the file ({fault:.200})"
            )
    else:
        return dict(content)
    raise InputError(f"{file}: expected nnU-Net's checkpoint of a trained model, found {fault:.500}")


def _of_all(files: Sequence[Path], contents: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return configuration and trainer, which are the same in every fold."""
    found = [(content["init_args"]["configuration"], content["trainer_name"]) for content in contents]
    for file, each in zip(files, found, strict=True):
        if each != found[0]:
            raise InputError(f"{file}: expected a model of {' '.join(found[0])} as {files[0]}, found {' '.join(each)}")
    return found[0]


def _plans(folder: Path, configuration: str) -> dict[str, Any]:
    """Plans of the one configuration, what it inherits filled in, and cases where al-bench keeps them."""
    path = folder / "plans.json"
    content = read_json_text(path)
    try:
        with contextlib.suppress(KeyError):
            content["configurations"][configuration].pop("next_stage", None)
        resolved = copy.deepcopy(PlansManager(content).get_configuration(configuration).configuration)
    except Exception as error:  # whatever a damaged file leads to
        raise InputError(
            f"{path}: expected nnU-Net's plans of '{configuration}', found others ({reason(error)})"
        ) from error
    if resolved.get("previous_stage"):
        raise InputError(
            f"{path}: expected a configuration by itself, found {configuration}, the second stage of a cascade; take "
            "the model of another one, such as 3d_fullres"
        )
    resolved.pop("inherits_from", None)
    resolved["data_identifier"] = f"{PLANS_NAME}_{configuration}"
    return checked_plans(path, {**content, "configurations": {configuration: resolved}})


def _description(folder: Path) -> dict[str, Any]:
    """``dataset.json`` with an ignore label, which is the highest."""
    path = folder / "dataset.json"
    content = read_json_text(path)
    labels = content.get("labels") if isinstance(content, dict) else None
    if isinstance(labels, dict) and any(isinstance(value, list | tuple) for value in labels.values()):
        raise InputError(f"{path}: expected labels that are one value each, found regions, which al-bench cannot score")
    kept = {key: content[key] for key in ("channel_names", "labels", "file_ending") if key in content}
    description = checked_description(path, kept | {"numTraining": 0})
    named = {name: value for name, value in description["labels"].items() if name != IGNORE}
    if sorted(named.values()) != list(range(len(named))) or description["labels"].get(IGNORE, len(named)) != len(named):
        raise InputError(f"{path}: expected labels numbered from 0 without gaps, found {description['labels']!r:.200}")
    return description | {"labels": named | {IGNORE: len(named)}}


def _network(
    file: Path, content: Mapping[str, Any], shapes: Mapping[str, torch.Size], n_axes: int, configuration: str, fold: str
) -> Checkpoint:
    weights = dict(content["network_weights"])
    for prefix in _PREFIXES:
        weights = {name.removeprefix(prefix) if isinstance(name, str) else name: w for name, w in weights.items()}
    try:
        checked = require_weights(weights, shapes)
        axes = require_axes(content.get("inference_allowed_mirroring_axes"), n_axes)
    except NoModelError as error:
        raise InputError(f"{file}: expected a model that the plans beside it describe, found {error}") from None
    number = int(fold) if fold.isdecimal() else fold
    return Checkpoint(checked, configuration, number, axes)
