"""How nnU-Net cropped and resampled a case: the part of its properties that is needed again, as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from albench.errors import InputError
from albench.machine.files import write_json
from albench.machine.text import read_json_text

_KEYS = ("spacing", "shape_before_cropping", "bbox_used_for_cropping", "shape_after_cropping_and_before_resampling")
_MAX_VOXELS = 2**36


def write_properties(path: Path, properties: Mapping[str, Any]) -> None:
    """Write what `read_properties` reads; JSON keeps every digit of a spacing."""
    spacing, before, crop, after = (properties[key] for key in _KEYS)
    values = [
        [float(edge) for edge in spacing],
        [int(n) for n in before],
        [[int(low), int(high)] for low, high in crop],
        [int(n) for n in after],
    ]
    write_json(path, dict(zip(_KEYS, values, strict=True)))


def read_properties(path: Path) -> dict[str, Any]:
    """Return nnU-Net's record of a case, under nnU-Net's keys.

    Returns
    -------
    dict
        ``spacing`` in mm, ``shape_before_cropping`` and ``shape_after_cropping_and_before_resampling``, tuples (z, y,
        x), and ``bbox_used_for_cropping``, a list of [low, high) per axis.

    Raises
    ------
    InputError
        The file is missing or damaged, or the crop is none of the image.
    """
    stored = read_json_text(path)
    try:
        spacing, before, crop, after = (stored[key] for key in _KEYS)
        bounds = [(low, high) for low, high in crop]
        sizes = [*before, *after, *(bound for pair in bounds for bound in pair)]
        whole = all(type(n) is int for n in sizes) and all(type(edge) is float for edge in spacing)
        inside = all(0 <= low < high <= n for (low, high), n in zip(bounds, before, strict=True))
        fits = inside and all(high - low == n for (low, high), n in zip(bounds, after, strict=True))
        positive = all(0 < edge < math.inf for edge in spacing) and len(spacing) == len(before) == 3
        if not (whole and fits and positive and math.prod(before) <= _MAX_VOXELS):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: expected how a case was cropped and resampled, found something else") from None
    return dict(zip(_KEYS, (spacing, tuple(before), crop, tuple(after)), strict=True))
