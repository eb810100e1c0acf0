"""What the voxels that nobody was asked about tell: an editor that renumbers labels or turns axes changes them, too."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.annotation.grid import AXES

Box = tuple[slice, slice, slice]

_FITS = 20
"""Times fewer voxels that differ after a move than before: then the file was moved, rather than drawn in."""
_FEW_VOXELS, _LIKE, _UNLIKE = 50, 0.6, 0.3  # of structures to compare, and Dice with what was handed out


def frame_of(shape: Sequence[int], boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """Voxels outside of all `boxes`; bool (i, j, k), i changing fastest in memory as in files."""
    frame = np.ones(tuple(shape), dtype=bool, order="F")
    for box in boxes:
        frame[box] = False
    return frame


def renumbered_to(handed: NDArray[Any], returned: NDArray[Any], frame: NDArray[np.bool_], ignore: int) -> int | None:
    """Value that more than half of the frame's ignored voxels have now, another than `ignore`; None if there is none.

    Parameters
    ----------
    handed, returned
        Labels (i, j, k), as they were handed out and as they came back.
    """
    # turned, so that voxels are visited in the order in which they lie in memory
    now = returned.T[(frame & (handed == ignore)).T]
    if now.size == 0:
        return None
    # the value of more than half is the median
    value = int(np.partition(now, now.size // 2)[now.size // 2])
    return value if value != ignore and 2 * np.count_nonzero(now == value) > now.size else None


def moved_by(
    handed: NDArray[Any], returned: NDArray[Any], frame: NDArray[np.bool_], *, shifts: bool = True
) -> str | None:
    """Say which flip or shift makes the frame fit, e.g. ``flipped along k``; None where it fits best as it is.

    Flips along one axis or several, and shifts by one or two voxels, are tried where some voxel of the frame differs.
    A move that leaves the frame as it is cannot be told, a flip within the asked slices among them.

    Parameters
    ----------
    shifts
        Whether to try shifts: to draw the slice beside the one that was asked looks the same.
    """
    differing = int(np.count_nonzero((handed != returned) & frame))
    if differing == 0:
        return None
    for axes in (axes for n in (1, 2, 3) for axes in itertools.combinations(range(3), n)):
        if _FITS * np.count_nonzero((handed != np.flip(returned, axes)) & frame) <= differing:
            return f"flipped along {' and '.join(AXES[axis] for axis in axes)}"
    for axis, by in itertools.product(range(3), (1, -1, 2, -2) if shifts else ()):
        inner = [slice(None)] * 3
        inner[axis] = slice(max(0, -by), min(0, -by) or None)  # what is rolled around says nothing
        if returned.shape[axis] <= abs(by):
            continue
        part = (inner[0], inner[1], inner[2])
        back = np.roll(returned, -by, axis)
        if _FITS * np.count_nonzero(((handed != back) & frame)[part]) <= differing:
            return f"shifted by {by:+d} along {AXES[axis]}"
    return None


def flipped_inside(handed: NDArray[Any], returned: NDArray[Any], boxes: Sequence[Box], ignore: int) -> str | None:
    """As `moved_by`, for flips within the asked slices: what was drawn there before decides.

    A flip is said where the structures handed out are found again, Dice 0.6 or more, once it is undone, and are not as
    the file is, Dice below 0.3. It can be right all the same: a model may take left for right, and the annotator have
    put that right.
    """
    drawn = [box for box in boxes if ((handed[box] > 0) & (handed[box] != ignore)).any()]
    if not drawn:
        return None
    axes = [axis for axis in range(3) if all(handed[box].shape[axis] == handed.shape[axis] > 1 for box in drawn)]
    before = [handed[box] for box in drawn]
    after = [returned[box] for box in drawn]
    if _agreement(before, after, ignore) >= _UNLIKE:
        return None
    for chosen in (chosen for n in (1, 2) for chosen in itertools.combinations(axes, n)):
        if _agreement(before, [np.flip(each, chosen) for each in after], ignore) >= _LIKE:
            return f"flipped along {' and '.join(AXES[axis] for axis in chosen)}"
    return None


def _agreement(before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]], ignore: int) -> float:
    """Dice of all structures together, each with its own label; 1 where there is too little to say."""
    same = both = 0
    for old, new in zip(before, after, strict=True):
        in_old, in_new = (old > 0) & (old != ignore), (new > 0) & (new != ignore)
        same += int(np.count_nonzero((old == new) & in_old))
        both += int(np.count_nonzero(in_old)) + int(np.count_nonzero(in_new))
    return 2 * same / both if both >= 2 * _FEW_VOXELS else 1.0
