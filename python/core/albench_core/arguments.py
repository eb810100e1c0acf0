"""Checks of arguments: what comes in as anything leaves as a number or an array of known kind."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench_core.cores import n_cores
from albench_core.errors import InputError


def wrong(argument: str, expected: str, got: object) -> InputError:
    """Make an error that names the argument, what was expected and what was found."""
    try:
        said = str(got)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        said = "an integer of thousands of digits"
    return InputError(f"`{argument}`: expected {expected}, got {said}")


def plain(argument: str, value: ArrayLike) -> NDArray[Any]:
    """Return what is given as an array of NumPy's own class, as a view where it is one already; no masked one."""
    if _masked(value):
        raise wrong(argument, "an array without a mask", "a masked array, whose `filled` says what stands for the rest")
    try:
        return np.asarray(value)
    except Exception as error:  # `__array__` of any class may raise anything
        raise wrong(argument, "an array", f"a {type(value).__name__} of which NumPy makes none: {error}") from error


def _masked(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_masked, value))
    return hasattr(value, "mask") and isinstance(value, np.ma.MaskedArray)


def threads(n_threads: int | None) -> int:
    """Return the number of threads to use: where none is given, one for every core this process may keep busy."""
    if n_threads is None:
        return n_cores()
    return integer("n_threads", n_threads, 1, 1024)


def integer(argument: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an int within low..high."""
    expected = f"an integer in {low}..{high}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise wrong(argument, expected, _quoted(value))
    if not low <= value <= high:
        raise wrong(argument, expected, value)
    return int(value)


def number(argument: str, value: Any, low: float = 0.0, high: float = np.inf) -> float:
    """Return `value` as a finite float within low..high."""
    expected = f"a finite number in [{low:g}, {high:g}]" if high < np.inf else f"a finite number >= {low:g}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise wrong(argument, expected, _quoted(value))
    try:
        checked = float(value)
    except OverflowError:
        checked = np.inf
    if not (np.isfinite(checked) and low <= checked <= high):
        raise wrong(argument, expected, value)
    return checked


def positive(argument: str, value: Any) -> float:
    """Return `value` as a finite float > 0."""
    checked = number(argument, value)
    if checked == 0.0:
        raise wrong(argument, "a finite number > 0", value)
    return checked


METRICS = ("cosine", "dot", "euclidean", "rbf")


def choice(argument: str, value: Any, known: tuple[str, ...]) -> str:
    """Return `value` if it is one of the known names."""
    if not isinstance(value, str) or value not in known:
        raise wrong(argument, f"one of {', '.join(known)}", _quoted(value))
    return str(value)


def _quoted(value: Any) -> str:
    try:
        said = repr(value)
    except Exception:  # any class may come here
        said = f"a {type(value).__name__}"
    return said if len(said) <= 100 else f"{said[:100]}..."


def metric(value: Any) -> str:
    """Return the name of a known metric."""
    return choice("metric", value, METRICS)


def finite(argument: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a matrix that holds neither NaN nor infinity."""
    rows = np.isfinite(array).all(axis=1)
    if not rows.all():
        raise wrong(argument, "finite values within float32", f"NaN or infinity in row {int(np.argmin(rows))}")
    return array


def kernel(argument: str, value: ArrayLike, size: int) -> NDArray[np.float32]:
    """Return a finite matrix (size, size), symmetric up to what rounding in float32 leaves."""
    array = finite(argument, matrix(argument, value, size, size))
    largest = float(np.abs(array).max())
    asymmetry = float(np.abs(array - array.T).max())
    if asymmetry > 1e-4 * max(largest, 1e-30):
        raise wrong(argument, "a symmetric matrix", f"entries that differ by {asymmetry:g} from their mirror")
    return array


def present(argument: str, weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where weights are positive."""
    where = np.flatnonzero(weights)
    if where.size == 0:
        raise wrong(argument, "some weight > 0", "all 0")
    return where


def features(argument: str, value: ArrayLike) -> NDArray[Any]:
    """Check a (n, d) matrix of float16, bfloat16 (as uint16), float32 or float64; does not copy."""
    array = plain(argument, value)
    if array.ndim != 2 or 0 in array.shape:
        raise wrong(argument, "a matrix (rows, features) with at least one of each", f"shape {array.shape}")
    if array.dtype.name == "bfloat16":
        array = array.view(np.uint16)
    known = array.dtype == np.uint16 or array.dtype in (np.float16, np.float32, np.float64)
    if not known:
        raise wrong(argument, "dtype float16, bfloat16, float32 or float64", array.dtype)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def pair(X: ArrayLike, Q: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Check features of candidates (n, d) and of queries (q, d)."""
    rows, queries = features("X", X), features("Q", Q)
    if rows.shape[1] != queries.shape[1]:
        raise wrong("Q", f"shape (q, {rows.shape[1]})", f"shape {queries.shape}")
    return rows, queries


def matrix(argument: str, value: ArrayLike, rows: int | None = None, cols: int | None = None) -> NDArray[np.float32]:
    """Return similarities in C-contiguous float32, copied only where they are something else."""
    array = plain(argument, value)
    expected = f"shape ({'n' if rows is None else rows}, {'q' if cols is None else cols})"
    if (
        array.ndim != 2
        or 0 in array.shape
        or (rows is not None and array.shape[0] != rows)
        or (cols is not None and array.shape[1] != cols)
    ):
        raise wrong(argument, f"a non-empty matrix of {expected}", f"shape {array.shape}")
    if array.dtype not in (np.float32, np.float64):
        raise wrong(argument, "dtype float32 or float64", array.dtype)
    with np.errstate(over="ignore"):  # what does not fit float32 becomes infinite, which the core reports
        return np.require(array, np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def vector(argument: str, value: ArrayLike | None, length: int) -> NDArray[np.float64] | None:
    """Return finite non-negative numbers (length,), or None."""
    if value is None:
        return None
    array = plain(argument, value)
    if array.shape != (length,):
        raise wrong(argument, f"shape ({length},)", f"shape {array.shape}")
    if array.dtype.kind not in "fiu":
        raise wrong(argument, "real numbers", f"dtype {array.dtype}")
    with np.errstate(over="ignore"):
        array = np.require(array, np.float64, ["C_CONTIGUOUS", "ALIGNED"])
    if not np.isfinite(array).all():
        raise wrong(argument, "finite numbers", f"NaN or infinity at {int(np.argmin(np.isfinite(array)))}")
    if (array < 0).any():
        raise wrong(argument, "numbers >= 0", f"{array.min():g} at {int(np.argmin(array))}")
    return array


def covered(value: ArrayLike | None, length: int) -> NDArray[np.float64] | None:
    """Return start maxima (length,) as they count: in float32, negative ones as 0."""
    if value is None:
        return None
    array = plain("covered", value)
    if array.shape != (length,):
        raise wrong("covered", f"shape ({length},)", f"shape {array.shape}")
    if array.dtype.kind not in "fiu":
        raise wrong("covered", "real numbers", f"dtype {array.dtype}")
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float32)
    if not np.isfinite(rounded).all():
        raise wrong("covered", "finite numbers within float32", f"{array[int(np.argmin(np.isfinite(rounded)))]}")
    return np.maximum(rounded, 0).astype(np.float64)


def indices(argument: str, value: ArrayLike, size: int) -> NDArray[np.int64]:
    """Return distinct indices within 0..size-1, in the order given."""
    array = plain(argument, value)
    if array.ndim != 1:
        raise wrong(argument, "a list of indices", f"shape {array.shape}")
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise wrong(argument, "integers", f"dtype {array.dtype}")
    low, high = array.min(), array.max()
    if low < 0 or high >= size:
        raise wrong(argument, f"indices in 0..{size - 1}", low if low < 0 else high)
    unique, counts = np.unique(array, return_counts=True)
    if unique.size < array.size:
        raise wrong(argument, "distinct indices", f"{unique[counts.argmax()]} more than once")
    return np.require(array, np.int64, ["C_CONTIGUOUS", "ALIGNED"])
