"""Phantoms: reproducible, valid, hard, and never mistaken for patients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from albench.data import get_entry, load_dataset, verify_cases
from albench.data.phantom import build_phantom, generate_case
from albench.data.phantom_fields import PhantomCase
from albench.data.registry import PhantomKind
from albench.errors import InputError

KINDS: list[PhantomKind] = ["pair", "organ", "lesion", "gland"]
N_FOREGROUND = {"pair": 2, "organ": 1, "lesion": 2, "gland": 2}


@pytest.fixture(scope="module")
def cases() -> dict[str, list[PhantomCase]]:
    return {kind: [generate_case(kind, 0, index) for index in range(6)] for kind in KINDS}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes(tmp_path: Path, kind: PhantomKind) -> None:
    first = contents(build_phantom(kind, tmp_path / "a", seed=3, n_cases=2))
    assert contents(build_phantom(kind, tmp_path / "b", seed=3, n_cases=2)) == first
    assert len(first) == 5
    other = contents(build_phantom(kind, tmp_path / "a", seed=4, n_cases=2))
    assert all(other[name] != first[name] for name in first)


def test_cases_do_not_depend_on_each_other(cases: dict[str, list[PhantomCase]]) -> None:
    again = generate_case("pair", 0, 4)
    np.testing.assert_array_equal(again.image, cases["pair"][4].image)
    np.testing.assert_array_equal(again.label, cases["pair"][4].label)
    images = [case.image.tobytes() for kind in KINDS for case in cases[kind]]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_valid_and_ends_are_background(cases: dict[str, list[PhantomCase]], kind: PhantomKind) -> None:
    for case in cases[kind]:
        assert case.label.dtype == np.uint8
        assert case.image.dtype == np.int16
        assert case.label.shape == case.image.shape
        values = set(np.unique(case.label).tolist())
        rare = {2} if kind == "lesion" else set()
        assert set(range(N_FOREGROUND[kind] + 1)) - rare <= values <= set(range(N_FOREGROUND[kind] + 1))
        assert not case.label[[0, -1]].any()
        assert 0 < (case.label > 0).mean() < 0.25


def test_some_lesion_cases_have_none() -> None:
    has = [bool((generate_case("lesion", 0, index).label == 2).any()) for index in range(12)]
    assert any(has)
    assert not all(has)


def test_gland_scans_are_mostly_empty_and_differ_in_contrast(cases: dict[str, list[PhantomCase]]) -> None:
    """What choosing slices pays by: random ones show neither structure in most cases, and seldom the gland."""
    scans = cases["gland"] + [generate_case("gland", 0, index) for index in range(6, 20)]
    empty = np.concatenate([(scan.label == 0).all(axis=(1, 2)) for scan in scans])
    gland = np.concatenate([(scan.label == 2).any(axis=(1, 2)) for scan in scans])
    assert 0.6 < empty.mean() < 0.75
    assert 0.05 < gland.mean() < 0.15
    bright, dark = (np.array([scan.image[scan.label == value].mean() for scan in scans]) for value in (1, 2))
    contrasts = (bright - dark) / bright
    plain = contrasts < 0.65
    assert 0.1 <= plain.mean() <= 0.3
    assert contrasts[~plain].min() - contrasts[plain].max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_no_threshold_segments_the_foreground(cases: dict[str, list[PhantomCase]], kind: PhantomKind) -> None:
    """The best band of intensities, chosen with the truth at hand for each case, stays far from a network."""
    rarest = max(range(1, N_FOREGROUND[kind] + 1))
    scores = []
    for case in cases[kind]:
        truth = case.label == rarest
        if not truth.any():
            continue
        steps = np.quantile(case.image[truth], np.linspace(0, 1, 8))
        best = 0.0
        for low in steps:
            for high in steps[steps > low]:
                found = (case.image >= low) & (case.image <= high)
                best = max(best, 2 * float((found & truth).sum()) / float(found.sum() + truth.sum()))
        scores.append(best)
    assert np.mean(scores) < 0.5


@pytest.mark.parametrize("name", ["phantom", "phantom-pair", "phantom-organ", "phantom-lesion", "phantom-gland"])
def test_loads_verifies_and_says_it_is_a_phantom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("albench.data.load.build_phantom", lambda kind, cache: build_phantom(kind, cache, n_cases=2))
    dataset = load_dataset(name, data_dir=None, cache_dir=tmp_path)
    verify_cases(dataset, n_workers=1)
    assert (dataset.name, dataset.kind, dataset.channel_names) == (name, "phantom", ("phantom",))
    assert dataset.labels == get_entry(name).labels
    assert "hantom" in dataset.title
    assert all("phantom" in case.name for case in dataset.cases)
    assert all("phantom" in label for label in list(dataset.labels.values())[1:])
    description = json.loads((dataset.root / "dataset.json").read_text())
    assert "hantom" in description["name"]
    assert "no patients" in description["description"]
    header = SimpleITK.ReadImage(str(dataset.cases[0].images[0])).GetMetaData("descrip")
    assert "phantom" in header


def test_found_again_not_made_again(tmp_path: Path) -> None:
    root = build_phantom("pair", tmp_path, n_cases=1)
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert build_phantom("pair", tmp_path, n_cases=1) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == stamps


@pytest.mark.parametrize(("seed", "n_cases"), [(-1, 2), (0, 0), (0, 1000)])
def test_bad_numbers(tmp_path: Path, seed: int, n_cases: int) -> None:
    with pytest.raises(InputError, match="phantom-pair: expected seed >= 0 and 1 to 999 cases, found"):
        build_phantom("pair", tmp_path, seed=seed, n_cases=n_cases)
