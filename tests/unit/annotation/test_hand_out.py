"""The folder that annotators get: every file, on images of every make, whole or not at all."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.imageio.reader_writer_registry import recursive_find_reader_writer_by_name
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from albench.annotation.hand_out import hand_out
from albench.annotation.request import AskedCase, HandOut
from albench.data.images import read_header
from albench.data.readers import reader_of
from albench.errors import InputError
from albench.results.handed_out import AskingModel
from albench.results.query import QueriedUnit, Query
from albench.units.view import UnitView
from tests.support.oriented import DIRECTIONS, SHAPE, write, write_with_codes

IGNORE = 3
LABELS = {"background": 0, "liver": 1, "tumour, left": 2}
Array = np.ndarray[Any, Any]


def query(units: Sequence[QueriedUnit], ending: str = ".nii.gz", **changes: Any) -> Query:
    values: dict[str, Any] = {
        "dataset": "d",
        "strategy": "usim-f",
        "seed": 0,
        "round": 1,
        "id": "20261129-141502-usim-f-1a2b",
        "created": "2026-11-29T14:15:02Z",
        "albench": "0.1.0",
        "model": AskingModel(folder="../m", configuration="2d", folds=(0,), sha256=("b" * 64,), uncertainty="dropout"),
        "labels": LABELS,
        "ignore": IGNORE,
        "channel_names": ("CT",),
        "file_ending": ending,
        "units": tuple(units),
    }
    return Query(**values | changes)


def unit(index: int, case: str = "c1", axis: int = 0, **values: Any) -> QueriedUnit:
    uncertainty = {"liver": 0.5, "tumour, left": 0.125}
    return QueriedUnit(case=case, index=index, axis=axis, score=0.25, uncertainty=uncertainty, **values)


def predicted(shape: tuple[int, ...] = SHAPE) -> Array:
    return np.random.default_rng(7).integers(0, 3, shape)


def asked(root: Path, name: str = "c1", ending: str = ".nii.gz", direction: str = "lps", **values: Any) -> AskedCase:
    image = root / "images" / f"{name}_0000{ending}"
    image.parent.mkdir(exist_ok=True)
    write(image, DIRECTIONS[direction])
    return AskedCase(name, (image,), **{"prediction": predicted} | values)


def read(path: Path) -> Array:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "query.csv").read_text())))


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("direction", ["ras", "oblique permuted"])
def test_asked_units_are_filled_and_all_else_is_ignore(tmp_path: Path, direction: str, ending: str) -> None:
    case = asked(tmp_path, ending=ending, direction=direction)
    made = hand_out(HandOut(query([unit(3), unit(1)], ending), (case,)), tmp_path / "q")
    task = tmp_path / "q" / "tasks" / f"c1{ending}"
    expected = np.full(SHAPE, IGNORE)
    expected[[1, 3]] = predicted()[[1, 3]]
    assert (read(task) == expected).all()
    np.testing.assert_allclose(read_header(task).direction, read_header(case.images[0]).direction, atol=1e-14)
    assert read_header(task).size == read_header(case.images[0]).size
    assert [u.prefill for u in made.units] == ["prediction"] * 2
    segmentation = SimpleITK.ReadImage(str(tmp_path / "q" / "tasks" / "c1.seg.nrrd"))
    assert (SimpleITK.GetArrayFromImage(segmentation) == expected).all()
    for index in ((0, 0, 0), (6, 5, 4)):
        there = SimpleITK.ReadImage(str(case.images[0])).TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(segmentation.TransformIndexToPhysicalPoint(index), there, atol=1e-6)
    seen, _ = reader_of(task).read_seg(str(task))
    assert (seen[0] == expected).all(), "what nnU-Net trains on"


spans = st.tuples(*[st.tuples(st.integers(0, edge - 1), st.integers(1, edge)) for edge in SHAPE])


def box(drawn: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Start and stop of a box inside of the image, from starts and lengths."""
    stop = tuple(min(edge, low + n) for (low, n), edge in zip(drawn, SHAPE, strict=True))
    return tuple(low for low, _ in drawn), stop


def read_as_pool(path: Path, reader: str | None) -> np.ndarray:
    """Voxels, (z, y, x), as nnU-Net's reader gives them."""
    kind = recursive_find_reader_writer_by_name(reader or "SimpleITKIO")
    return np.asarray(kind().read_seg(str(path))[0][0])


@settings(max_examples=15, deadline=None)
@given(
    units=st.one_of(
        st.tuples(st.integers(0, 2), st.data()).map(lambda drawn: drawn),
        st.lists(spans.map(box), min_size=1, max_size=4, unique=True),
    ),
    reader=st.sampled_from([None, "NibabelIOWithReorient", "SimpleITKIOWithReorient"]),
    filling=st.sampled_from(["prediction", "background"]),
    direction=st.sampled_from(sorted(DIRECTIONS)),
)
def test_what_is_not_ignore_is_what_is_asked(
    tmp_path_factory: pytest.TempPathFactory, units: Any, reader: str | None, filling: Any, direction: str
) -> None:
    root = tmp_path_factory.mktemp("asked")
    image = root / "c1_0000.nii.gz"
    write(image, DIRECTIONS[direction])
    pool_shape = read_as_pool(image, reader).shape
    if isinstance(units, tuple):
        axis, data = units
        chosen = data.draw(st.lists(st.integers(0, pool_shape[axis] - 1), min_size=1, max_size=3, unique=True))
        wanted = [QueriedUnit(case="c1", index=index, axis=axis) for index in chosen]
    else:
        inside = [b for b in units if all(s <= p for s, p in zip(b[1], pool_shape, strict=True))]
        wanted = [QueriedUnit(case="c1", index=n, start=b[0], stop=b[1]) for n, b in enumerate(inside)]
    if not wanted:
        return
    # a map whose every label is asked somewhere, on the grid of the file
    case = AskedCase("c1", (image,), prediction=predicted, reader=reader)
    made = hand_out(HandOut(query(wanted), (case,), filling=filling, editor="itksnap"), root / "q")
    values = np.asarray(nibabel.load(root / "q" / "tasks" / "c1.nii.gz").dataobj)
    expected = np.zeros(values.shape, dtype=bool)
    for one in made.units:
        start, stop = one.box_ijk(values.shape)
        expected[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))] = True
    assert ((values != IGNORE) == expected).all()
    # and the same voxels lie in the unit where the pool has it
    in_pool = np.zeros(pool_shape, dtype=bool)
    for one in wanted:
        place: list[Any] = [slice(None)] * 3
        if one.axis is not None:
            place[one.axis] = one.index
        else:
            assert one.start is not None
            assert one.stop is not None
            place = [slice(low, high) for low, high in zip(one.start, one.stop, strict=True)]
        in_pool[tuple(place)] = True
    assert ((read_as_pool(root / "q" / "tasks" / "c1.nii.gz", reader) != IGNORE) == in_pool).all()


def test_labels_stay_and_the_audit_is_empty(tmp_path: Path) -> None:
    known = np.full(SHAPE, IGNORE)
    known[0] = 1
    known[2, :3] = 2
    case = asked(tmp_path, known=lambda: known)
    units = [unit(2), unit(3), unit(4, role="audit")]
    made = hand_out(HandOut(query(units), (case,)), tmp_path / "q")
    expected = known.copy()
    expected[2, 3:] = predicted()[2, 3:]
    expected[3] = predicted()[3]
    assert (read(tmp_path / "q" / "tasks" / "c1.nii.gz") == expected).all()
    assert [u.prefill for u in made.units] == ["labels", "prediction", "none"]
    audit = np.full(SHAPE, IGNORE)
    audit[4] = predicted()[4]
    assert (read(tmp_path / "q" / ".handed-out" / "predictions" / "c1.nii.gz") == audit).all()


@pytest.mark.parametrize(("filling", "value"), [("background", 0), ("none", IGNORE)])
def test_other_fillings_need_no_model(tmp_path: Path, filling: Any, value: int) -> None:
    case = asked(tmp_path, prediction=None)
    made = hand_out(HandOut(query([unit(3)], model=None), (case,), filling=filling), tmp_path / "q")
    values = read(tmp_path / "q" / "tasks" / "c1.nii.gz")
    assert (values[3] == value).all()
    assert (np.delete(values, 3, axis=0) == IGNORE).all()
    assert made.units[0].prefill == filling
    assert not (tmp_path / "q" / ".handed-out" / "predictions").exists()


def test_many_labels_take_two_bytes(tmp_path: Path) -> None:
    labels = {"background": 0} | {f"l{value}": value for value in range(1, 300)}
    case = asked(tmp_path, prediction=lambda: np.full(SHAPE, 299))
    hand_out(HandOut(query([unit(3)], labels=labels, ignore=300), (case,)), tmp_path / "q")
    for name in ("c1.nii.gz", "c1.seg.nrrd"):
        image = SimpleITK.ReadImage(str(tmp_path / "q" / "tasks" / name))
        assert image.GetPixelID() == SimpleITK.sitkUInt16
        assert set(np.unique(SimpleITK.GetArrayViewFromImage(image))) == {299, 300}


@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 2), (1, 1)])
def test_the_header_is_the_image_s(tmp_path: Path, qform: int, sform: int) -> None:
    image = tmp_path / "c1_0000.nii"
    write_with_codes(image, qform, sform)
    hand_out(HandOut(query([unit(3)], ".nii"), (AskedCase("c1", (image,), predicted),)), tmp_path / "q")
    before, after = (nibabel.load(path).header for path in (image, tmp_path / "q" / "tasks" / "c1.nii"))
    for field in ("srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x", "qform_code", "sform_code", "pixdim"):
        assert before[field].tobytes() == after[field].tobytes()


def test_everything_that_is_promised_is_there(tmp_path: Path) -> None:
    made = hand_out(HandOut(query([unit(3), unit(1)]), (asked(tmp_path),)), tmp_path / "q")
    files = {path.relative_to(tmp_path / "q").as_posix() for path in (tmp_path / "q").rglob("*") if path.is_file()}
    assert files == {
        *("query.json", "query.csv", "index.html", "README.txt", "mitk-tasks.json"),
        *("labels.itksnap.txt", "labels.ctbl", "labels.csv"),
        *("tasks/c1.nii.gz", "tasks/c1.seg.nrrd", "tasks/c1.itksnap", "tasks/c1.mrk.json"),
        *(".handed-out/tasks/c1.nii.gz", ".handed-out/tasks/c1.seg.nrrd", ".handed-out/SHA256SUMS"),
    }
    assert Query.read(tmp_path / "q" / "query.json") == made
    for line in (tmp_path / "q" / ".handed-out" / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        for root in (tmp_path / "q", tmp_path / "q" / ".handed-out"):
            assert hashlib.sha256((root / name).read_bytes()).hexdigest() == digest
    case = made.cases["c1"]
    assert case.images == ("../images/c1_0000.nii.gz",)
    assert case.sha256 == (hashlib.sha256((tmp_path / "images" / "c1_0000.nii.gz").read_bytes()).hexdigest(),)
    assert (case.shape_ijk, case.orientation) == (SHAPE[::-1], "LPS")
    assert [(u.rank, u.file, u.file_axis, u.file_index, u.plane) for u in made.units] == [
        (1, "tasks/c1.nii.gz", "k", 3, "axial"),
        (2, "tasks/c1.nii.gz", "k", 1, "axial"),
    ]
    assert str(tmp_path).encode() not in b"".join((tmp_path / "q" / name).read_bytes() for name in files)


@pytest.mark.parametrize(
    ("editor", "endings", "lists"),
    [
        ("itksnap", {".nii.gz", ".itksnap"}, {"labels.itksnap.txt"}),
        ("slicer", {".nii.gz", ".seg.nrrd", ".mrk.json"}, {"labels.ctbl"}),
        ("mitk", {".nii.gz", ".seg.nrrd"}, {"mitk-tasks.json"}),
    ],
)
def test_of_an_editor_only_its_files(tmp_path: Path, editor: Any, endings: set[str], lists: set[str]) -> None:
    hand_out(HandOut(query([unit(3)]), (asked(tmp_path),), editor=editor), tmp_path / "q")
    assert {path.name.removeprefix("c1") for path in (tmp_path / "q" / "tasks").iterdir()} == endings
    always = {"query.json", "query.csv", "index.html", "README.txt", "labels.csv"}
    assert {path.name for path in (tmp_path / "q").iterdir() if path.is_file()} == always | lists


def test_the_table_is_for_people(tmp_path: Path) -> None:
    units = [unit(3), unit(1, role="audit"), QueriedUnit(case="c1", index=0, start=(0, 0, 0), stop=(1, 2, 2))]
    made = hand_out(HandOut(query(units), (asked(tmp_path),)), tmp_path / "q")
    rows = rows_of(tmp_path / "q")
    assert list(rows[0]) == (
        "rank,case,plane,file_axis,file_index,slice,of,r_mm,a_mm,s_mm,score,gain,u_liver,u_tumour, left,annotator,role,"
        "status,minutes,comment"
    ).replace("tumour, ", "tumour@ ").replace(",", "|").replace("@", ",").split("|")
    assert [rows[0][key] for key in ("rank", "case", "plane", "file_axis", "file_index", "slice", "of")] == [
        *("1", "c1", "axial", "k", "3", "4", "5"),
    ]
    assert [rows[2][key] for key in ("plane", "file_axis", "file_index", "slice", "of")] == ["patch", "", "", "", ""]
    assert [row["role"] for row in rows] == ["strategy", "audit", "strategy"]
    assert (rows[0]["u_liver"], rows[2]["u_liver"]) == ("0.5", "")
    assert made.units[0].centre_ras_mm is not None
    np.testing.assert_allclose([float(rows[0][f"{a}_mm"]) for a in "ras"], made.units[0].centre_ras_mm, atol=5e-4)
    assert {rows[0][key] for key in ("status", "minutes", "comment")} == {""}


def test_names_that_spreadsheets_would_compute_are_texts(tmp_path: Path) -> None:
    case = asked(tmp_path, name="=1+1")
    hand_out(HandOut(query([unit(3, "=1+1")]), (case,)), tmp_path / "q")
    assert rows_of(tmp_path / "q")[0]["case"] == "'=1+1"


def test_landmarks_lead_to_units(tmp_path: Path) -> None:
    patch = QueriedUnit(case="c1", index=0, start=(0, 1, 2), stop=(2, 3, 6))
    made = hand_out(HandOut(query([unit(3), unit(2, axis=2), patch]), (asked(tmp_path),)), tmp_path / "q")
    content = json.loads((tmp_path / "q" / "tasks" / "c1.mrk.json").read_text())
    assert content["@schema"].endswith("markups-schema-v1.0.3.json#")
    (markup,) = content["markups"]
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == ("Fiducial", "RAS", "mm")
    for point, one in zip(markup["controlPoints"], made.units, strict=True):
        assert tuple(point["position"]) == one.centre_ras_mm
        assert point["positionStatus"] == "defined"
    assert [point["label"] for point in markup["controlPoints"]] == ["#1 axial 4/5", "#2 sagittal 3/7", "#3 patch"]
    entries = workspace_entries(tmp_path / "q" / "tasks" / "c1.itksnap")
    marks = "Annotations.Annotations"
    assert entries[f"{marks}.ArraySize"] == "3"
    assert [entries[f"{marks}.Element[{n}].Plane"] for n in range(3)] == ["2", "0", "2"]
    assert [entries[f"{marks}.Element[{n}].Pos"] for n in range(3)] == ["3.5 3 3.5", "2.5 3 2.5", "4 2 1"]
    assert entries[f"{marks}.Element[0].Text"] == "#1 axial 4/5"


def workspace_entries(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}

    def walk(element: ET.Element, prefix: str) -> None:
        for child in element:
            if child.tag == "entry":
                found[prefix + child.attrib["key"]] = child.attrib["value"]
            else:
                walk(child, f"{prefix}{child.attrib['key']}.")

    walk(ET.fromstring(path.read_bytes()), "")
    return found


def moved(entries: dict[str, str], layer: int, now: Path) -> Path:
    """As ITK-SNAP finds a layer of a workspace that has been moved."""
    path, saved = entries[f"Layers.Layer[{layer:03d}].AbsolutePath"], entries["SaveLocation"]
    inside = path.startswith(saved)
    relative = path.removeprefix(saved).lstrip("/") if inside else os.path.relpath(path, saved)
    return Path(os.path.normpath(now / relative))


@pytest.mark.parametrize("annotators", [(), ("anna",)])
@pytest.mark.parametrize("deep", ["q", "a/b/c/q"])
def test_a_workspace_finds_its_layers(tmp_path: Path, annotators: tuple[str, ...], deep: str) -> None:
    case = asked(tmp_path)
    second = tmp_path / "images" / "c1_0001.nii.gz"
    write(second, DIRECTIONS["lps"])
    case = AskedCase("c1", (*case.images, second), predicted)
    request = HandOut(query([unit(3)], channel_names=("T1", "T2")), (case,), annotators=annotators)
    hand_out(request, tmp_path / deep)
    folder = tmp_path / deep / "tasks" / "/".join(annotators)
    entries = workspace_entries(folder / "c1.itksnap")
    assert [moved(entries, layer, folder) for layer in range(3)] == [case.images[0], folder / "c1.nii.gz", second]
    roles = [entries[f"Layers.Layer[{layer:03d}].Role"] for layer in range(3)]
    assert roles == ["MainRole", "SegmentationRole", "OverlayRole"]
    table = "Layers.Layer[000].ProjectMetaData.IRIS.LabelTable"
    assert entries[f"{table}.NumberOfElements"] == "3"
    assert [entries[f"{table}.Element[{n}].Index"] for n in range(3)] == ["1", "2", "3"]
    assert [entries[f"{table}.Element[{n}].Label"] for n in range(3)] == ["liver", "tumour, left", "ignore"]
    assert (entries[f"{table}.Element[2].Alpha"], entries[f"{table}.Element[2].Flags"]) == ("0", "0 0")


def test_mitk_finds_its_files(tmp_path: Path) -> None:
    hand_out(HandOut(query([unit(3)]), (asked(tmp_path),)), tmp_path / "q")
    content = json.loads((tmp_path / "q" / "mitk-tasks.json").read_text())
    assert (content["FileFormat"], content["Version"]) == ("MITK Segmentation Task List", 1)
    (task,) = content["Tasks"]
    assert task["Description"] == "#1 axial 4/5"
    assert (tmp_path / "q" / task["Image"]).is_file()
    assert (tmp_path / "q" / task["Segmentation"]).is_file()
    assert not (tmp_path / "q" / task["Result"]).exists()
    assert task["Result"] == "tasks/c1.mitk.nrrd"
    header = SimpleITK.ReadImage(str(tmp_path / "q" / task["Segmentation"]))
    (group,) = json.loads(header.GetMetaData("org.mitk.multilabel.segmentation.labelgroups"))
    assert [(label["name"], label["value"]) for label in group["labels"]] == [
        ("liver", 1),
        ("tumour, left", 2),
        ("ignore", 3),
    ]


def test_cases_are_divided_among_annotators(tmp_path: Path) -> None:
    cases = tuple(asked(tmp_path, name=name) for name in ("c1", "c2", "c3"))
    units = [unit(1, "c2"), unit(2, "c2"), unit(1, "c1"), unit(3, "c2"), unit(1, "c3")]
    made = hand_out(HandOut(query(units), cases, annotators=("anna", "ben")), tmp_path / "q")
    assert [u.annotator for u in made.units] == ["anna", "anna", "ben", "anna", "ben"]
    assert {path.name for path in (tmp_path / "q" / "tasks" / "ben").glob("*.nii.gz")} == {"c1.nii.gz", "c3.nii.gz"}
    assert made.units[2].file == "tasks/ben/c1.nii.gz"
    assert (tmp_path / "q" / ".handed-out" / "tasks" / "ben" / "c1.nii.gz").is_file()
    assert "the folder under tasks that has your name" in (tmp_path / "q" / "README.txt").read_text()


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every file, unpacked, by its path."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.name.endswith(".nii.gz"):
                content = gzip.decompress(content)
            elif path.name.endswith(".nrrd"):
                head, _, body = content.partition(b"\n\n")
                content = head + gzip.decompress(body)
            found[path.relative_to(folder).as_posix()] = content
    return found


def image_with_texts(path: Path) -> None:
    write(path, DIRECTIONS["oblique"])
    image = SimpleITK.ReadImage(str(path))
    image.SetMetaData("patient", "DOE JANE")
    SimpleITK.WriteImage(image, str(path), useCompression=True)
    assert b"DOE JANE" in path.read_bytes()


def nifti_with_texts(path: Path) -> None:
    write_with_codes(path, 1, 1)


@pytest.mark.parametrize(
    ("ending", "make"),
    [
        (".nii.gz", nifti_with_texts),
        (".nii", nifti_with_texts),
        (".nrrd", image_with_texts),
        (".mha", image_with_texts),
    ],
)
def test_anonymised_files_name_nobody(tmp_path: Path, ending: str, make: Callable[[Path], None]) -> None:
    cases = []
    for name in ("doe-jane", "roe-richard"):
        image = tmp_path / "Clinic" / f"{name}_0000{ending}"
        image.parent.mkdir(exist_ok=True)
        make(image)
        cases.append(AskedCase(name, (image,), predicted))
    units = [unit(3, "roe-richard"), unit(1, "doe-jane", role="audit")]
    request = HandOut(query(units, ending), tuple(cases), anonymise=True, annotators=("anna", "ben"))
    made = hand_out(request, tmp_path / "q")
    kept = {"query.json", "names.csv"}
    for path, content in contents(tmp_path / "q").items():
        if path not in kept:
            for text in (b"doe", b"DOE", b"roe", b"jane", b"Clinic", str(tmp_path).encode()):
                assert text not in content, path
            assert "doe" not in path
    assert [u.file for u in made.units] == [f"tasks/ben/case-002{ending}", f"tasks/anna/case-001{ending}"]
    assert (tmp_path / "q" / "names.csv").read_text().splitlines() == [
        "name,case",
        "case-001,doe-jane",
        "case-002,roe-richard",
    ]
    assert made.cases["doe-jane"].images == (f"../Clinic/doe-jane_0000{ending}",)
    for one in made.units:
        assert one.file is not None
        copy = (tmp_path / "q" / one.file).with_name(f"{made.cases[one.case].task}_0000{ending}")
        original = tmp_path / "q" / made.cases[one.case].images[0]
        assert read_header(copy) == read_header(original)
        assert (read(copy) == read(original)).all()
        folder = copy.parent
        entries = workspace_entries(folder / f"{made.cases[one.case].task}.itksnap")
        assert moved(entries, 0, folder) == copy
    again = hand_out(request, tmp_path / "again")
    assert again == made
    assert contents(tmp_path / "again") == contents(tmp_path / "q")


@pytest.mark.parametrize("anonymise", [False, True])
@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_photographs_get_their_label_alone(tmp_path: Path, ending: str, anonymise: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 7, 3)).astype(np.uint8)
    texts: dict[str, Any] = {".png": {"pnginfo": PngInfo()}, ".tif": {"description": "DOE JANE"}}.get(ending, {})
    if ending == ".png":
        texts["pnginfo"].add_text("Patient", "DOE JANE")
    Image.fromarray(pixels).save(tmp_path / f"c1_0000{ending}", **texts)
    assert (b"DOE JANE" in (tmp_path / f"c1_0000{ending}").read_bytes()) == bool(texts)
    case = AskedCase("c1", (tmp_path / f"c1_0000{ending}",), lambda: predicted((1, 6, 7)))
    made = hand_out(HandOut(query([unit(0)], ending), (case,), anonymise=anonymise), tmp_path / "q")
    name = "case-001" if anonymise else "c1"
    expected = {f"{name}{ending}"} | ({f"{name}_0000{ending}"} if anonymise else set())
    assert {path.name for path in (tmp_path / "q" / "tasks").iterdir()} == expected
    label = tmp_path / "q" / "tasks" / f"{name}{ending}"
    assert (reader_of(label).read_seg(str(label))[0][0] == predicted((1, 6, 7))).all()
    assert (made.units[0].plane, made.cases["c1"].affine_ras) == ("image", None)
    assert not (tmp_path / "q" / "mitk-tasks.json").exists()
    text = (tmp_path / "q" / "README.txt").read_text()
    assert "ITK-SNAP" not in text
    assert "A task is an image of these values" in text
    if anonymise:
        copy = tmp_path / "q" / "tasks" / f"{name}_0000{ending}"
        assert (np.asarray(Image.open(copy)) == pixels).all()
        assert b"DOE JANE" not in copy.read_bytes()


@pytest.mark.filterwarnings("ignore:.*json.*")
def test_stacks_keep_their_spacing(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c1_0000.tiff", np.zeros(SHAPE, np.uint16), description="DOE JANE")
    (tmp_path / "c1.json").write_text('{"spacing": [5, 0.5, 0.4], "patient": "DOE JANE"}')
    case = AskedCase("c1", (tmp_path / "c1_0000.tiff",), predicted)
    hand_out(HandOut(query([unit(2)], ".tiff"), (case,), anonymise=True), tmp_path / "q")
    tasks = tmp_path / "q" / "tasks"
    assert read_header(tasks / "case-001_0000.tiff").spacing == (0.4, 0.5, 5.0)
    assert all(b"DOE" not in path.read_bytes() for path in tasks.iterdir())
    assert (tifffile.imread(tasks / "case-001.tiff")[2] == predicted()[2]).all()


def test_an_image_of_two_axes(tmp_path: Path) -> None:
    image = tmp_path / "c1_0000.nii.gz"
    write(image, DIRECTIONS["lps"], (6, 7))
    case = AskedCase("c1", (image,), lambda: predicted((1, 6, 7)))
    made = hand_out(HandOut(query([unit(0)]), (case,)), tmp_path / "q")
    assert read_header(tmp_path / "q" / "tasks" / "c1.nii.gz") == read_header(image)
    assert read(tmp_path / "q" / "tasks" / "c1.seg.nrrd").shape == (1, 6, 7)
    assert made.cases["c1"].shape_ijk == (7, 6, 1)
    assert rows_of(tmp_path / "q")[0]["of"] == "1"


def view(reference: bool = False) -> UnitView:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (20, 16)).astype(np.uint8)
    values = rng.random((20, 16), dtype=np.float32)
    return UnitView(values, labels, labels if reference else None, values, (1.0, 1.0))


def test_the_page_shows_what_was_chosen_but_for_the_audit(tmp_path: Path) -> None:
    units = [unit(3), unit(1, role="audit"), unit(2), unit(4)]
    request = HandOut(query(units), (asked(tmp_path),), views=[view(), view(), None])
    hand_out(request, tmp_path / "q")
    page = (tmp_path / "q" / "index.html").read_text()
    assert page.count("<img ") == 1
    assert "1. c1, axial 4/5, score 0.25" in page
    assert "Units of the audit are not shown" in page
    assert "annotated outlined" not in page
    assert page.count("<tr>") == 1 + 4
    assert "http" not in page.replace("http-equiv", "")


def test_names_are_no_markup(tmp_path: Path) -> None:
    labels = {"background": 0, '<b>"liver" & co': 1, "x": 2}
    case = asked(tmp_path, name="<script>alert(1)<script>")
    hand_out(HandOut(query([unit(3, case.name)], labels=labels), (case,), views=[view()]), tmp_path / "q")
    page = (tmp_path / "q" / "index.html").read_text()
    assert "<script>" not in page
    assert "<b>" not in page
    entries = workspace_entries(tmp_path / "q" / "tasks" / f"{case.name}.itksnap")
    assert entries["Layers.Layer[000].ProjectMetaData.IRIS.LabelTable.Element[0].Label"] == '<b>"liver" & co'
    assert "\"<b>'liver' & co\"" in (tmp_path / "q" / "labels.itksnap.txt").read_text()


def test_label_tables_are_as_their_readers_want_them(tmp_path: Path) -> None:
    hand_out(HandOut(query([unit(3)]), (asked(tmp_path),)), tmp_path / "q")
    lines = (tmp_path / "q" / "labels.itksnap.txt").read_bytes().split(b"\n")
    assert lines[1] == b"# ITK-SnAP Label Description File"
    rows = [line.split(maxsplit=7) for line in lines if line and not line.startswith(b"#")]
    assert [row[0] for row in rows] == [b"0", b"1", b"2", b"3"]
    assert rows[2] == [b"2", b"86", b"180", b"233", b"1", b"1", b"1", b'"tumour, left"']
    assert rows[3][4:7] == [b"0", b"0", b"0"]
    table = (tmp_path / "q" / "labels.ctbl").read_text().splitlines()
    assert table == [
        "# Color table file",
        "0 background 0 0 0 0",
        "1 liver 213 94 0 255",
        "2 tumour,_left 86 180 233 255",
        "3 ignore 128 128 128 0",
    ]
    assert (tmp_path / "q" / "labels.csv").read_text().splitlines()[3] == '2,"tumour, left",86,180,233,255'


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    case = asked(tmp_path, prediction=lambda: np.full(SHAPE, 4))
    with pytest.raises(InputError, match="prediction of c1: expected values 0, 1, 2, got 4"):
        hand_out(HandOut(query([unit(3)]), (case,)), tmp_path / "q")
    assert not (tmp_path / "q").exists()
    assert not [path for path in tmp_path.iterdir() if "building" in path.name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": lambda: np.zeros((7, 6, 5), int)}, r"prediction of c1: expected shape \(5, 6, 7\) \(k, j, i\)"),
        ({"known": lambda: np.full(SHAPE, 9)}, "labels of c1: expected values 0, 1, 2, 3, got 9"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        hand_out(HandOut(query([unit(3)]), (asked(tmp_path, **change),)), tmp_path / "q")


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "mine").write_text("mine")
    with pytest.raises(InputError, match="expected no file or folder yet, found one"):
        hand_out(HandOut(query([unit(3)]), (asked(tmp_path),)), tmp_path / "q")
    assert [path.name for path in (tmp_path / "q").iterdir()] == ["mine"]


def test_of_two_processes_the_second_is_told(tmp_path: Path) -> None:
    def overtaken() -> Array:
        (tmp_path / "q").mkdir()
        (tmp_path / "q" / "mine").write_text("mine")
        return predicted()

    case = asked(tmp_path, prediction=overtaken)
    with pytest.raises(InputError, match="found one that another process has just made"):
        hand_out(HandOut(query([unit(3)]), (case,)), tmp_path / "q")
    assert [path.name for path in (tmp_path / "q").iterdir()] == ["mine"]
    assert not [path for path in tmp_path.iterdir() if "building" in path.name]


def test_files_of_two_cases_never_have_one_name(tmp_path: Path) -> None:
    cases = tuple(asked(tmp_path, name=name, ending=".nrrd") for name in ("a", "A.seg"))
    units = [unit(1, "a"), unit(1, "A.seg")]
    with pytest.raises(InputError, match=r"cases a and A\.seg: expected files of different names"):
        hand_out(HandOut(query(units, ".nrrd"), cases), tmp_path / "q")
    hand_out(HandOut(query(units, ".nrrd"), cases, anonymise=True), tmp_path / "q")


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"c1_0000\.nrrd: expected files that end in \.nii\.gz"):
        hand_out(HandOut(query([unit(1)]), (asked(tmp_path, ending=".nrrd"),)), tmp_path / "q")


def test_the_readme_is_plain(tmp_path: Path) -> None:
    units = [unit(3), unit(1, role="audit")]
    hand_out(HandOut(query(units), (asked(tmp_path),)), tmp_path / "q")
    text = (tmp_path / "q" / "README.txt").read_text()
    for part in ("Asked: 2 slices of 1 case.", "ITK-SNAP", "3D Slicer", "MITK", "role audit", "c1: ../images/c1_0000"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 125
    assert "{{" not in text
    assert "\n\n\n" not in text
