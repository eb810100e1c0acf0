"""What is asked to be handed out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albench.annotation.tasks import Filling, Labels
from albench.results.query import Query
from albench.units.view import UnitView

Editor = Literal["any", "itksnap", "slicer", "mitk"]


@dataclass(frozen=True, eq=False)
class AskedCase:
    """A case of which something is asked.

    Attributes
    ----------
    name
        As in the query's units.
    images
        One file a channel, or one with all.
    prediction
        Makes the model's labels on the grid of the file, whole numbers (k, j, i); None where there is no model.
    known
        Makes the labels that there are, on that grid, the ignore label where there are none; None where there are none
        at all.
    reader
        Name of the nnU-Net reader of the images, on whose grid units count; None: on that of the file.
    """

    name: str
    images: tuple[Path, ...]
    prediction: Callable[[], Labels] | None = None
    known: Callable[[], Labels] | None = None
    reader: str | None = None


@dataclass(frozen=True, eq=False)
class HandOut:
    """What is to be handed out.

    Attributes
    ----------
    query
        Without places: units with case, index, axis or bounds, score, gain, role and uncertainty, in the order of
        choice; id, time, model, labels, ignore, channels and file ending. The model's folder is already relative.
    cases
        Those of the units.
    filling
        What the asked units have in them.
    editor
        For which to write files; ``any``: for all.
    anonymise
        Whether annotators see neutral names, and copies of the images without texts.
    annotators
        Among whom the cases are divided; none: nobody in particular.
    views
        Pictures for the gallery, of the first units in their order; None for a unit without one.
    """

    query: Query
    cases: tuple[AskedCase, ...]
    filling: Filling = "prediction"
    editor: Editor = "any"
    anonymise: bool = False
    annotators: tuple[str, ...] = ()
    views: Sequence[UnitView | None] = ()

    @property
    def editors(self) -> tuple[str, ...]:
        """For which there are files."""
        return ("itksnap", "slicer", "mitk") if self.editor == "any" else (self.editor,)
