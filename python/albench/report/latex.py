"""Tables for papers: the cells of the other tables as LaTeX, for the package booktabs."""

from __future__ import annotations

from albench.report.cells import Cells
from albench.report.palette import ORACLE_NOTE
from albench.report.texts import NBSP

_ESCAPES = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "≤": r"$\le$",
    "±": r"$\pm$",
    "γ": r"$\gamma$",
    "–": "--",
    "†": r"\textsuperscript{\textdagger}",
    NBSP: "~",
}


def latex(title: str, cells: Cells) -> str:
    """Return a ``table`` environment; the highest means are bold, intervals stand in small print."""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(f'{title}. {cells.note}' if cells.note else title)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(cells.header) - 1)}}}",
        r"\toprule",
        _row([escape(text) for text in cells.header]),
        r"\midrule",
    ]
    for index, row in enumerate(cells.rows):
        lines.append(_row([_cell(text, (index, column) in cells.best) for column, text in enumerate(row)]))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if any(row[0].endswith("†") for row in cells.rows):
        lines.append(rf"\par\footnotesize {escape(ORACLE_NOTE)}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escape(text: str) -> str:
    """Text with LaTeX's own characters made harmless."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def _cell(text: str, best: bool) -> str:
    number, bracket, interval = text.partition(" [")
    shown = _minus(escape(number))
    shown = rf"\textbf{{{shown}}}" if best else shown
    # braces: a bracket after the end of a row would be its optional argument
    return rf"{shown} {{\scriptsize [{_minus(escape(interval))}}}" if bracket else shown


def _minus(text: str) -> str:
    """Hyphens before digits are minus signs."""
    return "".join(
        "$-$" if c == "-" and text[i + 1 : i + 2].isdigit() and text[i - 1 : i] in ("", " ", "[") else c
        for i, c in enumerate(text)
    )


def _row(texts: list[str]) -> str:
    return f"{' & '.join(texts)} \\\\"
