"""Images in memory: each decoded once, no more of them kept than there is room for."""

from __future__ import annotations

import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile

from albench.annotate.pictures import Pictures
from albench.annotate.refusals import UnknownError
from albench.annotate.turned import Turn
from albench.annotation.hand_out import hand_out
from albench.annotation.handed import HandedOut
from albench.annotation.request import AskedCase, HandOut
from albench.errors import InputError
from albench.machine.files import sha256
from albench.results.query import QueriedUnit, Query

SHAPE = (3, 8, 10)
PLAIN = Turn((0, 1, 2), (False, False, False))


def _asked(root: Path, voxels: dict[str, np.ndarray], ending: str = ".nii.gz", channels: int = 1) -> HandedOut:
    paths = {name: root / f"{name}_0000{ending}" for name in voxels}
    for name, array in voxels.items():
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=False), str(paths[name]))
    return _handed(root, paths, ending, channels)


def _handed(root: Path, paths: dict[str, Path], ending: str, channels: int) -> HandedOut:
    query = Query(
        dataset="d",
        strategy="random",
        seed=0,
        round=1,
        id="q",
        created="2026-11-29T14:15:02Z",
        labels={"background": 0, "organ": 1},
        ignore=2,
        channel_names=tuple(f"channel {number}" for number in range(channels)),
        file_ending=ending,
        units=tuple(QueriedUnit(case=name, index=0, axis=0) for name in paths),
    )
    hand_out(
        HandOut(query, tuple(AskedCase(name, (path,)) for name, path in paths.items()), filling="background"),
        root / "q",
    )
    return HandedOut.read(root / "q")


def _shown(pictures: Pictures, case: str, channel: int = 0) -> np.ndarray:
    content = pictures.nifti(case, channel, PLAIN, (1.0, 1.0, 1.0))
    return np.asarray(nibabel.Nifti1Image.from_bytes(content).dataobj)


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        *((same, same) for same in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32)),
        (np.float64, np.float32),
    ],
)
def test_numbers_are_of_a_type_that_viewers_have(tmp_path: Path, kept: type, shown: type) -> None:
    array = np.random.default_rng(0).integers(0, 100, SHAPE).astype(kept)
    voxels = _shown(Pictures(_asked(tmp_path, {"a": array}, ".nrrd")), "a")
    assert voxels.dtype == shown
    assert np.array_equal(voxels.transpose(), array)


def test_whole_numbers_of_eight_bytes_are_narrowed_where_they_fit(tmp_path: Path) -> None:
    array = np.arange(240, dtype=np.int64).reshape(SHAPE) - 100
    voxels = _shown(Pictures(_asked(tmp_path, {"a": array, "b": array * 2**40}, ".nrrd")), "a")
    assert voxels.dtype == np.int32
    assert np.array_equal(voxels.transpose(), array)
    large = _shown(Pictures(HandedOut.read(tmp_path / "q")), "b")
    assert large.dtype == np.float32
    assert np.array_equal(large.transpose(), (array * 2**40).astype(np.float32))


def test_channels_of_one_file_are_shown_one_by_one(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(-100, 100, (2, *SHAPE)).astype(np.int16)
    image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(part) for part in array])
    pictures = Pictures(_asked(tmp_path, {"a": SimpleITK.GetArrayFromImage(image)}, channels=2))
    assert pictures.channels("a") == ("channel 0", "channel 1")
    for channel in (0, 1):
        assert np.array_equal(_shown(pictures, "a", channel).transpose(), array[channel])
    with pytest.raises(UnknownError, match="no channel 2"):
        _shown(pictures, "a", 2)


def test_channels_in_files_of_their_own(tmp_path: Path) -> None:
    arrays = [np.full(SHAPE, number, np.int16) for number in (5, 7)]
    handed = _asked(tmp_path, {"a": arrays[0]}, channels=2)
    other = tmp_path / "a_0001.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(arrays[1]), str(other))
    case = handed.query.cases["a"]
    both = {"images": (*case.images, "../a_0001.nii.gz"), "sha256": (*case.sha256, sha256(other))}
    query = handed.query.model_copy(update={"cases": {"a": case.model_copy(update=both)}})
    pictures = Pictures(HandedOut(handed.folder, query))
    assert [int(_shown(pictures, "a", channel).max()) for channel in (0, 1)] == [5, 7]


@pytest.mark.parametrize("shape", [(4, 8, 10), (8, 10)])
def test_stacks_and_grey_photographs(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    path = tmp_path / f"a_0000{'.tiff' if len(shape) == 3 else '.tif'}"
    tifffile.imwrite(path, array, photometric="minisblack")
    pictures = Pictures(_handed(tmp_path, {"a": path}, path.suffix, 1))
    assert pictures.channels("a") == ("channel 0",)
    shown = _shown(pictures, "a")
    assert shown.dtype == np.uint16
    assert np.array_equal(shown.transpose(), array if array.ndim == 3 else array[None])


def test_an_image_is_decoded_once_however_many_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = Pictures(_asked(tmp_path, {"a": np.zeros(SHAPE, np.int16)}))
    decoded = _counted(pictures, monkeypatch)
    threads = [threading.Thread(target=_shown, args=(pictures, "a")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert decoded == ["a"]


def test_images_used_last_are_kept_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.zeros(SHAPE, np.int16)
    pictures = Pictures(_asked(tmp_path, {name: array + n for n, name in enumerate("abc")}), 2 * array.nbytes)
    decoded = _counted(pictures, monkeypatch)
    for case in "abacab":
        _shown(pictures, case)
    assert "".join(decoded) == "abcb"
    assert not pictures.has_room
    tiny = Pictures(HandedOut.read(tmp_path / "q"), 1)
    assert _shown(tiny, "a").shape == SHAPE[::-1]  # larger than all the room, and shown all the same
    assert tiny.has_room is True


def test_another_image_than_was_asked_about_is_not_shown(tmp_path: Path) -> None:
    handed = _asked(tmp_path, {"a": np.zeros(SHAPE, np.int16)})
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones(SHAPE, np.int16)), str(tmp_path / "a_0000.nii.gz"))
    with pytest.raises(InputError, match="expected the image that was asked about"):
        _shown(Pictures(handed), "a")


def _counted(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    decoded: list[str] = []
    decode = pictures._decoded

    def count(case: str, number: int, within: int) -> np.ndarray:
        decoded.append(case)
        return decode(case, number, within)

    monkeypatch.setattr(pictures, "_decoded", count)
    return decoded
