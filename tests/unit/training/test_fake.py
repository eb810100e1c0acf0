from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from albench.data import Dataset
from albench.scoring.request import Features, FisherEmbedding, Need, Scores, ScoringRequest
from albench.training.fake import FakeModel, FakeTrainer
from albench.units.pool import Unit

KNOWN = (Unit("a", 3), Unit("b", 7))
UNITS = tuple(Unit(case, index) for case in "abc" for index in range(5))


@pytest.fixture
def model(phantom: Dataset, tmp_path: Path) -> FakeModel:
    trainer = FakeTrainer(phantom, tmp_path)
    target = tmp_path / "model.json"
    trainer.train(KNOWN, iterations=50, key=("t",), initial=None, target=target, on_iteration=lambda loss: None)
    return trainer.load(target)


def plan() -> ScoringRequest:
    return ScoringRequest(4, 0.1, 8, False, np.array([0.0, 0.4, 0.6]), key=("t",), labelled=KNOWN)


@pytest.mark.parametrize("need", list(Need), ids=str)
def test_every_need_is_met_by_its_own_scores(model: FakeModel, need: Need) -> None:
    scores = model.score(UNITS, need, plan())
    value = getattr(scores, str(need.name).lower())
    if isinstance(value, FisherEmbedding):
        assert value.fisher.shape == value.gradients.shape[1:]
        assert scores.variance is not None
        value = value.gradients
    elif isinstance(value, Features):
        assert value.labelled.shape == (len(KNOWN), value.unlabelled.shape[1])
        value = value.unlabelled
    expected = (len(UNITS), 3) if need in Need.VARIANCE | Need.CLASS_ENTROPY else (len(UNITS),)
    assert value.shape[: len(expected)] == expected
    assert np.isfinite(value).all()
    assert np.ptp(value, axis=0).min() > 0
    others = {field.name for field in fields(Scores) if getattr(scores, field.name) is not None}
    assert others == {str(need.name).lower()} | ({"variance"} if need is Need.FISHER else set())


def test_nothing_asked_nothing_given(model: FakeModel) -> None:
    scores = model.score(UNITS, Need.NOTHING, plan())
    assert all(getattr(scores, field.name) is None for field in fields(Scores))


def test_units_like_the_annotated_ones_score_lowest(model: FakeModel) -> None:
    scores = model.score((*UNITS, *KNOWN), Need.MUTUAL_INFORMATION, plan()).mutual_information
    assert scores is not None
    assert (scores[: len(UNITS)][[0, 1, 2, 4]] > scores[len(UNITS) :].max()).all()
