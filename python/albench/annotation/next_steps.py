"""What to type once labels are in: the next training, by al-bench and by nnU-Net's own commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from albench.annotation.handed import HandedOut
from albench.annotation.ledger import Entry, latest
from albench.annotation.raw_folder import RawFolder
from albench.data.verify import TRUST
from albench.errors import InputError
from albench.machine.text import read_json_text
from albench.training.grids import voxels_behind

_DATASET = re.compile(r"Dataset(\d{3})_\w+")
_FOLDS = 5  # of nnU-Net's cross-validation


def next_steps(handed: HandedOut, raw: RawFolder, entries: Sequence[Entry]) -> list[str]:
    """Return lines to print: commands, and remarks that begin with ``#``.

    Parameters
    ----------
    entries
        All of the ledger.
    """
    return [*_with_albench(handed, raw), *_with_nnunet(handed, raw), *_vanishing(handed, entries)]


def _model(handed: HandedOut) -> Path | None:
    model = handed.query.model
    return None if model is None else Path(handed.folder, model.folder).resolve()


def _images(handed: HandedOut) -> Path:
    """Folder of the images that were asked about."""
    case = next(iter(handed.query.cases.values()))
    return Path(handed.folder, case.images[0]).parent.resolve()


def _with_albench(handed: HandedOut, raw: RawFolder) -> Iterator[str]:
    folder, model = shlex.quote(str(raw.root)), _model(handed)
    images = shlex.quote(str(_images(handed)))
    begins = "" if model is None else f" --from {shlex.quote(str(model))}"
    strategy = "" if model is None else f" --strategy {handed.query.strategy}"
    trust = f" {TRUST}" if handed.trust_image_geometry else ""
    yield f"al-bench train --dataset {folder} --images {images} --out RESULTS{begins}{trust}"
    yield (
        f"al-bench query --images {images} --dataset {folder} --model RESULTS/Dataset.../nnUNet...{strategy} "
        f"--budget {len(handed.query.units)} --out NEXT{trust}"
    )


def _with_nnunet(handed: HandedOut, raw: RawFolder) -> Iterator[str]:
    named = _DATASET.fullmatch(raw.root.name)
    if named is None:
        yield f"# for nnU-Net's own commands call the folder Dataset and three digits, found {raw.root.name}"
        return
    model = handed.query.model
    configuration = model.configuration if model is not None else "2d"
    number, n_cases = int(named[1]), len(raw.labelled_cases())
    yield "# or with nnU-Net's own commands; what it preprocessed before has old labels, and an old splits_final.json"
    yield "# hides new cases:"
    yield f"export nnUNet_raw={shlex.quote(str(raw.root.parent))}"
    yield f'rm -r "$nnUNet_preprocessed/{raw.root.name}"'
    if n_unlabelled := raw.n_unlabelled_images():
        yield f"# {n_unlabelled} cases in imagesTr have no label, which nnU-Net does not take; move them away first:"
    yield f"nnUNetv2_plan_and_preprocess -d {number} -c {configuration} --verify_dataset_integrity"
    if n_cases < _FOLDS:
        yield f"# {n_cases} labelled cases are too few for {_FOLDS} folds, hence all:"
    yield f"nnUNetv2_train {number} {configuration} all{_weights(handed)}"


def _weights(handed: HandedOut) -> str:
    """Weights of the asking model, where they are still there."""
    model, folder = handed.query.model, _model(handed)
    if model is None or folder is None or not model.folds:
        return ""
    path = folder / f"fold_{model.folds[0]}" / "checkpoint_final.pth"
    return f" -pretrained_weights {shlex.quote(str(path))}" if path.is_file() else ""


def _vanishing(handed: HandedOut, entries: Sequence[Entry]) -> Iterator[str]:
    """Remark on labelled slices that a 3D configuration does not train on."""
    model, folder = handed.query.model, _model(handed)
    if model is None or folder is None or not model.configuration.startswith("3d"):
        return
    try:
        spacing_mm = plans_spacing(read_json_text(folder / "plans.json"), model.configuration)
    except (InputError, ValueError) as error:
        yield f"# how many labelled slices are left at the spacing of {model.configuration} is not known: {error}"
        return
    done = {key[2] for key, entry in latest(entries).items() if key[0] == handed.id and entry.state == "done"}
    n_all = n_gone = 0
    for case, units in handed.units.items():
        slices = [unit for unit in units if unit.rank in done and unit.file_index is not None]
        described = handed.query.cases[case]
        if not slices or described.affine_ras is None:
            continue
        for unit in slices:
            axis = "ijk".index(unit.file_axis or "k")
            edge_mm = float(np.linalg.norm(np.array(described.affine_ras)[:3, axis]))
            n_planes = described.shape_ijk[axis]
            n_new = round(n_planes * edge_mm / spacing_mm[unit.axis or 0])
            n_all += 1
            n_gone += vanishes(unit.file_index or 0, n_planes, n_new)
    if n_gone:
        yield (
            f"# {n_gone} of {n_all} labelled slices are gone at the spacing of {model.configuration}, where nnU-Net "
            "resamples; in 2d none is"
        )


def plans_spacing(plans: Any, configuration: str) -> tuple[float, float, float]:
    """Spacing in mm that a 3D configuration is trained at, along the axes (z, y, x) of nnU-Net's reader.

    Raises
    ------
    ValueError
        The plans have no such configuration, or no spacing in it.
    """
    try:
        entry = plans["configurations"][configuration]
        while "spacing" not in entry:
            entry = plans["configurations"][entry["inherits_from"]]
        order = [int(axis) for axis in plans["transpose_forward"]]
        spacing = [float(edge) for edge in entry["spacing"]]
        z, y, x = (spacing[order.index(axis)] for axis in range(3))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"expected the spacing of {configuration} in plans.json, found none ({error})") from None
    if min(z, y, x) <= 0:
        raise ValueError(f"expected a positive spacing of {configuration}, found {(z, y, x)}")
    return z, y, x


def vanishes(index: int, n_planes: int, n_new: int) -> bool:
    """Whether nnU-Net's resampling leaves no plane of a labelled slice between unlabelled ones."""
    return index not in voxels_behind(np.arange(n_new), n_planes, n_new)
