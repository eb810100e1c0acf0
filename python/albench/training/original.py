"""From logits on the preprocessed grid to labels on the original one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from acvl_utils.cropping_and_padding.bounding_boxes import insert_crop_into_image
from numpy.typing import NDArray

from albench.training.prepare import PreparedStore


def original_labels(
    logits: NDArray[np.float32], store: PreparedStore, properties: Mapping[str, Any]
) -> NDArray[np.uint8]:
    """Label map on a case's original grid, axes (z, y, x).

    The same as nnU-Net's `convert_predicted_logits_to_segmentation_with_correct_shape`, which brings the logits of
    all labels onto the original grid before it compares them and then holds an int64 map; here it is one label at a
    time, so that memory does not grow with their number.

    Parameters
    ----------
    logits
        float32 (n_labels, z, y, x) on the preprocessed grid; no regions.
    properties
        nnU-Net's of the case.
    """
    configuration, plans = store.configuration_manager, store.plans_manager
    shape = properties["shape_after_cropping_and_before_resampling"]
    spacing = [properties["spacing"][axis] for axis in plans.transpose_forward]
    # A 2d configuration has no spacing of its own along the slicing axis.
    current = [*spacing[: len(shape) - len(configuration.spacing)], *configuration.spacing]
    labels = np.zeros(shape, dtype=np.uint8)
    best = np.empty(0, dtype=np.float32)
    for label in range(len(logits)):
        (resampled,) = configuration.resampling_fn_probabilities(logits[label : label + 1], shape, current, spacing)
        if label == 0:
            best = np.array(resampled)
            continue
        larger = resampled > best
        labels[larger] = label
        np.copyto(best, resampled, where=larger)
    whole = np.zeros(properties["shape_before_cropping"], dtype=np.uint8)
    whole = insert_crop_into_image(whole, labels, properties["bbox_used_for_cropping"])
    return np.ascontiguousarray(whole.transpose(plans.transpose_backward))
