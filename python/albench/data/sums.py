"""Checksums that others have given for archives: beside the file, or in the registry."""

from __future__ import annotations

import hashlib
from pathlib import Path

from albench.data.registry import DatasetEntry
from albench.errors import InputError
from albench.machine.text import read_text
from albench.progress import Reporter

SUMS = "SHA256SUMS"


def require_listed(archive: Path, digest: str) -> None:
    """Compare an archive's SHA-256 with the file ``SHA256SUMS`` beside it, if there is one that lists it.

    Raises
    ------
    InputError
        It is another one, or the list cannot be read.
    """
    sums = archive.with_name(SUMS)
    if not sums.is_file():
        return
    for line in read_text(sums).splitlines():
        expected, _, name = line.partition(" ")
        if name.strip().removeprefix("*") == archive.name and expected.lower() != digest:
            raise InputError(f"{archive}: expected the checksum {expected:.128} ({sums}), found {digest}")


def say_if_unpublished(archive: Path, entry: DatasetEntry, reporter: Reporter) -> None:
    """Compare an archive of the user's with the published one; it may be packed anew, so that is only mentioned."""
    if entry.checksum is None:
        return
    algorithm, _, expected = entry.checksum.partition(":")
    with reporter.task(f"{archive.name}: comparing with the published checksum"), archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, algorithm).hexdigest()
    if digest != expected:
        reporter.say(
            f"{archive}: is not the archive that {entry.checksum_source or 'the registry'} has the checksum of, "
            f"{entry.checksum}, but {algorithm}:{digest}; used as it is. If it was not packed anew, it is damaged"
        )
