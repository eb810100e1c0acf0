"""The command ``al-bench doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from albench.terminal.datasets import JsonOption


def doctor(
    out: Annotated[Path, typer.Option(envvar="ALBENCH_OUT", help="Where results shall go.")] = Path("out"),
    json_output: JsonOption = False,
) -> None:
    """Look whether this machine is fit for a run; exit status 1 where anything is not, with the cure."""
    from albench.doctor.examine import examine

    console, found = Console(soft_wrap=True, highlight=False), []
    for finding in examine(out):
        found.append(finding)
        if not json_output:
            mark = ("ok     ", "green") if finding.is_ok else ("WARNING", "yellow")
            console.print(Text.assemble(mark, f"  {finding.name}: {finding.found}"))
            if not finding.is_ok:
                console.print(f"         cure: {finding.cure}", markup=False)
    is_ok = all(finding.is_ok for finding in found)
    if json_output:
        answer = {"ok": is_ok, "findings": [finding.as_json() for finding in found]}
        typer.echo(json.dumps(answer, indent=1, ensure_ascii=False))
    if not is_ok:
        raise typer.Exit(1)
