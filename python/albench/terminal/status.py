"""The command ``al-bench status``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from albench.terminal.datasets import JsonOption

_STYLES = {"done": "green", "running": "cyan", "failed": "red", "blocked": "red", "waiting": "dim"}


def status(
    out: Annotated[Path, typer.Argument(help="Results folder.")],
    json_output: JsonOption = False,
) -> None:
    """Say how far a study is, and who works on what where: from its files, on any machine that sees them."""
    from albench.study.status import read_status

    found = read_status(out)
    if json_output:
        typer.echo(json.dumps(found.as_json(), indent=1, ensure_ascii=False))
        return
    table = Table("data set", "chain", "seed", "rounds", "state", "where", "doing")
    for part in found.parts:
        where = part.claim.place if part.state == "running" and part.claim else ""
        state = f"{part.state}, {len(part.failures)} failures" if part.failures else part.state
        rounds = f"{part.n_done}/{part.n_rounds}"
        cells = map(escape, (part.dataset, part.name, str(part.seed), rounds, state, where, part.doing))
        table.add_row(*cells, style=_STYLES[part.state])
    Console().print(table)
    for part in found.parts:
        if part.failures:
            last = part.failures[-1]
            error = (last.end or {}).get("error", "")
            typer.echo(f"{part.dataset} {part.name} seed {part.seed}: failed last on {last.place}: {error}")
    typer.echo(f"{found.n_joined} joined processes; time left: {found.left}")
