"""Models of others open without running what is in their files, or are refused in one line that names the file."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from albench.errors import InputError
from albench.training.given import open_model
from tests.support.given_model import PLAIN_DESCRIPTION, content_of, given_folder, plain_plans
from tests.support.hostile import PLANS, bombs, changed, hostile_plans

ARCHITECTURE = ("configurations", "2d", "architecture")


def test_what_nnunet_saves_opens_without_running_it(tmp_path: Path) -> None:
    folder = given_folder(tmp_path, folds=(0, 1, "all"))
    model = open_model(folder)
    assert (model.folds, model.configuration, model.trainer) == (("0", "1"), "2d", "nnUNetTrainer")
    assert (model.labels, model.channel_names) == ({0: "background", 1: "organ"}, ("CT",))
    assert model.description["labels"]["ignore"] == 2
    assert (model.has_dropout, model.mirror_axes, model.is_2d, model.slicing_axis) == (False, (0, 1), True, 0)
    assert open_model(folder, folds=["all"]).folds == ("all",)
    saved = torch.load(folder / "fold_1/checkpoint_final.pth", weights_only=False)["network_weights"]
    assert all(torch.equal(weight, saved[name]) for name, weight in model.networks[1].weights.items())


def test_the_fold_of_all_cases_where_there_is_no_other(tmp_path: Path) -> None:
    assert open_model(given_folder(tmp_path, folds=("all",))).folds == ("all",)


def test_residual_encoders_and_torch_resampling(tmp_path: Path) -> None:
    plans = plain_plans()
    arguments = plans["configurations"]["2d"]["architecture"]["arch_kwargs"]
    arguments["n_blocks_per_stage"] = arguments.pop("n_conv_per_stage")
    plans = changed(
        plans,
        *ARCHITECTURE,
        "network_class_name",
        to="dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
    )
    plans = changed(plans, "configurations", "2d", "resampling_fn_data", to="resample_torch_fornnunet")
    plans = changed(
        plans, "configurations", "2d", "resampling_fn_data_kwargs", to={"is_seg": False, "force_separate_z": False}
    )
    plans["plans_name"] = "nnUNetResEncUNetMPlans"
    assert not open_model(given_folder(tmp_path, plans=plans)).has_dropout


def test_a_configuration_that_inherits_from_another(tmp_path: Path) -> None:
    folder = given_folder(tmp_path)
    plans = json.loads((folder / "plans.json").read_text())
    planned = plans["configurations"].pop("2d")
    batch = planned.pop("batch_size")
    plans["configurations"] = {"base": planned, "2d": {"inherits_from": "base", "batch_size": batch}}
    (folder / "plans.json").write_text(json.dumps(plans))
    (configuration,) = open_model(folder).plans["configurations"].values()
    assert (configuration["batch_size"], configuration["patch_size"]) == (batch, [16, 16])


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module."])
def test_weights_of_compiled_and_spread_networks(tmp_path: Path, prefix: str) -> None:
    weights = content_of(plain_plans(), PLAIN_DESCRIPTION, 0)["network_weights"]
    folder = given_folder(tmp_path, network_weights={prefix + name: weight for name, weight in weights.items()})
    assert set(open_model(folder).networks[0].weights) == set(weights)


def test_a_trainer_that_builds_another_network(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"checkpoint_final\.pth: expected a model that the plans .* another network"):
        open_model(given_folder(tmp_path / "a", trainer_name="nnUNetTrainerBN"))
    folder = given_folder(tmp_path / "b", trainer_name="nnUNetTrainerOfSomebody")  # taken for the plans' own network
    assert open_model(folder).trainer == "nnUNetTrainerOfSomebody"


HARMLESS = {"two", "folder of cases", "title"}
"""Other configurations are left alone, and where cases lie is not the model's to say."""


@pytest.mark.parametrize("kind", sorted(set(hostile_plans("x")) - HARMLESS))
def test_hostile_plans_are_refused(tmp_path: Path, kind: str) -> None:
    canary = tmp_path / "canary"
    folder = given_folder(tmp_path / "m", plans=PLANS)
    (folder / "plans.json").write_text(json.dumps(hostile_plans(str(canary))[kind]))
    with pytest.raises(InputError, match=r"plans\.json: .*expected"):
        open_model(folder)
    assert not canary.exists()


@pytest.mark.parametrize("kind", sorted(bombs(Path("x"))))
def test_checkpoints_run_nothing(tmp_path: Path, kind: str) -> None:
    canary = tmp_path / "canary"
    folder = given_folder(tmp_path / "m")
    file = folder / "fold_0/checkpoint_final.pth"
    file.write_bytes(bombs(canary)[kind])
    with pytest.raises(InputError, match=r"checkpoint_final\.pth: expected nnU-Net's checkpoint"):
        open_model(folder)
    assert not canary.exists()


def test_only_who_trusts_a_file_has_it_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    folder = given_folder(tmp_path / "m")
    (folder / "fold_0/checkpoint_final.pth").write_bytes(bombs(canary)["torch"])
    with pytest.raises(InputError, match="--trust-checkpoint"):
        open_model(folder)
    assert not canary.exists()
    with pytest.raises(InputError):
        open_model(folder, trusted=True)
    assert canary.exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0, "whole": [1, 2], "core": 2}, "found regions"),
        ({"background": 0, "organ": 2}, "without gaps"),
        ({"background": 0, "organ": 1, "ignore": 7}, "without gaps"),
    ],
)
def test_labels_that_cannot_be_scored(tmp_path: Path, labels: dict[str, Any], message: str) -> None:
    folder = given_folder(tmp_path)
    (folder / "dataset.json").write_text(json.dumps({**PLAIN_DESCRIPTION, "labels": labels}))
    with pytest.raises(InputError, match=rf"dataset\.json: expected labels .*{message}"):
        open_model(folder)


def test_the_second_stage_of_a_cascade(tmp_path: Path) -> None:
    folder = given_folder(tmp_path)
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["2d"]["previous_stage"] = "2d"
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(InputError, match="cascade"):
        open_model(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": ["3"]}, "--folds: expected some of 0, 1 in .*, got 3"),
        ({"checkpoint": "checkpoint_best.pth"}, "--checkpoint takes one of checkpoint_final.pth"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_model(given_folder(tmp_path, folds=(0, 1)), **options)
    with pytest.raises(InputError, match=r"found no plans\.json"):
        open_model(tmp_path)


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    weights = copy.deepcopy(content_of(plain_plans(), PLAIN_DESCRIPTION, 0)["network_weights"])
    next(iter(weights.values())).fill_(float("nan"))
    with pytest.raises(InputError, match="no numbers"):
        open_model(given_folder(tmp_path, network_weights=weights))
