"""The pages for people: what to do, and pictures of what is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from albench.annotation.label_tables import Label
from albench.annotation.places import unit_title
from albench.report.galleries import MAX_BYTES, Tile, tile
from albench.results.pictures import picture
from albench.results.query import QueriedUnit, Query
from albench.units.view import UnitView

_HIDDEN = "Units of the audit are not shown: whoever has seen a prediction is swayed by it."


@dataclass(frozen=True)
class Row:
    """A unit in the table of all; `case` is the name of its files."""

    rank: int | None
    case: str
    title: str
    role: str
    annotator: str
    file: str | None


def gallery_page(
    query: Query, labels: Sequence[Label], views: Sequence[UnitView | None], max_bytes: int = MAX_BYTES
) -> str:
    """Return one self-contained HTML document.

    Parameters
    ----------
    query
        With places.
    views
        Of the first units in the order of the query, None for one without; of units of the audit none is shown.
    max_bytes
        Of all pictures together; later ones are left out.
    """
    tiles, note = _tiles(query, views, max_bytes)
    return (
        _environment(html=True)
        .get_template("gallery.html.j2")
        .render(
            id=query.id,
            strategy=query.strategy,
            unit=unit_word(query.units),
            units=plural(query.units),
            n_cases=len(query.cases),
            labels=[label for label in labels if label.visible],
            tiles=tiles,
            note=note,
            outlined=any(view is not None and view.reference is not None for view in views),
            rows=[_row(query, unit) for unit in query.units],
        )
    )


def _tiles(query: Query, views: Sequence[UnitView | None], max_bytes: int) -> tuple[list[Tile], str]:
    n_labels = len(query.labels)
    tiles: list[Tile] = []
    used, notes = 0, []
    for unit, view in zip(query.units, views, strict=False):
        if view is None:
            continue
        if unit.role == "audit":
            notes = [_HIDDEN]
            continue
        row = _row(query, unit)
        where = f"{row.case}, {row.title}"
        score = "" if unit.score is None else f", score {unit.score:.3g}"
        made = tile(picture(view, n_labels), where, f"{unit.rank}. {where}{score}")
        used += len(made.url)
        if used > max_bytes:
            notes.append(f"To keep this page small: the first {len(tiles)} pictures.")
            break
        tiles.append(made)
    return tiles, " ".join(notes)


def _row(query: Query, unit: QueriedUnit) -> Row:
    case = query.cases[unit.case]
    title = unit_title(unit, case.shape_ijk)
    return Row(unit.rank, case.task, title, unit.role, unit.annotator or "", unit.file)


def readme(
    query: Query,
    labels: Sequence[Label],
    editors: Collection[str],
    images: Mapping[str, Sequence[str]],
    filling: str,
    *,
    neutral: bool,
) -> str:
    """Return what an annotator has to know, as plain text.

    Parameters
    ----------
    editors
        Of ``itksnap``, ``slicer`` and ``mitk``: those that there are files for.
    images
        Paths from the query's folder, by the name of the case's task.
    filling
        What the asked units are filled with.
    neutral
        Whether the names of cases are to be known to nobody.
    """
    filled = {
        "prediction": "the asked units have what the model predicts: correct it.",
        "background": "the asked units are background: draw the classes.",
        "none": "the asked units are empty: draw everything.",
    }
    annotators = {unit.annotator for unit in query.units} - {None}
    return (
        _environment(html=False)
        .get_template("README.txt.j2")
        .render(
            id=query.id,
            n_units=len(query.units),
            n_cases=len(query.cases),
            unit=unit_word(query.units),
            units=plural(query.units),
            annotators=annotators,
            folder="NAME/" if annotators else "",
            where="a landmark leads there" if editors else "query.csv says where it is",
            background=next(label.name for label in labels if label.value == 0),
            ignore=labels[-1].name,
            ignore_value=query.ignore,
            ending=query.file_ending,
            twice=bool({"slicer", "mitk"} & set(editors)),
            filled=filled[filling],
            audit=any(unit.role == "audit" for unit in query.units),
            labels=labels,
            editors=editors,
            cases=list(images.items()),
            neutral=neutral,
        )
    )


def unit_word(units: Sequence[QueriedUnit]) -> str:
    """Return ``slice``, ``patch``, or ``image`` where a case is one slice without a place in the body."""
    planes = {unit.plane for unit in units}
    return next(iter(planes)) if planes <= {"patch"} or planes <= {"image"} else "slice"


def plural(units: Sequence[QueriedUnit]) -> str:
    """Return `unit_word` for as many as there are."""
    word = unit_word(units)
    return word if len(units) == 1 else {"patch": "patches"}.get(word, f"{word}s")


def _environment(*, html: bool) -> Environment:
    return Environment(
        loader=PackageLoader("albench.annotation"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
