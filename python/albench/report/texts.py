"""Numbers as people read them, the same in every table."""

from __future__ import annotations

import math

NONE = "–"
# keeps a number and what it counts on one line
NBSP = "\u00a0"


def number_text(value: float, digits: int = 3, sign: bool = False) -> str:
    """Return a number to so many digits after the point, a dash for NaN."""
    if math.isnan(value):
        return NONE
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    # a rounded zero has no sign
    return text if float(text) != 0 else text.lstrip("+-")


def count_text(n: float, words: str) -> str:
    """Return a number and what it counts, `words` being the plural: ``1 seed``, ``2 seeds``."""
    singular = "strategy" if words == "strategies" else words.removesuffix("s")
    return f"{n:.0f}{NBSP}{singular if n == 1 else words}"


def interval_text(mean: float, low: float, high: float, sign: bool = False, digits: int = 3) -> str:
    """Return a mean with its interval in brackets, without where there is none."""
    text, *ends = (number_text(value, digits, sign) for value in (mean, low, high))
    return text if math.isnan(low) else f"{text} [{ends[0]}, {ends[1]}]"


def p_text(p: float) -> str:
    """Return a p-value to two digits, a very small one as a bound."""
    if math.isnan(p):
        return NONE
    if p < 0.001:
        return "<0.001"
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"
