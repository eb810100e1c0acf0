"""What stochastic passes or the networks of an ensemble say of units, from their softmax maps, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray

from albench.scoring.request import Scores
from albench.selection.arrays import array, is_tensor
from albench_core.arguments import wrong

_SUM_TOLERANCE = 0.02  # what half precision makes of 1 over many classes


def moments(members: Iterable[Any]) -> Scores:
    r"""Scores of n units from the softmax of several members: stochastic passes, networks, augmentations.

    The formulas are those by which a round of al-bench makes scores of its own network's passes. With p_t the softmax
    of member t, p its mean over the members and H the entropy in nats, all are means over voxels.

    Parameters
    ----------
    members
        Softmax maps (n, C, \*spatial) of one shape, background first: NumPy arrays or tensors of PyTorch on any device,
        without spatial axes where units are classified as a whole. One member is in memory at a time, beside four
        arrays of its size. Half precision is widened to float32.

    Returns
    -------
    Scores
        ``predictive_entropy`` H(p), ``expected_entropy`` mean_t H(p_t), ``class_entropy`` p_c H(p). Of two members or
        more ``variance`` Var_t p_t and ``mutual_information`` H(p) - mean_t H(p_t) (Houlsby et al. 2011); of a list, a
        tuple or one array (T, n, C, \*spatial), which can be gone over again, ``expected_dice`` too. Of a single member
        ``entropy``.

    Raises
    ------
    InputError
        No member; one of another shape or library than the first; one that is no softmax over axis 1.

    Examples
    --------
    >>> import numpy as np
    >>> sure, torn = np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> scores = moments([sure, torn])  # two members' opinions of two units
    >>> scores.variance.tolist(), scores.mutual_information.round(3).tolist()
    ([[0.0, 0.0], [0.25, 0.25]], [0.0, 0.693])
    """
    try:
        maps = enumerate(members)
    except TypeError:
        raise wrong("members", "softmax maps, one after the other", type(members).__name__) from None
    sums: _Sums | None = None
    for number, member in maps:
        p = _checked(f"members[{number}]", member)
        if sums is None:
            sums = _Sums(p)
        sums.add(f"members[{number}]", p)
    if sums is None:
        raise wrong("members", "at least one softmax map", "none")
    scores = sums.scores()
    if sums.n_members > 1 and (isinstance(members, Sequence | np.ndarray) or is_tensor(members)):
        dice = np.mean([sums.dice(_checked("members", member)) for member in members], axis=0)
        scores["expected_dice"] = np.asarray(dice, dtype=np.float64)
    return Scores(**scores)


def _checked(argument: str, member: Any) -> Any:
    """Return a softmax map as (n, C, voxels), an array or a tensor where it was one, of at least single precision."""
    if is_tensor(member):
        p = member.detach()
        p = p if p.is_floating_point() and p.element_size() >= 4 else p.float()
    else:
        p = array(argument, member)
        if p.dtype.kind not in "fiub":
            raise wrong(argument, "real numbers", f"dtype {p.dtype}")
        p = p if p.dtype in (np.float32, np.float64) else p.astype(np.float32)
    if p.ndim < 2 or p.shape[1] < 2 or 0 in p.shape:
        raise wrong(argument, "shape (n, C, ...) with two classes or more", f"shape {tuple(p.shape)}")
    p = p.reshape(p.shape[0], p.shape[1], -1)
    off = float(abs(p.sum(1) - 1).max())
    if not (off <= _SUM_TOLERANCE and float(p.min()) >= 0):
        raise wrong(argument, "a softmax over axis 1, numbers >= 0 that add up to 1", f"sums that are off by {off:.3g}")
    return p


class _Sums:
    """Mean, squared deviations and entropies of maps (n, C, voxels) that come one by one, by Welford's recurrence.

    The array's own library computes; what is written here is understood by NumPy and PyTorch alike.
    """

    def __init__(self, first: Any) -> None:
        self._on_tensors = is_tensor(first)
        self._library = sys.modules["torch"] if self._on_tensors else np
        self._entr = self._library.special.entr if self._on_tensors else scipy.special.entr
        self._mean, self._squares = self._library.zeros_like(first), self._library.zeros_like(first)
        self._entropy = np.zeros(len(first))
        self.n_members = 0

    def add(self, argument: str, p: Any) -> None:
        """Take in one member."""
        if is_tensor(p) != self._on_tensors:
            kinds = ("an array of NumPy's", "a tensor")
            raise wrong(argument, f"{kinds[self._on_tensors]} as the first", kinds[not self._on_tensors])
        if p.shape != self._mean.shape:
            raise wrong(argument, f"as many units, classes and voxels as the first, {tuple(self._mean.shape)}",
                        tuple(p.shape))  # fmt: skip
        self.n_members += 1
        self._entropy += self._over_voxels(self._entr(p).sum(1)[:, None])[:, 0]
        delta = p - self._mean
        self._mean += delta / self.n_members
        # Welford's second factor, p less the mean after, is (1 - 1 / n) times the first.
        delta *= delta
        delta *= 1 - 1 / self.n_members
        self._squares += delta

    def scores(self) -> dict[str, Any]:
        """Means over voxels and members by the names of `Scores`, float64 (n,) or (n, C)."""
        n_voxels = self._mean.shape[2]
        entropy = self._entr(self._mean).sum(1)[:, None]
        predictive = self._over_voxels(entropy)[:, 0] / n_voxels
        own = self._entropy / (self.n_members * n_voxels)
        found = {
            "predictive_entropy": predictive,
            "expected_entropy": own,
            "class_entropy": self._over_voxels(self._mean * entropy) / n_voxels,
        }
        if self.n_members == 1:
            return found | {"entropy": own.copy()}
        variance = self._over_voxels(self._squares) / n_voxels / self.n_members
        # Jensen: never negative but for rounding.
        return found | {"variance": variance, "mutual_information": np.maximum(predictive - own, 0)}

    def dice(self, p: Any) -> NDArray[np.float64]:
        """Soft Dice of a member with the mean of all, mean over the classes that either has any of; float64 (n,)."""
        both, either = self._over_voxels(self._mean * p), self._over_voxels(self._mean + p)
        ratios = np.divide(2 * both, either, out=np.full(both.shape, np.nan), where=either > 0)
        return np.asarray(np.nanmean(ratios, axis=1), dtype=np.float64)

    def _over_voxels(self, maps: Any) -> NDArray[np.float64]:
        """Sum (n, c, voxels) over the last axis in double precision."""
        sums = maps.sum(-1, dtype=self._library.float64)
        return np.asarray(sums.cpu().numpy() if self._on_tensors else sums, dtype=np.float64)
