"""Files that headers and bytes say nothing against, and training would stumble over; and files damaged."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from albench.data import examine
from albench.errors import InputError
from albench.training.reading import read_label
from tests.support.raw_fixtures import ball, image_of, itk, kinds, label_of, load, make_raw, nifti, patch, problems

IMAGE = ball(0)[0]


@pytest.mark.parametrize(
    ("image", "kind", "stops"),
    [
        (IMAGE * np.float32(1e30), "intensities", True),
        (IMAGE.astype(np.float64) + 2.0**60, "intensities", True),
        (np.full_like(IMAGE, 7), "constant", False),
        (np.where(np.indices(IMAGE.shape)[2] < 12, np.float32(-1e10), IMAGE), "outliers", False),
        (np.where(np.arange(IMAGE.size).reshape(IMAGE.shape) == 7, np.float32(1e12), IMAGE), "outliers", False),
        (IMAGE * np.float32(1e-12), "constant", False),
    ],
)
def test_intensities_that_cannot_be_normalised(image: np.ndarray, kind: str, stops: bool, tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    nifti(image_of(root), image)
    assert kinds(root) == [("c0", kind, stops)]
    assert f"{image_of(root)}: expected intensities" in problems(root)[0].message


@pytest.mark.parametrize(
    ("times", "found"), [(1, []), (20, [("c0", "intensities", True)]), (-1, [("c0", "intensities", True)])]
)
def test_bytes_are_what_a_channel_of_that_name_has(times: int, found: list[object], tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", channel_names={"0": "rgb_to_0_1"})
    nifti(image_of(root), times * IMAGE)
    assert kinds(root) == found


def test_what_planning_needs_is_what_training_reads(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    image = np.zeros_like(IMAGE)
    image[2:5, 3:9, 4:20] = IMAGE[2:5, 3:9, 4:20]
    nifti(image_of(root), image)
    facts = examine(load(root), n_workers=1).facts
    assert facts["c0"].shape == image.shape
    assert facts["c0"].spacing_mm == (3, 1, 1)
    assert facts["c0"].box == ((2, 5), (3, 9), (4, 20))
    assert facts["c1"].box == tuple((0, edge) for edge in image.shape)


def test_a_reader_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    def fail(self: SimpleITKIO, files: object) -> None:
        raise RuntimeError

    root = make_raw(tmp_path / "own")
    monkeypatch.setattr(SimpleITKIO, "read_images", fail)
    first = problems(root)[0]
    assert (first.kind, first.stops_a_run) == ("unreadable", True)
    assert f"{image_of(root)}: unreadable: expected what nnU-Net's reader SimpleITKIO opens" in first.message


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_a_label_of_layers_is_refused(ending: str, tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", ending=ending)
    label = ball(0)[1]
    itk(label_of(root, 0, ending), np.stack([label, label], -1), vector=True)
    assert kinds(root) == [("c0", "axes", True)]
    assert "write one label map, in which no labels overlap" in problems(root)[0].message


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".gipl", ".nii.gz", ".nii"])
def test_a_file_cut_anywhere_is_named(ending: str, tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", n=2, ending=ending)
    path = image_of(root, 0, ending)
    content = path.read_bytes()
    for keep in (0.4, 0.7, 0.99):
        path.write_bytes(content[: int(keep * len(content))])
        assert kinds(root) == [("c0", "unreadable", True)], keep


def test_an_uncompressed_metaimage_cut_is_named(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", n=2, ending=".mha")
    itk(image_of(root, 0, ".mha"), IMAGE, compress=False)
    path = image_of(root, 0, ".mha")
    path.write_bytes(path.read_bytes()[:-5])
    assert "truncated: expected" in problems(root)[0].message


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii.gz"])
def test_flipped_bits_of_compressed_voxels_are_named(ending: str, tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", n=2, ending=ending)
    path = image_of(root, 0, ending)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(len(content) // 2, len(content), 15):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        assert kinds(root) == [("c0", "unreadable", True)], place


NO_NIFTI: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "an empty file"),
    "web": (b"<html>404</html>" * 100, "a page of a web site"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a pointer of Git LFS"),
    "twice": (gzip.compress(gzip.compress(bytes(400))), "gzip in gzip"),
    "bzip2": (bz2.compress(bytes(400)), "bzip2"),
    "zip": (b"PK\x03\x04" + bytes(400), "a zip archive"),
    "nrrd": (b"NRRD0004\n" + bytes(400), "NRRD"),
    "text": (b"hello", "another kind of file"),
}


@pytest.mark.parametrize("name", NO_NIFTI)
def test_what_is_called_nifti_and_is_none_is_named(name: str, tmp_path: Path) -> None:
    content, kind = NO_NIFTI[name]
    root = make_raw(tmp_path / "own")
    image_of(root).write_bytes(content)
    (problem,) = problems(root)
    assert (problem.case, problem.kind) == ("c0", "unreadable")
    assert f"found {kind}" in problem.message


GZIP: dict[str, tuple[Callable[[bytes], bytes], str | None]] = {
    "not compressed": (gzip.decompress, None),
    "of two members": (lambda content: b"".join(map(gzip.compress, _halves(gzip.decompress(content)))), None),
    "with zeros behind": (lambda content: content + bytes(512), None),
    "with bytes behind": (lambda content: content + b"junk", "other bytes behind its end"),
    "without its end": (lambda content: content[:-6], "found its end missing"),
    "with another checksum": (lambda content: content[:-8] + bytes(4) + content[-4:], "CRC check failed"),
}


def _halves(content: bytes) -> tuple[bytes, bytes]:
    return content[:1000], content[1000:]


@pytest.mark.parametrize("name", GZIP)
def test_forms_of_gzip(name: str, tmp_path: Path) -> None:
    change, said = GZIP[name]
    root = make_raw(tmp_path / "own")
    image_of(root).write_bytes(change(image_of(root).read_bytes()))
    assert [said is not None and said in problem.message for problem in problems(root)] == ([True] if said else [])


def test_gzip_called_nii_is_named(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", ending=".nii")
    path = image_of(root, 0, ".nii")
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert "found gzip; call it .nii.gz" in problems(root)[0].message


def test_labels_are_whole_as_far_as_training_sees(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    for number, (slope, times) in enumerate([(1 / 255, 255), (1 / 49, 49), (0.9999999, 1)]):
        nifti(label_of(root, number), (times * ball(number)[1]).astype(np.uint8))
        patch(label_of(root, number), (112, np.array([slope, 0], "<f4")))
    assert kinds(root) == [("c2", "label value", True)]
    assert "found 0.99999988" in problems(root)[0].message
    for case in load(root).cases[:2]:
        assert set(np.unique(read_label(case.reference))) == {0, 1}


def test_no_foreground_at_all_is_refused(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    for number in range(2):
        nifti(label_of(root, number), np.zeros_like(ball(0)[1]))
    assert kinds(root) == [(f"c{number}", "empty label", False) for number in range(2)]
    nifti(label_of(root, 2), np.zeros_like(ball(0)[1]))
    assert ("c0", "untrainable", True) in kinds(root)


@pytest.mark.parametrize("value", [-1, 255])
def test_ignored_voxels_of_other_tools_are_named_with_what_to_do(value: int, tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    label = ball(0)[1].astype(np.int16)
    label[0] = value
    nifti(label_of(root), label)
    (problem,) = problems(root)
    assert f"c0.nii.gz: expected only label values 0, 1 (dataset.json), found {value}; where that means ignore" in (
        problem.message
    )


@pytest.mark.parametrize("axes", [(4, 20, 20, 8, 1), (5, 20, 20, 8, 1, 1)])
def test_trailing_axes_of_one_are_none(axes: tuple[int, ...], tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own")
    for path in root.glob("*Tr/*"):
        patch(path, (40, np.array(axes, "<i2")))
    assert problems(root) == []


def test_stacks_among_photographs_are_refused(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", ending=".tif", n=0)
    for number, shape in enumerate([(20, 20), (20, 20), (8, 20, 20)]):
        for path, array in zip((image_of, label_of), ball(number, shape), strict=True):
            place = path(root, number, ".tif")
            place.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(place, array.astype(np.uint8))
    assert ("c2", "axes", True) in kinds(root)


def test_a_stack_may_have_its_spacing_by_its_whole_name(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "own", ending=".tiff", n=0)
    for number in range(2):
        for path, array in zip((image_of, label_of), ball(number), strict=True):
            place = path(root, number, ".tiff")
            place.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(place, array.astype(np.uint8))
            place.with_suffix(".json").write_text('{"spacing": [5, 0.5, 0.5]}')
    assert problems(root) == []


def png_set(root: Path, image: Callable[[np.ndarray], Image.Image], label: Callable[[np.ndarray], Image.Image]) -> Path:
    make_raw(root, n=0, ending=".png")
    for number in range(2):
        grey, mask = ball(number, (20, 24))
        for path, picture in ((image_of, image(grey.clip(0, 255).astype("u1"))), (label_of, label(mask))):
            place = path(root, number, ".png")
            place.parent.mkdir(parents=True, exist_ok=True)
            picture.save(place)
    return root


def _palette(mask: np.ndarray) -> Image.Image:
    picture = Image.fromarray(mask)
    picture.putpalette([0, 0, 0, 255, 0, 0] + [0] * (254 * 3))
    return picture


PNG: dict[str, tuple[Callable[[np.ndarray], Image.Image], Callable[[np.ndarray], Image.Image], str | None]] = {
    "16 bits": (lambda grey: Image.fromarray(grey.astype(np.uint16) * 200), Image.fromarray, None),
    "1 bit": (Image.fromarray, lambda mask: Image.fromarray(255 * mask).convert("1"), None),
    "palette image": (
        lambda grey: Image.fromarray(grey).convert("P"),
        Image.fromarray,
        "expected 1 channel (MRI), found 3 channels",
    ),
    "palette label": (Image.fromarray, _palette, "found 3 colours that differ"),
    "grey and alpha": (
        lambda grey: Image.fromarray(grey).convert("LA"),
        Image.fromarray,
        "found the shape (20, 24, 2)",
    ),
    "opaque mask": (Image.fromarray, lambda mask: Image.fromarray(mask).convert("RGBA"), None),
}


@pytest.mark.parametrize("name", PNG)
def test_forms_of_png(name: str, tmp_path: Path) -> None:
    image, label, said = PNG[name]
    found = problems(png_set(tmp_path / "own", image, label))
    assert [said in problem.message for problem in found if said] == ([True, True] if said else [])
    assert bool(found) == bool(said)


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """ITK ends the program there."""
    import os

    parent = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller"))
    root = make_raw(parent / "own")
    with pytest.raises(InputError, match=r"expected a path of UTF-8, found b'M\\xfcller' in it") as caught:
        load(root)
    assert "\\udcfc" in str(caught.value)
