"""Reading every case once, before hours of training depend on it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from albench.data.dataset import Case, Dataset
from albench.data.images import Header, read_header
from albench.data.readers import has_header
from albench.data.voxels import MANY_VALUES, scan_voxels
from albench.errors import InputError
from albench.machine.files import read_json, write_json
from albench.progress import Reporter, Silent

# Headers store float32 and people resave images with other tools: differences below a thousandth of a voxel
# (position) or 1e-3 (direction cosines) move no label by anything visible.
_POSITION_TOLERANCE_VOXELS = 1e-3
_SPACING_TOLERANCE = 1e-3
_DIRECTION_TOLERANCE = 1e-3
_VERDICT_VERSION = 3
_THICK = 1.5  # slices at least so many times as far apart as voxels within them
_SAME_UNITS = 100  # spacings of one data set that differ by more are not in one unit

ProblemKind = Literal[
    "unreadable",
    "not finite",
    "channels",
    "axes",
    "shape",
    "spacing",
    "affine",
    "label value",
    "empty label",
    "duplicate",
    "no spacing",
    "scale",
    "orientation",
]
_ADVICE: tuple[ProblemKind, ...] = ("empty label", "duplicate", "no spacing", "orientation")
"""What a run goes on with: such data sets exist, and are sound as files."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with one case; ``message`` names the file, what was expected and what was found."""

    case: str
    kind: ProblemKind
    message: str

    @property
    def stops_a_run(self) -> bool:
        """Whether `verify_cases` refuses the data set for it."""
        return self.kind not in _ADVICE


class CaseCheck(NamedTuple):
    """What reading one case gave.

    Attributes
    ----------
    digest
        Of the voxels of all images; None where one could not be read.
    spacing_mm
        Of the first image, (x, y, z); None where it says none.
    """

    problems: list[Problem]
    digest: str | None
    spacing_mm: tuple[float, ...] | None


def _grid_differences(image: Header, label: Header) -> Iterator[tuple[ProblemKind, str]]:
    """Differences between the grids of two images; nothing where they agree."""
    if len(image.size) != len(label.size):
        yield "axes", f"expected as many axes as the image has, {len(image.size)}, found {len(label.size)}"
        return
    if image.size != label.size:
        yield "shape", f"expected the image's shape {image.size[::-1]} (z, y, x), found {label.size[::-1]}"
        return
    spacing = np.array(image.spacing)
    if label.has_spacing and not np.allclose(spacing, label.spacing, rtol=_SPACING_TOLERANCE, atol=0):
        actual = tuple(round(value, 4) for value in label.spacing[::-1])
        expected = tuple(round(value, 4) for value in image.spacing[::-1])
        yield "spacing", f"expected the image's spacing {expected} mm (z, y, x), found {actual}"
    shift = np.abs(np.array(image.origin) - np.array(label.origin))
    if np.any(shift > _POSITION_TOLERANCE_VOXELS * spacing.min() + 1e-6 * np.abs(image.origin)):
        yield "affine", f"expected the image's origin {image.origin} mm (x, y, z), found {label.origin}"
    if not np.allclose(image.direction, label.direction, atol=_DIRECTION_TOLERANCE):
        yield "affine", f"expected the image's orientation {image.direction}, found {label.direction}"


def _invented_spacing(path: Path, header: Header) -> str | None:
    """Say that a volume's spacing is made up by its reader; None where it is not, or the image is a photograph."""
    size, spacing = header.spatial.size, header.spatial.spacing
    if len(size) != 3 or header.has_spacing:
        return None
    where = "its header" if has_header(path) else f"a file {path.name.rsplit('.', 1)[0]}.json or without _0000"
    taken = ", ".join(f"{edge:g}" for edge in spacing[::-1])
    return f"{path}: expected a spacing in {where}, found none: {taken} mm (z, y, x) is assumed, as nnU-Net does"


def _form(header: Header) -> str:
    return f"{len(header.size)} axes with {header.n_components} numbers a voxel"


def check_case(case: Case, dataset: Dataset) -> CaseCheck:
    """Read every file of a case to its end; everything wrong with it, in the order a person would look."""
    problems: list[Problem] = []

    def report(kind: ProblemKind, message: str) -> None:
        problems.append(Problem(case.name, kind, message))

    headers: list[tuple[Path, Header]] = []
    digests = []
    for path in case.images:
        try:
            scan, header = scan_voxels(path, values=False), read_header(path)
        except InputError as error:
            report("unreadable", str(error))
            continue
        if not scan.finite:
            report("not finite", f"{path}: expected finite intensities, found NaN or infinity")
        if len(header.size) not in (2, 3, 4) or (len(header.size) > 2 and header.n_components != 1):
            report(
                "axes", f"{path}: expected a photograph, or a 3D or 4D image of single numbers, found {_form(header)}"
            )
            continue
        if invented := _invented_spacing(path, header):
            report("no spacing", invented)
        headers.append((path, header))
        digests.append(scan.digest)
    n_channels = sum(header.n_channels for _, header in headers)
    if n_channels != dataset.n_channels and len(headers) == len(case.images):
        names = ", ".join(dataset.channel_names)
        channels = "1 channel" if n_channels == 1 else f"{n_channels} channels"
        report("channels", f"{case.images[0]}: expected {dataset.n_channels} channels ({names}), found {channels}")
    for kind, message in _label_problems(case, dataset, headers):
        report(kind, message)
    for path, header in headers[1:]:
        for kind, difference in _grid_differences(headers[0][1].spatial, header.spatial):
            report(kind, f"{path}: channel does not fit the first one: {difference}")
    spacing_mm = headers[0][1].spatial.spacing if headers and headers[0][1].has_spacing else None
    return CaseCheck(problems, " ".join(digests) if len(digests) == len(case.images) else None, spacing_mm)


def _label_problems(
    case: Case, dataset: Dataset, headers: list[tuple[Path, Header]]
) -> Iterator[tuple[ProblemKind, str]]:
    path = case.label
    if path is None:
        return
    try:
        scan, header = scan_voxels(path, values=True), read_header(path)
    except InputError as error:
        yield "unreadable", str(error)
        return
    if len(header.size) not in (2, 3) or not (header.n_components == 1 or scan.is_label):
        yield "axes", f"{path}: expected a 2D or 3D label, found {_form(header)}"
        return
    if not scan.finite:
        yield "not finite", f"{path}: expected label values, found NaN or infinity"
    known = [*dataset.labels, *([dataset.ignore_label] if dataset.annotation is not None else [])]
    wrong = scan.values[~np.isin(scan.values, known)]
    if wrong.size:
        # .item(): "7" and not "np.uint8(7)".
        values = ", ".join(str(value.item()) for value in wrong[:5]) + (", ..." if wrong.size > 5 else "")
        more = f" ({MANY_VALUES} values or more: is it an image?)" if wrong.size >= MANY_VALUES - 10 else ""
        allowed = ", ".join(map(str, known))
        yield "label value", f"{path}: expected only label values {allowed} (dataset.json), found {values}{more}"
    elif not scan.values.any():
        yield "empty label", f"{path}: expected a foreground voxel, found background alone"
    if headers:
        for kind, difference in _grid_differences(headers[0][1].spatial, header):
            yield kind, f"{path}: label does not fit its image {headers[0][0].name}: {difference}"


def find_problems(dataset: Dataset, *, n_workers: int, reporter: Reporter | None = None) -> list[Problem]:
    """Read every file of every case to its end and list all that is wrong, sorted by case.

    Parameters
    ----------
    dataset
        What to read. Of NIfTI files no more than a few megabytes a worker are in memory, of other formats one image.
    n_workers
        Threads; decompression, hashing and counting release Python's lock, so they run side by side.
    reporter
        Shows progress.
    """
    problems: list[Problem] = []
    spacings_mm: dict[str, tuple[float, ...]] = {}
    seen: dict[str, Case] = {}
    title = f"{dataset.name}: reading {len(dataset.cases)} cases"
    with (
        (reporter or Silent()).task(title, len(dataset.cases)) as advance,
        ThreadPoolExecutor(max(1, n_workers)) as executor,
    ):
        checks = executor.map(lambda case: check_case(case, dataset), dataset.cases)
        for case, check in zip(dataset.cases, checks, strict=True):
            problems += check.problems
            if check.spacing_mm is not None:
                spacings_mm[case.name] = check.spacing_mm
            twin = seen.setdefault(check.digest, case) if check.digest is not None else case
            if twin is not case:
                message = f"{case.images[0]}: expected another image than {twin.images[0]}, found the same voxels"
                problems.append(Problem(case.name, "duplicate", message))
            advance()
    problems += [*_scale_problems(dataset, spacings_mm), *_orientation_problems(dataset, spacings_mm)]
    return sorted(problems, key=lambda problem: problem.case)


def _scale_problems(dataset: Dataset, spacings_mm: Mapping[str, tuple[float, ...]]) -> Iterator[Problem]:
    """Cases in other units than the rest, which nnU-Net would resample to thousands of times their size, or to nothing.

    Parameters
    ----------
    spacings_mm
        Of each case that says one.
    """
    finest_mm = {case: min(spacing) for case, spacing in spacings_mm.items()}
    usual = float(np.median(list(finest_mm.values()))) if finest_mm else 0.0
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


def verify_cases(dataset: Dataset, *, n_workers: int, reporter: Reporter | None = None) -> list[Problem]:
    """Check a whole data set; a data set found good is not read again as long as its checksum stays.

    Parameters
    ----------
    dataset, n_workers, reporter
        As for :func:`find_problems`.

    Returns
    -------
    list of Problem
        What a run can go on with, and should be known: labels without foreground, images that are there twice.

    Raises
    ------
    InputError
        A file is missing, truncated or unreadable; an image has NaN or infinity or the wrong number of
        channels; image and label differ in shape, spacing, origin or orientation; a label has a value that
        ``dataset.json`` does not list. One line with the first problem (by case name) and how many more there
        are; :func:`find_problems` has them all.
    """
    verdict = _verdict_path(dataset)
    if verdict is not None and verdict.is_file():
        with contextlib.suppress(InputError, KeyError, TypeError):  # damaged: read again
            return [Problem(**problem) for problem in read_json(verdict)["problems"]]
    problems = find_problems(dataset, n_workers=n_workers, reporter=reporter)
    stopping = [problem for problem in problems if problem.stops_a_run]
    if stopping:
        more = f"; and {len(stopping) - 1} more" if len(stopping) > 1 else ""
        raise InputError(f"{dataset.name}: case {stopping[0].case}: {stopping[0].message}{more}")
    if verdict is not None:
        content = {"dataset": dataset.name, "n_cases": len(dataset.cases), "checksum": dataset.checksum}
        write_json(verdict, content | {"problems": [asdict(problem) for problem in problems]})
    return problems
