"""What an import replaced, kept so that it can be undone byte by byte."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from albench.annotation.raw_folder import BACKUP
from albench.errors import InputError, first_fault
from albench.machine.files import sha256, write_json
from albench.machine.journal import Changes, InsidePath, changing
from albench.machine.text import read_json_text

_MANIFEST = "import.json"


class _Replaced(BaseModel):
    """A file that an import wrote.

    Attributes
    ----------
    before
        What was there; a file and a link lie in the backup, under their number.
    after
        SHA-256 of what the import wrote, or ``link to <path>``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: InsidePath
    before: Literal["nothing", "file", "link"]
    after: str


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    query: str
    imported: str
    replaced: tuple[_Replaced, ...]
    made_folders: tuple[InsidePath, ...] = Field(default=())


@dataclass
class Backup:
    """Backup of one import, while it is made.

    Attributes
    ----------
    name
        Folder below ``albench/backup``; the time of the import, which sorts them.
    """

    name: str
    _root: Path
    _changes: Changes
    _folder: Path
    _query: str
    _imported: str
    _staged: list[tuple[str, Path]] = field(default_factory=list)

    @classmethod
    def begin(cls, root: Path, changes: Changes, query: str, imported: str) -> Backup:
        """Begin a backup among other changes to the folder `root`."""
        stem = imported.replace("-", "").replace(":", "").replace("T", "-").removesuffix("Z")
        name = stem
        number = 1
        while os.path.lexists(root / BACKUP / name):
            number += 1
            name = f"{stem}-{number:03d}"
        folder = changes.put(f"{BACKUP}/{name}")
        folder.mkdir()
        return cls(name, root, changes, folder, query, imported)

    def put(self, target: str) -> Path:
        """Return where to write what is to be at `target`, of which a copy is kept as it is now."""
        staged = self._changes.put(target)
        self._staged.append((target, staged))
        return staged

    def finish(self) -> None:
        """Copy what is going to be replaced, and list it all. To be called when everything is staged."""
        replaced = []
        for number, (target, staged) in enumerate(self._staged):
            current = self._root / target
            before: Literal["nothing", "file", "link"] = "nothing"
            if os.path.lexists(current):
                before = "link" if current.is_symlink() else "file"
                shutil.copyfile(current, self._folder / str(number), follow_symlinks=False)
            replaced.append(_Replaced(target=target, before=before, after=_described(staged)))
        manifest = _Manifest(
            query=self._query,
            imported=self._imported,
            replaced=tuple(replaced),
            made_folders=self._changes.made_folders,
        )
        write_json(self._folder / _MANIFEST, manifest.model_dump())


def undo(root: Path, query: str) -> str:
    """Undo the last import into the raw data set `root`, which has to be one of `query`; return the backup's name.

    All files are as they were before, byte by byte; the backup is gone.

    Raises
    ------
    InputError
        No import, the last one of another query, a damaged backup, or files that somebody has changed since.
    """
    names = sorted(path.name for path in (root / BACKUP).glob("*") if (path / _MANIFEST).is_file())
    if not names:
        raise InputError(f"--undo {query}: expected an import into {root}, found none")
    name = names[-1]
    folder = root / BACKUP / name
    manifest = _read(folder / _MANIFEST)
    if manifest.query != query:
        raise InputError(
            f"--undo {query}: expected the query of the last import, {manifest.query} of {manifest.imported}: later "
            "imports are undone first"
        )
    for file in manifest.replaced:
        if not os.path.lexists(root / file.target) or _described(root / file.target) != file.after:
            raise InputError(f"{root / file.target}: expected what the import wrote, found another: changed since")
    with changing(root) as changes:
        for number, file in enumerate(manifest.replaced):
            if file.before == "nothing":
                changes.remove(file.target)
                continue
            kept = folder / str(number)
            if not os.path.lexists(kept) or kept.is_symlink() != (file.before == "link"):
                raise InputError(f"{kept}: expected a copy of {file.target}, found none")
            shutil.copyfile(kept, changes.put(file.target), follow_symlinks=False)
        changes.remove(f"{BACKUP}/{name}")
        for made in reversed(manifest.made_folders):
            changes.remove_folder(made)
    return name


def _read(path: Path) -> _Manifest:
    try:
        return _Manifest.model_validate(read_json_text(path))
    except ValidationError as error:
        place, why, _ = first_fault(error)
        raise InputError(f"{path}: expected the list of an import, found {place}: {why}") from None


def _described(path: Path) -> str:
    """Return what tells a file from others; of a link, where it leads."""
    return f"link to {path.readlink()}" if path.is_symlink() else sha256(path)
