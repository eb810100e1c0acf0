"""Submodular mutual information as a query strategy of scikit-activeml; ``pip install 'al-bench[skactiveml]'``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench import core
from albench.strategies.query import QuerySet, draw_query, drawn
from albench_core.arguments import integer, vector, wrong

try:
    from skactiveml.base import SingleAnnotatorPoolQueryStrategy
    from skactiveml.utils import MISSING_LABEL, is_unlabeled
except ImportError as error:
    raise ImportError(
        f"albench.skactiveml: expected scikit-activeml, pip install 'al-bench[skactiveml]': {error}"
    ) from error

__all__ = ["SubmodularMI"]


class SubmodularMI(SingleAnnotatorPoolQueryStrategy):  # type: ignore[misc] # there are no types to check it by
    """Mutual information between the batch and the uncertain part of the pool.

    Of the unlabeled samples a query set is drawn in proportion to their uncertainty; the batch A maximises
    sum_q w_q max_a s(a, q) + eta sum_a max_q s(a, q), w_q being how often q was drawn, greedily and with negative
    similarities counting as 0. It is what the strategy ``usim-c`` of al-bench does with features of its own
    (Föllmer et al., MIDL 2024).

    Parameters
    ----------
    metric
        ``"cosine"``, ``"dot"``, ``"euclidean"`` or ``"rbf"``: similarity s, as `albench.core.similarity` defines it.
    eta
        At least 0: weight of the batch's own relevance to the query set against its coverage of it.
    optimizer
        ``"lazy"`` and ``"naive"`` are the exact greedy choice; ``"stochastic"`` and ``"lazier"`` look at some of the
        candidates in every step.
    query_size
        How often a sample is drawn; None: by the knee of the sorted uncertainties and at least five times the batch, as
        published.
    missing_label
        What stands for a missing label in `y`.
    random_state
        Seed of the draw, and of the sampling optimizers.

    Examples
    --------
    >>> import numpy as np
    >>> from albench.skactiveml import SubmodularMI
    >>> X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> y = np.array([0.0, np.nan, np.nan, np.nan])
    >>> SubmodularMI(random_state=0).query(X, y, uncertainty=[0.0, 1.0, 0.0, 3.0], batch_size=2)
    array([3, 2])
    """

    def __init__(
        self,
        metric: str = "cosine",
        eta: float = 1.0,
        optimizer: str = "lazy",
        query_size: int | None = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.metric = metric
        self.eta = eta
        self.optimizer = optimizer
        self.query_size = query_size

    def query(
        self,
        X: ArrayLike,
        y: ArrayLike,
        uncertainty: ArrayLike | None = None,
        candidates: ArrayLike | None = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Choose samples to be labeled.

        Parameters
        ----------
        X
            (n_samples, n_features): labeled and unlabeled samples.
        y
            (n_samples,): their labels.
        uncertainty
            (n_samples,), at least 0: how much is to be learned about each sample of `X`; of labeled ones it plays no
            part and may be NaN. None: all alike.
        candidates
            None: the unlabeled samples; (n_candidates,) int: indices into `X`; (n_candidates, n_features): samples
            themselves. The query set is drawn from the unlabeled samples of `X` whatever the candidates, from the
            candidates where `X` has none.
        batch_size
            How many; fewer, with a warning, where there are not as many candidates.
        return_utilities
            Whether to return the gains, too.

        Returns
        -------
        query_indices
            int64 (batch_size,): indices into `X`, or into `candidates` where those are samples, in order of choice.
        utilities
            float64 (batch_size, n_samples), or (batch_size, n_candidates): what each candidate would have added when
            the first, second, ... was chosen; NaN for all that are no candidates and those taken before.

        Raises
        ------
        ValueError, TypeError
            Naming the argument.
        """
        features, labels, candidates, batch_size, return_utilities = self._validate_data(
            X, y, candidates, batch_size, return_utilities, reset=True, check_X_dict={"allow_nd": False}
        )
        samples, places = self._transform_candidates(candidates, features, labels)
        if len(samples) == 0:
            raise wrong("candidates", "at least one unlabeled sample", "none")
        # Of a seed drawn once: what is chosen does not depend on whether utilities are wanted.
        rng = np.random.default_rng(self.random_state_.randint(2**31 - 1, size=2).tolist())
        queried, query = self._query_set(features, labels, samples, places, uncertainty, batch_size, rng)
        f = core.FacilityLocationVariantMI.from_features(
            samples, queried[query.indices], metric=self.metric, weights=query.weights, eta=self.eta
        )
        chosen = core.maximize(f, batch_size, optimizer=self.optimizer, seed=int(rng.integers(2**63))).indices
        indices = chosen if places is None else np.asarray(places, dtype=np.int64)[chosen]
        if not return_utilities:
            return indices
        return indices, self._utilities(f, chosen, places, len(features))

    def _query_set(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        samples: NDArray[Any],
        places: NDArray[Any] | None,
        uncertainty: ArrayLike | None,
        batch_size: int,
        rng: np.random.Generator,
    ) -> tuple[NDArray[Any], QuerySet]:
        """Return samples that could be drawn, and which were."""
        unlabeled = np.flatnonzero(is_unlabeled(y, self.missing_label_))
        rows = unlabeled if unlabeled.size else places
        weights = np.ones(len(samples) if rows is None else len(rows))
        if uncertainty is not None and rows is not None:
            given = np.asarray(uncertainty, dtype=np.float64)
            if given.shape != (len(X),):
                raise wrong("uncertainty", f"shape ({len(X)},)", f"shape {given.shape}")
            of_rows = vector("uncertainty", given[rows], len(rows))
            assert of_rows is not None
            weights = of_rows
        if self.query_size is None:
            query = draw_query(weights, batch_size, rng)
        else:
            query = drawn(weights, integer("query_size", self.query_size, 1, 2**31), rng)
        return samples if rows is None else X[rows], query

    @staticmethod
    def _utilities(
        f: core.SetFunction, chosen: NDArray[np.int64], places: NDArray[Any] | None, n_samples: int
    ) -> NDArray[np.float64]:
        """Gains of all candidates before each choice."""
        columns = np.arange(f.n) if places is None else np.asarray(places)
        utilities = np.full((len(chosen), f.n if places is None else n_samples), np.nan)
        f.reset()
        for step, index in enumerate(chosen):
            gains = f.gains()
            gains[chosen[:step]] = np.nan
            utilities[step, columns] = gains
            f.commit(int(index))
        return utilities
