"""From a round of a finished study to a model that works without al-bench."""

from __future__ import annotations

from pathlib import Path

from albench.errors import InputError, unknown_name
from albench.machine.files import read_json
from albench.results.folder import CONFIG_FILE
from albench.results.layout import SHARED, train_stages
from albench.results.stages import load_stage
from albench.training.export import export_model
from albench.training.planning import PLANS_NAME
from albench.training.prepare import PreparedStore


def export_round(
    out: Path, *, dataset: str | None, strategy: str, seed: int, number: int | None, results: Path
) -> Path:
    """Export the model of one round, or those of its folds, as an nnU-Net results folder.

    Parameters
    ----------
    out
        Results folder of the study.
    dataset
        Its data set; None where it has only one.
    number
        Round; None takes the last that is finished.
    results
        Folder to write to, as ``nnUNet_results``.

    Raises
    ------
    InputError
        No such data set, chain or round; damaged model; the model is there already.
    """
    name = _dataset(out, dataset)
    study = out / name
    stages = train_stages(read_json(out / CONFIG_FILE)["datasets"][name]["protocol"]["training"]["folds"])
    rounds = _rounds(study, strategy, seed, list(stages)[-1])
    if not rounds:
        known = sorted({path.parent.parent.parent.name for path in study.glob("*/seed-*/round-*/train*.stage.json")})
        if strategy not in known:
            raise unknown_name(f"strategy of {study}", strategy, [name for name in known if name != SHARED])
        raise InputError(f"--seed {seed}: expected a seed of {study / strategy}, found none with a trained model")
    number = max(rounds) if number is None else number
    if number not in rounds:
        raise InputError(f"--round {number}: expected one of {', '.join(map(str, sorted(rounds)))}")
    folder = rounds[number]
    for stage, model in stages.items():
        if load_stage(folder, stage) is None:
            raise InputError(
                f"{folder / model}: expected the model that was trained here, found it damaged; rerun first"
            )
    return export_model(_store(study, seed), [folder / model for model in stages.values()], results)


def _dataset(out: Path, name: str | None) -> str:
    path = out / CONFIG_FILE
    if not path.is_file():
        raise InputError(f"{out}: expected a results folder of al-bench, found no {CONFIG_FILE}")
    known = sorted(read_json(path)["datasets"])
    if name is None and len(known) == 1:
        return str(known[0])
    if name is None or name not in known:
        raise unknown_name("data set of this study", str(name), known)
    return name


def _rounds(study: Path, strategy: str, seed: int, last_stage: str) -> dict[int, Path]:
    """Folders of the trained rounds of a chain; round 0 is the start that all chains of the seed share."""
    own = {
        int(path.parent.name.removeprefix("round-")): path.parent
        for path in (study / strategy / f"seed-{seed}").glob(f"round-*/{last_stage}.stage.json")
    }
    start = study / SHARED / f"seed-{seed}" / "round-0"
    if own and (start / f"{last_stage}.stage.json").is_file():
        own.setdefault(0, start)
    return own


def _store(study: Path, seed: int) -> PreparedStore:
    base = study / SHARED / f"seed-{seed}" / "nnunet" / "preprocessed"
    plans = sorted(base.glob(f"Dataset*/{PLANS_NAME}.json"))
    if len(plans) != 1:
        raise InputError(f"{base}: expected nnU-Net's plans of one data set, found {len(plans)}")
    (configuration,) = read_json(plans[0])["configurations"]
    return PreparedStore(plans[0].parent, configuration)
