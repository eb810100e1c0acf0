"""How a protocol wants units scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from albench.config import Protocol
from albench.scoring.request import GradientSettings, ScoringRequest
from albench.seeding import Key
from albench.units.pool import Unit


def scoring_request(
    protocol: Protocol,
    weights: NDArray[np.float64],
    key: tuple[Key, ...],
    labelled: Sequence[Unit],
    gradients: GradientSettings,
) -> ScoringRequest:
    """Return how a protocol wants units scored."""
    settings = protocol.scoring
    return ScoringRequest(
        passes=settings.passes,
        dropout=settings.dropout,
        batch_size=settings.batch_size,
        bfloat16=settings.precision == "bfloat16",
        class_weights=weights,
        key=key,
        labelled=tuple(labelled),
        gradients=gradients,
        source=settings.source,
    )
