"""Scores of held-out cases on their original grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.config import EvaluationSettings
from albench.data import Dataset
from albench.errors import InputError
from albench.metrics.surface import SurfaceScores, surface_scores
from albench.training.base import Model
from albench.training.reading import true_spacing

EVALUATION_COLUMNS = ["case", "label", "label_name", "dice", "nsd", "hd95"]

_UNKNOWN = SurfaceScores(float("nan"), float("nan"))


@dataclass(frozen=True)
class SurfaceSettings:
    """How surface distances are measured.

    Attributes
    ----------
    spacing_mm
        Spacing (z, y, x) of a case, or None where it is not known and a distance in mm means nothing.
    tolerance_mm
        Of the NSD; None: no NSD.
    """

    spacing_mm: Callable[[str], Sequence[float] | None]
    tolerance_mm: float | None


def surface_settings(dataset: Dataset, settings: EvaluationSettings) -> SurfaceSettings | None:
    """Return how distances are measured in a data set; None where they are switched off."""
    if not settings.surface_metrics:
        return None
    tolerance_mm = dataset.nsd_tolerance_mm if settings.tolerance_mm is None else settings.tolerance_mm
    return SurfaceSettings(partial(true_spacing, dataset), tolerance_mm)


def dice_score(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]) -> float:
    """Dice coefficient of two masks of one shape; NaN where both are empty, as in nnU-Net's evaluation.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction: expected the reference's shape {reference.shape}, got {prediction.shape}")
    total = int(prediction.sum()) + int(reference.sum())
    return 2 * int((prediction & reference).sum()) / total if total else float("nan")


def evaluate(
    model: Model,
    cases: Sequence[str],
    labels: Mapping[int, str],
    on_case: Callable[[], None] = lambda: None,
    *,
    surfaces: SurfaceSettings | None = None,
) -> pd.DataFrame:
    """Scores of every foreground class in every case.

    Parameters
    ----------
    labels
        Value to name; 0 is background.
    surfaces
        How to measure distances; None: not at all.

    Returns
    -------
    DataFrame
        One row a case and class: case, label, label_name, dice, nsd, hd95 (mm). Where a class is absent from
        reference and prediction, all three are NaN and count in no mean. Where it is absent from one of them, Dice and
        NSD are 0 and HD95 is the image's diagonal. NSD and HD95 are NaN where distances are not measured, or mean
        nothing because the case's spacing is not known.

    Raises
    ------
    InputError
        If a prediction does not lie on its reference's grid.
    """
    rows: list[tuple[object, ...]] = []
    for case in cases:
        prediction, reference = model.predict(case), model.reference(case)
        if prediction.shape != reference.shape:
            raise InputError(
                f"case {case}: expected a prediction of the reference's shape {reference.shape}, got {prediction.shape}"
            )
        spacing_mm = surfaces.spacing_mm(case) if surfaces else None
        for label, name in sorted(labels.items()):
            if label != 0:
                masks = prediction == label, reference == label
                scores = _UNKNOWN
                if surfaces is not None and spacing_mm is not None:
                    scores = surface_scores(*masks, spacing_mm, surfaces.tolerance_mm)
                rows.append((case, label, name, dice_score(*masks), scores.nsd, scores.hd95))
        on_case()
    return pd.DataFrame(rows, columns=EVALUATION_COLUMNS)
