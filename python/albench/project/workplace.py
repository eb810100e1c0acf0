"""What commands of a project work with: images and labels read, units listed, a trainer that may have a model."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray

from albench.config import Protocol
from albench.data import Dataset, Verdict, verify_cases
from albench.data.locate import cache_folder
from albench.data.project import Description, load_project, read_raw_description
from albench.data.verify import TRUST, require_none_stops
from albench.errors import InputError
from albench.machine.files import try_lock, writing_to
from albench.machine.journal import settle
from albench.machine.names import plain_name
from albench.machine.placement import Machine, place
from albench.machine.removal import remove_tree
from albench.progress import Reporter
from albench.project.request import UnitKind
from albench.protocols import load_protocol
from albench.study.devices import choose_device, machine_precision, with_precision
from albench.training.feasible import planning_problems
from albench.training.given import GivenModel
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.units.pool import Pool, Split, Unit
from albench_core.cores import n_cores

_WORK, _IMAGES, _LOCK = "projects", "images", ".lock"


@dataclass(frozen=True, eq=False)
class Workplace:
    """A project, read; a context, at the end of which others may work on the same images.

    Attributes
    ----------
    split
        All cases; none is held out.
    labelled
        Units of the pool of which every voxel is annotated, sorted.
    descriptors
        float32 (n_units, d): what units look like; None where nobody asked.
    lock
        Of the folder of preprocessed images.
    lost
        Units that resampling leaves nothing of, once cases are preprocessed.
    """

    dataset: Dataset
    protocol: Protocol
    trainer: NnunetTrainer
    split: Split
    pool: Pool
    labelled: tuple[Unit, ...]
    descriptors: NDArray[np.float32] | None
    lock: IO[str]
    lost: frozenset[Unit] = frozenset()

    def __enter__(self) -> Workplace:
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.close()


def describe(given: GivenModel | None, raw: Path | None) -> Description:
    """Say what images and labels are, by the model and by the raw data set, which have to agree.

    Raises
    ------
    InputError
        They do not.
    """
    of_raw = read_raw_description(raw) if raw is not None else None
    if given is None:
        assert of_raw is not None
        return of_raw
    of_model = Description(given.channel_names, given.labels, str(given.description["file_ending"]))
    if of_raw is None:
        return of_model
    for what in ("labels", "channel_names"):
        ours, theirs = getattr(of_model, what), getattr(of_raw, what)
        if ours != theirs:
            raise InputError(f"{raw}: expected the {what} of {given.folder}, {ours}, found {theirs}")
    return of_raw


def open_workplace(
    *,
    images: Path,
    raw: Path | None,
    given: GivenModel | None,
    name: str | None,
    protocol: str,
    settings: Sequence[str],
    device: str,
    cache: Path | None,
    looks: bool,
    patch_size: tuple[int, int, int] | None,
    unit: UnitKind = "auto",
    reporter: Reporter,
    require: Callable[[str, str], None] = lambda name, configuration: None,
    trust_image_geometry: bool = False,
) -> Workplace:
    """Read and verify all images and labels, and list the units.

    Parameters
    ----------
    raw
        Raw data set that holds what is annotated; None: nothing is.
    looks
        Whether units are described by what they look like.
    patch_size
        Of patches, voxels along (z, y, x); None: the protocol's, or a third of the median shape.
    unit
        What is annotated at once; ``auto``: slices with networks that look at slices, patches with others.
    require
        Called with the names of data set and configuration before any image is read: may refuse.
    trust_image_geometry
        As for `verify_cases`.

    Raises
    ------
    InputError
        An image or a label is not as it has to be, and so on: see `load_project` and `verify_cases`; or, without a
        model, nnU-Net could not train on the images.
    """
    chosen = choose_device(device)
    if raw is not None:
        settle(raw.resolve())  # what an import that was killed left
    called = plain_name("--name", name or (raw or images).resolve().name)
    way = _adapted(
        with_precision(load_protocol(protocol, settings, dataset=called), machine_precision(chosen)),
        given,
        patch_size,
        unit,
    )
    require(called, given.configuration if given else way.network.configuration)
    cache_dir = cache_folder(cache)
    dataset = load_project(images, raw, describe(given, raw), name=called, cache_dir=cache_dir, reporter=reporter)
    with reporter.task(f"{called}: verifying {len(dataset.cases)} cases"):
        verdict = verify_cases(
            dataset, n_workers=n_cores(), reporter=reporter, trust_image_geometry=trust_image_geometry
        )
        _require_plan(dataset, verdict, given, way)
    for note in (*dataset.notes, *(remark.message for remark in verdict.problems[:3])):
        reporter.say(f"{called}: {note}")
    placement = place(Machine.found(), n_chains=1, n_threads=way.cpu_threads, n_gpus=1 if chosen == "cuda" else 0)
    if chosen == "cpu":
        configure_cpu(way.cpu_threads)
    work, lock = _work_folder(cache_dir, dataset, given, way)
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock)
        trainer = NnunetTrainer(
            dataset,
            way,
            torch.device(chosen),
            work,
            placement.n_loaders,
            shared_memory=placement.shared_memory,
            given=given,
            slices=None if unit == "auto" else unit == "slice",
            kept=work.parent / _IMAGES,
            facts=verdict.facts,
        )
        split = Split(dataset.case_names, ())
        with reporter.task(f"{called}: reading {len(split.pool)} cases", len(split.pool)) as advance:
            scanned = trainer.scan(split, advance, describe=looks)
        pool = scanned.pool
        labelled = tuple(pool.units[row] for row in np.flatnonzero(pool.is_labelled))
        stack.pop_all()
        return Workplace(dataset, way, trainer, split, pool, labelled, scanned.descriptors, lock)


def _require_plan(dataset: Dataset, verdict: Verdict, given: GivenModel | None, protocol: Protocol) -> None:
    """Refuse what nnU-Net could not plan for; and where labels lie elsewhere than images, a reader that turns both.

    Raises
    ------
    InputError
        Naming the first case, or the reader.
    """
    if given is None:
        problems = planning_problems(dataset, verdict.facts, protocol.network, held_out=False)
        require_none_stops(dataset, problems)
    elif verdict.n_of_geometry and (reader := str(given.plans["image_reader_writer"])).endswith("Reorient"):
        raise InputError(
            f"{TRUST}: expected a model that takes labels as their files have them, found {given.folder} with the "
            f"reader {reader}, which turns them by their headers"
        )


def scored_by(place: Workplace, source: str) -> Workplace:
    """Return the workplace with a protocol that measures uncertainty over `source`; ``none`` leaves it as it is."""
    if source == "none":
        return place
    scoring = place.protocol.scoring.model_copy(update={"source": source})
    return replace(place, protocol=place.protocol.model_copy(update={"scoring": scoring}))


def preprocessed(place: Workplace, reporter: Reporter) -> Workplace:
    """Preprocess all cases; return the workplace without labelled units that resampling has left nothing of."""
    name, n_cases = place.dataset.name, len(place.split.pool)
    with reporter.task(f"{name}: preprocessing {n_cases} cases", n_cases) as advance:
        place.trainer.preprocess(place.split, place.pool, place.labelled, advance)
    lost = place.trainer.lost_units()
    if lost:
        n_labelled = len(lost.intersection(place.labelled))
        reporter.say(
            f"{name}: {len(lost)} of {len(place.pool)} slices, {n_labelled} of them labelled, fall between the planes "
            "that the 3D model resamples to: they are neither asked nor learned from"
        )
    return replace(place, labelled=tuple(unit for unit in place.labelled if unit not in lost), lost=lost)


def _adapted(
    protocol: Protocol, given: GivenModel | None, patch_size: tuple[int, int, int] | None, unit: UnitKind
) -> Protocol:
    """Say in a protocol what the model is of."""
    network, pool = protocol.network, protocol.pool
    if given is not None:
        network = network.model_copy(update={"configuration": "2d" if given.is_2d else "3d_fullres"})
    is_2d = network.configuration == "2d"
    if is_2d and unit == "patch":
        raise InputError("--unit patch: expected slice (or auto), which is what a 2D network looks at")
    if patch_size is not None and (is_2d or unit == "slice"):
        raise InputError("--patch-size: expected none, since the units are slices")
    if is_2d:
        pool = pool.model_copy(update={"patch_size": None, "patch_grid": "tiling"})
    elif patch_size is not None:
        pool = pool.model_copy(update={"patch_size": patch_size})
    return protocol.model_copy(update={"network": network, "pool": pool})


def _work_folder(cache: Path, dataset: Dataset, given: GivenModel | None, protocol: Protocol) -> tuple[Path, IO[str]]:
    """Folder for preprocessed images, one for one content, and its lock; those of earlier rounds go, images stay."""
    model = "" if given is None else f"{given.plans}{given.description}"
    key = hashlib.sha256(f"{dataset.checksum} {model} {protocol}".encode()).hexdigest()[:16]
    place = hashlib.sha256(str(dataset.root.resolve()).encode()).hexdigest()[:16]
    folder = cache / _WORK / place
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for other in folder.iterdir():
            if (
                other.is_dir()
                and other.name not in (key, _IMAGES)
                and (lock := try_lock(folder / f"{other.name}{_LOCK}"))
            ):
                with lock:  # no other command works there
                    remove_tree(other, folder)
        held = try_lock(folder / f"{key}{_LOCK}")
    if held is None:
        raise InputError(f"{folder / key}: expected no other command on the same images, found one that works there")
    return folder / key, held
