"""Small data sets of other shapes than the phantoms': one bright ball a case, in MSD layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from albench.data import Dataset, load_dataset


def ball(shape: Sequence[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a bright ellipsoid in noise, the same number of balls' widths along each axis."""
    middle = [(n - 1) * rng.uniform(0.4, 0.6) for n in shape]
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    distance = sum(((g - m) / (0.3 * n)) ** 2 for g, m, n in zip(grid, middle, shape, strict=True))
    label = (distance < 1).astype(np.uint8)
    return rng.normal(100, 10, shape) + 80.0 * label, label


def make_photographs(root: Path, shapes: Sequence[tuple[int, int]], colours: bool) -> Dataset:
    """Write PNG images in nnU-Net's raw layout: nnU-Net's reader takes colours for channels."""
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    for index, shape in enumerate(shapes):
        image, label = ball(shape, rng)
        image = np.clip(image, 0, 255).astype(np.uint8)
        picture = np.stack([image, 255 - image, image // 2], axis=-1) if colours else image
        for path, values in ((f"imagesTr/p{index}_0000.png", picture), (f"labelsTr/p{index}.png", label)):
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values, isVector=values.ndim == 3), str(root / path))
    names = ("R", "G", "B") if colours else ("grey",)
    description = {
        "channel_names": {str(channel): name for channel, name in enumerate(names)},
        "labels": {"background": 0, "ball": 1},
        "numTraining": len(shapes),
        "file_ending": ".png",
    }
    (root / "dataset.json").write_text(json.dumps(description))
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


def make_archive(
    root: Path,
    shapes: Sequence[tuple[int, int, int]],
    spacing_mm: tuple[float, float, float],
    n_channels: int = 1,
) -> Dataset:
    """Write a data set of one case a shape; axes and spacing are (z, y, x)."""
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    names = [f"case_{index}.nii.gz" for index in range(len(shapes))]
    for name, shape in zip(names, shapes, strict=True):
        image, label = ball(shape, rng)
        channels = [image * factor for factor in (1.0, -2.0, 0.5)[:n_channels]]
        images = image if n_channels == 1 else np.stack(channels)
        for part, values in (("imagesTr", images.astype(np.float32)), ("labelsTr", label)):
            made = SimpleITK.GetImageFromArray(values, isVector=False)
            made.SetSpacing((*spacing_mm[::-1], *[1.0] * (values.ndim - 3)))
            SimpleITK.WriteImage(made, str(root / part / name), useCompression=True)
    description = {
        "name": root.name,
        "modality": {str(channel): "MRI" for channel in range(n_channels)},
        "labels": {"0": "background", "1": "ball"},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
    }
    (root / "dataset.json").write_text(json.dumps(description))
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")
