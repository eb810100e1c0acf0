"""Finding, unpacking and reading data sets."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import tarfile
from pathlib import Path

import pytest

from albench.data import REGISTRY, Dataset, get_entry, list_entries, load_dataset, write_nnunet_raw
from albench.data import load as load_module
from albench.data.catalogue import list_known
from albench.errors import InputError
from albench.machine.files import build_folder, write_json
from albench.progress import Reporter
from tests.support.msd_fixtures import make_msd, make_tar, truncate


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return make_msd(tmp_path / "data" / "Task04_Hippocampus")


def test_folder_is_read_as_its_json_says(task: Path, cache: Path) -> None:
    dataset = load_dataset("hippocampus", data_dir=task.parent, cache_dir=cache)
    assert (dataset.name, dataset.kind, dataset.root) == ("hippocampus", "patients", task)
    assert dataset.case_names == ("case_00", "case_01", "case_02")
    assert dataset.cases[1].images == (task / "imagesTr" / "case_01.nii.gz",)
    assert dataset.cases[1].label == task / "labelsTr" / "case_01.nii.gz"
    assert dataset.labels == {0: "background", 1: "Anterior", 2: "Posterior"}
    assert (dataset.n_labels, dataset.ignore_label, dataset.foreground_labels) == (3, 3, (1, 2))
    assert (dataset.channel_names, dataset.file_ending) == (("MRI",), ".nii.gz")


def test_tar_and_folder_have_the_same_checksum(task: Path, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "archives").mkdir()
    make_tar(task, tmp_path / "archives" / "Task04_Hippocampus.tar")
    from_tar = load_dataset("hippocampus", data_dir=tmp_path / "archives", cache_dir=cache)
    from_folder = load_dataset("hippocampus", data_dir=task.parent, cache_dir=cache)
    assert from_tar.checksum == from_folder.checksum
    assert from_tar.root.is_relative_to(cache)


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_checksum_follows_a_changed_file(task: Path, cache: Path, part: str) -> None:
    before = load_dataset("hippocampus", data_dir=task.parent, cache_dir=cache).checksum
    with (task / part / "case_02.nii.gz").open("ab") as stream:
        stream.write(b"\0")
    assert load_dataset("hippocampus", data_dir=task.parent, cache_dir=cache).checksum != before


def test_archive_is_unpacked_once(task: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_tar(task, tmp_path / "own.tar")
    first = load_dataset(str(archive), data_dir=None, cache_dir=cache)
    assert first.name == "own"

    def refuse(archive: Path, folder: Path, reporter: Reporter) -> None:
        raise AssertionError("unpacked twice")

    monkeypatch.setattr(load_module, "unpack", refuse)
    assert load_dataset(str(archive), data_dir=None, cache_dir=cache) == first


@pytest.mark.parametrize("how", ["parent", "itself", "renamed", "tar"])
def test_data_dir_may_be_parent_task_or_archive(task: Path, tmp_path: Path, cache: Path, how: str) -> None:
    if how == "renamed":
        (tmp_path / "mine").symlink_to(make_msd(tmp_path / "other", name="Hippocampus"))
    data_dir = {
        "parent": task.parent,
        "itself": task,
        "renamed": tmp_path / "mine",
        "tar": make_tar(task, tmp_path / "Task04_Hippocampus.tar"),
    }[how]
    assert load_dataset("hippocampus", data_dir=data_dir, cache_dir=cache).name == "hippocampus"


def test_environment_says_where_data_are(task: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALBENCH_DATA", str(task.parent))
    assert load_dataset("hippocampus", data_dir=None, cache_dir=cache).root == task


def test_default_place_is_the_cache(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_msd(tmp_path / "shared" / "data" / "Task04_Hippocampus")
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.delenv("ALBENCH_DATA", raising=False)
    with pytest.raises(InputError, match=rf"looked in {cache / 'data'} \(the cache\), found no such folder"):
        load_dataset("hippocampus", data_dir=None, cache_dir=cache)
    make_msd(cache / "data" / "Task04_Hippocampus")
    assert len(load_dataset("hippocampus", data_dir=None, cache_dir=cache).cases) == 3
    (row,) = (row for row in list_known(None, cache) if row.name == "hippocampus")
    assert row.here == "downloaded"


def test_generated_images_are_known_by_their_description_and_not_by_a_name(
    phantom: Dataset, tmp_path: Path, cache: Path
) -> None:
    assert phantom.kind == "phantom"
    raw = write_nnunet_raw(phantom, phantom.case_names[:1], tmp_path / "raw", 7, "Tiny")
    assert load_dataset(str(raw), data_dir=None, cache_dir=cache).kind == "phantom"
    own = make_msd(tmp_path / "phantom-limbs")
    assert load_dataset(str(own), data_dir=None, cache_dir=cache).kind == "patients"


def test_missing_data_names_place_and_remedy(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_dataset("spleen", data_dir=tmp_path, cache_dir=cache)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "Task09_Spleen.tar" in message
    assert "ALBENCH_DATA" in message
    assert "--data" in message
    assert "\n" not in message


def test_another_data_set_is_not_taken(task: Path, cache: Path) -> None:
    with pytest.raises(InputError, match=r"'spleen': looked in .*Task04_Hippocampus.* found another data set"):
        load_dataset("spleen", data_dir=task, cache_dir=cache)


def test_registry_labels_must_agree(tmp_path: Path, cache: Path) -> None:
    make_msd(tmp_path / "Task04_Hippocampus", labels={"0": "background", "1": "a"})
    with pytest.raises(InputError, match=r"Task04_Hippocampus/dataset\.json: expected the labels of hippocampus"):
        load_dataset("hippocampus", data_dir=tmp_path, cache_dir=cache)


def test_unknown_name_suggests(cache: Path) -> None:
    with pytest.raises(InputError, match="unknown data set 'hipocampus'; did you mean hippocampus"):
        load_dataset("hipocampus", data_dir=None, cache_dir=cache)


def test_missing_path_is_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.tar: expected a data set .* found nothing"):
        load_dataset(str(tmp_path / "nowhere.tar"), data_dir=None, cache_dir=cache)


def test_other_kind_of_file(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "scan.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"scan\.zip: expected a folder or \.tar"):
        load_dataset(str(tmp_path / "scan.zip"), data_dir=None, cache_dir=cache)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training": []}, 'list of cases under "training"'),
        ({"training": [{"image": "a.nii.gz"}]}, '"label": ...} in "training"'),
        ({"training": [{"image": "../a.nii.gz", "label": "b.nii.gz"}]}, "files inside the data set's folder"),
        ({"training": [{"image": "/a.nii.gz", "label": "b.nii.gz"}]}, "files inside the data set's folder"),
        ({"training": [{"image": "a.nii.gz", "label": "b.nii.gz"}] * 2}, "every case once"),
        ({"training": [{"image": "a.mha", "label": "b.nii.gz"}]}, "one file ending"),
        ({"labels": {"0": "background", "2": "x"}}, '"labels" numbered from 0 without gaps'),
        ({"labels": {"0": "background"}}, "at least one more"),
        ({"labels": {"0": "background", "1": "x", "2": "x"}}, "different names"),
        ({"labels": {"background": "0"}}, "whole numbers"),
        ({"modality": "MRI"}, 'expected "modality"'),
    ],
)
def test_bad_json_entries(tmp_path: Path, cache: Path, changes: dict[str, object], expected: str) -> None:
    root = make_msd(tmp_path / "own", **changes)
    with pytest.raises(InputError) as caught:
        load_dataset(str(root), data_dir=None, cache_dir=cache)
    assert str(caught.value).startswith(f"{root / 'dataset.json'}: expected")
    assert expected in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [("{", "expected JSON"), ("[]", "expected a JSON object")])
def test_json_that_is_none(tmp_path: Path, cache: Path, text: str, expected: str) -> None:
    root = make_msd(tmp_path / "own")
    (root / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=expected):
        load_dataset(str(root), data_dir=None, cache_dir=cache)


def test_folder_without_json(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError, match=r"expected one data set \(dataset\.json .* found none"):
        load_dataset(str(tmp_path), data_dir=None, cache_dir=cache)


def test_modality_names_become_what_nnunet_knows(tmp_path: Path, cache: Path) -> None:
    root = make_msd(tmp_path / "own", modality={"1": "mri", "0": "ct", "2": "ADC"})
    assert load_dataset(str(root), data_dir=None, cache_dir=cache).channel_names == ("CT", "MRI", "ADC")


def _tar_with(archive: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(archive, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return archive


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, 3 if kind == tarfile.REGTYPE else 0
    return member


@pytest.mark.parametrize(
    "member",
    [
        _member("../outside.txt"),
        _member("own/../../outside.txt"),
        _member("/tmp/outside.txt"),
        _member("own/link", tarfile.SYMTYPE, "/etc/passwd"),
        _member("own/link", tarfile.LNKTYPE, "own/dataset.json"),
        _member("own/pipe", tarfile.FIFOTYPE),
    ],
)
def test_unsafe_archive(tmp_path: Path, cache: Path, member: tarfile.TarInfo) -> None:
    archive = _tar_with(tmp_path / "own.tar", member)
    with pytest.raises(InputError) as caught:
        load_dataset(str(archive), data_dir=None, cache_dir=cache)
    assert str(archive) in str(caught.value)
    assert f"unsafe member '{member.name}'" in str(caught.value)
    assert not list(cache.glob("own*"))
    assert not (tmp_path / "outside.txt").exists()


def test_resource_forks_are_left_out(task: Path, tmp_path: Path, cache: Path) -> None:
    (task / "imagesTr" / "._case_00.nii.gz").write_bytes(b"macOS")
    (task.parent / "._Task04_Hippocampus").mkdir()
    dataset = load_dataset(str(make_tar(task, tmp_path / "own.tar")), data_dir=None, cache_dir=cache)
    assert not list(dataset.root.rglob("._*"))
    assert len(dataset.cases) == 3


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.8])
def test_truncated_archive_leaves_nothing_that_looks_whole(
    task: Path, tmp_path: Path, cache: Path, keep: float
) -> None:
    archive = make_tar(task, tmp_path / "own.tar")
    whole = archive.read_bytes()
    # Without the padding at the end, all of the file counts.
    truncate(archive, keep * len(whole.rstrip(b"\0")) / len(whole))
    with pytest.raises(InputError) as caught:
        load_dataset(str(archive), data_dir=None, cache_dir=cache)
    assert str(archive) in str(caught.value)
    assert "truncated" in str(caught.value) or "found none" in str(caught.value)
    assert [path.name for path in cache.iterdir() if path.is_dir() and path.name != "hashes"] == []
    archive.write_bytes(whole)
    assert len(load_dataset(str(archive), data_dir=None, cache_dir=cache).cases) == 3


def test_archive_cut_between_members(task: Path, tmp_path: Path, cache: Path) -> None:
    with tarfile.open(tmp_path / "own.tar", "w") as tar:
        for path in sorted(task.rglob("*")):
            if path.name != "case_01.nii.gz":
                tar.add(path, arcname=f"own/{path.relative_to(task)}", recursive=False)
    with pytest.raises(InputError, match=r"own\.tar: incomplete .* expected 6 images and labels, 2 are not in it"):
        load_dataset(str(tmp_path / "own.tar"), data_dir=None, cache_dir=cache)


def test_no_space_to_unpack(task: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_tar(task, tmp_path / "own.tar")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(InputError, match=r"own\.tar: no space left .* MB free, found 0 MB"):
        load_dataset(str(archive), data_dir=None, cache_dir=cache)


def test_full_disk_while_writing(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "part").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="no space left on the device"):
        build_folder(tmp_path / "result", fill)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_cache_below_a_file(task: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file.*: cannot be written"):
        load_dataset("hippocampus", data_dir=task.parent, cache_dir=tmp_path / "file" / "cache")


def _die_while_filling(folder: Path) -> None:
    (folder / "half").write_text("half")
    os._exit(1)


def test_killed_builder_leaves_no_result_and_its_rest_is_removed(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(
        target=build_folder, args=(tmp_path / "result", _die_while_filling)
    )
    child.start()
    child.join()
    assert child.exitcode == 1
    assert not (tmp_path / "result").exists()
    assert [path for path in tmp_path.iterdir() if path.is_dir()]  # what the killed one left
    build_folder(tmp_path / "result", lambda folder: write_json(folder / "whole.json", 1))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["result"]
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["whole.json"]


def _load(archive: str, cache: str) -> None:
    load_dataset(archive, data_dir=None, cache_dir=Path(cache))


def test_two_processes_unpack_at_once(task: Path, tmp_path: Path, cache: Path) -> None:
    archive = make_tar(task, tmp_path / "own.tar")
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_load, args=(str(archive), str(cache))) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    assert len([path for path in cache.iterdir() if "own" in path.name and path.is_dir()]) == 1


def test_damaged_index_of_hashes_is_rebuilt(task: Path, cache: Path) -> None:
    first = load_dataset("hippocampus", data_dir=task.parent, cache_dir=cache)
    for index in (cache / "hashes").iterdir():
        index.write_text("{")
    assert load_dataset("hippocampus", data_dir=task.parent, cache_dir=cache) == first
    assert all(json.loads(index.read_text()) for index in (cache / "hashes").iterdir())


def test_registry_is_consistent() -> None:
    assert [entry.name for entry in list_entries()] == list(REGISTRY)
    assert get_entry("liver").labels[2] == "cancer"
    for name, entry in REGISTRY.items():
        assert sorted(entry.labels) == list(range(len(entry.labels)))
        assert (entry.kind == "phantom") == name.startswith("phantom") == (entry.phantom is not None)
        assert (entry.modality == "phantom") == (entry.kind == "phantom")
    with pytest.raises(InputError, match="unknown data set"):
        get_entry("kidney")


def test_a_known_data_set_keeps_its_geometry_when_it_is_given_by_path(tmp_path: Path, cache: Path) -> None:
    entry = get_entry("acdc")
    task = make_msd(tmp_path / entry.msd_folder)
    dataset = load_dataset(str(task), data_dir=None, cache_dir=cache)
    assert not dataset.spacing_is_true
    other = load_dataset(str(make_msd(tmp_path / "Task99_Own")), data_dir=None, cache_dir=cache)
    assert (other.spacing_is_true, other.nsd_tolerance_mm) == (True, None)
