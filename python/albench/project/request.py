"""What somebody wants of a project: queries and trainings, as the command line and Python say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from albench.annotation.annotators import require_annotators
from albench.errors import InputError

Uncertainty = Literal["auto", "dropout", "ensemble", "mirroring"]
UnitKind = Literal["auto", "slice", "patch"]
Prefill = Literal["prediction", "background", "none"]
Editor = Literal["any", "itksnap", "slicer", "mitk"]
COLD_STARTS = ("typical", "k-centre", "random")
"""Ways to choose where there is no model yet."""


@dataclass(frozen=True)
class QueryRequest:
    """A question: which units should be annotated next.

    Attributes
    ----------
    images
        Folder of ``<case>_0000<ending>`` files, or a raw data set.
    out
        Folder to make.
    budget
        Units to ask for.
    strategy
        With its parameters; None: ``usim-f`` with a model, ``typical`` without.
    model
        nnU-Net's folder of a trained model; None: cold start.
    dataset
        Raw data set that holds what is annotated; without a model its ``dataset.json`` says the labels. None: `images`
        where that is one with labels.
    folds, checkpoint, trust_checkpoint
        As for `albench.training.given.open_model`.
    uncertainty
        What it is measured over; ``auto``: dropout layers, else several folds, else mirrored images.
    unit, patch_size
        What is annotated at once: slices, or patches of (z, y, x) voxels; ``auto``: slices with networks that look at
        slices, patches with others.
    max_per_case, max_cases
        Most units of one case, and most cases; None: any number.
    prefill
        What asked units hold when they are handed out.
    audit
        Units of the budget that are drawn uniformly, to measure the model by.
    annotators
        Names; whole cases are shared out among them.
    exclude
        Queries (``query.json``, ``query.csv``) whose units are not asked again, and names of cases.
    trust_image_geometry
        Whether labels lie over their images voxel by voxel, whatever their headers say.
    name
        Of the data set, in random streams too; None: that of the folder.
    round
        Number of the round; None: one more than there are queries in the raw data set.
    protocol, set, device, cache
        As for a study.
    dry_run
        Say what would be asked, and write nothing.
    """

    images: Path
    out: Path
    budget: int
    strategy: str | None = None
    model: Path | None = None
    dataset: Path | None = None
    folds: tuple[str, ...] = ()
    checkpoint: str = "checkpoint_final.pth"
    trust_checkpoint: bool = False
    uncertainty: Uncertainty = "auto"
    unit: UnitKind = "auto"
    patch_size: tuple[int, int, int] | None = None
    max_per_case: int | None = None
    max_cases: int | None = None
    prefill: Prefill = "prediction"
    audit: int = 0
    annotators: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    editor: Editor = "any"
    anonymise: bool = False
    trust_image_geometry: bool = False
    name: str | None = None
    seed: int = 0
    round: int | None = None
    protocol: str = "quick"
    set: tuple[str, ...] = ()
    device: str = "auto"
    cache: Path | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        least = {"budget": 1, "audit": 0, "seed": 0, "max_per_case": 1, "max_cases": 1, "round": 0}
        _require_numbers(self, least)
        _require_words(self, {"uncertainty": Uncertainty, "unit": UnitKind, "prefill": Prefill, "editor": Editor})
        if self.audit > self.budget:
            raise InputError(f"--audit: expected at most the budget of {self.budget}, got {self.audit}")
        _require_people(self)
        if self.dataset is None and (self.images / "dataset.json").is_file() and (self.images / "labelsTr").is_dir():
            object.__setattr__(self, "dataset", self.images)
        if self.model is None and self.dataset is None:
            raise InputError(
                "--model, --dataset: expected a trained model, or a raw data set whose dataset.json says the labels; "
                "got neither"
            )
        if self.model is None and self.strategy not in (None, *COLD_STARTS):
            raise InputError(
                f"--strategy {self.strategy}: expected one of {', '.join(COLD_STARTS)} without --model, since others "
                "ask a model"
            )
        if self.model is None and self.audit:
            raise InputError("--audit: expected a --model to measure, got none")
        if self.model is None and self.prefill == "prediction":
            object.__setattr__(self, "prefill", "none")


@dataclass(frozen=True)
class TrainRequest:
    """Train on all that is annotated.

    Attributes
    ----------
    dataset
        nnU-Net raw data set with labels, complete or in part.
    out
        Where to write, as ``nnUNet_results``.
    images
        All images of the pool, which plans are made for, as a study does; None: those of `dataset` alone.
    start
        A trained model whose plans are kept, and whose weights are the start where the protocol starts warm.
    unit
        What was annotated at once; ``auto``: what the last query of `dataset` asked for, else as for a query.
    checkpoint, trust_checkpoint, trust_image_geometry, name, protocol, set, device, cache
        As for a query.
    seed, round
        Name the random streams; ``round`` 0 is the first training.
    checkpoint_minutes
        Between two times that the training is saved, from where the same request goes on; 0: never.
    """

    dataset: Path
    out: Path
    images: Path | None = None
    start: Path | None = None
    unit: UnitKind = "auto"
    checkpoint: str = "checkpoint_final.pth"
    trust_checkpoint: bool = False
    trust_image_geometry: bool = False
    name: str | None = None
    seed: int = 0
    round: int | None = None
    protocol: str = "quick"
    set: tuple[str, ...] = ()
    device: str = "auto"
    cache: Path | None = None
    checkpoint_minutes: int = 10

    def __post_init__(self) -> None:
        _require_words(self, {"unit": UnitKind})
        _require_numbers(self, {"seed": 0, "round": 0, "checkpoint_minutes": 0})


def _require_people(request: QueryRequest) -> None:
    """Raise where names of annotators cannot be folders, or where each could not have a case."""
    require_annotators(request.annotators)
    most = min(request.budget, request.budget if request.max_cases is None else request.max_cases)
    if len(request.annotators) > most:
        raise InputError(
            f"--annotators: expected at most one for each case, of which {most} are asked at most, got "
            f"{len(request.annotators)}"
        )


def _require_numbers(request: QueryRequest | TrainRequest, least: Mapping[str, int]) -> None:
    """Raise where a number is below its least; None is left alone."""
    for name, bound in least.items():
        value = getattr(request, name)
        if value is not None and value < bound:
            raise InputError(f"--{name.replace('_', '-')}: expected a whole number from {bound} up, got {value}")


def _require_words(request: QueryRequest | TrainRequest, kinds: Mapping[str, Any]) -> None:
    """Raise where a word is none of its Literal."""
    for name, kind in kinds.items():
        if getattr(request, name) not in get_args(kind):
            raise InputError(f"--{name}: expected one of {', '.join(get_args(kind))}, got {getattr(request, name)!r}")
