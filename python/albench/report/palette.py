"""One look per strategy, the same in every figure, table and report.

Colours are Okabe and Ito's, told apart with any colour vision; a marker tells them apart without
colour. A colour stands for a family (what the strategy looks at), marker and line for the member.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from matplotlib.markers import MarkerStyle

from albench.errors import InputError
from albench.strategies import get_strategy

BLACK, GREY = "#000000", "#5f6368"
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
ORACLE_NOTE = "† reads ground truth"
"""What the dagger of `label` means."""


@dataclass(frozen=True)
class Style:
    """Colour, matplotlib marker and matplotlib line style of a strategy."""

    color: str
    marker: str
    line: str = "-"


CEILING_STYLE = Style(GREY, "*", "--")

_KNOWN = {
    "random": Style(BLACK, "o"),
    "equidistant": Style(BLACK, "s", "--"),
    "random-fg33": Style(BLACK, "<", ":"),
    "random-fg66": Style(BLACK, ">", ":"),
    "entropy": Style(ORANGE, "s"),
    "predictive-entropy": Style(ORANGE, "8", "--"),
    "exp-entropy": Style(ORANGE, "d", ":"),
    "expected-dice": Style(SKY, "p", "--"),
    "power-pe": Style(ORANGE, "p", "-."),
    "class-pe33": Style(ORANGE, "<", ":"),
    "class-pe66": Style(ORANGE, ">", ":"),
    "class-power-pe33": Style(ORANGE, "<", "-."),
    "class-power-pe66": Style(ORANGE, ">", "-."),
    "claspe": Style(ORANGE, "h", "--"),
    "mcd": Style(SKY, "^"),
    "stb": Style(SKY, "X", "-."),
    "bald": Style(GREEN, "v"),
    "power-bald": Style(GREEN, "p", "-."),
    "softrank-bald": Style(GREEN, "h", "--"),
    "kmeans-bald": Style(GREEN, "X", ":"),
    "coreset": Style(PURPLE, "P"),
    "badge": Style(PURPLE, "X", "--"),
    "usim-f": Style(VERMILLION, "D"),
    "usim-c": Style(BLUE, "d"),
    "flvmi": Style(BLUE, "<", "--"),
    "gcmi": Style(BLUE, ">", "-."),
    "logdetmi": Style(BLUE, "h", ":"),
    "com": Style(BLUE, "p", "--"),
    "full": CEILING_STYLE,
}

# yellow last: it needs its dark marker edge to be seen on white
_FALLBACK_COLORS = (BLUE, PURPLE, GREEN, SKY, ORANGE, VERMILLION, YELLOW)
_FALLBACK_MARKERS = ("<", ">", "p", "h", "8", "H")
_FALLBACK_LINES = ("--", "-.", ":")


def style(strategy: str) -> Style:
    """Look of a strategy: fixed for known names, else drawn from the name alone.

    With parameters a known strategy keeps its colour.
    """
    if strategy in _KNOWN:
        return _KNOWN[strategy]
    number = zlib.crc32(strategy.encode())
    color = _FALLBACK_COLORS[number % len(_FALLBACK_COLORS)]
    number //= len(_FALLBACK_COLORS)
    marker = _FALLBACK_MARKERS[number % len(_FALLBACK_MARKERS)]
    number //= len(_FALLBACK_MARKERS)
    known = _KNOWN.get(_name(strategy))
    return Style(known.color if known else color, marker, _FALLBACK_LINES[number % len(_FALLBACK_LINES)])


def order(strategies: list[str]) -> list[str]:
    """Sort strategies as in every legend and table: known ones as listed, others by name, full last.

    One with parameters follows the one without.
    """
    known = [name for name in _KNOWN if name != "full"]
    rank = {name: index for index, name in enumerate(known)} | {"full": len(known) + 1}
    return sorted(set(strategies), key=lambda label: (rank.get(_name(label), len(known)), _name(label), label))


def oracle_aided(strategy: str) -> bool:
    """Whether a strategy reads ground truth when it chooses, and so is never to be read as practicable.

    Of strategies from other packages this is known where the package is installed.
    """
    try:
        return get_strategy(_name(strategy)).oracle_aided
    except InputError:
        return False


def label(strategy: str) -> str:
    """Name of a strategy as shown: with a dagger if it reads ground truth."""
    return f"{strategy}†" if oracle_aided(strategy) else strategy


def _name(strategy: str) -> str:
    """Return the label of a strategy without its parameters."""
    return strategy.partition("+")[0]


def swatch_path(strategy: str) -> str:
    """SVG path data of the strategy's marker, centred on 0, 0 and about 1 unit wide."""
    marker = MarkerStyle(style(strategy).marker)
    outline = marker.get_path().transformed(marker.get_transform())
    parts = []
    for polygon in outline.to_polygons():
        # SVG's y axis points down
        points = " L".join(f"{x:.3f},{y:.3f}" for x, y in np.asarray(polygon) * (1, -1))
        parts.append(f"M{points} Z")
    return " ".join(parts)
