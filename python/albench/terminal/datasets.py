"""The command ``al-bench datasets``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from albench.study.request import CACHE_HELP, DATA_HELP, TRUST_HELP

if TYPE_CHECKING:
    from albench.data import Problem

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataOption = Annotated[Path | None, typer.Option("--data", help=DATA_HELP)]
CacheOption = Annotated[Path | None, typer.Option("--cache", help=CACHE_HELP)]
TrustOption = Annotated[bool, typer.Option("--trust-image-geometry", help=TRUST_HELP)]
NameArgument = Annotated[str, typer.Argument(help="Data set name or path.")]

datasets_app = typer.Typer()


@datasets_app.callback(invoke_without_command=True)
def datasets(
    context: typer.Context, data: DataOption = None, cache: CacheOption = None, json_output: JsonOption = False
) -> None:
    """List data sets, prepare one, or verify one."""
    if context.invoked_subcommand is None:
        list_datasets(data, cache, json_output)


@datasets_app.command("list")
def list_datasets(data: DataOption = None, cache: CacheOption = None, json_output: JsonOption = False) -> None:
    """List the data sets that are known by name, and what of them is here."""
    from albench.data.catalogue import list_known
    from albench.data.locate import cache_folder

    known = list_known(data, cache_folder(cache))
    if json_output:
        typer.echo(json.dumps([asdict(row) for row in known], indent=1, ensure_ascii=False))
        return
    table = Table()
    for column in ("name", "data set", "modality", "cases", "size", "licence", "here"):
        table.add_column(column, no_wrap=column not in ("data set", "licence"))
    for row in known:
        size = f"{row.size_mb / 1000:.1f} GB" if row.size_mb >= 1000 else f"{row.size_mb} MB" if row.size_mb else "-"
        table.add_row(row.name, row.title, row.modality, str(row.n_cases), size, row.licence, row.here)
    Console().print(table, markup=False)
    typer.echo("`al-bench datasets prepare NAME` gets one; --json has citations, addresses, checksums and places.")


@datasets_app.command()
def prepare(
    name: NameArgument,
    data: DataOption = None,
    cache: CacheOption = None,
    url: Annotated[str | None, typer.Option("--url", help="Archive to download in place of the known one.")] = None,
    checksum: Annotated[
        str | None, typer.Option("--checksum", metavar="ALGORITHM:HEX", help="Of that archive, e.g. sha256:0f34...")
    ] = None,
    trust: TrustOption = False,
    json_output: JsonOption = False,
) -> None:
    """Find, download or generate a data set, verify it, lay it out for nnU-Net, and say where all is."""
    from albench.data.locate import cache_folder
    from albench.data.prepare import prepare_dataset
    from albench.data.verify import require_none_stops
    from albench.protocols import load_protocol
    from albench.terminal.progress import Terminal
    from albench.training.feasible import planning_problems
    from albench_core.cores import n_cores

    prepared = prepare_dataset(
        name,
        data_dir=data,
        cache_dir=cache_folder(cache),
        reporter=Terminal(),
        n_workers=n_cores(),
        url=url,
        checksum=checksum,
        trust_image_geometry=trust,
    )
    dataset = prepared.dataset
    require_none_stops(dataset, planning_problems(dataset, prepared.verdict.facts, load_protocol("quick").network))
    if json_output:
        places = {"root": str(dataset.root), "nnunet_raw": str(prepared.raw)}
        description = {"name": dataset.name, "n_cases": len(dataset.cases), "checksum": dataset.checksum}
        typer.echo(json.dumps(description | places, indent=1))
        return
    typer.echo(f"{dataset.name}: {len(dataset.cases)} cases in {dataset.root}")
    typer.echo(f"for nnU-Net's own commands: nnUNet_raw={prepared.raw.parent}, {prepared.raw.name}")


@datasets_app.command()
def verify(
    name: NameArgument,
    data: DataOption = None,
    cache: CacheOption = None,
    trust: TrustOption = False,
    json_output: JsonOption = False,
) -> None:
    """Read every case to its end and list all that is wrong; exit status 1 if anything is."""
    from albench.data import examine, load_dataset
    from albench.data.locate import cache_folder
    from albench.protocols import load_protocol
    from albench.terminal.progress import Terminal
    from albench.training.feasible import planning_problems
    from albench_core.cores import n_cores

    reporter = Terminal()
    dataset = load_dataset(name, data_dir=data, cache_dir=cache_folder(cache), reporter=reporter)
    verdict = examine(dataset, n_workers=n_cores(), reporter=reporter)
    problems = list(verdict.problems)
    if len(verdict.facts) == len(dataset.cases):
        problems += planning_problems(dataset, verdict.facts, load_protocol("quick").network)

    def stops(problem: Problem) -> bool:
        return problem.stops_a_run and not (trust and problem.is_of_geometry)

    if json_output:
        rows = [asdict(problem) | {"stops_a_run": stops(problem)} for problem in problems]
        found = {"name": dataset.name, "root": str(dataset.root), "n_cases": len(dataset.cases), "problems": rows}
        found |= {"channels": list(dataset.channel_names), "labels": dataset.labels, "notes": list(dataset.notes)}
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        typer.echo(f"channels: {', '.join(dataset.channel_names)}")
        typer.echo(f"labels: {', '.join(f'{number} {name}' for number, name in sorted(dataset.labels.items()))}")
        for note in dataset.notes:
            typer.echo(note)
        if problems:
            _print_problems({problem: stops(problem) for problem in problems})
        if any(problem.is_of_geometry for problem in problems) and not trust:
            typer.echo("--trust-image-geometry lays labels over their images whatever their headers say")
        cases = len({problem.case for problem in problems})
        typer.echo(f"{dataset.name}: {len(dataset.cases)} cases, {len(problems)} problems in {cases} of them")
    if problems:
        raise typer.Exit(1)


def _print_problems(problems: dict[Problem, bool]) -> None:
    """One row a problem; where standard output is no terminal, lines are as long as they have to be."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    table = Table("case", "problem", "a run", "what")
    for problem, stops in problems.items():
        table.add_row(problem.case, problem.kind, "stops" if stops else "goes on", problem.message)
    console.print(table, markup=False, highlight=False)
