"""A trained model as a folder that nnU-Net's own commands load."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from albench.errors import InputError
from albench.machine.files import build_folder, read_json
from albench.training.nnunet_env import nnunet_base
from albench.training.planning import PLANS_NAME
from albench.training.preprocess import PreprocessedStore

_FINGERPRINT = "dataset_fingerprint.json"


def prepared_in(work: Path) -> PreprocessedStore:
    """Find what an nnU-Net trainer that worked in `work` prepared.

    Raises
    ------
    InputError
        There is nothing, or more than one data set.
    """
    base = nnunet_base(work) / "preprocessed"
    plans = sorted(base.glob(f"Dataset*/{PLANS_NAME}.json"))
    if len(plans) != 1:
        raise InputError(f"{base}: expected nnU-Net's plans of one data set, found {len(plans)}")
    (configuration,) = read_json(plans[0])["configurations"]
    return PreprocessedStore(plans[0].parent, configuration)


def export_model(store: PreprocessedStore, checkpoints: Sequence[Path], results: Path) -> Path:
    """Lay checkpoints out as nnU-Net's results folder of a training.

    Parameters
    ----------
    store
        The preprocessed data set that the models were trained on.
    checkpoints
        One file a fold, in order.
    results
        What ``nnUNet_results`` names; created where it is missing.

    Returns
    -------
    Path
        ``results/DatasetXXX_Name/nnUNetTrainer__nnUNetPlans__<configuration>``, for
        ``nnUNetv2_predict_from_modelfolder -m``.

    Raises
    ------
    InputError
        The model folder exists already, or cannot be written.
    """
    folder = results / store.folder.name / f"nnUNetTrainer__{PLANS_NAME}__{store.configuration}"
    if folder.exists():
        raise InputError(f"--to {results}: expected no model yet, found {folder}")

    def fill(temporary: Path) -> None:
        shutil.copyfile(store.folder / f"{PLANS_NAME}.json", temporary / "plans.json")
        for name in ("dataset.json", _FINGERPRINT):
            shutil.copyfile(store.folder / name, temporary / name)
        for fold, checkpoint in enumerate(checkpoints):
            (temporary / f"fold_{fold}").mkdir()
            shutil.copyfile(checkpoint, temporary / f"fold_{fold}" / "checkpoint_final.pth")

    return build_folder(folder, fill)
