"""From a name or a path to a :class:`Dataset`."""

from __future__ import annotations

import os
import typing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from albench.data.archive import archive_stem, is_archive, unpack
from albench.data.checksum import checksums_of, hash_files, index_path_for
from albench.data.dataset import Annotation, Case, Dataset, Kind
from albench.data.groups import declared_groups
from albench.data.images import is_gzip
from albench.data.label_values import annotation_of
from albench.data.locate import find_source
from albench.data.msd import DATASET_JSON, MsdContent, find_msd_root, read_json_object, read_msd
from albench.data.nnunet_layout import is_nnunet_layout, read_nnunet
from albench.data.phantom import build_phantom
from albench.data.plain_folder import IMAGE_FOLDERS, LABEL_FOLDERS, find_pair, read_plain
from albench.data.registry import REGISTRY, DatasetEntry, PhantomKind, get_entry, is_registered
from albench.data.sums import require_listed, say_if_unpublished
from albench.errors import InputError
from albench.machine.files import build_folder, writing_to
from albench.machine.journal import settle
from albench.machine.names import require_names, require_utf8
from albench.progress import Reporter, Silent

MOST_LABELS = 256
"""Background included: predictions, references and pictures are of bytes."""


def load_dataset(name: str, *, data_dir: Path | None, cache_dir: Path, reporter: Reporter | None = None) -> Dataset:
    """Find a data set, unpack it where need be, and read its ``dataset.json``. No image is opened.

    Parameters
    ----------
    name
        A registry name, or the path of a folder or ``.tar`` in the layout of the MSD or of nnU-Net's raw data, or with
        a folder of images and one of labels (`albench.data.plain_folder`).
    data_dir
        Where real data lie: a folder that holds ``TaskNN_Name/`` or ``TaskNN_Name.tar``, or the task folder
        or the archive itself. None: the environment's ``ALBENCH_DATA``, else ``data`` in `cache_dir`, which is where
        ``al-bench datasets prepare`` downloads to and what is not in the place of the user's is looked for.
    cache_dir
        Unpacked archives, generated phantoms, hashes and verdicts go here, and are found again by later
        calls.
    reporter
        Says what takes long: unpacking, and hashing what was not hashed before. None: nobody.

    Raises
    ------
    InputError
        Unknown name; data not found (with the places looked at); a damaged, unsafe or incomplete archive; a
        ``dataset.json`` that is none; no space left.
    """
    cache_dir = Path(cache_dir).expanduser().absolute()
    require_utf8(cache_dir)
    with writing_to(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
    reporter = reporter or Silent()
    if looks_like_path(name):
        return _load_path(Path(name).expanduser(), cache_dir, reporter)
    entry = get_entry(name)
    if entry.phantom is not None:
        root = build_phantom(entry.phantom, cache_dir)
    else:
        source = find_source(entry, data_dir, cache_dir)
        root = _unpacked(source, cache_dir, reporter, entry) if is_archive(source) else _find_root(source)
    return _dataset(root, cache_dir, entry.name, entry, reporter)


def looks_like_path(name: str, base: Path = Path()) -> bool:
    """Whether `name` is no registry name but a path, which counts from `base`."""
    path = Path(name)
    return not is_registered(name) and (
        "/" in name or name.startswith((".", "~")) or is_archive(path) or (base / path).exists()
    )


def _load_path(path: Path, cache_dir: Path, reporter: Reporter) -> Dataset:
    """Load a data set of the user's own: a folder or an archive."""
    if not path.exists():
        raise InputError(f"{path}: expected a data set (folder or .tar in MSD or nnU-Net layout), found nothing there")
    called = Path(os.path.abspath(path))  # noqa: PTH100 - a link is called by its own name
    path = path.resolve()
    if path.is_dir():
        settle(path)  # what an import of labels left that was killed
    require_names(path, "data set", [called.name if path.is_dir() else archive_stem(path)], of_files=True)
    if path.is_dir():
        return _dataset(_find_root(path), cache_dir, called.name, None, reporter)
    if not is_archive(path):
        raise InputError(f"{path}: expected a folder or .tar in MSD or nnU-Net layout, found another kind of file")
    return _dataset(_unpacked(path, cache_dir, reporter), cache_dir, archive_stem(path), None, reporter)


def _dataset(root: Path, cache_dir: Path, name: str, entry: DatasetEntry | None, reporter: Reporter) -> Dataset:
    require_utf8(root)
    content, notes = _content(root, cache_dir, reporter)
    names = {"label": content.labels.values(), "channel": content.channel_names, "data set": [content.title]}
    for what, given in names.items():
        require_names(root / DATASET_JSON, what, given)
    require_names(root, "case", [case.name for case in content.cases], of_files=True)
    if len(content.labels) > MOST_LABELS:
        raise InputError(
            f"{root / DATASET_JSON}: expected at most {MOST_LABELS} labels, background included, found "
            f"{len(content.labels)}: label maps have a byte a voxel here"
        )
    annotation = None
    if content.has_ignore:
        annotation = annotation_of(content.cases, max(content.labels) + 1, root, cache_dir, reporter)
    if entry is not None and sorted(content.labels) != sorted(entry.labels):
        raise InputError(
            f"{root / DATASET_JSON}: expected the labels of {entry.name} {entry.labels}, found {content.labels}"
        )
    # a known data set given by its path has the same scanner behind it
    geometry = entry or next((known for known in REGISTRY.values() if known.msd_folder == name), None)
    index = index_path_for(root, cache_dir)
    checksums = checksums_of(content.cases, content.labels, content.channel_names, index, reporter)
    return Dataset(
        name=name,
        title=entry.title if entry else content.title,
        root=root,
        channel_names=content.channel_names,
        labels=content.labels,
        file_ending=content.file_ending,
        cases=content.cases,
        kind=entry.kind if entry else content.kind,
        checksum=checksums.dataset,
        case_checksums=checksums.cases,
        cache_dir=cache_dir,
        spacing_is_true=geometry.spacing_is_true if geometry else True,
        nsd_tolerance_mm=geometry.nsd_tolerance_mm if geometry else None,
        annotation=annotation,
        groups=declared_groups(root, [case.name for case in content.cases]),
        notes=(*notes, *_annotation_note(annotation), *_compression_note(content.cases)),
    )


def _annotation_note(annotation: Mapping[str, Annotation] | None) -> tuple[str, ...]:
    """Say what partial labels mean; nothing where there are none."""
    n = Counter((annotation or {}).values())
    if annotation is None or n["complete"] == len(annotation):
        return ()
    return (
        f"{n['complete']} of {len(annotation)} cases are labelled completely, {n['partial']} in part and {n['none']} "
        "not at all; complete cases are held out for testing, what is labelled of the others is the start",
    )


def _compression_note(cases: Sequence[Case]) -> tuple[str, ...]:
    """Say which files are not what their ending says."""
    files = [path for case in cases for path in case.files if path.name.lower().endswith(".nii.gz")]
    plain = [path for path in files if path.is_file() and not is_gzip(path)]
    if not plain:
        return ()
    return (f"{len(plain)} files end in .nii.gz without being compressed, and are read all the same: {plain[0]}",)


def _find_root(folder: Path) -> Path:
    """Folder of the data set: with a ``dataset.json``, or with folders of images and labels."""
    if (folder / DATASET_JSON).is_file() or find_pair(folder):
        return folder
    described = list(folder.glob(f"*/{DATASET_JSON}"))
    plain = [child for child in sorted(folder.iterdir()) if child.is_dir() and find_pair(child)]
    if not described and len(plain) == 1:
        return plain[0]
    try:
        return find_msd_root(folder)
    except InputError as error:
        names = f"images in one of {', '.join(IMAGE_FOLDERS)}, labels in one of {', '.join(LABEL_FOLDERS)}"
        raise InputError(f"{error}; without {DATASET_JSON}: {names}") from None


def _content(root: Path, cache_dir: Path, reporter: Reporter) -> tuple[MsdContent, tuple[str, ...]]:
    """Read the data set's ``dataset.json``, in either layout, or what is found without one; with notes."""
    if not (root / DATASET_JSON).is_file():
        return read_plain(root, cache_dir, reporter)
    content = read_json_object(root / DATASET_JSON)
    described = read_nnunet(root, content) if is_nnunet_layout(content) else read_msd(root, content)
    return replace(described, kind=_kind(content)), (*described.notes, *_left_out(root, described))


def _left_out(root: Path, content: MsdContent) -> Iterator[str]:
    """Say what lies beside the files of the cases: images nobody has labelled, or files of another name or ending."""
    used = {path for case in content.cases for path in case.files}
    for part in ("imagesTr", "labelsTr"):
        files = [path for path in sorted((root / part).glob("[!.]*")) if path.suffix != ".json"]
        spare = [path.name for path in files if path not in used]
        if spare and len(spare) < len(files):  # where none is used, cases are elsewhere
            count = "1 file" if len(spare) == 1 else f"{len(spare)} files"
            yield f"{count} in {part}, first {spare[0]}, of no case with image and label: left out"


def _kind(content: Mapping[str, Any]) -> Kind:
    """Say whether images are generated: ours say so, generated or laid out for nnU-Net."""
    generator = content.get("generator")
    generated = isinstance(generator, dict) and generator.get("kind") in typing.get_args(PhantomKind)
    return "phantom" if generated or content.get("source_kind") == "phantom" else "patients"


def _unpacked(archive: Path, cache_dir: Path, reporter: Reporter, entry: DatasetEntry | None = None) -> Path:
    """Root of the unpacked archive; unpacked once per content."""
    digest = hash_files([archive], index_path_for(archive, cache_dir), reporter)[0]
    require_listed(archive, digest)
    final = cache_dir / f"{archive_stem(archive)}-{digest[:12]}"

    def fill(folder: Path) -> None:
        if entry is not None:
            say_if_unpublished(archive, entry, reporter)
        unpack_data_set(archive, folder, reporter)

    return _find_root(build_folder(final, fill))


def unpack_data_set(archive: Path, folder: Path, reporter: Reporter) -> None:
    """Unpack an archive into the empty `folder`, and make sure that every file its ``dataset.json`` lists is there.

    Raises
    ------
    InputError
        See `albench.data.archive.unpack`; or a file is missing.
    """
    unpack(archive, folder, reporter)
    try:
        root = _find_root(folder)
        if not (root / DATASET_JSON).is_file():
            return  # a plain folder, which lists no files
        cases = _content(root, folder, reporter)[0].cases
    except InputError as error:
        # The temporary folder is gone when the message is read: the archive is what the user can look at.
        raise InputError(str(error).replace(str(folder), str(archive))) from error
    files = [path for case in cases for path in case.files]
    outside = next((path for path in files if not path.is_relative_to(folder)), None)
    if outside is not None:
        raise InputError(f"{archive}: expected files inside the archive, found that it lists {outside}")
    missing = [path for path in files if not path.is_file()]
    # An archive cut between two members reads without an error: only the list of cases tells.
    if missing:
        raise InputError(
            f"{archive}: incomplete or truncated archive: expected {len(files)} images and labels, "
            f"{len(missing)} are not in it, first {missing[0].relative_to(folder)}"
        )
