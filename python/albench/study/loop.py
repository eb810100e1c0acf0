"""The active-learning loop: query, annotate, train, evaluate; every stage on disk before the next begins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albench.config import Protocol
from albench.machine.facts import code_version, hardware, peak_rss_mib, utc_now, versions
from albench.machine.files import read_json, write_json, write_parquet
from albench.metrics.evaluate import evaluate, surface_settings
from albench.results.pictures import GALLERY, save_gallery
from albench.results.stages import load_stage, run_stage
from albench.results.tables import CEILING
from albench.scoring.cache import ScoreCache
from albench.scoring.request import GradientSettings, Need, Scores, ScoringPlan, class_weights
from albench.seeding import Key, generator
from albench.strategies import Oracle, PoolView, Selection, Strategy, choose, label_of, settings_of
from albench.study.events import event_log
from albench.study.setup import SHARED, SeedSetup, Study
from albench.units.cost import annotation_cost, labelled_voxels
from albench.units.pool import Pool, Unit, fold_units

QUERY, EVALUATION = "query.json", "evaluation.parquet"


def train_stages(n_folds: int) -> dict[str, str]:
    """Stages of a round's training and the model file each leaves: one, or one a fold."""
    if n_folds == 1:
        return {"train": "model.pth"}
    return {f"train-{fold}": f"model-{fold}.pth" for fold in range(n_folds)}


@dataclass(frozen=True)
class Chain:
    """One strategy on one seed; no strategy stands for the start that all share."""

    study: Study
    setup: SeedSetup
    strategy: Strategy | None

    @property
    def name(self) -> str:
        """Label of the strategy, and name of the chain's folder."""
        return label_of(self.strategy) if self.strategy else SHARED

    def folder(self, number: int) -> Path:
        """Folder of round `number`."""
        return self.study.round_folder(self.name, self.setup.seed, number)

    def key(self, number: int, *component: Key) -> tuple[Key, ...]:
        """Name of a random stream; strategies share it, so that they differ by what they choose alone."""
        return (self.study.dataset.name, self.setup.seed, number, *component)

    @property
    def train_stages(self) -> dict[str, str]:
        """Stages of a round's training and the model file each leaves."""
        return train_stages(self.study.config.protocol.training.folds)

    def title(self, number: int) -> str:
        """Return what progress lines call this round."""
        return f"{self.study.dataset.name} {self.name.removeprefix('_')} seed {self.setup.seed} round {number}"


def run_start(study: Study, setup: SeedSetup) -> tuple[Path, ...]:
    """Train and evaluate on the starting set, once for all strategies of a seed; return the models, one a fold."""
    folder = study.round_folder(SHARED, setup.seed, 0)
    chain = Chain(study, setup, None)
    return _train_and_evaluate(chain, 0, folder, setup.start, study.config.protocol.training.first_iterations, ())


def run_chain(chain: Chain) -> None:
    """Run all rounds of a chain that are not finished yet.

    Round 0 is the shared start; each later round first annotates what the strategy picks with the last round's
    model. Round r's folder holds ``query.json`` (the units annotated for it), ``gallery.npz`` (pictures of some of
    them), ``model.pth`` (with folds ``model-0.pth`` and on) and ``evaluation.parquet``. The chain ends early, with a
    query, where the data set has no labels for what it asks; without one, where every patch overlaps an annotated one.
    """
    protocol = chain.study.config.protocol
    run_stage(chain.folder(0), "query", [QUERY], lambda: _write_start(chain))
    models = run_start(chain.study, chain.setup)
    labelled = list(chain.setup.start)
    for number in range(1, protocol.rounds):
        folder = chain.folder(number)
        if not chain.setup.pool.unlabelled(labelled):
            chain.study.reporter.say(f"{chain.title(number)}: no patch is left that overlaps no annotated one")
            return
        run_stage(folder, "query", [QUERY], partial(_query, chain, number, labelled, models))
        chosen = read_query(folder / QUERY)
        budget = protocol.budgets[number - 1]
        if len(chosen) < budget:
            chain.study.reporter.say(f"{chain.title(number)}: only {len(chosen)} of {budget} patches found room")
        missing = int((~chain.setup.pool.is_labelled[chain.setup.pool.rows(chosen)]).sum())
        if missing:
            chain.study.reporter.say(
                f"{chain.title(number)}: {missing} of the {len(chosen)} units chosen are not labelled yet; they are "
                f"listed in {folder / QUERY}"
            )
            return
        if chain.study.gallery:
            run_stage(folder, "gallery", [GALLERY], partial(_keep_pictures, chain, number, chosen, models))
        labelled += chosen
        initial = models if protocol.training.warm_start else ()
        models = _train_and_evaluate(chain, number, folder, labelled, protocol.training.round_iterations, initial)


def run_ceiling(chain: Chain) -> None:
    """Train once on every label, with the iterations of a whole chain or the protocol's own, as the last round."""
    protocol = chain.study.config.protocol
    number = protocol.rounds - 1
    folder = chain.folder(number)
    everything = Selection(indices=np.arange(len(chain.setup.pool), dtype=np.int64))
    units = chain.setup.pool.units

    def write() -> dict[str, Any]:
        _write_query(folder / QUERY, chain, number, units, everything)
        return {}

    run_stage(folder, "query", [QUERY], write)
    _train_and_evaluate(chain, number, folder, units, protocol.ceiling_iterations, ())


def _write_start(chain: Chain) -> dict[str, Any]:
    start = chain.setup.start
    selection = Selection(indices=np.arange(len(start), dtype=np.int64))
    _write_query(chain.folder(0) / QUERY, chain, 0, start, selection)
    return {}


def _query(chain: Chain, number: int, labelled: Sequence[Unit], models: Sequence[Path]) -> dict[str, Any]:
    """Score the unlabelled units with the last models, let the strategy choose, write ``query.json``."""
    started = time.perf_counter()
    protocol, strategy = chain.study.config.protocol, chain.strategy
    assert strategy is not None
    units = chain.setup.pool.unlabelled(labelled)
    weights = class_weights(labelled_voxels(chain.setup.pool, labelled))
    plan = scoring_plan(protocol, weights, chain.key(number, "score"), labelled, strategy.gradients)
    incidents: list[str] = []
    with chain.study.reporter.task(f"{chain.title(number)}: scoring {len(units)} units") as advance:

        def score(needs: Need, known: Scores) -> Scores:
            model = chain.setup.trainer.load(*models)
            scores = model.score(units, needs, replace(plan, variance=known.variance), advance)
            incidents.extend(model.incidents)
            return scores

        if number == 1:  # the model is everyone's, and so is what it says of the pool
            scores, found = _shared_scores(chain, units, plan).scores(strategy.needs, score)
        else:
            scores, found = score(strategy.needs, Scores()) if strategy.needs else Scores(), Need.NOTHING
    scored = time.perf_counter()
    view = PoolView(
        units,
        scores,
        weights,
        query=number - 1,
        n_queries=protocol.rounds - 1,
        annotated=tuple(labelled),
        oracle=_oracle(chain.setup.pool, units) if strategy.oracle_aided else None,
    )
    selection = choose(
        strategy,
        view,
        min(protocol.budgets[number - 1], len(units)),
        generator(*chain.key(number, "select")),
        max_per_case=protocol.pool.max_per_case,
        boxes=chain.setup.pool.boxes(units) if chain.setup.pool.overlaps else None,
    )
    selected = time.perf_counter()
    _write_query(chain.folder(number) / QUERY, chain, number, units, selection)
    return {
        "score_s": scored - started,
        "select_s": selected - scored,
        "cached_scores": " ".join(str(need.name).lower() for need in found),
        "incidents": incidents,
    }


def _keep_pictures(chain: Chain, number: int, chosen: Sequence[Unit], models: Sequence[Path]) -> dict[str, Any]:
    """Keep pictures of the units chosen first, as the last models saw them; draws from no stream of the study."""
    units = chosen[: chain.study.gallery]
    n_labels = chain.setup.pool.voxel_counts.shape[1]
    plan = scoring_plan(
        chain.study.config.protocol, np.ones(n_labels), chain.key(number, "gallery"), (), GradientSettings()
    )
    model = chain.setup.trainer.load(*models)
    save_gallery(chain.folder(number) / GALLERY, model.view(units, plan), n_labels)
    return {"n_units": len(units), "incidents": model.incidents}


def _shared_scores(chain: Chain, units: Sequence[Unit], plan: ScoringPlan) -> ScoreCache:
    """Scores by the first model of a seed, of all units but the starting set."""
    start = chain.study.round_folder(SHARED, chain.setup.seed, 0)
    digests = [record.files[name] for stage, name in chain.train_stages.items() if (record := load_stage(start, stage))]
    config = chain.study.config
    context = [*digests, config.device, versions(), code_version(), repr(units)]
    return ScoreCache(start / "scores", "\n".join(context), plan)


def _oracle(pool: Pool, units: Sequence[Unit]) -> Oracle:
    rows = pool.rows(units)
    return Oracle(pool.voxel_counts[rows], pool.border_counts[rows])


def scoring_plan(
    protocol: Protocol,
    weights: NDArray[np.float64],
    key: tuple[Key, ...],
    labelled: Sequence[Unit],
    gradients: GradientSettings,
) -> ScoringPlan:
    """Return how a protocol wants units scored."""
    settings = protocol.scoring
    return ScoringPlan(
        passes=settings.passes,
        dropout=settings.dropout,
        batch_size=settings.batch_size,
        bfloat16=settings.precision == "bfloat16",
        class_weights=weights,
        key=key,
        labelled=tuple(labelled),
        gradients=gradients,
        source=settings.source,
    )


def _write_query(path: Path, chain: Chain, number: int, units: Sequence[Unit], selection: Selection) -> None:
    def number_or_null(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    chosen = [
        {
            "case": units[i].case,
            "index": int(units[i].index),
            **chain.setup.pool.place(units[i]),
            "score": number_or_null(score),
            "gain": number_or_null(gain),
        }
        for i, score, gain in zip(selection.indices, selection.scores, selection.gains, strict=True)
    ]
    header = {
        "dataset": chain.study.dataset.name,
        "strategy": chain.name,
        "parameters": settings_of(chain.strategy) if chain.strategy else {},
        "seed": chain.setup.seed,
        "round": number,
    }
    write_json(path, header | {"units": chosen})


def read_query(path: Path) -> list[Unit]:
    """Units of a ``query.json``, in order."""
    return [Unit(unit["case"], unit["index"]) for unit in read_json(path)["units"]]


def _train_and_evaluate(
    chain: Chain, number: int, folder: Path, labelled: Sequence[Unit], iterations: int, initial: Sequence[Path]
) -> tuple[Path, ...]:
    """Train a model, or one a fold, then evaluate; return the models. `initial` are as many, or none."""
    reporter, trainer, protocol = chain.study.reporter, chain.setup.trainer, chain.study.config.protocol
    stages, title = chain.train_stages, chain.title(number)
    paths = tuple(folder / name for name in stages.values())
    events = chain.study.event_folder(chain.name, chain.setup.seed)
    before = 0 if chain.name == CEILING else protocol.iterations_before(number)

    def train(fold: int) -> dict[str, Any]:
        started_at = utc_now()
        of_fold, key = "", chain.key(number, "train")
        units = labelled
        if len(paths) > 1:
            of_fold, key = f", fold {fold}", (*key, fold)
            units = fold_units(labelled, chain.setup.folds, fold)
            if not units:
                units = labelled
                reporter.say(f"{title}{of_fold}: every annotated case is in this fold, training on all of them")
        curve = "loss" if len(paths) == 1 else f"loss/fold-{fold}"
        with (
            reporter.task(f"{title}{of_fold}: training on {len(units)} units", iterations) as advance,
            event_log(events) as log,
        ):
            done = 0

            def on_iteration(loss: float) -> None:
                nonlocal done
                log(curve, loss, before + done)
                done += 1
                advance(f"loss {loss:.3f}")

            report = trainer.train(
                units,
                iterations=iterations,
                key=key,
                initial=initial[fold] if initial else None,
                target=paths[fold],
                on_iteration=on_iteration,
            )
        cost = annotation_cost(chain.setup.pool, labelled)
        return {
            "n_annotated_units": cost.n_units,
            "n_annotated_voxels": cost.n_voxels,
            "n_annotated_fg_voxels": cost.n_fg_voxels,
            "n_annotated_slices": cost.n_slices,
            "n_annotated_border_voxels": cost.n_border_voxels,
            "annotation_s": cost.seconds(protocol.annotation_cost),
            "iterations": report.iterations,
            "train_loss": report.loss,
            "setup_s": report.setup_s,
            "fit_s": report.fit_s,
            "incidents": list(report.incidents),
            "started_at": started_at,
            "code_version": code_version(),
            "hardware": hardware(),
            "versions": versions(),
        }

    for fold, (stage, name) in enumerate(stages.items()):
        run_stage(folder, stage, [name], partial(train, fold))

    def test() -> dict[str, Any]:
        cases = chain.setup.split.test
        with reporter.task(f"{title}: evaluating {len(cases)} cases", len(cases)) as advance:
            model = trainer.load(*paths)
            surfaces = surface_settings(chain.study.dataset, protocol.evaluation)
            table = evaluate(model, cases, chain.study.dataset.labels, advance, surfaces=surfaces)
        write_parquet(table, folder / EVALUATION)
        by_label = table.groupby(["label", "label_name"])["dice"].mean()
        dice = by_label.mean()
        with event_log(events) as log:
            for name, value in [*by_label.droplevel("label").items(), ("mean", dice)]:
                log(f"dice/{name}", value, len(labelled))
        reporter.say(f"{title}: {len(labelled)} units, mean foreground Dice {dice:.3f}")
        return {"peak_rss_mib": peak_rss_mib(), "incidents": model.incidents}

    run_stage(folder, "evaluate", [EVALUATION], test)
    return paths
