"""One look per strategy, the same in every figure, table and report.

Colours are Okabe and Ito's, told apart with any colour vision, and a brown that is darker than they are; a
marker tells them apart without colour. A colour stands for a family (what the strategy looks at), marker and line for
the member.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle

from albench.errors import InputError
from albench.strategies import get_strategy, strategy_names
from albench.strategies.base import Family, Look

BLACK, GREY = "#000000", "#5f6368"
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
BROWN = "#7A4A00"
ORACLE_NOTE = "† reads ground truth"
"""What the dagger of `label` means."""


@dataclass(frozen=True)
class Style:
    """Colour, matplotlib marker and matplotlib line style of a strategy."""

    color: str
    marker: str
    line: str = "-"


_COLORS: dict[Family, str] = {
    "model-free": BLACK,
    "entropy": ORANGE,
    "class-entropy": BROWN,
    "variance": SKY,
    "disagreement": GREEN,
    "diversity": PURPLE,
    "usim": VERMILLION,
    "mutual-information": BLUE,
    "ceiling": GREY,
}

# yellow last: it needs its dark marker edge to be seen on white
_FALLBACK_COLORS = (BLUE, PURPLE, GREEN, SKY, ORANGE, VERMILLION, YELLOW)
_FALLBACK_MARKERS = ("<", ">", "p", "h", "8", "H")
_FALLBACK_LINES = ("--", "-.", ":")


_LABEL_COLORS = (VERMILLION, SKY, YELLOW, PURPLE, GREEN, ORANGE, BLUE)


def label_color(value: int) -> str:
    """Colour of a label, ``#rrggbb``, the same in galleries and in editors; from the eighth on they come again."""
    return _LABEL_COLORS[(value - 1) % len(_LABEL_COLORS)]


def label_rgb(value: int) -> tuple[int, int, int]:
    """Return `label_color` as red, green and blue, 0 to 255."""
    red, green, blue = (round(255 * part) for part in to_rgb(label_color(value)))
    return red, green, blue


def style(strategy: str) -> Style:
    """Look of a strategy: what its class says, else drawn from the name alone.

    With parameters it keeps its family's colour, and so does one of another package that extends one of ours.
    """
    look = _look(strategy)
    if look is not None and strategy == _name(strategy) and "look" in vars(get_strategy(strategy)):
        return Style(_COLORS[look.family], look.marker, look.line)
    number = zlib.crc32(strategy.encode())
    color = _FALLBACK_COLORS[number % len(_FALLBACK_COLORS)]
    number //= len(_FALLBACK_COLORS)
    marker = _FALLBACK_MARKERS[number % len(_FALLBACK_MARKERS)]
    number //= len(_FALLBACK_MARKERS)
    return Style(_COLORS[look.family] if look else color, marker, _FALLBACK_LINES[number % len(_FALLBACK_LINES)])


def order(strategies: list[str]) -> list[str]:
    """Sort strategies as in every legend and table: by family as listed in a family, others by name, the ceiling last.

    One with parameters follows the one without.
    """
    families, names = list(_COLORS), strategy_names()

    def place(label: str) -> tuple[float, int, str, str]:
        name, look = _name(label), _look(label)
        # those that no family has stand before the ceiling
        family = families.index(look.family) if look else len(families) - 1.5
        return (family, names.index(name) if look else 0, name, label)

    return sorted(set(strategies), key=place)


def _look(strategy: str) -> Look | None:
    """Look that the strategy's class asks for; of other packages' strategies, where the package is installed."""
    try:
        return get_strategy(_name(strategy)).look
    except InputError:
        return None


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
