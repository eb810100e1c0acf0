"""Choosing rows by a strategy of the registry."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albench.scoring.request import Scores
from albench.selection.view import Known, make_view
from albench.strategies import Strategy, choose, make_strategy
from albench_core.arguments import integer, wrong


@dataclass(frozen=True, eq=False)
class Selection:
    """What `select` chose.

    Attributes
    ----------
    indices
        int64 (budget,): rows of what was given, in order of choice.
    scores
        float64 (budget,): each chosen unit's own score, NaN where the strategy has none.
    gains
        float64 (budget,): what each choice added to the objective, NaN where there is none.

    Examples
    --------
    >>> import albench
    >>> chosen = albench.select(uncertainty=[0.1, 0.3, 0.2], budget=2, strategy="mcd")
    >>> chosen.indices, chosen.scores, chosen.gains
    (array([1, 2]), array([0.3, 0.2]), array([nan, nan]))
    """

    indices: NDArray[np.int64]
    scores: NDArray[np.float64]
    gains: NDArray[np.float64]


def select(
    features: ArrayLike | None = None,
    budget: int | None = None,
    *,
    strategy: str | Strategy = "usim-c",
    uncertainty: ArrayLike | None = None,
    scores: Scores | None = None,
    gradients: ArrayLike | None = None,
    fisher: ArrayLike | None = None,
    labelled: ArrayLike | None = None,
    candidates: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    max_per_group: int | None = None,
    class_weights: ArrayLike | None = None,
    random_state: int | np.random.Generator = 0,
) -> Selection:
    """Choose the units to annotate next, of n that a model of any kind has looked at.

    The strategies are those of `al-bench strategies`, by name and with parameters as there, and the choice is what a
    round of al-bench makes of the same numbers. What a strategy needs and is not given, the error names. Lists, NumPy
    arrays and tensors are taken.

    Parameters
    ----------
    features
        (n, d): what units are similar by, such as pooled activations of the encoder. ``usim-c``, whose own similarity
        is that of gradients at the bottleneck, ``coreset`` and ``kmeans-bald`` look at them.
    budget
        How many units: 1 to as many as may be chosen.
    strategy
        ``NAME`` or ``NAME+key=value``, or an object of a strategy.
    uncertainty
        (n,) or (n, C), at least 0: what the variance of the softmax over stochastic passes is to al-bench; of C
        classes, background first. It comes before the variance in `scores`.
    scores
        As `moments` makes them.
    gradients
        (n, P): gradients of the loss with pseudo-labels; ``badge``, ``usim-f`` and its relatives look at them.
    fisher
        (P,), more than 0: diagonal of the Fisher information at the P parameters.
    labelled
        Units that are annotated already, by indices or as a mask (n,): never chosen; ``coreset`` keeps away from them,
        ``equidistant`` counts them. What is known of their uncertainty plays no part.
    candidates
        Units that may be chosen if they are not labelled, by indices or as a mask (n,); None: all. The others are left
        out altogether, also of what the choice is to represent.
    groups
        (n,): the case of each unit, a name or a number. Units of a case are taken to lie in the order of the rows.
    max_per_group
        How many units of one case may be chosen; None: any number.
    class_weights
        (C,), at least 0: weight of each class in the uncertainty; None: background 0, all others alike.
    random_state
        Seed, 0 to 2^64 - 1, or a generator, which is used up: the only source of randomness.

    Returns
    -------
    Selection
        Indices in order of choice, with scores and gains. A schedule over rounds, as ``claspe`` has it, is at its end.

    Raises
    ------
    InputError
        Naming the argument that is missing or not what was expected; for an unknown strategy; or for one that cannot
        work from arrays, with the reason: ``random-fg66`` and ``random-fg33`` read ground truth, ``full`` takes all.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> chosen = select(features, 2, strategy="usim-c+query=expected", uncertainty=[4.0, 2.0, 3.0, 1.0])
    >>> chosen.indices.tolist()
    [1, 2]
    >>> select(features, 2, strategy="coreset", labelled=[0]).indices.tolist()
    [2, 1]
    >>> select(features, 2, strategy="bald")
    Traceback (most recent call last):
    albench_core.errors.InputError: strategy 'bald': expected scores=albench.moments(members) of two members or more
    """
    chosen_by = make_strategy(strategy) if isinstance(strategy, str) else strategy
    if not isinstance(chosen_by, Strategy):
        raise wrong("strategy", "the name of a strategy or an object of one", type(strategy).__name__)
    known = Known(features, uncertainty, scores, gradients, fisher, labelled, candidates, groups, class_weights)
    view, rows = make_view(chosen_by, known)
    n_wanted = integer("budget", budget, 1, rows.size)
    bound = None
    if max_per_group is not None:
        if groups is None:
            raise wrong("groups", "the case of every unit, for max_per_group", None)
        bound = integer("max_per_group", max_per_group, 1, 2**62)
        most = sum(min(bound, size) for size in Counter(unit.case for unit in view.units).values())
        if n_wanted > most:
            raise wrong("max_per_group", f"a bound that lets {n_wanted} units be chosen", f"{bound}: {most} units")
    found = choose(chosen_by, view, n_wanted, _generator(random_state), max_per_case=bound)
    return Selection(rows[found.indices], found.scores, found.gains)


def _generator(random_state: Any) -> np.random.Generator:
    if isinstance(random_state, np.random.Generator):
        return random_state
    return np.random.default_rng(integer("random_state", random_state, 0, 2**64 - 1))
