from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from albench.scoring import cache
from albench.scoring.cache import ScoreCache
from albench.scoring.request import (
    FREE_MOMENTS,
    MOMENTS,
    Features,
    FisherEmbedding,
    GradientSettings,
    Need,
    Scores,
    ScoringRequest,
)
from albench.units.pool import Unit

PLAN = ScoringRequest(10, 0.1, 64, False, np.array([0.0, 1 / 3, 2 / 3]), key=("set", 0, 1), labelled=(Unit("a", 3),))
EVERYTHING = ~Need.NOTHING


def values_of(scores: Scores, need: Need) -> list[np.ndarray]:
    value = getattr(scores, str(need.name).lower())
    return list(vars(value).values()) if isinstance(value, (FisherEmbedding, Features)) else [value]


class Model:
    """Makes scores of 9 units, always the same, and remembers what it was asked for and told."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        wide = rng.normal(size=(4, 9, 5)).astype(np.float32)
        self.everything = Scores(
            entropy=rng.random(9),
            variance=rng.random((9, 3)),
            predictive_entropy=rng.random(9),
            mutual_information=rng.random(9),
            class_entropy=rng.random((9, 3)),
            expected_entropy=rng.random(9),
            expected_dice=rng.random(9),
            fisher=FisherEmbedding(wide[0], rng.random(5)),
            bottleneck=wide[1],
            last_layer=wide[2],
            features=Features(wide[3], wide[3, :1]),
            stage_features=wide[3] + 1,
        )
        self.asked: list[Need] = []
        self.known: list[Scores] = []

    def __call__(self, needs: Need, known: Scores) -> Scores:
        self.asked.append(needs)
        self.known.append(known)
        made = needs | Need.VARIANCE if Need.FISHER in needs and known.variance is None else needs
        names = [str(need.name).lower() for need in made]
        return Scores(**{name: getattr(self.everything, name) for name in names})


def assert_equal(found: Scores, model: Model, needs: Need) -> None:
    for need in Need:
        if need not in needs:
            assert getattr(found, str(need.name).lower()) is None
            continue
        for value, expected in zip(values_of(found, need), values_of(model.everything, need), strict=True):
            assert value.dtype == expected.dtype
            np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("need", [*Need, EVERYTHING], ids=str)
def test_what_was_computed_once_is_found_bit_for_bit(tmp_path: Path, need: Need) -> None:
    model = Model()
    for expected in (Need.NOTHING, need):
        scores, found = ScoreCache(tmp_path / "scores", "context", PLAN).scores(need, model)
        assert found == expected
        assert_equal(scores, model, need)
    assert model.asked == [need | FREE_MOMENTS if need & MOMENTS else need]


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    model, kept = Model(), ScoreCache(tmp_path, "context", PLAN)
    kept.scores(Need.VARIANCE | Need.ENTROPY, model)
    scores, found = kept.scores(Need.VARIANCE | Need.FEATURES, model)
    assert found == Need.VARIANCE
    assert model.asked == [FREE_MOMENTS | Need.ENTROPY, Need.FEATURES]
    assert_equal(scores, model, Need.VARIANCE | Need.FEATURES)


@pytest.mark.parametrize("need", list(FREE_MOMENTS), ids=str)
def test_passes_run_once_for_all_that_is_made_of_them(tmp_path: Path, need: Need) -> None:
    model, kept = Model(), ScoreCache(tmp_path, "context", PLAN)
    kept.scores(need, model)
    scores, found = kept.scores(FREE_MOMENTS, model)
    assert (found, model.asked) == (FREE_MOMENTS, [FREE_MOMENTS])
    assert_equal(scores, model, FREE_MOMENTS)


def test_what_takes_more_memory_is_computed_for_whoever_asks_for_it_alone(tmp_path: Path) -> None:
    model, kept = Model(), ScoreCache(tmp_path, "context", PLAN)
    kept.scores(Need.EXPECTED_DICE, model)
    scores, found = kept.scores(MOMENTS, model)
    assert (found, model.asked) == (MOMENTS, [MOMENTS])
    assert_equal(scores, model, MOMENTS)


def test_what_is_found_is_told_to_whoever_computes_the_rest(tmp_path: Path) -> None:
    model, kept = Model(), ScoreCache(tmp_path, "context", PLAN)
    kept.scores(Need.MUTUAL_INFORMATION, model)
    scores, found = kept.scores(Need.VARIANCE | Need.FISHER, model)
    assert (found, model.asked[-1]) == (Need.VARIANCE, Need.FISHER)
    assert_equal(model.known[-1], model, Need.VARIANCE)
    assert_equal(scores, model, Need.VARIANCE | Need.FISHER)


def test_nothing_needed_nothing_computed(tmp_path: Path) -> None:
    model = Model()
    scores, found = ScoreCache(tmp_path / "scores", "context", PLAN).scores(Need.NOTHING, model)
    assert (found, model.asked) == (Need.NOTHING, [])
    assert_equal(scores, model, Need.NOTHING)
    assert not (tmp_path / "scores").exists()


def test_what_came_along_is_kept_too(tmp_path: Path) -> None:
    model, kept = Model(), ScoreCache(tmp_path, "context", PLAN)
    scores, _ = kept.scores(Need.FISHER, model)
    assert_equal(scores, model, Need.FISHER)
    assert kept.scores(Need.VARIANCE, model)[1] == Need.VARIANCE


@pytest.mark.parametrize(
    ("context", "changes"),
    [
        ("another model", {}),
        ("context", {"passes": 11}),
        ("context", {"dropout": 0.2}),
        ("context", {"bfloat16": True}),
        ("context", {"class_weights": np.array([0.0, 1 / 3, 2 / 3 + 1e-15])}),
        ("context", {"key": ("set", 1, 1)}),
        ("context", {"labelled": (Unit("a", 4),)}),
    ],
)
def test_scores_of_another_model_or_plan_are_not_taken(tmp_path: Path, context: str, changes: dict) -> None:
    old, new = Model(0), Model(1)
    ScoreCache(tmp_path, "context", PLAN).scores(EVERYTHING, old)
    other = ScoreCache(tmp_path, context, replace(PLAN, **changes))
    scores, found = other.scores(EVERYTHING, new)
    assert found == Need.NOTHING
    assert_equal(scores, new, EVERYTHING)
    assert other.scores(EVERYTHING, new)[1] == EVERYTHING


@pytest.mark.parametrize(
    ("words", "parted"),
    [
        ({"layers": "encoder"}, Need.FISHER),
        ({"heads": "published"}, Need.FISHER | Need.BOTTLENECK),
        ({"pseudo_labels": "own"}, Need.FISHER | Need.BOTTLENECK),
        ({"fisher": "one"}, Need.FISHER),
        ({"loss": "nnunet"}, Need.FISHER | Need.BOTTLENECK | Need.LAST_LAYER),
    ],
)
def test_what_gradients_are_of_parts_those_that_depend_on_it_alone(
    tmp_path: Path, words: dict[str, str], parted: Need
) -> None:
    first, second = Model(0), Model(1)
    ScoreCache(tmp_path, "context", PLAN).scores(EVERYTHING, first)
    other = ScoreCache(tmp_path, "context", replace(PLAN, gradients=GradientSettings(**words)))
    scores, found = other.scores(EVERYTHING, second)
    assert found == EVERYTHING & ~parted
    for need in parted:
        for value, expected in zip(values_of(scores, need), values_of(second.everything, need), strict=True):
            np.testing.assert_array_equal(value, expected)
    assert ScoreCache(tmp_path, "context", PLAN).scores(EVERYTHING, first)[1] == EVERYTHING
    assert other.scores(EVERYTHING, second)[1] == EVERYTHING


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None], ids=["empty", "no archive", "cut short"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes | None) -> None:
    model, kept = Model(), ScoreCache(tmp_path, "context", PLAN)
    kept.scores(Need.BOTTLENECK, model)
    path = tmp_path / "bottleneck-trained-finest-ce.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] if damage is None else damage)
    scores, found = kept.scores(Need.BOTTLENECK, model)
    assert found == Need.NOTHING
    assert_equal(scores, model, Need.BOTTLENECK)
    assert path.read_bytes() == whole


def test_flipped_bits_are_noticed(tmp_path: Path) -> None:
    model, kept = Model(), ScoreCache(tmp_path, "context", PLAN)
    kept.scores(Need.BOTTLENECK, model)
    path = tmp_path / "bottleneck-trained-finest-ce.npz"
    content = bytearray(path.read_bytes())
    assert model.everything.bottleneck is not None
    content[content.index(model.everything.bottleneck.tobytes()[:16]) + 5] ^= 1
    path.write_bytes(content)
    assert kept.scores(Need.BOTTLENECK, model)[1] == Need.NOTHING


def test_what_is_too_large_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, kept = Model(), ScoreCache(tmp_path, "context", PLAN)
    monkeypatch.setattr(
        cache, "MAX_BYTES", 9 * 3 * 8
    )  # enough for the variance and for gradients, not for the Fisher diagonal too
    for _ in range(2):
        _, found = kept.scores(Need.FISHER | Need.VARIANCE | Need.BOTTLENECK, model)
    assert found == Need.VARIANCE | Need.BOTTLENECK
    assert {path.name for path in tmp_path.iterdir()} >= {"bottleneck-trained-finest-ce.npz", "variance.npz"}
    assert not list(tmp_path.glob("fisher*"))


def test_a_folder_that_cannot_be_written_to_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "scores").write_text("in the way")
    model = Model()
    for _ in range(2):
        scores, found = ScoreCache(tmp_path / "scores", "context", PLAN).scores(Need.ENTROPY, model)
        assert found == Need.NOTHING
        assert_equal(scores, model, Need.ENTROPY)
