"""A trained model as a folder that nnU-Net's own commands load."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from albench.errors import InputError
from albench.machine.files import build_folder, write_json
from albench.machine.names import plain_name
from albench.machine.text import read_json_text
from albench.training.checkpoint import read_checkpoint
from albench.training.nnunet_env import nnunet_base
from albench.training.preprocess import PreprocessedStore
from albench.training.stored_plans import PLANS_NAME, read_plans

_OURS = re.compile(r"Dataset\d{3}_(?=Dataset\d{3}_.)")
"""What a trainer puts before the name of a data set, where that has a number already."""
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
    (configuration,) = read_plans(plans[0])["configurations"]
    return PreprocessedStore(plans[0].parent, configuration)


def model_folder(name: str, configuration: str, results: Path) -> Path:
    """Where a model of a preprocessed data set is laid out in a folder of results.

    Parameters
    ----------
    name
        ``DatasetXXX_Name``, as a trainer calls it.
    """
    name, configuration = plain_name("data set of nnU-Net", name), plain_name("configuration", configuration)
    return results / _OURS.sub("", name) / f"nnUNetTrainer__{PLANS_NAME}__{configuration}"


def require_no_model(name: str, configuration: str, results: Path, option: str = "--to") -> Path:
    """Return `model_folder`.

    Parameters
    ----------
    option
        That says `results`, for the message.

    Raises
    ------
    InputError
        Something is there already.
    """
    folder = model_folder(name, configuration, results)
    if os.path.lexists(folder):
        raise InputError(f"{option} {results}: expected no model yet, found {folder}")
    return folder


def export_model(store: PreprocessedStore, checkpoints: Sequence[Path], results: Path, *, option: str = "--to") -> Path:
    """Lay checkpoints out as nnU-Net's results folder of a training.

    nnU-Net loads them in a way that runs what is in them, and imports what plans name: everything is read here as what
    it has to be, and written anew.

    Parameters
    ----------
    store
        The preprocessed data set that the models were trained on.
    checkpoints
        One file a fold, in order.
    results
        What ``nnUNet_results`` names; created where it is missing.
    option
        As for `require_no_model`.

    Returns
    -------
    Path
        ``results/DatasetXXX_Name/nnUNetTrainer__nnUNetPlans__<configuration>``, for
        ``nnUNetv2_predict_from_modelfolder -m``.

    Raises
    ------
    InputError
        The model folder exists already, or cannot be written; a file of the study is not what al-bench wrote.
    """
    folder = require_no_model(store.folder.name, store.configuration, results, option)
    title = folder.parent.name
    models = [read_checkpoint(path, store) for path in checkpoints]
    plans = store.plans if title == store.folder.name else store.plans | {"dataset_name": title}
    texts = {"plans.json": plans, "dataset.json": store.dataset_json}
    texts[_FINGERPRINT] = read_json_text(store.folder / _FINGERPRINT)

    def fill(temporary: Path) -> None:
        for name, content in texts.items():
            write_json(temporary / name, content)
        for fold, model in enumerate(models):
            model.write(temporary / f"fold_{fold}" / "checkpoint_final.pth")

    return build_folder(folder, fill)


def prediction_command(model: Path) -> str:
    """Return nnU-Net's command that predicts with an exported model, all its folds together."""
    folds = " ".join(sorted(path.name.removeprefix("fold_") for path in model.glob("fold_*")))
    return f"nnUNetv2_predict_from_modelfolder -i IMAGES -o PREDICTIONS -m {shlex.quote(str(model))} -f {folds}"
