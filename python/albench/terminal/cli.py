"""The command ``al-bench``."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from albench import __version__
from albench.errors import InputError, WorkerError
from albench.terminal.datasets import CacheOption, DataOption, JsonOption, datasets_app

if TYPE_CHECKING:  # imports torch
    from albench.study.run import RunRequest

app = typer.Typer(
    help="Active learning with nnU-Net: which slices should be annotated next?",
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Typer's error for wrong arguments; which click it comes from depends on its version.
_UsageError = typer.BadParameter.__bases__[0]
DatasetOption = Annotated[str, typer.Option("--dataset", help="Data set name or path; several separated by commas.")]
StrategyOption = Annotated[
    str, typer.Option("--strategy", help="Strategies, separated by commas; with parameters: usim-f+query=expected.")
]
ProtocolOption = Annotated[
    str, typer.Option("--protocol", help="quick (CPU), paper or nnactive (GPU), or a YAML file of your own.")
]
SeedsOption = Annotated[int, typer.Option("--seeds", min=1, help="Number of repetitions.")]
RoundsOption = Annotated[int | None, typer.Option("--rounds", min=1, help="Trainings in a chain.")]
BudgetOption = Annotated[int | None, typer.Option("--budget", min=1, help="Units annotated in a round.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SETTING=VALUE", help="Replace a protocol's setting, e.g. training.initial_lr=0.02."),
]
StartOption = Annotated[
    str | None,
    typer.Option("--start", help="How the units annotated first are chosen: random, k-centre, typical or all-classes."),
]
SplitByOption = Annotated[
    str | None,
    typer.Option("--split-by", help="fixed: all seeds are tested on the same cases; seed: on others each."),
]
GroupByOption = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="PATTERN",
        help="Regular expression whose one group names the patient in a case's name; or auto, none.",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
OutOption = Annotated[Path, typer.Option("--out", envvar="ALBENCH_OUT", help="Results folder.")]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Chains side by side; default: as the cores allow.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume/--fresh", help="Continue what is in --out, or set it aside and start anew.")
]
TensorboardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Log losses and Dice to OUT/tensorboard while running.")
]
GalleryOption = Annotated[
    int, typer.Option("--gallery", min=0, help="Units of each query to keep pictures of for the report.")
]
_INTERRUPTED = 128 + signal.SIGINT
_STOP_AGAIN_S = 3.0
DEFAULT_STRATEGIES = "random,entropy,usim-f,full"
app.add_typer(datasets_app, name="datasets")


@app.command()
def run(
    dataset: DatasetOption,
    strategy: StrategyOption = DEFAULT_STRATEGIES,
    protocol: ProtocolOption = "quick",
    seeds: SeedsOption = 1,
    rounds: RoundsOption = None,
    budget: BudgetOption = None,
    settings: SetOption = None,
    start: StartOption = None,
    split_by: SplitByOption = None,
    group_by: GroupByOption = None,
    device: DeviceOption = "auto",
    data: DataOption = None,
    out: OutOption = Path("out"),
    cache: CacheOption = None,
    jobs: JobsOption = None,
    resume: ResumeOption = True,
    tensorboard: TensorboardOption = False,
    gallery: GalleryOption = 8,
) -> None:
    """Run a study: strategies x seeds on one or more data sets; then write tables, figures and the report."""
    from albench.study.run import run as run_request

    run_request(
        _request(
            dataset,
            strategy,
            settings,
            protocol=protocol,
            seeds=seeds,
            rounds=rounds,
            budget=budget,
            start=start,
            split_by=split_by,
            group_by=group_by,
            device=device,
            data=data,
            out=out,
            cache=cache,
            jobs=jobs,
            fresh=not resume,
            tensorboard=tensorboard,
            gallery=gallery,
        )
    )


@app.command()
def plan(
    dataset: DatasetOption,
    strategy: StrategyOption = DEFAULT_STRATEGIES,
    protocol: ProtocolOption = "quick",
    seeds: SeedsOption = 1,
    rounds: RoundsOption = None,
    budget: BudgetOption = None,
    settings: SetOption = None,
    start: StartOption = None,
    split_by: SplitByOption = None,
    group_by: GroupByOption = None,
    device: DeviceOption = "auto",
    data: DataOption = None,
    out: OutOption = Path("out"),
    cache: CacheOption = None,
    jobs: JobsOption = None,
    resume: ResumeOption = True,
    sd: Annotated[
        float | None,
        typer.Option(help="SD over seeds of a difference in AUBC, for what the seeds can find; default: as measured."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Say what `run` would cost with these arguments: trainings, time, disk. Runs nothing but a few iterations."""
    from albench.study.forecast import plan_studies

    if sd is not None and not (math.isfinite(sd) and sd > 0):
        raise InputError(f"--sd: expected a positive number, got {sd}")
    forecasts = plan_studies(
        _request(
            dataset,
            strategy,
            settings,
            protocol=protocol,
            seeds=seeds,
            rounds=rounds,
            budget=budget,
            start=start,
            split_by=split_by,
            group_by=group_by,
            device=device,
            data=data,
            out=out,
            cache=cache,
            jobs=jobs,
            fresh=not resume,
        ),
        sd,
    )
    if json_output:
        _print_list([forecast.as_json() for forecast in forecasts], as_json=True)
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
    number: Annotated[int | None, typer.Option("--round", min=0, help="Round; default: the last finished one.")] = None,
) -> None:
    """Export a trained model as a folder that nnU-Net's own commands load."""
    from albench.study.export import export_round

    folder = export_round(out, dataset=dataset, strategy=strategy, seed=seed, number=number, results=to)
    typer.echo(f"model: {folder}")


@app.command()
def check(
    out: Annotated[Path, typer.Argument(help="Results folder.")],
    baseline: Annotated[Path, typer.Option(help="File to compare with, or to write.")],
    update: Annotated[bool, typer.Option("--update", help="Write OUT's results as the new baseline.")] = False,
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Add OUT to the baseline as another run of the same seeds.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Compare results with a baseline; exit status 1 where any fell below the band that noise explains."""
    from albench.check.baseline import load_baseline, repeated, save_baseline, summarise
    from albench.check.compare import compare

    found = summarise(out)
    if update and repeat:
        raise InputError("--update, --repeat: expected one of them: the first replaces the baseline, the second adds")
    if update or repeat:
        found = repeated(load_baseline(baseline), found) if repeat else found
        save_baseline(found, baseline)
        typer.echo(f"baseline: {baseline}, {len(found.cells)} cells, {len(found.queries)} queries")
        return
    rows = compare(found, load_baseline(baseline))
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
    found, broken = [], {}
    for known in strategy_names():
        try:
            found.append(describe(get_strategy(known)))
        except InputError as error:  # of another package, which must not keep the others from being listed
            broken[known] = str(error)
    if json_output:
        _print_json([each.as_json() for each in found] + [{"name": n, "error": e} for n, e in broken.items()])
    else:
        print_strategies(found, Console())
        for message in broken.values():
            typer.echo(message, err=True)


def _request(dataset: str, strategy: str, settings: Sequence[str] | None, **others: Any) -> RunRequest:
    from albench.study.run import RunRequest

    return RunRequest(
        datasets=_names("dataset", dataset), strategies=_names("strategy", strategy), settings=settings or (), **others
    )


def _names(option: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise InputError(f"--{option}: expected one or more names separated by commas, got {text!r}")
    return names


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _print_list(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _print_json(list(rows))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table, markup=False)


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
    when a check failed, 2 for wrong arguments or bad input, 130 when interrupted, 143 when asked to end (SIGTERM).
    """
    stopped_by = signal.SIGINT

    def terminate(number: int, frame: FrameType | None) -> None:
        """Stop everything the way Ctrl-C does; `docker stop` and batch systems at their time limit ask like this."""
        nonlocal stopped_by
        stopped_by = signal.SIGTERM
        # Python drops what is raised inside its own callbacks, at a fork for instance: again until it gets through.
        signal.signal(signal.SIGALRM, terminate)
        signal.setitimer(signal.ITIMER_REAL, _STOP_AGAIN_S)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, terminate)
    # Pools of forked processes end theirs with this signal, and wait: there it has to do just that.
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
    except WorkerError as error:
        typer.echo(f"al-bench: {error}", err=True)
        sys.exit(1)
    except Exception as error:
        message = _explain(error)
        if debug or message is None:
            raise
        typer.echo(f"al-bench: {' '.join(message.split())}", err=True)
        sys.exit(2)
    if status == _INTERRUPTED:  # some versions of Typer make it of a KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, 0)
        typer.echo("interrupted; finished stages are kept, and the same command resumes", err=True)
        sys.exit(128 + stopped_by)
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: Exception) -> str | None:
    """One line for an error the user can do something about, or None for a fault of ours."""
    if isinstance(error, _UsageError):
        return str(error.format_message())  # type: ignore[attr-defined]
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    return None
