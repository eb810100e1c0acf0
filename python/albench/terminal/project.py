"""Commands of a project: what to annotate next, and training on what came back."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from albench.errors import InputError
from albench.study.request import CHECKPOINT_HELP
from albench.terminal.datasets import JsonOption, TrustOption

if TYPE_CHECKING:
    from albench.results.query import QueriedUnit

_ImagesOption = Annotated[
    Path, typer.Option(help="Folder of <case>_0000.nii.gz and the like, or a raw data set of nnU-Net.")
]
_NameOption = Annotated[
    str | None, typer.Option(help="Name of the data set, in random streams too; default: the folder's.")
]
_SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Replace one setting of the protocol.")
]
_ProtocolOption = Annotated[str, typer.Option(help="Protocol whose scoring and training settings count.")]
_DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
_CacheOption = Annotated[Path | None, typer.Option(help="Folder for preprocessed images; default: ALBENCH_CACHE.")]
_CheckpointOption = Annotated[str, typer.Option(help="File in each fold's folder.")]
_TrustCheckpointOption = Annotated[
    bool, typer.Option("--trust-checkpoint", help="Load checkpoints as nnU-Net does, which runs what is in them.")
]


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def _edges(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--patch-size: expected three whole numbers, voxels along z, y and x, got {text!r}")
    return int(parts[0]), int(parts[1]), int(parts[2])


def query(
    images: _ImagesOption,
    budget: Annotated[int, typer.Option(help="Units to ask for.")],
    out: Annotated[Path, typer.Option(help="Folder to make, with a file for each case to annotate.")],
    model: Annotated[
        Path | None, typer.Option(help="nnU-Net's folder of a trained model; default: none, a cold start.")
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Raw data set with what is annotated, or a dataset.json alone.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Default: usim-f with a model; typical, k-centre or random without.")
    ] = None,
    folds: Annotated[str | None, typer.Option(help="Of the model, separated by commas; default: all.")] = None,
    checkpoint: _CheckpointOption = "checkpoint_final.pth",
    trust_checkpoint: _TrustCheckpointOption = False,
    uncertainty: Annotated[str, typer.Option(help="auto, dropout, ensemble or mirroring.")] = "auto",
    unit: Annotated[str, typer.Option(help="auto, slice or patch.")] = "auto",
    patch_size: Annotated[str | None, typer.Option(metavar="Z,Y,X", help="Voxels of a patch, for 3D models.")] = None,
    max_per_case: Annotated[int | None, typer.Option(help="Most units of one case.")] = None,
    max_cases: Annotated[int | None, typer.Option(help="Most cases.")] = None,
    prefill: Annotated[str, typer.Option(help="What asked units hold: prediction, background or none.")] = "prediction",
    audit: Annotated[int, typer.Option(help="Of the budget, units drawn uniformly to measure the model by.")] = 0,
    annotators: Annotated[
        str | None, typer.Option(help="Names, separated by commas: whole cases are shared out.")
    ] = None,
    split: Annotated[int | None, typer.Option(help="As --annotators, by number.")] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="A query's folder, its JSON or CSV, or a case not to ask again; repeatable."),
    ] = None,
    editor: Annotated[str, typer.Option(help="Whose files: any, itksnap, slicer or mitk.")] = "any",
    anonymise: Annotated[bool, typer.Option("--anonymise", help="Neutral names, texts in headers blanked.")] = False,
    trust_image_geometry: TrustOption = False,
    name: _NameOption = None,
    seed: Annotated[int, typer.Option(help="Of the random streams.")] = 0,
    round_number: Annotated[
        int | None, typer.Option("--round", help="Default: one after the last query of the data set.")
    ] = None,
    protocol: _ProtocolOption = "quick",
    settings: _SetOption = None,
    device: _DeviceOption = "auto",
    cache: _CacheOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked; write nothing.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Choose the units of unlabelled images to annotate next, and write files for annotators' editors."""
    from albench.project.query import make_query
    from albench.project.request import QueryRequest
    from albench.terminal.progress import Terminal

    if annotators is not None and split is not None:
        raise InputError("--annotators, --split: expected one of them, got both")
    if split is not None and split < 1:
        raise InputError(f"--split: expected a number of annotators from 1 up, got {split}")
    people = _names(annotators) if split is None else tuple(f"annotator-{i}" for i in range(1, split + 1))
    answer = make_query(
        QueryRequest(
            images=images, out=out, budget=budget, strategy=strategy, model=model, dataset=dataset,
            folds=_names(folds), checkpoint=checkpoint, trust_checkpoint=trust_checkpoint,
            uncertainty=uncertainty, unit=unit, patch_size=_edges(patch_size),  # type: ignore[arg-type]
            max_per_case=max_per_case, max_cases=max_cases, prefill=prefill, audit=audit,  # type: ignore[arg-type]
            annotators=people, exclude=tuple(exclude or ()), editor=editor, anonymise=anonymise,  # type: ignore[arg-type]
            trust_image_geometry=trust_image_geometry, name=name, seed=seed, round=round_number, protocol=protocol,
            set=tuple(settings or ()), device=device, cache=cache, dry_run=dry_run,
        ),
        Terminal(),
    )  # fmt: skip
    if json_output:
        typer.echo(json.dumps(answer.query.as_json(), indent=1, ensure_ascii=False))
        return
    _print_units(answer)
    if answer.folder is None:
        typer.echo("dry run: nothing is written")
        return
    typer.echo(f"query {answer.query.id}: {answer.folder}")
    folder = shlex.quote(str(answer.folder))
    typer.echo(f"pictures: {answer.folder / 'index.html'}")
    typer.echo(f"draw in the browser: al-bench annotate {folder}")
    typer.echo(f"or hand {answer.folder / 'tasks'} to the annotators")
    if dataset is not None:
        typer.echo(f"then: al-bench import-labels --query {folder} --dataset {shlex.quote(str(dataset))}")


def _print_units(answer: Any) -> None:
    """Show what is asked, and of how many."""
    table = Table(box=None)
    for column in ("rank", "case", "where", "score", "gain", "role"):
        table.add_column(column, justify="right" if column in ("rank", "score", "gain") else "left")
    for rank, unit in enumerate(answer.query.units, start=1):
        numbers = ["" if value is None else f"{value:.4g}" for value in (unit.score, unit.gain)]
        table.add_row(str(rank), unit.case, _where(unit), *numbers, unit.role)
    console = Console()
    console.print(table, markup=False)
    n_cases = len({unit.case for unit in answer.query.units})
    console.print(
        f"{len(answer.query.units)} of {answer.n_candidates} units in {n_cases} cases, "
        f"{len(answer.labelled)} are labelled already",
        markup=False,
        highlight=False,
    )


def _where(unit: QueriedUnit) -> str:
    """Name a unit's place as editors show it, slices counted from 1; before files are written as nnU-Net reads them."""
    if unit.start is not None:
        return f"patch {unit.index}"
    index = unit.index if unit.file_index is None else unit.file_index
    return f"{unit.plane or 'slice'} {index + 1}"


def train(
    dataset: Annotated[Path, typer.Option(help="Raw data set of nnU-Net, labelled completely or in part.")],
    out: Annotated[Path, typer.Option(help="Folder to write to, as nnUNet_results.")],
    start: Annotated[
        Path | None, typer.Option("--from", help="Trained model whose plans are kept and whose weights are the start.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="All images of the pool, for the plans; default: those of the data set.")
    ] = None,
    unit: Annotated[str, typer.Option(help="slice or patch; auto: as the last query asked.")] = "auto",
    checkpoint: _CheckpointOption = "checkpoint_final.pth",
    trust_checkpoint: _TrustCheckpointOption = False,
    trust_image_geometry: TrustOption = False,
    name: _NameOption = None,
    seed: Annotated[int, typer.Option(help="Of the random streams.")] = 0,
    round_number: Annotated[int | None, typer.Option("--round", help="Default: that of the last query.")] = None,
    protocol: _ProtocolOption = "quick",
    settings: _SetOption = None,
    device: _DeviceOption = "auto",
    cache: _CacheOption = None,
    checkpoint_minutes: Annotated[int, typer.Option(help=CHECKPOINT_HELP)] = 10,
    json_output: JsonOption = False,
) -> None:
    """Train on all that is annotated, and write a model that nnU-Net's commands and `query` take."""
    from albench.project.request import TrainRequest
    from albench.project.train import train_project
    from albench.terminal.progress import Terminal
    from albench.training.export import prediction_command

    trained = train_project(
        TrainRequest(
            dataset=dataset, out=out, images=images, start=start, unit=unit, checkpoint=checkpoint,  # type: ignore[arg-type]
            trust_checkpoint=trust_checkpoint, trust_image_geometry=trust_image_geometry, name=name, seed=seed,
            round=round_number, protocol=protocol, set=tuple(settings or ()), device=device, cache=cache,
            checkpoint_minutes=checkpoint_minutes,
        ),
        Terminal(),
    )  # fmt: skip
    losses = [report.loss for report in trained.reports]
    if json_output:
        values = {"model": str(trained.folder), "n_units": len(trained.labelled), "train_loss": losses}
        typer.echo(json.dumps(values, indent=1, ensure_ascii=False))
        return
    shown = ", ".join(f"{loss:.3f}" for loss in losses)
    typer.echo(f"model: {trained.folder} (on {len(trained.labelled)} units, loss {shown})")
    typer.echo(f"predict with it: {prediction_command(trained.folder)}")
