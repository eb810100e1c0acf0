"""Each way in which labels are known to come back wrong is met as the table of the documentation says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.annotation.findings import Finding
from albench.annotation.importing import ImportReport
from albench.errors import InputError
from albench.results.query import QueriedUnit
from tests.support.annotation_project import IGNORE, Project, make_project
from tests.unit.machine.test_journal import snapshot


def errors(report: ImportReport) -> list[Finding]:
    return [finding for finding in report.findings if finding.level == "error"]


def refused(project: Project, kind: str, *parts: str, **options: Any) -> None:
    """Importing is refused with one error of a kind, which says `parts`; the data set stays as it is."""
    before = snapshot(project.raw)
    report = project.take(**options)
    (error,) = errors(report)
    assert (error.kind, error.case) == (kind, "a"), error
    for part in parts:
        assert part in error.message, error.message
    assert report.is_refused and report.backup is None
    assert snapshot(project.raw) == before


def said(report: ImportReport, kind: str) -> str:
    (finding,) = (finding for finding in report.findings if finding.kind == kind)
    assert finding.level != "error"
    return finding.message


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, {"a": [2, 5]}, filling="background")


def rewrite(path: Path, change: Callable[[SimpleITK.Image], SimpleITK.Image], to: str | None = None) -> None:
    """Save a file again, changed, perhaps under another name."""
    made = change(SimpleITK.ReadImage(str(path)))
    path.unlink()
    SimpleITK.WriteImage(made, str(path.with_name(to or path.name)), useCompression=True)


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        *((kind, ".nii.gz") for kind in ("uint16", "int16", "int32", "int64", "float32", "float64")),
        *(("float64", ending) for ending in (".nii", ".nrrd", ".mha")),
    ],
)
def test_number_types(kind: str, ending: str, project: Project) -> None:
    path = project.save("a", project.answer("a"))
    pixel = {"uint16": "UInt16", "int16": "Int16", "int32": "Int32", "int64": "Int64"}.get(kind, kind.capitalize())
    rewrite(path, lambda made: SimpleITK.Cast(made, getattr(SimpleITK, f"sitk{pixel}")), f"a{ending}")
    report = project.take()
    assert not report.findings and report.backup
    assert (project.imported("a") == project.answer("a")).all()
    written = nibabel.load(project.raw / "labelsTr/a.nii.gz")  # type: ignore[attr-defined]
    read = nibabel.load(project.image("a"))  # type: ignore[attr-defined]
    assert written.get_data_dtype() == np.uint8
    for field in ("qform_code", "sform_code", "srow_x", "srow_y", "srow_z", "qoffset_x", "quatern_b"):
        assert (written.header[field] == read.header[field]).all(), field
    assert (written.header["pixdim"][:4] == read.header["pixdim"][:4]).all()


def test_what_get_fdata_saves(project: Project) -> None:
    path = project.save("a", project.answer("a"))
    made = nibabel.load(path)  # type: ignore[attr-defined]
    nibabel.save(nibabel.Nifti1Image(made.get_fdata(), made.affine), path)  # type: ignore[attr-defined]
    assert project.take().backup
    assert (project.imported("a") == project.answer("a")).all()


@settings(max_examples=12)
@given(
    st.permutations([0, 1, 2]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from(["lps", "oblique", "permuted"]),
)
def test_any_turn_gives_the_same_labels(
    tmp_path_factory: pytest.TempPathFactory, axes: list[int], flips: tuple[bool, ...], direction: str
) -> None:
    project = make_project(tmp_path_factory.mktemp("turn"), {"a": [2, 5]}, direction=direction)
    path = project.save("a", project.answer("a"))
    rewrite(path, lambda made: SimpleITK.Flip(SimpleITK.PermuteAxes(made, axes), flips, False))
    report = project.take()
    assert (project.imported("a") == project.answer("a")).all()
    if axes != [0, 1, 2] or any(flips):
        assert "turned as the image" in said(report, "turned")
    else:
        assert not report.findings


def test_a_part_is_put_back(project: Project) -> None:
    path = project.save("a", project.answer("a"))
    rewrite(path, lambda made: made[:, :, 1:7])
    report = project.take()
    assert said(report, "cropped") == "14 x 12 x 6 voxels from voxel (0, 0, 1) on in the file; put back into the image"
    assert (project.imported("a") == project.answer("a")).all()


def test_a_part_that_cuts_a_unit(project: Project) -> None:
    path = project.save("a", project.answer("a"))
    rewrite(path, lambda made: made[:, :, 3:])
    refused(project, "cropped", "expected all of slice 3 along k, found 168 voxels of it outside of the file")


def test_a_part_that_cuts_background(project: Project) -> None:
    answer = project.answer("a")
    drawn = np.argwhere(np.isin(answer, (1, 2)).any(axis=0))
    (_, low), (_, high) = drawn.min(axis=0), drawn.max(axis=0)
    assert low > 0 and high < answer.shape[2] - 2
    path = project.save("a", answer)
    rewrite(path, lambda made: made[: int(high) + 2])  # a column of background is left
    assert not errors(project.take())
    assert (project.imported("a") == answer).all()
    other = make_project(project.root / "other", {"a": [2, 5]})
    rewrite(other.save("a", answer), lambda made: made[: int(high) + 1])
    # two units, each of them cut
    assert {error.kind for error in errors(other.take())} == {"cropped"}


def test_a_part_that_cuts_what_nobody_has_labelled(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5]}, filling="none")
    answer = project.answer("a")
    answer[:, :, 10:] = IGNORE
    rewrite(project.save("a", answer), lambda made: made[:10])
    report = project.take()
    assert [error.message for error in errors(report)] == [
        f"slice {index} along k: 48 of 168 unlabelled" for index in (3, 6)
    ]
    assert project.take(partial=True).backup
    assert (project.imported("a") == answer).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: SimpleITK.Expand(made, (1, 1, 2), SimpleITK.sitkNearestNeighbor), "found 14 x 12 x 18"),
        (lambda made: SimpleITK.Shrink(made, (2, 1, 1)), "found 7 x 12 x 9"),
    ],
)
def test_other_spacing(change: Callable[..., Any], message: str, project: Project) -> None:
    rewrite(project.save("a", project.answer("a")), change)
    refused(project, "grid", "expected the image's grid, 14 x 12 x 9 voxels of 0.9765625 x 0.7 x 2.5 mm", message)


def test_shifted_by_half_a_voxel(project: Project) -> None:
    def shift(made: SimpleITK.Image) -> SimpleITK.Image:
        x, y, z = made.GetOrigin()
        made.SetOrigin((x, y + 0.35, z))
        return made

    rewrite(project.save("a", project.answer("a")), shift)
    refused(project, "grid", "off by 0.50 voxels; export on the grid of the image")


@pytest.mark.parametrize(("new", "given"), [(2, {2: 3}), (4, {}), (0, {})])
def test_renumbered(new: int, given: dict[int, int], project: Project) -> None:
    """What 3D Slicer does where a class is absent; the first is the measured case: ignore is 2, the new class 3."""
    answer = project.answer("a")
    renumbered = np.where(answer == IGNORE, new, answer)
    for old, value in given.items():
        renumbered[answer == old] = value
    project.save("a", renumbered)
    refused(project, "renumbered", f"labels renumbered: 3 is now {new}; export with labels.ctbl")


@pytest.mark.parametrize("axes", [(0,), (0, 1), (0, 2), (0, 1, 2)])
def test_flipped_frame(axes: tuple[int, ...], project: Project) -> None:
    """An editor that ignores the header, or writes a wrong one."""
    project.save("a", np.flip(project.answer("a"), axes))
    # along i and j the frame, which is all ignored here, looks the same
    refused(project, "moved", "flipped along k")


def test_flipped_frame_with_labels(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5]}, known={"a": [3, 4]})
    project.save("a", np.flip(project.answer("a"), (1, 2)))
    refused(project, "moved", "flipped along i and j")


def test_flipped_within_the_slices(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [3, 4, 5]}, filling="prediction")
    project.save("a", np.flip(project.answer("a"), 2))
    assert "what was handed out is found again if flipped along i" in said(project.take(), "moved")


@pytest.mark.parametrize("by", [1, -1, 2])
def test_shifted_frame(by: int, tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 6]})
    project.save("a", np.roll(project.answer("a"), by, 0))
    refused(project, "moved", f"shifted by {by:+d} along k")


def test_the_slice_beside_may_be_meant(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [4]}, filling="none")
    drawn = project.handed("a")
    drawn[5] = project.truth["a"][5]
    project.save("a", drawn)
    refused(project, "moved", "shifted by +1 along k")
    assert [entry.place for entry in project.take(outside=True).entries] == ["slice 6 along k"]


def test_five_axes(project: Project) -> None:
    path = project.save("a", project.answer("a"))
    made = nibabel.load(path)  # type: ignore[attr-defined]
    values = np.asarray(made.dataobj)[..., None]
    nibabel.save(nibabel.Nifti1Image(values, made.affine), path)  # type: ignore[attr-defined]
    assert project.take(dry_run=True).entries  # a fourth axis of length 1 is none
    nibabel.save(nibabel.Nifti1Image(values[..., None].repeat(2, -1), made.affine), path)  # type: ignore[attr-defined]
    report = project.take()
    assert report.is_refused and errors(report)[0].kind in ("grid", "unreadable")


def test_drawn_outside(project: Project) -> None:
    answer = project.answer("a")
    drawn = answer.copy()
    drawn[3, 4:6, 4:6] = 1
    drawn[4] = project.truth["a"][4]
    project.save("a", drawn)
    report = project.take(dry_run=True)
    assert said(report, "outside") == (
        "172 voxels changed outside of the asked units, not taken: slice 4 along k, slice 5 along k"
    )
    report = project.take(outside=True)
    assert said(report, "outside") == "4 voxels changed outside of the asked units, not taken: slice 4 along k"
    answer[4] = drawn[4]
    assert (project.imported("a") == answer).all()
    assert [(entry.place, entry.role, entry.rank) for entry in report.entries] == [
        ("slice 3 along k", "strategy", 1),
        ("slice 6 along k", "strategy", 2),
        ("slice 5 along k", "extra", 0),
    ]


def test_drawn_outside_is_not_taken(project: Project) -> None:
    drawn = project.answer("a")
    drawn[4] = project.truth["a"][4]
    project.save("a", drawn)
    assert project.take().backup
    assert (project.imported("a") == project.answer("a")).all()


def test_unknown_value(project: Project) -> None:
    answer = project.answer("a")
    answer[5, 3:5, 3] = 7
    answer[5, 0, 0] = 9
    project.save("a", answer)
    refused(
        project,
        "value",
        "expected the labels of dataset.json (0 background, 1 organ, 2 tumour, 3 ignore), found 7 (2 voxels), "
        "9 (1 voxels), first in slice 6 along k",
    )


def test_interpolated(project: Project) -> None:
    path = project.save("a", project.answer("a"))
    made = nibabel.load(path)  # type: ignore[attr-defined]
    values = made.get_fdata()
    values[3, 4, 2] = 0.5
    nibabel.save(nibabel.Nifti1Image(values, made.affine), path)  # type: ignore[attr-defined]
    refused(
        project, "value", "expected whole numbers, found 1 voxels with others such as 0.5, first in slice 3 along k"
    )


def test_not_a_number(project: Project) -> None:
    path = project.save("a", project.answer("a"))
    made = nibabel.load(path)  # type: ignore[attr-defined]
    values = made.get_fdata()
    values[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, made.affine), path)  # type: ignore[attr-defined]
    refused(project, "unreadable", "found NaN or infinity")


def test_unlabelled(project: Project) -> None:
    answer = project.answer("a")
    answer[5].ravel()[:41] = IGNORE
    project.save("a", answer)
    refused(project, "unlabelled", "slice 6 along k: 41 of 168 unlabelled")
    report = project.take(partial=True)
    assert [entry.state for entry in report.entries] == ["done", "partial"]
    assert report.n_open == 1
    assert (project.imported("a") == answer).all()


def test_unchanged_stays_open(project: Project) -> None:
    answer = project.answer("a")
    answer[5] = project.handed("a")[5]
    project.save("a", answer)
    report = project.take()
    assert said(report, "unchanged") == "as handed out, still open: slice 6 along k"
    assert report.n_open == 1 and len(report.entries) == 1
    assert (project.imported("a")[5] == IGNORE).all()
    report = project.take(unchanged=True)
    assert report.n_open == 0 and len(report.entries) == 1
    assert (project.imported("a")[5] == 0).all()


def test_unchanged_but_done(project: Project) -> None:
    write_status(project, {2: ("done", "", "")})
    answer = project.answer("a")
    answer[5] = project.handed("a")[5]
    project.save("a", answer)
    assert project.take().n_open == 0


def write_status(project: Project, rows: dict[int, tuple[str, str, str]], delimiter: str = ",") -> None:
    path = project.folder / "query.csv"
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines[1:], start=1):
        if number in rows:
            assert line.endswith(",,,")
            lines[number] = line[:-2] + ",".join(rows[number])
    path.write_text("\r\n".join(line.replace(",", delimiter) for line in lines) + "\r\n", encoding="utf-8-sig")


def test_skip_and_later(project: Project) -> None:
    write_status(project, {1: ("skip", "2", "motion"), 2: ("later", "", "")}, delimiter=";")
    project.annotate()
    report = project.take()
    assert [(entry.rank, entry.state, entry.minutes, entry.comment) for entry in report.entries] == [
        (1, "skip", 2.0, "motion")
    ]
    assert report.n_open == 1
    assert not (project.raw / "labelsTr").exists()
    assert not project.take().entries


def test_not_asked(project: Project) -> None:
    project.annotate()
    shutil.copy(project.file("a"), project.labels / "z.nii.gz")
    before = snapshot(project.raw)
    (error,) = errors(project.take())
    assert error.kind == "not asked" and error.file.endswith("z.nii.gz")
    assert snapshot(project.raw) == before
    with pytest.raises(InputError, match="unknown case of query"):
        project.take(only=("z",))
    assert project.take(only=("a",)).backup


def test_the_image_has_changed(project: Project) -> None:
    project.annotate()
    rewrite(project.image("a"), lambda made: made + 1)
    refused(project, "image", "expected the image that was asked about, found another: changed since")
    project.image("a").unlink()
    refused(project, "image", "expected the image that was asked about, found none")


def _segments(project: Project, labels: np.ndarray, *, without: tuple[str, ...] = (), **texts: str) -> Path:
    """Save labels (k, j, i) as a segmentation, as 3D Slicer does."""
    path = project.file("a").with_name("a.seg.nrrd")
    made = SimpleITK.ReadImage(str(project.folder / "tasks/a.seg.nrrd"))
    changed = SimpleITK.GetImageFromArray(labels.astype(np.uint8))
    changed.CopyInformation(made)
    gone = {key[: len("Segment0")] for key in made.GetMetaDataKeys() if made.GetMetaData(key) in without}
    for key in made.GetMetaDataKeys():
        if key[: len("Segment0")] not in gone:
            changed.SetMetaData(key, made.GetMetaData(key))
    for key, text in texts.items():
        changed.SetMetaData(key, text)
    SimpleITK.WriteImage(changed, str(path), useCompression=True)
    return path


def test_both_files_edited(project: Project) -> None:
    answer = project.answer("a")
    _segments(project, answer)
    assert project.take(dry_run=True).entries  # the other is as it was handed out
    other = answer.copy()
    other[5, 0, 0] = 1
    path = project.file("a")
    rewrite(path, lambda made: SimpleITK.Cast(made, SimpleITK.sitkInt16))  # other bytes, the same labels as handed out
    assert project.take(dry_run=True).entries
    made = SimpleITK.GetImageFromArray(other.astype(np.uint8))
    made.CopyInformation(SimpleITK.ReadImage(str(path)))
    SimpleITK.WriteImage(made, str(path))
    refused(project, "both files", "expected one file of the case to be edited, found")


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_truncated(ending: str, project: Project) -> None:
    path = project.save("a", project.answer("a"))
    rewrite(path, lambda made: made, f"a{ending}")
    path = path.with_name(f"a{ending}")
    path.write_bytes(path.read_bytes()[: -(path.stat().st_size // 3)])
    refused(project, "unreadable")


def test_truncated_segmentation(project: Project) -> None:
    path = _segments(project, project.answer("a"))
    path.write_bytes(path.read_bytes()[:-20])
    refused(project, "unreadable")


def test_other_labels_there(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5]}, known={"a": [1]})
    answer = project.answer("a")
    project.save("a", answer)
    assert project.take().backup
    assert (project.imported("a")[1] == project.truth["a"][1]).all()  # what was there stays
    answer[2, 0, :2] = 1
    project.save("a", answer)
    refused(
        project,
        "conflict",
        "slice 3 along k: the data set has other labels in 2 voxels; --on-conflict replace takes the new ones",
    )
    report = project.take(replace=True)
    assert "replaced" in said(report, "conflict")
    assert [entry.rank for entry in report.entries] == [1]
    assert (project.imported("a") == answer).all()


def test_scribbles_that_were_handed_out_may_be_corrected(tmp_path: Path) -> None:
    known = make_project(tmp_path / "first", {"a": [2]}, known={"a": []}, filling="none")
    scribbled = known.answer("a")
    scribbled[2, :, 6:] = IGNORE
    scribbled[2, 0, 0] = 1  # a mistake
    project = make_project(tmp_path / "second", {"a": [2]}, known={"a": []}, filling="none", scribbled=scribbled)
    assert project.query.units[0].prefill == "labels"
    project.annotate()
    assert project.take().backup
    assert (project.imported("a")[2] == project.truth["a"][2]).all()


def test_bad_cases_can_be_left_out(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5], "b": [4]})
    project.annotate()
    project.save("a", np.flip(project.answer("a"), 0))
    refused(project, "moved", "flipped along k")
    report = project.take(skip_bad=True)
    assert report.has_errors and {entry.case for entry in report.entries} == {"b"}
    assert [path.name for path in (project.raw / "labelsTr").iterdir()] == ["b.nii.gz"]
    assert [path.name for path in (project.raw / "imagesTr").iterdir()] == ["b_0000.nii.gz"]


class TestSegmentations:
    def test_as_it_is(self, project: Project) -> None:
        _segments(project, project.answer("a"))
        assert project.take().backup
        assert (project.imported("a") == project.answer("a")).all()

    def test_renumbered_segments_are_told_by_name(self, project: Project) -> None:
        answer = project.answer("a")
        swapped = np.choose(answer, [0, 5, 1, 2])
        values = {"Segment0_LabelValue": "5", "Segment1_LabelValue": "1", "Segment2_LabelValue": "2"}
        _segments(project, swapped, **values)
        assert project.take().backup
        assert (project.imported("a") == answer).all()

    def test_two_layers(self, project: Project) -> None:
        answer = project.answer("a")
        path = _segments(project, answer)
        made = SimpleITK.ReadImage(str(path))
        layers = np.stack([np.where(answer == 2, 0, answer), np.where(answer == 2, 1, 0)], axis=-1)
        both = SimpleITK.GetImageFromArray(layers.astype(np.uint8), isVector=True)
        both.CopyInformation(made)
        for key in made.GetMetaDataKeys():
            if key.startswith("Seg"):
                both.SetMetaData(key, made.GetMetaData(key))
        both.SetMetaData("Segment1_Layer", "1")
        both.SetMetaData("Segment1_LabelValue", "1")
        SimpleITK.WriteImage(both, str(path), useCompression=True)
        assert project.take(dry_run=True).entries
        layers[2, 0, 0, 1] = 1
        layers[2, 0, 0, 0] = 1
        drawn = SimpleITK.GetImageFromArray(layers.astype(np.uint8), isVector=True)
        drawn.CopyInformation(both)
        for key in both.GetMetaDataKeys():
            if key.startswith("Seg"):
                drawn.SetMetaData(key, both.GetMetaData(key))
        SimpleITK.WriteImage(drawn, str(path), useCompression=True)
        refused(project, "segments", "expected every voxel in one segment, found 1 in 'tumour' and 'organ'")

    def test_unknown_name(self, project: Project) -> None:
        _segments(project, project.answer("a"), Segment0_Name="Segment_1")
        refused(project, "segments", "expected segments called background, organ, tumour, ignore, found 'Segment_1'")

    def test_an_empty_segment_may_have_any_name(self, project: Project) -> None:
        answer = project.answer("a")
        answer[answer == 2] = 1
        _segments(project, answer, Segment1_Name="Segment_1")
        assert project.take().backup

    @pytest.mark.parametrize("cropped", ["no", "of this image", "from here", "from elsewhere"])
    def test_ignore_deleted(self, cropped: str, tmp_path: Path) -> None:
        """3D Slicer crops to what is left; nothing is in the rest, if the file is a part of this image."""
        project = make_project(tmp_path, {"a": [2, 5, 7]}, filling="prediction", audited=[("a", 7)])
        answer = project.answer("a")
        drawn = np.where(np.isin(answer, (1, 2)), answer, 0)
        drawn[7] = 0  # nobody has looked at the audited slice
        path = _segments(project, drawn, without=("ignore",))
        if cropped != "no":
            made = SimpleITK.ReadImage(str(path))
            inside = np.argwhere(drawn)
            (z0, y0, x0), (z1, y1, x1) = inside.min(axis=0).tolist(), inside.max(axis=0).tolist()
            part = made[x0 : x1 + 1, y0 : y1 + 1, z0 : z1 + 1]
            for key in made.GetMetaDataKeys():
                if key.startswith("Seg") and (cropped == "of this image" or "Conversion" not in key):
                    part.SetMetaData(key, made.GetMetaData(key))
            start = f"{x0} {y0} {z0}" if cropped != "from elsewhere" else f"{x0} {y0} {z0 + 1}"
            part.SetMetaData("Segmentation_ReferenceImageExtentOffset", start)
            SimpleITK.WriteImage(part, str(path), useCompression=True)
        if cropped == "from elsewhere":
            assert {error.kind for error in errors(project.take())} == {"cropped"}
            return
        report = project.take()
        assert "no segment 'ignore' in the file" in said(report, "segments")
        assert report.n_open == 1
        answer[7] = IGNORE
        assert (project.imported("a") == answer).all()

    def test_completed(self, project: Project) -> None:
        tags = {f"Segment{number}_Tags": "Segmentation.Status:completed|" for number in range(2)}
        _segments(project, project.handed("a"), **tags)
        report = project.take()
        assert report.n_open == 0 and (project.imported("a") == project.handed("a")).all()

    def test_no_segments(self, project: Project) -> None:
        path = project.file("a")
        rewrite(path, lambda made: made + 0, "a.seg.nrrd")
        refused(project, "unreadable", "expected a segmentation of 3D Slicer, found no segments in its header")


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii"])
def test_other_formats_of_the_images(ending: str, tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [2, 5]}, ending=ending, direction="oblique")
    project.annotate()
    assert project.take().backup
    assert (project.imported("a") == project.answer("a")).all()


def test_photographs(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": [0]}, ending=".png", shape=(1, 12, 14))
    project.annotate()
    assert project.take().backup
    assert (project.imported("a") == project.truth["a"]).all()
    other = make_project(tmp_path / "other", {"a": [0]}, ending=".png", shape=(1, 12, 14))
    from PIL import Image

    Image.fromarray(other.truth["a"][0, 1:]).save(other.file("a"))
    refused(other, "grid", "expected 14 x 12 x 1 voxels, found 14 x 11 x 1")
    Image.fromarray(np.stack([other.truth["a"][0], other.truth["a"][0] * 0, other.truth["a"][0]], -1)).save(
        other.file("a")
    )
    refused(other, "unreadable", "expected one number a pixel, found colours")


def test_patches(tmp_path: Path) -> None:
    bounds = [((0, 0, 0), (4, 6, 7)), ((4, 6, 7), (9, 12, 14))]

    def unit(case: str, index: int) -> QueriedUnit:
        start, stop = bounds[index]
        return QueriedUnit(case=case, index=index, start=start, stop=stop)

    project = make_project(tmp_path, {"a": [0, 1]}, units=unit)
    answer = project.answer("a")
    answer[0, 0, 0] = IGNORE
    project.save("a", answer)
    refused(project, "unlabelled", "patch 1:7, 1:6, 1:4: 1 of 168 unlabelled")
    project.annotate()
    assert project.take().backup
    assert (project.imported("a") == project.answer("a")).all()


@pytest.mark.parametrize("kind", ["link", "pipe", "socket-like"])
def test_what_is_no_file(kind: str, project: Project) -> None:
    path = project.file("a")
    path.unlink()
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    before = snapshot(project.raw)
    with pytest.raises(InputError, match="expected a file with labels, found"):
        project.take()
    assert snapshot(project.raw) == before


def test_links_to_folders_are_not_followed(project: Project) -> None:
    project.annotate()
    (project.labels / "loop").symlink_to(project.labels)
    (project.labels / ".hidden").mkdir()
    shutil.copy(project.file("a"), project.labels / ".hidden/z.nii.gz")
    assert project.take().backup
