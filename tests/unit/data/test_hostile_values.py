"""Values in data sets that are wrong or hostile: refused in one line, before anything is made of them."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from albench.data import Dataset, find_problems, load_dataset
from albench.data.images import read_header
from albench.data.voxels import scan_voxels
from albench.errors import InputError
from albench.training.reading import read_case_images
from tests.support.damage import attempt
from tests.support.msd_fixtures import SHAPE, make_msd, write_nifti


def load(root: Path) -> Dataset:
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


def scale(path: Path, slope: float, intercept: float) -> None:
    """Put these into the header, as nibabel would not write them."""
    content = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    content[112:120] = struct.pack("<ff", slope, intercept)
    path.write_bytes(gzip.compress(bytes(content)) if path.suffix == ".gz" else bytes(content))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, np.float32, np.float64])
@pytest.mark.parametrize(("slope", "intercept"), [(1e38, 0), (-1e38, 0), (3e38, 3e38), (2.0, 1.0), (-1.0, 0.0), (1, 0)])
def test_voxels_are_finite_where_training_has_finite_ones(
    tmp_path: Path, dtype: type, slope: float, intercept: float
) -> None:
    root = make_msd(tmp_path / "own", n_cases=1)
    image = root / "imagesTr" / "case_00.nii.gz"
    write_nifti(image, np.arange(120).reshape(SHAPE).astype(dtype))
    scale(image, slope, intercept)
    dataset = load(root)
    kinds = [problem.kind for problem in find_problems(dataset, n_workers=1)]
    with np.errstate(over="ignore"):
        in_training = np.isfinite(read_case_images(dataset.cases[0])[0]).all()
    assert ("not finite" in kinds) == (not in_training)
    assert in_training == (abs(slope) < 1e38)


def test_a_number_too_large_for_single_precision_is_none(tmp_path: Path) -> None:
    root = make_msd(tmp_path / "own", n_cases=1)
    image = np.ones(SHAPE)
    image[0, 0, 0] = 1e39
    write_nifti(root / "imagesTr" / "case_00.nii.gz", image)
    (problem,) = find_problems(load(root), n_workers=1)
    assert problem.kind == "not finite"


def test_labels_are_finite_after_scaling(tmp_path: Path) -> None:
    root = make_msd(tmp_path / "own", n_cases=1)
    scale(root / "labelsTr" / "case_00.nii.gz", 3e38, 0)
    assert "not finite" in [problem.kind for problem in find_problems(load(root), n_workers=1)]


def test_labels_of_a_plain_folder_are_finite_after_scaling(tmp_path: Path) -> None:
    root = make_msd(tmp_path / "own", n_cases=2)
    (root / "dataset.json").unlink()
    scale(root / "labelsTr" / "case_00.nii.gz", 3e38, 0)
    assert "not finite" in [problem.kind for problem in find_problems(load(root), n_workers=1)]
    scale(root / "labelsTr" / "case_01.nii.gz", 1e30, 0)
    with pytest.raises(InputError, match="expected a label map of a few whole numbers"):
        load(root)


@pytest.mark.parametrize(("slope", "intercept"), [(0, 5), (1e-20, 0), (np.nan, 5), (2, np.nan), (1, np.inf)])
def test_a_scale_that_readers_take_differently_is_refused(tmp_path: Path, slope: float, intercept: float) -> None:
    write_nifti(tmp_path / "a.nii.gz", np.ones(SHAPE, np.int16))
    scale(tmp_path / "a.nii.gz", slope, intercept)
    with pytest.raises(InputError, match=r"a\.nii\.gz: unreadable: expected scl_slope and scl_inter that all readers"):
        scan_voxels(tmp_path / "a.nii.gz", values=True)


@pytest.mark.parametrize(("slope", "intercept"), [(0, 0), (np.nan, np.nan), (1, 0)])
def test_no_scale_is_one(tmp_path: Path, slope: float, intercept: float) -> None:
    write_nifti(tmp_path / "a.nii.gz", np.full(SHAPE, 3, np.int16))
    scale(tmp_path / "a.nii.gz", slope, intercept)
    assert scan_voxels(tmp_path / "a.nii.gz", values=True).values.tolist() == [3]
    assert (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))) == 3).all()


def test_nifti_2_is_refused_as_training_could_not_read_it(tmp_path: Path) -> None:
    nibabel.Nifti2Image(np.ones((2, 3, 4), np.int16), np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz: unreadable: expected a NIfTI-1 image"):
        scan_voxels(tmp_path / "a.nii.gz", values=True)


NIFTI_FIELDS = {
    "sizeof_hdr": (0, "<i", 0),
    "no axes": (40, "<h", 0),
    "99 axes": (40, "<h", 99),
    "edge of 0": (42, "<h", 0),
    "negative edge": (44, "<h", -3),
    "huge edge": (46, "<h", 32767),
    "no such datatype": (70, "<h", 12345),
    "RGB": (70, "<h", 128),
    "complex": (70, "<h", 32),
    "128 bits": (70, "<h", 1536),
    "bits of another type": (72, "<h", 64),
    "vox_offset NaN": (108, "<f", np.nan),
    "vox_offset inf": (108, "<f", np.inf),
    "vox_offset negative": (108, "<f", -352),
    "vox_offset huge": (108, "<f", 1e30),
    "vox_offset broken": (108, "<f", 352.5),
    "spacing NaN": (80, "<f", np.nan),
    "spacing inf": (84, "<f", np.inf),
    "sform inf": (280, "<f", np.inf),
    "qoffset NaN": (268, "<f", np.nan),
    "magic": (344, "<i", 0),
    "header alone": (344, "<3sx", b"ni1"),
}


@pytest.mark.parametrize("name", NIFTI_FIELDS)
def test_a_damaged_nifti_header_is_one_problem(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    root = make_msd(tmp_path / "own", n_cases=1)
    image = root / "imagesTr" / "case_00.nii.gz"
    content = bytearray(gzip.decompress(image.read_bytes()))
    offset, form, value = NIFTI_FIELDS[name]
    struct.pack_into(form, content, offset, value)
    image.write_bytes(gzip.compress(bytes(content)))
    problems = find_problems(load(root), n_workers=1)
    assert problems[0].kind == "unreadable"
    assert str(image) in problems[0].message
    assert problems[0].message.isprintable()
    assert capfd.readouterr() == ("", "")


def test_a_volume_that_declares_a_petabyte_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.mha").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 100000 100000 100000\nElementType = MET_UCHAR\n"
        "ElementDataFile = LOCAL\n"
    )
    with pytest.raises(InputError, match=r"a\.mha: unreadable: expected as many voxels as \d+ bytes can hold"):
        scan_voxels(tmp_path / "a.mha", values=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.mha", "ObjectType = Image\nNDims = 2\nDimSize = 2 2\nElementType = MET_UCHAR\nElementDataFile = b.raw\n"),
        ("a.nrrd", "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 2 2\nencoding: raw\ndata file: b.raw\n\n"),
    ],
)
def test_voxels_in_another_file_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "b.raw").write_bytes(b"abcd")
    with pytest.raises(InputError, match=r"expected its voxels in itself, found .*b\.raw"):
        scan_voxels(tmp_path / name, values=False)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_voxels_in_the_file_itself_are_read(tmp_path: Path, ending: str) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.full(SHAPE, 2, np.uint8)), str(tmp_path / f"a{ending}"))
    assert scan_voxels(tmp_path / f"a{ending}", values=True).values.tolist() == [2]


def _pair(name: str) -> list[dict[str, Any]]:
    return [{"image": "imagesTr/case_00.nii.gz", "label": name}]


DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "no images": {"training": [{"image": [], "label": "labelsTr/case_00.nii.gz"}]},
    "image that is a number": {"training": [{"image": 3, "label": "labelsTr/case_00.nii.gz"}]},
    "nested images": {"training": [{"image": [["a"]], "label": "labelsTr/case_00.nii.gz"}]},
    "training that is an object": {"training": {"image": "a"}},
    "no ending": {"training": [{"image": "imagesTr/a", "label": "labelsTr/a"}]},
    "empty name": {"training": _pair("labelsTr/.nii.gz")},
    "two dots": {"training": _pair("labelsTr/...nii.gz")},
    "escape": {"training": _pair("labelsTr/\x1b[31m.nii.gz")},
    "half a pair": {"training": _pair("labelsTr/\ud800.nii.gz")},
    "null": {"training": _pair("labelsTr/\0.nii.gz")},
    "turned": {"training": _pair("labelsTr/\u202ea.nii.gz")},
    "long name": {"training": _pair(f"labelsTr/{'a' * 300}.nii.gz")},
    "deep folder": {"training": _pair("a/" * 500 + "a.nii.gz")},
    "labels that are a list": {"labels": ["background", "a"]},
    "label that is a list": {"labels": {"0": "background", "1": ["a"]}},
    "label that is null": {"labels": {"0": "background", "1": None}},
    "label with an escape": {"labels": {"0": "background", "1": "\x1b]0;title\x07"}},
    "label without a name": {"labels": {"0": "background", "1": " "}},
    "huge label number": {"labels": {"0": "background", "9" * 5000: "a"}},
    "long label": {"labels": {"0": "background", "1": "a" * 100_000}},
    "channel with a line end": {"modality": {"0": "MR\nI"}},
    "title with an escape": {"name": "\x1b[2J"},
    "title that is an object": {"name": {"a": 1}},
    "group that is a list": {"groups": {"case_00": ["a"]}},
    "group with an escape": {"groups": {"case_00": "\x1b[2J"}},
    "groups that are a number": {"groups": 3},
    "nnU-Net, ending with a path": {"file_ending": "./../../x", "training": None},
    "nnU-Net, ending with a pattern": {"file_ending": ".n*", "training": None},
    "nnU-Net, truth for numbers": {"file_ending": ".nii.gz", "labels": {"background": False, "a": True}},
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_wrong_entry_of_the_description_is_refused(tmp_path: Path, name: str) -> None:
    root = make_msd(tmp_path / "own")
    changes = DESCRIPTIONS[name]
    content = {"channel_names": {"0": "MRI"}} | json.loads((root / "dataset.json").read_text()) | changes
    if "file_ending" in changes:
        del content["training"]
    (root / "dataset.json").write_text(json.dumps(content))
    assert attempt("dataset.json, wrong entries", lambda: load(root)) is None


TEXTS: dict[str, bytes] = {
    "nested lists": b"[" * 100_000,
    "nested in an entry": b'{"training": ' + b"[" * 500 + b"]" * 500 + b"}",
    "nested objects": b'{"a":' * 50_000,
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "infinity": b'{"numTraining": Infinity}',
    "huge number": b'{"numTraining": ' + b"9" * 5000 + b"}",
    "nothing": b"",
    "zeros": bytes(1000),
    "40 MB": b" " * (40 << 20),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_no_description_is_refused(tmp_path: Path, name: str) -> None:
    root = make_msd(tmp_path / "own")
    (root / "dataset.json").write_bytes(TEXTS[name])
    assert attempt("dataset.json, other texts", lambda: load(root)) is None


TABLES: dict[str, bytes] = {
    "not UTF-8": b"case,group\ncase_00,\xff\n",
    "null": b"case,group\ncase_00,\0\n",
    "three columns": b"case,group\ncase_00,a,b\n",
    "one column": b"case,group\ncase_00\n",
    "open quote": b'case,group\n"case_00,a\n',
    "long field": b"case,group\ncase_00," + b"a" * 200_000 + b"\n",
    "escape": b"case,group\ncase_00,\x1b[2J\n",
    "header twice": b"case,group,group\n",
    "empty": b"",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_groups_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    root = make_msd(tmp_path / "own")
    (root / "groups.csv").write_bytes(TABLES[name])
    assert attempt("groups.csv, other texts", lambda: load(root)) is None


def test_names_that_only_look_dangerous_are_names(tmp_path: Path) -> None:
    """Markup of terminals, TeX and HTML, and what a shell would replace, are text."""
    labels = {"0": "background", "1": "$x_1$ [/b] <b>&amp;</b>", "2": "=1+1 [link=file:///]a[/link] ß日本"}
    root = make_msd(tmp_path / "[b] $HOME_1", n_cases=1, labels=labels, name="$\\frac{a}{$ {{x}} %s")
    for part in ("imagesTr", "labelsTr"):
        (root / part / "case_00.nii.gz").rename(root / part / "[link=x]$a_*.nii.gz")
    description = json.loads((root / "dataset.json").read_text())
    description["training"] = [{"image": "imagesTr/[link=x]$a_*.nii.gz", "label": "labelsTr/[link=x]$a_*.nii.gz"}]
    (root / "dataset.json").write_text(json.dumps(description))
    dataset = load(root)
    assert dataset.labels[1] == labels["1"]
    assert dataset.case_names == ("[link=x]$a_*",)
    assert find_problems(dataset, n_workers=1) == []


def test_cases_with_brackets_in_their_names_have_images_in_nnunets_layout(tmp_path: Path) -> None:
    for part, name in (("imagesTr", "scan[1]_0000"), ("labelsTr", "scan[1]")):
        (tmp_path / "own" / part).mkdir(parents=True)
        write_nifti(tmp_path / "own" / part / f"{name}.nii.gz", np.ones(SHAPE, np.uint8))
    (tmp_path / "own" / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "T1"}, "labels": {"background": 0, "a": 1}, "file_ending": ".nii.gz"})
    )
    assert load(tmp_path / "own").case_names == ("scan[1]",)


def test_a_folder_with_an_escape_in_its_name_is_refused(tmp_path: Path) -> None:
    root = make_msd(tmp_path / "own\x1b[2J", n_cases=1)
    with pytest.raises(InputError) as caught:
        load(root)
    assert "\x1b" not in str(caught.value)
    assert "data set names" in str(caught.value)


@pytest.mark.parametrize("edge", [np.nan, np.inf])
def test_a_header_with_a_spacing_that_is_none_is_refused(edge: float, tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", np.ones(SHAPE, np.uint8))
    content = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<hh", content, 252, 0, 0)  # neither qform nor sform
    struct.pack_into("<f", content, 80, edge)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.nii: unreadable"):
        read_header(tmp_path / "a.nii")


def test_a_file_of_the_same_name_without_compression_is_refused(tmp_path: Path) -> None:
    """ITK would take the header of the one and the voxels of the other."""
    root = make_msd(tmp_path / "own", n_cases=1)
    image = root / "imagesTr" / "case_00.nii.gz"
    write_nifti(image, np.full(SHAPE, 1, np.int16))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.full(SHAPE, 2, np.int16)), str(image.with_suffix("")))
    assert (read_case_images(load(root).cases[0])[0] == 2).all()
    (problem,) = find_problems(load(root), n_workers=1)
    assert "found case_00.nii as well; remove one" in problem.message
