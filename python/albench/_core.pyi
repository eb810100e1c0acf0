from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

class Function:
    @property
    def size(self) -> int: ...
    def gain(self, i: int) -> float: ...
    def commit(self, i: int) -> None: ...
    def reset(self, n_threads: int) -> None: ...
    def evaluate(self, rows: NDArray[np.int64]) -> float: ...

def isa() -> str: ...
def similarity(
    X: NDArray[np.generic],
    Q: NDArray[np.generic],
    metric: str,
    scale: NDArray[np.float64] | None,
    n_threads: int,
) -> NDArray[np.float32]: ...
def facility_location(
    S: NDArray[np.float32], weights: NDArray[np.float64] | None, eta: float, n_threads: int
) -> Function: ...
def maximize(
    f: Function,
    budget: int,
    optimizer: str,
    candidates: NDArray[np.int64],
    callback: Callable[[int, int, float], object] | None,
    n_threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], float]: ...
