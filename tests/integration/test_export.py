"""`al-bench export` finds the model that is asked for; what it writes is tested in test_nnunet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from albench.errors import InputError
from albench.machine.files import write_json
from albench.results.stages import run_stage
from albench.study.export import export_round


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A results folder of one data set, two strategies and two rounds."""
    folder = tmp_path / "out"
    write_json(folder / "config.json", {"datasets": {"d": {"protocol": {"training": {"folds": 1}}}}})
    for place in ("_shared/seed-0/round-0", "random/seed-0/round-1", "random/seed-0/round-2", "mcd/seed-0/round-1"):
        here = folder / "d" / place

        def train(here: Path = here, place: str = place) -> dict[str, object]:
            (here / "model.pth").write_text(place)
            return {}

        run_stage(here, "train", ["model.pth"], train)
    prepared = folder / "d" / "_shared" / "seed-0" / "nnunet" / "preprocessed" / "Dataset001_d"
    for name in ("dataset.json", "dataset_fingerprint.json"):
        write_json(prepared / name, {})
    write_json(prepared / "nnUNetPlans.json", {"configurations": {"2d": {}}})
    return folder


def export(
    out: Path, *, strategy: str = "random", dataset: str | None = None, seed: int = 0, round_number: int | None = None
) -> str:
    folder = export_round(
        out, dataset=dataset, strategy=strategy, seed=seed, round_number=round_number, results=out.parent / "to"
    )
    assert folder == out.parent / "to" / "Dataset001_d" / "nnUNetTrainer__nnUNetPlans__2d"
    assert json.loads((folder / "plans.json").read_text()) == {"configurations": {"2d": {}}}
    return (folder / "fold_0" / "checkpoint_final.pth").read_text()


@pytest.mark.parametrize(
    ("round_number", "place"),
    [(None, "random/seed-0/round-2"), (1, "random/seed-0/round-1"), (0, "_shared/seed-0/round-0")],
)
def test_the_round_that_is_asked_for(out: Path, round_number: int | None, place: str) -> None:
    assert export(out, round_number=round_number) == place


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

        def train(fold: int = fold) -> dict[str, object]:
            (here / f"model-{fold}.pth").write_text(f"fold {fold}")
            return {}

        run_stage(here, f"train-{fold}", [f"model-{fold}.pth"], train)
        if fold == 0:
            with pytest.raises(InputError, match="--seed 0: expected a seed"):  # the other fold is still to be trained
                export(out)
    assert export(out) == "fold 0"
    folder = out.parent / "to" / "Dataset001_d" / "nnUNetTrainer__nnUNetPlans__2d"
    assert (folder / "fold_1" / "checkpoint_final.pth").read_text() == "fold 1"


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

    def train() -> dict[str, object]:
        (here / "model.pth").write_text("all labels")
        return {}

    run_stage(here, "train", ["model.pth"], train)
    with pytest.raises(InputError, match="--round 0: expected one of 2"):
        export(out, strategy="full", round_number=0)
    assert export(out, strategy="full") == "all labels"
