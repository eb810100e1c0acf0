"""What TensorBoard gets to see of a study."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from albench.data import Dataset
from albench.errors import InputError
from albench.results.tables import mean_dice, read_results
from albench.study.events import require_tensorboard
from albench.study.workers import run_studies
from tests.support.fake_study import fake_protocol, fake_study


@pytest.mark.slow
def test_losses_and_dice_of_every_round(phantom: Dataset, tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    protocol = fake_protocol()
    study = replace(fake_study(phantom, tmp_path, protocol), tensorboard=True)
    run_studies([study], ["random", "full"], [0], n_processes=2)

    def curve(strategy: str, name: str) -> list[tuple[int, float]]:
        events = accumulators.EventAccumulator(str(tmp_path / "tensorboard" / phantom.name / strategy / "seed-0"))
        events.Reload()
        return [(event.step, event.value) for event in events.Scalars(name)]

    training, dice = protocol.training, mean_dice(read_results(tmp_path))
    last = dice[dice["round"] == protocol.rounds - 1].set_index("strategy")
    for strategy, n_before, n_logged in (
        ("_shared", 0, training.first_iterations),
        ("random", training.first_iterations, (protocol.rounds - 1) * training.round_iterations),
        ("full", 0, protocol.chain_iterations),
    ):
        losses = curve(strategy, "loss")
        assert losses
        assert losses[0][0] == n_before
        assert losses[-1][0] < n_before + n_logged
    for strategy in ("random", "full"):
        step, value = curve(strategy, "dice/mean")[-1]
        assert step == last.loc[strategy, "n_annotated_units"]
        assert value == pytest.approx(last.loc[strategy, "dice"], abs=1e-6)


def test_nothing_is_logged_unless_asked_for(phantom: Dataset, tmp_path: Path) -> None:
    run_studies([fake_study(phantom, tmp_path)], ["random"], [0], n_processes=1)
    assert not (tmp_path / "tensorboard").exists()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="--tensorboard: expected the package tensorboard"):
        require_tensorboard()
