"""Where the numbers come from: command, configuration, versions, machine."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pandas as pd

from albench.errors import InputError
from albench.report.inputs import Inputs
from albench.report.palette import order

PHANTOM = "phantom"


def is_phantom(dataset: str) -> bool:
    """Whether a data set is procedural: by its name, which is all that result files tell."""
    return dataset.lower().startswith(PHANTOM)


def commands(inputs: Inputs) -> list[str]:
    """Command lines that lead to the same tables: data sets of one configuration share one."""
    shared: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for config in inputs.configs:
        for name, settings in config.get("datasets", {}).items():
            decisive = {key: settings.get(key) for key in ("protocol", "device")}
            shared.setdefault(json.dumps(decisive, sort_keys=True), (decisive, []))[1].append(name)
    return [_command(settings, names, inputs.results) for settings, names in shared.values()]


def facts(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Name and value of what the runs record about code and machine; several values are all listed."""
    started = runs["started_at"]
    shown = [
        ("code version", _unique(runs["code_version"])),
        ("configuration hash", _unique(runs["config_hash"])),
        ("device", _unique(runs["device"])),
        ("hardware", _unique(runs["hardware"])),
        ("first run started", started.min()),
        ("last run started", started.max()),
    ]
    if "incidents" in runs and (runs["incidents"] != "").any():
        shown.append(("incidents", _unique(runs.loc[runs["incidents"] != "", "incidents"])))
    versions: dict[str, set[str]] = {}
    for text in runs["versions"].unique():
        for name, version in _versions(text).items():
            versions.setdefault(name, set()).add(str(version))
    return shown + [(name, ", ".join(sorted(versions[name]))) for name in sorted(versions)]


def flatten(config: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Leaves of a nested configuration as dotted names and JSON values."""
    leaves: list[tuple[str, str]] = []
    for key, value in config.items():
        if isinstance(value, dict) and value:
            leaves += flatten(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            leaves.append((f"{prefix}{key}", text))
    return leaves


def _command(settings: dict[str, Any], datasets: list[str], results: pd.DataFrame) -> str:
    protocol = settings["protocol"] or {}
    own = results[results["dataset"].isin(datasets)]
    options = {
        "dataset": ",".join(dict.fromkeys(datasets)),
        "strategy": ",".join(order(list(own["strategy"]))) or None,
        "protocol": protocol.get("name"),
        # seeds are numbered from 0; a table without rows yet has none
        "seeds": None if own.empty else int(own["seed"].max()) + 1,
        "rounds": protocol.get("rounds"),
        "budget": protocol.get("budget"),
        "start": (protocol.get("pool") or {}).get("start_method"),
        "device": settings["device"],
    }
    words = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    return " ".join(["al-bench run", *words])


def _unique(column: pd.Series[str]) -> str:
    return ", ".join(sorted(column.unique()))


def _versions(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InputError(f"runs.parquet: column 'versions': expected a JSON object, found {text[:40]!r}")
    return value
