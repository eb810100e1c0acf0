"""Every kind of bad case is found and named."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from albench.data import Dataset, case_geometry, find_problems, load_dataset, verify_cases
from albench.data import verify as verify_module
from albench.data.voxels import scan_voxels
from albench.errors import InputError
from tests.support.msd_fixtures import SHAPE, make_msd, truncate, write_nifti


def load(root: Path) -> Dataset:
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_msd(tmp_path / "own")


def image_of(root: Path) -> Path:
    return root / "imagesTr" / "case_01.nii.gz"


def label_of(root: Path) -> Path:
    return root / "labelsTr" / "case_01.nii.gz"


def _nan(root: Path) -> None:
    array = np.ones(SHAPE, np.float32)
    array[1, 2, 3] = np.nan
    write_nifti(image_of(root), array)


def _inf(root: Path) -> None:
    array = np.ones(SHAPE, np.float32)
    array[1, 2, 3] = -np.inf
    write_nifti(image_of(root), array)


def _corrupt(root: Path) -> None:
    content = bytearray(image_of(root).read_bytes())
    content[len(content) // 2] ^= 0xFF
    image_of(root).write_bytes(bytes(content))


def _gzip_of_truncated(root: Path) -> None:
    content = gzip.decompress(image_of(root).read_bytes())
    image_of(root).write_bytes(gzip.compress(content[:-10]))


def _shifted(root: Path) -> None:
    label = SimpleITK.ReadImage(str(label_of(root)))
    label.SetOrigin((5.0, 0.0, 0.0))
    SimpleITK.WriteImage(label, str(label_of(root)))


def _flipped(root: Path) -> None:
    label = SimpleITK.ReadImage(str(label_of(root)))
    label.SetDirection((-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    SimpleITK.WriteImage(label, str(label_of(root)))


BAD: dict[str, tuple[Callable[[Path], object], Callable[[Path], Path], str]] = {
    "image truncated": (lambda root: truncate(image_of(root), 0.5), image_of, "truncated"),
    "image truncated at its last bytes": (lambda root: truncate(image_of(root), 0.98), image_of, "truncated"),
    "label truncated": (lambda root: truncate(label_of(root), 0.5), label_of, "truncated"),
    "compressed after truncation": (_gzip_of_truncated, image_of, "truncated"),
    "image empty": (lambda root: image_of(root).write_bytes(b""), image_of, "unreadable"),
    "no image at all": (lambda root: image_of(root).write_bytes(b"hello"), image_of, "unreadable"),
    "flipped bits": (_corrupt, image_of, "unreadable"),
    "image missing": (lambda root: image_of(root).unlink(), image_of, "expected a file, found none"),
    "label missing": (lambda root: label_of(root).unlink(), label_of, "expected a file, found none"),
    "other shape": (
        lambda root: write_nifti(label_of(root), np.zeros((4, 5, 7), np.uint8)),
        label_of,
        "expected the image's shape (4, 5, 6) (z, y, x), found (4, 5, 7)",
    ),
    "other spacing": (
        lambda root: write_nifti(label_of(root), np.zeros(SHAPE, np.uint8), (1.0, 1.5, 2.1)),
        label_of,
        "expected the image's spacing (2.0, 1.5, 1.0) mm (z, y, x), found (2.1, 1.5, 1.0)",
    ),
    "other origin": (_shifted, label_of, "expected the image's origin"),
    "other orientation": (_flipped, label_of, "expected the image's orientation"),
    "unknown label": (
        lambda root: write_nifti(label_of(root), np.full(SHAPE, 7, np.uint8)),
        label_of,
        "expected only label values 0, 1, 2 (dataset.json), found 7",
    ),
    "negative label": (
        lambda root: write_nifti(label_of(root), np.full(SHAPE, -1, np.int16)),
        label_of,
        "expected only label values 0, 1, 2 (dataset.json), found -1",
    ),
    "fractional label": (
        lambda root: write_nifti(label_of(root), np.full(SHAPE, 0.5, np.float32)),
        label_of,
        "expected only label values 0, 1, 2 (dataset.json), found 0.5",
    ),
    "NaN": (_nan, image_of, "expected finite intensities, found NaN, infinity"),
    "infinity": (_inf, image_of, "expected finite intensities, found NaN, infinity"),
    "two channels": (
        lambda root: write_nifti(image_of(root), np.ones((2, *SHAPE), np.float32)),
        image_of,
        "expected 1 channel (MRI), found 2 channels",
    ),
    "label with channels": (
        lambda root: write_nifti(label_of(root), np.ones((2, *SHAPE), np.uint8)),
        label_of,
        "expected a 2D or 3D label, found 4 axes",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_case_is_named(root: Path, name: str) -> None:
    spoil, file_of, expected = BAD[name]
    spoil(root)
    with pytest.raises(InputError) as caught:
        verify_cases(load(root), n_workers=2)
    message = str(caught.value)
    assert message.startswith("own: case case_01: ")
    assert str(file_of(root)) in message
    assert expected in message
    assert "\n" not in message


def test_good_data_set_passes(root: Path) -> None:
    dataset = load(root)
    verify_cases(dataset, n_workers=2)
    assert find_problems(dataset, n_workers=1) == []


def test_all_problems_are_counted_and_the_first_by_name_is_told(root: Path) -> None:
    write_nifti(root / "labelsTr" / "case_02.nii.gz", np.full(SHAPE, 9, np.uint8))
    truncate(root / "imagesTr" / "case_00.nii.gz", 0.5)
    dataset = load(root)
    problems = find_problems(dataset, n_workers=2)
    assert [problem.case for problem in problems] == ["case_00", "case_02"]
    with pytest.raises(InputError, match=r"case case_00: .*truncated.*; and 1 more$"):
        verify_cases(dataset, n_workers=2)


def test_verdict_is_remembered_until_a_file_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verify_cases(load(root), n_workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(verify_module, "examine", None)  # reading again would fail
        verify_cases(load(root), n_workers=1)
    truncate(image_of(root), 0.5)
    with pytest.raises(InputError, match="truncated"):
        verify_cases(load(root), n_workers=1)


def test_a_bad_data_set_is_not_remembered_as_good(root: Path) -> None:
    truncate(image_of(root), 0.5)
    for _ in range(2):
        with pytest.raises(InputError, match="truncated"):
            verify_cases(load(root), n_workers=1)


def test_channels_of_a_4d_image(tmp_path: Path) -> None:
    root = make_msd(tmp_path / "own", modality={"0": "T2", "1": "ADC"}, n_channels=2)
    verify_cases(load(root), n_workers=1)
    write_nifti(image_of(root), np.ones(SHAPE, np.float32))
    with pytest.raises(InputError, match=r"case_01\.nii\.gz: expected 2 channels \(T2, ADC\), found 1 channel$"):
        verify_cases(load(root), n_workers=1)


def test_rounded_headers_are_no_mismatch(root: Path) -> None:
    write_nifti(label_of(root), np.zeros(SHAPE, np.uint8), (1.00001, 1.5, 2.0))
    verify_cases(load(root), n_workers=1)


def test_geometry_is_that_of_the_header(root: Path) -> None:
    geometry = case_geometry(image_of(root))
    assert geometry.shape == SHAPE
    assert geometry.spacing_mm == pytest.approx((2.0, 1.5, 1.0))
    write_nifti(image_of(root), np.ones((2, *SHAPE), np.float32))
    assert case_geometry(image_of(root)) == geometry


def test_geometry_reads_no_voxels(root: Path) -> None:
    truncate(image_of(root), 0.6)
    assert case_geometry(image_of(root)).shape == SHAPE


@pytest.mark.parametrize("content", [None, b"hello"])
def test_geometry_of_no_image(root: Path, content: bytes | None) -> None:
    image_of(root).unlink() if content is None else image_of(root).write_bytes(content)
    with pytest.raises(InputError, match=r"imagesTr/case_01\.nii\.gz: (unreadable: expected an image|expected a file)"):
        case_geometry(image_of(root))


@pytest.mark.parametrize("kind", ["empty label", "duplicate"])
def test_what_is_odd_but_sound_is_listed_and_does_not_stop_a_run(root: Path, kind: str) -> None:
    if kind == "duplicate":
        # the same voxels under another header: spacing, number format and compression differ, or do not count
        image = SimpleITK.ReadImage(str(root / "imagesTr" / "case_00.nii.gz"))
        SimpleITK.WriteImage(image, str(image_of(root)), useCompression=True, compressionLevel=1)
        expected = "case_00.nii.gz, found the same voxels"
    else:
        write_nifti(label_of(root), np.zeros(SHAPE, np.uint8))
        expected = "expected a foreground voxel, found background alone"
    dataset = load(root)
    (problem,) = find_problems(dataset, n_workers=2)
    assert (problem.case, problem.kind, problem.stops_a_run) == ("case_01", kind, False)
    assert expected in problem.message
    verdict = verify_cases(dataset, n_workers=1)
    assert verdict.problems == (problem,)
    assert verify_cases(dataset, n_workers=1) == verdict  # remembered


def test_a_class_that_no_case_has_is_remarked(root: Path) -> None:
    path = root / "dataset.json"
    description = json.loads(path.read_text())
    n_labels = len(description["labels"])
    description["labels"] |= {str(n_labels): "tumour", str(n_labels + 1): "vessel"}
    path.write_text(json.dumps(description))
    (remark,) = verify_cases(load(root), n_workers=1).problems
    assert (remark.kind, remark.stops_a_run) == ("absent class", False)
    assert remark.message.endswith(f"found none of tumour ({n_labels}), vessel ({n_labels + 1})")
    truncate(label_of(root), 0.5)  # of which nobody knows what was in it
    assert [problem.kind for problem in find_problems(load(root), n_workers=1)] == ["unreadable"]


def test_everything_wrong_is_in_one_list(tmp_path: Path) -> None:
    root = make_msd(tmp_path / "own", n_cases=8)
    images, labels = root / "imagesTr", root / "labelsTr"
    truncate(images / "case_00.nii.gz", 0.5)
    _nan_at(images / "case_01.nii.gz")
    write_nifti(labels / "case_02.nii.gz", np.full(SHAPE, 7, np.uint8), (1.0, 1.5, 2.1))
    write_nifti(labels / "case_03.nii.gz", np.zeros(SHAPE, np.uint8))
    (images / "case_04.nii.gz").write_bytes((images / "case_05.nii.gz").read_bytes())
    write_nifti(images / "case_06.nii.gz", np.ones((2, *SHAPE), np.float32))
    write_nifti(labels / "case_07.nii.gz", np.ones((4, 5, 7), np.uint8))
    found = [(problem.case, problem.kind) for problem in find_problems(load(root), n_workers=3)]
    assert found == [
        ("case_00", "unreadable"),
        ("case_01", "not finite"),
        ("case_02", "label value"),
        ("case_02", "spacing"),
        ("case_03", "empty label"),
        ("case_05", "duplicate"),
        ("case_06", "channels"),
        ("case_07", "shape"),
    ]


def _nan_at(path: Path) -> None:
    array = np.ones(SHAPE, np.float32)
    array[1, 2, 3] = np.nan
    write_nifti(path, array)


def test_labels_are_scaled_as_the_header_says(root: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_slope_inter(2.0, 1.0)
    values = np.zeros(SHAPE[::-1], np.int16)
    values[0, 0, 0] = 1  # is 3
    nibabel.Nifti1Image(values, nibabel.load(label_of(root)).affine, header).to_filename(label_of(root))
    with gzip.open(label_of(root)) as stream:
        content = bytearray(stream.read())
    content[112:120] = np.array([2.0, 1.0], np.float32).tobytes()  # nibabel sets these aside when it writes
    label_of(root).write_bytes(gzip.compress(bytes(content)))
    (problem,) = find_problems(load(root), n_workers=1)
    assert problem.message.endswith("expected only label values 0, 1, 2 (dataset.json), found 3.0")


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.int32, np.float32, np.float64]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
        elements=st.integers(0, 100),
    ),
    st.booleans(),
)
def test_streaming_finds_what_reading_whole_does(array: NDArray[Any], compressed: bool) -> None:
    """The plain way: ITK reads the file, NumPy lists the values."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.nii.gz" if compressed else "a.nii")
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("albench.data.voxels._PIECE", 7)  # voxels are cut in the middle
            found = scan_voxels(path, values=True)
        whole = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    np.testing.assert_array_equal(found.values, np.unique(whole))
    assert found.finite
    assert found.digest != scan_of(array + array.dtype.type(1))


def scan_of(array: NDArray[Any]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(Path(folder, "b.nii")))
        return scan_voxels(Path(folder, "b.nii"), values=False).digest


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """Volumes of 64 MB each, four threads: one is open at a time, and takes up to six times its size with copies."""
    root = make_msd(tmp_path / "own", n_cases=8, labels={"0": "background", "1": "a"})
    for number, name in enumerate(sorted(path.name for path in (root / "imagesTr").iterdir())):
        image = np.full((64, 512, 512), number, np.float32)
        image[:32] = 100
        write_nifti(root / "imagesTr" / name, image)
        write_nifti(root / "labelsTr" / name, (image == number).astype(np.uint8))
    code = (
        "import sys; from pathlib import Path; from albench.data import *\n"
        "from albench.machine.facts import peak_rss_mib; from albench.data.readers import reader_of\n"
        "d = load_dataset(sys.argv[1], data_dir=None, cache_dir=Path(sys.argv[2]))\n"
        "reader_of(d.cases[0].images[0])\n"
        "before = peak_rss_mib()\n"
        "assert find_problems(d, n_workers=4) == []\n"
        "print(peak_rss_mib() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root), str(tmp_path / "cache")], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 400


@pytest.mark.data
@pytest.mark.parametrize(("name", "n_cases"), [("hippocampus", 260)])
def test_real_data_are_sound(real_data: Path, tmp_path: Path, name: str, n_cases: int) -> None:
    dataset = load_dataset(name, data_dir=real_data, cache_dir=tmp_path)
    verify_cases(dataset, n_workers=2)
    assert len(dataset.cases) == n_cases
    assert case_geometry(dataset.cases[0].images[0]) == case_geometry(dataset.cases[0].label)
