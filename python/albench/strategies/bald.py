"""Predictive entropy and mutual information of the averaged stochastic passes, plain and with power noise."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from albench.scoring.request import Need
from albench.strategies.base import Choice, Look, PoolView, Strategy, noise_ranked, positive, top

_POWER = "Kirsch et al., TMLR 2023; as used by Lüth et al., TMLR 2025 (nnActive)"


class PredictiveEntropy(Strategy):
    """Highest entropy of the softmax averaged over Monte-Carlo dropout passes, mean over voxels."""

    name = "predictive-entropy"
    look = Look("entropy", "8", "--")
    summary = "highest entropy of the softmax averaged over Monte-Carlo dropout passes"
    reference = "Lüth et al., TMLR 2025 (nnActive)"
    needs = Need.PREDICTIVE_ENTROPY

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Take the `budget` units of highest entropy."""
        return top(view.score("predictive_entropy"), budget)


class ExpectedEntropy(Strategy):
    """Highest mean of the Monte-Carlo dropout passes' own entropies, mean over voxels: predictive entropy less BALD."""

    name = "exp-entropy"
    look = Look("entropy", "d", ":")
    summary = "highest mean entropy of the Monte-Carlo dropout passes"
    reference = "Lüth et al., TMLR 2025 (nnActive)"
    needs = Need.EXPECTED_ENTROPY

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Take the `budget` units of highest entropy."""
        return top(view.score("expected_entropy"), budget)


class Bald(Strategy):
    """Highest mutual information between prediction and weights: entropy of the mean less mean of the entropies."""

    name = "bald"
    look = Look("disagreement", "v")
    summary = "highest mutual information between prediction and network weights"
    reference = "Houlsby et al. 2011; Gal et al., ICML 2017"
    needs = Need.MUTUAL_INFORMATION

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Take the `budget` units of highest mutual information."""
        return top(view.score("mutual_information"), budget)


class _Power(Strategy):
    """Ranks by log(score) + Gumbel(0, 1 / beta) noise."""

    quantity: ClassVar[str]

    def __init__(self, *, beta: float = 1.0) -> None:
        self.beta = positive("beta", beta)

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Take the `budget` highest of the noisy scores."""
        scores = view.score(self.quantity)
        chosen = noise_ranked(logarithm(scores), budget, rng, self.beta).indices
        return Choice(indices=chosen, scores=scores[chosen])


class PowerBald(_Power):
    """Draws by mutual information to the power of beta: log(BALD) plus Gumbel(0, 1 / beta) noise.

    Parameters
    ----------
    beta
        Coldness: near 0 a random draw, large the plain ranking. Lüth et al. also try 5, 10, 20 and 40.
    """

    name = "power-bald"
    look = Look("disagreement", "p", "-.")
    summary = "BALD with power noise, so that a batch does not repeat itself"
    reference = _POWER
    needs = Need.MUTUAL_INFORMATION
    quantity = "mutual_information"


class PowerPe(_Power):
    """Draws by predictive entropy to the power of beta: log(entropy) plus Gumbel(0, 1 / beta) noise.

    Parameters
    ----------
    beta
        Coldness: near 0 a random draw, large the plain ranking. Lüth et al. also try 5, 10, 20 and 40.
    """

    name = "power-pe"
    look = Look("entropy", "p", "-.")
    summary = "predictive entropy with power noise"
    reference = _POWER
    needs = Need.PREDICTIVE_ENTROPY
    quantity = "predictive_entropy"


class SoftrankBald(Strategy):
    """Ranks all units by -log(rank) + Gumbel(0, 1) noise, rank 1 being that of the highest BALD score.

    The batch is a draw without replacement in proportion to 1 / rank: of the scores their order alone plays a part.
    """

    name = "softrank-bald"
    look = Look("disagreement", "h", "--")
    summary = "BALD by noisy rank"
    reference = _POWER
    needs = Need.MUTUAL_INFORMATION

    def select(self, view: PoolView, budget: int, rng: np.random.Generator) -> Choice:
        """Draw by rank."""
        scores = view.score("mutual_information")
        ranked = top(scores, scores.size).indices
        ranks = np.arange(1, ranked.size + 1, dtype=np.float64)
        chosen = ranked[noise_ranked(-np.log(ranks), budget, rng).indices]
        return Choice(indices=chosen, scores=scores[chosen])


def logarithm(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm, -inf for zero and below."""
    return np.log(scores, out=np.full(scores.shape, -np.inf), where=scores > 0)
