"""Plain folders in which labels have names of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from albench.data.plain_folder import _matched
from albench.errors import InputError
from tests.support.raw_fixtures import ball, itk, load, nifti, problems


def make(root: Path, image: str, label: str, ending: str = ".nii.gz") -> Path:
    for number in range(3):
        for part, form, array in zip(("images", "labels"), (image, label), ball(number), strict=True):
            write = nifti if ending == ".nii.gz" else itk
            write(root / part / f"{form.format(f'c{number}')}{ending}", array)
    return root


@pytest.mark.parametrize(
    ("image", "label", "ending"),
    [
        ("{}", "{}.seg", ".nrrd"),
        ("{}", "{}_seg", ".nii.gz"),
        ("{}", "{}_label", ".nii.gz"),
        ("{}", "{}-mask", ".nii.gz"),
        ("{}", "{}_Segmentation", ".nii.gz"),
        ("{}_0000", "{}_seg", ".nii.gz"),
        ("{}_ct", "{}_gt", ".nii.gz"),
        ("img_{}", "mask_{}", ".nii.gz"),
        ("volume-{}", "segmentation-{}", ".nii.gz"),
    ],
)
def test_what_names_share_is_the_case(image: str, label: str, ending: str, tmp_path: Path) -> None:
    root = make(tmp_path / "own", image, label, ending)
    dataset = load(root)
    assert dataset.case_names == ("c0", "c1", "c2")
    assert [case.images[0].name for case in dataset.cases] == [
        f"{image.format(name)}{ending}" for name in ("c0", "c1", "c2")
    ]
    assert f"{label.format('c0')}{ending} is that of c0" in dataset.notes[1]
    assert problems(root) == []


def test_a_whole_name_comes_first(tmp_path: Path) -> None:
    root = make(tmp_path / "own", "{}", "{}")
    make(root, "{}_seg", "{}_seg")
    assert load(root).case_names == ("c0", "c0_seg", "c1", "c1_seg", "c2", "c2_seg")


@pytest.mark.parametrize("other", ["{}_label", "{}"])
def test_two_labels_of_one_image_are_refused(other: str, tmp_path: Path) -> None:
    root = make(make(tmp_path / "own", "{}", "{}_seg"), "{}", other)
    with pytest.raises(InputError, match=r"labels/c0_seg\.nii\.gz: expected one label of c0\.nii\.gz, found c0"):
        load(root)


def test_two_images_of_one_label_are_refused(tmp_path: Path) -> None:
    root = make(make(tmp_path / "own", "{}_ct", "{}_seg"), "{}_mr", "{}_seg")
    with pytest.raises(InputError, match=r"expected one image .*, found c0_ct\.nii\.gz and c0_mr\.nii\.gz"):
        load(root)


def test_what_fits_nothing_is_refused_with_what_would(tmp_path: Path) -> None:
    root = make(tmp_path / "own", "{}", "x{}_seg")
    with pytest.raises(InputError, match=r"labels/xc0_seg\.nii\.gz: expected an image called xc0_seg or xc0, or with"):
        load(root)


def test_images_of_other_formats_are_named(tmp_path: Path) -> None:
    root = make(tmp_path / "own", "{}", "{}")
    for path in (root / "images").iterdir():
        path.rename(path.with_name(path.name.replace(".nii.gz", ".jpg")))
    with pytest.raises(InputError, match=r"images: expected images ending in .*, found other files .*, first c0\.jpg"):
        load(root)


def test_folders_and_links_that_lead_nowhere_are_no_less_cases(tmp_path: Path) -> None:
    root = make(tmp_path / "own", "{}", "{}")
    for part in ("images", "labels"):
        (root / part / "loop.nii.gz").symlink_to("loop.nii.gz")
        (root / part / "zip.nii.gz").mkdir()
    found = problems(root)
    assert {problem.case for problem in found} == {"loop", "zip"}
    assert all(problem.stops_a_run for problem in found)


def test_a_label_of_one_channel_and_one_of_all_are_refused(tmp_path: Path) -> None:
    root = make(make(tmp_path / "own", "{}_0000", "{}"), "{}_0001", "{}_0000")
    with pytest.raises(
        InputError, match=r"c0_0000\.nii\.gz: expected one label of c0_0000\.nii\.gz, found c0\.nii\.gz"
    ):
        load(root)


WORDS = st.sampled_from(["", "_seg", "-mask", ".label", "_gt", "_ct", "_0000"])
NAMES = st.lists(st.builds("{}{}".format, st.sampled_from("ab"), WORDS), min_size=1, unique=True)


@example(["a_ct"], ["a_ct", "a_seg"])
@example(["a", "a_ct", "a_0000"], ["a", "a_seg"])
@given(NAMES, NAMES)
def test_every_label_gets_its_own_image_or_all_are_refused(images: list[str], labels: list[str]) -> None:
    try:
        cases = _matched(Path("images"), {name: Path(name) for name in images}, {name: Path(name) for name in labels})
    except InputError:
        return
    used = [path for case in cases for path in case.images]
    assert sorted(case.reference.name for case in cases) == sorted(labels)
    assert len(used) == len(set(used)) >= len(labels)
    for case in cases:
        assert all(path.name[0] == case.reference.name[0] for path in case.images)
