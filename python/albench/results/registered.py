"""Questions that a study was asked before it ran, in a file that never changes afterwards.

A claim that is picked after the results are known is worth nothing as a test. So claims are written into the results
folder before the first of its strategies is trained, and a run that brings others is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from albench.config import difference
from albench.errors import InputError, first_fault
from albench.machine.facts import code_version, utc_now
from albench.results.layout import CEILING, RunFolder
from albench.results.sealed import read_sealed, write_sealed
from albench.results.tables import REFERENCE
from albench.strategies import label_of, make_strategy

_FORMAT = 1
_WORST = re.compile(r"worst-([1-9][0-9]?)")
_LEAST_SEEDS, _MOST_LOOKS = 3, 10  # the crossed test tests nothing with fewer

Seeds = Annotated[int, Field(ge=_LEAST_SEEDS, le=10**6)]


class RegisteredClaim(BaseModel):
    """That one strategy is better than another, and how it will be decided.

    Attributes
    ----------
    strategy, against
        Labels of strategies; the claim is that the first has the larger Dice.
    endpoint
        ``final``: Dice after the last round; ``aubc``: the area of the curve.
    classes
        ``all``, or ``worst-N``: the mean of the N classes whose Dice is smallest in the round that all strategies
        share, over the seeds of the first look.
    smallest
        Smallest difference in mean Dice that would matter.
    alpha
        One-sided level of the claim, over all looks together.
    looks
        Numbers of seeds at which it is decided; the last one is the most it will have.
    test
        `albench.stats.crossed`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    strategy: str
    against: str = REFERENCE
    endpoint: Literal["final", "aubc"]
    classes: str = "all"
    smallest: Annotated[float, Field(gt=0, lt=1)]
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.025
    looks: Annotated[tuple[Seeds, ...], Field(min_length=1, max_length=_MOST_LOOKS)]
    test: Literal["crossed"] = "crossed"

    @field_validator("strategy", "against")
    @classmethod
    def _known(cls, value: str) -> str:
        label = label_of(make_strategy(value))
        if label == CEILING:
            raise ValueError(f"expected a strategy, got {CEILING}, which is a ceiling")
        return label

    @field_validator("classes")
    @classmethod
    def _all_or_worst(cls, value: str) -> str:
        if value != "all" and not _WORST.fullmatch(value):
            raise ValueError("expected all or worst-N, such as worst-2")
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> RegisteredClaim:
        if list(self.looks) != sorted(set(self.looks)):
            raise ValueError("looks: expected numbers of seeds in ascending order")
        if self.strategy == self.against:
            raise ValueError(f"against: expected another strategy than {self.strategy}")
        return self

    @property
    def n_worst(self) -> int | None:
        """Number of classes that count; None: all."""
        found = _WORST.fullmatch(self.classes)
        return int(found[1]) if found else None


Claims = tuple[RegisteredClaim, ...]


def parse_claims(values: Any, called: str) -> Claims:
    """Make claims of what a study file says.

    Parameters
    ----------
    values
        Sequence of mappings, or of claims.
    called
        Name for them in messages.

    Raises
    ------
    InputError
        They are something else, or name a strategy that is none.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InputError(f"{called}: expected a list of claims, got {values!r:.200}")
    claims = []
    for number, value in enumerate(values, start=1):
        where = f"{called} {number}"
        try:
            claims.append(RegisteredClaim.model_validate(value))
        except ValidationError as error:
            at, text, given = first_fault(error)
            raise InputError(f"{where}{f', {at}' if at else ''}: {text}; got {given!r:.200}") from None
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    if len(set(claims)) < len(claims):
        raise InputError(f"{called}: expected each claim once")
    return tuple(claims)


def read_registered(out: Path) -> Claims:
    """Return the claims of a results folder; none where none were registered.

    Raises
    ------
    InputError
        The file is damaged or was changed.
    """
    file = RunFolder(out).registered
    if not file.exists():
        return ()
    return parse_claims(read_sealed(file, format=_FORMAT).get("claims"), f"{file}: claim")


def require_registrable(out: Path, claims: Claims) -> None:
    """Refuse claims that would come too late, or in place of others.

    Raises
    ------
    InputError
        The folder has other claims, or none and results of strategies.
    """
    run = RunFolder(out)
    if not claims:
        return
    if run.registered.exists():
        if lines := difference(_numbered(read_registered(out)), _numbered(claims)):
            raise InputError(
                f"--out {out}: expected the claims that were registered there, got others ({'; '.join(lines)}); "
                f"other questions take another --out"
            )
    elif any(each.number > 0 and each.stage("evaluate").exists() for each in run.rounds()):
        raise InputError(
            f"--out {out}: expected no results yet where claims are made, found some; what is asked after them is "
            f"exploratory and needs no claim"
        )


def _numbered(claims: Claims) -> dict[str, Any]:
    return {f"claim {number}": claim.model_dump() for number, claim in enumerate(claims, start=1)}


def register(out: Path, claims: Claims) -> None:
    """Write `claims` into a results folder, unless it has them.

    Raises
    ------
    InputError
        As `require_registrable`, or the file cannot be written.
    """
    require_registrable(out, claims)
    file = RunFolder(out).registered
    if claims and not file.exists():
        values = {
            "claims": [claim.model_dump(mode="json") for claim in claims],
            "registered_at": utc_now(),
            "code_version": code_version(),
        }
        write_sealed(file, values, format=_FORMAT)
