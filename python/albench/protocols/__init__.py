"""The packaged protocols, and protocols of one's own: read, laid over each other, changed, validated."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from albench.config import SPLITS, START_METHODS, Protocol
from albench.errors import InputError, first_fault, unknown_name
from albench.machine.text import read_text
from albench.protocols.settings_text import LONGEST_YAML, parse_yaml

_LONGEST_CHAIN = 10


def protocol_names() -> list[str]:
    """Names of the packaged protocols."""
    files = resources.files("albench.protocols").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def is_protocol_file(name: str) -> bool:
    """Whether `name` is the path of a protocol rather than the name of one."""
    return name.endswith((".yaml", ".yml"))


def protocol_values(name: str) -> dict[str, Any]:
    """Return the settings in a protocol's file, laid over those of the one it extends, if any; of all data sets.

    Raises
    ------
    InputError
        For an unknown name or a file that is none.
    """
    return _extended(name)


def dataset_settings(dataset: str) -> dict[str, dict[str, Any]]:
    """Return the settings that a data set has of its own in the packaged protocols, by protocol."""
    sections = {name: _section(name, protocol_values(name), dataset) for name in protocol_names()}
    return {name: section for name, section in sections.items() if section}


def _section(name: str, values: dict[str, Any], dataset: str | None) -> dict[str, Any]:
    """Take the settings by data set out of `values`; return those of one."""
    sections = values.pop("datasets", None)
    section = sections.get(dataset) if isinstance(sections, dict) else sections
    if not isinstance(section, dict | None):
        raise InputError(f"protocol '{name}', datasets: expected settings by data set, got {section!r:.200}")
    return section or {}


def load_protocol(
    name: str,
    settings: Sequence[str] = (),
    *,
    dataset: str | None = None,
    start_method: str | None = None,
    split_by: str | None = None,
    group_by: str | None = None,
    **overrides: Any,
) -> Protocol:
    """Load a protocol.

    Parameters
    ----------
    name
        One of `protocol_names()`, or the path of a YAML file of the same form; with ``extends: NAME`` it need only say
        what differs from another protocol.
    settings
        Single settings to replace, each ``path=value`` with the path's parts joined by dots and the value in YAML,
        e.g. ``training.first_iterations=100``.
    dataset
        Data set whose entry under ``datasets``, if there is one, replaces settings of the protocol.
    start_method, split_by, group_by
        Replace settings of ``pool``; None keeps the protocol's.
    **overrides
        Top-level settings to replace; None keeps the protocol's value.

    Raises
    ------
    InputError
        For an unknown name, an unreadable file, or a value that the setting does not accept.
    """
    values = protocol_values(name)
    for_dataset = _section(name, values, dataset)
    values = _merged(values, for_dataset) | {key: value for key, value in overrides.items() if value is not None}
    for what, given, known in (("start method", start_method, START_METHODS), ("split", split_by, SPLITS)):
        if given is not None and given not in known:
            raise unknown_name(what, given, known)
    of_pool = {"start_method": start_method, "split_by": split_by, "group_by": group_by}
    if isinstance(values.get("pool"), dict):
        values["pool"] = values["pool"] | {key: value for key, value in of_pool.items() if value is not None}
    if settings:
        values = _validated(name, values).model_dump()  # with the settings that the file leaves out
        for setting in settings:
            _replace_setting(values, setting)
    return _validated(name, values)


def _validated(name: str, values: dict[str, Any]) -> Protocol:
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        where, message, value = first_fault(error)
        if not where:
            raise InputError(f"protocol '{name}', setting {message}") from None
        raise InputError(f"protocol '{name}', setting {where:.200}: {message}; got {value!r:.200}") from None


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with the leaves of `changes` in their place."""
    merged = dict(values)
    for key, change in changes.items():
        old = merged.get(key)
        merged[key] = _merged(old, change) if isinstance(old, dict) and isinstance(change, dict) else change
    return merged


def _replace_setting(values: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    *parents, last = path.split(".")
    inner: Any = values
    for parent in parents:
        inner = inner.get(parent) if isinstance(inner, dict) else None
    if not equals or not isinstance(inner, dict):
        raise InputError(f"--set {setting:.200}: expected setting=value, e.g. training.first_iterations=100")
    if last not in inner:
        raise unknown_name("setting", path, [".".join((*parents, key)) for key in inner])
    inner[last] = parse_yaml(f"--set {setting:.200}", text, "a value")


def _extended(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    file = Path(name)
    if is_protocol_file(name):
        text = read_text(file, LONGEST_YAML, "YAML file")
    elif name in protocol_names():
        text = (resources.files("albench.protocols") / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise unknown_name("protocol", name, protocol_names())
    values = parse_yaml(f"--protocol {name}", text)
    if not isinstance(values, dict):
        raise InputError(f"--protocol {name}: expected settings by name, found {type(values).__name__}")
    if "extends" not in values:
        return values
    extended = values.pop("extends")
    if not isinstance(extended, str):
        raise InputError(f"--protocol {name}: expected a protocol's name or file to extend, got {extended!r:.200}")
    if name in above or len(above) >= _LONGEST_CHAIN:
        raise InputError(
            f"--protocol {above[0]}: expected an end of protocols that extend each other, got {name} again"
        )
    return _merged(_extended(extended, (*above, name)), values)
