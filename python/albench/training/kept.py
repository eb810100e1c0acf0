"""Preprocessed images that outlive the labels laid over them: those of an image that did not change are taken again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.data import Case
from albench.data.readers import spacing_file
from albench.errors import InputError
from albench.machine.files import build_folder, sha256, try_lock, write_array, write_json
from albench.machine.foreign import read_array
from albench.machine.removal import remove_tree
from albench.machine.text import read_json_text
from albench.training.properties import read_properties, write_properties

_OF_THE_NETWORK = ("architecture", "batch_size", "batch_dice", "data_identifier")
"""Entries of a configuration that no image depends on."""
_OF_ITSELF = ("ZScoreNormalization", "NoNormalization", "RescaleTo01Normalization", "RGBTo01Normalization")
"""Normalisations that look at the image alone, not at the intensities of labelled voxels."""
_FORMAT = 1
_IMAGE, _OUTSIDE, _PROPERTIES, _SUMS = "image.b2nd", "outside.npy", "properties.json", "sums.json"


@dataclass(frozen=True)
class KeptImage:
    """One preprocessed image.

    Attributes
    ----------
    image
        File of it.
    outside
        bool (1, z, y, x): voxels of the crop, before resampling, that lie outside the image's non-zero region.
    properties
        As `read_properties` has them.
    """

    image: Path
    outside: NDArray[np.bool_]
    properties: dict[str, Any]


def recipe_of(plans: dict[str, Any], configuration: dict[str, Any]) -> str:
    """Return a digest of all but the image itself that decides what nnU-Net's preprocessor makes of it."""
    values = {key: value for key, value in configuration.items() if key not in _OF_THE_NETWORK}
    intensities = plans["foreground_intensity_properties_per_channel"]
    if all(scheme in _OF_ITSELF for scheme in values["normalization_schemes"]):
        intensities = None
    reader, order = plans["image_reader_writer"], plans["transpose_forward"]
    content = [_FORMAT, version("nnunetv2"), values, reader, order, intensities]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


class KeptImages:
    """Images that were preprocessed by one recipe; those of others are removed.

    Parameters
    ----------
    folder
        Of all recipes.
    recipe
        See `recipe_of`.
    """

    def __init__(self, folder: Path, recipe: str) -> None:
        self._folder = folder / recipe
        self._used: set[str] = set()
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in folder.iterdir():
            if other.is_dir() and other.name != recipe:
                remove_tree(other, folder)

    def find(self, case: Case) -> KeptImage | None:
        """Return what is kept of a case's images; None where there is nothing, or it is damaged."""
        place = self._place(case)
        with contextlib.suppress(OSError, InputError):
            files = (_IMAGE, _OUTSIDE, _PROPERTIES)
            if read_json_text(place / _SUMS) == {name: sha256(place / name) for name in files}:
                outside = read_array(place / _OUTSIDE)
                return KeptImage(place / _IMAGE, outside, read_properties(place / _PROPERTIES))
        return None

    def keep(self, case: Case, image: Path, outside: NDArray[np.bool_], properties: dict[str, Any]) -> None:
        """Keep what was made of a case's images."""

        def fill(temporary: Path) -> None:
            link_or_copy(image, temporary / _IMAGE)
            write_array(outside, temporary / _OUTSIDE)
            write_properties(temporary / _PROPERTIES, properties)
            write_json(temporary / _SUMS, {name: sha256(temporary / name) for name in (_IMAGE, _OUTSIDE, _PROPERTIES)})

        place = self._place(case)
        if place.exists():  # damaged
            remove_tree(place, self._folder)
        build_folder(place, fill)

    def drop_unused(self) -> None:
        """Remove images that nobody has asked for since this was made."""
        for place in self._folder.iterdir():
            if place.is_dir() and place.name not in self._used:
                remove_tree(place, self._folder)
                self._folder.joinpath(f".{place.name}.lock").unlink(missing_ok=True)

    def _place(self, case: Case) -> Path:
        files = [*case.images, *([spacing] if (spacing := spacing_file(case.images[0])) else [])]
        name = hashlib.sha256(" ".join(sha256(path) for path in files).encode()).hexdigest()[:32]
        self._used.add(name)
        return self._folder / name


@contextlib.contextmanager
def kept_images(folder: Path | None, recipe: str) -> Iterator[KeptImages | None]:
    """Hold what is kept in a folder, and drop at the end what was not used; None where another process holds it."""
    held = None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        held = try_lock(folder / ".lock")
    if folder is None or held is None:
        yield None
        return
    with held:
        images = KeptImages(folder, recipe)
        yield images
        images.drop_unused()


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that is never changed a second name, or copy it where the file system has none."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
