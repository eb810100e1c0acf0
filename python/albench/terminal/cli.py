"""The command ``al-bench``."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from albench import __version__
from albench.errors import ChainsFailedError, InputError, WorkerError
from albench.machine.stopping import interrupt_at_sigterm, interruption_got_through
from albench.study.request import RunRequest
from albench.terminal.annotate import annotate
from albench.terminal.annotations import import_labels, show_annotations
from albench.terminal.datasets import JsonOption, datasets_app
from albench.terminal.doctor import doctor
from albench.terminal.options import takes_request
from albench.terminal.project import query, train
from albench.terminal.status import status

app = typer.Typer(
    help="Active learning with nnU-Net: which slices should be annotated next?",
    add_completion=False,
    pretty_exceptions_enable=False,
)
_INTERRUPTED = 128 + signal.SIGINT
app.add_typer(datasets_app, name="datasets")
app.command("query")(query)
app.command("annotate")(annotate)
app.command("import-labels")(import_labels)
app.command("train")(train)
app.command("annotations")(show_annotations)
app.command("doctor")(doctor)
app.command("status")(status)


@app.command()
@takes_request()
def run(request: RunRequest) -> None:
    """Run a study: strategies x seeds on one or more data sets; then write tables, figures and the report."""
    from albench.study.run import run as run_request
    from albench.terminal.progress import Terminal

    index = run_request(request, Terminal())

    from albench.report import print_summary
    from albench.results.tables import read_results

    console = Console()
    print_summary(read_results(request.out), console)
    console.print(f"report: {index}", markup=False, highlight=False, soft_wrap=True)


@app.command()
@takes_request(
    without=("tensorboard", "gallery", "join", "claim_ttl", "checkpoint_minutes", "scheduler", "cluster", "scratch")
)
def plan(
    request: RunRequest,
    sd: Annotated[
        float | None,
        typer.Option(
            help="SD over seeds of a difference in AUBC, or of what the claims are about; default: as measured."
        ),
    ] = None,
    pilot: Annotated[
        Path | None, typer.Option(help="Results folder whose seeds say that SD for the claims of a study file.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Say what `run` would cost with these arguments: trainings, time, disk. Runs nothing but a few iterations."""
    from albench.study.forecast import forecast_studies
    from albench.terminal.progress import Terminal

    if sd is not None and not (math.isfinite(sd) and sd > 0):
        raise InputError(f"--sd: expected a positive number, got {sd}")
    forecasts = forecast_studies(request, Terminal(), sd, pilot)
    if json_output:
        _print_json([forecast.as_json() for forecast in forecasts])
        return
    for forecast in forecasts:
        table = Table(show_header=False)
        for what, value in forecast.as_row().items():
            table.add_row(what, value)
        Console().print(table, markup=False)


@app.command()
def report(
    out: Annotated[list[Path], typer.Argument(help="Results folder, or several to merge.")],
    to: Annotated[Path | None, typer.Option(help="Where to write; default: OUT/report of a single folder.")] = None,
) -> None:
    """Write figures, tables and the HTML report from result files alone."""
    from albench.report import build_report

    typer.echo(f"report: {build_report(out, to)}")


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="Results folder.")],
    strategy: Annotated[str, typer.Option(help="Whose model.")],
    to: Annotated[Path, typer.Option(help="Folder to write to, as nnUNet_results.")],
    dataset: Annotated[str | None, typer.Option(help="Data set; default: the study's only one.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    round_number: Annotated[
        int | None, typer.Option("--round", min=0, help="Round; default: the last finished one.")
    ] = None,
) -> None:
    """Export a trained model as a folder that nnU-Net's own commands load."""
    from albench.study.export import export_round
    from albench.training.export import prediction_command

    folder = export_round(out, dataset=dataset, strategy=strategy, seed=seed, round_number=round_number, results=to)
    typer.echo(f"model: {folder}")
    typer.echo(f"predict with it: {prediction_command(folder)}")


@app.command()
def check(
    out: Annotated[Path, typer.Argument(help="Results folder.")],
    baseline: Annotated[Path, typer.Option(help="File to compare with, or to write.")],
    update: Annotated[bool, typer.Option("--update", help="Write OUT's results as the new baseline.")] = False,
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Add OUT to the baseline as another run of the same seeds.")
    ] = False,
    strategy: Annotated[str | None, typer.Option(help="Only these of OUT: NAME,NAME.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Compare results with a baseline; exit status 1 where any fell below the band that noise explains."""
    from albench.check.baseline import load_baseline, repeated, save_baseline, summarise
    from albench.check.compare import compare, require_spread

    results = summarise(out)
    if strategy is not None:
        results = results.only([name.strip() for name in strategy.split(",")])
    if update and repeat:
        raise InputError("--update, --repeat: expected one of them: the first replaces the baseline, the second adds")
    if update or repeat:
        results = repeated(load_baseline(baseline), results) if repeat else results
        require_spread(results)
        save_baseline(results, baseline)
        typer.echo(f"baseline: {baseline}, {len(results.cells)} cells, {len(results.queries)} queries")
        return
    rows = compare(results, load_baseline(baseline))
    failed = [row for row in rows if not row.passed]
    if json_output:
        typer.echo(json.dumps([row.as_json() for row in rows], indent=1))
    else:
        for row in failed:
            typer.echo(f"FAILED {row.message}")
        typer.echo(f"{len(rows)} comparisons, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


@app.command()
def strategies(
    name: Annotated[str | None, typer.Argument(help="Explain this one.")] = None,
    json_output: JsonOption = False,
) -> None:
    """List the strategies, or explain one."""
    from albench.strategies import get_strategy, make_strategy, strategy_names
    from albench.strategies.describe import describe
    from albench.terminal.strategies import print_strategies, print_strategy

    if name is not None:
        chosen = describe(type(make_strategy(name)))
        if json_output:
            _print_json(chosen.as_json())
        else:
            print_strategy(chosen, Console())
        return
    descriptions, broken = [], {}
    for known in strategy_names():
        try:
            descriptions.append(describe(get_strategy(known)))
        except InputError as error:  # of another package, which must not keep the others from being listed
            broken[known] = str(error)
    if json_output:
        _print_json([each.as_json() for each in descriptions] + [{"name": n, "error": e} for n, e in broken.items()])
    else:
        print_strategies(descriptions, Console())
        for message in broken.values():
            typer.echo(message, err=True)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; allowed anywhere.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Hold the options of the program itself; `main` has dealt with them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; never returns.

    ``al-bench --dataset NAME ...`` is short for ``al-bench run --dataset NAME ...``. Exits with 0 when done, 1
    when a check or some of a run's chains failed, 2 for wrong arguments or bad input, 130 when interrupted, 143 when
    asked to end (SIGTERM).
    """
    stopped_by = signal.SIGINT

    def note() -> None:
        nonlocal stopped_by
        stopped_by = signal.SIGTERM

    interrupt_at_sigterm(note)
    # Pools of forked processes end theirs with this signal, and wait: there it has to do just that.
    if hasattr(os, "register_at_fork"):  # Windows gets as far as being told that it will not do
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    if given and given[0].startswith("-") and any(argument.split("=")[0] == "--dataset" for argument in given):
        given.insert(0, "run")
    try:
        status = app(given or ["--help"], prog_name="al-bench", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except (ChainsFailedError, WorkerError) as error:
        if debug:
            raise
        for line in str(error).splitlines():
            typer.echo(f"al-bench: {line}", err=True)
        sys.exit(1)
    except Exception as error:
        message = _explain(error)
        if debug or message is None:
            raise
        typer.echo(f"al-bench: {' '.join(message.split())}", err=True)
        sys.exit(2)
    if status == _INTERRUPTED:  # some versions of Typer make it of a KeyboardInterrupt
        interruption_got_through()
        goes_on = given and given[0] in ("run", "train")
        kept = "finished stages are kept, and the same command resumes" if goes_on else "the same command starts again"
        typer.echo(f"interrupted; {kept}", err=True)
        sys.exit(128 + stopped_by)
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: Exception) -> str | None:
    """One line for an error the user can do something about, or None for a fault of ours."""
    # Typer's errors for wrong arguments, whose class belongs to click or to Typer, as its version has it
    if (usage := getattr(error, "format_message", None)) is not None:
        return str(usage())
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):  # the latter where a library is loaded
        return f"out of memory ({error}); `ulimit -v` has the limit of this process, if it has one"
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    return None
