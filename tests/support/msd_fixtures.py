"""Tiny data sets in MSD layout, made on the fly."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

SHAPE = (4, 5, 6)
SPACING = (1.0, 1.5, 2.0)  # x, y, z as SimpleITK has it


def write_nifti(path: Path, array: NDArray[Any], spacing: tuple[float, ...] = SPACING) -> None:
    image = SimpleITK.GetImageFromArray(array, isVector=False)
    image.SetSpacing(spacing if array.ndim == 3 else (*spacing, 1.0))
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def make_msd(
    root: Path,
    n_cases: int = 3,
    modality: dict[str, str] | None = None,
    n_channels: int = 1,
    volume: tuple[int, int, int] = SHAPE,
    **changes: Any,
) -> Path:
    """Write an MSD folder with random images, (z, y, x); ``changes`` replace entries of its dataset.json."""
    rng = np.random.default_rng(0)
    names = [f"case_{index:02d}.nii.gz" for index in range(n_cases)]
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    for name in names:
        shape = volume if n_channels == 1 else (n_channels, *volume)
        write_nifti(root / "imagesTr" / name, rng.normal(100, 20, shape).astype(np.float32))
        write_nifti(root / "labelsTr" / name, rng.integers(0, 3, volume).astype(np.uint8))
    description = {
        "name": "Tiny",
        "modality": modality or {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in reversed(names)],
    }
    (root / "dataset.json").write_text(json.dumps(description | changes))
    return root


def make_tar(root: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=root.name)
    return archive


def truncate(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
