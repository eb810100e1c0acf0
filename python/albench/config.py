"""Settings of a study as validated data; `albench.protocols` reads them from files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from albench.errors import is_plain

MOST_ROUNDS, MOST_UNITS = 10_000, 10**9
_LONGEST_TEXT = 500


def _text(value: str) -> str:
    if not value.strip() or len(value) > _LONGEST_TEXT or not is_plain(value):
        raise ValueError(f"expected 1 to {_LONGEST_TEXT} printable characters")
    return value


# Far above any use and far below what overflows: with settings beyond, a study would fail after hours and not at once.
Count = Annotated[int, Field(ge=1, le=10**9)]
PositiveFloat = Annotated[float, Field(gt=0, le=1e9)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=1e9)]
Text = Annotated[str, AfterValidator(_text)]
Share = Annotated[float, Field(gt=0, lt=1)]
StartMethod = Literal["random", "k-centre", "typical", "all-classes", "labelled"]
START_METHODS: tuple[str, ...] = get_args(StartMethod)
PatchGrid = Literal["tiling", "overlapping"]
SplitBy = Literal["fixed", "seed"]
SPLITS: tuple[str, ...] = get_args(SplitBy)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PoolSettings(_Settings):
    """Which cases form the pool and which are held out.

    Attributes
    ----------
    max_cases
        Cases in the pool, drawn by seed; None takes all that are not held out.
    test_share, max_test_cases
        Share of the cases held out for testing, and an upper bound on their number.
    split_by
        ``fixed``: every seed is tested on the same cases. ``seed``: on others, so that their choice is part of what
        varies between seeds.
    test_folds
        Number k of folds that the cases are shared out among, one of which is held out instead of `test_share`: fold
        0, or with ``split_by: seed`` the seed modulo k. None: no folds.
    group_by
        Which cases belong together, as scans of one patient do: never one in the pool and another tested on, nor in
        two folds. ``auto``: as the data set says, or names that are known to name a patient; ``none``: each case by
        itself; else a regular expression with one group that finds the patient in a case's name.
    start
        Units annotated before the first training.
    start_method
        How they are chosen: uniformly, or by what the images look like (`albench.coldstart`); around voxels of every
        class, which reads labels that nobody has drawn yet; or all units that are labelled, whatever `start` says, of
        data whose labels are partial.
    patch_size
        Voxels along (z, y, x) of the original grid that a 3D patch has at most; None: a third of the median shape.
        For 3d_fullres alone: with 2d, units are slices.
    patch_grid
        ``tiling``: disjoint patches of nearly equal size, `patch_size` at most. ``overlapping``: patches of exactly
        `patch_size` half a patch apart; what overlaps an annotated one can no longer be chosen.
    max_per_case
        Units of one case that a query may hold; None: any number.
    """

    max_cases: Count | None
    test_share: Share
    max_test_cases: Count | None
    split_by: SplitBy = "fixed"
    test_folds: Annotated[int, Field(ge=2, le=10**9)] | None = None
    group_by: Text = "auto"
    start: Count
    start_method: StartMethod = "random"
    patch_size: tuple[Count, Count, Count] | None = None
    patch_grid: PatchGrid = "tiling"
    max_per_case: Count | None = None


class NetworkSettings(_Settings):
    """Departures from nnU-Net's own plans; None keeps what nnU-Net plans.

    Attributes
    ----------
    configuration
        ``2d``: units are slices; ``3d_fullres``: units are 3D patches.
    base_features
        Channels of the first stage; they double with every stage.
    max_stages
        Upper bound on the resolution stages.
    max_edge
        Voxels: the median slice (with 3d_fullres the median volume) is resampled to a larger spacing until no edge is
        longer.
    dropout
        Rate of the dropout layers in training.
    dropout_kind
        What they drop at once: an ``element`` of a feature map, or a whole ``channel`` of it.
    """

    configuration: Literal["2d", "3d_fullres"]
    base_features: Count
    max_stages: Annotated[int, Field(ge=2, le=10**9)] | None
    batch_size: Annotated[int, Field(ge=2, le=10**9)] | None
    max_edge: Annotated[int, Field(ge=16, le=10**9)] | None
    dropout: Annotated[float, Field(ge=0, lt=1)]
    dropout_kind: Literal["element", "channel"] = "element"


class TrainingSettings(_Settings):
    """How long and how to train.

    Attributes
    ----------
    first_iterations, round_iterations
        Batches in the first and in each later training.
    full_iterations
        Batches in the training of the ceiling `full`; None: as many as all trainings of a chain together.
    warm_start
        Start a round from the last round's weights instead of fresh ones.
    reinitialise_heads
        Whether a warm start leaves the segmentation layers (of all resolutions) at fresh weights, as nnU-Net does with
        pretrained ones.
    momentum
        Nesterov momentum; its horizon of 1 / (1 - momentum) batches has to be short against a training.
    mirroring
        Whether images are mirrored at random, as nnU-Net does. Short trainings then confuse classes that differ
        by their side only, as left and right parotid.
    oversample_foreground
        Share of a batch that is centred on a foreground voxel.
    case_sampling
        How the case of an image in a batch is drawn among those with annotated units: ``units`` in proportion to their
        number, so that every unit is seen as often as any other; ``uniform`` each case alike, as nnU-Net does.
    window_offset
        Whether an image that is not centred on foreground has the annotated voxel it was drawn by anywhere in it, as in
        nnActive, or in its middle, as in nnU-Net.
    dice_smooth
        Added to numerator and denominator of the loss's Dice; nnU-Net: 1e-5.
    folds
        1: one model learns from every annotated unit. k: k models, each from the units of the cases outside its fold;
        together they predict.
    compile
        Whether torch.compile optimises the network for training; ``auto``: on a GPU, in trainings of 5,000 iterations
        and more, since compiling takes a minute or so each time. Never on the processor.
    """

    first_iterations: Count
    round_iterations: Count
    full_iterations: Count | None = None
    initial_lr: PositiveFloat
    momentum: Annotated[float, Field(ge=0, lt=1)]
    mirroring: bool
    warm_start: bool
    reinitialise_heads: bool = False
    oversample_foreground: Annotated[float, Field(ge=0, le=1)]
    case_sampling: Literal["units", "uniform"] = "units"
    window_offset: bool = False
    dice_smooth: NonNegativeFloat = 1e-5
    folds: Count = 1
    compile: Literal["auto", "on", "off"] = "auto"


class ScoringSettings(_Settings):
    """What uncertainty over the pool is measured with.

    Attributes
    ----------
    source
        ``dropout``: stochastic forward passes of the (first fold's) model; ``ensemble``: the models of all folds;
        ``mirroring``: the (first) model's passes over the image mirrored in every way that training mirrors.
    passes, dropout
        Number of stochastic passes, and the rate of the dropout layers in them.
    batch_size
        Slices or 3D patches of the network's size in one forward pass.
    precision
        Number format of the stochastic passes and of USIM-F's gradients; ``auto`` is bfloat16 on processors that
        multiply it natively. It moves the scores by far less than another draw of dropout masks does; how many of the
        chosen units stay the same is in benchmarks/results/scoring.md.
    """

    passes: Annotated[int, Field(ge=2, le=10**9)]
    dropout: Share
    batch_size: Count
    precision: Literal["auto", "float32", "bfloat16"]
    source: Literal["dropout", "ensemble", "mirroring"] = "dropout"


class EvaluationSettings(_Settings):
    """How test cases are predicted and measured.

    Attributes
    ----------
    mirroring
        Whether logits are averaged over images mirrored along the axes that training mirrors, as nnU-Net does.
    surface_metrics
        Whether NSD and HD95 are computed besides Dice.
    tolerance_mm
        Of the NSD; None takes the data set's own, and where it has none there is no NSD.
    """

    mirroring: bool = False
    surface_metrics: bool = True
    tolerance_mm: PositiveFloat | None = None


class CostSettings(_Settings):
    """What annotating a slice takes, in seconds: a fixed part, one per foreground voxel and one per border voxel.

    The defaults are an order of magnitude, not a measurement. They put an abdominal organ that a CT shows in 60 slices
    (outlines of about 300 voxels around 7,000) at half an hour, the lower end of the 30 to 60 minutes that Qu et al.
    (AbdomenAtlas, NeurIPS 2023) give for one organ of one volume: 10 s to open a slice and look, 0.05 s for a voxel of
    outline (20 voxels a second), and little for what lies inside, which tools fill.

    Attributes
    ----------
    slice_s
        A slice, empty or not. A 3D patch has as many as along its shortest edge.
    foreground_voxel_s, border_voxel_s
        A foreground voxel, and one that has a neighbour of another label.
    """

    slice_s: NonNegativeFloat = 10.0
    foreground_voxel_s: NonNegativeFloat = 0.0005
    border_voxel_s: NonNegativeFloat = 0.05


class Protocol(_Settings):
    """One way to run a study.

    Attributes
    ----------
    cpu_threads
        Threads of one chain where it runs on the CPU. Sums are split by thread, so another number may change
        the last bits of a result.
    budget
        Units annotated in each of the `rounds` - 1 queries: one number for all, or one for each, of which the first
        `rounds` - 1 count.
    rounds
        Trainings of a chain, the one on the starting set included.
    """

    name: Text
    cpu_threads: Count
    pool: PoolSettings
    budget: int | tuple[int, ...]
    rounds: Annotated[int, Field(ge=1, le=MOST_ROUNDS)]
    network: NetworkSettings
    training: TrainingSettings
    scoring: ScoringSettings
    evaluation: EvaluationSettings = EvaluationSettings()
    annotation_cost: CostSettings = CostSettings()

    @field_validator("budget", mode="before")
    @classmethod
    def _one_budget_or_several(cls, value: Any) -> Any:
        several = value if isinstance(value, (list, tuple)) else [value]
        if not several or not all(type(each) is int and 0 < each <= MOST_UNITS for each in several):
            raise ValueError("expected a whole number from 1 to a billion, or a list of them, one for each query")
        return value

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Protocol:
        if isinstance(self.budget, tuple) and len(self.budget) < self.rounds - 1:
            raise ValueError(
                f"budget: expected a number for each of the {self.rounds - 1} queries, got {len(self.budget)}"
            )
        if self.training.reinitialise_heads and not self.training.warm_start:
            raise ValueError("training.reinitialise_heads: expected training.warm_start true as well, got false")
        if self.pool.patch_size is not None and self.network.configuration == "2d":
            raise ValueError("pool.patch_size: expected null with network.configuration 2d, whose units are slices")
        if self.pool.patch_grid == "overlapping":
            if self.network.configuration == "2d":
                raise ValueError(
                    "pool.patch_grid: expected tiling with network.configuration 2d, whose units are slices"
                )
            if self.pool.start_method not in ("random", "all-classes"):
                raise ValueError(
                    "pool.patch_grid: expected tiling, or a start_method random or all-classes, which pass over what "
                    f"overlaps, got {self.pool.start_method}"
                )
        if self.scoring.source == "ensemble" and self.training.folds < 2:
            raise ValueError("scoring.source: expected training.folds of at least 2 for an ensemble, got 1")
        if self.scoring.source == "mirroring" and not self.training.mirroring:
            raise ValueError("scoring.source: expected training.mirroring true as well for mirroring, got false")
        if self.evaluation.mirroring and not self.training.mirroring:
            raise ValueError("evaluation.mirroring: expected training.mirroring true as well, got false")
        return self

    def iterations_before(self, round_number: int) -> int:
        """Count the iterations of a chain before its round `round_number`."""
        training = self.training
        return training.first_iterations + (round_number - 1) * training.round_iterations if round_number else 0

    @property
    def chain_iterations(self) -> int:
        """Iterations of all trainings of one chain."""
        return self.iterations_before(self.rounds)

    @property
    def ceiling_iterations(self) -> int:
        """Iterations of the one training of the ceiling `full`."""
        return self.training.full_iterations or self.chain_iterations

    @property
    def budgets(self) -> tuple[int, ...]:
        """Units annotated in each query; a chain has one query fewer than trainings."""
        n_queries = self.rounds - 1
        return self.budget[:n_queries] if isinstance(self.budget, tuple) else (self.budget,) * n_queries


def runs(budgets: Sequence[int]) -> list[tuple[int, int]]:
    """How often each budget comes one after the other: ``[(5, 100), (2, 900)]``."""
    return [(len(list(alike)), budget) for budget, alike in groupby(budgets)]


class StudyConfig(_Settings):
    """Everything that decides what a study computes; written to OUT/config.json.

    The number of seeds and the list of strategies are not settings of a result but a choice of which results
    to have, so a finished study can be extended by more of either. Paths and the device count are left out:
    a study may move.

    Attributes
    ----------
    groups
        Digest of which cases belong together; None where none do.
    dataset_kind
        What the images are of: a note for reports, no setting, hence in neither the digest nor a comparison.
    dataset_root
        Where the data set lay: a note as well, for messages.
    trusted_geometry
        Number of cases whose label or further channel says another position, orientation or spacing than the image,
        which was trusted; None where it was not. A note as well: no number depends on it.
    """

    dataset: str
    dataset_checksum: str
    dataset_kind: Annotated[Literal["patients", "phantom"] | None, Field(exclude=True)] = None
    dataset_root: Annotated[str | None, Field(exclude=True)] = None
    trusted_geometry: Annotated[int | None, Field(exclude=True)] = None
    groups: str | None = None
    trainer: Literal["nnunet", "fake"]
    device: Literal["cpu", "cuda"]
    protocol: Protocol

    def digest(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON form."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines ``path: old -> new`` for every leaf in which two nested dictionaries differ."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        left, right = old.get(key), new.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            lines += difference(left, right, f"{prefix}{key}.")
        elif left != right:
            lines.append(f"{prefix}{key}: {left!r} -> {right!r}")
    return lines
