"""The text headers of NRRD and MetaImage files: what they leave unsaid, and ITK makes up without a word."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import NamedTuple

from albench.errors import InputError

TEXT_ENDINGS = (".nrrd", ".mha")
_LONGEST = 1 << 16
_PIECE = 1 << 20
_EITHER = 32  # zlib's, of MetaImage, or gzip's, of NRRD, by their first bytes
_MILLIMETRES = ("", "mm", "millimeter", "millimetre", "millimeters", "millimetres")


class TextHeader(NamedTuple):
    """The fields of a header and where it ends.

    Attributes
    ----------
    fields
        Values by name, in small letters and without blanks; of several of one name the last.
    length
        Bytes before the voxels.
    """

    fields: dict[str, str]
    length: int


def read_text_header(path: Path) -> TextHeader | None:
    """Read the header of a .nrrd or .mha file; None of other formats, and where there is none."""
    if not path.name.lower().endswith(TEXT_ENDINGS):
        return None
    with path.open("rb") as stream:
        start = stream.read(_LONGEST)
    nrrd = path.name.lower().endswith(".nrrd")
    end = re.search(rb"\r?\n\r?\n|\Z" if nrrd else rb"(?m)^ElementDataFile *=.*(\n|\Z)", start)
    if end is None:
        return None
    lines = start[: end.end()].decode("latin-1").splitlines()
    pairs = (line.split(":" if nrrd else "=", 1) for line in lines if not line.startswith("#"))
    fields = {pair[0].replace(" ", "").lower(): pair[1].strip() for pair in pairs if len(pair) == 2}
    return TextHeader(fields, end.end())


def says_spacing(path: Path, header: TextHeader) -> bool:
    """Whether the header has a spacing of each axis of space; ITK takes 1 mm where it has none."""
    fields = header.fields
    if not path.name.lower().endswith(".nrrd"):
        return "elementspacing" in fields or "elementsize" in fields
    vectors = re.findall(r"\([^)]*\)", fields.get("spacedirections", ""))
    numbers = [text for text in fields.get("spacings", "").split() if text.lower() != "nan"]
    return max(len(vectors), len(numbers)) >= min(3, len(fields.get("sizes", "").split()))


def require_sound_text(path: Path, header: TextHeader) -> None:
    """Refuse what ITK reads without complaint though it is something else.

    Raises
    ------
    InputError
        The voxels are in another file, which no checksum of this one covers and which may lie outside of the data set;
        the spacing is not in mm, which ITK does not look at; compressed voxels are damaged, of which ITK compares no
        checksum.
    """
    elsewhere = header.fields.get("datafile") or header.fields.get("elementdatafile", "LOCAL")
    if elsewhere.upper() != "LOCAL":
        raise InputError(
            f"{path}: unreadable: expected its voxels in itself, found that they are in {elsewhere!r:.200}; convert it "
            f"into one file"
        )
    units = re.findall(r'"([^"]*)"', header.fields.get("spaceunits", ""))
    if other := next((unit for unit in units if unit.strip().lower() not in _MILLIMETRES), None):
        raise InputError(f"{path}: unreadable: expected a spacing in mm, found the unit {other!r:.40}")
    if is_compressed(header):
        _require_whole(path, header.length)


def is_compressed(header: TextHeader) -> bool:
    """Whether the voxels of a file are compressed by deflate."""
    return header.fields.get("compresseddata", "").lower() == "true" or header.fields.get("encoding") in ("gzip", "gz")


def _require_whole(path: Path, start: int) -> None:
    """Decompress voxels to their end, where their checksum is."""
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | _EITHER)
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            while not decompressor.eof and (piece := stream.read(_PIECE)):
                while piece and not decompressor.eof:
                    decompressor.decompress(piece, _PIECE)
                    piece = decompressor.unconsumed_tail
    except zlib.error as error:
        raise InputError(f"{path}: unreadable: expected sound compressed voxels, found: {error}") from error
    if not decompressor.eof:
        raise InputError(f"{path}: truncated: expected complete compressed voxels, found their end missing")
