"""Images for the page: decoded once, turned, cut, and sent as NIfTI files."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from albench.annotate.refusals import UnknownError
from albench.annotate.turned import Box, Turn, slices
from albench.annotation.handed import HandedOut
from albench.data.images import read_header, read_image, require_readable
from albench.data.readers import has_header, is_stack, read_pixels
from albench.errors import InputError
from albench.machine.files import sha256

CACHE_BYTES = 2**30
"""Of decoded images that are kept; a CT of 512 x 512 x 300 has 150 MiB."""

COLOURS = "colours"
"""Name of the one channel that photographs have here: red, green and blue together."""

_DECODERS = 2
"""Images decoded at a time: each needs its memory twice."""

_PLAIN = {"b": np.uint8, "f": np.float32}
_WHOLE = {np.dtype(np.int64): np.int32, np.dtype(np.uint64): np.uint32}


class Pictures:
    """Decoded images of a query, those used last in memory."""

    def __init__(self, handed: HandedOut, cache_bytes: int = CACHE_BYTES) -> None:
        self._handed = handed
        self._cache_bytes = cache_bytes
        self._cached: OrderedDict[tuple[str, int], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._one_each: dict[tuple[str, int], threading.Lock] = {}
        self._colours: dict[str, bool] = {}
        self._decoding = threading.BoundedSemaphore(_DECODERS)

    def channels(self, case: str) -> tuple[str, ...]:
        """Names of the channels that can be shown."""
        return (COLOURS,) if self._has_colours(case) else tuple(self._handed.query.channel_names)

    def nifti(self, case: str, channel: int, turn: Turn, spacing: Sequence[float], box: Box | None = None) -> bytes:
        """Return an image or part of it as the bytes of a NIfTI-1 file, turned to x right, y anterior, z superior.

        Parameters
        ----------
        spacing
            mm along x, y and z; the affine has nothing else in it but the box's place.
        box
            In voxels (x, y, z) of the turned image; None: all of it.

        Raises
        ------
        UnknownError
            There is no such channel.
        InputError
            The image is gone, damaged, or another than was asked about.
        """
        voxels = turn.turned(self._voxels(case, channel))
        if box is not None:
            voxels = voxels[slices(box)]
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = np.multiply(spacing, (0, 0, 0) if box is None else box[0])
        image = nibabel.Nifti1Image(_as_nifti(voxels), affine)
        image.header.set_xyzt_units("mm")
        content: bytes = image.to_bytes()
        return content

    @property
    def has_room(self) -> bool:
        """Whether half of the memory for images is free."""
        with self._lock:
            return 2 * self._used() <= self._cache_bytes

    def decode(self, case: str) -> None:
        """Read the first channel of a case, so that it is there when it is asked for.

        Raises
        ------
        InputError
            As `nifti`.
        """
        self._voxels(case, 0)

    def _has_colours(self, case: str) -> bool:
        first = self._handed.images(case)[0]
        if has_header(first):
            return False
        if case not in self._colours:  # whoever wants to know has to read the pixels
            self._colours[case] = not is_stack(first) and read_header(first).n_components > 1
        return self._colours[case]

    def _voxels(self, case: str, channel: int) -> NDArray[Any]:
        """Voxels (i, j, k) of a channel; of photographs with colours (i, j, k, 3)."""
        files = self._handed.images(case)
        if not 0 <= channel < len(self.channels(case)):
            raise UnknownError(f"no channel {channel}")
        number = channel if len(files) > 1 else 0
        within = 0 if len(files) > 1 else channel
        key = (case, channel)
        with self._lock:
            if key in self._cached:
                self._cached.move_to_end(key)
                return self._cached[key]
            one = self._one_each.setdefault(key, threading.Lock())
        with one:
            with self._lock:
                if key in self._cached:
                    return self._cached[key]
            with self._decoding:
                voxels = self._decoded(case, number, within)
            with self._lock:
                self._keep(key, voxels)
        return voxels

    def _keep(self, key: tuple[str, int], voxels: NDArray[Any]) -> None:
        self._cached[key] = voxels
        while self._cached and self._used() > self._cache_bytes:
            self._cached.popitem(last=False)

    def _used(self) -> int:
        return sum(voxels.nbytes for voxels in self._cached.values())

    def _decoded(self, case: str, number: int, within: int) -> NDArray[Any]:
        path, described = self._handed.images(case)[number], self._handed.query.cases[case]
        if not path.is_file() or sha256(path) != described.sha256[number]:
            raise InputError(f"{path}: expected the image that was asked about, found another or none")
        require_readable(path)
        voxels = _with_header(path, within) if has_header(path) else _pixels(path, within)
        if voxels.shape[:3] != described.shape_ijk:
            raise InputError(f"{path}: expected {described.shape_ijk} voxels, found {voxels.shape[:3]}")
        return voxels


def _with_header(path: Path, within: int) -> NDArray[Any]:
    """Voxels (i, j, k) of one channel of a file of ITK's formats."""
    array: NDArray[Any] = SimpleITK.GetArrayFromImage(image := read_image(path))
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.moveaxis(array, -1, 0)
    elif image.GetDimension() < 4:
        array = array[None]
    if within >= len(array):
        raise InputError(f"{path}: expected a channel {within}, found {len(array)}")
    chosen = array[within]
    if chosen.ndim == 2:
        chosen = chosen[None]
    # of several channels a copy, lest one keeps all of them in memory
    return _plain(chosen if len(array) == 1 else chosen.copy()).transpose()


def _pixels(path: Path, within: int) -> NDArray[Any]:
    """Voxels (i, j, k) of a photograph or stack; (i, j, k, 3) of one with colours."""
    pixels = read_pixels(path)
    if is_stack(path):
        return _plain(pixels).transpose()
    if pixels.ndim == 2:
        return _plain(pixels)[None].transpose()
    if within > 3:
        raise InputError(f"{path}: expected a channel {within}, found colours")
    return np.ascontiguousarray(_as_bytes(pixels[..., :3]).transpose(1, 0, 2)[:, :, None])


def _plain(voxels: NDArray[Any]) -> NDArray[Any]:
    """Numbers of a type that NIfTI and viewers have, half as many bytes where eyes cannot tell."""
    if voxels.dtype.kind in _PLAIN:
        return voxels.astype(_PLAIN[voxels.dtype.kind], copy=False)
    narrow = _WHOLE.get(voxels.dtype)
    if narrow is None:
        return voxels
    limits = np.iinfo(narrow)
    fits = voxels.size == 0 or (limits.min <= int(voxels.min()) and int(voxels.max()) <= limits.max)
    return voxels.astype(narrow if fits else np.float32)


def _as_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    scaled: NDArray[np.uint8] = np.rint((pixels - low) * (255 / (high - low or 1))).astype(np.uint8)
    return scaled


def _as_nifti(voxels: NDArray[Any]) -> NDArray[Any]:
    if voxels.ndim == 3:
        return voxels
    colours = np.empty(voxels.shape[:3], dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")], order="F")
    for place, name in enumerate("RGB"):
        colours[name] = voxels[..., place]
    return colours
