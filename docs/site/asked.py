"""Draw a unit as it is asked, handed out, and returned: python docs/site/asked.py QUERY RETURNED PNG."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.annotation.layout import PRISTINE
from albench.report.palette import label_color
from albench.results.layout import QUERY
from albench.results.query import Query

mpl.use("Agg")
from matplotlib import pyplot as plt


def plane(path: Path, axis: str, index: int) -> NDArray[Any]:
    """Slice of a file, head up."""
    voxels: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    return np.take(voxels, index, "kji".index(axis))[::-1]


def draw(query: Path, returned: Path, picture: Path) -> None:
    """Draw image, task and what came back, side by side."""
    asked = Query.read(query / QUERY)
    unit = next(unit for unit in asked.units if unit.role == "strategy" and unit.prefill == "prediction")
    assert unit.file is not None
    assert unit.file_axis is not None
    assert unit.file_index is not None
    image = plane(query / asked.cases[unit.case].images[0], unit.file_axis, unit.file_index)
    handed, back = (
        plane(path, unit.file_axis, unit.file_index) for path in (query / PRISTINE / unit.file, returned / unit.file)
    )
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.4))
    for plot, (title, labels) in zip(
        axes, (("asked", None), ("handed out: the prediction", handed), ("returned", back)), strict=True
    ):
        plot.imshow(image, cmap="gray")
        for value in sorted(asked.labels.values()):
            if labels is not None and value > 0 and (labels == value).any():
                plot.contourf(labels == value, levels=[0.5, 1.5], colors=[label_color(value)], alpha=0.35)
                plot.contour(labels == value, levels=[0.5], colors=[label_color(value)], linewidths=1.5)
        plot.set_title(title, fontsize=10)
        plot.axis("off")
    figure.tight_layout()
    figure.savefig(picture, dpi=130)


if __name__ == "__main__":
    draw(*map(Path, sys.argv[1:4]))
