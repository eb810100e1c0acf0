"""A request as a YAML file, ``study.yaml``: keys are the options' names, relative paths count from its folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from albench.config import SPLITS, START_METHODS
from albench.data.load import looks_like_path
from albench.errors import InputError, unknown_name
from albench.machine.files import atomic_file
from albench.machine.text import read_text
from albench.protocols import is_protocol_file, load_protocol, protocol_values
from albench.protocols.settings_text import LONGEST_YAML, parse_yaml
from albench.results.layout import PROTOCOL_FILE, STUDY_FILE
from albench.strategies import make_strategy
from albench.study.request import RunRequest, request_fields

DEVICES = ("auto", "cpu", "cuda")
_CHOICES = {"device": DEVICES, "start": START_METHODS, "split_by": SPLITS}


_OF_THE_START = ("resume", "join", "claim_ttl", "checkpoint_minutes", "scheduler", "cluster", "scratch")


def read_study(file: Path) -> dict[str, Any]:
    """Read the fields of a request that a study file gives.

    Parameters
    ----------
    file
        YAML with options of ``al-bench run`` by name; all may be left out.

    Returns
    -------
    dict
        As `RunRequest` takes them.

    Raises
    ------
    InputError
        The file cannot be read, has a key that is no option, or a value that the option cannot have.
    """
    values = parse_yaml(str(file), read_text(file, LONGEST_YAML, "study file"))
    if not isinstance(values, dict):
        raise InputError(f"{file}: expected options by name, e.g. seeds: 3, got {values!r:.200}")
    options = {}
    for key, value in values.items():
        if key not in request_fields():
            raise InputError(f"{file}: {unknown_name('key', str(key), request_fields())}")
        given = request_fields()[key].accept(value, f"{file}: {key}")
        options[key] = _placed(key, given, lambda path: os.path.normpath(file.parent / path), file.parent)
        try:
            _check(key, options[key])
        except InputError as error:
            raise InputError(f"{file}: {key}: {error}") from None
    return options


def own_protocol(request: RunRequest) -> dict[str, Any] | None:
    """Return the settings in the protocol file that `request` names; None where it names a packaged protocol."""
    return protocol_values(request.protocol) if is_protocol_file(request.protocol) else None


def write_study(request: RunRequest, folder: Path, protocol: dict[str, Any] | None = None) -> Path:
    """Write `request` into `folder`, whole or not at all, so that ``al-bench run`` repeats it from there.

    What is None is left out, and so is how the run is started, on which nothing of a study depends. Relative paths are
    written from the folder, and a study that moves with its data still finds them.

    Parameters
    ----------
    folder
        The results folder, or one in it.
    protocol
        `own_protocol` of the request, as it was before anything was written: a copy is put beside the request, which
        names that.

    Returns
    -------
    Path
        The file.
    """

    def relative(path: str) -> str:
        return os.path.relpath(path, folder)

    values: dict[str, Any] = {}
    for key in request_fields():
        value = _placed(key, getattr(request, key), relative, Path())
        if value not in (None, ()) and key not in _OF_THE_START:
            values[key] = _plain(value)
    values["out"] = relative(str(request.out))
    if protocol is not None:
        _write_yaml(protocol, folder / PROTOCOL_FILE)
        values["protocol"] = PROTOCOL_FILE
    return _write_yaml(values, folder / STUDY_FILE)


def _plain(value: Any) -> Any:
    """Return a field's value as YAML has it."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value) if isinstance(value, Path) else value


def _write_yaml(values: dict[str, Any], file: Path) -> Path:
    with atomic_file(file) as part:
        # escapes for what is not ASCII: written as they are, some line breaks would be read as spaces
        part.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return file


def _placed(key: str, value: Any, move: Callable[[str], str], base: Path) -> Any:
    """Return `value` with its relative paths, which count from `base`, moved to where they count from elsewhere."""

    def moved(path: str) -> str:
        return path if Path(path).is_absolute() or path.startswith("~") else move(path)

    if isinstance(value, Path) and not (
        key == "scratch" and str(value).startswith("$")
    ):  # a variable where work is done
        return Path(moved(str(value)))
    if key == "protocol" and is_protocol_file(value):
        return moved(value)
    if key == "dataset":
        return tuple(_as_path(moved(name)) if looks_like_path(name, base) else name for name in value)
    return value


def _as_path(text: str) -> str:
    """Write a path so that nobody takes it for a name."""
    return text if "/" in text else f"./{text}"


def _check(key: str, value: Any) -> None:
    """Refuse names that nothing has."""
    if key == "strategy":
        for text in value:
            make_strategy(text)
    elif key == "protocol":
        load_protocol(value)
    elif key in _CHOICES and value is not None and value not in _CHOICES[key]:
        raise unknown_name({"start": "start method", "split_by": "split"}.get(key, key), value, _CHOICES[key])
