"""What nnU-Net's readers see is what verification, training and evaluation see."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile
from nnunetv2.imageio.reader_writer_registry import LIST_OF_IO_CLASSES
from PIL import Image

from albench.data import Dataset, Problem, find_problems, load_dataset, verify_cases, write_nnunet_raw
from albench.data.images import read_header
from albench.data.load import MOST_LABELS
from albench.data.readers import ENDINGS, reader_of
from albench.errors import InputError
from albench.training.reading import read_case_images, read_label, read_spacing, true_spacing

SHAPE = (4, 6, 7)


def load(root: Path) -> Dataset:
    return load_dataset(str(root), data_dir=None, cache_dir=root.parent / "cache")


def problems(root: Path) -> list[Problem]:
    return find_problems(load(root), n_workers=2)


def itk(array: np.ndarray, path: Path, spacing: tuple[float, ...] | None = None) -> None:
    image = SimpleITK.GetImageFromArray(array)
    if spacing:
        image.SetSpacing(spacing)
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def make(
    root: Path,
    ending: str,
    write: Callable[[np.ndarray, Path], None] = itk,
    shape: tuple[int, ...] = SHAPE,
    n: int = 3,
) -> Path:
    """An nnU-Net raw data set of random images with labels 0 and 1."""
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    for number in range(n):
        rng = np.random.default_rng(number)
        write(rng.integers(20, 200, shape).astype(np.uint8), root / "imagesTr" / f"c{number}_0000{ending}")
        write((rng.random(shape) < 0.5).astype(np.uint8), root / "labelsTr" / f"c{number}{ending}")
    description = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "ball": 1}, "file_ending": ending}
    (root / "dataset.json").write_text(json.dumps(description))
    return root


def png(array: np.ndarray, path: Path) -> None:
    Image.fromarray(array).save(path)


def stack(array: np.ndarray, path: Path) -> None:
    tifffile.imwrite(path, array)
    path.with_name(f"{path.name.split('.')[0].removesuffix('_0000')}.json").write_text('{"spacing": [5, 0.5, 0.4]}')


def test_every_ending_of_nnunet_is_known() -> None:
    assert set(ENDINGS) == {ending for kind in LIST_OF_IO_CLASSES for ending in kind.supported_file_endings}
    assert [reader_of(Path(f"a{ending}")).__class__.__name__ for ending in (".nii.gz", ".nii", ".png", ".tiff")] == [
        "SimpleITKIO",
        "NibabelIO",
        "NaturalImage2DIO",
        "Tiff3DIO",
    ]


@pytest.mark.parametrize(
    ("ending", "write", "shape"),
    [
        (".nii.gz", itk, SHAPE),
        (".nii.gz", itk, SHAPE[1:]),
        (".nii", itk, SHAPE),
        (".nrrd", itk, SHAPE[1:]),
        (".mha", itk, SHAPE[1:]),
        (".png", png, SHAPE[1:]),
        (".bmp", png, SHAPE[1:]),
        (".tif", png, SHAPE[1:]),
        (".tif", stack, SHAPE),
        (".tiff", stack, SHAPE),
    ],
)
def test_facts_are_those_of_the_reader(
    ending: str, write: Callable[[np.ndarray, Path], None], shape: tuple[int, ...], tmp_path: Path
) -> None:
    dataset = load(make(tmp_path / "own", ending, write, shape))
    assert find_problems(dataset, n_workers=1) == []
    case = dataset.cases[0]
    images, spacing = read_case_images(case)
    geometry = read_header(case.images[0]).geometry
    assert images.shape == (1, *geometry.shape)
    assert spacing == pytest.approx(geometry.spacing_mm)
    assert read_spacing(case) == geometry.spacing_mm
    assert read_label(case.label).shape == geometry.shape
    known = true_spacing(dataset, case.name)
    assert known == (None if write is png else geometry.spacing_mm)


@pytest.mark.parametrize("ending", [".tif", ".tiff"])
def test_the_spacing_of_a_stack_goes_with_it(ending: str, tmp_path: Path) -> None:
    dataset = load(make(tmp_path / "own", ending, stack))
    raw = write_nnunet_raw(dataset, dataset.case_names, tmp_path / "raw", 1, "Own")
    image, label = raw / "imagesTr" / f"c0_0000{ending}", raw / "labelsTr" / f"c0{ending}"
    assert reader_of(image).read_images([str(image)])[1]["spacing"] == [5, 0.5, 0.4]
    assert reader_of(label).read_seg(str(label))[1]["spacing"] == [5, 0.5, 0.4]
    assert json.loads((raw / "dataset.json").read_text())["overwrite_image_reader_writer"] == "Tiff3DIO"
    (raw / "imagesTr" / "c0.json").unlink()
    write_nnunet_raw(dataset, dataset.case_names, tmp_path / "raw", 1, "Own")
    assert (raw / "imagesTr" / "c0.json").is_file()
    (tmp_path / "own" / "imagesTr" / "c0.json").write_text('{"spacing": [2, 0.5, 0.4]}')
    assert load(tmp_path / "own").checksum != dataset.checksum


def test_a_stack_in_a_plain_folder_has_the_spacing_beside_it(tmp_path: Path) -> None:
    root = tmp_path / "own"
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
        for number in range(2):
            tifffile.imwrite(root / part / f"c{number}.tiff", np.random.default_rng(number).integers(0, 2, SHAPE, "u1"))
            (root / part / f"c{number}.json").write_text('{"spacing": [5, 0.5, 0.4]}')
    dataset = load(root)
    assert true_spacing(dataset, "c0") == (5, 0.5, 0.4)
    raw = write_nnunet_raw(dataset, dataset.case_names, tmp_path / "raw", 1, "Own")
    image = raw / "imagesTr" / "c0_0000.tiff"
    assert reader_of(image).read_images([str(image)])[1]["spacing"] == [5, 0.5, 0.4]


@pytest.mark.parametrize("content", ['{"spacing": [5, 0, 1]}', '{"spacing": [5, 1]}', '{"spacing": 1}', "[1]", "{"])
def test_a_spacing_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    root = make(tmp_path / "own", ".tiff", stack)
    (root / "imagesTr" / "c1.json").write_text(content)
    first = problems(root)[0]
    assert (first.case, first.stops_a_run) == ("c1", True)
    assert "imagesTr/c1.json" in first.message


def test_a_spacing_that_is_made_up_is_remarked_and_means_nothing(tmp_path: Path) -> None:
    stacks = make(tmp_path / "stacks", ".tiff", lambda array, path: tifffile.imwrite(path, array))
    assert {(problem.kind, problem.stops_a_run) for problem in problems(stacks)} == {("no spacing", False)}
    assert true_spacing(load(stacks), "c0") is None
    volumes = make(tmp_path / "volumes", ".nii")
    for path in (volumes / "imagesTr" / "c1_0000.nii", volumes / "labelsTr" / "c1.nii"):
        content = bytearray(path.read_bytes())
        content[88:92] = bytes(4)
        path.write_bytes(content)
    (remark,) = problems(volumes)
    assert (remark.case, remark.kind) == ("c1", "no spacing")
    assert "c1_0000.nii: expected a spacing in its header, found none: 1, 1, 1 mm" in remark.message
    assert true_spacing(load(volumes), "c1") is None
    assert true_spacing(load(volumes), "c0") == (1, 1, 1)


def test_a_stack_and_a_label_of_other_spacings_do_not_fit(tmp_path: Path) -> None:
    root = make(tmp_path / "own", ".tiff", stack)
    (root / "labelsTr" / "c2.json").write_text('{"spacing": [5, 0.5, 0.5]}')
    assert [(problem.case, problem.kind) for problem in problems(root)] == [("c2", "spacing")]
    (root / "labelsTr" / "c2.json").unlink()  # nnU-Net does not look at a label's
    assert problems(root) == []


@pytest.mark.parametrize("mode", ["1", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_masks_as_programs_save_them(ending: str, mode: str, tmp_path: Path) -> None:
    if (ending, mode) in ((".bmp", "RGBA"), (".tif", "P")):
        pytest.skip("no such files")

    def write(array: np.ndarray, path: Path) -> None:
        mask = Image.fromarray(array if path.parent.name == "imagesTr" else 255 * array)
        (mask if path.parent.name == "imagesTr" else mask.convert(mode)).save(path)

    root = make(tmp_path / "described", ending, write, SHAPE[1:])
    plain = tmp_path / "plain"
    shutil.copytree(root / "imagesTr", plain / "images")
    shutil.copytree(root / "labelsTr", plain / "labels")
    for path in (plain / "images").iterdir():
        path.rename(path.with_name(path.name.replace("_0000", "")))
    dataset = load(plain)
    assert find_problems(dataset, n_workers=1) == []
    for case in dataset.cases:
        expected = np.random.default_rng(int(case.name[1:]))
        expected.integers(20, 200, SHAPE[1:])
        np.testing.assert_array_equal(read_label(case.label)[0], expected.random(SHAPE[1:]) < 0.5)
    # by its values as training has them: 255 is none of the labels described
    values = set(np.unique(read_label(root / "labelsTr" / f"c0{ending}")))
    assert [problem.kind for problem in problems(root)] == ([] if values == {0, 1} else ["label value"] * 3)


def test_a_mask_in_colours_is_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "own", ".png", png, SHAPE[1:])
    Image.fromarray(np.random.default_rng(0).integers(0, 2, (*SHAPE[1:], 3), "u1")).save(root / "labelsTr" / "c1.png")
    (problem,) = problems(root)
    assert (problem.kind, problem.stops_a_run) == ("axes", True)
    assert "labelsTr/c1.png" in problem.message


@pytest.mark.parametrize("ending", [".mhd", ".hdr", ".jpg", ".vtk", ".NII.GZ", ".PNG"])
def test_endings_that_nnunet_does_not_read_are_refused(ending: str, tmp_path: Path) -> None:
    root = make(tmp_path / "own", ".nii.gz")
    description = json.loads((root / "dataset.json").read_text()) | {"file_ending": ending}
    (root / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"dataset\.json: expected (files that nnU-Net reads|the file ending \.)"):
        load(root)
    listed = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "ball"}}
    pairs = [{"image": f"./imagesTr/a{ending}", "label": f"./labelsTr/a{ending}"}]
    (root / "dataset.json").write_text(json.dumps(listed | {"training": pairs}))
    with pytest.raises(InputError, match=r"dataset\.json: expected (files that nnU-Net reads|the file ending \.)"):
        load(root)


def test_photographs_called_tiff_are_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "own", ".tiff", png, SHAPE[1:])
    with pytest.raises(InputError, match=r"c0_0000\.tiff: unreadable: expected a stack of slices"):
        verify_cases(load(root), n_workers=1)
    (root / "dataset.json").unlink()
    with pytest.raises(InputError, match=r"\.tiff: unreadable: expected a stack of slices"):
        load(root)


def damaged(root: Path, where: slice, numbers: np.ndarray, case: str = "c1") -> Path:
    for path in root.glob(f"*Tr/{case}*"):
        content = bytearray(path.read_bytes())
        content[where] = numbers.tobytes()
        path.write_bytes(content)
    return root


def test_a_header_that_nibabel_refuses_is_refused(tmp_path: Path) -> None:
    root = damaged(make(tmp_path / "own", ".nii"), slice(252, 256), np.array([1, 0], "<i2"))
    damaged(root, slice(256, 268), np.array([0, 0, 1.0000005], "<f4"))
    found = problems(root)
    assert [(problem.case, problem.kind) for problem in found] == [("c1", "unreadable")] * 2
    assert "nibabel" in found[0].message


def test_flat_nii_files_are_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "own", ".nii", itk, SHAPE[1:])
    assert {problem.kind for problem in problems(root)} == {"unreadable"}


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_case_in_metres_is_refused(ending: str, tmp_path: Path) -> None:
    root = make(tmp_path / "own", ending)
    for path in root.glob("*Tr/c1*"):
        image = SimpleITK.ReadImage(str(path))
        image.SetSpacing((1000, 1000, 1000))
        SimpleITK.WriteImage(image, str(path), useCompression=ending.endswith("gz"))
    (problem,) = problems(root)
    assert (problem.case, problem.stops_a_run) == ("c1", True)
    assert "are its units others than mm?" in problem.message


def test_thick_slices_along_another_axis_are_remarked(tmp_path: Path) -> None:
    root = make(tmp_path / "own", ".nii.gz")
    for number in range(3):
        for path in root.glob(f"*Tr/c{number}*"):
            image = SimpleITK.ReadImage(str(path))
            image.SetSpacing((3, 1, 1) if number == 2 else (1, 1, 3))
            SimpleITK.WriteImage(image, str(path), useCompression=True)
    (problem,) = problems(root)
    assert (problem.case, problem.kind, problem.stops_a_run) == ("c2", "orientation", False)
    assert "expected thick slices along z, as in most cases, found them along x" in problem.message


def test_units_that_readers_take_differently_are_refused(tmp_path: Path) -> None:
    root = damaged(make(tmp_path / "own", ".nii"), slice(123, 124), np.array([1], "u1"))
    assert any("are its units others than mm?" in problem.message for problem in problems(root))


def test_more_labels_than_a_byte_holds_are_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "own", ".nii.gz")
    description = json.loads((root / "dataset.json").read_text())
    for n, refused in ((MOST_LABELS, False), (MOST_LABELS + 1, True)):
        description["labels"] = {"background": 0} | {f"part-{number}": number for number in range(1, n)}
        (root / "dataset.json").write_text(json.dumps(description))
        if refused:
            with pytest.raises(InputError, match=f"expected at most 256 labels, background included, found {n}"):
                load(root)
        else:
            assert load(root).n_labels == n
