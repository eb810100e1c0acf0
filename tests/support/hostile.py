"""What somebody who wants a reader's machine puts into a results folder."""

from __future__ import annotations

import copy
import io
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import torch

from albench.errors import InputError
from albench.machine.files import sha256, write_json
from albench.results.stages import StageRecord
from albench.training.checkpoint import Checkpoint, build_network
from albench.training.preprocess import PreprocessedStore

PLANS: dict[str, Any] = {
    "dataset_name": "Dataset001_d",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "configurations": {
        "2d": {
            "data_identifier": "nnUNetPlans_2d",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": [16, 16],
            "spacing": [1.0, 1.0],
            "normalization_schemes": ["ZScoreNormalization"],
            "use_mask_for_norm": [False],
            **{f"resampling_fn_{what}": "resample_data_or_seg_to_shape" for what in ("data", "seg", "probabilities")},
            **{
                f"resampling_fn_{what}_kwargs": {
                    "is_seg": what == "seg",
                    "order": 1,
                    "order_z": 0,
                    "force_separate_z": None,
                }
                for what in ("data", "seg", "probabilities")
            },
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": 2,
                    "features_per_stage": [4, 8],
                    "conv_op": "torch.nn.modules.conv.Conv2d",
                    "kernel_sizes": [[3, 3], [3, 3]],
                    "strides": [[1, 1], [2, 2]],
                    "n_conv_per_stage": [1, 1],
                    "n_conv_per_stage_decoder": [1],
                    "conv_bias": True,
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
                    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                    "dropout_op": "torch.nn.Dropout",
                    "dropout_op_kwargs": {"p": 0.1},
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
            "batch_dice": True,
        }
    },
    "experiment_planner_used": "_Planner",
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": {
        "0": {
            "mean": 1.0,
            "median": 1.0,
            "std": 1.0,
            "min": 0.0,
            "max": 2.0,
            "percentile_99_5": 2,
            "percentile_00_5": 0,
        }
    },
}
DESCRIPTION: dict[str, Any] = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "organ": 1, "ignore": 2},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


def planned(seed: Path, plans: dict[str, Any] | None = None) -> PreprocessedStore:
    """Plans of a tiny network, as a trainer that worked in the folder of a seed would have left them."""
    folder = seed / "nnunet/preprocessed/Dataset001_d"
    write_json(folder / "nnUNetPlans.json", plans or PLANS)
    write_json(folder / "dataset.json", DESCRIPTION)
    write_json(folder / "dataset_fingerprint.json", {"spacings": [[1.0, 1.0, 1.0]]})
    return PreprocessedStore(folder, next(iter((plans or PLANS)["configurations"])))


def write_model(path: Path, store: PreprocessedStore, mark: float = 0.0) -> None:
    """A model of that network, untrained; all weights of its first layer are `mark`."""
    weights = build_network(store).state_dict()
    weights[next(iter(weights))].fill_(mark)
    Checkpoint(weights, store.configuration, 0, (0, 1)).write(path)


def mark_of(path: Path) -> float:
    """The mark of a model."""
    weights = torch.load(path, weights_only=True)["network_weights"]
    return float(next(iter(weights.values())).mean())


def changed(values: dict[str, Any], *place: str, to: Any) -> dict[str, Any]:
    """A copy with another value in one place; keys that are not there are made."""
    result = copy.deepcopy(values)
    inner = result
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = to
    return result


def hostile_plans(canary: str, plans: dict[str, Any] = PLANS) -> dict[str, dict[str, Any]]:
    """Plans that would run a command, lead elsewhere or fill the memory; others are changed in one place each."""
    ((name, planned_as),) = plans["configurations"].items()
    architecture = ("configurations", name, "architecture")
    arguments = (*architecture, "arch_kwargs")
    run = {"command": f"mkdir {canary}"}
    twice = changed(plans, *arguments, "nonlin", to="os.system")
    dropped = changed(plans, *arguments, "dropout_op", to="os.system")
    escaped = changed(plans, "configurations", to={"../../../x": planned_as})
    return {
        "activation": changed(twice, *arguments, "nonlin_kwargs", to=run),
        "dropout": changed(dropped, *arguments, "dropout_op_kwargs", to=run),
        "network": changed(plans, *architecture, "network_class_name", to="os.system"),
        "module": changed(plans, *architecture, "network_class_name", to="antigravity"),
        "import": changed(plans, *architecture, "_kw_requires_import", to=["n_stages"]),
        "other arguments": changed(plans, *arguments, "block", to="os.system"),
        "convolution": changed(plans, *arguments, "conv_op", to="builtins.exec"),
        "features": changed(plans, *arguments, "features_per_stage", to=[10**9, 10**9]),
        "stages": changed(plans, *arguments, "n_stages", to=10**9),
        "kernel": changed(plans, *arguments, "kernel_sizes", to=[[10**6, 10**6]] * 2),
        "name": escaped,
        "folder of cases": changed(plans, "configurations", name, "data_identifier", to="../../x"),
        "patch": changed(plans, "configurations", name, "patch_size", to=[10**6, 10**6]),
        "spacing": changed(plans, "configurations", name, "spacing", to=[float("1e999"), 1.0]),
        "resampling": changed(plans, "configurations", name, "resampling_fn_data", to="os.system"),
        "preprocessor": changed(plans, "configurations", name, "preprocessor_name", to="../x"),
        "normalization": changed(plans, "configurations", name, "normalization_schemes", to=["os.system"]),
        "inherited": changed(plans, "configurations", name, "inherits_from", to=name),
        "two": changed(plans, "configurations", "3d_fullres", to=planned_as),
        "none": changed(plans, "configurations", to={}),
        "labels": changed(plans, "label_manager", to="os.system"),
        "reader": changed(plans, "image_reader_writer", to="os.system"),
        "axes": changed(plans, "transpose_forward", to=[0, 0, 10**9]),
        "title": changed(plans, "dataset_name", to="../../x"),
    }


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.canary),)


def bombs(canary: Path) -> dict[str, bytes]:
    """Files that run code where they are unpickled, by kind."""
    bomb = Bomb(canary)
    found = {"pickle": pickle.dumps(bomb), "protocol 0": pickle.dumps(bomb, protocol=0)}
    buffer = io.BytesIO()
    torch.save({"network_weights": bomb, "trainer_name": "nnUNetTrainer", "init_args": {}}, buffer)
    found["torch"] = buffer.getvalue()
    buffer = io.BytesIO()
    torch.save(bomb, buffer, _use_new_zipfile_serialization=False)
    found["old torch"] = buffer.getvalue()
    objects = np.empty(1, dtype=object)
    objects[0] = bomb
    buffer = io.BytesIO()
    np.save(buffer, objects, allow_pickle=True)
    found["npy"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, context=objects, values=objects, image_0=objects, prediction_0=objects)
    found["npz"] = buffer.getvalue()
    code = f"__import__('os').mkdir({str(canary)!r})"
    array = blosc2.asarray(np.zeros((1, 2, 2, 2), np.float32), meta={"LazyArray": 1})
    array.schunk.vlmeta["_LazyArray"] = {"expression": code, "UDF": code, "operands": {}, "name": "f", "dtype": "<f4"}
    found["blosc2"] = bytes(array.to_cframe())
    return found


def sign(folder: Path) -> None:
    """Write the checksums of all stages below `folder` anew: whoever wrote a folder wrote these too."""
    for file in folder.rglob("*.stage.json"):
        here, name = file.parent, file.name.removesuffix(".stage.json")
        try:
            record = StageRecord.read(here, name)
        except InputError:  # what is planted is a record
            continue
        digests = [
            {place: sha256(here / place) if (here / place).is_file() else digest for place, digest in of_kind.items()}
            for of_kind in (record.files, record.inputs or {})
        ]
        record.model_copy(update={"files": digests[0], "inputs": digests[1]}).write(here, name)


def files_of(folder: Path) -> Iterator[Path]:
    """All files of a results folder that a command may read."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "report" not in path.relative_to(folder).parts and path.name != ".lock":
            yield path
