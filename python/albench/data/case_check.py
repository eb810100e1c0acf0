"""Reading one case to its end: everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from albench.data.dataset import Case, Dataset
from albench.data.images import Header, read_header, stated_spacings
from albench.data.opening import CaseFacts, open_case
from albench.data.readers import has_header
from albench.data.voxels import MANY_VALUES, VoxelScan, scan_voxels
from albench.errors import InputError

# Headers store float32 and people resave images with other tools: differences below a thousandth of a voxel
# (position) or 1e-3 (direction cosines) move no label by anything visible.
_POSITION_TOLERANCE_VOXELS = 1e-3
_SPACING_TOLERANCE = 1e-3
_DIRECTION_TOLERANCE = 1e-3
_CHANNEL_TOLERANCE = 1e-5  # nnU-Net's reader refuses channels whose spacings differ by more

_IGNORED_ELSEWHERE = {-1, 255, 65535}
_NOT_FINITE = "NaN, infinity or a number beyond single precision"

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
    "intensities",
    "constant",
    "outliers",
    "two spacings",
    "units",
    "untrainable",
    "absent class",
]
_ADVICE: tuple[ProblemKind, ...] = (
    "empty label",
    "duplicate",
    "no spacing",
    "orientation",
    "constant",
    "outliers",
    "two spacings",
    "units",
    "absent class",
)
"""What a run goes on with: such data sets exist, and are sound as files."""
_OF_GEOMETRY: tuple[ProblemKind, ...] = ("spacing", "affine")
"""What a run goes on with where the image's geometry is trusted; nnU-Net looks at no other."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with one case; ``message`` names the file, what was expected and what was found."""

    case: str
    kind: ProblemKind
    message: str

    @property
    def stops_a_run(self) -> bool:
        """Whether `verify_cases` refuses the data set for it, unless the image's geometry is trusted."""
        return self.kind not in _ADVICE

    @property
    def is_of_geometry(self) -> bool:
        """Whether ``--trust-image-geometry`` lets a run go on."""
        return self.kind in _OF_GEOMETRY


class CaseCheck(NamedTuple):
    """What reading one case gave.

    Attributes
    ----------
    digest
        Of the voxels of all images; None where one could not be read.
    spacing_mm
        Of the first image, (x, y, z); None where it says none.
    n_axes
        Of space, in the first image; None where it could not be read.
    facts
        Of the case as nnU-Net's reader has it; None where something stops a run before.
    values
        Of its label; none where there is none, or it cannot be read.
    """

    problems: list[Problem]
    digest: str | None
    spacing_mm: tuple[float, ...] | None
    n_axes: int | None
    facts: CaseFacts | None
    values: frozenset[float]


def _grid_differences(
    image: Header, label: Header, spacing_tolerance: float = _SPACING_TOLERANCE
) -> Iterator[tuple[ProblemKind, str]]:
    """Differences between the grids of two images; nothing where they agree."""
    if len(image.size) != len(label.size):
        yield "axes", f"expected as many axes as the image has, {len(image.size)}, found {len(label.size)}"
        return
    if image.size != label.size:
        yield "shape", f"expected the image's shape {image.size[::-1]} (z, y, x), found {label.size[::-1]}"
        return
    spacing = np.array(image.spacing)
    if label.has_spacing and not np.allclose(spacing, label.spacing, rtol=spacing_tolerance, atol=0):
        expected, actual = (_rounded(header.spacing[::-1]) for header in (image, label))
        yield "spacing", f"expected the image's spacing {expected} mm (z, y, x), found {actual}"
    shift = np.abs(np.array(image.origin) - np.array(label.origin))
    if np.any(shift > _POSITION_TOLERANCE_VOXELS * spacing.min() + 1e-6 * np.abs(image.origin)):
        expected, actual = (_rounded(header.origin) for header in (image, label))
        yield "affine", f"expected the image's origin {expected} mm (x, y, z), found {actual}"
    if not np.allclose(image.direction, label.direction, atol=_DIRECTION_TOLERANCE):
        expected, actual = (_rounded(header.direction) for header in (image, label))
        yield "affine", f"expected the image's orientation {expected}, found {actual}"


def _rounded(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """Numbers as people write them, without the sign of a zero."""
    return tuple(float(f"{number:.6g}") + 0.0 for number in numbers)


def _invented_spacing(path: Path, header: Header) -> str | None:
    """Say that a volume's spacing is made up by its reader; None where it is not, or the image is a photograph."""
    size, spacing = header.spatial.size, header.spatial.spacing
    if len(size) != 3 or header.has_spacing:
        return None
    where = "its header" if has_header(path) else f"a file {path.name.rsplit('.', 1)[0]}.json or without _0000"
    taken = ", ".join(f"{edge:g}" for edge in spacing[::-1])
    return f"{path}: expected a spacing in {where}, found none: {taken} mm (z, y, x) is assumed, as nnU-Net does"


def _form(path: Path, header: Header) -> str:
    if header.n_components == 1:
        return f"{len(header.size)} axes with one number a voxel"
    if not has_header(path):
        return f"{header.n_components} colours that differ"
    return f"{len(header.size)} axes with {header.n_components} numbers a voxel"


def _more_than_one_spacing(path: Path) -> str | None:
    """Say that the pixdim and the sform of a NIfTI header differ; None where they agree."""
    edges = stated_spacings(path)
    if edges is None or np.allclose(*edges, rtol=_SPACING_TOLERANCE, atol=0):
        return None
    return (
        f"{path}: expected one spacing in its header, found {_rounded(edges[0])} in pixdim, which is used, as by "
        f"nnU-Net, and {_rounded(edges[1])} in srow (x, y, z)"
    )


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
            report("not finite", f"{path}: expected finite intensities, found {_NOT_FINITE}")
        if len(header.size) not in (2, 3, 4) or (len(header.size) > 2 and header.n_components != 1):
            report(
                "axes",
                f"{path}: expected a photograph, or a 3D or 4D image of single numbers, found {_form(path, header)}",
            )
            continue
        if invented := _invented_spacing(path, header):
            report("no spacing", invented)
        elif two := _more_than_one_spacing(path):
            report("two spacings", two)
        headers.append((path, header))
        digests.append(scan.digest)
    n_channels = sum(header.n_channels for _, header in headers)
    if n_channels != dataset.n_channels and len(headers) == len(case.images):
        names = ", ".join(dataset.channel_names)
        expected, actual = ("1 channel" if n == 1 else f"{n} channels" for n in (dataset.n_channels, n_channels))
        report("channels", f"{case.images[0]}: expected {expected} ({names}), found {actual}")
    values = frozenset() if case.label is None else _check_label(case.label, dataset, headers, report)
    for path, header in headers[1:]:
        for kind, difference in _grid_differences(headers[0][1].spatial, header.spatial, _CHANNEL_TOLERANCE):
            # which no reader of nnU-Net goes on with
            report(
                "channels" if kind == "spacing" else kind, f"{path}: channel does not fit the first one: {difference}"
            )
    facts = None
    if headers and not any(problem.stops_a_run and not problem.is_of_geometry for problem in problems):
        facts, found = open_case(case, dataset, headers[0][1])
        for kind, message in found:
            report(kind, message)
    first = headers[0][1].spatial if headers else None
    return CaseCheck(
        problems,
        " ".join(digests) if len(digests) == len(case.images) else None,
        first.spacing if first is not None and first.has_spacing else None,
        None if first is None else len(first.size),
        facts,
        values,
    )


def _check_label(
    path: Path, dataset: Dataset, headers: list[tuple[Path, Header]], report: Callable[[ProblemKind, str], None]
) -> frozenset[float]:
    """Report what is wrong with a label; return its values, none where it cannot be read."""
    try:
        scan, header = scan_voxels(path, values=True), read_header(path)
    except InputError as error:
        report("unreadable", str(error))
        return frozenset()
    for kind, message in _label_problems(path, scan, header, dataset, headers):
        report(kind, message)
    return frozenset(scan.values.tolist())


def _label_problems(
    path: Path, scan: VoxelScan, header: Header, dataset: Dataset, headers: list[tuple[Path, Header]]
) -> Iterator[tuple[ProblemKind, str]]:
    if len(header.size) not in (2, 3) or not (header.n_components == 1 or scan.is_label):
        layers = "" if not has_header(path) else "; write one label map, in which no labels overlap"
        yield "axes", f"{path}: expected a 2D or 3D label, found {_form(path, header)}{layers}"
        return
    if not scan.finite:
        yield "not finite", f"{path}: expected label values, found {_NOT_FINITE}"
    known = [*dataset.labels, *([dataset.ignore_label] if dataset.annotation is not None else [])]
    wrong = scan.values[~np.isin(scan.values, known)]
    if wrong.size:
        # .item(): "7" and not "np.uint8(7)".
        values = ", ".join(str(value.item()) for value in wrong[:5]) + (", ..." if wrong.size > 5 else "")
        more = f" ({MANY_VALUES} values or more: is it an image?)" if wrong.size >= MANY_VALUES - 10 else ""
        if dataset.annotation is None and set(wrong.tolist()) <= _IGNORED_ELSEWHERE:
            more = "; where that means ignore, nnU-Net wants it to be the highest label, called ignore"
        allowed = ", ".join(map(str, known))
        yield "label value", f"{path}: expected only label values {allowed} (dataset.json), found {values}{more}"
    elif not scan.values.any():
        yield "empty label", f"{path}: expected a foreground voxel, found background alone"
    if headers:
        for kind, difference in _grid_differences(headers[0][1].spatial, header):
            yield kind, f"{path}: label does not fit its image {headers[0][0].name}: {difference}"
