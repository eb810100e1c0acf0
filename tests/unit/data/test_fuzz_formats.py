"""Every format of input that is read, made by Hypothesis: accepted with a meaning, or refused in one line.

A hundred examples each in the normal suite; ``make fuzz`` runs many more and prints what became of them.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import example, given
from hypothesis import strategies as st

from albench.config import Protocol
from albench.data import Dataset, load_dataset
from albench.data.archive import unpack
from albench.data.groups import declared_groups
from albench.data.images import read_header
from albench.data.voxels import scan_voxels
from albench.errors import InputError, is_plain
from albench.progress import Silent
from albench.protocols import load_protocol
from tests.support.damage import attempt, outcomes, print_outcomes, tree
from tests.support.msd_fixtures import SHAPE, make_msd, make_tar, write_nifti


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("fuzz")
    print_outcomes()


BYTE_CHANGES = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4)


def changed(content: bytes, changes: list[tuple[int, int]]) -> bytes:
    """Put other bytes at some places."""
    made = bytearray(content)
    for place, value in changes:
        made[place % len(made)] = value
    return bytes(made)


# --- dataset.json

NASTY = [
    "",
    ".",
    "..",
    "/",
    "a/../b",
    "\x1b[2J",
    "\ud800",
    "\0",
    "$x_1$",
    "[/b]",
    "a" * 300,
    ".nii.gz",
    "1_0",
    "٣",
    "-1",
]
TEXTS = st.sampled_from(NASTY) | st.text(max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
KEYS = ["name", "modality", "channel_names", "labels", "training", "file_ending", "groups"]
DESCRIPTION: dict[str, Any] = {
    "name": "Tiny",
    "modality": {"0": "MRI"},
    "channel_names": {"0": "MRI"},
    "labels": {"0": "background", "1": "a", "2": "b"},
    "training": [{"image": "imagesTr/case_00.nii.gz", "label": "labelsTr/case_00.nii.gz"}],
}


@st.composite
def descriptions(draw: st.DrawFn) -> bytes:
    """A description with an entry, or what is in one, replaced; as JSON, perhaps with other bytes."""
    content = json.loads(json.dumps(DESCRIPTION))
    key = draw(st.sampled_from(KEYS))
    inner = content.get(key)
    if isinstance(inner, dict) and draw(st.booleans()):
        inner[draw(TEXTS | st.sampled_from(list(inner)))] = draw(VALUES)
    elif isinstance(inner, list) and draw(st.booleans()):
        inner[0][draw(st.sampled_from(["image", "label"]))] = draw(VALUES)
    else:
        content[key] = draw(VALUES)
    if draw(st.booleans()):
        content.pop(draw(st.sampled_from(KEYS)), None)
    text = json.dumps(content).encode()
    return changed(text, draw(BYTE_CHANGES)) if draw(st.booleans()) else text


@pytest.fixture(scope="module")
def msd(folder: Path) -> Path:
    return make_msd(folder / "own", n_cases=1)


@given(descriptions() | st.binary(max_size=50))
@example(b"[" * 5000)
@example(json.dumps(DESCRIPTION | {"training": [{"image": [], "label": "a.nii.gz"}]}).encode())
def test_dataset_json(msd: Path, content: bytes) -> None:
    (msd / "dataset.json").write_bytes(content)
    found = attempt("dataset.json", lambda: load_dataset(str(msd), data_dir=None, cache_dir=msd.parent / "cache"))
    if found is not None:
        require_meaning(found)


def require_meaning(dataset: Dataset) -> None:
    names = [dataset.title, *dataset.labels.values(), *dataset.channel_names, *dataset.case_names]
    assert all(name and is_plain(name) for name in names)
    assert list(dataset.labels) == list(range(len(dataset.labels)))
    for case in dataset.cases:
        assert case.images
        assert all(path.is_relative_to(dataset.root) for path in (*case.images, case.label))
        assert "/" not in case.name


# --- NIfTI


@pytest.fixture(scope="module")
def volumes(folder: Path) -> list[bytes]:
    rng = np.random.default_rng(0)
    made = []
    for dtype in (np.uint8, np.int16, np.float32):
        write_nifti(folder / "a.nii", rng.normal(100, 20, SHAPE).astype(dtype))
        made.append((folder / "a.nii").read_bytes())
    return made


FLOATS = st.floats(width=32).map(lambda value: list(np.float32(value).tobytes()))
SHORTS = st.integers(-(2**15), 2**15 - 1).map(lambda value: list(np.int16(value).tobytes()))
TYPES = st.sampled_from([2, 4, 8, 16, 64, 128]).map(lambda value: [value, 0])
FIELDS = st.one_of(
    st.tuples(st.integers(0, 351), st.integers(0, 255).map(lambda byte: [byte])),
    st.tuples(st.sampled_from(range(40, 56, 2)), SHORTS | st.integers(0, 8).map(lambda value: [value, 0])),
    st.tuples(st.sampled_from([70, 72, 252, 254]), SHORTS | TYPES),
    st.tuples(st.sampled_from([76, 80, 84, 88, 108, 112, 116, 256, 260, 264, 268, 280, 284, 296, 316]), FLOATS),
)


@given(st.integers(0, 2), st.lists(FIELDS, min_size=1, max_size=3), st.booleans(), st.none() | st.integers(0, 2000))
@example(1, [(112, list(np.float32(1e38).tobytes()))], True, None)
@example(1, [(112, [0, 0, 0, 0]), (116, list(np.float32(5).tobytes()))], False, None)
@example(0, [(70, [5, 0])], False, None)
@example(0, [(40, [1, 0])], False, None)
@example(0, [(347, [1])], False, None)
def test_nifti_header(
    folder: Path, volumes: list[bytes], which: int, fields: list[tuple[int, list[int]]], zipped: bool, cut: int | None
) -> None:
    content = bytearray(volumes[which])
    for place, values in fields:
        content[place : place + len(values)] = bytes(values)
    whole = gzip.compress(bytes(content), 1) if zipped else bytes(content)
    path = folder / ("zipped.nii.gz" if zipped else "plain.nii")
    path.write_bytes(whole if cut is None else whole[:cut])
    found = attempt("NIfTI header", lambda: (scan_voxels(path, values=True), read_header(path)))
    if found is None or not found[0].finite:
        return
    in_training = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).astype(np.float32)
    assert np.isfinite(in_training).all()
    try:
        by_nibabel = np.asanyarray(nibabel.load(path).dataobj).T.astype(np.float32)  # type: ignore[attr-defined]
    except (nibabel.spatialimages.HeaderDataError, ValueError):
        return  # fields that nothing here uses
    np.testing.assert_allclose(in_training.squeeze(), by_nibabel.squeeze(), rtol=1e-5)
    if which < 2 and in_training.size:
        assert {np.float32(value) for value in found[0].values} == set(np.unique(in_training))


# --- archives


@pytest.fixture(scope="module")
def packed(folder: Path) -> bytes:
    return make_tar(make_msd(folder / "packed", n_cases=1), folder / "packed.tar").read_bytes()


def unpacked(folder: Path, name: str, content: bytes) -> dict[str, bytes | None]:
    (folder / name).write_bytes(content)
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        before = sorted(path.name for path in folder.iterdir())
        try:
            unpack(folder / name, Path(inside), Silent())
        finally:
            assert sorted(path.name for path in folder.iterdir()) == before
        return tree(Path(inside))


@given(BYTE_CHANGES, st.none() | st.integers(0, 1 << 16))
def test_compressed_archive(folder: Path, packed: bytes, changes: list[tuple[int, int]], cut: int | None) -> None:
    whole = gzip.compress(packed, 1, mtime=0)
    content = changed(whole, changes) if cut is None else whole[: cut % len(whole)]
    found = attempt("tar.gz, other bytes", lambda: unpacked(folder, "damaged.tar.gz", content))
    if found is not None:
        assert found == unpacked(folder, "whole.tar", packed)
        outcomes["tar.gz, other bytes", "accepted, same files"] += 1


@given(BYTE_CHANGES, st.none() | st.integers(0, 1 << 16))
def test_plain_archive(folder: Path, packed: bytes, changes: list[tuple[int, int]], cut: int | None) -> None:
    content = changed(packed, changes) if cut is None else packed[: cut % len(packed)]
    found = attempt("tar, other bytes", lambda: unpacked(folder, "damaged.tar", content))
    if found is not None and found == unpacked(folder, "whole.tar", packed):
        outcomes["tar, other bytes", "accepted, same files"] += 1


KINDS = [getattr(tarfile, name) for name in dir(tarfile) if name.endswith("TYPE") and name.isupper()]
NAMES = TEXTS.map(lambda text: text.replace("\ud800", "\x1b"))  # tarfile writes no halves of pairs
RECORDS = st.dictionaries(
    st.sampled_from(["path", "size", "GNU.sparse.map", "GNU.sparse.size", "hdrcharset", "linkpath"]),
    NAMES | st.integers().map(str),
    max_size=3,
)
MEMBERS = st.tuples(NAMES, st.sampled_from(KINDS), st.integers(0, 2**62), RECORDS, st.binary(max_size=600))


@given(st.lists(MEMBERS, max_size=5), st.booleans())
def test_archive_of_any_members(
    folder: Path, members: list[tuple[str, bytes, int, dict[str, str], bytes]], ends: bool
) -> None:
    buffer = io.BytesIO()
    for name, kind, size, records, data in members:
        info = tarfile.TarInfo(name or "a")
        info.type, info.pax_headers = kind, records
        info.size = size if size % 2 else len(data)
        form = tarfile.PAX_FORMAT if size % 3 else tarfile.GNU_FORMAT
        buffer.write(info.tobuf(form, "utf-8", "surrogatepass") + data.ljust(-(-len(data) // 512) * 512, b"\0"))
    content = buffer.getvalue() + bytes(1024 if ends else 0)
    found = attempt("tar, any members", lambda: unpacked(folder, "any.tar", content))
    assert found is None or all(map(is_plain, found))


# --- protocols

TOKENS = st.sampled_from("[]{},:-?#|>'\"&*!%@`~\n \t")
TOKENS |= st.sampled_from(
    ["&a ", "*a", "<<: ", ": ", "- ", "\n  ", "!!int ", "!!timestamp ", "!!binary ", ".inf", "null"]
)
TOKENS |= st.sampled_from(
    ["extends: quick\n", "name: mine\n", "datasets: ", "pool: ", "budget: ", "rounds: ", "phantom"]
)
TOKENS |= st.sampled_from(["1e300", "1:2:3", "0x", "2001-99-99", "9" * 50, "9" * 5000, "\x1b", "\ud800", "{a: "])
SETTINGS = st.sampled_from(["training.initial_lr", "rounds", "budget", "pool.patch_size", "name", "pool"])


@given(st.lists(TOKENS | st.text(max_size=3), max_size=15).map("".join), st.booleans())
@example("extends: quick\nname: &a [*a]", False)
def test_protocol_yaml(folder: Path, text: str, extends: bool) -> None:
    file = folder / "mine.yaml"
    file.write_bytes((f"extends: quick\n{text}" if extends else text).encode("utf-8", "surrogatepass"))
    found = attempt("protocol YAML", lambda: load_protocol(str(file), dataset="phantom"))
    if found is not None:
        assert Protocol.model_validate_json(found.model_dump_json()) == found


@given(
    st.sampled_from(["training.initial_lr", "rounds", "budget", "pool.patch_size", "name", "pool"]) | TEXTS,
    TOKENS | TEXTS,
)
def test_setting(name: str, value: str) -> None:
    attempt("--set", lambda: load_protocol("quick", [f"{name}={value}"]))


# --- groups.csv

ROWS = st.lists(st.lists(st.sampled_from(["case_00", "case_01", '"', "a,b", "\n"]) | TEXTS, max_size=3), max_size=4)


@given(st.binary(max_size=60) | ROWS.map(lambda rows: "\n".join(map(",".join, rows)).encode("utf-8", "surrogatepass")))
def test_groups_csv(folder: Path, rows: bytes) -> None:
    root = folder / "groups"
    root.mkdir(exist_ok=True)
    (root / "groups.csv").write_bytes(b"case,group\n" + rows)
    found = attempt("groups.csv", lambda: declared_groups(root, ["case_00", "case_01"]))
    if found is not None:
        assert set(found) <= {"case_00", "case_01"}
        assert all(group and is_plain(group) for group in found.values())


def test_what_is_no_refusal_is_a_fault() -> None:
    """The harness itself: another exception gets through, and so does a message that is no line."""
    with pytest.raises(ZeroDivisionError):
        attempt("nothing", lambda: 1 // 0)

    def refuse() -> None:
        raise InputError("a" * 5000)

    with pytest.raises(AssertionError):
        attempt("nothing", refuse)
