"""nnU-Net v2 behind the trainer interface."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from albench.config import Protocol
from albench.data import Dataset, write_nnunet_raw
from albench.files import atomic_file
from albench.pool import Pool, Split, Unit
from albench.seeding import Key
from albench.training.base import Tick, TrainingReport
from albench.training.model import NnunetModel
from albench.training.planning import geometry_fingerprint, intensity_properties, plan, scan_case, slicing_axis
from albench.training.prepare import AnnotatedDataset, PreparedStore, preprocess
from albench.training.trainer import ALTrainer, TrainingPlan

_DATASET_ID = 1  # nnU-Net wants a number; the folder is ours alone, so any will do


class NnunetTrainer:
    """Plans, preprocesses, trains and opens nnU-Nets for one data set and one seed.

    Parameters
    ----------
    dataset
        Verified data set.
    protocol
        Network, training and scoring settings.
    device
        Where networks run.
    work
        Folder for nnU-Net's raw and preprocessed data.
    """

    def __init__(self, dataset: Dataset, protocol: Protocol, device: torch.device, work: Path) -> None:
        self._dataset = dataset
        self._cases = {case.name: case for case in dataset.cases}
        self._protocol = protocol
        self._device = device
        self._base = work / "nnunet"
        safe = "".join(character if character.isalnum() else "_" for character in dataset.name)
        self._name = f"Dataset{_DATASET_ID:03d}_{safe}"
        self._geometry: dict[str, Any] | None = None

    @property
    def store(self) -> PreparedStore:
        """The preprocessed data set."""
        return PreparedStore(self._base / "preprocessed" / self._name, self._protocol.network.configuration)

    def scan(self, split: Split, on_case: Tick) -> Pool:
        """Units are the slices inside nnU-Net's crop, along the axis that nnU-Net's 2d configuration slices."""
        write_nnunet_raw(self._dataset, split.pool, self._base / "raw", _DATASET_ID, self._name)
        scans = {}
        for name in split.pool:
            scans[name] = scan_case(self._cases[name], len(self._dataset.labels))
            on_case()
        self._geometry = geometry_fingerprint(list(scans.values()))
        axis = slicing_axis(self._base, self._name, self._protocol.network, self._geometry)
        units, counts = [], []
        for name, scan in sorted(scans.items()):
            indices = range(*scan.box[axis])
            units += [Unit(name, index) for index in indices]
            counts.append(scan.voxel_counts[axis][indices.start : indices.stop])
        voxel_counts = np.concatenate(counts)
        return Pool(tuple(units), dict.fromkeys(split.pool, axis), voxel_counts, voxel_counts.sum(axis=1))

    def prepare(self, split: Split, pool: Pool, start: Sequence[Unit], on_case: Tick) -> None:
        """Fingerprint, plan, preprocess."""
        cases = [self._cases[name] for name in split.pool]
        labels = len(self._dataset.labels)
        geometry = self._geometry or geometry_fingerprint([scan_case(case, labels) for case in cases])
        slices: dict[str, list[int]] = {}
        for unit in start:
            slices.setdefault(unit.case, []).append(unit.index)
        intensities = intensity_properties(cases, slices, pool.axes[split.pool[0]])
        plan(
            self._base, self._name, self._protocol.network,
            geometry | {"foreground_intensity_properties_per_channel": intensities},
        )  # fmt: skip
        preprocess(self.store, [self._cases[name] for name in (*split.pool, *split.test)], on_case)

    def train(
        self,
        units: Sequence[Unit],
        *,
        iterations: int,
        key: tuple[Key, ...],
        initial: Path | None,
        target: Path,
        on_iteration: Callable[[float], None],
    ) -> TrainingReport:
        """Train and write a checkpoint that nnU-Net's own predictor loads."""
        started = time.perf_counter()
        store = self.store
        settings = self._protocol.training
        training = TrainingPlan(iterations, settings.initial_lr, settings.oversample_foreground, key)
        trainer = ALTrainer.create(
            store, AnnotatedDataset(store, units), training, self._device, self._base / "results"
        )
        if initial is not None:
            trainer.network.load_state_dict(_read_checkpoint(initial)["network_weights"])
        ready = time.perf_counter()
        loss = trainer.fit(n_workers=_n_loader_processes(), on_iteration=on_iteration)
        done = time.perf_counter()
        _write_checkpoint(target, trainer)
        return TrainingReport(iterations, loss, setup_s=ready - started, fit_s=done - ready)

    def load(self, path: Path) -> NnunetModel:
        """Open a checkpoint."""
        return NnunetModel(
            self.store, self._cases, _read_checkpoint(path)["network_weights"], self._device,
            self._protocol.scoring.batch_size,
        )  # fmt: skip


def _n_loader_processes() -> int:
    """One loader process a core, at most four: more only wait for the network."""
    return min(4, len(os.sched_getaffinity(0)))


def _write_checkpoint(path: Path, trainer: ALTrainer) -> None:
    checkpoint = {
        "network_weights": trainer.network.state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": trainer.configuration_name, "fold": trainer.fold},
        "inference_allowed_mirroring_axes": trainer.inference_allowed_mirroring_axes,
    }
    # Serialised in memory first: torch reports a full disk as an unspecific RuntimeError, the file system as OSError.
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _read_checkpoint(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint
