"""Draws docs/figures/rooms.svg: the rooms as pyproject.toml layers them, and the way of the data.

python docs/site/rooms.py
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "figures" / "rooms.svg"
CONTRACT = "Rooms import downwards only"

WIDTH, GAP, LEFT, TOP = 1180, 10, 650, 64
FLOW = (  # rooms, what happens there; those of LOOP are repeated every round
    ("data", "images and labels are found, read and verified"),
    ("training, units", "nnU-Net plans and preprocesses; cases become units, pool and test cases"),
    ("coldstart", "the starting set is chosen and annotated"),
    ("training", "a network learns from what is annotated"),
    ("metrics", "held-out cases are predicted and scored"),
    ("scoring", "the network is asked about every unlabelled unit"),
    ("strategies, core", "the units worth annotating next are chosen, and annotated"),
    ("results", "every stage leaves its files, then a record of them; tables are collected from these"),
    ("stats", "curves, intervals, one test for every verdict"),
    ("report, check", "figures, one HTML page; results held against a baseline"),
)
LOOP = (3, 6)


def layers() -> list[list[str]]:
    """Rooms from the top down, those of a layer side by side; optional ones that are not there are left out."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [each for each in contracts if each["name"] == CONTRACT]
    rows = [[name.strip(" ()") for name in re.split("[|:]", layer)] for layer in contract["layers"]]
    rows = [[name for name in row if not name.startswith("_") and _source(name).is_file()] for row in rows]
    return [row for row in rows if row]


def _source(room: str) -> Path:
    path = ROOT / "python" / "albench" / room
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def summary(room: str) -> str:
    """First line of a room's docstring."""
    text = ast.get_docstring(ast.parse(_source(room).read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].rstrip(".").removesuffix(": one idea a file")


def wrapped(text: str, width: float) -> list[str]:
    """Lines that fit into a box."""
    return textwrap.wrap(text.replace("`", ""), int((width - 18) / 6.1))


def box(x: float, y: float, width: float, height: float, title: str, text: str, fill: str) -> list[str]:
    """Return a box with a bold title and a text that is wrapped into it."""
    shown = [f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="{fill}" stroke="#7a8794"/>']
    shown.append(f'<text x="{x + 9:g}" y="{y + 17:g}" font-size="13" font-weight="bold">{escape(title)}</text>')
    for number, line in enumerate(wrapped(text, width)):
        shown.append(f'<text x="{x + 9:g}" y="{y + 32 + 13 * number:g}" font-size="11">{escape(line)}</text>')
    return shown


def draw() -> str:
    """Return the picture as SVG."""
    rows = layers()
    widths = [(LEFT - 16 - GAP * (len(row) - 1)) / len(row) for row in rows]
    heights = [
        max(len(wrapped(summary(room), width)) for room in row) * 13 + 30
        for row, width in zip(rows, widths, strict=True)
    ]
    height = TOP + sum(heights) + GAP * len(rows) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, '
        'sans-serif" fill="#1d2733">',
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#44546a"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="28" font-size="17" font-weight="bold">Rooms</text>',
        '<text x="16" y="48" font-size="12">A room imports rooms further down only; those side by side do not '
        "know each other.</text>",
        f'<text x="{LEFT + 36}" y="28" font-size="17" font-weight="bold">The way of the data</text>',
        f'<text x="{LEFT + 36}" y="48" font-size="12">study leads along it; what is framed is repeated every '
        "round.</text>",
    ]
    y = TOP
    for row, width, tall in zip(rows, widths, heights, strict=True):
        for place, room in enumerate(row):
            parts += box(16 + place * (width + GAP), y, width, tall, room, summary(room), "#eef3f9")
        y += tall + GAP
    parts += _flow(height)
    return "\n".join([*parts, "</svg>", ""])


def _flow(height: int) -> list[str]:
    x, width = LEFT + 56, WIDTH - LEFT - 106
    step = (height - TOP - 12) / len(FLOW)
    tall = step - 18
    first, last = LOOP
    frame = (TOP + first * step - 9, (last - first + 1) * step)
    parts = [
        f'<rect x="{x - 14}" y="{frame[0]:g}" width="{width + 44}" height="{frame[1]:g}" rx="8" fill="#fbf6e9" '
        'stroke="#b59a4c" stroke-dasharray="5 4"/>'
    ]
    for number, (rooms, text) in enumerate(FLOW):
        y = TOP + number * step
        parts += box(x, y, width, tall, rooms, text, "#e9f4ea")
        if number + 1 < len(FLOW):
            parts.append(_line(f"M{x + width / 2:g},{y + tall:g} V{y + step - 1:g}"))
    start, end = TOP + last * step + tall / 2, TOP + first * step + tall / 2
    side = x + width
    parts.append(_line(f"M{side},{start:g} H{side + 20} V{end:g} H{side + 2}"))
    return parts


def _line(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#44546a" stroke-width="1.5" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    TARGET.write_text(draw(), encoding="utf-8")
