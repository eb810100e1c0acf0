"""`al-bench export` finds the model that is asked for; what it writes is tested in test_nnunet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from albench.errors import InputError
from albench.machine.files import write_json
from albench.results.stages import run_stage
from albench.study.export import export_round
from albench.terminal.cli import main
from albench.training.export import prediction_command, prepared_in
from tests.support.hostile import PLANS, mark_of, planned, write_model

PLACES = ("_shared/seed-0/round-0", "random/seed-0/round-1", "random/seed-0/round-2", "mcd/seed-0/round-1")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A results folder of one data set, two strategies and two rounds."""
    folder = tmp_path / "out"
    write_json(folder / "config.json", {"datasets": {"d": {"protocol": {"training": {"folds": 1}}}}})
    planned(folder / "d/_shared/seed-0")
    for mark, place in enumerate(PLACES):
        train(folder, folder / "d" / place, mark)
    return folder


def train(out: Path, here: Path, mark: float, fold: int | None = None) -> None:
    """A round's model, or that of a fold, that can be told from others."""
    of_fold = "" if fold is None else f"-{fold}"
    model = here / f"model{of_fold}.pth"

    def compute() -> dict[str, object]:
        write_model(model, prepared_in(out / "d/_shared/seed-0"), mark)
        return {}

    run_stage(here, f"train{of_fold}", [model.name], compute)


def export(
    out: Path, *, strategy: str = "random", dataset: str | None = None, seed: int = 0, round_number: int | None = None
) -> float:
    folder = export_round(
        out, dataset=dataset, strategy=strategy, seed=seed, round_number=round_number, results=out.parent / "to"
    )
    assert folder == out.parent / "to" / "Dataset001_d" / "nnUNetTrainer__nnUNetPlans__2d"
    assert json.loads((folder / "plans.json").read_text()) == PLANS
    return mark_of(folder / "fold_0" / "checkpoint_final.pth")


@pytest.mark.parametrize(
    ("round_number", "place"),
    [(None, "random/seed-0/round-2"), (1, "random/seed-0/round-1"), (0, "_shared/seed-0/round-0")],
)
def test_the_round_that_is_asked_for(out: Path, round_number: int | None, place: str) -> None:
    assert export(out, round_number=round_number) == PLACES.index(place)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "e"}, "unknown data set of this study 'e'"),
        ({"strategy": "rnadom"}, "unknown strategy of .*'rnadom'; did you mean random"),
        ({"seed": 1}, "--seed 1: expected a seed"),
        ({"round_number": 3}, "--round 3: expected one of 0, 1, 2"),
    ],
)
def test_what_is_not_there_is_named(out: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        export(out, **arguments)  # type: ignore[arg-type]


def test_every_fold_has_a_folder_of_its_own(out: Path) -> None:
    write_json(out / "config.json", {"datasets": {"d": {"protocol": {"training": {"folds": 2}}}}})
    here = out / "d" / "random" / "seed-0" / "round-2"
    (here / "train.stage.json").unlink()
    for fold in range(2):
        train(out, here, 10 + fold, fold)
        if fold == 0:
            with pytest.raises(InputError, match="--seed 0: expected a seed"):  # the other fold is still to be trained
                export(out)
    assert export(out) == 10
    folder = out.parent / "to" / "Dataset001_d" / "nnUNetTrainer__nnUNetPlans__2d"
    assert mark_of(folder / "fold_1" / "checkpoint_final.pth") == 11


def test_a_data_set_with_a_number_keeps_its_name(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command that is printed names the folder and its folds."""
    preprocessed = out / "d/_shared/seed-0/nnunet/preprocessed"
    plans = preprocessed / "Dataset001_d" / "nnUNetPlans.json"
    plans.write_text(plans.read_text().replace("Dataset001_d", "Dataset001_Dataset501_Heart"))
    plans.parent.rename(preprocessed / "Dataset001_Dataset501_Heart")
    to = out.parent / "to"
    with pytest.raises(SystemExit) as stop:
        main(["export", str(out), "--strategy", "random", "--to", str(to)])
    assert stop.value.code == 0
    folder = to / "Dataset501_Heart" / "nnUNetTrainer__nnUNetPlans__2d"
    assert json.loads((folder / "plans.json").read_text())["dataset_name"] == "Dataset501_Heart"
    command = capsys.readouterr().out.splitlines()[-1].partition(": ")[2]
    assert command == f"nnUNetv2_predict_from_modelfolder -i IMAGES -o PREDICTIONS -m {folder} -f 0"
    (folder / "fold_1").mkdir()
    assert prediction_command(folder).endswith(" -f 0 1")


def test_a_damaged_model_is_refused(out: Path) -> None:
    (out / "d" / "random" / "seed-0" / "round-2" / "model.pth").write_text("damaged")
    with pytest.raises(InputError, match="found it damaged"):
        export(out)


def test_an_earlier_export_stays(out: Path) -> None:
    export(out)
    with pytest.raises(InputError, match="expected no model yet"):
        export(out)


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json: expected a file written by `al-bench run`"):
        export(tmp_path)


def test_a_ceiling_has_not_gone_on_from_the_shared_start(out: Path) -> None:
    here = out / "d" / "full" / "seed-0" / "round-2"
    train(out, here, 20)
    with pytest.raises(InputError, match="--round 0: expected one of 2"):
        export(out, strategy="full", round_number=0)
    assert export(out, strategy="full") == 20
