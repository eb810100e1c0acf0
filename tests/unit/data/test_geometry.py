"""Headers that place an image: which of them is believed, and what is said of the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from albench.data import verify_cases
from albench.data.images import read_header
from albench.errors import InputError
from albench.training.reading import true_spacing
from tests.support.raw_fixtures import ball, image_of, itk, kinds, label_of, load, make_raw, nifti, patch, problems

FAR = np.array([[-1.0, 0, 0, 208.9], [0, 1, 0, -213.1], [0, 0, 3, -632.7], [0, 0, 0, 1]])


def floats(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, "<f4")


def codes(qform: int, sform: int) -> tuple[int, NDArray[np.int16]]:
    return 252, np.array([qform, sform], "<i2")


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """One label lies at the origin, its image does not."""
    root = make_raw(tmp_path / "own")
    nifti(image_of(root), ball(0)[0], FAR)
    return root


def test_a_label_elsewhere_stops_and_names_the_way_on(far: Path) -> None:
    with pytest.raises(InputError, match=r"c0\.nii\.gz: .* expected the image's origin .*; --trust-image-geometry"):
        verify_cases(load(far), n_workers=1)


def test_the_images_geometry_may_be_trusted(far: Path) -> None:
    nifti(label_of(far, 1), ball(1)[1], np.diag([0.7, 0.7, 5, 1]))
    dataset = load(far)
    for _ in range(2):  # the second time from what was kept of the first
        verdict = verify_cases(dataset, n_workers=1, trust_image_geometry=True)
        assert {problem.kind for problem in verdict.problems} == {"affine", "spacing"}
        assert verdict.n_of_geometry == 2
        assert true_spacing(dataset, "c1") == (3, 1, 1)
    with pytest.raises(InputError, match="case c0"):
        verify_cases(dataset, n_workers=1)


def test_another_shape_is_no_matter_of_trust(far: Path) -> None:
    nifti(label_of(far, 1), ball(1, (8, 20, 21))[1])
    with pytest.raises(InputError, match="expected the image's shape"):
        verify_cases(load(far), n_workers=1, trust_image_geometry=True)


def test_channels_of_other_spacings_are_none_that_nnunet_reads(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", channel_names={"0": "T1", "1": "T2"})
    for number, edge in enumerate((3.0, 3.00001, 3.002)):
        path = root / "imagesTr" / f"c{number}_0001.nii.gz"
        nifti(path, 2 * ball(number)[0], np.diag([1, 1, edge, 1]))
    assert kinds(root) == [("c2", "channels", True)]
    with pytest.raises(InputError, match="channel does not fit the first one: expected the image's spacing"):
        verify_cases(load(root), n_workers=1, trust_image_geometry=True)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
@pytest.mark.parametrize("forms", [(1, 0), (0, 1), (0, 0)])
def test_a_negative_spacing_is_an_axis_the_other_way_round(forms: tuple[int, int], ending: str, tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", ending=ending)
    for path in (image_of(root, 0, ending), label_of(root, 0, ending)):
        patch(path, (88, floats(-3)), codes(*forms))
    assert problems(root) == []
    header, image = read_header(image_of(root, 0, ending)), SimpleITK.ReadImage(str(image_of(root, 0, ending)))
    assert (header.spacing, header.direction) == (image.GetSpacing(), image.GetDirection())
    assert true_spacing(load(root), "c0") == (3, 1, 1)


def test_a_negative_spacing_of_a_metaimage(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", ending=".mha")
    for path in (image_of(root, 0, ".mha"), label_of(root, 0, ".mha")):
        path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 1 1 3", b"ElementSpacing = 1 1 -3"))
    assert problems(root) == []
    image = SimpleITK.ReadImage(str(image_of(root, 0, ".mha")))
    assert read_header(image_of(root, 0, ".mha")).direction == image.GetDirection()


def test_two_spacings_in_one_header_are_remarked(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    for path in (image_of(root), label_of(root)):
        patch(path, (88, floats(5)), codes(1, 1))
    (problem,) = problems(root)
    assert (problem.kind, problem.stops_a_run) == ("two spacings", False)
    assert "found (1.0, 1.0, 5.0) in pixdim, which is used" in problem.message
    assert true_spacing(load(root), "c0") == (5, 1, 1)


def test_units_that_make_voxels_of_a_metre_are_remarked(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    for path in root.glob("*Tr/*"):
        patch(path, (123, np.array([1], "u1")))
    assert kinds(root) == [("c0", "units", False)]


def _without_directions(content: bytes) -> bytes:
    start = content.index(b"space directions")
    return content[:start] + content[content.index(b"\n", start) + 1 :]


MADE_UP: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "mha": (".mha", lambda content: content.replace(b"ElementSpacing = 1 1 3\n", b"")),
    "nrrd": (".nrrd", _without_directions),
    "nrrd none": (".nrrd", lambda content: content.replace(b"(1,0,0) (0,1,0) (0,0,3)", b"none none none")),
}


@pytest.mark.parametrize("name", MADE_UP)
def test_a_spacing_that_itk_makes_up_is_remarked(name: str, tmp_path: Path) -> None:
    ending, without = MADE_UP[name]
    root = make_raw(tmp_path / "own", ending=ending)
    for path in (image_of(root, 0, ending), label_of(root, 0, ending)):
        before = path.read_bytes()
        path.write_bytes(without(before))
        assert path.read_bytes() != before
    assert kinds(root) == [("c0", "no spacing", False)]
    assert true_spacing(load(root), "c0") is None
    assert true_spacing(load(root), "c1") == (3, 1, 1)


def test_elements_may_have_a_size_for_a_spacing(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", ending=".mha")
    for path in root.glob("*Tr/*"):
        path.write_bytes(path.read_bytes().replace(b"ElementSpacing", b"ElementSize"))
    assert problems(root) == []


def test_space_units_other_than_mm_are_refused(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", ending=".nrrd")
    path = image_of(root, 0, ".nrrd")
    path.write_bytes(path.read_bytes().replace(b"space directions", b'space units: "m" "m" "m"\nspace directions'))
    assert kinds(root) == [("c0", "unreadable", True)]
    assert "found the unit 'm'" in problems(root)[0].message


def test_flat_cases_among_volumes_are_refused(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    image, label = ball(0, (20, 20))
    for path, array in ((image_of(root), image), (label_of(root), label)):
        itk(path, array)
    assert kinds(root) == [("c0", "axes", True)]
    assert "expected 3 axes, as most cases have, found 2" in problems(root)[0].message


def test_a_verdict_of_another_form_is_read_again(tmp_path: Path) -> None:
    dataset = load(make_raw(tmp_path / "own"))
    verdict = verify_cases(dataset, n_workers=1)
    (kept,) = (tmp_path / "cache" / "verified").iterdir()
    for facts in ([1], {"c0": {"box": [], "shape": ["x"], "spacing_mm": []}}, {"c0": 1}):
        kept.write_text(json.dumps(json.loads(kept.read_text()) | {"facts": facts}))
        assert verify_cases(dataset, n_workers=1) == verdict
    assert verify_cases(dataset, n_workers=1) == verdict
