"""What all set functions share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench_core import _core
from albench_core import arguments as check
from albench_core.similarities import spell_out


class SetFunction:
    """A set function over the ground set 0..n-1, with a memo of the set committed so far.

    What the functions' constructors have in common:

    Parameters
    ----------
    S
        (n, q) float32 or float64, finite: candidates by queries. C-contiguous float32 is borrowed, anything else
        copied.
    weights
        (q,) finite and >= 0: multiplicities of the queries; None: ones.
    eta
        Finite and >= 0.
    covered
        (q,) c, of the functions of facility location: finite, the similarity of each query that something outside of
        the ground set has to it already, such as ``similarity(labelled, Q).max(axis=0)``. Rounded to float32, negative
        ones count as 0. Gains and values are what is added to it: f of no elements is 0. None: zeros.

    Attributes
    ----------
    submodular
        Whether gains never rise while the set grows. Optimisers that rely on it refuse other functions.

    Examples
    --------
    >>> f = FacilityLocation([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    >>> f.n, f.submodular
    (3, True)
    """

    _f: _core.Function
    submodular: bool = True

    def __init_subclass__(cls) -> None:
        """Have `help` show the keywords of `from_features` one by one."""
        super().__init_subclass__()
        if "from_features" in vars(cls):
            spell_out(vars(cls)["from_features"].__func__)

    def __getattr__(self, name: str) -> Any:
        """Say what is missing of an object that no constructor has made: called where there is no such attribute."""
        if name == "_f":
            raise TypeError(f"this {type(self).__name__} was not made by a constructor of a set function")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def n(self) -> int:
        """Size of the ground set."""
        return self._f.size

    def gain(self, i: int) -> float:
        """Gain f(A + i) - f(A) for the committed set A; 0 for a member.

        Examples
        --------
        >>> FacilityLocation([[1.0, 0.0], [0.5, 0.75]]).gain(1)
        1.25
        """
        return self._f.gain(check.integer("i", i, 0, self.n - 1))

    def gains(self, indices: ArrayLike | None = None, n_threads: int | None = None) -> NDArray[np.float64]:
        """Gains f(A + i) - f(A) of many at once for the committed set A, the bits of `gain` each; 0 for a member.

        Costs what one step of naive greedy does: a look at the rows asked for, or for `GraphCutMI` and
        `LogDeterminantMI`, which know every gain at all times, next to nothing.

        Parameters
        ----------
        indices
            (k,) distinct indices in any order; None: all n.
        n_threads
            None: all cores this process may run on. The result does not depend on it.

        Returns
        -------
        (k,) float64, in the order of `indices`.

        Examples
        --------
        >>> f = FacilityLocation([[1.0, 0.0], [0.5, 0.75], [0.25, 0.5]])
        >>> f.gains()
        array([1.  , 1.25, 0.75])
        >>> f.commit(1)
        >>> f.gains([2, 0, 1])
        array([0. , 0.5, 0. ])
        """
        asked = np.arange(self.n, dtype=np.int64) if indices is None else check.indices("indices", indices, self.n)
        return self._f.gains(asked, check.threads(n_threads))

    def commit(self, i: int) -> None:
        """Add `i` to the committed set; adding a member changes nothing.

        Examples
        --------
        >>> f = FacilityLocation([[1.0, 0.0], [0.5, 0.75]])
        >>> f.commit(0)
        >>> f.gain(1)
        0.75
        """
        self._f.commit(check.integer("i", i, 0, self.n - 1))

    def reset(self) -> None:
        """Empty the committed set.

        Examples
        --------
        >>> f = FacilityLocation([[1.0, 0.0], [0.5, 0.75]])
        >>> f.commit(0)
        >>> f.reset()
        >>> f.gain(1)
        1.25
        """
        self._f.reset()

    def evaluate(self, indices: ArrayLike) -> float:
        """Value of any set of distinct indices, from the definition; leaves the committed set alone.

        Examples
        --------
        >>> FacilityLocation([[1.0, 0.0], [0.5, 0.75]]).evaluate([0, 1])
        1.75
        """
        return self._f.evaluate(check.indices("indices", indices, self.n))
