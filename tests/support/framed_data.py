"""A data set of heads in wide empty frames, and copies of it in which labels are drawn at random."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.data import Dataset, load_dataset

N_LABELS = 3


def make_framed(root: Path, n_cases: int, shape: tuple[int, int, int], spacing: float = 1.0) -> Dataset:
    """Write ellipsoids with two structures in zeros; nnU-Net crops them, and normalises over what is not zero."""
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    names = [f"case_{index}.nii.gz" for index in range(n_cases)]
    for name in names:
        radii = rng.uniform(0.6, 0.75, (3, 1, 1, 1))
        head = np.square(grid / radii).sum(axis=0) < 1
        labels = np.zeros(shape, dtype=np.uint8)
        image = np.where(head, rng.normal(100, 10, shape), 0)
        for label in (1, 2):
            middle = rng.uniform(-0.2, 0.2, (3, 1, 1, 1)) + (0.25 if label == 1 else -0.25)
            inside = np.square((grid - middle) / rng.uniform(0.2, 0.3, (3, 1, 1, 1))).sum(axis=0) < 1
            labels[inside] = label
            image[inside] += 40 * label
        for part, values in (("imagesTr", image.astype(np.float32)), ("labelsTr", labels)):
            made = SimpleITK.GetImageFromArray(values)
            made.SetSpacing([spacing] * 3)
            SimpleITK.WriteImage(made, str(root / part / name), useCompression=True)
    description = {
        "name": root.name,
        "modality": {"0": "MRI"},
        "labels": {str(label): ("background", "first", "second")[label] for label in range(N_LABELS)},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
    }
    (root / "dataset.json").write_text(json.dumps(description))
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


def scrambled(source: Dataset, folder: Path, drawn: Callable[[str], NDArray[np.bool_] | None]) -> Dataset:
    """Copy a data set into `folder`, under its name, with random labels wherever nobody has drawn any.

    `drawn` gives the drawn voxels of a case, axes (z, y, x); None: none.
    """
    root = folder / source.root.name
    shutil.copytree(source.root, root)
    rng = np.random.default_rng(1)
    for case in source.cases:
        path = root / "labelsTr" / case.label.name
        image = SimpleITK.ReadImage(str(path))
        labels = SimpleITK.GetArrayFromImage(image)
        known = drawn(case.name)
        noise = rng.integers(0, N_LABELS, labels.shape).astype(labels.dtype)
        changed = SimpleITK.GetImageFromArray(noise if known is None else np.where(known, labels, noise))
        changed.CopyInformation(image)
        SimpleITK.WriteImage(changed, str(path), useCompression=True)
    return load_dataset(str(root), data_dir=None, cache_dir=folder / "cache")


def mask_of(shape: tuple[int, ...], boxes: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Voxels of some boxes, given by starts and stops."""
    mask = np.zeros(shape, dtype=bool)
    for start, stop in zip(*boxes, strict=True):
        mask[tuple(map(slice, start, stop))] = True
    return mask
