"""Strategies on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from albench.strategies.describe import Description, ParameterText
from albench.strategies.parameters import text_of

_DAGGER = "† reads ground truth when it chooses, as nobody could in practice"


def print_strategies(descriptions: Sequence[Description], console: Console) -> None:
    """Print names, one line each on what they prefer, parameters with defaults, references."""
    table = Table.grid(padding=(0, 2, 1, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # settings are one long word
    for each in descriptions:
        lines = [Text(each.summary)]
        if each.parameters:
            lines.append(Text(f"{each.name}+{'+'.join(p.setting() for p in each.parameters)}", "cyan"))
        lines.append(Text(each.reference, "dim"))
        table.add_row(Text(f"{each.name}{'†' if each.oracle_aided else ''}", "bold"), Text("\n").join(lines))
    console.print(table)
    if any(each.oracle_aided for each in descriptions):
        console.print(Text(_DAGGER))


def print_strategy(each: Description, console: Console) -> None:
    """Print all there is to say about one."""
    console.print(Text.assemble((each.name, "bold"), f": {each.summary}"))
    console.print(Text(each.reference, "dim"))
    if each.oracle_aided:
        console.print(Text(_DAGGER))
    console.print(Text(f"\n{each.description}"))
    console.print(Text("\nNeeds", "bold"))
    for need in each.needs or ["nothing"]:
        console.print(Padding(Text(need), (0, 0, 0, 2)))
    if each.parameters:
        console.print(Text("\nParameters", "bold"))
    for parameter in each.parameters:
        console.print(Padding(Text.assemble((parameter.setting(), "cyan"), f"  ({_values(parameter)})"), (0, 0, 0, 2)))
        console.print(Padding(Text(parameter.description), (0, 0, 0, 4)))
    if each.parameters:
        first = each.parameters[0]
        other = first.values[-1] if first.values else text_of(first.default)
        console.print(Text(f"\nExample: al-bench run --dataset NAME --strategy {each.name}+{first.name}={other}"))


def _values(parameter: ParameterText) -> str:
    return f"one of {', '.join(parameter.values)}" if parameter.values else parameter.type
