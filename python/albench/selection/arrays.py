"""Checks of what callers give, one row a unit: NumPy arrays, lists, tensors of PyTorch."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench_core.arguments import indices, plain, wrong

_BLOCK_ROWS = 1024


def is_tensor(value: object) -> bool:
    """Whether something is a tensor of PyTorch; where nobody has imported that, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def array(argument: str, value: Any) -> NDArray[Any]:
    """Return an array of NumPy's; a tensor leaves its device and its graph."""
    if not is_tensor(value):
        return plain(argument, value)
    values = value.detach().cpu()
    return np.asarray((values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy())


def which(argument: str, value: Any, n: int) -> NDArray[np.int64]:
    """Return which of n rows are meant, ascending: by distinct indices in any order, or by a mask bool (n,)."""
    given = array(argument, value)
    if given.dtype.kind != "b":
        return np.sort(indices(argument, given, n))
    if given.shape != (n,):
        raise wrong(argument, f"indices, or a mask of shape ({n},)", f"a mask of shape {given.shape}")
    return np.flatnonzero(given).astype(np.int64)


def labels(argument: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """Replace labels (n,) of any one kind that can be compared by their places in order; int64 (n,)."""
    if values.ndim != 1:
        raise wrong(argument, "shape (n,)", f"shape {values.shape}")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise wrong(argument, "a label for every unit", f"NaN in row {int(np.argmax(np.isnan(values)))}")
    try:
        return np.unique(values, return_inverse=True)[1].astype(np.int64)
    except TypeError as error:
        raise wrong(argument, "labels of one kind that can be compared", str(error)) from None


@dataclass(frozen=True, eq=False)
class Rows:
    """Some of n rows, of which every array has to have as many.

    Attributes
    ----------
    n, told_by
        How many, and the argument that said so first.
    taken
        int64 (k,) ascending: what is taken of every array; the others may hold anything, NaN too.
    """

    n: int
    told_by: str
    taken: NDArray[np.int64]

    def numbers(self, argument: str, value: Any, ndim: tuple[int, ...]) -> NDArray[np.float64]:
        """Return finite real numbers, float64 (k,) or (k, C), as `ndim` allows."""
        values = array(argument, value)
        if values.ndim not in ndim or 0 in values.shape[1:]:
            allowed = " or ".join("(n,)" if axes == 1 else "(n, C)" for axes in ndim)
            raise wrong(argument, f"shape {allowed}", f"shape {values.shape}")
        if values.dtype.kind not in "fiub":
            raise wrong(argument, "real numbers", f"dtype {values.dtype}")
        return self._finite(argument, self.of(argument, values).astype(np.float64, copy=False))

    def embedding(self, argument: str, value: Any) -> NDArray[np.float32]:
        """Return finite rows in C-contiguous float32 (k, d), copied only where they are something else."""
        values = array(argument, value)
        if values.ndim != 2 or values.shape[1] == 0:
            raise wrong(argument, "shape (n, d)", f"shape {values.shape}")
        if values.dtype.kind not in "fiu":
            raise wrong(argument, "real numbers", f"dtype {values.dtype}")
        with np.errstate(over="ignore"):
            return self._finite(argument, np.ascontiguousarray(self.of(argument, values), dtype=np.float32))

    def of(self, argument: str, values: NDArray[Any]) -> NDArray[Any]:
        """Return the rows taken, a view where they are all."""
        if values.shape[0] != self.n:
            raise wrong(argument, f"{self.n} rows, as {self.told_by} has", values.shape[0])
        return values if self.taken.size == self.n else values[self.taken]

    def _finite(self, argument: str, values: NDArray[Any]) -> NDArray[Any]:
        # Block by block: embeddings are large enough for a mask of all of them to matter.
        for begin in range(0, len(values), _BLOCK_ROWS):
            finite = np.isfinite(values[begin : begin + _BLOCK_ROWS])
            if not finite.all():
                row = self.taken[begin + int(np.argmin(finite.reshape(len(finite), -1).all(axis=1)))]
                raise wrong(argument, "finite numbers", f"NaN or infinity in row {row}")
        return values
