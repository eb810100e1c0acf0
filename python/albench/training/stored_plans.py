"""nnU-Net's plans and ``dataset.json``, checked before use: nnU-Net imports and calls what they name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from albench.errors import InputError, first_fault
from albench.machine.names import is_file_name, is_name
from albench.machine.text import read_json_text

PLANS_NAME = "nnUNetPlans"
CONFIGURATIONS = ("2d", "3d_fullres")

_STACKS = "Tiff3DIO"  # the one reader that al-bench names there
_RESAMPLING = Literal[
    "resample_data_or_seg_to_shape", "resample_torch_fornnunet", "resample_torch_simple", "no_resampling_hack"
]
_MAX_VOXELS = 2**31


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


def _name(value: Any) -> Any:
    if not is_file_name(value):
        raise ValueError("expected a plain name")
    return value


def _text(value: Any) -> Any:
    if not is_name(value):
        raise ValueError("expected a printable text")
    return value


_Finite = Annotated[float, BeforeValidator(_number)]
_Edge = Annotated[_Finite, Field(gt=0, le=1e9)]
_Name = Annotated[str, BeforeValidator(_name)]
_Text = Annotated[str, BeforeValidator(_text)]
_Axes = Annotated[list[Annotated[StrictInt, Field(ge=1, le=64)]], Field(min_length=2, max_length=3)]
_Stages = Annotated[int, Field(ge=1, le=32, strict=True)]
_Convolutions = Annotated[list[_Stages], Field(max_length=32)]


class _Open(BaseModel):
    """Keys beyond those that matter stay as they are: nnU-Net adds some from version to version."""

    model_config = ConfigDict(extra="allow")


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Norm(_Exact):
    eps: _Finite
    affine: StrictBool


class _Dropout(_Exact):
    p: Annotated[_Finite, Field(ge=0, lt=1)]


class _Activation(_Exact):
    inplace: StrictBool


class _Network(_Exact):
    """Arguments of the network's class; those that nnU-Net imports by name are among the few that its planner names."""

    n_stages: _Stages
    features_per_stage: Annotated[list[Annotated[StrictInt, Field(ge=1, le=2**16)]], Field(max_length=32)]
    conv_op: Literal["torch.nn.modules.conv.Conv2d", "torch.nn.modules.conv.Conv3d"]
    kernel_sizes: Annotated[list[_Axes], Field(max_length=32)]
    strides: Annotated[list[_Axes], Field(max_length=32)]
    n_conv_per_stage: _Convolutions | None = None  # of plain networks
    n_blocks_per_stage: _Convolutions | None = None  # of residual ones
    n_conv_per_stage_decoder: _Convolutions
    conv_bias: StrictBool
    norm_op: Literal["torch.nn.modules.instancenorm.InstanceNorm2d", "torch.nn.modules.instancenorm.InstanceNorm3d"]
    norm_op_kwargs: _Norm
    dropout_op: Literal["torch.nn.Dropout", "torch.nn.Dropout2d", "torch.nn.Dropout3d"] | None
    dropout_op_kwargs: _Dropout | None
    nonlin: Literal["torch.nn.LeakyReLU", "torch.nn.ReLU"]
    nonlin_kwargs: _Activation


class _Architecture(_Exact):
    network_class_name: Literal[
        "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
        "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet",
    ]
    arch_kwargs: _Network
    kw_requires_import: Annotated[
        list[Literal["conv_op", "norm_op", "dropout_op", "nonlin"]], Field(alias="_kw_requires_import")
    ]


_Option = StrictBool | Annotated[StrictInt, Field(ge=0, le=64)] | None
_Options = dict[Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")], _Option]
"""Of a function that resamples: whether it is for labels, orders of interpolation, numbers of threads."""


class _Configuration(_Open):
    data_identifier: _Name
    preprocessor_name: Literal["DefaultPreprocessor"]
    batch_size: Annotated[StrictInt, Field(ge=1, le=10**6)]
    patch_size: Annotated[list[Annotated[StrictInt, Field(ge=1, le=2**16)]], Field(min_length=2, max_length=3)]
    spacing: Annotated[list[_Edge], Field(min_length=2, max_length=3)]
    normalization_schemes: Annotated[
        list[
            Literal[
                "ZScoreNormalization",
                "CTNormalization",
                "NoNormalization",
                "RescaleTo01Normalization",
                "RGBTo01Normalization",
            ]
        ],
        Field(min_length=1, max_length=1000),
    ]
    use_mask_for_norm: list[StrictBool]
    resampling_fn_data: _RESAMPLING
    resampling_fn_seg: _RESAMPLING
    resampling_fn_probabilities: _RESAMPLING
    resampling_fn_data_kwargs: _Options
    resampling_fn_seg_kwargs: _Options
    resampling_fn_probabilities_kwargs: _Options
    architecture: _Architecture


class _Intensities(_Open):
    mean: _Finite
    std: _Finite
    percentile_00_5: _Finite
    percentile_99_5: _Finite


class _Plans(_Open):
    plans_name: _Name
    dataset_name: _Name
    image_reader_writer: Literal[
        "SimpleITKIO", "SimpleITKIOWithReorient", "NibabelIO", "NibabelIOWithReorient", "NaturalImage2DIO", "Tiff3DIO"
    ]
    label_manager: Literal["LabelManager"]
    transpose_forward: list[StrictInt]
    transpose_backward: list[StrictInt]
    configurations: dict[_Name, _Configuration]
    foreground_intensity_properties_per_channel: dict[_Name, _Intensities]


class _Description(_Open):
    channel_names: Annotated[dict[Annotated[str, Field(pattern=r"^[0-9]{1,3}$")], _Text], Field(min_length=1)]
    labels: dict[_Text, Annotated[StrictInt, Field(ge=0, le=255)]]
    file_ending: Annotated[str, Field(pattern=r"^\.[A-Za-z0-9]{1,8}(\.gz)?$")]


def read_plans(path: Path) -> dict[str, Any]:
    """Read plans that al-bench wrote for one configuration, by `albench.training.planning.plan` or after a given model.

    Raises
    ------
    InputError
        The file is missing or damaged, or names a network, a function or a class other than those of nnU-Net's own
        planners, or a path.
    """
    return checked_plans(path, read_json_text(path))


def checked_plans(path: Path, content: Any) -> dict[str, Any]:
    """Return plans that are as `read_plans` wants them; `path` is for the message."""
    plans = _checked(path, content, _Plans)
    if len(plans["configurations"]) != 1:
        raise InputError(f"{path}: expected one configuration, found {len(plans['configurations'])}")
    for name, configuration in plans["configurations"].items():
        identifier, patch = configuration["data_identifier"], configuration["patch_size"]
        if "inherits_from" in configuration or identifier != f"{PLANS_NAME}_{name}" or math.prod(patch) > _MAX_VOXELS:
            raise InputError(
                f"{path}: expected a configuration of its own with cases in {PLANS_NAME}_{name}, found {identifier!r} "
                f"and patches of {patch}"
            )
    for key in ("transpose_forward", "transpose_backward"):
        if sorted(plans[key]) != [0, 1, 2]:
            raise InputError(f"{path}: {key}: expected the axes 0, 1 and 2, found {plans[key]!r:.200}")
    return plans


def read_description(path: Path) -> dict[str, Any]:
    """Read the ``dataset.json`` beside plans.

    Raises
    ------
    InputError
        The file is missing or damaged, or has other values than al-bench writes.
    """
    return checked_description(path, read_json_text(path))


def checked_description(path: Path, content: Any) -> dict[str, Any]:
    """Return a description that is as `read_description` wants it; `path` is for the message."""
    description = _checked(path, content, _Description)
    if description.get("overwrite_image_reader_writer", _STACKS) != _STACKS or "regions_class_order" in description:
        raise InputError(f"{path}: expected a dataset.json written by `al-bench run`, found another program's")
    return description


def _checked(path: Path, content: Any, kind: type[BaseModel]) -> dict[str, Any]:
    try:
        kind.model_validate(content)
    except ValidationError as error:
        where, why, given = first_fault(error)
        raise InputError(
            f"{path}: expected what `al-bench run` writes, found {where:.200}: {why} ({given!r:.100})"
        ) from None
    found: Mapping[str, Any] = content
    return dict(found)
