"""Pictures of the units of a query, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from albench.results.layout import GALLERY
from albench.results.pictures import save_gallery
from albench.scoring.request import GradientSettings
from albench.study.chain import Round
from albench.study.choosing import scoring_request
from albench.units.pool import Unit


def keep_pictures(step: Round, chosen: Sequence[Unit], models: Sequence[Path]) -> None:
    """Keep pictures of the units chosen first, as the last models saw them; draws from no stream of the study."""
    chain = step.chain
    units = chosen[: chain.study.gallery]
    if not units:
        return

    def write() -> dict[str, Any]:
        n_labels = chain.pool.voxel_counts.shape[1]
        request = scoring_request(chain.protocol, np.ones(n_labels), step.key("gallery"), (), GradientSettings())
        model = chain.setup.trainer.load(*models)
        save_gallery(step.folder.gallery, model.view(units, request), n_labels)
        return {"n_units": len(units), "warnings": model.warnings}

    step.stage("gallery", [GALLERY], (step.folder.query, *models), write)
