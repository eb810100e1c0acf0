"""Downloads from a real HTTP server that drops, refuses, dawdles and changes its mind."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from albench.data import REGISTRY, find_problems, load_dataset
from albench.data.download import Patience, fetch
from albench.data.prepare import prepare_dataset
from albench.errors import InputError
from albench.progress import Silent
from tests.support.archive_server import ArchiveServer, serving
from tests.support.msd_fixtures import make_msd, make_tar

QUICK = Patience(n_attempts=4, first_wait_s=0.01, longest_wait_s=0.05, connect_s=2, read_s=1)
CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Recorder(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    with serving(CONTENT) as running:
        yield running


def get(server: ArchiveServer, folder: Path, checksum: str | None = SHA256, patience: Patience = QUICK) -> bytes:
    path = fetch(f"{server.address}/a.tar", checksum, folder, "a", reporter=Silent(), patience=patience)
    assert path == folder / "a.tar"
    return path.read_bytes()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("sizeless", [False, True])
def test_a_file_comes_whole_and_is_not_asked_for_again(server: ArchiveServer, sizeless: bool, tmp_path: Path) -> None:
    server.sizeless = sizeless
    assert get(server, tmp_path) == CONTENT
    assert get(server, tmp_path) == CONTENT
    assert len(server.requests) == 1
    assert names(tmp_path) == ["a.tar"]


@pytest.mark.parametrize("validators", [True, False])
def test_a_dropped_connection_is_continued(server: ArchiveServer, validators: bool, tmp_path: Path) -> None:
    server.validators = validators
    server.drops = [1_000_000, 500_000, 0, 700_000, None]
    assert get(server, tmp_path) == CONTENT
    first, *later = server.requests
    assert first is None
    starts = [int((asked or "").removeprefix("bytes=").removesuffix("-")) for asked in later]
    assert starts == sorted(starts)
    assert starts[0] > 900_000
    assert server.n_bytes < len(CONTENT) + 4 * (1 << 16)  # at most the piece that was under way is sent twice


def test_a_server_without_ranges_sends_all_again(server: ArchiveServer, tmp_path: Path) -> None:
    server.ranges = False
    server.drops = [2_000_000, None]
    assert get(server, tmp_path) == CONTENT
    assert server.n_bytes == 2_000_000 + len(CONTENT)


def test_a_server_without_ranges_that_always_drops_is_given_up(server: ArchiveServer, tmp_path: Path) -> None:
    server.ranges = False
    server.drops = [1_000_000] * 50
    with pytest.raises(InputError, match=r"gave up after 4 attempts without a new byte"):
        get(server, tmp_path)
    assert len(server.requests) == 4


def test_a_later_call_continues_what_an_earlier_one_left(server: ArchiveServer, tmp_path: Path) -> None:
    server.drops = [1_500_000, 0, 0, 0, 0]
    with pytest.raises(InputError, match=r"1\.\d MB are kept, and the same command goes on from there"):
        get(server, tmp_path)
    assert "a.tar" not in names(tmp_path)
    server.drops = []
    before = server.n_bytes
    assert get(server, tmp_path) == CONTENT
    assert server.n_bytes - before <= len(CONTENT) - 1_400_000


@pytest.mark.parametrize("validators", [True, False])
def test_parts_of_two_versions_are_never_joined(server: ArchiveServer, validators: bool, tmp_path: Path) -> None:
    server.validators = validators
    server.drops = [1_500_000, 0, 0, 0, 0]
    with pytest.raises(InputError):
        get(server, tmp_path)
    server.drops = []
    server.content = CONTENT[::-1] + b"longer"
    assert get(server, tmp_path, None) == server.content


def test_a_shorter_new_version_starts_again(server: ArchiveServer, tmp_path: Path) -> None:
    server.validators = False
    server.drops = [1_500_000, 0, 0, 0, 0]
    with pytest.raises(InputError):
        get(server, tmp_path)
    server.drops = []
    server.content = b"short"
    assert get(server, tmp_path, None) == b"short"


@pytest.mark.parametrize("checksum", [f"sha256:{'0' * 64}", f"md5:{'0' * 32}"])
def test_a_wrong_checksum_leaves_nothing(server: ArchiveServer, checksum: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"expected a file with the checksum {checksum}, found [0-9a-f]{{32}}"):
        get(server, tmp_path, checksum)
    assert names(tmp_path) == []


def test_a_damaged_file_from_before_is_replaced(server: ArchiveServer, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(CONTENT[:-1] + b"?")
    assert get(server, tmp_path) == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_one_line_at_once(server: ArchiveServer, status: int, tmp_path: Path) -> None:
    server.statuses = [status]
    with pytest.raises(InputError, match=rf"a\.tar: expected a file, the server says {status}"):
        get(server, tmp_path)
    assert len(server.requests) == 1
    assert names(tmp_path) == []


def test_a_busy_server_is_asked_again(server: ArchiveServer, tmp_path: Path) -> None:
    server.statuses = [503, 429, 500]
    assert get(server, tmp_path) == CONTENT


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gave up after 4 attempts"):
        fetch("http://127.0.0.1:9/a.tar", None, tmp_path, "a", reporter=Silent(), patience=QUICK)


@pytest.mark.parametrize("url", ["nowhere/a.tar", "gopher://host/a.tar", "http:///a.tar"])
def test_no_address_at_all(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the address of a file"):
        fetch(url, None, tmp_path, "a", reporter=Silent(), patience=QUICK)


def test_a_silent_server_is_given_up_and_asked_again(server: ArchiveServer, tmp_path: Path) -> None:
    server.silent_s = [2.0]
    patience = Patience(n_attempts=2, first_wait_s=0.01, read_s=0.3)
    assert get(server, tmp_path, patience=patience) == CONTENT
    assert len(server.requests) == 2


def test_a_slow_server_is_waited_for(server: ArchiveServer, tmp_path: Path) -> None:
    server.pause_s = 0.02
    assert get(server, tmp_path, patience=Patience(n_attempts=1, read_s=0.5)) == CONTENT


def test_too_small_a_disk_is_seen_before_anything_is_written(
    server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 5_000_000})())
    with pytest.raises(InputError, match=r"no space left for a: expected 6 MB free .* found 5 MB"):
        get(server, tmp_path)
    assert names(tmp_path) == []


# From here on: whole data sets.


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A small archive under the name and with the labels of a real task."""
    root = make_msd(tmp_path / "made" / "Task09_Spleen", n_cases=6, labels={"0": "background", "1": "spleen", "2": "x"})
    description = json.loads((root / "dataset.json").read_text())
    description["labels"] = {"0": "background", "1": "spleen"}
    (root / "dataset.json").write_text(json.dumps(description))
    for path in (root / "labelsTr").iterdir():
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)) > 0, str(path), useCompression=True)
    for path in (*(root / "imagesTr").iterdir(), *(root / "labelsTr").iterdir()):  # large enough to train on
        larger = SimpleITK.Expand(SimpleITK.ReadImage(str(path)), (4, 4, 4), SimpleITK.sitkNearestNeighbor)
        SimpleITK.WriteImage(larger, str(path), useCompression=True)
    return make_tar(root, tmp_path / "made" / "Task09_Spleen.tar")


def prepare(server: ArchiveServer, tmp_path: Path, reporter: Silent | None = None, **changes: object) -> Path:
    arguments: dict[str, object] = {"url": f"{server.address}/Task09_Spleen.tar", "patience": QUICK}
    prepared = prepare_dataset(
        "spleen",
        data_dir=tmp_path / "nothing",
        cache_dir=tmp_path / "cache",
        reporter=reporter or Silent(),
        n_workers=1,
        **(arguments | {"checksum": f"md5:{hashlib.md5(server.content).hexdigest()}"} | changes),  # type: ignore[arg-type]
    )
    assert prepared.raw is not None
    return prepared.raw


def test_prepare_downloads_unpacks_verifies_and_lays_out(archive: Path, tmp_path: Path) -> None:
    with serving(archive) as server:
        raw = prepare(server, tmp_path)
        assert prepare(server, tmp_path) == raw
        assert len(server.requests) == 1
    cache = tmp_path / "cache"
    dataset = load_dataset("spleen", data_dir=tmp_path / "nothing", cache_dir=cache)
    assert dataset.root == cache / "data" / "Task09_Spleen" / "Task09_Spleen"
    assert len(dataset.cases) == 6
    assert raw == cache / "nnUNet_raw" / "Dataset009_Spleen"
    description = json.loads((raw / "dataset.json").read_text())
    assert description["labels"] == {"background": 0, "spleen": 1}
    found = load_dataset(str(raw), data_dir=None, cache_dir=cache)
    assert found.case_names == dataset.case_names
    assert find_problems(found, n_workers=1) == []
    assert [path.name for path in (cache / "downloads").iterdir() if not path.name.startswith(".")] == [
        "Task09_Spleen.json"
    ]
    assert load_dataset(str(archive), data_dir=None, cache_dir=cache).checksum == dataset.checksum


def test_without_a_checksum_the_first_download_is_trusted_aloud(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGISTRY, "spleen", dataclasses.replace(REGISTRY["spleen"], checksum=None))
    with serving(archive) as server:
        recorder = Recorder()
        prepare(server, tmp_path, recorder, checksum=None)
        digest = hashlib.sha256(server.content).hexdigest()
        assert any("no checksum is published" in line and digest in line for line in recorder.lines)
        shutil.rmtree(tmp_path / "cache" / "data")
        prepare(server, tmp_path, recorder, checksum=None)
        shutil.rmtree(tmp_path / "cache" / "data")
        server.content += bytes(10240)  # another file, with the same members
        with pytest.raises(InputError, match=rf"expected the archive that was downloaded first, sha256:{digest}"):
            prepare(server, tmp_path, recorder, checksum=None)
        assert not (tmp_path / "cache" / "data" / "Task09_Spleen").exists()
        prepare(server, tmp_path, recorder)  # with its checksum given


def test_a_wrong_checksum_leaves_no_data_set(archive: Path, tmp_path: Path) -> None:
    with serving(archive) as server:
        with pytest.raises(InputError, match="expected a file with the checksum md5:410d4a301da4e5b2f6f86ec3ddba524e"):
            prepare(server, tmp_path, checksum=None)  # the registry's, of the real archive
        with pytest.raises(InputError, match="--checksum abc: expected algorithm:hex"):
            prepare(server, tmp_path, checksum="abc")
    assert not (tmp_path / "cache" / "data").exists()
    with pytest.raises(InputError, match=r"`al-bench datasets prepare spleen` downloads it \(1.5 GB\)"):
        load_dataset("spleen", data_dir=tmp_path / "nothing", cache_dir=tmp_path / "cache")


def test_an_archive_with_a_missing_image_leaves_no_data_set(archive: Path, tmp_path: Path) -> None:
    (archive.with_suffix("") / "imagesTr" / "case_03.nii.gz").unlink()
    make_tar(archive.with_suffix(""), archive)
    with serving(archive) as server, pytest.raises(InputError, match=r"expected 12 images and labels, 1 are not in it"):
        prepare(server, tmp_path)
    assert not (tmp_path / "cache" / "data" / "Task09_Spleen").exists()


def test_two_processes_prepare_at_once(archive: Path, tmp_path: Path) -> None:
    with serving(archive) as server:
        server.pause_s = 0.05
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=prepare, args=(server, tmp_path)) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(load_dataset("spleen", data_dir=tmp_path, cache_dir=tmp_path / "cache").cases) == 6
    # Requests are counted in the children's copies of the server too; only this process answers, once.
    assert server.n_bytes == len(server.content)


def _command(url: str, checksum: str, tmp_path: Path, name: str) -> list[str]:
    return [
        sys.executable, "-m", "albench", "datasets", "prepare", name, "--data", str(tmp_path / "nothing"),
        "--cache", str(tmp_path / "cache"), "--url", url, "--checksum", checksum,
    ]  # fmt: skip


def _kill_when(command: list[str], happened: object) -> None:
    """Start a command and kill -9 it when `happened()` is true."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not happened() and child.poll() is None and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.005)
    assert child.poll() is None, "the command ended before it could be killed"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "file", "n_cases"),
    [
        ("hippocampus", "Task04_Hippocampus.tar", 260),
        pytest.param("openkbp", "OpenKBP_HeadNeckCT.tar", 164, marks=pytest.mark.long),
        pytest.param("acdc", "ACDC_CardiacMR_ED.tar", 99, marks=pytest.mark.long),
    ],
)
def test_killed_again_and_again_while_it_prepares_real_data(
    real_data: Path, name: str, file: str, n_cases: int, tmp_path: Path
) -> None:
    """kill -9 in the download, in the unpacking, after it; the connection dropped besides."""
    if not (real_data / file).is_file():
        pytest.skip(f"no {file} in {real_data}")
    cache = tmp_path / "cache"
    folder = cache / "downloads" / file.removesuffix(".tar")
    with serving(real_data / file) as server:
        url, size = f"{server.address}/{file}", len(server.content)
        command = _command(url, f"sha256:{hashlib.sha256(server.content).hexdigest()}", tmp_path, name)
        server.pause_s = 0.002
        part = folder / f"{file}.part"
        _kill_when(command, lambda: part.is_file() and part.stat().st_size > size // 3)
        assert not (cache / "data").exists()
        server.drops = [size // 3]
        _kill_when(command, lambda: part.is_file() and part.stat().st_size > 3 * size // 4)
        server.pause_s = 0.0
        _kill_when(command, lambda: any((cache / "data").glob(".*.building-*")))
        _kill_when(command, (cache / "data" / file.removesuffix(".tar")).exists)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert f"{name}: {n_cases} cases" in done.stdout
        # Not quite once: what was in the sockets' buffers was lost. Starting again would make it twice.
        assert server.n_bytes < 1.3 * size
        n_requests = len(server.requests)
        assert subprocess.run(command, check=False, capture_output=True).returncode == 0
        assert len(server.requests) == n_requests
    raw = load_dataset(str(next((cache / "nnUNet_raw").glob("Dataset*"))), data_dir=None, cache_dir=cache)
    assert len(raw.cases) == n_cases
    assert [path.name for path in (cache / "data").iterdir() if path.is_dir()] == [file.removesuffix(".tar")]


@pytest.mark.slow
def test_the_command_line_downloads(archive: Path, tmp_path: Path) -> None:
    with serving(archive) as server:
        url = f"{server.address}/Task09_Spleen.tar"
        digest = hashlib.sha256(server.content).hexdigest()
        server.statuses = [404]
        failed = subprocess.run(
            _command(url, f"sha256:{digest}", tmp_path, "spleen"), check=False, capture_output=True, text=True
        )
        assert failed.returncode == 2
        assert "the server says 404" in failed.stderr
        assert len(failed.stderr.strip().splitlines()) == 1
        done = subprocess.run(
            [*_command(url, f"sha256:{digest}", tmp_path, "spleen"), "--json"],
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["name"], found["n_cases"]) == ("spleen", 6)
    assert "downloading" in done.stderr
