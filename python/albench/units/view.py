"""A unit as people look at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class UnitView:
    """A unit to look at: the slice itself, or the middle slice of a 3D patch, with what the model makes of it.

    Attributes
    ----------
    image
        float32 (row, column): first channel.
    prediction, reference
        uint8 (row, column): the model's labels, and the annotator's; None where nobody has annotated.
    uncertainty
        float32 (row, column): entropy in nats of the softmax averaged over the uncertainty source's members.
    spacing
        Millimetres from row to row and from column to column; only their ratio matters.
    """

    image: NDArray[np.float32]
    prediction: NDArray[np.uint8]
    reference: NDArray[np.uint8] | None
    uncertainty: NDArray[np.float32]
    spacing: tuple[float, float]
