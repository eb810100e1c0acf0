"""Which part of an image a training looks at: nnU-Net's loader, and nnActive's way of placing windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from numpy.typing import NDArray


class OffsetLoader(nnUNetDataLoader):  # type: ignore[misc]
    """nnU-Net's loader, but a window that is not centred on foreground has its annotated voxel anywhere in it.

    nnU-Net puts the annotated voxel that such a window is drawn by into its middle, so that what lies around the middle
    of annotated patches is seen most and the ignored voxels beside them are never at the other side. nnActive's trainer
    (MIC-DKFZ/nnUNet, branch nnActive_base, commit 5c16d7cff219a137da513f44de25e1006bb8f2b9,
    ``nnUNetTrainer_betterIgnoreSampling``) moves the window's middle away from the voxel, along each axis uniformly by
    up to half the window either way, the middle never leaving the image.

    Draws from NumPy's global generator, as all of nnU-Net's loader does: `albench.training.loader` seeds it.
    """

    def get_bbox(
        self,
        data_shape: Sequence[int],
        force_fg: bool,
        class_locations: Mapping[Any, NDArray[np.int32]],
        overwrite_class: Any = None,
        verbose: bool = False,
    ) -> tuple[list[int], list[int]]:
        """Bounds of a window, int per axis, beyond the image where that is smaller.

        Parameters
        ----------
        data_shape
            Of the image, axes (z, y, x).
        force_fg
            Whether the window is to be centred on foreground, as nnU-Net does it.
        class_locations
            Annotated voxels of each class, int32 (n, 4) of (0, z, y, x), and of all classes together.
        """
        key = self.annotated_classes_key
        if not force_fg and self.has_ignore and len(class_locations[key]) > 0:
            annotated = class_locations[key]
            voxel = np.array(annotated[np.random.choice(len(annotated))])  # noqa: NPY002
            voxel[1:] += _offset(voxel[1:], data_shape, self.patch_size)
            class_locations = {key: voxel[None]}
        bounds: tuple[list[int], list[int]] = super().get_bbox(
            data_shape, force_fg, class_locations, overwrite_class, verbose
        )
        return bounds


def _offset(voxel: NDArray[np.int32], shape: Sequence[int], window: Sequence[int]) -> NDArray[np.int64]:
    """Draw by how much the middle of a window moves away from a voxel; int64 per axis."""
    back = np.minimum(voxel, np.asarray(window) // 2)
    ahead = np.minimum(np.asarray(shape) - voxel, np.asarray(window) // 2)
    # A window of one voxel, the slice of a 2D network, stays where it is.
    return np.asarray(np.random.randint(-back, np.maximum(ahead, 1 - back)), dtype=np.int64)  # noqa: NPY002
