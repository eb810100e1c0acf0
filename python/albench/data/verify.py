"""Reading every case once, before hours of training depend on it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from albench.data.case_check import Problem
from albench.data.case_verdicts import CaseVerdicts
from albench.data.dataset import Case, Dataset
from albench.data.opening import CaseFacts
from albench.errors import InputError
from albench.machine.files import read_json, write_json
from albench.progress import Reporter, Silent

TRUST = "--trust-image-geometry"
_VERDICT_VERSION = 5
_THICK = 1.5  # slices at least so many times as far apart as voxels within them
_SAME_UNITS = 100  # spacings of one data set that differ by more are not in one unit
_COARSEST_MM = 100.0  # at its finest, of anything scanned


@dataclass(frozen=True)
class Verdict:
    """What reading every case of a data set gave.

    Attributes
    ----------
    problems
        Sorted by case.
    facts
        Of each case as nnU-Net's reader has it, by name; of those that nothing stops.
    """

    problems: tuple[Problem, ...]
    facts: Mapping[str, CaseFacts]

    @property
    def n_of_geometry(self) -> int:
        """Cases in which only the image's geometry can be right."""
        return len({problem.case for problem in self.problems if problem.is_of_geometry})


def find_problems(dataset: Dataset, *, n_workers: int, reporter: Reporter | None = None) -> list[Problem]:
    """Read every file of every case to its end and list all that is wrong, sorted by case; see `examine`."""
    return list(examine(dataset, n_workers=n_workers, reporter=reporter).problems)


def examine(
    dataset: Dataset, *, n_workers: int, reporter: Reporter | None = None, known: CaseVerdicts | None = None
) -> Verdict:
    """Read every file of every case to its end, and open every case with nnU-Net's reader.

    Parameters
    ----------
    dataset
        What to read. Beside the case that nnU-Net's reader has open, no more than a few megabytes a worker are in
        memory of NIfTI files, and one image of other formats.
    n_workers
        Threads; decompression, hashing and counting release Python's lock, so they run side by side.
    reporter
        Shows progress.
    known
        What is remembered of cases; None: every file is read.
    """
    known = known or CaseVerdicts(None)
    problems: list[Problem] = []
    spacings_mm: dict[str, tuple[float, ...]] = {}
    n_axes: dict[str, int] = {}
    facts: dict[str, CaseFacts] = {}
    seen: dict[str, Case] = {}
    values: set[float] = set()
    title = f"{dataset.name}: reading {len(dataset.cases)} cases"
    with (
        (reporter or Silent()).task(title, len(dataset.cases)) as advance,
        ThreadPoolExecutor(max(1, n_workers)) as executor,
    ):
        checks = executor.map(lambda case: known.check(case, dataset), dataset.cases)
        for case, check in zip(dataset.cases, checks, strict=True):
            problems += check.problems
            if check.spacing_mm is not None:
                spacings_mm[case.name] = check.spacing_mm
            if check.n_axes is not None:
                n_axes[case.name] = check.n_axes
            if check.facts is not None:
                facts[case.name] = check.facts
            values |= check.values
            twin = seen.setdefault(check.digest, case) if check.digest is not None else case
            if twin is not case:
                message = f"{case.images[0]}: expected another image than {twin.images[0]}, found the same voxels"
                problems.append(Problem(case.name, "duplicate", message))
            advance()
    known.save()
    problems += [*_kind_problems(dataset, n_axes), *_foreground_problems(dataset, problems)]
    if not any(problem.stops_a_run and not problem.is_of_geometry for problem in problems):
        problems += _class_problems(dataset, values)
    problems += [*_scale_problems(dataset, spacings_mm), *_orientation_problems(dataset, spacings_mm)]
    return Verdict(tuple(sorted(problems, key=lambda problem: problem.case)), facts)


def _kind_problems(dataset: Dataset, n_axes: Mapping[str, int]) -> Iterator[Problem]:
    """Photographs among stacks, or slices among volumes: nnU-Net reads and resamples all in one way."""
    usual = Counter(n_axes.values()).most_common(1)
    for case, number in n_axes.items():
        if number != usual[0][0]:
            message = f"{dataset.case(case).images[0]}: expected {usual[0][0]} axes, as most cases have, found {number}"
            yield Problem(case, "axes", message)


def _foreground_problems(dataset: Dataset, problems: Sequence[Problem]) -> Iterator[Problem]:
    """Say that all cases are labelled, and all as background."""
    empty = {problem.case for problem in problems if problem.kind == "empty label"}
    if empty.issuperset(dataset.case_names):
        message = f"{dataset.root}: expected foreground in some case, found background alone in all {len(empty)} labels"
        yield Problem(dataset.case_names[0], "untrainable", message)


def _class_problems(dataset: Dataset, values: Set[float]) -> Iterator[Problem]:
    """Say which classes no case has; nothing where there is no foreground at all, which is said already, or no label.

    Parameters
    ----------
    values
        Of all labels.
    """
    absent = [f"{name} ({value})" for value, name in sorted(dataset.labels.items()) if value not in values]
    if absent and not values <= {0, dataset.ignore_label}:
        message = f"{dataset.root}: expected a voxel of every class that dataset.json names, found none of "
        yield Problem(dataset.case_names[0], "absent class", message + ", ".join(absent))


def _scale_problems(dataset: Dataset, spacings_mm: Mapping[str, tuple[float, ...]]) -> Iterator[Problem]:
    """Cases in other units than the rest, which nnU-Net would resample to thousands of times their size, or to nothing.

    Parameters
    ----------
    spacings_mm
        Of each case that says one.
    """
    finest_mm = {case: min(spacing) for case, spacing in spacings_mm.items()}
    usual = float(np.median(list(finest_mm.values()))) if finest_mm else 0.0
    if usual > _COARSEST_MM:
        first = next(iter(finest_mm))
        message = f"expected voxels of millimetres, found {usual:g} mm in most cases; are its units others than mm?"
        yield Problem(first, "units", f"{dataset.case(first).images[0]}: {message}")
    for case, edge in finest_mm.items():
        if not usual / _SAME_UNITS < edge < usual * _SAME_UNITS:
            yield Problem(
                case,
                "scale",
                f"{dataset.case(case).images[0]}: expected a spacing like other cases', {usual:g} mm at its finest, "
                f"found {edge:g} mm; are its units others than mm?",
            )


def _orientation_problems(dataset: Dataset, spacings_mm: Mapping[str, tuple[float, ...]]) -> Iterator[Problem]:
    """Cases whose thick slices lie along another axis than those of most: nnU-Net slices all along one."""
    thick = {
        case: "xyz"[int(np.argmax(spacing))]
        for case, spacing in spacings_mm.items()
        if len(spacing) == 3 and max(spacing) > _THICK * sorted(spacing)[1]
    }
    if len(set(thick.values())) < 2:
        return
    usual = Counter(thick.values()).most_common(1)[0][0]
    for case, axis in thick.items():
        if axis != usual:
            yield Problem(
                case,
                "orientation",
                f"{dataset.case(case).images[0]}: expected thick slices along {usual}, as in most cases, found them "
                f"along {axis}: all are sliced along one axis",
            )


def _verdict_path(dataset: Dataset) -> Path | None:
    if dataset.cache_dir is None:
        return None
    return dataset.cache_dir / "verified" / f"{dataset.checksum}-v{_VERDICT_VERSION}.json"


def verify_cases(
    dataset: Dataset, *, n_workers: int, reporter: Reporter | None = None, trust_image_geometry: bool = False
) -> Verdict:
    """Check a whole data set; one found good is not read again as long as its checksum stays, nor is a case of others.

    Parameters
    ----------
    dataset, n_workers, reporter
        As for :func:`examine`.
    trust_image_geometry
        Whether labels and further channels of the right shape lie where their case's first image does, whatever their
        headers say: nnU-Net looks at no other header, and neither do evaluation and report.

    Returns
    -------
    Verdict
        With what a run can go on with, and should be known: labels without foreground, images that are there twice.

    Raises
    ------
    InputError
        A file is missing, truncated or unreadable; an image has NaN or infinity or the wrong number of
        channels; image and label differ in shape, spacing, origin or orientation; a label has a value that
        ``dataset.json`` does not list. One line with the first problem (by case name) and how many more there
        are; :func:`examine` has them all.
    """
    path = _verdict_path(dataset)
    verdict = None if path is None else _read_verdict(path)
    if verdict is None:
        verdict = examine(dataset, n_workers=n_workers, reporter=reporter, known=CaseVerdicts.of(dataset))
        if path is not None and not any(
            problem.stops_a_run and not problem.is_of_geometry for problem in verdict.problems
        ):
            content = {"dataset": dataset.name, "n_cases": len(dataset.cases), "checksum": dataset.checksum}
            facts = {case: asdict(of_case) for case, of_case in verdict.facts.items()}
            write_json(path, content | {"problems": [asdict(problem) for problem in verdict.problems], "facts": facts})
    require_none_stops(dataset, verdict.problems, trust_image_geometry)
    return verdict


def require_none_stops(dataset: Dataset, problems: Sequence[Problem], trust_image_geometry: bool = False) -> None:
    """Raise InputError with the first problem that stops a run, and how many more do."""
    stopping = [
        problem for problem in problems if problem.stops_a_run and not (trust_image_geometry and problem.is_of_geometry)
    ]
    if stopping:
        first = stopping[0]
        hint = f"; {TRUST} takes its image's" if first.is_of_geometry else ""
        more = f"; and {len(stopping) - 1} more" if len(stopping) > 1 else ""
        raise InputError(f"{dataset.name}: case {first.case}: {first.message}{hint}{more}")


def _read_verdict(path: Path) -> Verdict | None:
    """Verdict of an earlier call; None where there is none that is whole."""
    if not path.is_file():
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # damaged: read again
        stored = read_json(path)
        facts = {case: CaseFacts.stored(of_case) for case, of_case in stored["facts"].items()}
        return Verdict(tuple(Problem(**problem) for problem in stored["problems"]), facts)
    return None
