"""Preprocessed cases with the labels of the annotated units, at a bounded cost in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import blosc2
import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from numpy.typing import NDArray

from albench.errors import InputError
from albench.machine import scratch
from albench.training.preprocess import PreprocessedStore
from albench.units.pool import Unit, by_case

MEMORY_BYTES = 2**30
"""Images and labels of a training that are held in memory; the rest is read from disk, batch by batch."""

Label = int | tuple[int, ...]
"""A label value, or several that count as one."""

_SLAB_VOXELS = 2**24
_MIN_LOCATIONS, _SHARE_OF_LOCATIONS = 10_000, 0.01  # nnU-Net's


class AnnotatedLabels:
    """Label map of one case as far as it is annotated, the ignore label elsewhere; read part by part.

    Parameters
    ----------
    reference
        The complete label map, int16 (1, z, y, x): an array, or one of blosc2 on disk.
    boxes
        Parts of it that are annotated, a slice per spatial axis, neither open nor empty.
    ignore
        Value of all other voxels.
    """

    dtype = np.dtype(np.int16)

    def __init__(self, reference: Any, boxes: Sequence[tuple[slice, ...]], ignore: int) -> None:
        self._reference = reference
        self._starts = np.array([[part.start for part in box] for box in boxes], dtype=np.int64).reshape(-1, 3)
        self._stops = np.array([[part.stop for part in box] for box in boxes], dtype=np.int64).reshape(-1, 3)
        self._ignore = ignore
        self.shape: tuple[int, ...] = tuple(reference.shape)

    def __getitem__(self, window: tuple[slice, ...]) -> NDArray[np.int16]:
        """Labels in a window: a slice of step 1 for each of the four axes."""
        bounds = [part.indices(length) for part, length in zip(window, self.shape, strict=True)]
        complete = np.asarray(self._reference[tuple(slice(low, high) for low, high, _ in bounds)])
        labels = np.full_like(complete, self._ignore)
        origin = np.array([low for low, _, _ in bounds[1:]])
        starts = np.maximum(self._starts - origin, 0)
        stops = np.minimum(self._stops - origin, complete.shape[1:])
        for row in np.flatnonzero((starts < stops).all(axis=1)):
            box = (slice(None), *map(slice, starts[row], stops[row]))
            labels[box] = complete[box]
        return labels

    def slabs(self) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Yield first plane and labels of runs of planes along z with something annotated in them, cut where long."""
        marked = np.zeros(self.shape[1], dtype=bool)
        for start, stop in zip(self._starts[:, 0], self._stops[:, 0], strict=True):
            marked[start:stop] = True
        step = max(1, _SLAB_VOXELS // (self.shape[2] * self.shape[3]))
        edges = np.flatnonzero(np.diff(marked, prepend=False, append=False))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            for low in range(first, last, step):
                yield low, self[:, low : min(low + step, last), :, :]


def sample_locations(labels: AnnotatedLabels, classes: Sequence[Label]) -> dict[Label, NDArray[np.int32]]:
    """Sample voxels of each class, as nnU-Net's preprocessor does and with the same draws.

    nnU-Net's own routine (`DefaultPreprocessor._sample_foreground_locations`) takes about 90 bytes a labelled voxel,
    this one 8.

    Parameters
    ----------
    classes
        Label values, or tuples of them that count as one class.

    Returns
    -------
    dict
        For each class int32 (n, 4) of (0, z, y, x), at least a hundredth of its voxels and at least 10,000 where there
        are so many.
    """
    values = {value for label in classes for value in (label if isinstance(label, tuple) else (label,))}
    # Positions in the flattened map of each label's voxels, ascending.
    kind = np.int32 if math.prod(labels.shape) < 2**31 else np.int64
    places: dict[int, list[NDArray[Any]]] = {value: [] for value in sorted(values)}
    plane = labels.shape[2] * labels.shape[3]
    for first, slab in labels.slabs():
        flat = slab.ravel()
        for value, chunks in places.items():
            where = np.flatnonzero(flat == value)
            chunks.append((where + first * plane).astype(kind))
    joined = {value: np.concatenate(chunks) if chunks else np.empty(0, kind) for value, chunks in places.items()}
    del places
    rng = np.random.RandomState(1234)
    result: dict[Label, NDArray[np.int32]] = {}
    for label in classes:
        parts = [joined[value] for value in (label if isinstance(label, tuple) else (label,))]
        ends = np.cumsum([part.size for part in parts])
        total = int(ends[-1])
        n = max(min(_MIN_LOCATIONS, total), int(np.ceil(total * _SHARE_OF_LOCATIONS)))
        if total == 0:
            result[label] = np.empty((0, 4), dtype=np.int32)
            continue
        # As RandomState.choice without replacement, which shuffles numbers of twice the size.
        order = np.arange(total, dtype=kind)
        rng.shuffle(order)
        picked = order[:n].astype(np.int64)
        del order
        flat_places = np.empty(n, dtype=np.int64)
        of_part = np.searchsorted(ends, picked, side="right")
        for number, part in enumerate(parts):
            inside = of_part == number
            flat_places[inside] = part[picked[inside] - (ends[number] - part.size)]
        result[label] = np.stack(np.unravel_index(flat_places, labels.shape), axis=1).astype(np.int32)
    return result


class AnnotatedDataset(nnUNetBaseDataset):  # type: ignore[misc]
    """Preprocessed cases as nnU-Net's data loader wants them, labelled in the annotated units only.

    All other voxels carry nnU-Net's ignore label; cases without an annotated unit are left out. Cases with the most
    annotated units are held in memory and shared with forked loader processes, up to a number of bytes; of the others
    the loader reads the part that it crops. What it gets is the same.

    Parameters
    ----------
    store
        The preprocessed data set.
    units
        Annotated units of the store's pool.
    memory_bytes
        Bound on the arrays held in memory; None: `MEMORY_BYTES`.
    """

    def __init__(self, store: PreprocessedStore, units: Iterable[Unit], memory_bytes: int | None = None) -> None:
        annotated = by_case(units)
        super().__init__(str(store.case_folder), sorted(annotated))
        manager = store.label_manager
        classes: list[Label] = [*manager.foreground_labels, (-1, *manager.all_labels)]
        self.n_units = {case: len(of_case) for case, of_case in annotated.items()}
        self._store = store
        self._ignore = int(manager.ignore_label)
        self._boxes = {case: [store.box(unit) for unit in of_case] for case, of_case in annotated.items()}
        self._properties = {case: store.properties(case) for case in annotated}
        self._held: dict[str, tuple[NDArray[np.float32], NDArray[np.int16]]] = {}
        left = MEMORY_BYTES if memory_bytes is None else memory_bytes
        with scratch.Stack(4, np.int32) as locations:
            for case in sorted(annotated, key=lambda name: (-self.n_units[name], name)):
                image, labels = self._open(case)
                self._properties[case]["class_locations"] = {
                    label: locations.append(rows) for label, rows in sample_locations(labels, classes).items()
                }
                n_bytes = sum(math.prod(part.shape) * part.dtype.itemsize for part in (image, labels))
                if n_bytes <= left:
                    left -= n_bytes
                    self._held[case] = (np.asarray(image[:]), labels[:, :, :, :])
            rows = locations.array()
        for properties in self._properties.values():
            of_case = properties["class_locations"]
            properties["class_locations"] = {label: rows[part] for label, part in of_case.items()}

    def _open(self, case: str) -> tuple[blosc2.NDArray, AnnotatedLabels]:
        image, reference = self._store.open_image(case), self._store.open_reference(case)
        if image.shape[1:] != reference.shape[1:] or reference.shape[0] != 1:
            raise InputError(
                f"{self._store.case_folder}: expected a label for each voxel of {case}, found an image of "
                f"{image.shape} and labels of {reference.shape}"
            )
        return image, AnnotatedLabels(reference, self._boxes[case], self._ignore)

    def load_case(self, identifier: str) -> tuple[Any, Any, None, dict[str, Any]]:
        """Image, annotated labels, no earlier stage, properties with class locations.

        Image and labels are arrays, or something that gives an array for a window of it.
        """
        image, labels = self._held[identifier] if identifier in self._held else self._open(identifier)
        return image, labels, None, self._properties[identifier]

    @staticmethod
    def save_case(data: Any, seg: Any, properties: Any, output_filename_truncated: str) -> None:
        """Refuse: annotations are laid over preprocessed cases as they are read."""
        raise TypeError("AnnotatedDataset is read-only")

    @staticmethod
    def get_identifiers(folder: str) -> list[str]:
        """Names of the preprocessed cases in `folder`."""
        raise TypeError("AnnotatedDataset has the cases that it was made with")
