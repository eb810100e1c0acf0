"""Who may use the page: a name, a role and a token each."""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from albench.errors import InputError
from albench.machine.files import atomic_file
from albench.machine.names import plain_name
from albench.machine.text import read_json_text

Role = Literal["annotator", "reviewer"]

TOKENS = "tokens.json"
_BYTES = 24
_PRIVATE = 0o600


@dataclass(frozen=True)
class Person:
    """Somebody with a link to the page.

    Attributes
    ----------
    token
        Whoever has it is taken for this person.
    """

    name: str
    role: Role
    token: str

    @property
    def is_reviewer(self) -> bool:
        """Whether they see everybody's work, and draw nothing."""
        return self.role == "reviewer"


@dataclass(frozen=True)
class People:
    """All who have a link, in the order in which they were named."""

    everybody: tuple[Person, ...]

    def of(self, token: str) -> Person | None:
        """Return whose token it is; takes as long for one that is nearly right as for any other."""
        given = token.encode(errors="surrogatepass")
        found = None
        for person in self.everybody:
            if hmac.compare_digest(given, person.token.encode()):
                found = person
        return found


class _Entry(BaseModel):
    name: str
    role: Role
    token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{32,64}$")]


class _File(BaseModel):
    people: tuple[_Entry, ...]


def invite(folder: Path, annotators: Sequence[str], reviewer: str | None) -> People:
    """Give everybody a token: the one of the last start, so that open pages go on, else a new one.

    Parameters
    ----------
    folder
        Where tokens are kept, in a file that nobody but its owner can read. One that others can read is not used.

    Raises
    ------
    InputError
        A reviewer's name that no folder can have; no space left, or no permission.
    """
    wanted: list[tuple[str, Role]] = [(name, "annotator") for name in annotators]
    if reviewer is not None:
        wanted.append((plain_name("--reviewer", reviewer), "reviewer"))
    path = folder / TOKENS
    known = _read(path)
    people = People(tuple(Person(*each, known.get(each) or secrets.token_urlsafe(_BYTES)) for each in wanted))
    kept = known | {(person.name, person.role): person.token for person in people.everybody}
    if kept != known:
        _write(path, [{"name": name, "role": role, "token": token} for (name, role), token in kept.items()])
    return people


def _read(path: Path) -> dict[tuple[str, Role], str]:
    """Tokens by name and role; none where the file is not ours alone, or damaged."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid != os.geteuid():
            return {}
        file = _File.model_validate(read_json_text(path))
    except (OSError, InputError, ValidationError):
        return {}
    return {(entry.name, entry.role): entry.token for entry in file.people}


def _write(path: Path, people: list[dict[str, str]]) -> None:
    with atomic_file(path, _PRIVATE) as temporary:
        temporary.write_text(json.dumps({"people": people}, indent=1) + "\n", encoding="utf-8")
