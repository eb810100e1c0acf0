"""nnU-Net's fingerprint and plans for one pool, without a look at labels nobody has drawn yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from acvl_utils.cropping_and_padding.bounding_boxes import get_bbox_from_mask
from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask
from numpy.typing import NDArray

from albench.coldstart.descriptors import describe_slices
from albench.config import NetworkSettings
from albench.data import Case
from albench.data.images import case_geometry
from albench.files import write_json
from albench.training.nnunet_env import nnunet_folders, quiet

_N_INTENSITIES = 10_000_000  # nnU-Net's cap on foreground voxels for the intensity statistics, over all cases
_PERCENTILES = (0.5, 50.0, 99.5)
PLANS_NAME = "nnUNetPlans"


@dataclass(frozen=True)
class CaseScan:
    """What planning needs to know of a case, from one read.

    Attributes
    ----------
    shape, spacing_mm
        Of the original grid, axes (z, y, x).
    box
        Bounds of the non-zero region that nnU-Net crops to, ``(low, high)`` per axis.
    voxel_counts, border_counts
        Per slicing axis an int64 array (n_slices, n_labels): voxels of each label in each original slice, and those
        of them with a neighbour of another label in the slice.
    descriptors
        float32 (n_slices, d) of each original slice along the axis that was asked for, if any.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    box: tuple[tuple[int, int], ...]
    voxel_counts: tuple[NDArray[np.int64], ...]
    border_counts: tuple[NDArray[np.int64], ...]
    descriptors: NDArray[np.float32] | None = None


def scan_case(case: Case, n_labels: int, describe_axis: int | None = None) -> CaseScan:
    """Read a case once: geometry, nnU-Net's crop, and label counts of every slice along every axis.

    Slices along `describe_axis` are described as well, from the images alone.
    """
    reader = SimpleITKIO()
    images, properties = reader.read_images([str(path) for path in case.images])
    segmentation = reader.read_seg(str(case.label))[0][0]
    box = tuple((int(low), int(high)) for low, high in get_bbox_from_mask(create_nonzero_mask(images)))
    return CaseScan(
        shape=images.shape[1:],
        spacing_mm=tuple(float(s) for s in properties["spacing"]),
        box=box,
        voxel_counts=tuple(_per_slice(segmentation, n_labels, axis) for axis in range(3)),
        border_counts=tuple(_per_slice(segmentation, n_labels, axis, border(segmentation, axis)) for axis in range(3)),
        descriptors=None if describe_axis is None else describe_slices(images, box, describe_axis),
    )


def stacked(descriptors: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    """Descriptors of several cases below each other; None where there are none."""
    found = [rows for rows in descriptors if rows is not None]
    return np.concatenate(found) if found else None


def likely_axis(cases: Sequence[Case]) -> int:
    """Axis along which nnU-Net will most probably slice, from headers alone: that of the largest median spacing."""
    return int(np.argmax(np.median([case_geometry(case.images[0]).spacing_mm for case in cases], axis=0)))


def _per_slice(
    segmentation: NDArray[Any], n_labels: int, axis: int, where: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Count labels in every slice along `axis`, in the voxels of `where` alone; int64 (n_slices, n_labels)."""
    counts = np.empty((segmentation.shape[axis], n_labels), dtype=np.int64)
    others = tuple(a for a in range(3) if a != axis)
    for label in range(n_labels):
        mask = segmentation == label
        counts[:, label] = (mask if where is None else mask & where).sum(axis=others)
    return counts


def border(segmentation: NDArray[Any], axis: int) -> NDArray[np.bool_]:
    """Voxels with one of their four neighbours in the slice along `axis` of another label; the edge is no border."""
    result = np.zeros(segmentation.shape, dtype=bool)
    for other in (a for a in range(3) if a != axis):
        changes = np.diff(segmentation.astype(np.int16), axis=other) != 0
        before, after = [slice(None)] * 3, [slice(None)] * 3
        before[other], after[other] = slice(None, -1), slice(1, None)
        result[tuple(before)] |= changes
        result[tuple(after)] |= changes
    return result


def geometry_fingerprint(scans: Sequence[CaseScan]) -> dict[str, Any]:
    """Return the part of nnU-Net's data set fingerprint that needs no labels."""
    shapes = [[high - low for low, high in scan.box] for scan in scans]
    return {
        "spacings": [list(scan.spacing_mm) for scan in scans],
        "shapes_after_crop": shapes,
        "median_relative_size_after_cropping": float(
            np.median([math.prod(s) / math.prod(scan.shape) for s, scan in zip(shapes, scans, strict=True)])
        ),
    }


def intensity_properties(cases: Sequence[Case], slices: Mapping[str, Sequence[int]], axis: int) -> dict[str, Any]:
    """nnU-Net's foreground intensity statistics, of labelled slices only.

    nnU-Net takes them (they decide CT normalisation) from the foreground of *all* training labels. In active
    learning those labels do not exist yet, so only the starting set's slices contribute; where these hold no
    foreground, all their voxels do.

    Parameters
    ----------
    cases
        Cases of the pool.
    slices
        Per case the labelled slice indices along `axis`, on the original grid; at least one in all.
    axis
        Slicing axis on the original (z, y, x) grid.

    Returns
    -------
    dict
        Per channel the entries of ``foreground_intensity_properties_per_channel``.
    """
    reader = SimpleITKIO()
    n_samples = max(1, _N_INTENSITIES // len(slices))
    foreground: list[list[NDArray[Any]]] = []
    anything: list[list[NDArray[Any]]] = []
    collect = DatasetFingerprintExtractor.collect_foreground_intensities
    for case in cases:
        if not slices.get(case.name):
            continue
        images = np.take(reader.read_images([str(path) for path in case.images])[0], slices[case.name], axis + 1)
        known = np.take(reader.read_seg(str(case.label))[0], slices[case.name], axis + 1)
        foreground.append(collect(known, images, num_samples=n_samples)[0])
        if not known.any():
            anything.append(collect(np.ones_like(known), images, num_samples=n_samples)[0])
    n_foreground = sum(len(values[0]) for values in foreground)
    source = foreground if n_foreground else anything
    statistics = {}
    for channel in range(len(cases[0].images)):
        values = np.concatenate([case_values[channel] for case_values in source])
        low, median, high = np.percentile(values, _PERCENTILES)
        statistics[str(channel)] = {
            "mean": float(np.mean(values)),
            "median": float(median),
            "std": float(np.std(values)),
            "min": float(np.min(values)),
            "max": float(np.max(values)),
            "percentile_99_5": float(high),
            "percentile_00_5": float(low),
        }
    return statistics


class _Planner(ExperimentPlanner):  # type: ignore[misc]
    """nnU-Net's planner with the departures that a protocol asks for."""

    def __init__(self, dataset_name: str, settings: NetworkSettings) -> None:
        super().__init__(dataset_name, plans_name=PLANS_NAME)
        self._settings = settings
        self.UNet_base_num_features = settings.base_features

    def determine_fullres_target_spacing(self) -> NDArray[np.float64]:
        """nnU-Net's target spacing, enlarged within the slice until its median fits `max_slice_edge`."""
        spacing = np.asarray(super().determine_fullres_target_spacing(), dtype=np.float64)
        edge = self._settings.max_slice_edge
        if edge is None:
            return spacing
        in_plane = np.arange(3) != np.argmax(spacing)
        median_spacing = np.median(np.vstack(self.dataset_fingerprint["spacings"]), axis=0)
        median_shape = np.median(np.vstack(self.dataset_fingerprint["shapes_after_crop"]), axis=0)
        extent_mm = median_shape * median_spacing
        factor = max(1.0, float(np.max((extent_mm / spacing)[in_plane])) / edge)
        spacing[in_plane] *= factor
        return spacing

    def determine_transpose(self) -> tuple[list[int], list[int]]:
        """nnU-Net's slicing axis for the spacing it would have chosen itself, not for the enlarged one."""
        first = int(np.argmax(super().determine_fullres_target_spacing()))
        forward = [first, *(axis for axis in range(3) if axis != first)]
        return forward, [forward.index(axis) for axis in range(3)]


def _adapt(configuration: dict[str, Any], settings: NetworkSettings) -> None:
    """Write dropout layers, depth and batch size of the protocol into a planned configuration, in place."""
    if settings.batch_size is not None:
        configuration["batch_size"] = settings.batch_size
    kwargs = configuration["architecture"]["arch_kwargs"]
    n_stages = kwargs["n_stages"] if settings.max_stages is None else min(settings.max_stages, kwargs["n_stages"])
    kwargs["n_stages"] = n_stages
    for key in ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage"):
        kwargs[key] = kwargs[key][:n_stages]
    kwargs["n_conv_per_stage_decoder"] = kwargs["n_conv_per_stage_decoder"][: n_stages - 1]
    kwargs["dropout_op"] = "torch.nn.Dropout2d" if len(configuration["patch_size"]) == 2 else "torch.nn.Dropout3d"
    kwargs["dropout_op_kwargs"] = {"p": settings.dropout}


def _write_fingerprint(base: Path, dataset_name: str, fingerprint: Mapping[str, Any]) -> None:
    write_json(base / "preprocessed" / dataset_name / "dataset_fingerprint.json", dict(fingerprint))


def slicing_axis(base: Path, dataset_name: str, settings: NetworkSettings, geometry: Mapping[str, Any]) -> int:
    """Axis of the original (z, y, x) grid along which nnU-Net's 2d configuration slices this data set."""
    _write_fingerprint(base, dataset_name, geometry)
    with nnunet_folders(base), quiet():
        return int(_Planner(dataset_name, settings).determine_transpose()[0][0])


def plan(base: Path, dataset_name: str, settings: NetworkSettings, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Run nnU-Net's planner and write its plans with the protocol's departures.

    Parameters
    ----------
    base
        Folder with nnU-Net's ``raw`` (holding `dataset_name`) and ``preprocessed``.
    fingerprint
        `geometry_fingerprint` with ``foreground_intensity_properties_per_channel`` added.

    Returns
    -------
    dict
        The plans, as written to ``base/preprocessed/<dataset_name>/nnUNetPlans.json``.
    """
    _write_fingerprint(base, dataset_name, fingerprint)
    path = base / "preprocessed" / dataset_name / f"{PLANS_NAME}.json"
    path.unlink(missing_ok=True)  # the planner would merge an earlier run's configurations
    with nnunet_folders(base), quiet():
        _Planner(dataset_name, settings).plan_experiment()
    plans: dict[str, Any] = load_json(str(path))
    plans["configurations"] = {settings.configuration: plans["configurations"][settings.configuration]}
    _adapt(plans["configurations"][settings.configuration], settings)
    write_json(path, plans)
    return plans
