"""Deleting and setting aside, within a folder that the caller names and nowhere else."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from albench.errors import InputError
from albench.machine.names import is_file_name

ASIDE = "set-aside"
"""Folder, inside the one that things are taken out of, that `set_aside` moves them to."""

_MOUNTS = Path("/proc/self/mountinfo")


def remove_tree(path: Path, inside: Path) -> None:
    """Delete a file or a folder with all that is in it; nothing where there is none.

    For what this program made and can make again. Of a link the link is deleted, whatever it points to. What cannot
    be deleted stays.

    Parameters
    ----------
    inside
        Folder that `path` has to lie strictly inside, links on the way to it resolved.

    Raises
    ------
    InputError
        It does not, or something is mounted there: nothing is deleted.
    """
    target = _strictly_inside(path, inside)
    if target.is_symlink() or target.is_file():
        target.unlink(missing_ok=True)
    else:
        shutil.rmtree(target, ignore_errors=True)


def set_aside(path: Path, inside: Path, name: str | None = None) -> Path:
    """Rename what may hold somebody's work to ``inside/set-aside/<name>-<number>``; return where it is now.

    Parameters
    ----------
    name
        None: as `path` is called.

    Raises
    ------
    InputError
        As `remove_tree`.
    """
    target = _strictly_inside(path, inside)
    place = free_name(aside_folder(inside) / (name or target.name))
    target.rename(place)
    return place


def aside_folder(folder: Path) -> Path:
    """Folder for what is set aside in `folder`, made if need be.

    Raises
    ------
    InputError
        Something else has its name.
    """
    place = folder / ASIDE
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise InputError(f"{place}: expected a folder for what is set aside, found a link or a file; rename it")
    place.mkdir(exist_ok=True)
    return place


def free_name(path: Path) -> Path:
    """Return `path` with the first number after its name that nothing has."""
    number = 1
    while os.path.lexists(found := path.with_name(f"{path.name}-{number}")):
        number += 1
    return found


def is_mounted(path: Path) -> bool:
    """Whether a file system begins at `path`, which cannot be renamed then."""
    return path.resolve() in _mounts() or path.is_mount()


def _strictly_inside(path: Path, inside: Path) -> Path:
    """Return `path` with links on the way to it resolved, but not itself; InputError where it may not be touched."""
    below = path.relative_to(inside) if path.is_relative_to(inside) else path  # users' own folders may be ../out
    if ".." in below.parts or not is_file_name(path.name):
        raise InputError(f"{path}: expected the name of something inside {inside}, to be removed; nothing was")
    base, target = inside.resolve(), path.parent.resolve() / path.name
    if base not in target.parents:
        raise InputError(f"{path}: expected to lie inside {base}, found {target}; nothing was removed")
    home = Path.home().resolve()
    if target == home or target in home.parents:
        raise InputError(f"{path}: expected a folder to be removed, found a home folder in it; nothing was removed")
    if not target.is_symlink() and (target.is_mount() or any(target in (m, *m.parents) for m in _mounts())):
        raise InputError(f"{path}: expected a folder to be removed, found something mounted in it; nothing was removed")
    return target


def _mounts() -> list[Path]:
    """Where file systems are mounted, bind mounts among them; empty where the system does not say."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    octal = re.compile(r"\\([0-7]{3})")
    return [Path(octal.sub(lambda found: chr(int(found[1], 8)), line.split(" ")[4])) for line in lines]
