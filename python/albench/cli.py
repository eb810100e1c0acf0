"""The command ``al-bench``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from albench import __version__
from albench.errors import InputError

app = typer.Typer(
    help="Active learning with nnU-Net: which slices should be annotated next?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    dataset: Annotated[str, typer.Option(help="Data set name or path; several separated by commas.")],
    strategy: Annotated[str, typer.Option(help="Strategies, separated by commas.")] = "random,entropy,usim-f,full",
    protocol: Annotated[str, typer.Option(help="quick (CPU, minutes) or paper (GPU).")] = "quick",
    seeds: Annotated[int, typer.Option(min=1, help="Number of repetitions.")] = 1,
    rounds: Annotated[int | None, typer.Option(min=1, help="Trainings in a chain.")] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Slices annotated in a round.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    data: Annotated[Path | None, typer.Option(help="Folder with the data sets; default: ALBENCH_DATA.")] = None,
    out: Annotated[Path, typer.Option(help="Results folder.")] = Path("out"),
    cache: Annotated[
        Path | None, typer.Option(help="Unpacked data and phantoms; default: ALBENCH_CACHE or ~/.cache/al-bench.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Continue what is in --out, or set it aside and start anew.")
    ] = True,
) -> None:
    """Run a study: strategies x seeds on one or more data sets; then write tables, figures and the report."""
    from albench.run import RunRequest, run_studies

    run_studies(
        RunRequest(
            datasets=_names("dataset", dataset),
            strategies=_names("strategy", strategy),
            protocol=protocol,
            seeds=seeds,
            rounds=rounds,
            budget=budget,
            device=device,
            data=data,
            out=out,
            cache=cache,
            fresh=not resume,
        )
    )


@app.command()
def report(out: Annotated[list[Path], typer.Argument(help="Results folder, or several to merge.")]) -> None:
    """Write figures, tables and the HTML report from result files alone."""
    from albench.report import build_report

    typer.echo(f"report: {build_report(out)}")


@app.command()
def datasets(json_output: JsonOption = False) -> None:
    """List the data sets that are known by name."""
    from albench.data import list_entries

    rows = [
        {"name": entry.name, "title": entry.title, "modality": entry.modality, "licence": entry.licence}
        for entry in list_entries()
    ]
    _print_list(rows, json_output)


@app.command()
def strategies(
    name: Annotated[str | None, typer.Argument(help="Explain this one.")] = None, json_output: JsonOption = False
) -> None:
    """List the strategies, or explain one."""
    from albench.strategies import get_strategy, strategy_names

    if name is not None:
        chosen = get_strategy(name)
        typer.echo(f"{chosen.name}: {chosen.summary}\n{chosen.reference}\n\n{chosen.__doc__}")
        return
    found = [get_strategy(known) for known in strategy_names()]
    _print_list([{"name": s.name, "summary": s.summary, "reference": s.reference} for s in found], json_output)


def _names(option: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise InputError(f"--{option}: expected one or more names separated by commas, got {text!r}")
    return names


def _print_list(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(list(rows), indent=1, ensure_ascii=False))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    if debug:
        os.environ["ALBENCH_DEBUG"] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; never returns.

    ``al-bench --dataset NAME ...`` is short for ``al-bench run --dataset NAME ...``. Exits with 0 when done, 1
    when a check failed, 2 for wrong arguments or bad input, 130 when interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if any(argument.split("=")[0] == "--dataset" for argument in given) and not _names_a_command(given):
        position = 1 if given[0] == "--debug" else 0
        given.insert(position, "run")
    try:
        app(given, prog_name="al-bench")
    except InputError as error:
        _fail(str(error), error)
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{':' + place if place else ''}", error)
    except KeyboardInterrupt:
        typer.echo("interrupted; finished stages are kept, the same command resumes", err=True)
        sys.exit(130)


def _names_a_command(arguments: Sequence[str]) -> bool:
    first = next((argument for argument in arguments if argument != "--debug"), "")
    return not first.startswith("-")


def _fail(message: str, error: BaseException) -> None:
    if os.environ.get("ALBENCH_DEBUG"):
        raise error
    typer.echo(f"al-bench: {' '.join(message.split())}", err=True)
    sys.exit(2)
