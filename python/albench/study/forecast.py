"""What a run would cost, from a few measured iterations; nothing of the run itself is done."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from albench.config import runs
from albench.errors import InputError
from albench.progress import SILENT, Reporter
from albench.results.layout import CEILING
from albench.results.reading import require_plain_files
from albench.results.registered import RegisteredClaim
from albench.results.tables import read_results
from albench.stats.pairs import PRIMARY
from albench.stats.power import SPREADS, ClaimPower, Power, power_of
from albench.stats.registered import pilot_spread
from albench.study.contention import Work, last_end_s
from albench.study.done import find_done, trainings
from albench.study.measuring import Costs, measure
from albench.study.request import RunRequest
from albench.study.run import resolve
from albench.study.study import Study
from albench.study.workers import dearest_first

_PILOT = "the pilot's"


@dataclass(frozen=True)
class Forecast:
    """What one data set's part of a run amounts to.

    Attributes
    ----------
    n_pool_units
        Estimated from the sample where the pool has more cases than that.
    start
        Units annotated before the first training.
    budgets
        Units of each query.
    n_trainings, n_iterations
        Over all seeds, strategies and folds; the first round of a seed counts once.
    compute_s
        Summed over all chains, each as if alone, by what it is spent on; choosing itself is left out.
    wall_s
        With chains side by side, which slow each other down.
    disk_bytes
        Checkpoints and preprocessed images at the end.
    n_done
        Trainings that the results folder has already; their share is not in the times.
    power
        What differences in AUBC the seeds can find; None where no spread is known, or the request has claims.
    claims
        What the seeds can say of those claims of which a spread is known.
    """

    dataset: str
    protocol: str
    device: str
    n_pool_cases: int
    n_pool_units: int
    n_test_cases: int
    start: int
    rounds: int
    budgets: tuple[int, ...]
    n_seeds: int
    n_trainings: int
    n_iterations: int
    compute_s: dict[str, float]
    wall_s: float
    disk_bytes: int
    n_processes: int
    n_done: int = 0
    power: Power | None = None
    claims: tuple[ClaimPower, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All fields by name."""
        claims = [claim.as_json() for claim in self.claims]
        return asdict(self) | {"power": self.power and self.power.as_json(), "claims": claims}

    def as_row(self) -> dict[str, str]:
        """Return a line for people."""
        parts = ", ".join(f"{what} {_duration(seconds)}" for what, seconds in self.compute_s.items())
        queries = "".join(f" + {n} x {budget}" for n, budget in runs(self.budgets))
        done = f" ({self.n_done} done already)" if self.n_done else ""
        return {
            "data set": f"{self.dataset}, {self.protocol}, {self.device}",
            "pool": f"{self.n_pool_cases} cases, about {self.n_pool_units} units; {self.n_test_cases} to test",
            "annotated": f"{self.start}{queries} units a seed; seeds: {self.n_seeds}",
            "trainings": f"{self.n_trainings}{done}, {self.n_iterations} iterations",
            "computing": parts,
            "to wait": f"{_duration(self.wall_s)}, {self.n_processes} side by side",
            "disk": f"{self.disk_bytes / 1e9:.1f} GB" if self.disk_bytes >= 1e9 else f"{self.disk_bytes / 1e6:.0f} MB",
            "can find": self._findable(),
        }

    def _findable(self) -> str:
        known = [self.power.as_text()] if self.power else [claim.as_text() for claim in self.claims]
        return "\n".join(known) or "not known for this protocol; --sd or --pilot says from what spread"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def forecast_studies(
    request: RunRequest, reporter: Reporter, sd: float | None = None, pilot: Path | None = None
) -> list[Forecast]:
    """Forecast of every data set that `request` names; checks all that `run` would check.

    Parameters
    ----------
    sd
        Standard deviation over seeds of a difference in AUBC, or of what the claims are about; None: that of `SPREADS`,
        where it has the protocol.
    pilot
        Results folder whose seeds say it for each claim, rather than `sd`.

    Raises
    ------
    InputError
        Something of the request is not as it has to be, or the pilot says nothing of any claim.
    """
    if request.resume:
        require_plain_files(request.out)
    piloted = None if pilot is None else read_results(pilot)
    if piloted is not None and not request.claims:
        raise InputError(f"--pilot {pilot}: expected a study with claims, whose spread it says, got none")
    resolved = resolve(request, reporter)  # what it reads of the data it remembers, for the run
    strategies, seeds = resolved.request.strategy, request.seed_range
    forecasts = [forecast_study(study, strategies, seeds, resolved.n_processes, reporter) for study in resolved.studies]
    if request.resume:
        forecasts = [
            _remaining(forecast, study, strategies, seeds, reporter)
            for forecast, study in zip(forecasts, resolved.studies, strict=True)
        ]
    with reporter.task("measuring how long a process takes to start"):
        startup_s = _startup_s()
    # The report is drawn in about half the time that the program takes to start.
    n_starts = 1.5 + (resolved.n_processes > 1)
    forecasts[0] = _with_fixed(forecasts[0], n_starts * startup_s)
    claims = resolved.request.claims
    if not claims:
        return [_with_power(forecast, request.seeds, sd) for forecast in forecasts]
    forecasts = [
        replace(forecast, claims=tuple(_claim_powers(forecast, claims, request.seeds, sd, piloted)))
        for forecast in forecasts
    ]
    if piloted is not None and not any(claim.source == _PILOT for each in forecasts for claim in each.claims):
        raise InputError(f"--pilot {pilot}: expected two seeds with both strategies of some claim, found none")
    return forecasts


def _with_power(forecast: Forecast, n_seeds: int, sd: float | None) -> Forecast:
    known = SPREADS.get((forecast.protocol, PRIMARY)) if sd is None else sd
    return forecast if known is None else replace(forecast, power=power_of(n_seeds, known))


def _claim_powers(
    forecast: Forecast,
    claims: Sequence[RegisteredClaim],
    n_seeds: int,
    sd: float | None,
    pilot: pd.DataFrame | None,
) -> Iterator[ClaimPower]:
    """Say what so many seeds find of each claim by the spread known best: the pilot's, the one given, the usual one."""
    own = None if pilot is None else pilot[pilot["dataset"] == forecast.dataset]
    for claim in claims:
        of_pilot = math.nan if own is None or own.empty else pilot_spread(own, claim)
        usual = SPREADS.get((forecast.protocol, claim.endpoint))
        if of_pilot > 0:
            yield ClaimPower(claim, of_pilot, _PILOT, n_seeds)
        elif sd is not None:
            yield ClaimPower(claim, sd, "as given", n_seeds)
        elif usual is not None:
            yield ClaimPower(claim, usual, "as in a trial on hippocampus", n_seeds)


def _remaining(
    forecast: Forecast, study: Study, strategies: Sequence[str], seeds: Sequence[int], reporter: Reporter = SILENT
) -> Forecast:
    """Take off what the results folder has already, training by training."""
    done = find_done(study, strategies, seeds)
    for line in done.lines:
        reporter.say(line)
    rounds_left = 1 - done.n_trainings / forecast.n_trainings
    left = {
        "preprocess": 1 - done.n_prepared / len(seeds),
        "train": 1 - done.n_iterations / forecast.n_iterations,
    }
    compute_s = {what: seconds * left.get(what, rounds_left) for what, seconds in forecast.compute_s.items()}

    def in_chains(seconds: dict[str, float]) -> float:
        return sum(seconds.values()) - seconds["preprocess"]

    before, after = in_chains(forecast.compute_s), in_chains(compute_s)
    waiting_s = (forecast.wall_s - forecast.compute_s["preprocess"]) * (after / before if before else 0.0)
    return replace(forecast, n_done=done.n_trainings, compute_s=compute_s, wall_s=compute_s["preprocess"] + waiting_s)


def _with_fixed(forecast: Forecast, fixed_s: float) -> Forecast:
    """Add what a run takes however little it trains."""
    compute_s = forecast.compute_s | {"start and report": fixed_s}
    return replace(forecast, compute_s=compute_s, wall_s=forecast.wall_s + fixed_s)


def _startup_s() -> float:
    """Seconds until a process of this program is ready to train."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import albench.study.run, albench.training.nnunet"], check=False)
    return time.perf_counter() - began


def forecast_study(
    study: Study, strategies: Sequence[str], seeds: Sequence[int], n_processes: int, reporter: Reporter = SILENT
) -> Forecast:
    """Measure and extrapolate, in a temporary folder that is removed again."""
    with tempfile.TemporaryDirectory(prefix="al-bench-plan-") as folder:
        # the first model of a seed has to be there before its chains begin
        n_chains = len(seeds) * len(strategies)
        costs = measure(study, strategies, Path(folder), reporter, seeds, min(n_processes, n_chains))
    return forecast(study, strategies, len(seeds), n_processes, costs)


def forecast(study: Study, strategies: Sequence[str], n_seeds: int, n_processes: int, costs: Costs) -> Forecast:
    """Extrapolate `costs` over the whole run."""
    protocol = study.config.protocol
    split = study.split(0)
    chains = [name for name in strategies if name != CEILING]
    n_ceilings = int(CEILING in strategies)
    rounds = list(trainings(study, strategies, 0))
    n_start, budgets, n_trained = protocol.pool.start, protocol.budgets, protocol.rounds - 1
    if costs.n_labelled is not None:  # the first query asks for labels that nobody has given yet
        n_start, budgets, n_trained = costs.n_labelled, budgets[:1], 0
    n_units = round(costs.units_per_case * len(split.pool))
    n_cases = len(split.pool) + len(split.test)
    n_folds = protocol.training.folds
    n_rounds, n_iterations = len(rounds), sum(iterations for _, iterations in rounds)
    # A query scores what is unlabelled by then; fewer where patches overlap, and how many fewer is the choices' doing.
    n_scored = sum(max(0, n_units - n_start - sum(budgets[:query])) for query in range(len(budgets)))
    scoring = {name: costs.score_s_per_unit[name] * n_scored for name in chains}
    one_round_s = n_folds * costs.train_setup_s + costs.evaluate_s_per_case * len(split.test)
    iteration_s = n_folds * costs.iteration_s
    compute_s = {
        "preprocess": n_seeds * costs.prepare_s_per_case * n_cases,
        "train": n_seeds * n_iterations * iteration_s,
        "score": n_seeds * sum(scoring.values()),
        "set up and evaluate": n_seeds * n_rounds * one_round_s,
    }
    first_s = protocol.training.first_iterations * iteration_s + one_round_s
    rounds_s = n_trained * (protocol.training.round_iterations * iteration_s + one_round_s)
    then = tuple(Work(rounds_s + scoring[name]) for name in dearest_first(chains))
    ceiling = [Work(protocol.ceiling_iterations * iteration_s + one_round_s)] * n_ceilings
    jobs = [*ceiling, *([Work(first_s, then)] if chains else [])] * n_seeds
    return Forecast(
        dataset=study.dataset.name,
        protocol=protocol.name,
        device=study.config.device,
        n_pool_cases=len(split.pool),
        n_pool_units=n_units,
        n_test_cases=len(split.test),
        start=n_start,
        rounds=len(budgets) + 1,
        budgets=budgets,
        n_seeds=n_seeds,
        n_trainings=n_seeds * n_rounds * n_folds,
        n_iterations=n_seeds * n_iterations * n_folds,
        compute_s=compute_s,
        wall_s=compute_s["preprocess"] + last_end_s(jobs, n_processes, costs.slowdown),
        disk_bytes=round(n_seeds * (n_rounds * n_folds * costs.model_bytes + n_cases * costs.prepared_bytes_per_case)),
        n_processes=n_processes,
    )
