"""What was asked beforehand: the registered claims, and where each stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from albench.report.cells import Cells, markdown, study_title
from albench.report.palette import label
from albench.report.texts import NBSP, NONE, interval_text, number_text, p_text
from albench.results.registered import Claims
from albench.results.tables import STUDY_KEYS, rows_of
from albench.stats.registered import Standing, standing

StudyKey = tuple[str, str]

_ENDPOINTS = {"final": "final Dice", "aubc": "AUBC"}
NOTE = (
    "Registered in the results folder before a strategy was trained, and unchanged since. A gain is shown where the "
    "two-sided p of the crossed test is at most the boundary of the look (O'Brien and Fleming's, which keeps the level "
    "over all looks together); the interval holds at all looks together. Seeds count from 0 on, up to the look that "
    "decided. Cannot be reached: less than a chance of 10 % that the last look shows it, even if the smallest "
    "difference that matters is true from here on; that is told and stops nothing. Each claim has its level by itself; "
    "the first is the primary one. Everything else on this page is exploratory."
)


@dataclass(frozen=True)
class Asked:
    """The section of the page.

    Attributes
    ----------
    cells
        One row a claim.
    table
        The same unrounded: dataset, protocol, number, role, and `albench.stats.registered.Standing.row`.
    """

    cells: Cells
    table: pd.DataFrame

    def markdown(self) -> bytes:
        """Return the section as a file."""
        return markdown("What was asked beforehand", self.cells).encode()


def build_asked(
    results: pd.DataFrame, claims: Mapping[StudyKey, Claims], rounds: Mapping[StudyKey, int | None]
) -> Asked | None:
    """Say where the claims of all studies stand; None where there are none.

    Parameters
    ----------
    claims, rounds
        By data set and protocol: what was registered, and trainings of a chain (None: as many as there are).
    """
    rows, texts = [], []
    for study, own in claims.items():
        part = rows_of(results, study)
        names = {int(number): str(name) for number, name in zip(part["label"], part["label_name"], strict=True)}
        n_rounds = rounds.get(study) or part["round"].nunique()
        for number, claim in enumerate(own, start=1):
            found = standing(part, claim, n_rounds)
            role = "primary" if number == 1 else "secondary"
            key = dict(zip(STUDY_KEYS, study, strict=True))
            rows.append({**key, "number": number, "role": role, **found.row()})
            texts.append([*_texts(found, names), role, study_title(*study)])
    if not rows:
        return None
    header = ["claim", "decision", "look", "difference", "p, two-sided", "boundary", "detectable", "role", "data"]
    return Asked(Cells(header, texts, note=NOTE), pd.DataFrame(rows))


def _texts(found: Standing, names: Mapping[int, str]) -> list[str]:
    claim = found.claim
    classes = "" if claim.n_worst is None else f" of {' and '.join(names[number] for number in found.classes)}"
    if claim.n_worst is not None and not found.classes:
        classes = f" of the {claim.n_worst} worst classes"
    what = f"{label(claim.strategy)} over {label(claim.against)}, {_ENDPOINTS[claim.endpoint]}{classes}"
    planned = ", ".join(map(str, claim.looks))
    look = f"{found.n_seeds} of {planned} seeds" if found.n_seeds else f"{found.n_finished} seeds, looks at {planned}"
    chance = found.conditional_power
    decision = found.decision if pd.isna(chance) else f"{found.decision} [chance {100 * chance:.0f}{NBSP}%]"
    return [
        f"{what}, {claim.smallest:g} matters",
        decision,
        look.replace(" ", NBSP, 1),
        interval_text(found.mean, found.low, found.high, sign=True, digits=4) if found.n_seeds else NONE,
        p_text(found.p),
        f"{found.boundary:.4f}",
        number_text(found.detectable, 4),
    ]
