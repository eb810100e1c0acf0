"""Our trainer against nnU-Net's own, all labels given: ``python benchmarks/parity.py [--iterations N] [--seeds N]``.

Both learn from the same preprocessed hippocampus slices with nnU-Net's plans (narrower, for the CPU), loss,
augmentation, optimiser and schedule. Same Dice within what seeds differ by, and at least as many iterations a second,
is what our trainer owes. Writes benchmarks/results/parity.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import write_pickle
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from scipy.stats import ttest_ind
from scoring import ARCHIVE, data_folder

from albench.config import Protocol
from albench.data import load_dataset
from albench.machine.files import read_json, write_json
from albench.metrics.evaluate import evaluate
from albench.protocols import load_protocol
from albench.training.model import NnunetModel
from albench.training.nnunet import NnunetTrainer
from albench.training.nnunet_env import nnunet_folders, quiet
from albench.training.planning import PLANS_NAME
from albench.training.preprocess import PreprocessedStore
from albench.training.runtime import configure_cpu
from albench.units.pool import Pool, Split

EPOCH = 10
N_POOL, N_TEST = 200, 60
N_TIMED = 300  # iterations
TRAINERS = {"plain": "nnUNetTrainer", "ours": "al-bench"}


def protocol(*, mirroring: bool = True, lr: float = 0.01, momentum: float = 0.99) -> Protocol:
    """Quick's network with nnU-Net's own way of training."""
    changes = [f"training.mirroring={mirroring}", f"training.initial_lr={lr}", f"training.momentum={momentum}"]
    return load_protocol("quick", changes)


class Plain(nnUNetTrainer):
    """nnU-Net's trainer, with a watch around its epochs."""

    momentum: float
    train_s: float = 0.0

    def configure_optimizers(self):
        optimizer, schedule = super().configure_optimizers()
        for group in optimizer.param_groups:
            group["momentum"] = self.momentum
        return optimizer, schedule

    def print_to_log_file(self, *args, also_print_to_console=True, add_timestamp=True):
        pass

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        self._began = time.perf_counter()

    def on_train_epoch_end(self, train_outputs):
        self.train_s += time.perf_counter() - self._began
        super().on_train_epoch_end(train_outputs)


@dataclass
class Parity:
    """One data set, prepared for both."""

    trainer: NnunetTrainer
    split: Split
    pool: Pool
    work: Path
    settings: Protocol
    labels: dict[int, str]

    @classmethod
    def make(cls, data: Path, work: Path, n_pool: int, n_test: int, settings: Protocol) -> Parity:
        torch.set_num_threads(1)
        dataset = load_dataset("hippocampus", data_dir=data, cache_dir=work / "cache")
        trainer = NnunetTrainer(dataset, settings, torch.device("cpu"), work, 1)
        names = dataset.case_names
        split = Split(names[:n_pool], names[n_pool : n_pool + n_test])
        pool = trainer.scan(split, lambda: None).pool
        trainer.preprocess(split, pool, pool.units, lambda: None)
        return cls(trainer, split, pool, work, settings, dataset.labels)

    def ours(self, iterations: int, seed: int) -> tuple[float, float]:
        """Mean Dice and iterations a second."""
        configure_cpu(1)  # as our runs do, and nnU-Net's do not
        target = self.work / "ours.pth"
        report = self.trainer.train(
            self.pool.units,
            iterations=iterations,
            key=("parity", seed),
            initial=None,
            target=target,
            on_iteration=lambda loss: None,
        )
        return self._dice(self.trainer.load(target)), iterations / report.fit_s

    def plain(self, iterations: int, seed: int) -> tuple[float, float]:
        """The same of nnU-Net's own trainer; its one validation batch an epoch is not timed."""
        store = self._plain_store()
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (nnU-Net draws from it)
        os.environ["nnUNet_n_proc_DA"] = "1"  # noqa: SIM112 (its name)
        with nnunet_folders(store.base), quiet():
            trainer = Plain(
                store.plans | {"continue_training": False}, "2d", 0, store.dataset_json, torch.device("cpu")
            )
            trainer.momentum = self.settings.training.momentum
            trainer.initial_lr = self.settings.training.initial_lr
            trainer.num_epochs, trainer.num_iterations_per_epoch = iterations // EPOCH, EPOCH
            trainer.num_val_iterations_per_epoch = 1
            if not self.settings.training.mirroring:
                configure = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size
                trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size = lambda: (*configure()[:3], None)
            trainer.run_training()
        cases = {case.name: case for case in self.trainer._dataset.cases}
        model = NnunetModel(store, cases, [trainer.network.state_dict()], torch.device("cpu"), 64)
        return self._dice(model), iterations / trainer.train_s

    def _plain_store(self) -> PreprocessedStore:
        """The same slices with plans and labels as nnU-Net itself writes them: no dropout, no ignore label."""
        ours = self.trainer.store
        folder = self.work / "plain" / "preprocessed" / ours.folder.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._with_class_locations(ours, folder / ours.case_folder.name)
        plans = read_json(ours.folder / f"{PLANS_NAME}.json")
        plans["configurations"]["2d"]["architecture"]["arch_kwargs"] |= {"dropout_op": None, "dropout_op_kwargs": None}
        write_json(folder / f"{PLANS_NAME}.json", plans)
        description = read_json(ours.folder / "dataset.json")
        del description["labels"]["ignore"]
        write_json(folder / "dataset.json", description)
        shutil.copyfile(ours.folder / "dataset_fingerprint.json", folder / "dataset_fingerprint.json")
        write_json(folder / "splits_final.json", [{"train": list(self.split.pool), "val": list(self.split.test[:2])}])
        return PreprocessedStore(folder, "2d")

    @staticmethod
    def _with_class_locations(ours: PreprocessedStore, folder: Path) -> None:
        """Link images and labels, and write nnU-Net's properties with what it knows of a case's labels; ours do not."""
        folder.mkdir()
        for path in ours.case_folder.iterdir():
            (folder / path.name).symlink_to(path)
        (folder.parent / "properties").symlink_to(ours.folder / "properties")
        for path in (ours.folder / "properties").iterdir():
            labels, classes = np.asarray(ours.open_reference(path.stem)[:]), ours.label_manager.foreground_labels
            known = {"class_locations": DefaultPreprocessor._sample_foreground_locations(labels, classes)}
            write_pickle(ours.properties(path.stem) | known, str(folder / f"{path.stem}.pkl"))

    def _dice(self, model: NnunetModel) -> float:
        return float(evaluate(model, self.split.test, self.labels)["dice"].mean())


def in_own_process(who: str, iterations: int, seed: int, work: Path) -> tuple[float, float]:
    """Train in a fresh process: what one trainer does to allocator and generators is not to meet the other."""
    work.mkdir(exist_ok=True)
    arguments = [sys.executable, __file__, "--one", who, "--iterations", str(iterations), "--seeds", str(seed)]
    done = subprocess.run([*arguments, "--work", str(work)], check=True, capture_output=True, text=True)
    dice, speed = json.loads(done.stdout.splitlines()[-1])
    return dice, speed


def learn(iterations: int, n_seeds: int, work: Path) -> dict[str, list[float]]:
    """Mean Dice of every seed; both trainers side by side."""
    found: dict[str, list[float]] = {who: [] for who in TRAINERS}
    with ThreadPoolExecutor(len(TRAINERS)) as side_by_side:
        for seed in range(n_seeds):
            runs = {who: side_by_side.submit(in_own_process, who, iterations, seed, work / who) for who in TRAINERS}
            for who, run in runs.items():
                found[who].append(run.result()[0])
            print(seed, {who: dice[-1] for who, dice in found.items()}, flush=True)
    return found


def race(work: Path, repeats: int = 3) -> dict[str, list[float]]:
    """Iterations a second, in turns."""
    found: dict[str, list[float]] = {who: [] for who in TRAINERS}
    for seed in range(repeats):
        for who, speeds in found.items():
            speeds.append(in_own_process(who, N_TIMED, seed, work / who)[1])
        print(seed, {who: speeds[-1] for who, speeds in found.items()}, flush=True)
    return found


def write(iterations: int, dice: dict[str, list[float]], speeds: dict[str, list[float]], began: str) -> None:
    """Write benchmarks/results/parity.md."""
    from report import RESULTS

    lines = ["| trainer | mean foreground Dice, each seed | mean | standard deviation | iterations a second, median |"]
    lines.append("| --- | --- | ---: | ---: | ---: |")
    for who, name in TRAINERS.items():
        each = ", ".join(f"{value:.3f}" for value in dice[who])
        spread = f"{statistics.stdev(dice[who]):.3f}" if len(dice[who]) > 1 else "-"
        speed = statistics.median(speeds[who])
        lines.append(f"| {name} | {each} | {statistics.mean(dice[who]):.3f} | {spread} | {speed:.2f} |")
    if len(dice["ours"]) > 1:
        difference = statistics.mean(dice["ours"]) - statistics.mean(dice["plain"])
        p = ttest_ind(dice["ours"], dice["plain"], equal_var=False).pvalue
        lines += ["", f"Difference of the means {difference:+.3f}; Welch's t-test over seeds: p = {p:.2f}."]
    (RESULTS / "parity.md").write_text(
        "# Our trainer against nnU-Net's own\n\n"
        f"Written by `python benchmarks/parity.py`. MSD Hippocampus, every slice of {N_POOL} cases labelled,\n"
        f"{N_TEST} cases to test; nnU-Net's 2d plans narrowed to 16 channels, 4 stages, batches of 12;\n"
        f"{iterations} iterations of its own loss, augmentation, optimiser (0.01, 0.99) and schedule;\n"
        f"one thread and one loader process each. Speed: {len(speeds['ours'])} trainings of {N_TIMED} iterations each, "
        "in turns.\n"
        "Mirrored, the front of a hippocampus is hard to tell from its back: networks learn it after some hundred\n"
        "iterations, sooner or later by seed. Shorter trainings compare that moment.\n"
        f"{began}, torch {torch.__version__}.\n\n" + "\n".join(lines) + "\n"
    )
    print("\n".join(lines))


def main() -> None:
    from report import hardware

    parser = argparse.ArgumentParser()
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--one", choices=TRAINERS, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    data = data_folder()
    if data is None:
        raise SystemExit(f"ALBENCH_DATA: expected a folder with {ARCHIVE}")
    if arguments.one:
        parity = Parity.make(data, arguments.work, N_POOL, N_TEST, protocol())
        print(json.dumps(getattr(parity, arguments.one)(arguments.iterations, arguments.seeds)))
        return
    began = hardware()
    with tempfile.TemporaryDirectory() as work:
        speeds = race(Path(work))
        dice = learn(arguments.iterations, arguments.seeds, Path(work))
    write(arguments.iterations, dice, speeds, began)


if __name__ == "__main__":
    main()
