"""A query under way: what is asked, of which images and which model."""

from __future__ import annotations

from dataclasses import dataclass

from albench.project.request import QueryRequest
from albench.project.workplace import Workplace
from albench.scoring.request import GradientSettings, ScoringRequest, class_weights
from albench.seeding import Key
from albench.study.choosing import scoring_request
from albench.training.given import GivenModel
from albench.training.model import NnunetModel
from albench.units.cost import labelled_voxels


@dataclass(frozen=True, eq=False)
class Inquiry:
    """What all steps of a query look at.

    Attributes
    ----------
    place
        Images and labels, read; its protocol has the source: see `albench.project.workplace.scored_by`.
    number
        Of the round.
    given, model
        The model that is asked, as it came and opened on the images; None: a cold start.
    source
        What uncertainty is measured over: see `albench.project.asking.uncertainty_source`.
    """

    request: QueryRequest
    place: Workplace
    number: int
    given: GivenModel | None = None
    model: NnunetModel | None = None
    source: str = "none"

    @property
    def key(self) -> tuple[Key, ...]:
        """Name of the round's random stream: a study's of the same name, seed and round."""
        return (self.place.dataset.name, self.request.seed, self.number)

    @property
    def shown(self) -> ScoringRequest:
        """How units are scored for what is shown of them."""
        place = self.place
        weights = class_weights(labelled_voxels(place.pool, place.labelled))
        return scoring_request(place.protocol, weights, (*self.key, "gallery"), (), GradientSettings())
