"""Copies of images under neutral names, without the texts of their headers."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

import numpy as np
import SimpleITK

from albench.data.images import GZIP_MAGIC, read_image
from albench.data.nifti_header import HEADER_BYTES, read_nifti_header
from albench.data.readers import has_header, is_stack, read_pixels, read_spacing_file, spacing_file

NAMES = "names.csv"
"""Table of neutral names and cases, which stays with whoever asks."""

_TEXTS = {
    "data_type": (4, 10),
    "db_name": (14, 18),
    "descrip": (148, 80),
    "aux_file": (228, 24),
    "intent_name": (328, 16),
}
"""Offset and length in bytes of the fields of a NIfTI-1 header that are free text."""

_VOX_OFFSET = slice(108, 112)
_NO_EXTENSION = bytes(4)


def neutral_names(cases: Iterable[str]) -> dict[str, str]:
    """Return ``case-001`` and on for cases in the order of their names."""
    names = sorted(cases)
    digits = max(3, len(str(len(names))))
    return {name: f"case-{number:0{digits}d}" for number, name in enumerate(names, start=1)}


def copy_without_texts(image: Path, path: Path) -> None:
    """Copy an image: the same voxels at the same place, but no text of its header, extension or tag.

    Of NIfTI files every other byte of the header stays. What is to be seen in the voxels stays, too.

    Raises
    ------
    InputError
        The image cannot be read.
    """
    if not has_header(image):
        _copy_pixels(image, path)
    elif image.name.lower().endswith((".nii", ".nii.gz")):
        _copy_nifti(image, path)
    else:
        copy = read_image(image)
        for key in copy.GetMetaDataKeys():
            copy.EraseMetaData(key)
        SimpleITK.WriteImage(copy, str(path), useCompression=True)


def _copy_nifti(image: Path, path: Path) -> None:
    with image.open("rb") as raw:
        compressed = raw.read(2) == GZIP_MAGIC
    with gzip.open(image) if compressed else image.open("rb") as source:
        start = source.read(HEADER_BYTES)
        described = read_nifti_header(image, start)
        header = bytearray(start)
        for offset, length in _TEXTS.values():
            header[offset : offset + length] = bytes(length)
        order = "<" if start[0] == HEADER_BYTES % 256 else ">"
        header[_VOX_OFFSET] = np.array(HEADER_BYTES + len(_NO_EXTENSION), dtype=f"{order}f4").tobytes()
        source.seek(described.offset)
        with path.open("wb") as out:
            if path.name.lower().endswith(".gz"):
                # neither name nor time in the stream: the same image gives the same bytes
                with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as packed:
                    packed.write(bytes(header) + _NO_EXTENSION)
                    shutil.copyfileobj(source, cast(IO[bytes], packed))
            else:
                out.write(bytes(header) + _NO_EXTENSION)
                shutil.copyfileobj(source, out)


def _copy_pixels(image: Path, path: Path) -> None:
    pixels = read_pixels(image)
    if not is_stack(image):
        from skimage import io

        io.imsave(path, pixels, check_contrast=False)
        return
    import tifffile

    tifffile.imwrite(path, pixels, compression="zlib", metadata=None)
    described = spacing_file(image)
    if described is not None:
        content = {"spacing": read_spacing_file(described)}
        path.with_suffix(".json").write_text(json.dumps(content), encoding="utf-8")
