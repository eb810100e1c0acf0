"""From logits on the preprocessed grid to labels on the original one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import insert_crop_into_image
from nnunetv2.preprocessing.resampling.default_resampling import determine_do_sep_z_and_axis
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager
from numpy.typing import NDArray
from torch.nn import functional

from albench.training.preprocess import PreprocessedStore

_SLAB_VOXELS = 2**22


def original_labels(
    logits: NDArray[np.float32], store: PreprocessedStore, properties: Mapping[str, Any]
) -> NDArray[np.uint8]:
    """Label map on a case's original grid, axes (z, y, x).

    The same as nnU-Net's `convert_predicted_logits_to_segmentation_with_correct_shape`. That one brings the logits of
    all labels onto the original grid before it compares them; here it is one label at a time, and a few planes at a
    time where planes stay planes. What takes memory beside the logits is then the labels alone.

    Parameters
    ----------
    logits
        float32 (n_labels, z, y, x) on the preprocessed grid; no regions.
    properties
        nnU-Net's of the case.
    """
    configuration, plans = store.configuration_manager, store.plans_manager
    shape = properties["shape_after_cropping_and_before_resampling"]
    spacing, current = store.spacings(properties)
    labels = np.empty(shape, dtype=np.uint8)
    # Interpolation mixes neighbouring planes only where their number changes.
    planes_stay = logits.shape[1] == shape[0]
    step = max(1, _SLAB_VOXELS // (shape[1] * shape[2])) if planes_stay else shape[0]
    resample = configuration.resampling_fn_probabilities
    if planes_stay and _is_linear_in_planes(configuration, current, spacing):
        resample = _resample_planes
    for first in range(0, shape[0], step):
        slab = slice(first, min(first + step, shape[0]))
        source = slab if step < shape[0] else slice(None)
        target = (slab.stop - slab.start, *shape[1:])
        labels[slab] = _largest(
            resample(logits[label : label + 1, source], target, current, spacing)[0] for label in range(len(logits))
        )
    whole = np.zeros(properties["shape_before_cropping"], dtype=np.uint8)
    whole = insert_crop_into_image(whole, labels, properties["bbox_used_for_cropping"])
    return np.ascontiguousarray(whole.transpose(plans.transpose_backward))


def _is_linear_in_planes(
    configuration: ConfigurationManager, current: Sequence[float], spacing: Sequence[float]
) -> bool:
    """Whether nnU-Net would interpolate linearly in every plane of the first axis."""
    plan = configuration.configuration
    if plan["resampling_fn_probabilities"] != "resample_data_or_seg_to_shape":
        return False
    options = plan["resampling_fn_probabilities_kwargs"]
    _, axis = determine_do_sep_z_and_axis(options["force_separate_z"], current, spacing)
    return bool(options["order"] == 1 and axis in (None, 0))


def _resample_planes(
    logits: NDArray[np.float32], shape: Sequence[int], current: Sequence[float], spacing: Sequence[float]
) -> NDArray[np.float32]:
    """Interpolate linearly, as skimage's `resize` does for nnU-Net, at a fraction of its time."""
    if logits.shape[2:] == tuple(shape[1:]):
        return logits
    # float64 as there: in float32 positions between pixels are rounded, and some voxels get another label.
    planes = torch.from_numpy(logits).transpose(0, 1).double()
    planes = functional.interpolate(planes, size=tuple(shape[1:]), mode="bilinear", align_corners=False)
    return planes.float().transpose(0, 1).numpy()


def _largest(maps: Iterator[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Return which of the maps, that come one by one, is largest, the first of equals; uint8 of their shape."""
    best = np.array(next(maps))
    labels = np.zeros(best.shape, dtype=np.uint8)
    for number, values in enumerate(maps, start=1):
        larger = values > best
        labels[larger] = number
        np.copyto(best, values, where=larger)
    return labels
