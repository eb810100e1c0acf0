"""The commands ``al-bench import-labels`` and ``al-bench annotations``."""

from __future__ import annotations

import contextlib
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from albench.errors import InputError
from albench.terminal.datasets import JsonOption, TrustOption

if TYPE_CHECKING:
    from albench.annotation.importing import ImportReport
    from albench.annotation.measured_cost import MeasuredCost
    from albench.annotation.overview import QueryProgress

_STYLES = {"error": "red", "warning": "yellow", "note": ""}
_DatasetOption = Annotated[
    Path, typer.Option("--dataset", metavar="RAW", help="Raw data set of nnU-Net that the labels go to.")
]


def import_labels(
    dataset: _DatasetOption,
    query: Annotated[Path | None, typer.Option("--query", metavar="DIR", help="Folder of the query.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="DIR", help="What annotators saved; default: what they drew in the browser, else tasks."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and write nothing.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Take scribbles: units with unlabelled voxels.")] = False,
    accept_unchanged: Annotated[
        bool, typer.Option("--accept-unchanged", help="Take units that are as they were handed out.")
    ] = False,
    also_outside: Annotated[
        bool, typer.Option("--also-outside", help="Take complete slices that nobody had asked for.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CASE", help="This case; may be repeated.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out cases with errors, take the others.")] = False,
    on_conflict: Annotated[
        str, typer.Option("--on-conflict", metavar="refuse|replace", help="Where RAW has other labels already.")
    ] = "refuse",
    trust_image_geometry: TrustOption = False,
    annotator: Annotated[str | None, typer.Option(help="Whose labels these are; default: as the query says.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="That all units took together, where query.csv does not say.")
    ] = None,
    undo: Annotated[
        str | None, typer.Option("--undo", metavar="ID", help="Undo the last import, which is of this query.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Check what annotators return and take it over, all or nothing; exit status 2 where anything is wrong."""
    from albench.annotation.checks import Taking
    from albench.annotation.handed import HandedOut
    from albench.annotation.importing import ImportRequest
    from albench.annotation.importing import import_labels as run
    from albench.drawings.compose import drawn_labels
    from albench.terminal.progress import Terminal

    if undo is not None:
        _undo(dataset, undo, json_output=json_output)
        return
    if query is None:
        raise InputError("Missing option '--query'.")
    if on_conflict not in ("refuse", "replace"):
        raise InputError(f"--on-conflict: expected refuse or replace, got {on_conflict!r}")
    if only:
        HandedOut.read(query).cases_called(only)  # refused before anything that was drawn is read
    with drawn_labels(query) if labels is None else contextlib.nullcontext() as drawn:
        if drawn is not None and not json_output:
            typer.echo(f"labels as drawn in the browser: {drawn.folder}")
            for file in drawn.edited:
                typer.echo(f"not looked at: {file} has been edited, too; --labels takes its folder instead")
        report = run(
            ImportRequest(
                query=query,
                labels=labels or (query / "tasks" if drawn is None else drawn.folder),
                dataset=dataset,
                taking=Taking(partial, accept_unchanged, also_outside),
                only=tuple(only) if only else None,
                skip_bad=skip_bad,
                replace=on_conflict == "replace",
                annotator=annotator,
                minutes=minutes,
                beside={} if drawn is None else drawn.beside,
                own_table=drawn is None,
                trust_image_geometry=trust_image_geometry,
                dry_run=dry_run,
            ),
            Terminal(),
        )
    if json_output:
        typer.echo(json.dumps(_as_json(report, dry_run=dry_run), indent=1, ensure_ascii=False))
    else:
        _print_report(report, dry_run=dry_run)
    if report.is_refused:
        raise typer.Exit(2)


def show_annotations(dataset: _DatasetOption, json_output: JsonOption = False) -> None:
    """Show how far annotations are: queries, annotators, minutes, agreement, audits, and what annotating takes."""
    from albench.annotation.overview import measured, overview

    queries = overview(dataset)
    costs = measured(dataset)
    if json_output:
        content = {
            "queries": [query.as_json() for query in queries],
            "annotation_cost": [cost.as_json() for cost in costs],
        }
        typer.echo(json.dumps(content, indent=1, ensure_ascii=False))
        return
    if not queries:
        typer.echo(f"{dataset}: no queries yet")
        return
    _print_progress(queries)
    _print_costs(costs)


def _undo(dataset: Path, query: str, *, json_output: bool) -> None:
    from albench.annotation.backup import undo
    from albench.annotation.raw_folder import RawFolder

    raw = RawFolder.open(dataset)
    name = undo(raw.root, query)
    if json_output:
        typer.echo(json.dumps({"undone": name, "query": query}))
    else:
        typer.echo(f"{raw.root}: as it was before the import {name} of {query}")


def _as_json(report: ImportReport, *, dry_run: bool) -> dict[str, Any]:
    return {
        "query": report.handed.id,
        "dataset": str(report.raw.root),
        "dry_run": dry_run,
        "refused": report.is_refused,
        "findings": [finding.as_json() for finding in report.findings],
        "units": [
            {"case": entry.case, "rank": entry.rank, "place": entry.place, "role": entry.role, "state": entry.state}
            | {"annotator": entry.annotator, "minutes": entry.minutes, "changed": entry.changed}
            for entry in report.entries
        ],
        "open": report.n_open,
        "beside": sorted(report.beside),
        "classes": [row.as_json() for row in report.gains()],
        "backup": report.backup,
        "next": report.next_steps() if report.backup is not None else [],
    }


def _console() -> Console:
    """As wide as its lines where nobody looks at a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=10_000)


def _print_report(report: ImportReport, *, dry_run: bool) -> None:
    console = _console()
    if report.findings:
        table = Table("case", "what", "", "file")
        for finding in report.findings:
            table.add_row(*finding.as_row(), style=_STYLES[finding.level])
        console.print(table, markup=False, highlight=False)
    n_errors = sum(finding.level == "error" for finding in report.findings)
    if report.is_refused:
        typer.echo(f"{n_errors} error{'s' * (n_errors != 1)}; nothing was written")
        return
    states = [entry.state for entry in report.entries]
    if not states and report.beside:
        verb = "would be kept, nothing was written" if dry_run else "kept"
        typer.echo(f"{report.handed.id}: no new labels, {report.n_open} units open; {', '.join(report.beside)} {verb}")
        _print_undo(report)
        return
    if not states:
        typer.echo(f"{report.handed.id}: nothing new, {report.n_open} units open")
        return
    done = ", ".join(f"{states.count(state)} {state}" for state in ("done", "partial", "skip") if state in states)
    verb = "would be taken, nothing was written" if dry_run else "taken"
    typer.echo(f"{report.handed.id}: {done}; {verb}; {report.n_open} units open")
    table = Table("class", "voxels changed", "Dice of the prefill", "Dice of the model, audited")
    for row in report.gains():
        table.add_row(row.name, f"{row.changed:,}", _dice(row.prefill_dice), _dice(row.audit_dice, row.audit_interval))
    console.print(table, markup=False, highlight=False)
    _print_undo(report)
    if report.backup is not None:
        for line in report.next_steps():
            typer.echo(line)


def _print_undo(report: ImportReport) -> None:
    if report.backup is not None:
        folder = shlex.quote(str(report.raw.root))
        typer.echo(f"undo: al-bench import-labels --dataset {folder} --undo {report.handed.id}")


def _print_progress(queries: list[QueryProgress]) -> None:
    table = Table("query", "round", "annotator", "asked", "done", "partial", "skip", "open", "minutes")
    for query in queries:
        for number, row in enumerate(query.annotators):
            first = (query.id, str(query.round)) if number == 0 else ("", "")
            counts = (row.asked, row.done, row.partial, row.skipped, row.open)
            table.add_row(*first, row.annotator, *map(str, counts), f"{row.minutes:g}")
    console = _console()
    console.print(table, markup=False, highlight=False)
    for query in queries:
        if query.audit is not None:
            audit = query.audit
            dice = [f"{name} {_dice(value, audit.intervals[name])}" for name, value in audit.dice.items()]
            dice += [f"mean {_dice(audit.mean, audit.mean_interval)}"] if len(dice) > 1 else []
            typer.echo(f"audit of the model of {query.id}, {audit.n_units} units: Dice {', '.join(dice)}")
        for pair in query.agreement:
            dice = [f"{name} {_dice(value, pair.intervals[name])}" for name, value in pair.dice.items()]
            names, n = " and ".join(pair.annotators), pair.n_units
            typer.echo(f"agreement of {names} on {query.id}, {n} unit{'s' * (n != 1)}: Dice {', '.join(dice)}")
    n_open = sum(query.is_open for query in queries)
    typer.echo(f"{len(queries)} quer{'y' if len(queries) == 1 else 'ies'}, {n_open} open")


def _print_costs(costs: list[MeasuredCost]) -> None:
    if not costs:
        return
    table = Table(
        "annotator", "timed units", "s a slice", "s a foreground voxel", "s a border voxel", "s a unit", "off by"
    )
    for cost in costs:
        fitted = cost.fitted
        parts = (f"{part.seconds:.3g} ({part.low:.3g}-{part.high:.3g})" for part in fitted.costs.values())
        table.add_row(
            cost.annotator or "all", str(fitted.n_units), *parts, f"{fitted.mean_s:.3g}", f"{fitted.error_s:.3g}"
        )
    _console().print(table, markup=False, highlight=False)
    everybody = costs[0]
    if everybody.lacking is not None:
        typer.echo(f"not to be reckoned with yet: {everybody.lacking}")
    else:
        typer.echo(f"in a protocol: {everybody.setting}")


def _dice(value: float | None, interval: tuple[float, float] | None = None) -> str:
    shown = "-" if value is None else f"{value:.3f}"
    return shown if interval is None else f"{shown} ({interval[0]:.3f}-{interval[1]:.3f})"
