"""What of a data set nnU-Net could not train on, found by planning once on what verification knows of each case."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from numpy.typing import NDArray

from albench.config import NetworkSettings
from albench.data import CaseFacts, Dataset, Problem
from albench.data.readers import reader_of
from albench.machine.files import write_json
from albench.machine.limits import memory_bytes
from albench.training.planning import geometry_fingerprint, plan, target_spacing, untrainable

_NAME = "Dataset001_Facts"
_BYTES = 4  # of a number in single precision


def planning_problems(
    dataset: Dataset, facts: Mapping[str, CaseFacts], settings: NetworkSettings, *, held_out: bool = True
) -> list[Problem]:
    """Plan for all cases, and list those that make it impossible: nothing of them is read.

    Parameters
    ----------
    facts
        Of every case, by name, as `albench.data.examine` has them.
    settings
        Of the network, as a protocol has them.
    held_out
        Whether a case has to be left to test on.

    Raises
    ------
    InputError
        The settings ask for what no data set of such images has, as 3D patches of single slices.
    """
    if held_out and len(dataset.cases) < 2:
        message = f"{dataset.root}: expected 2 cases or more, of which one is tested on, found {len(dataset.cases)}"
        return [Problem(dataset.cases[0].name, "untrainable", message)]
    shapes = {case: [high - low for low, high in of_case.box] for case, of_case in facts.items()}
    with tempfile.TemporaryDirectory(prefix="al-bench-facts-") as folder:
        base = Path(folder)
        for kind in ("raw", "preprocessed"):
            (base / kind / _NAME).mkdir(parents=True)
        write_json(base / "raw" / _NAME / "dataset.json", _description(dataset))
        fingerprint = geometry_fingerprint(list(facts.values())) | {"foreground_intensity_properties_per_channel": {}}
        target, axis = target_spacing(base, _NAME, settings, fingerprint)
        slices = axis if settings.configuration == "2d" else None
        if problems := list(_resampled_problems(dataset, facts, shapes, target, slices)):
            return problems
        plans = plan(base, _NAME, settings, fingerprint, sketch=True)
    wrong = untrainable(plans["configurations"][settings.configuration], shapes)
    if wrong is None:
        return []
    case, message = wrong
    return [Problem(case, "untrainable", f"{dataset.case(case).images[0]}: {message}")]


def _description(dataset: Dataset) -> dict[str, Any]:
    """Content of a ``dataset.json`` that has nnU-Net look at no file."""
    return {
        "channel_names": {str(number): name for number, name in enumerate(dataset.channel_names)},
        "labels": {name: value for value, name in dataset.labels.items()},
        "numTraining": len(dataset.cases),
        "file_ending": dataset.file_ending,
        "overwrite_image_reader_writer": type(reader_of(dataset.cases[0].images[0])).__name__,
        "dataset": {
            case.name: {"images": list(map(str, case.images)), "label": str(case.images[0])} for case in dataset.cases
        },
    }


def _resampled_problems(
    dataset: Dataset,
    facts: Mapping[str, CaseFacts],
    shapes: Mapping[str, list[int]],
    target: NDArray[np.float64],
    slices: int | None,
) -> Iterator[Problem]:
    """Cases that resampling leaves no voxel of along some axis, or more than the memory holds.

    Parameters
    ----------
    target
        Spacing in mm, (z, y, x), that all are resampled to.
    slices
        Axis along which nothing is resampled, if any.
    """
    memory = memory_bytes()
    for case, of_case in facts.items():
        goal = target.copy()
        if slices is not None:
            goal[slices] = of_case.spacing_mm[slices]
        shape = tuple(int(edge) for edge in compute_new_shape(shapes[case], of_case.spacing_mm, goal))
        if min(shape) >= 1 and math.prod(shape) * dataset.n_channels * _BYTES <= memory:
            continue
        expected = "a voxel or more along each axis" if min(shape) < 1 else f"no more than {memory / 1e9:.1f} GB"
        edges, goals = (", ".join(f"{edge:g}" for edge in spacing) for spacing in (of_case.spacing_mm, goal))
        yield Problem(
            case,
            "untrainable",
            f"{dataset.case(case).images[0]}: expected {expected} when it is resampled from its spacing, {edges} mm "
            f"(z, y, x), to that of the data set, {goals} mm, found {shape} voxels",
        )
