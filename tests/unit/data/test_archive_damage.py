"""Archives that are damaged or hostile: what is unpacked is what was packed, or nothing is."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from albench.data import load_dataset
from albench.data.archive import unpack
from albench.data.registry import REGISTRY
from albench.errors import InputError
from albench.machine.facts import peak_rss_mib
from albench.progress import Silent
from tests.support.damage import attempt, outcomes, tree, with_flipped_bit
from tests.support.msd_fixtures import make_msd, make_tar

N_FLIPS = 100


def _unpacked(archive: Path) -> dict[str, bytes | None]:
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        unpack(archive, Path(folder), Silent())
        return tree(Path(folder))


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A sound archive, compressed, with the path of its folder in it."""
    make_tar(make_msd(tmp_path / "own"), tmp_path / "own.tar")
    (tmp_path / "own.tar.gz").write_bytes(gzip.compress((tmp_path / "own.tar").read_bytes(), mtime=1))
    return tmp_path / "own.tar.gz"


def test_one_flipped_bit_never_changes_what_is_unpacked(packed: Path) -> None:
    content, expected = packed.read_bytes(), _unpacked(packed)
    draw = random.Random(0)
    for _ in range(N_FLIPS):
        packed.write_bytes(with_flipped_bit(content, draw.randrange(8 * len(content))))
        found = attempt("tar.gz, one flipped bit", lambda: _unpacked(packed))
        assert found is None or found == expected
    assert outcomes["tar.gz, one flipped bit", "refused"] > 0.9 * N_FLIPS


@pytest.mark.parametrize("byte", range(-8, 0))
def test_a_flipped_bit_in_the_trailer_of_gzip_leaves_nothing(packed: Path, tmp_path: Path, byte: int) -> None:
    content = packed.read_bytes()
    packed.write_bytes(with_flipped_bit(content, 8 * (len(content) + byte) + 3))
    with pytest.raises(InputError, match=r"own\.tar\.gz: damaged or truncated archive \((CRC|Incorrect)"):
        load_dataset(str(packed), data_dir=None, cache_dir=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith("own")]
    packed.write_bytes(content)
    assert len(load_dataset(str(packed), data_dir=None, cache_dir=tmp_path / "cache").cases) == 3


def test_a_damaged_header_is_not_the_end(packed: Path) -> None:
    """tarfile reads until the first header it does not know."""
    plain = packed.with_name("own.tar")
    with tarfile.open(plain) as tar:
        third = tar.getmembers()[3].offset
    plain.write_bytes(with_flipped_bit(plain.read_bytes(), 8 * third + 1))
    with pytest.raises(InputError, match=r"own\.tar: damaged .*a damaged header, or data after the end"):
        _unpacked(plain)


def test_an_archive_without_its_end_is_cut_short(packed: Path) -> None:
    plain = packed.with_name("own.tar")
    plain.write_bytes(plain.read_bytes().rstrip(b"\0").ljust(512 * 200, b"\0")[: 512 * 7])
    with pytest.raises(InputError, match=r"own\.tar: damaged or truncated"):
        _unpacked(plain)


def test_the_list_of_checksums_beside_an_archive_counts(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  own.tar.gz\n")
    with pytest.raises(
        InputError, match=r"own\.tar\.gz: expected the checksum 0{64} \(.*SHA256SUMS\), found [0-9a-f]{64}"
    ):
        load_dataset(str(packed), data_dir=None, cache_dir=tmp_path / "cache")


def test_an_archive_that_is_not_the_published_one_is_mentioned(tmp_path: Path) -> None:
    said: list[str] = []

    class Listener(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    (tmp_path / "data").mkdir()
    make_tar(make_msd(tmp_path / "Task04_Hippocampus"), tmp_path / "data" / "hippocampus.tar")
    load_dataset("hippocampus", data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", reporter=Listener())
    (line,) = said
    assert str(REGISTRY["hippocampus"].checksum) in line
    assert "used as it is" in line


def _member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def _pax(size: int, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return _member("pax", size, kind)


def _record(key: str, value: str) -> bytes:
    length = len(f" {key}={value}\n".encode())
    total = length + len(str(length))
    total = length + len(str(total))
    return f"{total} {key}={value}\n".encode()


def _pax_before(name: str, **records: str) -> bytes:
    text = b"".join(_record(key.replace("_", "."), value) for key, value in records.items())
    return _pax(len(text)) + text.ljust(-(-len(text) // 512) * 512, b"\0") + _member(name)


def _negative(name: str) -> bytes:
    block = bytearray(_member(name))
    block[124:136] = b"\xff" * 4 + struct.pack(">q", -1024)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


END = bytes(1024)
HOSTILE: dict[str, Callable[[], bytes]] = {
    "petabyte": lambda: _member("own/a", 10**15) + END,
    "petabyte in a pax header": lambda: _pax(10**15) + END,
    "petabyte of a name": lambda: _member("././@LongLink", 10**15, tarfile.GNUTYPE_LONGNAME) + END,
    "pax header of 64 MB": lambda: _pax(64 << 20) + bytes(64 << 20) + _member("own/a") + END,
    "ten thousand global headers": lambda: _pax(0, tarfile.XGLTYPE) * 10_000 + _member("own/a") + END,
    "negative size": lambda: _negative("own/a") + END,
    "negative size, pax": lambda: _member("own/b") * 2 + _pax_before("own/a", size="-2048") + END,
    "size that is no number": lambda: _pax_before("own/a", size="x" * 100) + END,
    "huge number": lambda: _pax_before("own/a", size="9" * 5000) + END,
    "sparse that is none": lambda: _pax_before("own/a", GNU_sparse_map="1,2,x", GNU_sparse_size="-1") + END,
    "sparse petabyte": lambda: _pax_before("own/a", GNU_sparse_map="0,1", GNU_sparse_size=str(10**15)) + END,
    "escape in a name": lambda: _member("own/\x1b[2Ja") + END,
    "name that turns": lambda: _pax_before("own/a", path="own/\u202egpj.a") + END,
    "not UTF-8": lambda: _member("own/a").replace(b"own/a", b"own/\xff") + END,
    "null in a name": lambda: _pax_before("own/a", path="own/\0a") + END,
    "long name": lambda: _pax_before("own/a", path="own/" + "a" * 300) + END,
    "deep": lambda: _pax_before("own/a", path="a/" * 1500 + "a") + END,
    "file below a file": lambda: _member("own/a") + _member("own/a/b") + END,
    "folder over a file": lambda: _member("own/a") + _member("own/a", kind=tarfile.DIRTYPE) + END,
    "file over a folder": lambda: _member("own/a", kind=tarfile.DIRTYPE) + _member("own/a") + END,
    "device": lambda: _member("own/a", kind=tarfile.CHRTYPE) + END,
    "two archives": lambda: _member("own/a") + END + _member("own/b") + END,
    "nothing": lambda: b"",
    "zeros": lambda: bytes(10240),
    "noise": lambda: random.Random(0).randbytes(10240),
    "zeros without end": lambda: _member("own/a") + bytes(80 << 20),
}


def _repaired(content: bytes, name: str) -> bytes:
    """A name put in by hand needs another checksum of its header."""
    if name != "not UTF-8":
        return content
    block = bytearray(content[:512])
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + content[512:]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_line(tmp_path: Path, name: str, ending: str) -> None:
    content = _repaired(HOSTILE[name](), name)
    archive = tmp_path / f"own{ending}"
    archive.write_bytes(gzip.compress(content, 1) if ending == ".tar.gz" else content)
    del content
    folder = tmp_path / "folder"
    folder.mkdir()
    before, start = peak_rss_mib(), time.monotonic()
    assert attempt("hostile archives", lambda: unpack(archive, folder, Silent()) or "unpacked") is None
    assert peak_rss_mib() - before < 50
    assert time.monotonic() - start < 20
    assert not list(tmp_path.glob("**/outside*"))


def test_harmless_headers_are_no_reason_to_refuse(tmp_path: Path) -> None:
    """Long names, times and owners of pax archives, and padding to large records."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("own/" + "folder/" * 20 + "ünïcode.txt")
        info.size, info.mtime, info.uname = 3, 1.5, "j" * 200
        tar.addfile(info, io.BytesIO(b"abc"))
    (tmp_path / "own.tar").write_bytes(buffer.getvalue() + bytes(1 << 20))
    found = _unpacked(tmp_path / "own.tar")
    assert found["own/" + "folder/" * 20 + "ünïcode.txt"] == b"abc"
