"""Dividing the cases of a query among annotators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from albench.errors import InputError
from albench.machine.names import plain_name


def require_annotators(annotators: Sequence[str]) -> None:
    """Raise InputError for a name that no folder can have, or that is there twice."""
    for name in annotators:
        plain_name("annotators", name)
    if len({name.casefold() for name in annotators}) < len(annotators):
        raise InputError(f"annotators: expected distinct names, got {', '.join(annotators)}")


def divide(n_units: Mapping[str, int], annotators: Sequence[str]) -> dict[str, str]:
    """Give every case to one annotator, so that all get nearly as many units.

    The largest cases first, each to whoever has the fewest units yet: at most 4/3 - 1/(3m) times as many for anybody as
    in the best division among m annotators (Graham, "Bounds on multiprocessing timing anomalies", 1969). Ties are
    settled by the names of cases and the order of annotators.

    Parameters
    ----------
    n_units
        Units of each case, at least one.
    annotators
        Distinct names, which become folders.

    Returns
    -------
    dict
        Case to annotator.

    Raises
    ------
    InputError
        A name that no folder can have, or twice the same; more annotators than cases.
    """
    require_annotators(annotators)
    if len(annotators) > len(n_units):
        raise InputError(
            f"annotators: expected at most one for each of {len(n_units)} cases, which are not divided, got "
            f"{len(annotators)}"
        )
    load = dict.fromkeys(annotators, 0)
    given = {}
    for case in sorted(n_units, key=lambda case: (-n_units[case], case)):
        least = min(load, key=load.__getitem__)
        load[least] += n_units[case]
        given[case] = least
    return given
