"""From descriptors to a space in which distances compare parts of equal weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from albench.coldstart.descriptors import block_widths

MAX_COMPONENTS = 64
_SMALLEST_SHARE = 1e-9  # of the first component's variance; below is rounding


def embed(descriptors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Standardise descriptors and reduce them to their principal components.

    Columns are centred, and each part (position, thumbnail, histogram, gradients) is divided by the root of its
    total variance, so that every part has the same say however many columns it has. Single columns are not
    standardised: that would make a corner of the image that is always air, but for noise, count as much as its
    middle. Components are not whitened, for the same reason. At most 64 leading ones are kept; a component's sign is
    such that its largest loading is positive.

    Parameters
    ----------
    descriptors
        (n, d) as `describe_slices` makes them.

    Returns
    -------
    ndarray
        float64 (n, k), 1 <= k <= 64. Zeros where all rows are equal.
    """
    X = descriptors.astype(np.float64)
    X -= X.mean(axis=0)
    start = 0
    for width in block_widths(X.shape[1]):
        part = X[:, start : start + width]
        total = float(np.square(part).sum()) / len(X)
        if total > 0:
            part /= np.sqrt(total)
        start += width
    variances, loadings = np.linalg.eigh(X.T @ X / len(X))
    variances, loadings = variances[::-1], loadings[:, ::-1]
    n_kept = int(np.sum(variances[:MAX_COMPONENTS] > _SMALLEST_SHARE * variances[0]))
    loadings = loadings[:, : max(1, n_kept)]
    largest = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=0)[None], axis=0)
    return np.asarray(X @ (loadings * np.where(largest < 0, -1.0, 1.0)))
