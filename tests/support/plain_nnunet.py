"""A model that nnU-Net's own trainer trained, in its results folder, with plans made small enough for a processor."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import torch
from batchgenerators.utilities.file_and_folder_operations import load_json, save_json
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
from nnunetv2.training.nnUNetTrainer.variants.training_length.nnUNetTrainer_Xepochs import nnUNetTrainer_1epoch

from albench.data import Dataset, write_nnunet_raw
from albench.training.nnunet_env import nnunet_folders

_ITERATIONS = 8


def train_plainly(dataset: Dataset, base: Path, folds: Sequence[int | str]) -> Path:
    """Plan, preprocess and train as ``nnUNetv2_plan_and_preprocess`` and ``nnUNetv2_train`` do; return the model."""
    raw = write_nnunet_raw(dataset, dataset.case_names, base / "raw", 7, "Plain", ignore=False)
    with nnunet_folders(base):
        extract_fingerprints([7], num_processes=1, check_dataset_integrity=True)
        plan_experiments([7])
        folder = base / "preprocessed" / raw.name
        plans = load_json(str(folder / "nnUNetPlans.json"))
        planned = plans["configurations"]["2d"]
        planned["batch_size"] = 2
        planned["patch_size"] = [64, 64]  # every slice in one window
        arguments = planned["architecture"]["arch_kwargs"]
        arguments["features_per_stage"] = [max(4, n // 8) for n in arguments["features_per_stage"]]
        save_json(plans, str(folder / "nnUNetPlans.json"), sort_keys=False)
        preprocess([7], configurations=["2d"], num_processes=[1])
        for fold in folds:
            given = copy.deepcopy(plans) | {"continue_training": False}
            trainer = nnUNetTrainer_1epoch(
                given, "2d", fold, load_json(str(folder / "dataset.json")), torch.device("cpu")
            )
            trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = _ITERATIONS, 1
            with patch.dict(os.environ, {"nnUNet_n_proc_DA": "0"}):  # augment in this process
                trainer.run_training()
        (model,) = (base / "results" / raw.name).glob("nnUNetTrainer*")
    return model
