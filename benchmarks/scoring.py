"""Speed of scoring on the quick protocol's network and hippocampus slices: ``python benchmarks/scoring.py``.

Writes benchmarks/results/scoring.md. Reads Task04_Hippocampus from the folder that ALBENCH_DATA names. One thread, as a
chain has in the quick protocol.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from cases import Case, medians
from torch import nn

from albench import core
from albench.data import load_dataset
from albench.protocols import load_protocol
from albench.scoring.batches import UnitBatch
from albench.scoring.fisher import decoder_convs, draw, fisher_diagonal
from albench.scoring.gradients import Columns, pseudo_label_loss, unit_gradients
from albench.scoring.moments import mc_dropout, moments, stochastic
from albench.scoring.request import MOMENTS, GradientSettings, Need, Scores, ScoringRequest
from albench.strategies import PoolView, choose, get_strategy
from albench.training.model import NnunetModel
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.units.pool import Split, Unit

ROOT = Path(__file__).parent.parent
ARCHIVE = "Task04_Hippocampus"
N_CASES, N_PARAMETERS, PASSES, RATE, BATCH_SIZE = 60, 10_000, 10, 0.1, 64
GRADIENTS = GradientSettings()
SUBSETS = {str(need.name).lower().replace("_", " "): need for need in MOMENTS} | {"all": MOMENTS}


def data_folder() -> Path | None:
    """Folder with the hippocampus data set (ALBENCH_DATA), or None."""
    place = os.environ.get("ALBENCH_DATA")
    if not place:
        return None
    folder = Path(place)
    found = (folder / f"{ARCHIVE}.tar").is_file() or (folder / ARCHIVE).is_dir()
    return folder if found else None


@dataclass
class Bench:
    """A briefly trained network of the quick protocol and the slices of 60 hippocampus cases."""

    model: NnunetModel
    units: tuple[Unit, ...]
    start: tuple[Unit, ...]

    @classmethod
    def make(cls, data: Path, work: Path, iterations: int = 40) -> Bench:
        configure_cpu(1)
        dataset = load_dataset("hippocampus", data_dir=data, cache_dir=work / "cache")
        trainer = NnunetTrainer(dataset, load_protocol("quick"), torch.device("cpu"), work, 0)
        split = Split(dataset.case_names[:N_CASES], dataset.case_names[N_CASES : N_CASES + 1])
        pool = trainer.scan(split, lambda: None).pool
        start = pool.units[7 :: len(pool) // 40]
        trainer.preprocess(split, pool, start, lambda: None)
        target = work / "model.pth"
        trainer.train(
            start, iterations=iterations, key=("b",), initial=None, target=target, on_iteration=lambda loss: None
        )
        return cls(trainer.load(target), pool.units, start)

    @property
    def network(self) -> nn.Module:
        return self.model.network

    def batches(self, n: int, size: int = BATCH_SIZE) -> list[UnitBatch]:
        """Batches of the first n slices; made before the clock runs, for all that are compared."""
        return list(self.model._batches(self.units[:n], size))

    @cached_property
    def chosen(self) -> np.ndarray:
        """Sampled decoder parameters, as USIM-F samples them."""
        self.model._deep_supervision(True)
        convs = decoder_convs(self.network)
        fisher = fisher_diagonal(self.network, convs, iter(self.batches(200)), GRADIENTS).numpy()
        return draw(np.where(fisher > 1e-20, fisher, 0.0), N_PARAMETERS, np.random.default_rng(0))

    def gradients(self, n: int) -> Case:
        """Per-unit gradients of n slices against a loop over slices and against one pass of training.

        All in float32; "ours, bfloat16" is what the quick protocol takes.
        """
        network, convs = self.network, decoder_convs(self.network)
        together, single = self.batches(n), self.batches(n, 1)
        entries = torch.from_numpy(self.chosen)
        columns = Columns.locate(convs, entries)
        result = np.empty((n, N_PARAMETERS), np.float32)
        self.model._deep_supervision(True)

        def ours(*, bfloat16: bool) -> None:
            for batch, values in unit_gradients(network, convs, iter(together), columns, GRADIENTS, bfloat16=bfloat16):
                result[batch.positions] = values.numpy()

        def loop() -> None:
            weights = [conv.weight.requires_grad_() for conv in convs]
            for batch in single:
                found = torch.autograd.grad(pseudo_label_loss(network(batch.images), batch, GRADIENTS), weights)
                result[batch.positions] = torch.cat([gradient.flatten() for gradient in found])[entries].numpy()
            network.requires_grad_(False)

        def forward_backward() -> None:
            network.requires_grad_(True)
            for batch in together:
                pseudo_label_loss(network(batch.images), batch, GRADIENTS).backward()
            network.requires_grad_(False)
            network.zero_grad()

        return Case(
            f"per-unit gradients, {n} slices, P = {N_PARAMETERS:,}",
            {
                "ours": partial(ours, bfloat16=False),
                "ours, bfloat16": partial(ours, bfloat16=True),
                "one slice at a time": loop,
                "one forward + backward, batched": forward_backward,
            },
            {"one slice at a time": 1.05, "one forward + backward, batched": 0.5},
        )

    def moments(self, n: int, passes: int = PASSES) -> Case:
        """Each quantity alone and all together, against as many forward passes with nothing done to them."""
        network, batches = self.network, self.batches(n)
        self.model._deep_supervision(False)

        @torch.inference_mode()
        def bare() -> None:
            with stochastic(network, RATE):
                for batch in batches:
                    for _ in range(passes):
                        network(batch.images)

        def ours(needs: Need) -> Callable[[], None]:
            def job() -> None:
                with mc_dropout(network, passes=passes, dropout=RATE, bfloat16=False, key=("b",)) as members:
                    moments(members, iter(batches), n, 3, needs)

            return job

        jobs = {"bare passes": bare} | {name: ours(needs) for name, needs in SUBSETS.items()}
        return Case(f"moments of {passes} passes, {n} slices", jobs)

    def agreement(self, n: int, budget: int = 40, n_draws: int = 10) -> tuple[list[int], list[float], float]:
        """How usim-f's choice of n slices by bfloat16 gradients compares with that by float32 ones.

        Both get the same query sets, drawn by made-up uncertainties, and the same sampled parameters.

        Returns
        -------
        For every draw the slices in common and the value, by float32 gradients, of the bfloat16 choice over that of the
        other; and the median relative error of a slice's gradient.
        """
        convs = decoder_convs(self.network)
        columns = Columns.locate(convs, torch.from_numpy(self.chosen))
        exact, rounded = (np.empty((n, N_PARAMETERS), np.float32) for _ in range(2))
        for gradients, bfloat16 in ((exact, False), (rounded, True)):
            batches = self.model._batches(self.units[:n], BATCH_SIZE)
            for batch, values in unit_gradients(self.network, convs, batches, columns, GRADIENTS, bfloat16=bfloat16):
                gradients[batch.positions] = values.numpy()
        scale = 1 / (N_PARAMETERS * np.square(exact, dtype=np.float64).mean(axis=0) + 1e-30)
        common, value = [], []
        for seed in range(n_draws):
            rng = np.random.default_rng(seed)
            uncertainty = rng.gamma(1.0, size=n)
            drawn = rng.choice(n, 5 * budget, p=uncertainty / uncertainty.sum())
            query, weights = np.unique(drawn, return_counts=True)
            by_exact, by_rounded = (
                core.FacilityLocationVariantMI.from_features(
                    gradients, gradients[query], metric="dot", scale=scale, weights=weights.astype(np.float64)
                )
                for gradients in (exact, rounded)
            )
            best, other = core.maximize(by_exact, budget), core.maximize(by_rounded, budget)
            common.append(len(set(best.indices) & set(other.indices)))
            value.append(by_exact.evaluate(other.indices) / best.value)
        errors = np.linalg.norm(rounded - exact, axis=1) / np.linalg.norm(exact, axis=1)
        return common, value, float(np.median(errors))

    def round(self, n: int, budget: int = 40) -> tuple[float, float]:
        """Seconds of scoring n slices for usim-f, and of choosing among them."""
        strategy = get_strategy("usim-f")()
        plan = ScoringRequest(PASSES, RATE, BATCH_SIZE, False, np.array([0, 0.5, 0.5]), ("b",), labelled=self.start)
        began = time.perf_counter()
        scores: Scores = self.model.score(self.units[:n], strategy.needs, plan)
        scored = time.perf_counter()
        view = PoolView(self.units[:n], scores, plan.class_weights)
        choose(strategy, view, budget, np.random.default_rng(0))
        return scored - began, time.perf_counter() - scored


def peak_mib(n: int, n_parameters: int) -> float:
    """Peak memory of scoring and selecting n synthetic slices, in a process of its own."""
    script = ROOT / "tests" / "integration" / "scoring_memory.py"
    done = subprocess.run(
        [sys.executable, str(script), str(n), str(n_parameters)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def rows(case: Case, found: dict[str, float], base: str) -> list[str]:
    return [f"| {case.name} | {who} | {s:.2f} | {s / found[base]:.2f} |" for who, s in found.items()]


def main() -> None:
    from report import RESULTS, hardware

    data = data_folder()
    if data is None:
        raise SystemExit(f"ALBENCH_DATA: expected a folder with {ARCHIVE}, got {os.environ.get('ALBENCH_DATA')!r}")
    began = hardware()
    lines = ["| job | what | seconds | times the first |", "| --- | --- | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as work:
        bench = Bench.make(data, Path(work))
        for n_threads in (2, 1):
            torch.set_num_threads(n_threads)
            gradients = bench.gradients(2_000)
            named = replace(gradients, name=f"{gradients.name}, threads: {n_threads}")
            lines += rows(named, medians(gradients, repeats=1), "ours")
        passes = bench.moments(400)
        lines += rows(passes, medians(passes, repeats=3), "bare passes")
        score_s, select_s = bench.round(1_424)
        trained = Bench.make(data, Path(work) / "trained", iterations=600)
        common, value, error = trained.agreement(1_424)
    peak = peak_mib(20_000, N_PARAMETERS)
    lines += [
        "",
        "| usim-f | |",
        "| --- | ---: |",
        f"| scoring 1,424 slices (T = {PASSES}, P = {N_PARAMETERS:,}), s | {score_s:.1f} |",
        f"| choosing 40 of them, s | {select_s:.2f} |",
        f"| share of the two, % (training and evaluating come on top) | {100 * select_s / (score_s + select_s):.1f} |",
        f"| bfloat16 gradients: slices in common of 40, mean and least of {len(common)} query sets "
        f"| {np.mean(common):.1f}, {min(common)} |",
        f"| ... value of that choice over the other's, mean and least | {np.mean(value):.4f}, {min(value):.4f} |",
        f"| ... median relative error of a slice's gradient, % | {100 * error:.1f} |",
        f"| peak memory, 20,000 synthetic slices, P = {N_PARAMETERS:,}, whole process, MiB | {peak:.0f} |",
    ]
    (RESULTS / "scoring.md").write_text(
        "# Scoring\n\nWritten by `python benchmarks/scoring.py`: the quick protocol's network on hippocampus slices, "
        f"float32; one thread where none is named.\n{began}, torch {torch.__version__}.\n\n" + "\n".join(lines) + "\n"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
