"""The screen: what strategies share, so that they differ by what they choose alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from albench.data import Dataset
from albench.errors import InputError
from albench.progress import SILENT
from albench.protocols import load_protocol
from albench.results.registered import read_registered
from albench.strategies import make_strategy
from albench.study.chain import Chain
from albench.study.claim import claim_results
from albench.study.file import read_study
from albench.study.loop import run_chain
from albench.study.request import RunRequest
from albench.study.run import require_asked
from albench.study.setup import setup_seed
from albench.training.base import Trainer
from albench.training.fake import FakeTrainer
from tests.support.fake_study import fake_study


@dataclass(frozen=True)
class Recording:
    """Makes trainers that write down what each training was given."""

    dataset: Dataset
    trainings: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, work: Path) -> Trainer:
        trainings = self.trainings

        class Recorded(FakeTrainer):
            def train(self, units: Any, **arguments: Any) -> Any:
                trainings.append({"units": tuple(units), **arguments})
                return super().train(units, **arguments)

        return Recorded(self.dataset, work)


def test_a_screen_trains_every_strategy_once_from_one_model_with_one_key(phantom: Dataset, tmp_path: Path) -> None:
    screen, quick = load_protocol("screen"), load_protocol("quick")
    assert (screen.pool.start, screen.budgets, screen.pool.max_test_cases) == (20, (20,), 30)
    assert (screen.training, screen.network, screen.scoring) == (quick.training, quick.network, quick.scoring)
    small = screen.pool.model_copy(update={"max_cases": 5, "start": 6, "test_share": 0.3})
    scoring = screen.scoring.model_copy(update={"precision": "float32"})
    protocol = screen.model_copy(update={"pool": small, "budget": 6, "scoring": scoring})
    recording = Recording(phantom)
    study = replace(fake_study(phantom, tmp_path / "out", protocol), make_trainer=recording)
    setup = setup_seed(study, 0, SILENT)
    for name in ("random", "mcd", "usim-f", "random-fg66"):
        run_chain(Chain(study, setup, make_strategy(name), SILENT))
    first, *later = recording.trainings
    assert len(later) == 4
    assert {each["key"] for each in later} == {(phantom.name, 0, 1, "train")}
    assert {each["initial"] for each in later} == {first["target"]}
    assert {each["iterations"] for each in later} == {protocol.training.round_iterations}
    assert all(each["units"][:6] == first["units"] for each in later)
    assert len({each["units"] for each in later}) == 4, "they differ by what they choose"


def test_a_run_registers_its_claims_before_anything_and_takes_no_others(phantom: Dataset, tmp_path: Path) -> None:
    study = fake_study(phantom, tmp_path / "out")
    claim = {"strategy": "mcd", "endpoint": "final", "smallest": 0.01, "looks": [3, 6]}
    request = RunRequest(phantom.name, strategy="random,mcd", out=tmp_path / "out", claims=(claim,))
    claim_results(request, [study], None, SILENT)
    assert read_registered(tmp_path / "out") == request.claims
    again = RunRequest(**read_study(tmp_path / "out/study.yaml"))
    assert again.claims == request.claims
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = replace(request, claims=(claim | {"looks": [3, 9]},), seeds=5)
    with pytest.raises(InputError, match=r"claim 1\.looks: \(3, 6\) -> \(3, 9\)"):
        claim_results(other, [study], None, SILENT)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    with pytest.raises(InputError, match=r"claims 1: expected a strategy of the study \(random\), got mcd"):
        require_asked(request.claims, ("random",))
