"""Dice of held-out cases on their original grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from albench.training.base import Model


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
    model: Model, cases: Sequence[str], labels: Mapping[int, str], on_case: Callable[[], None] = lambda: None
) -> pd.DataFrame:
    """Dice of every foreground class in every case.

    Returns
    -------
    DataFrame
        One row a case and class: case, label, label_name, dice.
    """
    rows = []
    for case in cases:
        prediction, reference = model.predict(case), model.reference(case)
        rows += [
            (case, label, name, dice_score(prediction == label, reference == label))
            for label, name in sorted(labels.items())
            if label != 0
        ]
        on_case()
    return pd.DataFrame(rows, columns=["case", "label", "label_name", "dice"])
