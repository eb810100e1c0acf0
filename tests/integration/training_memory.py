"""Prepare synthetic volumes, or train and score on the first of them and print the peak memory of the process in MiB.

Usage: ``python training_memory.py prepare|train FOLDER N_CASES [MEMORY_BYTES]``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from albench.data import load_dataset
from albench.data.images import write_image
from albench.machine.facts import peak_rss_mib
from albench.protocols import load_protocol
from albench.scoring.request import Need, ScoringRequest
from albench.training import annotated
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.units.pool import Pool, Split

SHAPE = (40, 256, 256)
SETTINGS = ("network.max_edge=null", "network.base_features=4", "network.batch_size=2", "scoring.batch_size=4")


def write_dataset(folder: Path, n_cases: int) -> None:
    """Balls of two labels in smooth images, in the layout of the Medical Segmentation Decathlon."""
    names = [f"case_{number:02d}.nii.gz" for number in range(n_cases)]
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE), indexing="ij", sparse=True)
    for number, name in enumerate(names):
        distance = (z - number / 40) ** 2 + y**2 + x**2
        labels = (distance < 0.3).astype(np.uint8) + (distance < 0.05)
        image = np.round(100 * (np.cos(number + 3 * x) + y + z) + 100 * labels).astype(np.int16)
        for part, array in (("imagesTr", image), ("labelsTr", labels.astype(np.uint8))):
            (folder / part).mkdir(parents=True, exist_ok=True)
            write_image(array, folder / part / name, spacing_mm=(4.0, 1.0, 1.0), note="synthetic")
    content = {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "shell", "2": "core"},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
    }
    (folder / "dataset.json").write_text(json.dumps(content))


def main(job: str, folder: Path, n_cases: int) -> None:
    configure_cpu(1)
    if job == "prepare":
        write_dataset(folder / "data", n_cases)
    dataset = load_dataset(str(folder / "data"), data_dir=None, cache_dir=folder / "cache")
    trainer = NnunetTrainer(dataset, load_protocol("quick", SETTINGS), torch.device("cpu"), folder / "work", 0)
    if job == "prepare":
        split = Split(pool=dataset.case_names[:-1], test=dataset.case_names[-1:])
        pool = trainer.scan(split, lambda: None).pool
        pool.save(folder / "pool.parquet")
        trainer.preprocess(split, pool, pool.units[::40], lambda: None)
        return
    pool = Pool.load(folder / "pool.parquet")
    units = tuple(unit for unit in pool.units if unit.case in pool.cases[:n_cases])
    target = folder / "model.pth"
    trainer.train(units, iterations=5, key=("memory",), initial=None, target=target, on_iteration=lambda loss: None)
    plan = ScoringRequest(
        passes=2, dropout=0.1, batch_size=4, bfloat16=False, class_weights=np.array([0, 0.5, 0.5]), key=("memory",)
    )
    scores = trainer.load(target).score(units[::20], Need.VARIANCE | Need.ENTROPY, plan)
    assert scores.variance is not None and np.isfinite(scores.variance).all()
    print(peak_rss_mib())


if __name__ == "__main__":
    if len(sys.argv) > 4:
        annotated.MEMORY_BYTES = int(sys.argv[4])
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
