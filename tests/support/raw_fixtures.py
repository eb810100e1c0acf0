"""Small nnU-Net raw data sets with a ball to segment, and ways to spoil their files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.data import Dataset, Problem, find_problems, load_dataset

SHAPE = (8, 20, 20)


def ball(seed: int, shape: tuple[int, ...] = SHAPE) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Image and label, (z, y, x): a bright ball in noise."""
    rng = np.random.default_rng(seed)
    grid = np.indices(shape).astype(float)
    distance = sum(((axis - (n - 1) / 2) / max(1.0, 0.3 * n)) ** 2 for axis, n in zip(grid, shape, strict=True))
    label = (distance < 1).astype(np.uint8)
    return (50 + rng.normal(0, 8, shape) + 60 * label).astype(np.float32), label


def nifti(path: Path, array: NDArray[Any], affine: NDArray[Any] | None = None) -> None:
    """Write (z, y, x) or (channel, z, y, x); voxels are 1 x 1 x 3 mm unless `affine` says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.T, np.diag([1.0, 1, 3, 1]) if affine is None else affine), path)


def itk(path: Path, array: NDArray[Any], *, vector: bool = False, compress: bool = True) -> None:
    """Write (z, y, x) in any of ITK's formats; voxels are 1 x 1 x 3 mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(array, isVector=vector)
    image.SetSpacing((1.0, 1.0, 3.0)[: image.GetDimension()])
    SimpleITK.WriteImage(image, str(path), useCompression=compress)


def make_raw(
    root: Path, n: int = 3, ending: str = ".nii.gz", shape: tuple[int, ...] = SHAPE, **description: Any
) -> Path:
    """Write cases c0 and on; entries of the description may be replaced."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        image, label = ball(number, shape)
        write = nifti if ending.startswith(".nii") else itk
        write(image_of(root, number, ending), image)
        write(label_of(root, number, ending), label)
    content = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "ball": 1},
        "numTraining": n,
        "file_ending": ending,
    }
    (root / "dataset.json").write_text(json.dumps(content | description))
    return root


def image_of(root: Path, number: int = 0, ending: str = ".nii.gz") -> Path:
    return root / "imagesTr" / f"c{number}_0000{ending}"


def label_of(root: Path, number: int = 0, ending: str = ".nii.gz") -> Path:
    return root / "labelsTr" / f"c{number}{ending}"


def patch(path: Path, *changes: tuple[int, NDArray[Any]]) -> None:
    """Put numbers at bytes of a NIfTI file, compressed or not."""
    content = path.read_bytes()
    packed = content.startswith(b"\x1f\x8b")
    made = bytearray(gzip.decompress(content) if packed else content)
    for place, numbers in changes:
        made[place : place + numbers.nbytes] = numbers.tobytes()
    path.write_bytes(gzip.compress(bytes(made)) if packed else bytes(made))


def load(root: Path) -> Dataset:
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


def problems(root: Path) -> list[Problem]:
    return find_problems(load(root), n_workers=2)


def kinds(root: Path) -> list[tuple[str, str, bool]]:
    """Case, kind, and whether a run stops, of each problem."""
    return [(problem.case, problem.kind, problem.stops_a_run) for problem in problems(root)]
