"""What strategies may ask for, and what they get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Flag, auto
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from albench.machine import scratch
from albench.seeding import Key
from albench.units.pool import Unit

Layers = Literal["decoder", "encoder", "all"]
Heads = Literal["trained", "weighted", "published"]
PseudoLabels = Literal["finest", "own"]
Fisher = Literal["mean", "one", "none"]
Loss = Literal["ce", "nnunet"]
LAYERS: tuple[str, ...] = get_args(Layers)
HEADS: tuple[str, ...] = get_args(Heads)
PSEUDO_LABELS: tuple[str, ...] = get_args(PseudoLabels)
FISHERS: tuple[str, ...] = get_args(Fisher)
LOSSES: tuple[str, ...] = get_args(Loss)
Source = Literal["dropout", "ensemble", "mirroring"]
SOURCES: tuple[str, ...] = get_args(Source)


class Need(Flag):
    """Quantities a strategy needs of the unlabelled units; each is computed once a round."""

    NOTHING = 0
    ENTROPY = auto()
    VARIANCE = auto()
    PREDICTIVE_ENTROPY = auto()
    MUTUAL_INFORMATION = auto()
    CLASS_ENTROPY = auto()
    FISHER = auto()
    BOTTLENECK = auto()
    LAST_LAYER = auto()
    FEATURES = auto()
    EXPECTED_ENTROPY = auto()
    EXPECTED_DICE = auto()
    STAGE_FEATURES = auto()


FREE_MOMENTS = (
    Need.VARIANCE | Need.PREDICTIVE_ENTROPY | Need.MUTUAL_INFORMATION | Need.CLASS_ENTROPY | Need.EXPECTED_ENTROPY
)
"""The needs that the same stochastic passes meet: they cost the time, not what is made of them."""
MOMENTS = FREE_MOMENTS | Need.EXPECTED_DICE
"""All that the passes meet; for the expected Dice all of a batch's passes are in memory at once."""
_SEEN_EACH = (Need.ENTROPY, MOMENTS, Need.FEATURES, Need.STAGE_FEATURES, Need.LAST_LAYER, Need.FISHER, Need.BOTTLENECK)


def unit_passes(needs: Need, has_variance: bool = False) -> int:
    """How often each unit is looked at to meet `needs`; the stochastic passes count as one.

    Parameters
    ----------
    has_variance
        Whether the variance, by which the units for FISHER are drawn, is known already.
    """
    if Need.FISHER in needs and not has_variance:
        needs |= Need.VARIANCE
    return sum(bool(needs & some) for some in _SEEN_EACH)


@dataclass(frozen=True)
class GradientSettings:
    """What the gradients of FISHER, BOTTLENECK and LAST_LAYER are of.

    Attributes
    ----------
    layers
        Convolutions of FISHER: ``"decoder"``, ``"encoder"`` or ``"all"`` of both. Neither the upsampling ones nor the
        heads.
    heads
        Deep-supervision heads whose losses are added up. nnU-Net weighs them 1, 1/2, 1/4, ... in training and the
        coarsest 0, which therefore stays as it was initialised. ``"trained"``: all but that one, each alike;
        ``"weighted"``: by nnU-Net's weights; ``"published"``: all, each alike, as in the code of Föllmer et al. 2024.
    pseudo_labels
        ``"finest"``: every head is held against the prediction of the finest, at the nearest voxel, as nnU-Net does
        with labels in training; ``"own"``: against its own, as in the code of Föllmer et al. 2024.
    fisher
        Diagonal of the Fisher information: ``"mean"`` over the units drawn for it; of ``"one"`` of them, as in the code
        of Föllmer et al. 2024; ``"none"``: one for every parameter, and parameters are drawn uniformly.
    loss
        ``"ce"``: cross-entropy; ``"nnunet"``: cross-entropy plus soft Dice loss, as nnU-Net trains with.

    Raises
    ------
    ValueError
        If a word is none of these.
    """

    layers: Layers = "decoder"
    heads: Heads = "trained"
    pseudo_labels: PseudoLabels = "finest"
    fisher: Fisher = "mean"
    loss: Loss = "ce"

    def __post_init__(self) -> None:
        allowed = {
            "layers": LAYERS,
            "heads": HEADS,
            "pseudo_labels": PSEUDO_LABELS,
            "fisher": FISHERS,
            "loss": LOSSES,
        }
        for name, words in allowed.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name}: expected one of {', '.join(words)}, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class ScoringRequest:
    """How to compute what is needed.

    Attributes
    ----------
    passes, dropout
        Stochastic forward passes and the dropout rate in them.
    batch_size
        Slices, or patches of the network's size, in one forward pass.
    bfloat16
        Whether the passes of the uncertainty source multiply in bfloat16.
    class_weights
        float64 (n_labels,): weight of each class in the uncertainty; they decide which units the Fisher
        diagonal is estimated on.
    key
        Random stream of dropout masks and Fisher draws.
    n_fisher_units, n_parameters
        Units for the Fisher diagonal and size of a gradient embedding.
    gradients
        What gradients are of.
    variance
        The variance of these units where it is known already; saves FISHER the stochastic passes.
    labelled
        Annotated units; their features are computed beside those of the unlabelled ones.
    source
        What uncertainty is measured over: ``"dropout"``, stochastic passes of the first model; ``"ensemble"``, one pass
        of each fold's model; ``"mirroring"``, one pass of the first model for each way to mirror the image that it was
        trained with.

    Raises
    ------
    ValueError
        If `source` is none of these.
    """

    passes: int
    dropout: float
    batch_size: int
    bfloat16: bool
    class_weights: NDArray[np.float64]
    key: tuple[Key, ...]
    n_fisher_units: int = 200
    n_parameters: int = 10_000
    gradients: GradientSettings = GradientSettings()
    labelled: Sequence[Unit] = ()
    variance: NDArray[np.float64] | None = None
    source: str = "dropout"

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"source: expected one of {', '.join(SOURCES)}, got {self.source!r}")


@dataclass(frozen=True, eq=False)
class FisherEmbedding:
    """Gradients of the sampled parameters.

    Attributes
    ----------
    gradients
        float32 (n, P).
    fisher
        float64 (P,): diagonal of the Fisher information at the sampled parameters, all positive; ones where
        `GradientSettings.fisher` is ``"none"``.
    """

    gradients: NDArray[np.float32]
    fisher: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Features:
    """Activations at the network's bottleneck, the output of the encoder's last stage, in one pass without dropout.

    With several folds, the first one's network.

    Attributes
    ----------
    unlabelled
        float32 (n, d).
    labelled
        float32 (m, d): of the m annotated units, in their order.
    """

    unlabelled: NDArray[np.float32]
    labelled: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scores:
    """Quantities of n units, in their order; None where nobody asked.

    Attributes
    ----------
    entropy
        float64 (n,): mean over voxels of the softmax entropy in nats, one pass without dropout.
    variance
        float64 (n, n_labels): mean over voxels of the variance of the softmax over the members of the source.
    predictive_entropy
        float64 (n,): mean over voxels of the entropy in nats of the softmax averaged over the members.
    mutual_information
        float64 (n,): `predictive_entropy` less the mean of each member's own entropy (BALD); never negative.
    class_entropy
        float64 (n, n_labels): mean over voxels of averaged softmax of the class times entropy of the averaged softmax.
    expected_entropy
        float64 (n,): mean over voxels and members of each member's own entropy in nats.
    expected_dice
        float64 (n,): mean over members and classes, background too, of the soft Dice of a member's softmax p_m with the
        averaged softmax p, 2 sum_v p p_m / sum_v (p + p_m) over the unit's voxels v; at most 1.
    fisher
        Gradients of the decoder's convolutions.
    bottleneck
        float32 (n, d): gradient of the encoder's deepest convolution, first d entries.
    last_layer
        float32 (n, d): gradient of the last decoder convolution's weights, loss at full resolution alone.
    features
        Bottleneck activations.
    stage_features
        float32 (n, d): activations of the encoder's second-deepest stage in one pass without dropout, mean over each
        unit, those of every fold's network side by side.

    Examples
    --------
    >>> import numpy as np, albench
    >>> scores = albench.Scores(entropy=np.array([0.2, 0.5]))
    >>> albench.select(budget=1, strategy="entropy", scores=scores).indices
    array([1])
    """

    entropy: NDArray[np.float64] | None = None
    variance: NDArray[np.float64] | None = None
    predictive_entropy: NDArray[np.float64] | None = None
    mutual_information: NDArray[np.float64] | None = None
    class_entropy: NDArray[np.float64] | None = None
    expected_entropy: NDArray[np.float64] | None = None
    expected_dice: NDArray[np.float64] | None = None
    fisher: FisherEmbedding | None = None
    bottleneck: NDArray[np.float32] | None = None
    last_layer: NDArray[np.float32] | None = None
    features: Features | None = None
    stage_features: NDArray[np.float32] | None = None

    def subset(self, rows: NDArray[np.int64], annotated: Sequence[int] = ()) -> Scores:
        """Return the quantities of the units at `rows`; those at `annotated` join the labelled ones.

        Examples
        --------
        >>> import numpy as np, albench
        >>> albench.Scores(entropy=np.array([0.2, 0.5, 0.3])).subset(np.array([2, 0])).entropy
        array([0.3, 0.2])
        """
        changed: dict[str, Any] = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, FisherEmbedding):
                changed[part.name] = FisherEmbedding(scratch.take(value.gradients, rows), value.fisher)
            elif isinstance(value, Features):
                labelled = value.labelled
                if annotated:
                    labelled = np.concatenate([labelled, value.unlabelled[list(annotated)]])
                changed[part.name] = Features(scratch.take(value.unlabelled, rows), labelled)
            elif value is not None:
                changed[part.name] = scratch.take(value, rows) if value.dtype == np.float32 else value[rows]
        return Scores(**changed)


def uncertainty(variance: NDArray[np.float64], class_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Class-weighted uncertainty u_i = sum_c w_c mean_v Var_t p_t(i, c, v); float64 (n,)."""
    return np.asarray(variance @ class_weights, dtype=np.float64)


def class_weights(labelled_voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Inverse-frequency class weights of Föllmer et al. 2024, for classes seen or not.

    Parameters
    ----------
    labelled_voxels
        int64 (n_labels,): labelled voxels of each class, background first.

    Returns
    -------
    ndarray
        float64 (n_labels,): proportional to 1 / (share among the labelled voxels), background 0, sum 1. A class
        not seen yet gets the largest weight of those seen; with no foreground seen at all, all weigh the same.
    """
    counts = np.asarray(labelled_voxels, dtype=np.float64)
    weights = np.zeros_like(counts)
    seen = counts > 0
    seen[0] = False
    weights[seen] = counts.sum() / counts[seen]
    unseen = ~seen
    unseen[0] = False
    weights[unseen] = weights.max() if seen.any() else 1.0
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised
