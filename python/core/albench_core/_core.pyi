from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64] | None

class Source: ...

class Function:
    @property
    def size(self) -> int: ...
    @property
    def diminishing(self) -> bool: ...
    def gain(self, i: int) -> float: ...
    def gains(self, indices: NDArray[np.int64], n_threads: int) -> NDArray[np.float64]: ...
    def commit(self, i: int) -> None: ...
    def reset(self) -> None: ...
    def evaluate(self, indices: NDArray[np.int64]) -> float: ...

def matrix_source(S: NDArray[np.float32]) -> Source: ...
def feature_source(X: NDArray[Any], Q: NDArray[Any], metric: str, scale: _Floats, n_threads: int) -> Source: ...
def isa() -> str: ...
def similarity(
    X: NDArray[Any], Q: NDArray[Any], metric: str, scale: _Floats, n_threads: int
) -> NDArray[np.float32]: ...
def facility_location(
    source: Source,
    weights: _Floats,
    eta: float,
    caps: _Floats,
    covered: _Floats,
    held_bytes: int,
    bound_bytes: int,
    n_threads: int,
) -> Function: ...
def graph_cut(source: Source, weights: _Floats, lam: float, clip: bool, n_threads: int) -> Function: ...
def concave_over_modular(source: Source, weights: _Floats, eta: float, concave: str, n_threads: int) -> Function: ...
def log_determinant(
    source: Source,
    ground: NDArray[Any],
    queries: NDArray[np.float32],
    metric: str,
    scale: _Floats,
    eta: float,
    regularization: float,
    n_threads: int,
) -> Function: ...
def maximize(
    f: Function,
    budget: int,
    optimizer: str,
    epsilon: float,
    seed: int,
    candidates: NDArray[np.int64],
    callback: Callable[[int, int, float], object] | None,
    n_threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], float]: ...

class KeptBlocks: ...

def rivals(
    f: Function,
    rows: NDArray[np.float32],
    gains: NDArray[np.float64],
    ties_below: NDArray[np.int64],
    members: NDArray[np.int64],
    margin: float,
    most_close: int,
    n_threads: int,
) -> NDArray[np.int64]: ...
def kcenter_greedy(
    X: NDArray[Any], budget: int, centres: NDArray[Any] | None, taken: NDArray[np.int64], n_threads: int
) -> NDArray[np.int64]: ...
def kmeans_plusplus(X: NDArray[Any], budget: int, seed: int, n_threads: int) -> NDArray[np.int64]: ...
