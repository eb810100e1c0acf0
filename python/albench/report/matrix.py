"""Every strategy against every other as the matrix that a page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from albench.report.palette import order
from albench.report.texts import number_text, p_text
from albench.stats.pairs import Pair


@dataclass(frozen=True)
class Square:
    """One comparison as shown: the mean difference, its corrected p, and the pair's verdict."""

    text: str
    p: str
    verdict: str
    share: float
    """Size of the difference against the largest of the matrix, 0 to 1."""


def matrix(pairs: Mapping[tuple[str, str], Pair]) -> tuple[list[str], list[list[Square | None]]]:
    """Strategies of one study's pairs, and a row of squares for each: it against each of them, None against itself."""
    names = order([name for name, _ in pairs])
    sizes = [abs(pair.mean) for pair in pairs.values() if pair.n_pairs]
    largest = max(sizes, default=0.0) or 1.0
    return names, [[_square(pairs.get((name, other)), largest) for other in names] for name in names]


def _square(pair: Pair | None, largest: float) -> Square | None:
    if pair is None:
        return None
    share = round(abs(pair.mean) / largest, 2) if pair.n_pairs else 0.0
    # without a test there is no p to show, which the note below the matrix says
    p = "" if pair.verdict == "not tested" else f"p {p_text(pair.p_holm)}"
    return Square(number_text(pair.mean, sign=True), p, pair.verdict, share)
