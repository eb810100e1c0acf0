"""nnU-Net v2 behind the trainer interface."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter

from albench.config import Protocol
from albench.data import Case, CaseFacts, Dataset, write_nnunet_raw
from albench.data.readers import reader_of
from albench.machine import scratch
from albench.machine.facts import versions
from albench.machine.files import sha256
from albench.seeding import Key
from albench.training.annotated import AnnotatedDataset
from albench.training.base import PoolScan, Saving, Tick, TrainingReport
from albench.training.checkpoint import Checkpoint, empty_weights, read_checkpoint
from albench.training.given import GivenModel
from albench.training.model import NnunetModel
from albench.training.nnunet_env import nnunet_base
from albench.training.planning import (
    geometry_fingerprint,
    intensity_properties,
    plan,
    require_trainable,
    take_plans,
    target_spacing,
)
from albench.training.preprocess import (
    POOL_NAME,
    PreprocessedStore,
    lost_units,
    preprocess,
    require_units,
    stored_files,
)
from albench.training.recovery import halving, is_dead_loader
from albench.training.scan import CaseScan, likely_axis, scan_case
from albench.training.trainer import ALTrainer, TrainingRequest
from albench.training.unfinished import Keeper
from albench.training.units import default_patch_size, patch_pool, slice_pool
from albench.units.pool import Pool, Split, Unit

# nnU-Net wants numbers; the folder is ours alone, so any will do. Test cases have a folder of their own, because
# the planner must not see them.
_POOL_ID, _TEST_ID = 1, 2

_HEADS = ".seg_layers."  # how nnU-Net's load_pretrained_weights knows the segmentation layers, which it leaves out


def nnunet_name(name: str) -> str:
    """Return what nnU-Net calls a data set of that name here: ``DatasetXXX_Name``."""
    return f"Dataset{_POOL_ID:03d}_{_title(name)}"


def _title(name: str) -> str:
    title = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
    return title if title.strip("_") else "Data"  # names in other scripts


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
    n_loader_processes
        Processes that prepare batches; 0 prepares them in this one. Results do not depend on it.
    shared_memory
        Whether they hand them over in shared memory, or through pipes.
    given
        A trained model whose plans and labels are taken as they are; None: what nnU-Net plans for the pool, with the
        protocol's departures.
    slices
        Whether units are slices; None: with networks that look at slices. Those that look at volumes see a slice with
        what lies around it, and none that resampling leaves no voxel of: see `lost_units`.
    kept
        As for `albench.training.preprocess.preprocess`.
    facts
        What verification has found in cases, by name: of these, images are not read before they are preprocessed.
    """

    def __init__(
        self,
        dataset: Dataset,
        protocol: Protocol,
        device: torch.device,
        work: Path,
        n_loader_processes: int,
        *,
        shared_memory: bool = True,
        given: GivenModel | None = None,
        slices: bool | None = None,
        kept: Path | None = None,
        facts: Mapping[str, CaseFacts] | None = None,
    ) -> None:
        self._given, self._kept, self._facts = given, kept, facts or {}
        self._configuration = given.configuration if given else protocol.network.configuration
        self._is_2d = given.is_2d if given else self._configuration == "2d"
        self._slices = self._is_2d if slices is None else slices
        self._dataset = dataset
        self._protocol = protocol
        self._device = device
        self._n_loaders = n_loader_processes
        self._shared_memory = shared_memory
        self._work, self._base = work, nnunet_base(work)
        scratch.use_folder(work)  # the disk of the preprocessed data has room
        self._title, self._name = _title(dataset.name), nnunet_name(dataset.name)
        self._scans: dict[str, CaseScan] = {}

    @property
    def store(self) -> PreprocessedStore:
        """The preprocessed data set."""
        return PreprocessedStore(self._base / "preprocessed" / self._name, self._configuration)

    def scan(self, split: Split, on_case: Tick, describe: bool = False) -> PoolScan:
        """Units are slices or patches inside nnU-Net's crop.

        Slices lie along the axis that nnU-Net's 2d configuration slices; patches cover the crop.
        """
        network, n_labels = self._protocol.network, self._dataset.n_labels
        cases = self._raw(split.pool, _POOL_ID)
        guess = None
        if describe and self._slices:
            guess = self._given.slicing_axis if self._given else likely_axis(cases)
        for case in cases:
            self._scan(case, guess)
            on_case()
        if self._slices:
            geometry = geometry_fingerprint([self._scans[case.name] for case in cases])
            axis = (
                self._given.slicing_axis
                if self._given
                else target_spacing(self._base, self._name, network, geometry)[1]
            )
            if describe and axis != guess:
                for case in cases:
                    self._scan(case, axis)
            return slice_pool(self._scans, axis)
        settings = self._protocol.pool
        patch_size = settings.patch_size or default_patch_size(self._scans)
        return patch_pool(
            cases, self._scans, patch_size, n_labels, kind=settings.patch_grid, describe=describe, reader=self._reader
        )

    def preprocess(self, split: Split, pool: Pool, start: Sequence[Unit], on_case: Tick) -> dict[str, str]:
        """Fingerprint, plan unless plans are given, preprocess."""
        cases = self._raw(split.pool, _POOL_ID)
        for case in cases:
            if case.name not in self._scans:  # scanned by an earlier process
                self._scan(case)
        fingerprint = geometry_fingerprint([self._scans[case.name] for case in cases])
        store = self.store
        if self._given is not None:
            take_plans(store.folder, self._given.plans, self._given.description, fingerprint)
        else:
            fingerprint["foreground_intensity_properties_per_channel"] = intensity_properties(cases, pool, start)
            plans = plan(self._base, self._name, self._protocol.network, fingerprint)
            shapes = {case.name: self._scans[case.name].shape for case in cases}
            require_trainable(plans["configurations"][self._configuration], shapes)
        pool.save(store.folder / POOL_NAME)
        held_out = self._raw(split.test, _TEST_ID) if split.test else []
        preprocess(store, [*cases, *held_out], on_case, self._kept)
        if self._is_2d or not self._slices:
            require_units(store)
        files = stored_files(store, [*split.pool, *split.test])
        return {str(path.relative_to(self._work)): digest for path, digest in files.items()}

    def lost_units(self) -> frozenset[Unit]:
        """Return units of the pool that resampling has left no voxel of: they cannot be scored or learned from."""
        return lost_units(self.store)

    @property
    def _reader(self) -> BaseReaderWriter | None:
        """The reader of given plans; without any, nnU-Net picks one by the format."""
        return self._given.reader if self._given else None

    def _scan(self, case: Case, describe_axis: int | None = None) -> None:
        n_labels = self._dataset.n_labels if self._slices else None
        self._scans[case.name] = scan_case(case, n_labels, describe_axis, self._reader, self._facts_of(case))

    def _facts_of(self, case: Case) -> CaseFacts | None:
        """Facts that hold of what is trained on: not of a file that was split since, nor for a reader that turns."""
        is_split = len(case.images) != len(self._dataset.case(case.name).images)
        is_other = self._given is not None and type(self._given.reader) is not type(reader_of(case.images[0]))
        return None if is_split or is_other else self._facts.get(case.name)

    def _raw(self, names: Sequence[str], number: int) -> list[Case]:
        """Cases as nnU-Net's raw format has them: one file a channel, or one photograph."""
        folder = write_nnunet_raw(self._dataset, names, self._base / "raw", number, self._title, replace=True)
        ending, images, channels = self._dataset.file_ending, folder / "imagesTr", range(self._dataset.n_channels)
        return [
            Case(
                name,
                tuple(path for channel in channels if (path := images / f"{name}_{channel:04d}{ending}").exists()),
                label if (label := folder / "labelsTr" / f"{name}{ending}").exists() else None,
            )
            for name in sorted(names)
        ]

    def train(
        self,
        units: Sequence[Unit],
        *,
        iterations: int,
        key: tuple[Key, ...],
        initial: Path | None,
        target: Path,
        on_iteration: Callable[[float], None],
        saving: Saving | None = None,
    ) -> TrainingReport:
        """Train and write a checkpoint that nnU-Net's own predictor loads.

        Where memory runs out, training starts again with half the batch; where a loader process dies, without one, from
        where it was saved last. The report says so.
        """
        store, settings = self.store, self._protocol.training
        planned = int(store.configuration_manager.batch_size)
        request = TrainingRequest(
            iterations=iterations,
            batch_size=planned,
            initial_lr=settings.initial_lr,
            momentum=settings.momentum,
            mirroring=settings.mirroring,
            oversample_foreground=settings.oversample_foreground,
            key=key,
            compile=settings.compile,
            case_sampling=settings.case_sampling,
            window_offset=settings.window_offset,
            dice_smooth=settings.dice_smooth,
        )
        keeper, warnings, size = None, list[str](), planned
        if saving is not None:
            keeper = Keeper(saving, self._digest(units, request, initial), iterations, planned)
            warnings = keeper.warnings
            if (unfinished := keeper.read(empty_weights(store))) is not None:
                warnings += unfinished.warnings
                size = unfinished.batch_size
                del unfinished  # as large as the network, and the optimiser's state

        def attempt(batch_size: int) -> TrainingReport:
            sized = replace(request, batch_size=batch_size)
            try:
                return self._train(units, sized, initial, target, on_iteration, self._n_loaders, keeper)
            except RuntimeError as error:
                if not is_dead_loader(error):
                    raise
            warnings.append("a loader process died, started again without any")
            return self._train(units, sized, initial, target, on_iteration, 0, keeper)

        return replace(halving(size, attempt, warnings.append), warnings=tuple(warnings))

    def _train(
        self,
        units: Sequence[Unit],
        request: TrainingRequest,
        initial: Path | None,
        target: Path,
        on_iteration: Callable[[float], None],
        n_loaders: int,
        keeper: Keeper | None,
    ) -> TrainingReport:
        started, store = time.perf_counter(), self.store
        trainer = ALTrainer.create(store, AnnotatedDataset(store, units), request, self._device, self._base / "results")
        if initial is not None:
            weights = dict(read_checkpoint(initial, store).weights)
            if self._protocol.training.reinitialise_heads:
                weights |= {name: w for name, w in trainer.plain_network.state_dict().items() if _HEADS in name}
            trainer.plain_network.load_state_dict(weights)
        unfinished, before_s = None, 0.0
        if keeper is not None:
            unfinished = keeper.read(trainer.plain_network.state_dict())
            if unfinished is not None and unfinished.batch_size != request.batch_size:
                unfinished = None
            before_s = 0.0 if unfinished is None else unfinished.seconds
            keeper.begin(unfinished)
        ready = time.perf_counter()
        loss = trainer.fit(
            n_workers=n_loaders,
            shared_memory=self._shared_memory,
            on_iteration=on_iteration,
            keeper=keeper,
            unfinished=unfinished,
        )
        done = time.perf_counter()
        axes = trainer.inference_allowed_mirroring_axes
        Checkpoint(trainer.plain_network.state_dict(), trainer.configuration_name, trainer.fold, axes).write(target)
        return TrainingReport(request.iterations, loss, setup_s=ready - started, fit_s=before_s + done - ready)

    def _digest(self, units: Sequence[Unit], request: TrainingRequest, initial: Path | None) -> str:
        """SHA-256 of what a training is of, but for the voxels."""
        store = self.store
        values = {
            "units": [(unit.case, unit.index) for unit in units],
            "request": vars(request),
            "initial": None if initial is None else sha256(initial),
            "reinitialise_heads": self._protocol.training.reinitialise_heads,
            "plans": store.plans,
            "dataset": store.dataset_json,
            "configuration": store.configuration,
            "device": self._device.type,
            "versions": versions(),
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def load(self, *paths: Path) -> NnunetModel:
        """Open checkpoints, one a fold."""
        store = self.store
        checkpoints = [read_checkpoint(path, store) for path in paths]
        return NnunetModel(
            store,
            {case.name: case for case in self._dataset.cases},
            [checkpoint.weights for checkpoint in checkpoints],
            self._device,
            self._protocol.scoring.batch_size,
            (checkpoints[0].mirror_axes or ()) if self._protocol.evaluation.mirroring else (),
            seen_mirrored=checkpoints[0].mirror_axes or (),
        )

    def load_given(self) -> NnunetModel:
        """Open the networks of the given model; predictions are averaged over mirrored images as nnU-Net's are."""
        assert self._given is not None
        return NnunetModel(
            self.store,
            {case.name: case for case in self._dataset.cases},
            [network.weights for network in self._given.networks],
            self._device,
            self._protocol.scoring.batch_size,
            self._given.mirror_axes,
            seen_mirrored=self._given.mirror_axes,
            trainer=self._given.trainer,
        )
