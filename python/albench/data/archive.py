"""Unpacking archives that somebody else made."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from albench.errors import InputError
from albench.machine.files import writing_to
from albench.machine.text import is_plain
from albench.progress import Reporter

ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz")
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_MOST_MEMBERS = 100_000
_LONGEST_HEADER = 1 << 20  # pax headers of real archives have a few hundred bytes
_LONGEST_END = 1 << 26  # writers fill the last record with zeros; records have 10 KB as a rule
_DEEPEST = 32
_PIECE = 1 << 20
# What tarfile and the decompressors raise for bytes that are no archive; OSError where no system call failed.
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError, RecursionError, OSError)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def is_archive(path: Path) -> bool:
    """Whether the name is one of an archive that :func:`unpack` reads."""
    return path.name.endswith(ARCHIVE_ENDINGS)


def archive_stem(path: Path) -> str:
    """File name without its archive ending."""
    for ending in sorted(ARCHIVE_ENDINGS, key=len, reverse=True):
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return path.name


class _ShortReads:
    """Stream that refuses to read much at once: tarfile reads as many bytes of header as the archive says there are."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def read(self, size: int = -1) -> bytes:
        """Read, no more than a header or a piece of a file."""
        if not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)


@contextmanager
def _naming_damage(archive: Path) -> Iterator[None]:
    """Turn what a damaged archive makes the readers raise into one line."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = str(error) or type(error).__name__
        raise InputError(f"{archive}: damaged or truncated archive ({reason}); download it again") from error


def _members(archive: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Members to unpack, each with the archive open at it; raises for any that could write or point outside the folder.

    After the last one the file is read to its end. tarfile takes a damaged header for the end of the archive, and stops
    before the decompressor has compared its checksum.
    """
    with archive.open("rb") as raw:
        start = raw.read(6)
        opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
        raw.seek(0)
        with opener(raw) if opener else raw as stream:
            bounded: Any = _ShortReads(stream)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:
                offset = -1
                for number, member in enumerate(tar):
                    if member.offset <= offset or not _has_size(member):
                        raise tarfile.ReadError("a member without a size")
                    if number >= _MOST_MEMBERS:
                        raise tarfile.ReadError(f"more than {_MOST_MEMBERS} members")
                    offset = member.offset
                    if _is_wanted(archive, member):
                        yield tar, member
                _require_end(stream, tar.offset)


def _has_size(member: tarfile.TarInfo) -> bool:
    """Whether the header says a size; tarfile takes one that is no number for 0."""
    return member.size >= 0 and re.fullmatch(r"[0-9]{1,19}", member.pax_headers.get("size", "0")) is not None


def _is_wanted(archive: Path, member: tarfile.TarInfo) -> bool:
    """Whether a member is unpacked; raises where it must not be."""
    parts = PurePosixPath(member.name).parts
    if any(part.startswith("._") or part == "__MACOSX" for part in parts):
        return False  # resource forks that macOS adds: they look like images by name and are none
    if member.name.startswith("/") or ".." in parts:
        raise InputError(f"{archive}: unsafe member '{member.name}'; expected paths inside the archive's folder")
    if not is_plain(member.name) or len(parts) > _DEEPEST:
        raise InputError(
            f"{archive}: unsafe member {member.name!r:.200}; expected printable UTF-8, at most {_DEEPEST} folders deep"
        )
    if not (member.isfile() or member.isdir()):
        raise InputError(
            f"{archive}: unsafe member '{member.name}'; expected plain files and folders, found a link or a device"
        )
    return True


def _require_end(stream: IO[bytes], offset: int) -> None:
    """Read to the end, which makes a decompressor compare its checksum; only zeros may come from `offset` on."""
    stream.seek(offset)
    length = 0
    while piece := stream.read(_PIECE):
        length += len(piece)
        if piece.strip(b"\0"):
            raise tarfile.ReadError("a damaged header, or data after the end")
        if length > _LONGEST_END:
            raise tarfile.ReadError("more than 64 MB of zeros after the end")
    if length < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("the block of zeros that marks the end is missing")


def unpack(archive: Path, folder: Path, reporter: Reporter) -> None:
    """Unpack ``archive`` into the existing ``folder``: plain files and folders only.

    Nothing is written before the whole archive has been read once and found sound, the compression's checksum included.

    Raises
    ------
    InputError
        The archive is damaged or cut short, holds a link, a device or a path that leaves the folder, or does
        not fit on the disk.
    """
    with _naming_damage(archive):
        n_members = _count(archive, folder)
        title = f"{archive.name}: unpacking {n_members} files and folders"
        with writing_to(folder.parent), reporter.task(title, n_members) as advance:
            for tar, member in _members(archive):
                _extract(archive, tar, member, folder)
                advance()


def _count(archive: Path, folder: Path) -> int:
    """Count members; InputError as soon as they declare more bytes than the disk has."""
    needed, n_members, free = 0, 0, shutil.disk_usage(folder).free
    for _, member in _members(archive):
        n_members += 1
        needed += member.size
        if needed > free:
            raise InputError(
                f"{archive}: no space left to unpack into {folder.parent}; "
                f"expected at least {needed / 1e6:.0f} MB free, found {free / 1e6:.0f} MB"
            )
    if not n_members:
        raise InputError(f"{archive}: expected files, found an empty archive")
    return n_members


def _extract(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    try:
        tar.extract(member, folder, filter="data")
        if member.isdir() and not Path(folder, member.name).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        if error.errno is None or error.errno in _DISK:
            raise
        raise InputError(
            f"{archive}: expected members that a folder can hold, found {member.name!r:.200} ({error.strerror})"
        ) from error
