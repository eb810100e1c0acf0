"""What stands in brackets is text on the terminal, too."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from albench.data import Problem
from albench.terminal import datasets as datasets_command
from albench.terminal.progress import Terminal

NAME = "own [/b] [link=file:///]a[/link]"


def test_titles_of_bars_are_text() -> None:
    text = io.StringIO()
    terminal = Terminal(Console(file=text, force_terminal=True, width=200))
    with terminal.task(f"{NAME}: reading 3 cases", 3) as advance:
        advance("[/i]")
        terminal._bars.refresh()  # type: ignore[union-attr]
    assert f"{NAME}: reading 3 cases" in text.getvalue()
    assert "[/i]" in text.getvalue()


def test_the_table_of_problems_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    datasets_command._print_problems({Problem(NAME, "axes", f"{NAME}: expected a label"): True})
    assert f"{NAME}: expected a label" in capsys.readouterr().out
