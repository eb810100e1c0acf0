"""Whether labels that came back are what was asked for: every way in which they are known not to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from albench.annotation.findings import Finding, Kind, Level, slice_name, unit_name
from albench.annotation.frame import Box, flipped_inside, frame_of, moved_by, renumbered_to
from albench.annotation.grid import AXES, Grid
from albench.annotation.returned import Returned, as_whole
from albench.results.query import QueriedUnit

State = Literal["done", "partial", "skip", "later", "open"]
"""Of a unit: all of it has labels, some has; it is not to be asked again; it waits."""

_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Asked:
    """What was asked about a case.

    Attributes
    ----------
    handed
        Labels as they were handed out, axes i, j, k of the image.
    values
        Name to value of every label, the ignore label included.
    statuses
        What the annotator has put down in the table, by a unit's rank; ``""`` where nothing.
    """

    case: str
    grid: Grid
    handed: NDArray[Any]
    units: tuple[QueriedUnit, ...]
    values: Mapping[str, int]
    ignore: int
    statuses: Mapping[int, str] = field(default_factory=dict)

    def box(self, unit: QueriedUnit) -> Box:
        """Part of the image that a unit is."""
        return unit.box(self.grid.shape)

    @property
    def axis(self) -> int:
        """File axis that the case's slices are perpendicular to; k for patches."""
        return next((AXES.index(unit.file_axis) for unit in self.units if unit.file_axis is not None), 2)


@dataclass(frozen=True)
class Taking:
    """What is taken that would not be without a word of the user's.

    Attributes
    ----------
    partial
        Units with unlabelled voxels.
    unchanged
        Units that are as they were handed out.
    outside
        Complete slices that were not asked.
    """

    partial: bool = False
    unchanged: bool = False
    outside: bool = False


@dataclass(frozen=True, eq=False)
class AnsweredUnit:
    """A unit and what is known of it now.

    Attributes
    ----------
    labels, handed
        Of its box, as they came back and as they were handed out; axes i, j, k.
    is_extra
        Whether nobody had asked.
    """

    unit: QueriedUnit
    box: Box
    state: State
    labels: NDArray[Any]
    handed: NDArray[Any]
    is_extra: bool = False

    @classmethod
    def skipped(cls, unit: QueriedUnit) -> AnsweredUnit:
        """Return the answer of an annotator who does not want to be asked again; no file is needed for it."""
        nothing = np.empty((0, 0, 0), dtype=np.uint16)
        return cls(unit, (slice(0, 0), slice(0, 0), slice(0, 0)), "skip", nothing, nothing)

    @property
    def is_taken(self) -> bool:
        """Whether its labels are to be taken over."""
        return self.state in ("done", "partial")


@dataclass(frozen=True, eq=False)
class Checked:
    """What came of the labels of a case; `answers` are empty where a finding is an error."""

    findings: tuple[Finding, ...]
    answers: tuple[AnsweredUnit, ...] = ()


def check(asked: Asked, returned: Returned, taking: Taking, file: str) -> Checked:
    """Compare labels that came back with what was asked.

    Parameters
    ----------
    file
        Name of the returned file, for messages.
    """
    return _Check(asked, returned, taking, file).run()


class _Check:
    """One comparison; collects what it finds."""

    def __init__(self, asked: Asked, returned: Returned, taking: Taking, file: str) -> None:
        self.asked, self.returned, self.taking, self.file = asked, returned, taking, file
        self.boxes = [asked.box(unit) for unit in asked.units]
        self.frame = frame_of(asked.grid.shape, self.boxes)
        self.findings: list[Finding] = []

    def run(self) -> Checked:
        whole = as_whole(self.returned.voxels)
        if whole is None:
            self._not_whole()
            return Checked(tuple(self.findings))
        labels = self._laid(whole)
        self._frame_tells(labels)
        if not any(finding.kind in ("renumbered", "moved") and finding.level == "error" for finding in self.findings):
            self._known_values(whole)
        if self.returned.elsewhere is not None:
            self._say("note", "grid", f"the image's geometry is trusted, not the file's: {self.returned.elsewhere}")
        if self.returned.placement.is_turned:
            self._say("note", "turned", f"{self.returned.placement.describe()} in the file; turned as the image")
        if any(finding.level == "error" for finding in self.findings):
            return Checked(tuple(self.findings))
        answers = [*self._answers(labels), *self._outside(labels)]
        if any(finding.level == "error" for finding in self.findings):
            answers = []
        return Checked(tuple(self.findings), tuple(answers))

    def _say(self, level: Level, kind: Kind, message: str) -> None:
        self.findings.append(Finding(level, kind, self.asked.case, self.file, message))

    def _laid(self, whole: NDArray[Any]) -> NDArray[Any]:
        """Labels on the whole of the image's grid; where the file says nothing, as they were handed out."""
        asked, placement = self.asked, self.returned.placement
        fits = whole.min() >= 0 and whole.max() < 2**16
        # in the order of the file, as all that is compared with it
        labels = asked.handed.astype(np.uint16 if fits else np.int32)
        labels[placement.box] = whole
        if not placement.is_whole:
            self._put_back(labels)
        if not self.returned.has_ignore:
            self._without_ignore(labels)
        return labels

    def _put_back(self, labels: NDArray[Any]) -> None:
        """Deal with what the file leaves out of the image, in place."""
        covered = np.zeros(labels.shape, dtype=bool, order="F")
        covered[self.returned.placement.box] = True
        self.frame &= covered
        shape = " x ".join(str(edge.stop - edge.start) for edge in self.returned.placement.box)
        start = ", ".join(str(edge.start) for edge in self.returned.placement.box)
        self._say("note", "cropped", f"{shape} voxels from voxel ({start}) on in the file; put back into the image")
        for unit, box in zip(self.asked.units, self.boxes, strict=True):
            cut = ~covered[box]
            if self.returned.rest_is_background:
                labels[box][cut] = 0
            elif cut.any() and not self._may_be_cut(labels, box, cut):
                self._say(
                    "error",
                    "cropped",
                    f"expected all of {unit_name(unit)}, found {np.count_nonzero(cut):,} voxels of it outside of the "
                    "file; export on the grid of the image",
                )

    def _may_be_cut(self, labels: NDArray[Any], box: Box, cut: NDArray[np.bool_]) -> bool:
        """Whether what is left out of a unit can be nothing else than as it was handed out.

        So it is where nobody had labelled it, and where it was background and no structure reaches the edge of what is
        in the file.
        """
        handed = self.asked.handed[box]
        if (handed[cut] == self.asked.ignore).all():
            return True
        if not np.isin(handed[cut], (0, self.asked.ignore)).all() or cut.all():
            return False
        drawn = (labels[box] > 0) & (labels[box] != self.asked.ignore) & ~cut
        return not any(
            (np.take(drawn, range(n - 1), axis) & np.take(cut, range(1, n), axis)).any()
            or (np.take(cut, range(n - 1), axis) & np.take(drawn, range(1, n), axis)).any()
            for axis, n in enumerate(drawn.shape)
        )

    def _without_ignore(self, labels: NDArray[Any]) -> None:
        """Tell background from what nobody has annotated where the segment for the latter is gone, in place."""
        asked = self.asked
        silent = (labels == 0) & (asked.handed == asked.ignore)
        labels[silent & self.frame] = asked.ignore
        for unit, box in zip(asked.units, self.boxes, strict=True):
            if silent[box].all() and asked.statuses.get(unit.rank or 0) != "done" and not self.returned.completed:
                labels[box] = asked.ignore  # nobody has been there
        self._say(
            "note", "segments", "no segment 'ignore' in the file; what is outside of the asked units is left alone"
        )

    def _not_whole(self) -> None:
        voxels = self.returned.voxels
        wrong = np.rint(voxels) != voxels
        value = float(voxels[wrong].flat[0])
        self._say(
            "error",
            "value",
            f"expected whole numbers, found {np.count_nonzero(wrong):,} voxels with others such as {value:g}, first in "
            f"{self._first_slice(wrong)}; resample labels with nearest neighbours",
        )

    def _known_values(self, whole: NDArray[Any]) -> None:
        known = sorted(self.asked.values.values())
        wrong = ~np.isin(whole.T, known).T
        if not wrong.any():
            return
        values, counts = np.unique(whole[wrong], return_counts=True)
        found = ", ".join(f"{v} ({n:,} voxels)" for v, n in zip(values[:_SHOWN], counts[:_SHOWN], strict=True))
        names = ", ".join(f"{value} {name}" for name, value in self.asked.values.items())
        self._say(
            "error",
            "value",
            f"expected the labels of dataset.json ({names}), found {found}{', ...' * (len(values) > _SHOWN)}, first in "
            f"{self._first_slice(wrong)}",
        )

    def _first_slice(self, inside: NDArray[np.bool_]) -> str:
        """Name the first slice, in the image, of some voxels of the file."""
        axis = self.asked.axis
        others = tuple(each for each in range(3) if each != axis)
        index = int(np.flatnonzero(inside.any(axis=others))[0]) + self.returned.placement.start[axis]
        return slice_name(AXES[axis], index)

    def _frame_tells(self, labels: NDArray[Any]) -> None:
        """Look for renumbered labels and turned axes; either explains all else."""
        asked = self.asked
        value = renumbered_to(asked.handed, labels, self.frame, asked.ignore)
        if value is not None:
            self._say(
                "error",
                "renumbered",
                f"labels renumbered: {asked.ignore} is now {value}; export with labels.ctbl",
            )
            return
        move = moved_by(asked.handed, labels, self.frame, shifts=not self.taking.outside)
        if move is not None:
            self._say("error", "moved", move)
            return
        flip = flipped_inside(asked.handed, labels, self.boxes, asked.ignore)
        if flip is not None:
            self._say("warning", "moved", f"what was handed out is found again if {flip}; taken as it is in the file")

    def _answers(self, labels: NDArray[Any]) -> Iterator[AnsweredUnit]:
        unchanged = []
        for unit, box in zip(self.asked.units, self.boxes, strict=True):
            now, handed = labels[box].astype(np.uint16), self.asked.handed[box]
            state = self._state(unit, now, handed)
            if state == "open" and (now == handed).all():
                unchanged.append(unit)
            yield AnsweredUnit(unit, box, state, now, handed.copy())
        if unchanged:
            self._say("note", "unchanged", f"as handed out, still open: {_names(unchanged)}")

    def _state(self, unit: QueriedUnit, now: NDArray[Any], handed: NDArray[Any]) -> State:
        status = self.asked.statuses.get(unit.rank or 0, "")
        if status in ("skip", "later"):
            return "skip" if status == "skip" else "later"
        meant = status == "done" or self.returned.completed or self.taking.unchanged
        if not meant and (now == handed).all():
            return "open"
        n_unlabelled = int(np.count_nonzero(now == self.asked.ignore))
        if n_unlabelled == 0:
            return "done"
        if self.taking.partial:
            return "partial" if n_unlabelled < now.size else "open"
        self._say("error", "unlabelled", f"{unit_name(unit)}: {n_unlabelled:,} of {now.size:,} unlabelled")
        return "open"

    def _outside(self, labels: NDArray[Any]) -> list[AnsweredUnit]:
        """Look at what changed outside of the asked units: complete slices are taken if the user wants."""
        asked = self.asked
        changed = self.frame & (labels != asked.handed)
        if not changed.any():
            return []
        axis = asked.axis
        others = tuple(each for each in range(3) if each != axis)
        indices = np.flatnonzero(changed.any(axis=others)).tolist()
        extra = []
        of_slices = [unit for unit in asked.units if unit.file_axis is not None]
        if self.taking.outside and len(of_slices) == len(asked.units):
            for index in indices:
                unit = _beside(of_slices, index, asked.grid.shape[axis])
                box = asked.box(unit)
                now = labels[box].astype(np.uint16)
                if not (now == asked.ignore).any():
                    extra.append(AnsweredUnit(unit, box, "done", now, asked.handed[box].copy(), is_extra=True))
                    changed[box] = False
        left = [index for index in indices if changed.take(index, axis).any()]
        if left:
            self._say(
                "warning",
                "outside",
                f"{np.count_nonzero(changed):,} voxels changed outside of the asked units, not taken: "
                f"{_listed(slice_name(AXES[axis], index) for index in left)}",
            )
        return extra


def _beside(units: Sequence[QueriedUnit], index: int, length: int) -> QueriedUnit:
    """Slice `index` of the file, as a unit beside others of its case; nnU-Net's reader may count from the other end."""
    first = units[0]
    backwards = any(unit.index != unit.file_index for unit in units)
    return QueriedUnit(
        case=first.case,
        index=length - 1 - index if backwards else index,
        axis=first.axis,
        file_axis=first.file_axis,
        file_index=index,
        annotator=first.annotator,
    )


def _names(units: Sequence[QueriedUnit]) -> str:
    return _listed(unit_name(unit) for unit in units)


def _listed(names: Iterable[str]) -> str:
    """Join names; of many the first few and how many there are."""
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
