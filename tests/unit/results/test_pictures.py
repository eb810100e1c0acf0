"""Pictures of units: shape, window, file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from albench.errors import InputError
from albench.results.pictures import EDGE, load_gallery, picture, save_gallery
from tests.support.report_fixtures import view


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((40, 30), (1.0, 1.0), (40, 30)),
        ((512, 256), (0.7, 0.7), (128, 64)),
        ((20, 60), (3.0, 1.0), (60, 60)),
        ((60, 20), (1.0, 3.0), (60, 60)),
        ((10, 40), (100.0, 1.0), (40, 40)),
        ((1000, 1), (1.0, 1.0), (128, 1)),
    ],
    ids=["as it is", "shrunk", "thick rows", "thick columns", "bounded", "a line"],
)
def test_pixels_are_square_and_pictures_small(
    shape: tuple[int, int], spacing: tuple[float, float], expected: tuple[int, int]
) -> None:
    made = picture(replace(view(np.random.default_rng(0), shape), spacing=spacing), 3)
    for plane in (made.image, made.prediction, made.reference, made.uncertainty):
        assert plane.shape == expected
        assert plane.dtype == np.uint8
    assert max(expected) <= EDGE


def test_the_window_ignores_outliers_and_labels_stay_labels() -> None:
    seen = view(np.random.default_rng(1), (200, 200))
    image = seen.image.copy()
    image[0, 0] = 1e6
    made = picture(replace(seen, image=image), 3)
    assert np.ptp(made.image) > 200
    assert set(np.unique(made.prediction)) <= {0, 1, 2}
    assert made.uncertainty.max() == 255, "log 3 nats is all the uncertainty there is with three labels"
    assert made.uncertainty.min() == 0


def test_an_image_of_one_value_is_no_error() -> None:
    made = picture(replace(view(np.random.default_rng(2)), image=np.full((40, 30), 7, np.float32)), 3)
    assert np.ptp(made.image) == 0


def test_pictures_survive_their_file_and_the_file_is_the_same_each_time(tmp_path: Path) -> None:
    views = [view(np.random.default_rng(seed), (30 + seed, 20)) for seed in range(3)]
    for name in ("a.npz", "b.npz"):
        save_gallery(tmp_path / name, views, 3)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = load_gallery(tmp_path / "a.npz")
    for seen, back in zip(views, loaded, strict=True):
        np.testing.assert_array_equal(back.reference, picture(seen, 3).reference)
        np.testing.assert_array_equal(back.image, picture(seen, 3).image)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npz", "b.npz"]


@pytest.mark.parametrize("content", [b"", b"no archive", None], ids=["empty", "text", "cut"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "gallery.npz"
    save_gallery(file, [view(np.random.default_rng(0))], 3)
    file.write_bytes(file.read_bytes()[:200] if content is None else content)
    with pytest.raises(InputError, match=r"gallery\.npz: expected pictures written by `al-bench run`"):
        load_gallery(file)


def test_pictures_without_a_reference_survive_too(tmp_path: Path) -> None:
    views = [view(np.random.default_rng(0)), replace(view(np.random.default_rng(1)), reference=None)]
    save_gallery(tmp_path / "a.npz", views, 3)
    first, second = load_gallery(tmp_path / "a.npz")
    assert first.reference is not None
    assert second.reference is None
    assert (second.prediction == picture(views[1], 3).prediction).all()
