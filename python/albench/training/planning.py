"""nnU-Net's fingerprint and plans for one pool, without a look at labels nobody has drawn yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.utilities import utils
from numpy.typing import NDArray

from albench.config import NetworkSettings
from albench.data import Case, CaseFacts
from albench.errors import InputError
from albench.machine.files import write_json
from albench.training.nnunet_env import nnunet_folders, quiet
from albench.training.reading import read_case_images, read_label
from albench.training.scan import CaseScan
from albench.training.stored_plans import PLANS_NAME
from albench.units.pool import Pool, Unit, by_case

_N_INTENSITIES = 10_000_000  # nnU-Net's cap on foreground voxels for the intensity statistics, over all cases
_SMALLEST_PATCH = 5
_PERCENTILES = (0.5, 50.0, 99.5)

# The planner lists files in a dozen forked processes, which hold each other's pipes: after kill -9 they wait for ever.
utils.Pool = lambda processes: ThreadPool(1)


def geometry_fingerprint(scans: Sequence[CaseScan | CaseFacts]) -> dict[str, Any]:
    """Return the part of nnU-Net's data set fingerprint that needs no labels."""
    shapes = [[high - low for low, high in scan.box] for scan in scans]
    return {
        "spacings": [list(scan.spacing_mm) for scan in scans],
        "shapes_after_crop": shapes,
        "median_relative_size_after_cropping": float(
            np.median([math.prod(s) / math.prod(scan.shape) for s, scan in zip(shapes, scans, strict=True)])
        ),
    }


def intensity_properties(cases: Sequence[Case], pool: Pool, start: Sequence[Unit]) -> dict[str, Any]:
    """nnU-Net's foreground intensity statistics, of labelled units only.

    nnU-Net takes them (they decide CT normalisation) from the foreground of *all* training labels. In active
    learning those labels do not exist yet, so only the starting set's units contribute; where these hold no
    foreground, all their voxels do.

    Parameters
    ----------
    cases
        Cases of the pool.
    start
        The labelled units of `pool`; at least one.

    Returns
    -------
    dict
        Per channel the entries of ``foreground_intensity_properties_per_channel``.
    """
    units = by_case(sorted(start))  # nnU-Net draws from their voxels: the order of choice must not decide which
    n_samples = max(1, _N_INTENSITIES // len(units))
    foreground: list[list[NDArray[Any]]] = []
    anything: list[list[NDArray[Any]]] = []
    collect = DatasetFingerprintExtractor.collect_foreground_intensities
    for case in cases:
        if case.name not in units:
            continue
        images = _within(read_case_images(case)[0], pool, units[case.name])
        known = _within(read_label(case.reference)[None], pool, units[case.name])
        foreground.append(collect(known, images, num_samples=n_samples)[0])
        if not known.any():
            anything.append(collect(np.ones_like(known), images, num_samples=n_samples)[0])
    n_foreground = sum(len(values[0]) for values in foreground)
    source = foreground if n_foreground else anything
    statistics = {}
    for channel in range(len(source[0])):
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


def _within(array: NDArray[Any], pool: Pool, units: Sequence[Unit]) -> NDArray[Any]:
    """Voxels of the units of one case, units one after the other; from (channel, z, y, x), with four axes."""
    axis = pool.axes.get(units[0].case)
    if axis is not None:
        return np.take(array, [unit.index for unit in units], axis + 1)
    parts = []
    for start, stop in zip(*pool.boxes(units), strict=True):
        box = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
        parts.append(array[(slice(None), *box)].reshape(len(array), -1))
    return np.concatenate(parts, axis=1)[:, :, None, None]


class _Planner(ExperimentPlanner):  # type: ignore[misc]
    """nnU-Net's planner with the departures that a protocol asks for."""

    def __init__(self, dataset_name: str, settings: NetworkSettings) -> None:
        super().__init__(dataset_name, plans_name=PLANS_NAME)
        self._settings = settings
        self.UNet_base_num_features = settings.base_features

    def determine_fullres_target_spacing(self) -> NDArray[np.float64]:
        """nnU-Net's target spacing, enlarged until the median slice or volume fits `max_edge`.

        Within a slice both spacings grow by the same factor. In a volume the finest ones are raised first, to a common
        value: the coarse axis of anisotropic images, which has few voxels anyway, keeps its own.
        """
        spacing = np.asarray(super().determine_fullres_target_spacing(), dtype=np.float64)
        edge = self._settings.max_edge
        if edge is None:
            return spacing
        median_spacing = np.median(np.vstack(self.dataset_fingerprint["spacings"]), axis=0)
        median_shape = np.median(np.vstack(self.dataset_fingerprint["shapes_after_crop"]), axis=0)
        extent_mm = median_shape * median_spacing
        if self._settings.configuration == "2d":
            in_plane = np.arange(3) != self._slice_axis(spacing)
            spacing[in_plane] *= max(1.0, float(np.max((extent_mm / spacing)[in_plane])) / edge)
            return spacing
        too_long = extent_mm / spacing > edge
        lowest = float(np.max(extent_mm[too_long])) / edge if too_long.any() else 0.0
        raised: NDArray[np.float64] = np.maximum(spacing, lowest)
        return raised

    def determine_transpose(self) -> tuple[list[int], list[int]]:
        """nnU-Net's slicing axis for the spacing it would have chosen itself, not for the enlarged one."""
        first = self._slice_axis(super().determine_fullres_target_spacing())
        forward = [first, *(axis for axis in range(3) if axis != first)]
        return forward, [forward.index(axis) for axis in range(3)]

    def _slice_axis(self, spacing: NDArray[np.float64]) -> int:
        """Axis of the largest spacing, as nnU-Net; but where all cases are single slices, the axis of one voxel."""
        single = np.flatnonzero((np.vstack(self.dataset_fingerprint["shapes_after_crop"]) == 1).all(axis=0))
        return int(single[0] if len(single) == 1 else np.argmax(spacing))


class _Sketch(_Planner):
    """The same planner with memory without end."""

    def __init__(self, dataset_name: str, settings: NetworkSettings) -> None:
        super().__init__(dataset_name, settings)
        self.lowres_creation_threshold = 0  # nobody asks for a cascade

    @staticmethod
    def static_estimate_VRAM_usage(*arguments: Any) -> float:  # noqa: N802 - its name in nnU-Net
        """Return next to nothing."""
        return 1.0


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
    n_axes = len(configuration["patch_size"])
    kwargs["dropout_op"] = "torch.nn.Dropout" + ("" if settings.dropout_kind == "element" else f"{n_axes}d")
    kwargs["dropout_op_kwargs"] = {"p": settings.dropout}


def _write_fingerprint(base: Path, dataset_name: str, fingerprint: Mapping[str, Any]) -> None:
    write_json(base / "preprocessed" / dataset_name / "dataset_fingerprint.json", dict(fingerprint))


def take_plans(
    folder: Path, plans: Mapping[str, Any], description: Mapping[str, Any], fingerprint: Mapping[str, Any]
) -> None:
    """Write the plans and the ``dataset.json`` of a given model where those of nnU-Net's planner would be.

    Parameters
    ----------
    folder
        ``preprocessed/DatasetXXX_Name``.
    fingerprint
        Of the images that will be preprocessed.
    """
    write_json(folder / f"{PLANS_NAME}.json", {**plans, "dataset_name": folder.name})  # nnU-Net looks for cases there
    write_json(folder / "dataset.json", dict(description))
    write_json(folder / "dataset_fingerprint.json", dict(fingerprint))


def untrainable(configuration: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> tuple[str, str] | None:
    """Name images too small for a network of two resolutions, or for the blur of nnU-Net's augmentation.

    Parameters
    ----------
    configuration
        As planned.
    shapes
        Voxels (z, y, x) of each case that it was planned for.

    Returns
    -------
    tuple
        The smallest case, and what is wrong; None where nothing is.
    """
    patch, n_stages = configuration["patch_size"], configuration["architecture"]["arch_kwargs"]["n_stages"]
    if min(patch) >= _SMALLEST_PATCH and n_stages >= 2:
        return None
    smallest = min(shapes, key=lambda case: sorted(shapes[case]))
    return smallest, (
        f"expected images that nnU-Net can train on, {_SMALLEST_PATCH} voxels or more along each axis of a patch and "
        f"two resolutions, found {tuple(shapes[smallest])} voxels (z, y, x), of which it plans patches of "
        f"{tuple(patch)} and {n_stages} resolutions"
    )


def require_trainable(configuration: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> None:
    """Raise InputError where `untrainable` names a case."""
    if wrong := untrainable(configuration, shapes):
        raise InputError(f"case {wrong[0]}: {wrong[1]}")


def target_spacing(
    base: Path, dataset_name: str, settings: NetworkSettings, geometry: Mapping[str, Any]
) -> tuple[NDArray[np.float64], int]:
    """Spacing in mm, (z, y, x), that nnU-Net resamples to, and the axis along which its 2d configuration slices."""
    _write_fingerprint(base, dataset_name, geometry)
    with nnunet_folders(base), quiet():
        planner = _Planner(dataset_name, settings)
        return planner.determine_fullres_target_spacing(), int(planner.determine_transpose()[0][0])


def plan(
    base: Path,
    dataset_name: str,
    settings: NetworkSettings,
    fingerprint: Mapping[str, Any],
    *,
    sketch: bool = False,
) -> dict[str, Any]:
    """Run nnU-Net's planner and write its plans with the protocol's departures.

    Parameters
    ----------
    base
        Folder with nnU-Net's ``raw`` (holding `dataset_name`) and ``preprocessed``.
    fingerprint
        `geometry_fingerprint` with ``foreground_intensity_properties_per_channel`` added.
    sketch
        Whether to leave out how much memory patches and batches take, which is what takes the planner seconds: patches
        are then as large as they would be on any machine.

    Returns
    -------
    dict
        The plans, as written to ``base/preprocessed/<dataset_name>/nnUNetPlans.json``.
    """
    _write_fingerprint(base, dataset_name, fingerprint)
    path = base / "preprocessed" / dataset_name / f"{PLANS_NAME}.json"
    path.unlink(missing_ok=True)  # the planner would merge an earlier run's configurations
    with nnunet_folders(base), quiet():
        (_Sketch if sketch else _Planner)(dataset_name, settings).plan_experiment()
    plans: dict[str, Any] = load_json(str(path))
    if settings.configuration not in plans["configurations"]:
        raise InputError(
            f"network.configuration: expected 2d for images of a single slice, got {settings.configuration}"
        )
    plans["configurations"] = {settings.configuration: plans["configurations"][settings.configuration]}
    _adapt(plans["configurations"][settings.configuration], settings)
    write_json(path, plans)
    return plans
