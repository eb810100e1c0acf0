"""Taking over what annotators return: everything is read and checked, then all of it is written or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from albench.annotation.backup import Backup
from albench.annotation.case_import import CaseImport, import_case, merged
from albench.annotation.checks import Taking
from albench.annotation.findings import Finding
from albench.annotation.found import Found, find_returned
from albench.annotation.gains import ClassGain, class_gains
from albench.annotation.handed import HandedOut
from albench.annotation.layout import QUERIES, QUERY, TABLE
from albench.annotation.ledger import Entry, latest, ledger_bytes, read_ledger
from albench.annotation.new_entries import new_entries
from albench.annotation.next_steps import next_steps
from albench.annotation.raw_folder import LEDGER, RawFolder, link, write_description
from albench.annotation.status_table import Remark, read_remarks
from albench.data.label_writer import write_label_like
from albench.data.msd import DATASET_JSON, read_json_object
from albench.errors import InputError
from albench.machine.files import sha256
from albench.machine.journal import Changes, changing
from albench.machine.names import is_name
from albench.progress import Reporter, Silent


@dataclass(frozen=True)
class ImportRequest:
    """What ``al-bench import-labels`` is asked for.

    Attributes
    ----------
    query, labels, dataset
        Folder of the query, folder with what annotators saved, raw data set of nnU-Net.
    taking
        What is taken that would not be by itself.
    only
        Cases to look at; None: all that were asked.
    skip_bad
        Whether cases without errors are taken although others have some.
    replace
        Whether labels that are in the data set give way to others.
    annotator
        Whose labels these are; None: as the query says.
    minutes
        Time that all of them took together, shared among the units for which the table has none.
    beside
        Files to keep with the query in the data set, by name.
    own_table
        Whether the table in the query's folder counts beside those in `labels`.
    trust_image_geometry
        Whether labels, of the data set and those that came back, lie over their images voxel by voxel where their
        headers say otherwise; as it is where the query was asked so.
    dry_run
        Whether nothing is written.
    """

    query: Path
    labels: Path
    dataset: Path
    taking: Taking = field(default_factory=Taking)
    only: tuple[str, ...] | None = None
    skip_bad: bool = False
    replace: bool = False
    annotator: str | None = None
    minutes: float | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)
    own_table: bool = True
    trust_image_geometry: bool = False
    dry_run: bool = False


@dataclass(frozen=True, eq=False)
class ImportReport:
    """What an import found and did.

    Attributes
    ----------
    cases
        Each case that was looked at.
    findings
        About cases, and about what belongs to none.
    entries
        New rows of the ledger; empty where nothing is new.
    beside
        Files kept with the query that are new or others than before, by name.
    n_open
        Asked units that nobody has dealt with yet.
    is_refused
        Whether errors kept everything out.
    backup
        Name of the copy of what was replaced, by which the import can be undone; None where nothing was written.
    """

    handed: HandedOut
    raw: RawFolder
    cases: tuple[CaseImport, ...]
    findings: tuple[Finding, ...]
    entries: tuple[Entry, ...] = ()
    beside: Mapping[str, bytes] = field(default_factory=dict)
    n_open: int = 0
    is_refused: bool = False
    backup: str | None = None

    @property
    def has_errors(self) -> bool:
        """Whether something is wrong with what came back."""
        return any(finding.level == "error" for finding in self.findings)

    def gains(self) -> list[ClassGain]:
        """Return what the new entries bring, by class."""
        return class_gains(self.entries, list(self.handed.class_names.values()), self.handed.query.n_candidates)

    def next_steps(self) -> list[str]:
        """Return what to type next."""
        return next_steps(self.handed, self.raw, read_ledger(self.raw.root / LEDGER))


def import_labels(request: ImportRequest, reporter: Reporter | None = None) -> ImportReport:
    """Check what came back, and take it over if nothing is wrong.

    A report with errors means that nothing was written, unless bad cases were to be skipped.

    Raises
    ------
    InputError
        The query or the data set cannot be read, or do not belong together; a case that was not asked; no space left.
    """
    if request.annotator is not None and not is_name(request.annotator):
        raise InputError(f"--annotator: expected a name without control characters, got {request.annotator!r:.200}")
    raw = RawFolder.open(request.dataset)
    handed = HandedOut.read(request.query, trust_image_geometry=request.trust_image_geometry)
    raw.require_fits(handed)
    wanted = list(handed.units) if request.only is None else handed.cases_called(request.only)
    found = find_returned(request.labels, handed, wanted)
    remarks, general = _remarks(request, found, handed)
    general += [
        Finding("error", "not asked", "", str(path), f"expected labels of a case of query {handed.id}, found others")
        for path in (() if request.only is not None else found.not_asked)
    ]
    cases = []
    with (reporter or Silent()).task(f"{handed.id}: reading {len(wanted)} cases", len(wanted)) as advance:
        for case in wanted:
            files = found.labels[case]
            cases.append(import_case(handed, case, files, remarks, raw, request.taking, replace=request.replace))
            advance()
    findings = (*general, *(finding for case in cases for finding in case.findings))
    report = ImportReport(handed, raw, tuple(cases), findings)
    # without the table nobody knows what is not to be taken
    if report.has_errors and (not request.skip_bad or any(finding.kind == "status" for finding in general)):
        return replace(report, is_refused=True)
    ledger = read_ledger(raw.root / LEDGER)
    imported = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = new_entries(
        handed, cases, remarks, ledger, imported=imported, annotator=request.annotator, minutes=request.minutes
    )
    n_open = len(_still_open(handed, wanted, [*ledger, *entries]))
    beside = {name: content for name, content in request.beside.items() if _kept(report, name) != content}
    report = replace(report, entries=tuple(entries), n_open=n_open, beside=beside)
    if request.dry_run or not (entries or beside):
        return report
    return replace(report, backup=_write(report, ledger, imported))


def _remarks(request: ImportRequest, found: Found, handed: HandedOut) -> tuple[dict[int, Remark], list[Finding]]:
    """Return what the tables say, and what is wrong with them."""
    own = [handed.folder / TABLE] if request.own_table else []
    paths = dict.fromkeys(path.resolve() for path in (*found.tables, *own) if path.is_file())
    try:
        return read_remarks(paths, handed.query.units), []
    except InputError as error:
        return {}, [Finding("error", "status", "", "", str(error))]


def _still_open(handed: HandedOut, wanted: Sequence[str], entries: Sequence[Entry]) -> list[int]:
    """Ranks of the asked units that are neither done nor to be skipped."""
    closed = {key[2] for key, entry in latest(entries).items() if key[0] == handed.id and entry.state != "partial"}
    return [unit.rank or 0 for case in wanted for unit in handed.units[case] if unit.rank not in closed]


def _kept(report: ImportReport, name: str) -> bytes | None:
    path = report.raw.root / _beside(report.handed, name)
    return path.read_bytes() if path.is_file() else None


def _beside(handed: HandedOut, name: str) -> str:
    """Path, in the data set, of a file that is kept with the query."""
    return f"{QUERIES}/{handed.id}/{name}"


def _write(report: ImportReport, ledger: Sequence[Entry], imported: str) -> str:
    """Write labels, links, description, ledger and query, all or nothing; return the name of the backup."""
    handed, raw = report.handed, report.raw
    changed = [case for case in report.cases if any(case.is_new)]
    with changing(raw.root) as changes:
        if read_ledger(raw.root / LEDGER) != ledger or read_json_object(raw.root / DATASET_JSON) != raw.description:
            raise InputError(f"{raw.root}: changed while labels were imported; start again")
        backup = Backup.begin(raw.root, changes, handed.id, imported)
        for case in changed:
            _write_case(handed, raw, case, changes, backup)
        described = raw.described_with(handed.ignore, [case.case for case in changed])
        if described is not None:
            write_description(described, backup.put(DATASET_JSON))
        if report.entries:
            content = ledger_bytes([*ledger, *report.entries], handed.class_names.values())
            backup.put(LEDGER).write_bytes(content)
        for name, content in report.beside.items():
            backup.put(_beside(handed, name)).write_bytes(content)
        query = _beside(handed, QUERY)
        if not (raw.root / query).exists():
            shutil.copyfile(handed.folder / QUERY, backup.put(query))
        backup.finish()
    return backup.name


def _write_case(handed: HandedOut, raw: RawFolder, case: CaseImport, changes: Changes, backup: Backup) -> None:
    grid = handed.grid(case.case)
    known, digest = raw.label(case.case, grid, by_voxels=handed.trust_image_geometry)
    if digest != case.known_sha256 or (case.file is not None and sha256(case.file.path) != case.file.digest):
        raise InputError(f"{raw.label_path(case.case)}: changed while labels were imported; start again")
    labels = merged(case, known, grid.shape, handed.ignore)
    target = raw.label_path(case.case).relative_to(raw.root).as_posix()
    write_label_like(labels.transpose(), handed.images(case.case)[0], backup.put(target))
    for place, source in raw.links(handed, case.case):
        link(source, backup.put(place), raw.root / place, raw.root)
