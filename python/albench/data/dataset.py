"""What a data set is to the rest of the package: names and files, no voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from albench.errors import InputError, unknown_name

Kind = Literal["patients", "phantom"]
Annotation = Literal["complete", "partial", "none"]
"""How much of a case is labelled: every voxel, some, or none."""


@dataclass(frozen=True)
class Case:
    """One scan and its reference label.

    Attributes
    ----------
    name
        Unique in the data set; file names and result rows use it.
    images
        One file per channel, or one 4D file that holds all channels along its last axis (how the MSD stores
        several modalities). :func:`albench.data.write_nnunet_raw` splits the latter.
    label
        Label image on the same grid, values as in :attr:`Dataset.labels`; None where there is none yet, as in the pool
        of a project. Data sets of studies have one for each case.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """Images, then the label where there is one."""
        return self.images if self.label is None else (*self.images, self.label)

    @property
    def reference(self) -> Path:
        """The label.

        Raises
        ------
        InputError
            There is none.
        """
        if self.label is None:
            raise InputError(f"case {self.name}: expected a label, found none: nobody has annotated it")
        return self.label


@dataclass(frozen=True)
class Dataset:
    """A data set on disk.

    Attributes
    ----------
    name
        Registry name, or the folder's name where a path was given.
    title
        For people: report headings and tables.
    root
        Folder that holds ``dataset.json``.
    channel_names
        One per channel, in order. ``"CT"`` makes nnU-Net normalise Hounsfield units, all else is z-scored.
    labels
        Value to name, consecutive from 0 = background.
    file_ending
        Of images and labels alike, with the dot.
    cases
        Sorted by name.
    kind
        ``"phantom"`` for generated images, which are never to be shown as patients.
    checksum
        SHA-256 (hex) over labels, channels, case names and the bytes of every image, label and JSON file
        with a stack's spacing; the same for an archive and for the folder it was made from.
    case_checksums
        SHA-256 (hex) over the bytes of each case's files, by name; nothing where nobody has hashed them.
    cache_dir
        Where verdicts about this data set are kept; None: nowhere.
    spacing_is_true
        Whether the headers' spacing is that of the scan, so that a distance in mm means something.
    nsd_tolerance_mm
        How far apart two outlines may lie and still agree; None: nobody has said.
    annotation
        How much of each case is labelled, by name; None where there is no ignore label, hence nothing unlabelled.
    groups
        Case to group of cases that belong together, such as a patient, as the data set says; None where it does not.
    notes
        What a user should know of how the data set was read, a line each.
    """

    name: str
    title: str
    root: Path
    channel_names: tuple[str, ...]
    labels: dict[int, str]
    file_ending: str
    cases: tuple[Case, ...]
    kind: Kind
    checksum: str
    case_checksums: Mapping[str, str] = field(default_factory=dict, compare=False)
    cache_dir: Path | None = field(default=None, compare=False)
    spacing_is_true: bool = True
    nsd_tolerance_mm: float | None = None
    annotation: Mapping[str, Annotation] | None = None
    groups: Mapping[str, str] | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def n_labels(self) -> int:
        """Number of label values, background included."""
        return len(self.labels)

    @property
    def n_channels(self) -> int:
        """Number of image channels."""
        return len(self.channel_names)

    @property
    def foreground_labels(self) -> tuple[int, ...]:
        """Label values without background, ascending."""
        return tuple(value for value in sorted(self.labels) if value != 0)

    @property
    def ignore_label(self) -> int:
        """Value that nnU-Net is told to ignore: the first one no label uses."""
        return max(self.labels) + 1

    @property
    def is_partial(self) -> bool:
        """Whether voxels of some case are unlabelled: they carry the ignore label."""
        return self.annotation is not None and any(extent != "complete" for extent in self.annotation.values())

    @property
    def complete_cases(self) -> tuple[str, ...]:
        """Names of the cases of which every voxel is labelled, sorted."""
        annotation = self.annotation or {}
        return tuple(name for name in self.case_names if annotation.get(name, "complete") == "complete")

    @property
    def annotated_cases(self) -> tuple[str, ...]:
        """Names of the cases of which something is labelled, sorted."""
        annotation = self.annotation or {}
        return tuple(name for name in self.case_names if annotation.get(name) != "none")

    @property
    def case_names(self) -> tuple[str, ...]:
        """Names of all cases, sorted."""
        return tuple(case.name for case in self.cases)

    def case(self, name: str) -> Case:
        """Look one case up.

        Raises
        ------
        InputError
            No case has this name.
        """
        for case in self.cases:
            if case.name == name:
                return case
        raise unknown_name(f"case of {self.name}", name, self.case_names)
