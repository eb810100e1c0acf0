"""Two slices of one case, handed out for annotators' editors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from albench.annotation.hand_out import hand_out
from albench.annotation.request import AskedCase, HandOut
from albench.results.query import QueriedUnit, Query
from tests.support.oriented import DIRECTIONS, SHAPE, write

IGNORE = 4
ASKED = (1, 3)
"""Slices that are asked."""


def handed() -> np.ndarray[Any, Any]:
    """Labels (k, j, i) of the asked slices; the last class is nowhere."""
    values = np.full(SHAPE, IGNORE)
    values[list(ASKED)] = np.random.default_rng(7).integers(0, 3, (len(ASKED), *SHAPE[1:]))
    return values


def hand_out_slices(root: Path, direction: str, labels: Mapping[str, int]) -> Path:
    """Write an image in one of `DIRECTIONS` and the folder of a query that asks for its slices, prefilled."""
    image = root / "c1_0000.nii.gz"
    write(image, DIRECTIONS[direction])
    prediction = np.where(handed() == IGNORE, 0, handed())
    asked = Query(
        dataset="d",
        strategy="random",
        seed=0,
        round=1,
        id="q",
        created="2026-11-29T14:15:02Z",
        labels=labels,
        ignore=IGNORE,
        channel_names=("CT",),
        file_ending=".nii.gz",
        units=tuple(QueriedUnit(case="c1", index=index, axis=0) for index in ASKED),
    )
    hand_out(HandOut(asked, (AskedCase("c1", (image,), lambda: prediction),)), root / "q")
    return root / "q"
