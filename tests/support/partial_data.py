"""A data set of which some slices are labelled, made of a completely labelled one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from albench.data import Dataset, load_dataset, write_nnunet_raw


def make_partial(source: Dataset, out: Path, labelled: Mapping[str, Sequence[int]]) -> Dataset:
    """Write an nnU-Net raw data set in which cases named in `labelled` keep the labels of these slices (axis z) alone.

    An index with a minus sign stands for a slice of which half is labelled.
    """
    root = write_nnunet_raw(source, source.case_names, out, 7, "Partial")
    for case, slices in labelled.items():
        path = root / "labelsTr" / f"{case}{source.file_ending}"
        image = SimpleITK.ReadImage(str(path))
        labels = SimpleITK.GetArrayFromImage(image)
        known = np.zeros(labels.shape, dtype=bool)
        for index in slices:
            known[abs(index), : labels.shape[1] // 2 if index < 0 else None] = True
        changed = SimpleITK.GetImageFromArray(np.where(known, labels, source.ignore_label).astype(np.uint8))
        changed.CopyInformation(image)
        path.unlink()  # a link to the source
        SimpleITK.WriteImage(changed, str(path), useCompression=True)
    assert json.loads((root / "dataset.json").read_text())["labels"]["ignore"] == source.ignore_label
    return load_dataset(str(root), data_dir=None, cache_dir=out / "cache")
