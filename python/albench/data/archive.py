"""Unpacking archives that somebody else made."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from albench.errors import InputError
from albench.machine.files import writing_to
from albench.progress import Reporter

ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz")


def is_archive(path: Path) -> bool:
    """Whether the name is one of an archive that :func:`unpack` reads."""
    return path.name.endswith(ARCHIVE_ENDINGS)


def archive_stem(path: Path) -> str:
    """File name without its archive ending."""
    for ending in sorted(ARCHIVE_ENDINGS, key=len, reverse=True):
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return path.name


def _members(archive: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Members to unpack; raises for any that could write or point outside the folder."""
    for member in tar:
        parts = PurePosixPath(member.name).parts
        if any(part.startswith("._") or part == "__MACOSX" for part in parts):
            continue  # resource forks that macOS adds: they look like images by name and are none
        if member.name.startswith("/") or ".." in parts:
            raise InputError(f"{archive}: unsafe member '{member.name}'; expected paths inside the archive's folder")
        if not (member.isfile() or member.isdir()):
            raise InputError(
                f"{archive}: unsafe member '{member.name}'; expected plain files and folders, found a link or a device"
            )
        yield member


def unpack(archive: Path, folder: Path, reporter: Reporter) -> None:
    """Unpack ``archive`` into the existing ``folder``: plain files and folders only.

    Raises
    ------
    InputError
        The archive is damaged or cut short, holds a link, a device or a path that leaves the folder, or does
        not fit on the disk.
    """
    try:
        with tarfile.open(archive, "r:*") as tar:
            sizes = [member.size for member in _members(archive, tar)]
        needed = sum(sizes)
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise InputError(
                f"{archive}: no space left to unpack into {folder.parent}; "
                f"expected {needed / 1e6:.0f} MB free, found {free / 1e6:.0f} MB"
            )
        title = f"{archive.name}: unpacking {len(sizes)} files and folders"
        with (
            tarfile.open(archive, "r:*") as tar,
            writing_to(folder.parent),
            reporter.task(title, len(sizes)) as advance,
        ):
            for member in _members(archive, tar):
                tar.extract(member, folder, filter="data")
                advance()
    except (tarfile.TarError, EOFError) as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{archive}: damaged or truncated archive ({reason}); download it again") from error
