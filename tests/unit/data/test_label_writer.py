"""A label has its image's place, to the last bit, and none of its texts."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from albench.data.images import read_header
from albench.data.label_writer import write_label_like
from albench.data.readers import reader_of
from albench.errors import InputError
from tests.support.oriented import DIRECTIONS, SHAPE, write, write_with_codes

PLACE = ("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y")
PLACE += ("qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units")


def labels(shape: tuple[int, ...] = SHAPE, highest: int = 5) -> np.ndarray:
    made = np.random.default_rng(1).integers(0, highest + 1, shape)
    made.flat[0] = highest
    return made


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_place_is_the_image_s(tmp_path: Path, name: str, ending: str) -> None:
    image, label = tmp_path / f"a_0000{ending}", tmp_path / f"a{ending}"
    write(image, DIRECTIONS[name])
    write_label_like(labels(), image, label)
    before, after = read_header(image), read_header(label)
    if ending == ".nrrd":  # has spacing and direction as products, which are taken apart again
        np.testing.assert_allclose([*after.spacing, *after.direction], [*before.spacing, *before.direction], rtol=1e-14)
        before = before._replace(spacing=after.spacing, direction=after.direction)
    assert after == before
    found = SimpleITK.ReadImage(str(label))
    assert (SimpleITK.GetArrayFromImage(found) == labels()).all()
    assert found.GetPixelID() == SimpleITK.sitkUInt8
    seen, _ = reader_of(label).read_seg(str(label))
    image_seen, _ = reader_of(image).read_images((str(image),))
    assert (seen[0] == labels()).all()
    assert seen.shape == image_seen.shape


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 2), (1, 1), (4, 3)])
def test_every_field_of_a_nifti_header_that_places_is_kept(tmp_path: Path, ending: str, qform: int, sform: int) -> None:
    image, label = tmp_path / f"a_0000{ending}", tmp_path / f"a{ending}"
    write_with_codes(image, qform, sform)
    write_label_like(labels(), image, label)
    before, after = (nibabel.load(path).header for path in (image, label))
    for field in PLACE:
        assert before[field].tobytes() == after[field].tobytes(), field
    assert after.extensions == []
    content = gzip.decompress(label.read_bytes()) if ending == ".nii.gz" else label.read_bytes()
    assert b"DOE" not in content
    assert (np.asarray(nibabel.load(label).dataobj) == labels().T).all()
    assert after.get_data_dtype() == np.uint8


def test_the_other_byte_order_is_kept(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    made = nibabel.Nifti1Image(np.zeros(SHAPE[::-1], ">i2"), np.diag([1.0, 2, 3, 1]), header)
    nibabel.save(made, tmp_path / "a_0000.nii.gz")
    write_label_like(labels(highest=300), tmp_path / "a_0000.nii.gz", tmp_path / "a.nii.gz")
    found = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
    assert (SimpleITK.GetArrayFromImage(found) == labels(highest=300)).all()
    assert found.GetPixelID() == SimpleITK.sitkUInt16


def test_what_a_name_says_of_compression_is_of_no_matter(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", DIRECTIONS["oblique"])
    (tmp_path / "b_0000.nii.gz").write_bytes((tmp_path / "a.nii").read_bytes())
    write_label_like(labels(), tmp_path / "b_0000.nii.gz", tmp_path / "b.nii.gz")
    assert read_header(tmp_path / "b.nii.gz") == read_header(tmp_path / "a.nii")
    assert (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "b.nii.gz"))) == labels()).all()


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a_0000.nii.gz", DIRECTIONS["ras"])
    for name in ("a.nii.gz", "b.nii.gz"):
        write_label_like(labels(), tmp_path / "a_0000.nii.gz", tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_two_axes_stay_two(tmp_path: Path, ending: str) -> None:
    image, label = tmp_path / f"a_0000{ending}", tmp_path / f"a{ending}"
    write(image, DIRECTIONS["lps"], (6, 7))
    write_label_like(labels((1, 6, 7)), image, label)
    assert read_header(label) == read_header(image)
    assert (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(label))) == labels((1, 6, 7))[0]).all()


def test_of_an_image_with_channels_the_place_is_kept(tmp_path: Path) -> None:
    affine = np.diag([-1.5, 2, 3, 1])
    nibabel.save(nibabel.Nifti1Image(np.zeros((7, 6, 5, 2), np.float32), affine), tmp_path / "a.nii.gz")
    write_label_like(labels(), tmp_path / "a.nii.gz", tmp_path / "l.nii.gz")
    assert (nibabel.load(tmp_path / "l.nii.gz").affine == affine).all()
    assert read_header(tmp_path / "l.nii.gz") == read_header(tmp_path / "a.nii.gz").spatial


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("highest", [5, 300])
def test_photographs(tmp_path: Path, ending: str, highest: int) -> None:
    image, label = tmp_path / f"a_0000{ending}", tmp_path / f"a{ending}"
    Image.fromarray(np.zeros((6, 7, 3), np.uint8)).save(image)
    expected = labels((1, 6, 7), highest)
    if ending == ".bmp" and highest > 255:
        with pytest.raises(InputError, match=r"expected values up to 255, which is all that \.bmp has, got 300"):
            write_label_like(expected, image, label)
        return
    write_label_like(expected, image, label)
    assert (reader_of(label).read_seg(str(label))[0][0] == expected).all()


@pytest.mark.filterwarnings("ignore:.*json.*")
def test_stacks(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a_0000.tiff", np.zeros(SHAPE, np.uint16))
    write_label_like(labels(), tmp_path / "a_0000.tiff", tmp_path / "a.tiff")
    assert (tifffile.imread(tmp_path / "a.tiff") == labels()).all()


def test_another_shape_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a_0000.nii.gz", DIRECTIONS["lps"])
    with pytest.raises(InputError, match=r"expected a label of its shape \(5, 6, 7\) \(k, j, i\), got \(7, 6, 5\)"):
        write_label_like(labels((7, 6, 5)), tmp_path / "a_0000.nii.gz", tmp_path / "a.nii.gz")
    assert not (tmp_path / "a.nii.gz").exists()
