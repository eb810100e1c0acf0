"""Names and colours of labels, in the tables that editors read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from albench.machine.spreadsheet import csv_bytes
from albench.report.palette import label_rgb

_IGNORE_RGB = (128, 128, 128)
_LINE = "#" * 48


@dataclass(frozen=True)
class Label:
    """A value of a task's file.

    Attributes
    ----------
    rgb
        0 to 255 each; black for background, grey for ignore.
    visible
        Whether it is worth seeing: background and ignore are not.
    """

    value: int
    name: str
    rgb: tuple[int, int, int]
    visible: bool = True


def labels_of(labels: Mapping[str, int], ignore: int, ignore_name: str) -> tuple[Label, ...]:
    """Labels in the order of their values, background first and ignore last.

    Parameters
    ----------
    labels
        Name to value, without ignore.
    """
    found = [Label(0, name, (0, 0, 0), visible=False) for name, value in labels.items() if value == 0]
    named = sorted((value, name) for name, value in labels.items() if value != 0)
    found += [Label(value, name, label_rgb(value)) for value, name in named]
    return (*found, Label(ignore, ignore_name, _IGNORE_RGB, visible=False))


def itksnap_table(labels: Sequence[Label]) -> bytes:
    """Return ITK-SNAP's description of labels; its reader ends a name at the first double quote, hence single ones."""
    lines = [_LINE, "# ITK-SnAP Label Description File", "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL", _LINE]
    lines.append('    0     0    0    0        0  0  0    "Clear Label"')
    for label in labels:
        if label.value:
            red, green, blue = label.rgb
            seen = int(label.visible)
            numbers = f"{label.value:5d} {red:5d} {green:4d} {blue:4d} {seen:8d}  {seen}  {seen}"
            lines.append(f'{numbers}    "{_single_quoted(label)}"')
    return ("\n".join(lines) + "\n").encode()


def slicer_table(labels: Sequence[Label]) -> bytes:
    """Return 3D Slicer's table of colours; it has no blanks in names, and its reader makes blanks of underscores."""
    lines = ["# Color table file"]
    for label in labels:
        red, green, blue = label.rgb
        lines.append(f"{label.value} {'_'.join(label.name.split())} {red} {green} {blue} {255 * label.visible}")
    return ("\n".join(lines) + "\n").encode()


def csv_table(labels: Sequence[Label]) -> bytes:
    """Return the table as CSV, in the columns that 3D Slicer reads from version 5.8 on.

    Names are as they are but for double quotes, which its reader knows no way to write: single ones.
    """
    rows = [(label.value, _single_quoted(label), *label.rgb, 255 * label.visible) for label in labels]
    columns = ["LabelValue", "Name", "Color_R", "Color_G", "Color_B", "Color_A"]
    return csv_bytes(pd.DataFrame(rows, columns=columns))


def _single_quoted(label: Label) -> str:
    return label.name.replace('"', "'")
