"""The settings of the studies in a results folder: the file ``config.json``, as it is stored.

Each study's folder has a copy, from which a lost or damaged file is restored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from albench.config import MOST_ROUNDS, MOST_UNITS, StudyConfig
from albench.data.registry import list_entries
from albench.errors import InputError, unknown_name
from albench.machine.names import plain_name
from albench.results.layout import CEILING, CONFIG_COPY, RESERVED, RoundFolder, RunFolder
from albench.results.sealed import read_sealed, write_sealed

MAX_FOLDS = 10_000
"""No study has so many; who wrote the file may have wanted a reader to count for long."""

_HASH, _KIND, _ROOT, _TRUSTED = "config_hash", "dataset_kind", "dataset_root", "trusted_geometry"
_TEXTS = (_HASH, _KIND, _ROOT)
_NOTES = (*_TEXTS, _TRUSTED)

# What another machine may set otherwise without the results meaning anything else.
_OF_THE_MACHINE = {
    "device": None,
    "protocol": {"training": {"compile": None}, "scoring": {"precision": None}, "cpu_threads": None},
}


@dataclass(frozen=True)
class StudySettings:
    """Settings of one data set's study.

    Attributes
    ----------
    stored
        The fields of `albench.config.StudyConfig` at the time, their hash, what the images are of and where they lay;
        settings of other versions may be more or fewer, so they are not made a `StudyConfig` of.
    """

    dataset: str
    stored: Mapping[str, Any]

    @classmethod
    def of(cls, config: StudyConfig) -> StudySettings:
        """Return settings as they will be stored."""
        noted: dict[str, Any] = {_HASH: config.digest(), _KIND: config.dataset_kind, _ROOT: config.dataset_root}
        if config.trusted_geometry is not None:
            noted[_TRUSTED] = config.trusted_geometry
        return cls(config.dataset, config.model_dump(mode="json") | noted)

    @property
    def values(self) -> dict[str, Any]:
        """What decides the results: all but the hash, and what is noted of the data set."""
        return {key: value for key, value in self.stored.items() if key not in _NOTES}

    @property
    def config_hash(self) -> str:
        """`albench.config.StudyConfig.digest` of the version that wrote them."""
        return str(self.stored.get(_HASH, ""))

    @property
    def is_phantom(self) -> bool:
        """Whether the images are generated."""
        kind = self.stored.get(_KIND)
        if kind is not None:
            return bool(kind == "phantom")
        # Folders of 0.1 do not say: by the names that al-bench gives to what it generates.
        names = [entry.name for entry in list_entries() if entry.phantom]
        return self.dataset in names or self.dataset.startswith(tuple(f"{name}-seed" for name in names))

    @property
    def root(self) -> str | None:
        """Folder that the data set was read from when it was last run; None where the version did not say."""
        root = self.stored.get(_ROOT)
        return None if root is None else str(root)

    @property
    def trusted_geometry(self) -> int | None:
        """Cases of which only the image's geometry was believed; None where that was not asked for."""
        return self.stored.get(_TRUSTED)

    @property
    def device(self) -> str:
        """Device that the study ran on."""
        return str(self.stored.get("device", ""))

    @property
    def protocol(self) -> str:
        """Name of the protocol."""
        return str(_part(self.stored, "protocol").get("name", ""))

    @property
    def n_folds(self) -> int:
        """Models of a round."""
        return int(_part(self.stored, "protocol", "training").get("folds", 1))

    @property
    def rounds(self) -> int | None:
        """Trainings of a chain; None where the settings do not say."""
        rounds = _part(self.stored, "protocol").get("rounds")
        return None if rounds is None else int(rounds)

    @property
    def budgets(self) -> tuple[int, ...]:
        """Units of each query, as `albench.config.Protocol.budgets`."""
        n_queries, budget = (self.rounds or 1) - 1, _part(self.stored, "protocol").get("budget")
        return tuple(budget[:n_queries]) if isinstance(budget, list) else (budget or 0,) * n_queries

    def has_round(self, folder: RoundFolder) -> bool:
        """Whether a round of the data set, by its number, is one that is asked for."""
        if self.rounds is None:
            return True
        return folder.number == self.rounds - 1 if folder.strategy == CEILING else folder.number < self.rounds

    def besides_rounds(self) -> dict[str, Any]:
        """Return what decides the results of every round: all but the number of rounds and the budgets."""
        return _without(self.values, {"protocol": {"rounds": None, "budget": None}})

    def portable(self) -> dict[str, Any]:
        """Return the settings without the hash and without what belongs to the machine."""
        return _without(self.values, _OF_THE_MACHINE)


@dataclass(frozen=True)
class Settings:
    """Settings of every study of a results folder, in the order they were added."""

    FORMAT: ClassVar[int] = 2
    """Of the files that `write` makes; files without a format, of al-bench 0.1, have no digest."""

    studies: tuple[StudySettings, ...] = ()

    @classmethod
    def read(cls, run: RunFolder) -> Settings:
        """Read the file, or where that is missing or damaged the fullest of its copies.

        Raises
        ------
        InputError
            There is none that is whole, or a data set has a name that is no folder's.
        """
        try:
            return cls._read(run.config)
        except InputError:
            copies = []
            for file in run.path.glob(f"*/{CONFIG_COPY}"):
                with contextlib.suppress(InputError):
                    copies.append(cls._read(file))
            if not copies:
                raise
            return max(copies, key=lambda copy: len(copy.studies))

    @classmethod
    def _read(cls, file: Path) -> Settings:
        stored = read_sealed(file, format=cls.FORMAT)
        datasets = stored.get("datasets")
        if not isinstance(datasets, dict) or not all(isinstance(value, dict) for value in datasets.values()):
            keys = ", ".join(stored) or "none"
            raise InputError(f"{file}: expected key 'datasets' with the settings of each data set, found {keys}")
        for name, values in datasets.items():
            _require_form(f"{file}: {name}", values)
        names = [plain_name(f"{file}: data set", name, RESERVED) for name in datasets]
        return cls(tuple(StudySettings(name, datasets[name]) for name in names))

    def write(self, run: RunFolder) -> None:
        """Write the file, and its copies.

        Raises
        ------
        InputError
            No space left, or no permission.
        """
        values = {"datasets": {study.dataset: dict(study.stored) for study in self.studies}}
        for file in (run.config, *(run.study(study.dataset).config for study in self.studies)):
            write_sealed(file, values, format=self.FORMAT)

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets."""
        return [study.dataset for study in self.studies]

    def study(self, dataset: str | None) -> StudySettings:
        """Return the settings of a data set; of the only one for None.

        Raises
        ------
        InputError
            There is no such data set, or not one only.
        """
        named = [study for study in self.studies if dataset is None or study.dataset == dataset]
        if len(named) != 1:
            raise unknown_name("data set of this study", str(dataset), self.datasets)
        return named[0]

    def updated(self, configs: Iterable[StudyConfig]) -> Settings:
        """Return these settings with the given ones in place of those of the same data set, or after all."""
        kept = {study.dataset: study for study in self.studies}
        return Settings(tuple((kept | {config.dataset: StudySettings.of(config) for config in configs}).values()))


def _require_form(where: str, stored: Mapping[str, Any]) -> None:
    """Refuse settings of which something is there, but is not what every version made of it."""
    groups = [("protocol",), *(("protocol", name) for name in ("pool", "network", "training", "scoring", "evaluation"))]
    texts = [*((note,) for note in _TEXTS), ("dataset",), ("device",), ("protocol", "name")]
    for names, kind, what in [*((n, dict, "settings by name") for n in groups), *((n, str, "a text") for n in texts)]:
        value = _part(stored, *names[:-1]).get(names[-1])
        if value is not None and not isinstance(value, kind):
            raise InputError(f"{where}: {'.'.join(names)}: expected {what}, found {value!r:.200}")
    trusted = stored.get(_TRUSTED)
    if trusted is not None and (type(trusted) is not int or trusted < 0):
        raise InputError(f"{where}: {_TRUSTED}: expected a number of cases, found {trusted!r:.200}")
    folds = _part(stored, "protocol", "training").get("folds", 1)
    if not isinstance(folds, int) or not 1 <= folds <= MAX_FOLDS:
        raise InputError(f"{where}: protocol.training.folds: expected 1 to {MAX_FOLDS} folds, found {folds!r:.200}")
    rounds, budget = (_part(stored, "protocol").get(name) for name in ("rounds", "budget"))
    if rounds is not None and not _is_count(rounds, MOST_ROUNDS):
        raise InputError(f"{where}: protocol.rounds: expected 1 to {MOST_ROUNDS} rounds, found {rounds!r:.200}")
    several = budget if isinstance(budget, list) else [budget]
    if budget is not None and not all(_is_count(each, MOST_UNITS) for each in several):
        raise InputError(f"{where}: protocol.budget: expected 1 to {MOST_UNITS} units, found {budget!r:.200}")


def _is_count(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _part(stored: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return nested settings; nothing where they are missing or something else."""
    part: Any = stored
    for name in names:
        part = part.get(name) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _without(values: Mapping[str, Any], left_out: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for key, value in values.items():
        inner = left_out.get(key, {})
        if inner is not None:
            kept[key] = _without(value, inner) if inner and isinstance(value, Mapping) else value
    return kept
