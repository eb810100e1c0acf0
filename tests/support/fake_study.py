"""A study on the fake trainer that can be sent to other processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from albench.config import PatchGrid, PoolSettings, Protocol, StudyConfig
from albench.data import Dataset
from albench.progress import Silent
from albench.protocols import load_protocol
from albench.results.folder import claim_folder
from albench.strategies import strategy_names
from albench.study.study import Study
from albench.training.base import Trainer
from albench.training.fake import FakeTrainer

STRATEGIES = ("random", "entropy", "mcd", "usim-f", "usim-c", "full")
# Everything there is, with parameters too; round 0 and the trainings are quick.
MANY = (
    *(name for name in strategy_names() if name not in STRATEGIES),
    "usim-f+query=expected",
    "power-bald+beta=5",
)


class Listening(Silent):
    """Keeps the lines that a study says."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, text: str) -> None:
        self.heard.append(text)


def fake_protocol(*, rounds: int = 3, budget: int = 6) -> Protocol:
    quick = load_protocol("quick", rounds=rounds, budget=budget)
    pool = PoolSettings(max_cases=5, test_share=0.3, max_test_cases=None, start=6)
    training = quick.training.model_copy(update={"first_iterations": 200, "round_iterations": 100})
    scoring = quick.scoring.model_copy(update={"precision": "float32"})
    return quick.model_copy(update={"pool": pool, "training": training, "scoring": scoring})


def patch_protocol(*, folds: int = 1, source: str = "dropout", max_per_case: int | None = None) -> Protocol:
    """3D patches of a small 3D network that a processor trains in seconds."""
    plain = fake_protocol()
    changes = {
        "pool": {"patch_size": (12, 16, 16), "max_per_case": max_per_case},
        "network": {
            "configuration": "3d_fullres",
            "base_features": 8,
            "max_stages": 3,
            "batch_size": 2,
            "max_edge": 32,
        },
        "training": {"folds": folds},
        "scoring": {"source": source, "passes": 3, "batch_size": 2},
    }
    values = plain.model_dump()
    return Protocol.model_validate(values | {name: values[name] | change for name, change in changes.items()})


@dataclass(frozen=True)
class FakeFactory:
    dataset: Dataset
    patch_size: tuple[int, int, int] | None = None
    patch_grid: PatchGrid = "tiling"

    def __call__(self, work: Path) -> Trainer:
        return FakeTrainer(self.dataset, work, self.patch_size, self.patch_grid)


def fake_study(dataset: Dataset, out: Path, protocol: Protocol | None = None) -> Study:
    """A study whose settings are those of its results folder."""
    study = unclaimed_study(dataset, out, protocol)
    out.mkdir(parents=True, exist_ok=True)
    claim_folder(out, [study.config])
    return study


def unclaimed_study(dataset: Dataset, out: Path, protocol: Protocol | None = None) -> Study:
    config = StudyConfig(
        dataset=dataset.name,
        dataset_checksum=dataset.checksum,
        trainer="fake",
        device="cpu",
        protocol=protocol or fake_protocol(),
    )
    pool = config.protocol.pool
    make_trainer = FakeFactory(dataset, pool.patch_size, pool.patch_grid)
    return Study(dataset, config, out, make_trainer, given=str(dataset.root))
