"""How far the studies of a results folder are, and who works on what where: from files alone, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albench.errors import InputError
from albench.machine.claims import Past
from albench.results.claims import MOST_FAILURES, SETUP, Claims, begins_with
from albench.results.layout import (
    CEILING,
    SHARED,
    STUDY_FILE,
    RoundFolder,
    RunFolder,
    StudyFolder,
    stage_record,
    train_stages,
)
from albench.results.settings import Settings, StudySettings
from albench.results.stages import StageRecord
from albench.study.file import read_study
from albench.study.request import RunRequest

_ASKED = ("dataset", "strategy", "seeds", "first_seed")


@dataclass(frozen=True)
class PartStatus:
    """Where a chain is, or what the chains of a seed share.

    Attributes
    ----------
    state
        ``done``, ``running``, ``failed`` (nobody tries it again), ``blocked`` (what it begins with has failed) or
        ``waiting``.
    n_done, n_rounds
        Rounds finished, and asked for; of the set-up one.
    claim
        The last claim on it; None where no process that joined had it.
    failures
        Claims that ended so.
    """

    dataset: str
    chain: str
    seed: int
    state: str
    n_done: int
    n_rounds: int
    claim: Past | None = None
    failures: tuple[Past, ...] = ()

    @property
    def name(self) -> str:
        """Of the chain, as lines give it."""
        return self.chain.removeprefix("_")

    @property
    def doing(self) -> str:
        """What its holder does, in words; empty where nobody has it."""
        if self.state != "running" or self.claim is None:
            return ""
        progress = self.claim.progress
        total = f" of {progress['total']}" if progress.get("total") else ""
        task = str(progress.get("task", "")).rpartition(": ")[2]
        return f"{task}, {progress.get('n_done', 0)}{total}" if task else "starting"

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        row: dict[str, Any] = {
            "dataset": self.dataset,
            "chain": self.name,
            "seed": self.seed,
            "state": self.state,
            "rounds_done": self.n_done,
            "rounds": self.n_rounds,
            "failures": [
                {**_known(past.about, "host", "job"), **_known(past.end or {}, "at", "error")} for past in self.failures
            ],
        }
        if self.state == "running" and self.claim is not None:
            row["by"] = {
                **_known(self.claim.about, "host", "process", "job", "gpu", "since"),
                **_known(self.claim.progress, "process", "gpu", "task", "round", "n_done", "total"),
                "silent_s": round(max(0.0, self.claim.age_s), 1),
            }
        return row


@dataclass(frozen=True)
class Status:
    """Of a results folder.

    Attributes
    ----------
    n_joined
        Processes that are joined to it.
    seconds_left
        With so many at work as now, or one, if rounds go on to take as long as they took; None where none is finished.
    """

    out: Path
    parts: tuple[PartStatus, ...]
    n_joined: int
    seconds_left: float | None

    @property
    def left(self) -> str:
        """Time left, in words."""
        return "unknown before a round is done" if self.seconds_left is None else _duration(self.seconds_left)

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return {
            "out": str(self.out),
            "joined": self.n_joined,
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left),
            "chains": [part.as_json() for part in self.parts],
        }


def read_status(out: Path) -> Status:
    """Look at a results folder; nothing of it is changed.

    Raises
    ------
    InputError
        It is none, or its settings or its request are damaged.
    """
    run = RunFolder(out)
    settings = Settings.read(run)
    values = read_study(out / STUDY_FILE)
    request = RunRequest(**{name: values[name] for name in _ASKED if name in values})
    claims = Claims(run, 0)
    parts = tuple(part for study in settings.studies for part in _parts(study, request, claims))
    return Status(out, parts, len(claims.joined()), _seconds_left(run, parts))


def _parts(settings: StudySettings, request: RunRequest, claims: Claims) -> Iterator[PartStatus]:
    study, n_rounds = claims.run.study(settings.dataset), settings.rounds or 1
    chains = [name for name in request.strategy if name != CEILING]
    names = [SETUP, *([SHARED] if chains else []), *request.strategy]
    out_of_reach: set[tuple[str | None, int]] = set()
    for name in names:
        for seed in request.seed_range:
            done = _n_done(study, name, seed, n_rounds, settings.n_folds)
            asked = 1 if name in (SETUP, SHARED, CEILING) else n_rounds
            history = claims.on(settings.dataset, name, seed).history()
            failures = tuple(past for past in history if past.state == "failed")
            last = history[-1] if history else None
            state = "waiting"
            if last is not None and last.is_live:
                state = "running"
            elif done >= asked or (last is not None and last.state == "done"):
                state = "done"
            elif len(failures) >= MOST_FAILURES:
                state = "failed"
            elif (begins_with(name), seed) in out_of_reach:
                state = "blocked"
            if state in ("failed", "blocked"):
                out_of_reach.add((name, seed))
            yield PartStatus(settings.dataset, name, seed, state, done, asked, last, failures)


def _n_done(study: StudyFolder, name: str, seed: int, n_rounds: int, n_folds: int) -> int:
    """Count finished rounds as records say; files are not compared."""
    if name == SETUP:
        return int(stage_record(study.seed(seed).path, "prepare").is_file())
    if name == SHARED:
        return int(_is_trained(study.seed(seed).first_round, n_folds))
    numbers = [n_rounds - 1] if name == CEILING else range(n_rounds)
    rounds = [study.chain(name, seed).round(number) for number in numbers]
    return sum(each.stage("query").is_file() and _is_trained(each.trained_in, n_folds) for each in rounds)


def _is_trained(place: RoundFolder, n_folds: int) -> bool:
    return all(place.stage(stage).is_file() for stage in ("evaluate", *train_stages(n_folds)))


def _seconds_left(run: RunFolder, parts: tuple[PartStatus, ...]) -> float | None:
    """Extrapolate: as long as the longest chain takes, and as all takes by those at work."""
    took = [seconds for study in run.studies() for place in study.trained() if (seconds := _seconds(place)) > 0]
    left = [
        part.n_rounds - part.n_done for part in parts if part.chain != SETUP and part.state in ("running", "waiting")
    ]
    if not left:
        return 0.0
    if not took:
        return None
    n_at_work = max(1, sum(part.state == "running" for part in parts))
    return sum(took) / len(took) * max(*left, sum(left) / n_at_work)


def _seconds(place: RoundFolder) -> float:
    """Return what a finished round took; 0 where it is not finished."""
    try:
        stages = ["evaluate", *place.trainings(), *(["query"] if place.stage("query").is_file() else [])]
        return sum(StageRecord.read(place.path, stage).seconds for stage in stages)
    except InputError:
        return 0.0


def _known(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}


def _duration(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds."""
    minutes = round(seconds) // 60
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {round(seconds) % 60:02} s"
