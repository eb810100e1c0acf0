"""The nnU-Net raw data set that labels are imported into, and what al-bench keeps in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from albench.annotation.grid import Grid
from albench.annotation.handed import HandedOut
from albench.annotation.layout import QUERIES, QUERY
from albench.annotation.registration import settle_queries
from albench.annotation.returned import read_label
from albench.data.msd import DATASET_JSON, channel_names_from, read_json_object, same_form
from albench.data.nnunet_layout import IGNORE, images_in, is_nnunet_layout, labels_in
from albench.data.readers import spacing_file
from albench.errors import InputError
from albench.machine.files import sha256
from albench.machine.journal import WORKSPACE, settle
from albench.results.query import Query

LEDGER = f"{WORKSPACE}/ledger.csv"
BACKUP = f"{WORKSPACE}/backup"
IMAGES, LABELS = "imagesTr", "labelsTr"


@dataclass(frozen=True, eq=False)
class RawFolder:
    """A raw data set: ``dataset.json``, and ``imagesTr`` and ``labelsTr`` if anything is labelled yet.

    Attributes
    ----------
    root
        The folder, links resolved.
    description
        Content of ``dataset.json``.
    """

    root: Path
    description: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> RawFolder:
        """Read ``dataset.json``, after finishing or undoing what a killed import or query left.

        Raises
        ------
        InputError
            No folder, no ``dataset.json`` of nnU-Net v2, or one that lists files under ``dataset``.
        """
        if not folder.is_dir():
            raise InputError(f"--dataset {folder}: expected a raw data set of nnU-Net, found no folder")
        root = folder.resolve()
        settle_queries(root)
        settle(root)
        path = root / DATASET_JSON
        description = read_json_object(path)
        if not is_nnunet_layout(description):
            raise InputError(f"{path}: expected the description of raw data of nnU-Net v2, found no file_ending")
        if "dataset" in description:
            raise InputError(f"{path}: expected cases in {IMAGES} and {LABELS}, found a list of files under 'dataset'")
        if not isinstance(description.get("labels"), dict):
            raise InputError(f"{path}: expected labels, found {description.get('labels')!r:.200}")
        return cls(root, description)

    def require_fits(self, handed: HandedOut) -> None:
        """Raise where labels, channels or file ending are not those of the query, or another query has its name.

        Raises
        ------
        InputError
            They differ, or the ignore label is not one above the highest.
        """
        path, query = self.root / DATASET_JSON, handed.query
        labels = {name: value for name, value in self.description["labels"].items() if name != IGNORE}
        ignore = self.description["labels"].get(IGNORE, handed.ignore)
        if _by_value(labels) != _by_value(query.labels) or ignore != handed.ignore:
            raise InputError(
                f"{path}: expected the labels of the query, {dict(query.labels)} and ignore {handed.ignore}, found "
                f"{self.description['labels']!r:.300}"
            )
        if handed.ignore != max(query.labels.values()) + 1:
            raise InputError(f"{path}: expected an ignore label one above the highest, found {handed.ignore}")
        if self.description["file_ending"] != query.file_ending:
            raise InputError(
                f"{path}: expected files ending in {query.file_ending} as in the query, found "
                f"{self.description['file_ending']!r:.50}"
            )
        known = self.root / QUERIES / handed.id / QUERY
        if known.exists() and Query.read(known).units != query.units:
            raise InputError(f"{known}: expected the query {handed.id} that labels are imported of, found another")
        channels = channel_names_from(path, self.description, "channel_names")
        if channels != query.channel_names:
            raise InputError(f"{path}: expected channels {query.channel_names} as in the query, found {channels}")

    @property
    def ending(self) -> str:
        """File ending of images and labels."""
        return str(self.description["file_ending"])

    def label_path(self, case: str) -> Path:
        """Where the labels of a case are, or will be."""
        return self.root / LABELS / f"{case}{self.ending}"

    def label(self, case: str, grid: Grid, *, by_voxels: bool) -> tuple[NDArray[Any] | None, str | None]:
        """Return the labels of a case, axes i, j, k, and the SHA-256 of their file; None and None where there is none.

        Parameters
        ----------
        by_voxels
            Whether they lie on the grid voxel by voxel, whatever their header says.

        Raises
        ------
        InputError
            They are damaged, or not on the image's grid.
        """
        path = self.label_path(case)
        if not os.path.lexists(path):
            return None, None
        digest = sha256(path) if path.is_file() else None
        return read_label(path, grid, by_voxels=by_voxels), digest

    def labelled_cases(self) -> set[str]:
        """Names of the cases that have a label file."""
        return set(labels_in(self.root / LABELS, self.ending))

    def n_unlabelled_images(self) -> int:
        """How many cases have an image and no label: nnU-Net takes none such."""
        return len(set(images_in(self.root / IMAGES, self.ending)) - set(map(same_form, self.labelled_cases())))

    def links(self, handed: HandedOut, case: str) -> Iterator[tuple[str, Path]]:
        """Yield what a labelled case lacks beside its label: where, from the folder, and the file to link to.

        Its images, and the file with the spacing of a stack, which nnU-Net looks for beside image and label.

        Raises
        ------
        InputError
            Another image is in the place of one.
        """
        described = handed.query.cases[case]
        for number, (image, digest) in enumerate(zip(handed.images(case), described.sha256, strict=True)):
            target = f"{IMAGES}/{case}_{number:04d}{self.ending}"
            there = self.root / target
            if not there.exists():
                yield target, image
            elif not there.samefile(image) and sha256(there) != digest:
                raise InputError(f"{there}: expected the image that was asked about, {image}, found another")
        spacing = spacing_file(handed.images(case)[0])
        for folder in (IMAGES, LABELS) if spacing is not None else ():
            if spacing is not None and not (self.root / folder / f"{case}.json").exists():
                yield f"{folder}/{case}.json", spacing

    def described_with(self, ignore: int, cases: Sequence[str]) -> dict[str, Any] | None:
        """Return the ``dataset.json`` that `cases` and an ignore label make necessary; None where it is as it is."""
        labels = {**self.description["labels"], IGNORE: ignore}
        changed = {**self.description, "labels": labels, "numTraining": len(self.labelled_cases() | set(cases))}
        return changed if changed != self.description else None

    def query_files(self) -> list[Path]:
        """Files of the queries that were asked for this data set, by name."""
        return sorted((self.root / QUERIES).glob(f"*/{QUERY}"))


def _by_value(labels: Mapping[str, Any]) -> dict[Any, str]:
    """Name by value; background is called as it likes."""
    return {
        value: "background" if value == 0 else name for name, value in labels.items() if not isinstance(value, list)
    }


def write_description(description: Mapping[str, Any], path: Path) -> None:
    """Write ``dataset.json`` as nnU-Net does."""
    path.write_text(json.dumps(description, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def link(source: Path, staged: Path, final: Path, root: Path) -> None:
    """Link to a file, or copy it where the file system has no links.

    The link to what lies beside the data set, below the same folder, is a relative one: that folder can be moved.

    Parameters
    ----------
    staged, final
        Where to write the link, and where it is going to lie.
    root
        Of the data set, links resolved.
    """
    leads_to = source.resolve()
    if leads_to.is_relative_to(root.parent):
        leads_to = Path(os.path.relpath(leads_to, final.parent.resolve()))
    try:
        staged.symlink_to(leads_to)
    except OSError:
        shutil.copyfile(source, staged)
