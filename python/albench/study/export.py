"""From a round of a finished study to a model that works without al-bench."""

from __future__ import annotations

from pathlib import Path

from albench.errors import InputError, unknown_name
from albench.results.layout import SHARED, ChainFolder, RoundFolder, RunFolder, train_stages
from albench.results.longer import is_of_study
from albench.results.reading import read_object, require_plain_files
from albench.results.settings import Settings, StudySettings
from albench.results.stages import changed_file, whole_stage
from albench.training.export import export_model, prepared_in


def export_round(
    out: Path, *, dataset: str | None, strategy: str, seed: int, round_number: int | None, results: Path
) -> Path:
    """Export the model of one round, or those of its folds, as an nnU-Net results folder.

    Parameters
    ----------
    out
        Results folder of the study.
    dataset
        Its data set; None where it has only one.
    round_number
        Round; None takes the last that is finished.
    results
        Folder to write to, as ``nnUNet_results``.

    Raises
    ------
    InputError
        No such data set, chain or round; damaged model; the model is there already.
    """
    require_plain_files(out)
    run = RunFolder(out)
    settings = Settings.read(run).study(dataset)
    study, stages = run.study(settings.dataset), train_stages(settings.n_folds)
    chain = study.chain(strategy, seed)
    rounds = _trained_rounds(chain, settings, list(stages)[-1])
    if not rounds:
        known = sorted({folder.strategy for folder in study.trained()} - {SHARED})
        if strategy not in known:
            raise unknown_name(f"strategy of {study.path}", strategy, known)
        raise InputError(f"--seed {seed}: expected a seed of {study.path / strategy}, found none with a trained model")
    round_number = max(rounds) if round_number is None else round_number
    if round_number not in rounds:
        raise InputError(f"--round {round_number}: expected one of {', '.join(map(str, sorted(rounds)))}")
    folder = rounds[round_number].trained_in
    models = folder.models(settings.n_folds)
    for stage in stages:
        _require_whole(folder.path, stage)
    prepared = chain.shared.prepared
    if prepared.exists():  # not so in folders of 0.1
        _require_whole(prepared.parent, "prepare")
        digests = {name: digest for name, digest in read_object(prepared).items() if not name.endswith(".b2nd")}
        if change := changed_file(prepared.parent, digests):
            raise InputError(f"{change}: expected what the model was trained with; rerun first")
    return export_model(prepared_in(chain.shared.path), models, results)


def _require_whole(folder: Path, stage: str) -> None:
    try:
        whole_stage(folder, stage)
    except InputError as error:
        raise InputError(f"expected the model as it was trained, found it damaged ({error}); rerun first") from None


def _trained_rounds(chain: ChainFolder, settings: StudySettings, last_stage: str) -> dict[int, RoundFolder]:
    """Trained rounds of a chain by number, the shared start too where the chain has gone on from it."""
    trained = (folder for folder in chain.rounds() if folder.stage(last_stage).is_file())
    own = {folder.number: folder for folder in trained if is_of_study(folder, settings)}
    first = chain.round(0)
    if own and first.trained_in.stage(last_stage).is_file():
        own[0] = first
    return own
