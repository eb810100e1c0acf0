"""Where the numbers come from: command, configuration, versions, machine."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pandas as pd

from albench.errors import InputError
from albench.protocols import load_protocol, protocol_names
from albench.report.inputs import Inputs
from albench.report.merge import StudyConfiguration
from albench.report.palette import order
from albench.results.layout import ROUNDS_FILE, RunFolder, StudyFolder
from albench.results.tables import STUDY_KEYS

_OWN_OPTION = ("rounds", "budget", "pool.start_method")


def commands(inputs: Inputs) -> list[str]:
    """Command lines that repeat the studies, into folders of their own.

    From the request that a run leaves in its folder; of results without one, of earlier versions, from configuration
    and tables, where data sets of one configuration share a line.
    """
    left = [study for folder in inputs.folders for study in RunFolder(folder).studies() if study.request.is_file()]
    if left:
        return [line for study in left for line in _repeated(study)]
    return _reconstructed(inputs)


def _repeated(study: StudyFolder) -> list[str]:
    """One line for all strategies that have the same seeds."""
    seeds: dict[str, set[int]] = {}
    for chain in study.chains():
        seeds.setdefault(chain.strategy, set()).add(chain.seed)
    by_range: dict[tuple[int, int], list[str]] = {}
    for strategy, own in seeds.items():
        by_range.setdefault((min(own), max(own) + 1), []).append(strategy)
    out = study.run.path if study.run.path.name not in ("", "..") else study.run.path.resolve()
    again = shlex.quote(str(out.with_name(f"{out.name}-again")))
    return [
        f"al-bench run {shlex.quote(str(study.request))} --strategy {shlex.quote(','.join(order(names)))} "
        f"--seeds {end}{f' --first-seed {first}' if first else ''} --out {again}"
        for (first, end), names in sorted(by_range.items(), reverse=True)
    ]


def _reconstructed(inputs: Inputs) -> list[str]:
    shared: dict[str, list[StudyConfiguration]] = {}
    for config in inputs.configs:
        name = (config.settings.get("protocol") or {}).get("name")
        same = json.dumps([name, config.protocol, _options(config), changed_settings(config)], sort_keys=True)
        shared.setdefault(same, []).append(config)
    return [_command(configs, inputs.results) for configs in shared.values()]


def changed_settings(config: StudyConfiguration) -> list[str]:
    """List settings in which a study departs from the packaged protocol of its name, as ``--set`` takes them.

    Empty where there is no packaged protocol of that name. What has an option of
    its own is left out, and so is a precision that the protocol leaves to the machine.
    """
    protocol = config.settings.get("protocol") or {}
    if protocol.get("name") not in protocol_names():
        return []
    packaged = load_protocol(protocol["name"], dataset=config.dataset).model_dump(mode="json")
    changed = []
    for name, value in _leaves(protocol):
        usual: Any = packaged
        for part in name.split("."):
            usual = usual.get(part) if isinstance(usual, dict) else None
        of_the_machine = name == "scoring.precision" and usual == "auto"
        own_option = name in _OWN_OPTION and not isinstance(value, list)  # --budget takes one number for all queries
        if value != usual and not own_option and not of_the_machine:
            changed.append(f"{name}={json.dumps(value)}")
    return changed


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
    if "warnings" in runs and (runs["warnings"] != "").any():
        shown.append(("warnings", _unique(runs.loc[runs["warnings"] != "", "warnings"])))
    versions: dict[str, set[str]] = {}
    for text in runs["versions"].unique():
        for name, version in _versions(text).items():
            versions.setdefault(name, set()).add(str(version))
    return shown + [(name, ", ".join(sorted(versions[name]))) for name in sorted(versions)]


def flatten(config: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Leaves of a nested configuration as dotted names and JSON values."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in _leaves(config, prefix)
    ]


def _leaves(config: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, dict) and value:
            leaves += _leaves(value, f"{prefix}{key}.")
        else:
            leaves.append((f"{prefix}{key}", value))
    return leaves


def _options(config: StudyConfiguration) -> dict[str, Any]:
    """Options that every command line names."""
    protocol = config.settings.get("protocol") or {}
    budget = protocol.get("budget")
    return {
        "rounds": protocol.get("rounds"),
        "budget": None if isinstance(budget, list) else budget,
        "start": (protocol.get("pool") or {}).get("start_method"),
        "device": config.settings.get("device"),
    }


def _command(configs: list[StudyConfiguration], results: pd.DataFrame) -> str:
    keys = pd.MultiIndex.from_frame(results[STUDY_KEYS])
    own = results[keys.isin([(config.dataset, config.protocol) for config in configs])]
    protocol = (configs[0].settings.get("protocol") or {}).get("name")
    options = {
        "dataset": ",".join(dict.fromkeys(config.dataset for config in configs)),
        "strategy": ",".join(order(list(own["strategy"]))) or None,
        "protocol": protocol if protocol is None or protocol in protocol_names() else f"{protocol}.yaml",
        # a table without rows yet has no seeds
        "seeds": None if own.empty else int(own["seed"].max()) + 1,
        "first-seed": None if own.empty else int(own["seed"].min()) or None,
        **_options(configs[0]),
    }
    words = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    words += [f"--set {shlex.quote(change)}" for change in changed_settings(configs[0])]
    return " ".join(["al-bench run", *words])


def _unique(column: pd.Series[str]) -> str:
    return ", ".join(sorted(column.unique()))


def _versions(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{ROUNDS_FILE}: column 'versions': expected a JSON object, found {text[:40]!r}")
    return value
