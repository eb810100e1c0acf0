"""What a trainer finds in its folder again is read as what it has to be: arrays, numbers, names; no pickle, no code."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest
import torch

from albench.data import Dataset, write_nnunet_raw
from albench.errors import InputError
from albench.training.nnunet import NnunetTrainer
from albench.training.preprocess import PreprocessedStore, is_whole, preprocess
from albench.training.properties import read_properties, write_properties
from albench.units.pool import Split
from tests.support.fake_study import fake_protocol
from tests.support.framed_data import make_framed
from tests.support.hostile import Bomb, bombs

SPLIT = Split(("case_0", "case_1"), ("case_2",))
PROPERTIES: dict[str, Any] = {
    "sitk_stuff": {"spacing": (0.1, 0.2, 0.3)},
    "spacing": [np.float64(1.2645524740219116), 1 / 3, 2.0],
    "shape_before_cropping": (34, 52, 38),
    "bbox_used_for_cropping": [[0, 34], [np.int64(2), 52], [0, 30]],
    "shape_after_cropping_and_before_resampling": (34, 50, 30),
}


def test_properties_come_back_digit_by_digit(tmp_path: Path) -> None:
    write_properties(tmp_path / "case.json", PROPERTIES)
    found = read_properties(tmp_path / "case.json")
    assert found == {key: value for key, value in PROPERTIES.items() if key != "sitk_stuff"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spacing", [1.0, 0.0, 1.0]),
        ("spacing", [1.0, 1.0]),
        ("spacing", ["1", 1.0, 1.0]),
        ("shape_before_cropping", [10**9, 10**9, 10**9]),
        ("shape_before_cropping", [34, 51, 38]),
        ("bbox_used_for_cropping", [[0, 34], [2, 52], [-1, 29]]),
        ("bbox_used_for_cropping", [[0, 34], [2, 52]]),
        ("bbox_used_for_cropping", [[0, 34], [2, 52], [0, 30.0]]),
        ("shape_after_cropping_and_before_resampling", [34, 50, 31]),
        ("shape_after_cropping_and_before_resampling", None),
    ],
)
def test_other_properties_are_refused(tmp_path: Path, key: str, value: object) -> None:
    file = tmp_path / "case.json"
    write_properties(file, PROPERTIES)
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(InputError, match=r"case\.json: expected how a case was cropped"):
        read_properties(file)


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_framed(tmp_path_factory.mktemp("framed") / "heads", 3, (10, 30, 26))


@pytest.fixture(scope="module")
def made(framed: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("work")
    trainer = trainer_in(framed, work)
    pool = trainer.scan(SPLIT, lambda: None).pool
    trainer.preprocess(SPLIT, pool, pool.units[1::4], lambda: None)
    return work


def trainer_in(framed: Dataset, work: Path) -> NnunetTrainer:
    return NnunetTrainer(framed, fake_protocol(), torch.device("cpu"), work, 0)


def intact(trainer: NnunetTrainer) -> bool:
    return all(is_whole(trainer.store, case) for case in (*SPLIT.pool, *SPLIT.test))


@pytest.fixture
def trainer(framed: Dataset, made: Path, tmp_path: Path) -> NnunetTrainer:
    return trainer_in(framed, Path(shutil.copytree(made, tmp_path / "work", symlinks=True)))


def test_no_pickle_is_left(made: Path) -> None:
    assert not list(made.rglob("*.pkl"))


def test_a_store_of_an_earlier_version_is_made_anew_and_its_pickles_are_not_read(
    trainer: NnunetTrainer, framed: Dataset, tmp_path: Path
) -> None:
    store = trainer.store
    before = {case: store.properties(case) for case in framed.case_names}
    images = {case: store.image(case) for case in framed.case_names}
    for case in framed.case_names:
        store.properties_file(case).unlink()
        (store.case_folder / f"{case}.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))
    assert not intact(trainer)
    preprocess(store, [*trainer._raw(SPLIT.pool, 1), *trainer._raw(SPLIT.test, 2)])
    assert intact(trainer)
    assert not list(store.folder.rglob("*.pkl")) and not (tmp_path / "canary").exists()
    for case in framed.case_names:
        assert store.properties(case) == before[case]
        np.testing.assert_array_equal(store.image(case), images[case])


def _checksums(store: PreprocessedStore, case: str) -> Path:
    return store.folder / "checksums" / f"{case}.json"


@pytest.mark.parametrize("name", ["/etc/passwd", "../../../secret", "case_0.pkl"])
def test_checksums_name_no_other_files(trainer: NnunetTrainer, name: str) -> None:
    file = _checksums(trainer.store, "case_0")
    file.write_text(json.dumps({**json.loads(file.read_text()), name: "0"}))
    assert not intact(trainer)
    file.write_text("{}")
    assert not intact(trainer)


ARRAYS = ["blosc2", "pickle", "npy", "objects", "doubles", "three axes", "huge", "no array", "empty"]


def hostile_arrays(canary: Path) -> dict[str, bytes]:
    found = {kind: bombs(canary)[kind] for kind in ("blosc2", "pickle", "npy")}
    for name, array in {
        "objects": np.zeros((1, 2, 2, 2), "V8"),
        "doubles": np.zeros((1, 2, 2, 2)),
        "three axes": np.zeros((2, 2, 2), np.float32),
    }.items():
        found[name] = bytes(blosc2.asarray(array).to_cframe())
    found["huge"] = bytes(blosc2.zeros((1, 4096, 4096, 8192), np.float32, chunks=(1, 512, 512, 1024)).to_cframe())
    found["no array"] = bytes(blosc2.SChunk(data=b"x" * 100).to_cframe())
    found["empty"] = b""
    return found


@pytest.mark.parametrize("kind", ARRAYS)
def test_a_file_that_is_no_plain_array_is_refused(trainer: NnunetTrainer, tmp_path: Path, kind: str) -> None:
    path = trainer.store.case_folder / "case_0.b2nd"
    path.write_bytes(hostile_arrays(tmp_path / "canary")[kind])
    if kind == "blosc2":  # what it describes beside its voxels is left alone
        assert trainer.store.image("case_0").tolist() == np.zeros((1, 2, 2, 2)).tolist()
    else:
        with pytest.raises(InputError, match=r"case_0\.b2nd: expected "):
            trainer.store.image("case_0")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_refused(trainer: NnunetTrainer, kind: str) -> None:
    path = trainer.store.case_folder / "case_0.b2nd"
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    with pytest.raises(InputError, match="another kind of file"):
        trainer.store.image("case_0")


def test_links_to_other_images_lead_back(framed: Dataset, tmp_path: Path) -> None:
    (tmp_path / "secret.nii.gz").write_text("theirs")
    folder = write_nnunet_raw(framed, framed.case_names, tmp_path, 1, "d")
    links = sorted(folder.glob("*Tr/*"))
    before = [link.readlink() for link in links]
    for link in links:
        link.unlink()
        link.symlink_to(tmp_path / "secret.nii.gz")
    assert write_nnunet_raw(framed, framed.case_names, tmp_path, 1, "d") == folder
    assert [link.readlink() for link in links] == before
    assert (tmp_path / "secret.nii.gz").read_text() == "theirs"
