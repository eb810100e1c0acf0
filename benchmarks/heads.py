"""What USIM's similarities rest on: ``python benchmarks/heads.py OUT [SEEDS]`` on a finished study of one data set.

Reads the data set from the folder that ALBENCH_DATA names. Takes the first model of every seed of OUT, or of so many,
and 300 units of its pool, and writes benchmarks/results/heads.md: where the Fisher information lies, what signs
similarities have, and how far variants of the kernel choose alike.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from albench import core
from albench.config import StudyConfig
from albench.data import load_dataset
from albench.data.locate import cache_folder
from albench.machine.files import read_json
from albench.results.layout import RunFolder, SeedFolder
from albench.results.settings import Settings
from albench.scoring.fisher import SMALLEST_FISHER, decoder_convs, draw, fisher_diagonal
from albench.scoring.request import GradientSettings, Need, ScoringRequest, class_weights
from albench.seeding import generator
from albench.strategies import PoolView, make_strategy
from albench.training.model import NnunetModel
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.units.cost import labelled_voxels
from albench.units.pool import Pool, Unit

RESULT = Path(__file__).parent / "results" / "heads.md"
N_UNITS, BUDGET, N_FISHER, N_PARAMETERS = 300, 12, 200, 10_000
PUBLISHED = "usim-f+heads=published"
VARIANTS = (
    PUBLISHED,
    "usim-f+heads=published+pseudo_labels=own",
    "usim-f",
    "usim-f+pseudo_labels=own",
    "usim-f+heads=weighted",
    "usim-f+fisher=one",
    "usim-f+fisher=none",
    "usim-f+norm=0.5",
    "usim-f+norm=1",
    "gcmi",
    "gcmi+negative=clip",
)


@dataclass
class Seed:
    """First model of a seed, with units that are not annotated yet."""

    model: NnunetModel
    pool: Pool
    units: tuple[Unit, ...]
    weights: NDArray[np.float64]
    variance: NDArray[np.float64]
    key: tuple[str | int, ...]

    @classmethod
    def load(cls, folder: SeedFolder, config: StudyConfig, n_units: int | None = N_UNITS) -> Seed:
        dataset = load_dataset(config.dataset, data_dir=Path(os.environ["ALBENCH_DATA"]), cache_dir=cache_folder(None))
        trainer = NnunetTrainer(dataset, config.protocol, torch.device("cpu"), folder.path, 0)
        pool = Pool.load(folder.pool)
        start = [Unit(*unit) for unit in read_json(folder.start)]
        left = sorted(set(pool.units) - set(start))
        places = generator("heads", folder.seed).choice(len(left), n_units or len(left), replace=False)
        units = tuple(left[place] for place in sorted(places))
        model = trainer.load(*folder.first_round.models(config.protocol.training.folds))
        weights, key = class_weights(labelled_voxels(pool, start)), ("heads", folder.seed)
        variance = model.score(units, Need.VARIANCE, ScoringRequest(10, 0.1, 64, True, weights, key)).variance
        assert variance is not None
        return cls(model, pool, units, weights, variance, key)

    def view(self, gradients: GradientSettings) -> PoolView:
        plan = ScoringRequest(10, 0.1, 64, True, self.weights, self.key, gradients=gradients, variance=self.variance)
        scores = self.model.score(self.units, Need.FISHER, plan)
        return PoolView(self.units, replace(scores, variance=self.variance), self.weights)

    def diagonal(self, heads: str, uncertainty: NDArray[np.float64]) -> tuple[float, float]:
        """Trace of the Fisher information, and share of the drawn weights that lie in the coarsest decoder stage."""
        rng = generator(*self.key, "fisher")
        convs = decoder_convs(self.model.network)
        sample = [self.units[i] for i in draw(uncertainty, N_FISHER, rng)]
        self.model._deep_supervision(True)
        found = fisher_diagonal(
            self.model.network, convs, self.model._batches(sample, 64), GradientSettings(heads=heads)
        ).numpy()
        chosen = draw(np.where(found > SMALLEST_FISHER, found, 0.0), N_PARAMETERS, rng)
        first_stage = self.model.network.get_submodule("decoder.stages.0")
        inside = {id(module) for module in first_stage.modules()}
        size = sum(conv.weight.numel() for conv in convs if id(conv) in inside)  # it comes first
        return float(found.sum()), float(np.mean(chosen < size))


def variants(seed: Seed) -> dict[str, dict[str, float]]:
    """Each variant's similarities and batch, against those of the published heads."""
    rows = seed.pool.rows(seed.units)
    foreground = seed.pool.voxel_counts[rows, 1:].sum(axis=1)
    above = np.triu_indices(N_UNITS, 1)
    kernels, batches, found = {}, {}, {}
    for label in VARIANTS:
        strategy = make_strategy(label)
        view = seed.view(strategy.gradients)
        embedding = strategy.embedding(view)
        kernels[label] = core.similarity(embedding.rows, embedding.rows, embedding.metric, embedding.scale)
        batches[label] = strategy.select(view, BUDGET, generator(*seed.key, "select")).indices
        lengths = np.sqrt(np.diag(kernels[label]))
        cosine = kernels[label] / np.outer(lengths, lengths)
        found[label] = {
            "negative": float(np.mean(kernels[label][above] < 0)),
            "median cosine": float(np.median(cosine[above])),
            "rho with published": float(spearmanr(kernels[PUBLISHED][above], kernels[label][above])[0]),
            "units in common": float(np.isin(batches[label], batches[PUBLISHED]).sum()),
            "rho of norm and foreground": float(spearmanr(lengths, foreground)[0]),
            "foreground of batch / pool": float(foreground[batches[label]].mean() / foreground.mean()),
            "empty slices in batch": float((foreground[batches[label]] == 0).sum()),
        }
    return found


def table(rows: dict[str, list[dict[str, float]]]) -> list[str]:
    names = list(next(iter(rows.values()))[0])
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for label, seeds in rows.items():
        means = [np.mean([values[name] for values in seeds]) for name in names]
        lines.append(f"| `{label}` | {' | '.join(f'{mean:.2f}' for mean in means)} |")
    return lines


def main(out: Path, n_seeds: int | None) -> None:
    configure_cpu(2)
    run = RunFolder(out)
    settings = Settings.read(run).study(None)
    config = StudyConfig.model_validate(settings.values)
    seeds = list(run.study(settings.dataset).seeds())[:n_seeds]
    diagonals: dict[str, list[dict[str, float]]] = {}
    kernels: dict[str, list[dict[str, float]]] = {}
    for folder in seeds:
        seed = Seed.load(folder, config)
        uncertainty = seed.view(GradientSettings()).uncertainty
        for heads in ("published", "trained", "weighted"):
            trace, share = seed.diagonal(heads, uncertainty)
            values = {"trace of F": trace, "drawn weights in the coarsest stage": share}
            diagonals.setdefault(f"heads={heads}", []).append(values)
        for label, values in variants(seed).items():
            kernels.setdefault(label, []).append(values)
        print(folder.seed, flush=True)
    lines = [
        "# What USIM's similarities rest on",
        "",
        f"{config.dataset}, protocol {config.protocol.name}, first models of {len(seeds)} seed(s), trained on "
        f"{config.protocol.pool.start} units; {N_UNITS} other units each, batches of {BUDGET}, means over the seeds. "
        "Made by `python benchmarks/heads.py OUT`.",
        "",
        *table(diagonals),
        "",
        "Similarities of pairs: share that is negative, median cosine, Spearman's rank correlation with those of the "
        "published heads. Batches: units in common with the published heads' batch, foreground against the mean of the "
        "300, slices without any.",
        "",
        *table(kernels),
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
