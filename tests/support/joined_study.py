"""A study on a slow fake trainer that several processes work on, and a log of who trained what."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from albench.data import Dataset
from albench.errors import ChainsFailedError, InputError
from albench.results.claims import Claims
from albench.results.layout import CEILING, RunFolder
from albench.results.tables import read_rounds
from albench.study import run as run_module
from albench.study.request import RunRequest
from albench.study.run import Resolved
from albench.training.base import Trainer, TrainingReport
from albench.training.fake import FakeTrainer
from tests.support.fake_study import FakeFactory, fake_protocol, unclaimed_study

STRATEGIES = ("random", "entropy", "full")
ARTEFACTS = ("query.json", "model.pth", "evaluation.parquet")
TTL_S = 15
"""Long enough for a busy machine to start a process."""


class LoggedTrainer(FakeTrainer):
    """Takes time for a training, and writes down when it begins and ends.

    It fails where the file ``unlucky`` says, and does not end as long as the file ``endless`` says so.
    """

    def __init__(self, dataset: Dataset, work: Path, log: Path, seconds: float) -> None:
        super().__init__(dataset, work)
        self._log, self._seconds = log, seconds

    def train(self, units: Any, *, target: Path, **others: Any) -> TrainingReport:
        self._note("begin", target)
        unlucky = self._log.with_name("unlucky")
        if unlucky.exists() and unlucky.read_text() in str(target):
            raise KeyError("odd")
        time.sleep(self._seconds)
        endless, end = self._log.with_name("endless"), time.monotonic() + 120
        while endless.exists() and endless.read_text() in str(target) and time.monotonic() < end:
            time.sleep(0.05)
        report = super().train(units, target=target, **others)
        self._note("end", target)
        return report

    def _note(self, what: str, target: Path) -> None:
        with self._log.open("a") as log:  # a short line at a file's end is written whole
            log.write(f"{what} {target} {os.getpid()}\n")


@dataclass(frozen=True)
class LoggedFactory(FakeFactory):
    log: Path = Path()
    seconds: float = 0.0

    def __call__(self, work: Path) -> Trainer:
        return LoggedTrainer(self.dataset, work, self.log, self.seconds)


@dataclass(frozen=True)
class JoinedStudy:
    """A results folder, and a log beside it."""

    dataset: Dataset
    out: Path
    seconds: float = 0.0
    seeds: int = 1
    strategies: tuple[str, ...] = STRATEGIES

    @property
    def log(self) -> Path:
        return self.out.with_name(f"{self.out.name}.log")

    def run(self, *, join: bool = True, n_processes: int = 1, scheduler: str | None = None) -> int:
        """Run as the command does; return its exit status."""

        self.resolve_as_this(n_processes)
        try:
            run_module.run(replace(self.request, join=join and scheduler is None, scheduler=scheduler))
        except (ChainsFailedError, InputError) as error:
            print(error, file=sys.stderr)
            self.out.with_name("said").write_text(str(error))
            return 1 if isinstance(error, ChainsFailedError) else 2
        return 0

    @property
    def request(self) -> RunRequest:
        root = (str(self.dataset.root),)
        return RunRequest(root, strategy=self.strategies, seeds=self.seeds, out=self.out, claim_ttl=TTL_S)

    def resolve_as_this(self, n_processes: int = 1) -> None:
        """Have all requests of this process be resolved to this study, on the fake trainer."""

        def resolve(request: RunRequest, reporter: object) -> Resolved:
            study = unclaimed_study(self.dataset, self.out, fake_protocol(rounds=2))
            factory = LoggedFactory(self.dataset, log=self.log, seconds=self.seconds)
            return Resolved(request, (replace(study, make_trainer=factory),), n_processes)

        run_module.resolve = resolve  # type: ignore[assignment]

    def finish(self, process: ForkProcess, status: int = 0) -> None:
        """Wait until a process ends, as it should."""
        process.join(900)
        assert process.exitcode == status

    def join(self, n: int = 1, status: int = 0) -> None:
        """Have so many processes join and end."""
        for process in [self.start() for _ in range(n)]:
            self.finish(process, status)

    def start(self, before: Callable[[], object] = lambda: None, **options: Any) -> ForkProcess:
        """Run in a process of its own, as another host would."""

        def main() -> None:
            before()
            os._exit(self.run(**options))

        process = multiprocessing.get_context("fork").Process(target=main)
        process.start()
        return process

    def trainings(self, what: str) -> list[tuple[str, int]]:
        """Model and process of each training that began, or ended."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        words = [line.split(" ") for line in lines]
        return [(place, int(process)) for kind, place, process in words if kind == what]

    def await_training(self, part: str, seconds: float = 600) -> int:
        """Wait until a training begins whose path has `part`; return its process."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = [process for place, process in self.trainings("begin") if part in place]
            if found:
                return found[-1]
            time.sleep(0.05)
        raise AssertionError(f"no training of {part} began in {seconds} s")

    def artefacts(self) -> dict[str, str]:
        """SHA-256 of all queries, models and evaluations."""
        return {
            str(path.relative_to(self.out)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.out.rglob("*"))
            if path.name in ARTEFACTS
        }

    def require_nothing_twice(self) -> None:
        """Every training that was finished was finished once, and nothing half-written is left."""
        twice = {place: n for place, n in Counter(place for place, _ in self.trainings("end")).items() if n > 1}
        assert not twice
        left = [path for path in self.out.rglob(".writing-*") if ".claims" not in path.parts]
        assert not left

    def artefacts_alone(self) -> dict[str, str]:
        """Artefacts of one process that runs it."""
        self.finish(self.start(join=False))
        return self.artefacts()

    def require_equal(self, alone: dict[str, str]) -> None:
        """Results are those of one process, tables and report are there, and nothing was done twice."""
        n_chains = len(set(self.strategies) - {CEILING})
        # of a first model two; of a chain two queries, a model, an evaluation; of a ceiling one query less
        assert len(alone) == 2 + 4 * n_chains + 3 * (CEILING in self.strategies)
        assert self.artefacts() == alone
        self.require_nothing_twice()
        assert (self.out / "report" / "index.html").is_file()
        assert len(read_rounds(self.out)) == 2 * n_chains + (CEILING in self.strategies)

    def ends_of(self, chain: str) -> list[str | None]:
        """How the claims on a chain of the first seed ended."""
        return [past.state for past in Claims(RunFolder(self.out), TTL_S).on(self.dataset.name, chain, 0).history()]
