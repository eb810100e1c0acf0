"""Units in batches of one shape, padded to what the network can take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window
from numpy.typing import NDArray
from torch.nn import functional

from albench.units.pool import Unit, positions_by_case

Box = tuple[slice, ...]
"""Part of an image: a slice per spatial axis, neither open nor empty."""


def within(box: Box, *leading: Any) -> Any:
    """Index of a box in an array with `leading` axes before the spatial ones."""
    return (*leading, *box)


@dataclass(frozen=True)
class UnitBatch:
    """Images of one case with the units in them.

    Attributes
    ----------
    positions
        int64 (u,): positions of the units in the list they were asked for by.
    images
        float32 (b, channel, row, column) or (b, channel, z, row, column), padded.
    crop
        Part of the padded image that a unit covers, where it is the same for all and each image holds one unit, in
        order; None otherwise.
    regions
        Otherwise: for each unit the image it is in and the part of that image it covers.
    """

    positions: NDArray[np.int64]
    images: torch.Tensor
    crop: Box | None
    regions: tuple[tuple[int, Box], ...] = ()

    def __iter__(self) -> Iterator[tuple[int, Box]]:
        """Image and box of every unit."""
        if self.crop is not None:
            return ((item, self.crop) for item in range(len(self.positions)))
        return iter(self.regions)

    def cut(self, maps: torch.Tensor) -> torch.Tensor:
        """Leave of (b, c, *spatial) what belongs to units, as far as one cut can: all but the padding."""
        return maps if self.crop is None else maps[within(self.crop, ...)]

    def sums(self, maps: torch.Tensor, classes: bool) -> torch.Tensor:
        """Sum over each unit's voxels of maps that `cut` was applied to.

        Parameters
        ----------
        maps
            (b, c, *spatial).
        classes
            Whether to keep the classes apart.

        Returns
        -------
        Tensor
            float64 (u, c), or (u,) with all classes added up.
        """
        axes = tuple(range(2 if classes else 1, maps.ndim))
        if self.crop is not None:
            return maps.sum(dim=axes, dtype=torch.float64)
        axes = tuple(axis - 1 for axis in axes)
        return torch.stack(
            [maps[within(box, item, slice(None))].sum(dim=axes, dtype=torch.float64) for item, box in self]
        )

    def mask(self, like: torch.Tensor) -> torch.Tensor:
        """1 where an image's unit is and 0 elsewhere; of the shape (b, 1, *spatial) and the type of `like`."""
        inside = torch.zeros_like(like)
        if self.crop is not None:
            inside[within(self.crop, ...)] = 1
        for item, box in self.regions:
            inside[within(box, item, slice(None))] = 1
        return inside

    def n_voxels(self) -> torch.Tensor:
        """Voxels of each unit; float64 (u,)."""
        counts = [np.prod([part.stop - part.start for part in box]) for _, box in self]
        return torch.tensor(counts, dtype=torch.float64, device=self.images.device)


BatchMaker = Callable[[Sequence[Unit]], Iterator[UnitBatch]]
"""Makes batches of the units in a list; positions in a batch are those in that list."""


def padded_edge(length: int, patch: int, divisor: int) -> int:
    """Smallest edge at least `length` and `patch` that `divisor` divides."""
    return -(-max(length, patch) // divisor) * divisor


def pad_images(images: torch.Tensor, patch_size: Sequence[int], divisors: Sequence[int]) -> tuple[torch.Tensor, Box]:
    """Pad (b, c, *spatial) images with zeros, centred as nnU-Net does; zero is the mean after normalisation."""
    pads: list[int] = []
    crop: list[slice] = []
    for length, patch, divisor in zip(images.shape[2:], patch_size, divisors, strict=True):
        extra = padded_edge(length, patch, divisor) - length
        pads = [extra // 2, extra - extra // 2, *pads]  # functional.pad counts from the last axis
        crop.append(slice(extra // 2, extra // 2 + length))
    return functional.pad(images, pads), tuple(crop)


def slice_batches(
    units: Sequence[Unit],
    image_of: Callable[[str], Any],
    first_slice_of: Callable[[str], int],
    *,
    patch_size: Sequence[int],
    divisors: Sequence[int],
    batch_size: int,
    device: torch.device,
) -> Iterator[UnitBatch]:
    """Batches of the slices that `units` name, case by case.

    Parameters
    ----------
    units
        In any order.
    image_of
        Preprocessed image of a case, float32 (channel, slice, row, column): an array, or what gives one when indexed.
    first_slice_of
        Original index of a case's first preprocessed slice.
    divisors
        The network halves rows and columns until they were divided by these.
    """
    for case, positions in positions_by_case(units).items():
        image = image_of(case)
        first = first_slice_of(case)
        for begin in range(0, len(positions), batch_size):
            chunk = positions[begin : begin + batch_size]
            tensor = torch.from_numpy(np.stack([image[:, units[p].index - first] for p in chunk])).to(device)
            padded, crop = pad_images(tensor, patch_size, divisors)
            yield UnitBatch(np.asarray(chunk, dtype=np.int64), padded, crop)


def patch_batches(
    units: Sequence[Unit],
    image_of: Callable[[str], Any],
    box_of: Callable[[Unit], Box],
    *,
    patch_size: Sequence[int],
    divisors: Sequence[int],
    batch_size: int,
    device: torch.device,
    shared: bool,
) -> Iterator[UnitBatch]:
    """Batches of windows of the network's patch size around the 3D patches that `units` name, case by case.

    A window reaches beyond the image only where the image is smaller, and is zero there. It is larger than the
    network's patch only where a unit is.

    Parameters
    ----------
    units
        In any order.
    image_of
        Preprocessed image of a case, float32 (channel, z, y, x): an array, or what gives one when indexed.
    box_of
        Part of its case's image that a unit covers.
    patch_size, divisors
        Of the network: voxels of its patch, and how far it halves them.
    batch_size
        Windows in a batch.
    shared
        True: windows lie on a regular grid, half a patch apart as in nnU-Net's prediction, and each holds all units
        that it is nearest to; one pass serves them all. False: every unit has a window of its own with the unit in the
        middle, as far as the image goes.
    """
    for case, positions in positions_by_case(units).items():
        image = image_of(case)
        windows: dict[tuple[tuple[int, ...], tuple[int, ...], int], list[tuple[int, Box]]] = {}
        for position in positions:
            box = box_of(units[position])
            edges, starts = _window(box, image.shape[1:], patch_size, divisors, shared)
            inside = tuple(
                slice(part.start - start, part.stop - start) for part, start in zip(box, starts, strict=True)
            )
            windows.setdefault((edges, starts, 0 if shared else position), []).append((position, inside))
        for edges in dict.fromkeys(key[0] for key in windows):
            alike = [(key[1], held) for key, held in windows.items() if key[0] == edges]
            for begin in range(0, len(alike), batch_size):
                chunk = alike[begin : begin + batch_size]
                cut = np.stack([cut_window(image, starts, edges) for starts, _ in chunk])
                yield UnitBatch(
                    np.array([position for _, held in chunk for position, _ in held], dtype=np.int64),
                    torch.from_numpy(cut).to(device),
                    None,
                    tuple((item, box) for item, (_, held) in enumerate(chunk) for _, box in held),
                )


def _window(
    box: Box, shape: Sequence[int], patch_size: Sequence[int], divisors: Sequence[int], shared: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Edges and start of the window that holds a unit; a negative start lies in the padding."""
    edges, starts = [], []
    for part, length, patch, divisor in zip(box, shape, patch_size, divisors, strict=True):
        edge = padded_edge(part.stop - part.start, patch, divisor)
        edges.append(edge)
        if length <= edge:
            starts.append(-((edge - length) // 2))
            continue
        start = min(max((part.start + part.stop - edge) // 2, 0), length - edge)
        if shared:
            (steps,) = compute_steps_for_sliding_window((length,), (edge,), 0.5)
            holding = [step for step in steps if step <= part.start and part.stop <= step + edge]
            start = min(holding, key=lambda step: abs(2 * step + edge - part.start - part.stop), default=start)
        starts.append(start)
    return tuple(edges), tuple(starts)


def cut_window(image: Any, starts: Sequence[int], edges: Sequence[int]) -> NDArray[np.float32]:
    """Part of a float32 (channel, z, y, x) image, with zeros where the window reaches beyond it."""
    window = np.zeros((image.shape[0], *edges), dtype=np.float32)
    source, target = [slice(None)], [slice(None)]
    for start, edge, length in zip(starts, edges, image.shape[1:], strict=True):
        low, high = max(start, 0), min(start + edge, length)
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    window[tuple(target)] = image[tuple(source)]
    return window
