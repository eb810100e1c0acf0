"""How often the interval of an audit holds the pool's Dice, on real labels and a made model's errors.

``ALBENCH_DATA=... python benchmarks/audit_coverage.py`` writes benchmarks/results/audit.md; four minutes on two cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits

from albench.data import load_dataset
from albench.data.locate import cache_folder
from albench.stats.audit import AuditedDice, audit_dice

TARGET = Path(__file__).parent / "results" / "audit.md"
N_PROJECTS, N_AUDITS = 400, 10
FEWEST, MOST = 200, 2000
SIZES = (2, 5, 10, 20, 40, 80)
N_CLASSES = 2

HEADER = """# The interval of an audit

{n_projects} projects of {fewest} to {most} slices (log-uniform) of the decathlon's hippocampi, front and back, drawn
case by case, and the errors of a made model: in each case the smoothed labels plus noise of two voxels' correlation and
an offset for each class, the larger the worse the model; in some projects one case in twenty or in seven fails with
noise three times as strong. Dice of a pool: {lowest:.2f} to {highest:.2f}, median {median:.2f}; {informative:.0f} % of
slices have a class or are said to. {n_audits} audits of each project, m slices drawn uniformly without replacement from
all. Made by `python benchmarks/audit_coverage.py`.

Percentage of the 95 % intervals (`albench.stats.audit`) that hold the pool's Dice, of classes and of their mean; on
which side it lies where they do not; the median width; the mean error of the estimate. "Good" are the projects with a
mean Dice of 0.85 or more. Audits without any voxel of a class say so and are left out of its row: {absent}.

| m | classes | their mean | good, classes | good, mean | Dice below | above | width | bias |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""


def main() -> None:
    with ProcessPoolExecutor(initializer=threadpool_limits, initargs=(1,)) as pool:
        projects = list(pool.map(project, range(N_PROJECTS), chunksize=5))
    dice = np.array([pooled(units) for units in projects])
    rows, absent = "", []
    for m in SIZES:
        found = list(audits(projects, m))
        absent.append(
            f"{100 * np.mean([np.isnan(each.dice) for each, _, _, is_mean in found if not is_mean]):.1f} % at {m}"
        )
        rows += f"| {m} | {' | '.join(row(found))} |\n"
    text = HEADER.format(
        n_projects=N_PROJECTS,
        fewest=FEWEST,
        most=MOST,
        lowest=dice.min(),
        highest=dice.max(),
        median=np.median(dice),
        informative=100 * np.mean([(units.sum(axis=2) > 0).mean() for units in projects]),
        n_audits=N_AUDITS,
        absent=", ".join(absent),
    )
    TARGET.write_text(text + rows, encoding="utf-8")


Found = tuple[AuditedDice, float, bool, bool]
"""An estimate, what it is of, whether the project is a good one, whether it is a mean over classes."""


def audits(projects: list[NDArray[np.int64]], m: int) -> Iterator[Found]:
    """All estimates from audits of m units."""
    for number, units in enumerate(projects):
        truth = pooled(units)
        rng = np.random.default_rng([number, m])
        for _ in range(N_AUDITS):
            drawn = units[rng.choice(len(units), m, replace=False)]
            audit = audit_dice(drawn[..., 0], drawn[..., 1], drawn[..., 2], len(units))
            is_good = bool(truth.mean() >= 0.85)
            yield from ((each, of, is_good, False) for each, of in zip(audit.classes, truth, strict=True))
            if not any(np.isnan(each.dice) for each in audit.classes):
                yield audit.mean, float(truth.mean()), is_good, True


def row(found: list[Found]) -> list[str]:
    """Cells of the table."""
    found = [each for each in found if not np.isnan(each[0].dice)]

    def held(is_mean: bool, good_only: bool) -> str:
        asked = [
            each.low <= truth <= each.high
            for each, truth, is_good, of_mean in found
            if of_mean == is_mean and (is_good or not good_only)
        ]
        return f"{100 * np.mean(asked):.1f}"

    of_classes = [(each, truth) for each, truth, _, is_mean in found if not is_mean]
    return [
        held(False, False),
        held(True, False),
        held(False, True),
        held(True, True),
        f"{100 * np.mean([truth < each.low for each, truth in of_classes]):.1f}",
        f"{100 * np.mean([truth > each.high for each, truth in of_classes]):.1f}",
        f"{np.median([each.high - each.low for each, _ in of_classes]):.3f}",
        f"{np.mean([each.dice - truth for each, truth in of_classes]):+.4f}",
    ]


def pooled(units: NDArray[np.int64]) -> NDArray[np.float64]:
    """Dice of each class over the voxels of all units (n, C, 3)."""
    true, false_positive, false_negative = units.sum(axis=0).T
    return np.asarray(2 * true / (2 * true + false_positive + false_negative), dtype=np.float64)


def project(number: int) -> NDArray[np.int64]:
    """Voxels that are right, too many and missing, int64 (N, C, 3), of the slices of a pool."""
    rng = np.random.default_rng(number)
    n_units = int(np.exp(rng.uniform(np.log(FEWEST), np.log(MOST))))
    noise, offset = rng.uniform(0.05, 0.45), rng.uniform(0, 0.15)
    blur, failing = rng.uniform(0.6, 1.5), rng.choice([0.0, 1 / 20, 1 / 7])
    slices: list[NDArray[np.int64]] = []
    for case in rng.permutation(len(labels())):
        reference = labels()[case]
        strength = noise * np.exp(0.3 * rng.standard_normal()) * (3 if rng.random() < failing else 1)
        predicted = prediction(rng, reference, strength, offset, blur)
        slices.extend(counts(reference, predicted))
        if len(slices) >= n_units:
            break
    return np.stack(slices[:n_units])


def prediction(
    rng: np.random.Generator, reference: NDArray[np.uint8], strength: float, offset: float, blur: float
) -> NDArray[np.int64]:
    """A made model's labels: smoothed true ones, noise, and an offset for each class."""
    scores = []
    for label in range(N_CLASSES + 1):
        noise = gaussian_filter(rng.standard_normal(reference.shape), 2.0)
        smoothed = gaussian_filter((reference == label).astype(np.float64), blur)
        scores.append(smoothed + strength * noise / noise.std() + offset * rng.standard_normal())
    return np.argmax(scores, axis=0)


def counts(reference: NDArray[np.uint8], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Int64 (z, C, 3) of the slices of a case (z, y, x)."""
    found = []
    for label in range(1, N_CLASSES + 1):
        is_there, is_said = reference == label, predicted == label
        masks = (is_there & is_said, is_said & ~is_there, is_there & ~is_said)
        found.append(np.stack([mask.sum(axis=(1, 2)) for mask in masks], axis=-1))
    return np.stack(found, axis=1)


@cache
def labels() -> list[NDArray[np.uint8]]:
    """Read the labels of all cases, (z, y, x)."""
    data = load_dataset("hippocampus", data_dir=Path(os.environ["ALBENCH_DATA"]), cache_dir=cache_folder(None))
    return [SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(case.label))) for case in data.cases]


if __name__ == "__main__":
    main()
