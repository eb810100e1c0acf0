"""Who annotates which unit of a query, fixed when its page is first opened."""

from __future__ import annotations

import getpass
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from albench.annotation.annotators import divide
from albench.annotation.handed import HandedOut
from albench.drawings.store import FOLDER
from albench.errors import InputError, first_fault
from albench.machine.files import create_file
from albench.machine.names import is_file_name, plain_name
from albench.results.handed_out import FileName
from albench.results.sealed import read_sealed, sealed
from albench.seeding import generator

ASSIGNMENT = "assignment.json"
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Assignment:
    """Who annotates which unit.

    Attributes
    ----------
    annotators
        In the order in which they were named.
    owners
        By rank: whose labels are imported.
    seconds
        By rank, for a few units: a second person who annotates it too, so that the two can be compared.
    """

    annotators: tuple[str, ...]
    owners: Mapping[int, str]
    seconds: Mapping[int, str]

    def owner(self, rank: int) -> str:
        """Return whose unit it is.

        Raises
        ------
        KeyError
            There is no unit of that rank.
        """
        return self.owners[rank]

    def of(self, rank: int) -> tuple[str, ...]:
        """Return who annotates a unit: the owner, and where there is one the second."""
        owner = self.owner(rank)
        return (owner, self.seconds[rank]) if rank in self.seconds else (owner,)

    def ranks(self, annotator: str) -> tuple[int, ...]:
        """Return the units that somebody annotates, ascending."""
        return tuple(rank for rank in sorted(self.owners) if annotator in self.of(rank))


class _File(BaseModel):
    query: str
    annotators: tuple[FileName, ...]
    owners: Mapping[Annotated[int, Field(ge=1)], FileName]
    seconds: Mapping[Annotated[int, Field(ge=1)], FileName]


def assign(
    handed: HandedOut, annotators: Sequence[str] = (), overlap: int | None = None, name: str | None = None
) -> Assignment:
    """Return who annotates what, decided by the first call for a query and kept in its folder.

    Parameters
    ----------
    annotators
        Who shares the units: whole cases, nearly as many units each. None: those whom the query names, or one person.
    overlap
        How many units, drawn uniformly, a second person gets as well; None: as it stands, or none.
    name
        Of the one person where no annotators are named; None: the login name.

    Raises
    ------
    InputError
        Another wish than what stands, or than the query's own annotators; names that no folder can have; fewer cases
        than annotators; an overlap of more units than there are, or of one person with themselves.
    """
    path = handed.folder / FOLDER / ASSIGNMENT
    standing = standing_assignment(handed)
    if standing is None:
        made = _made(handed, annotators, overlap or 0, name)
        content = {
            "query": handed.id,
            "annotators": list(made.annotators),
            "owners": {str(rank): owner for rank, owner in made.owners.items()},
            "seconds": {str(rank): second for rank, second in made.seconds.items()},
        }
        try:
            create_file(path, json.dumps(sealed(content, format=_FORMAT), indent=1, ensure_ascii=False) + "\n")
            return made
        except FileExistsError:
            standing = standing_assignment(handed)
            if standing is None:
                raise InputError(f"{path}: expected who annotates what, found nothing any more") from None
    _require_same(path, standing, annotators, overlap, name)
    return standing


def standing_assignment(handed: HandedOut) -> Assignment | None:
    """Read who annotates what; None where nothing has been decided yet.

    Raises
    ------
    InputError
        The file is damaged, or of another query.
    """
    path = handed.folder / FOLDER / ASSIGNMENT
    if not path.exists():
        return None
    try:
        file = _File.model_validate(read_sealed(path, format=_FORMAT))
    except ValidationError as error:
        where, why, _ = first_fault(error)
        raise InputError(f"{path}: expected who annotates what, found {where}: {why}") from None
    if file.query != handed.id:
        raise InputError(f"{path}: expected who annotates query {handed.id}, found that of {file.query!r:.200}")
    ranks = {unit.rank for unit in handed.query.units}
    known = {*file.owners.values(), *file.seconds.values()} <= set(file.annotators)
    apart = all(file.owners.get(rank) != second for rank, second in file.seconds.items())
    if set(file.owners) != ranks or not set(file.seconds) <= ranks or not known or not apart:
        raise InputError(f"{path}: expected an annotator for each unit of the query, found others")
    return Assignment(file.annotators, dict(file.owners), dict(file.seconds))


def _made(handed: HandedOut, annotators: Sequence[str], overlap: int, name: str | None) -> Assignment:
    asked = list(dict.fromkeys(unit.annotator for unit in handed.query.units if unit.annotator is not None))
    if asked and annotators and set(annotators) != set(asked):
        raise InputError(
            f"--annotators: expected {', '.join(asked)}, whom the query was handed out to, got {', '.join(annotators)}"
        )
    people = [*(annotators or asked)] or [plain_name("--name", name) if name is not None else _login_name()]
    if name is not None and name not in people:
        raise InputError(f"--name: expected one of the annotators {', '.join(people)}, got {name!r:.200}")
    given = {} if asked else divide({case: len(units) for case, units in handed.units.items()}, people)
    owners = {
        unit.rank or 0: unit.annotator or given.get(unit.case, people[0])
        for unit in sorted(handed.query.units, key=lambda unit: unit.rank or 0)
    }
    return Assignment(tuple(people), owners, _seconds(handed.id, owners, people, overlap))


def _seconds(query: str, owners: Mapping[int, str], people: Sequence[str], overlap: int) -> dict[int, str]:
    """Draw the units that two people annotate; the second one is whoever has fewest of these yet."""
    if not 0 <= overlap <= len(owners):
        raise InputError(f"--overlap: expected 0 to {len(owners)} units, got {overlap}")
    if overlap and len(people) < 2:
        raise InputError(f"--overlap: expected two annotators or more to compare, got {people[0]} alone")
    drawn = generator(query, "overlap").choice(sorted(owners), size=overlap, replace=False).tolist()
    seconds: dict[int, str] = {}
    for rank in sorted(drawn):
        load = Counter(seconds.values())
        seconds[rank] = min((who for who in people if who != owners[rank]), key=lambda who: load[who])
    return seconds


def _require_same(
    path: Path, standing: Assignment, annotators: Sequence[str], overlap: int | None, name: str | None
) -> None:
    people = ", ".join(standing.annotators)
    anew = "for others, import what is drawn and hand out a new query"
    if annotators and set(annotators) != set(standing.annotators):
        wish = ", ".join(annotators)
        raise InputError(f"--annotators: expected {people}, as {path} has it from the first start, got {wish}; {anew}")
    if name is not None and name not in standing.annotators:
        raise InputError(f"--name: expected {people}, as {path} has it from the first start, got {name!r:.200}; {anew}")
    if overlap is not None and overlap != len(standing.seconds):
        raise InputError(
            f"--overlap: expected {len(standing.seconds)}, as {path} has it from the first start, got {overlap}"
        )


def _login_name() -> str:
    """Name of whoever runs the program, if it can be a folder's."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, as in many containers
        return "annotator"
    return name if is_file_name(name) else "annotator"
