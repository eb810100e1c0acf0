"""What the strategies chose, as pictures: image with the annotation, prediction, uncertainty."""

from __future__ import annotations

import base64
import io
import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from albench.report.cells import study_title
from albench.report.inputs import Inputs, RunKey, unit_word
from albench.report.palette import label_color, label_rgb, order
from albench.results.pictures import Picture, load_gallery
from albench.results.tables import STUDY_KEYS, rows_of
from albench.units.borders import border

MAX_BYTES = 5_500_000
"""Of all pictures of a page together, as base64: the page is to stay below 10 MB."""

UNCERTAINTY_MAP = "magma"
_EDGE = 112
_GAP = 4
_SHADE = 0.45
_Rgb = NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """One unit: its three pictures side by side as a data URL, and what stands below."""

    url: str
    size: tuple[int, int]
    alt: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures of one study and seed: for each round the strategies with their tiles."""

    title: str
    seed: int
    n_seeds: int
    n_shown: int
    n_kept: int
    rounds: list[tuple[int, list[tuple[str, list[Tile]]]]]
    labels: list[tuple[str, str]]


def galleries(inputs: Inputs, max_bytes: int = MAX_BYTES) -> tuple[list[Gallery], str]:
    """Pictures of the first seed of every study that has any, as many per query as fit.

    Returns
    -------
    tuple
        The galleries, and a sentence about what was left out; empty where nothing was.
    """
    shown = _first_seeds(list(inputs.galleries))
    tiles = {run: _tiles(inputs, run) for run in shown}
    n_kept = max((len(own) for own in tiles.values()), default=0)

    def size(n: int) -> int:
        return sum(len(tile.url) for own in tiles.values() for tile in own[:n])

    n_shown = next((n for n in range(n_kept, 1, -1) if size(n) <= max_bytes), min(1, n_kept))
    note = "" if n_shown == n_kept else f"To keep this page small: the first {n_shown} of {n_kept} pictures of a query."
    used, kept = 0, {}
    for run in sorted(shown, key=lambda run: (run[4], *run[:4])):  # early rounds first
        used += sum(len(tile.url) for tile in tiles[run][:n_shown])
        if used > max_bytes:
            note += " Later rounds are left out."
            break
        kept[run] = tiles[run][:n_shown]
    studies = itertools.groupby(sorted(kept), key=lambda run: run[:2])
    return [_gallery(inputs, study, {run: kept[run] for run in runs}, n_kept) for study, runs in studies], note


def _first_seeds(runs: list[RunKey]) -> list[RunKey]:
    first: dict[tuple[str, str], int] = {}
    for dataset, protocol, _, seed, _ in runs:
        first[dataset, protocol] = min(seed, first.get((dataset, protocol), seed))
    return [run for run in runs if run[3] == first[run[0], run[1]]]


def _gallery(inputs: Inputs, study: tuple[str, str], tiles: dict[RunKey, list[Tile]], n_kept: int) -> Gallery:
    rounds = []
    for round_number in sorted({run[4] for run in tiles}):
        of_round = {run[2]: own for run, own in tiles.items() if run[4] == round_number}
        rounds.append((round_number, [(name, of_round[name]) for name in order(list(of_round))]))
    results = rows_of(inputs.results, study)
    labels = results[results["label"] > 0].drop_duplicates("label").sort_values("label")
    return Gallery(
        title=study_title(*study),
        seed=next(iter(tiles))[3],
        n_seeds=len({run[3] for run in inputs.galleries if run[:2] == study}),
        n_shown=max(map(len, tiles.values())),
        n_kept=n_kept,
        rounds=rounds,
        labels=[(str(row["label_name"]), label_color(int(row["label"]))) for _, row in labels.iterrows()],
    )


def _tiles(inputs: Inputs, run: RunKey) -> list[Tile]:
    queries = inputs.queries
    own = queries[(queries[[*STUDY_KEYS, "strategy", "seed", "round"]] == list(run)).all(axis=1)]
    unit = unit_word(rows_of(queries, run[:2]))
    pictures = load_gallery(inputs.galleries[run])
    return [_tile(picture, row, unit) for picture, (_, row) in zip(pictures, own.iterrows(), strict=False)]


def _tile(picture: Picture, row: pd.Series, unit: str) -> Tile:
    where = str(row["case"]) if unit == "image" else f"{row['case']}, {unit} {row['index']}"
    score = "" if pd.isna(row["score"]) else f", score {row['score']:.3g}"
    return tile(picture, where, f"{int(row['position']) + 1}. {where}{score}")


def tile(picture: Picture, where: str, caption: str) -> Tile:
    """Draw the panels of a unit side by side; `where` says which unit it is."""
    panels = render(picture)
    height, width = panels[0].shape[:2]
    strip = np.full((height, 3 * width + 2 * _GAP, 3), 255, dtype=np.uint8)
    for number, panel in enumerate(panels):
        begin = number * (width + _GAP)
        strip[:, begin : begin + width] = panel
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, format="WEBP", quality=62, method=4)
    url = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    outlined = "" if picture.reference is None else " with the annotation outlined"
    alt = f"{where}: image{outlined}, prediction, uncertainty"
    return Tile(url, (strip.shape[1], height), alt, caption)


def render(picture: Picture) -> list[NDArray[np.uint8]]:
    """Return image with the annotation's outline if there is one, image with the prediction laid over, and uncertainty.

    Returns
    -------
    list of ndarray
        Three of uint8 (row, column, 3), the longer edge 112 pixels.
    """
    height, width = picture.image.shape
    scale = _EDGE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))

    def fit(plane: NDArray[np.uint8], how: Image.Resampling) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(plane).resize(size, how), dtype=np.uint8)

    grey = fit(picture.image, Image.Resampling.BICUBIC)[..., None].astype(np.float32) / np.float32(255)
    predicted = fit(picture.prediction, Image.Resampling.NEAREST)
    doubt = colormaps[UNCERTAINTY_MAP](fit(picture.uncertainty, Image.Resampling.BILINEAR))[..., :3]
    color = np.repeat(grey, 3, axis=2).astype(np.float32)
    outlined = color
    if picture.reference is not None:
        outlined = _painted(color, _outline(fit(picture.reference, Image.Resampling.NEAREST)), 1.0)
    shaded = _painted(_painted(color, predicted, _SHADE), _outline(predicted), 1.0)
    return [np.asarray(np.rint(255 * panel), dtype=np.uint8) for panel in (outlined, shaded, doubt)]


def _outline(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rim of every label, two pixels wide and inside it; a thinner one would lose its colour in compression."""
    inside = labels
    for _ in range(2):
        inside = np.where(border(inside, (0, 1)), 0, inside).astype(np.uint8)
    return np.where(inside == 0, labels, 0).astype(np.uint8)


def _painted(image: _Rgb, labels: NDArray[np.uint8], opacity: float) -> _Rgb:
    result = image.copy()
    for label in np.unique(labels[labels > 0]):
        where = labels == label
        result[where] = (1 - opacity) * result[where] + opacity * np.array(label_rgb(int(label)), np.float32) / 255
    return result
