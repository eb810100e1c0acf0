"""From a name to a data set that is on the disk, whole, verified, and laid out for nnU-Net."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from albench.data.archive import is_archive
from albench.data.dataset import Dataset
from albench.data.download import Patience, fetch
from albench.data.load import load_dataset, unpack_data_set
from albench.data.locate import look_up, prepared_folder
from albench.data.msd import DATASET_JSON
from albench.data.nnunet_layout import is_nnunet_layout
from albench.data.raw import write_nnunet_raw
from albench.data.registry import DatasetEntry, get_entry, is_registered
from albench.data.verify import Verdict, verify_cases
from albench.errors import InputError
from albench.machine.files import build_folder, locked, read_json, sha256, write_json, writing_to
from albench.machine.removal import remove_tree, set_aside
from albench.machine.text import read_json_text
from albench.progress import Reporter

RAW_FOLDER = "nnUNet_raw"
_OWN_IDS = range(601, 901)  # none of the registry's
_RAW_NAME = re.compile(r"Dataset(\d{3})_[A-Za-z0-9_]+")


@dataclass(frozen=True)
class PreparedDataset:
    """What `prepare_dataset` left.

    Attributes
    ----------
    raw
        nnU-Net raw data set that links to the same images, or the data set itself where it is one already.
    """

    dataset: Dataset
    raw: Path
    verdict: Verdict


def prepare_dataset(
    name: str,
    *,
    data_dir: Path | None,
    cache_dir: Path,
    reporter: Reporter,
    n_workers: int,
    url: str | None = None,
    checksum: str | None = None,
    patience: Patience | None = None,
    trust_image_geometry: bool = False,
) -> PreparedDataset:
    """Find, download or generate a data set, verify it, and lay it out as nnU-Net raw data.

    Every step leaves its result whole or not at all and is skipped where it is there: the call may be killed at any
    moment and repeated. Of several processes that prepare the same data set one works, the others wait.

    Parameters
    ----------
    name
        Registry name, or the path of a data set of the user's own, which is not moved.
    data_dir, cache_dir
        As for `load_dataset`. Downloads are unpacked to ``cache_dir/data/<folder>``, raw data are laid out in
        ``cache_dir/nnUNet_raw``.
    n_workers
        Threads that verify.
    trust_image_geometry
        As for `verify_cases`.
    url, checksum
        Archive to download in place of the registry's, and its checksum as ``algorithm:hex``. The registry's checksum
        holds for another address too unless one is given.

    Raises
    ------
    InputError
        See `fetch`, `load_dataset` and `verify_cases`; an archive is not what ``SHA256SUMS`` beside it says; or a data
        set without a public archive is not there.
    """
    cache_dir = Path(cache_dir).expanduser().absolute()

    def verified(dataset: Dataset) -> Verdict:
        return verify_cases(dataset, n_workers=n_workers, reporter=reporter, trust_image_geometry=trust_image_geometry)

    if not is_registered(name):
        dataset = load_dataset(name, data_dir=data_dir, cache_dir=cache_dir, reporter=reporter)
        verdict = verified(dataset)
        return PreparedDataset(dataset, _lay_out_own(dataset, cache_dir, reporter), verdict)
    entry = get_entry(name)
    with writing_to(cache_dir):
        (cache_dir / "downloads").mkdir(parents=True, exist_ok=True)
    lock = cache_dir / "downloads" / f".{entry.msd_folder}.lock"
    with locked(lock, lambda: reporter.say(f"{entry.name}: another process prepares it, waiting")):
        if entry.phantom is None:
            source = look_up(entry, data_dir, cache_dir)
            if source is None and (url or entry.url):
                _download(entry, cache_dir, reporter, url, checksum, patience or Patience())
        dataset = load_dataset(name, data_dir=data_dir, cache_dir=cache_dir, reporter=reporter)
        verdict = verified(dataset)
        return PreparedDataset(dataset, _lay_out(dataset, entry, cache_dir, reporter), verdict)


def _download(
    entry: DatasetEntry, cache_dir: Path, reporter: Reporter, url: str | None, checksum: str | None, patience: Patience
) -> None:
    """Fetch and unpack; the archive is removed when what was in it is there."""
    address, expected = url or entry.url or "", checksum or entry.checksum
    if expected is not None and not re.fullmatch(r"(md5|sha1|sha256|sha512):[0-9a-f]{32,128}", expected):
        raise InputError(f"--checksum {expected}: expected algorithm:hex, e.g. sha256:0f34...")
    folder = cache_dir / "downloads" / entry.msd_folder
    archive = fetch(address, expected, folder, entry.name, reporter=reporter, patience=patience)
    if not is_archive(archive):
        archive.unlink()
        raise InputError(f"{address}: expected the address of a .tar, .tar.gz or .tgz, found {archive.name}")
    record = cache_dir / "downloads" / f"{entry.msd_folder}.json"
    with reporter.task(f"{entry.name}: hashing the archive"):
        digest = sha256(archive)
    if expected is None:
        _trust_first(entry, record, digest, archive, reporter)
    write_json(record, {"url": address, "sha256": digest, "checked_against": expected})
    build_folder(prepared_folder(entry, cache_dir), lambda made: unpack_data_set(archive, made, reporter))
    remove_tree(folder, cache_dir / "downloads")


def _trust_first(entry: DatasetEntry, record: Path, digest: str, archive: Path, reporter: Reporter) -> None:
    """Without a published checksum, a later download has to be what the first one was."""
    known = read_json(record)["sha256"] if record.is_file() else None
    if known is None:
        reporter.say(
            f"{entry.name}: no checksum is published for this archive; taken as it came, sha256:{digest}. "
            "A later download is compared with this one"
        )
    elif known != digest:
        archive.unlink()
        raise InputError(
            f"{entry.name}: expected the archive that was downloaded first, sha256:{known}, found sha256:{digest}; "
            f"it was removed. If the new one is right, give it with --checksum or delete {record}"
        )


def _lay_out(dataset: Dataset, entry: DatasetEntry, cache_dir: Path, reporter: Reporter) -> Path:
    """nnU-Net raw data set of all cases, without the ignore label: its labels are complete."""
    out = cache_dir / RAW_FOLDER
    name = re.sub(r"^Task\d\d_", "", entry.msd_folder).replace("-", "_")
    folder = out / f"Dataset{entry.nnunet_id:03d}_{name}"
    links = [path for path in folder.glob("*Tr/*") if path.is_symlink()]
    if not all(path.exists() for path in links):
        # the images have been moved since; nnU-Net takes every DatasetXXX in that folder for a data set
        reporter.say(f"{entry.name}: links in {folder} lead nowhere, it is {set_aside(folder, cache_dir)} now")
    if folder.is_dir():
        return write_nnunet_raw(dataset, dataset.case_names, out, entry.nnunet_id, name, ignore=False)
    with reporter.task(f"{entry.name}: laying out {folder.name}"):
        return write_nnunet_raw(dataset, dataset.case_names, out, entry.nnunet_id, name, ignore=False)


def _lay_out_own(dataset: Dataset, cache_dir: Path, reporter: Reporter) -> Path:
    """nnU-Net raw data set of all cases of a data set of the user's own: under a free number, the same when repeated.

    Where labels are partial it has the ignore label.
    """
    described = dataset.root / DATASET_JSON
    if _RAW_NAME.fullmatch(dataset.root.name) and described.is_file() and is_nnunet_layout(read_json(described)):
        return dataset.root
    out = cache_dir / RAW_FOLDER
    name = re.sub(r"[^A-Za-z0-9_]+", "_", dataset.name).strip("_") or "Data"  # names in other scripts
    with writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
    with locked(out / ".own.lock", lambda: reporter.say(f"{dataset.name}: another process prepares data, waiting")):
        taken = {int(found[1]): folder for folder in out.iterdir() if (found := _RAW_NAME.fullmatch(folder.name))}
        same = [number for number in _OWN_IDS if number in taken and _is_of(taken[number], dataset, name)]
        free = [number for number in _OWN_IDS if number not in taken]
        if not (same or free):
            raise InputError(
                f"{out}: expected a free number from {_OWN_IDS.start} to {_OWN_IDS.stop - 1}, found none; remove data "
                "sets that nobody needs"
            )
        number = (same or free)[0]
        title = f"Dataset{number:03d}_{name}"
        with reporter.task(f"{dataset.name}: laying out {title}"):
            return write_nnunet_raw(dataset, dataset.case_names, out, number, name, ignore=dataset.is_partial)


def _is_of(folder: Path, dataset: Dataset, name: str) -> bool:
    """Whether a folder of raw data was made of this very data set."""
    try:
        stored = read_json_text(folder / DATASET_JSON)
    except InputError:
        return False
    if not isinstance(stored, dict) or not folder.name.endswith(f"_{name}"):
        return False
    return (stored.get("source"), stored.get("source_checksum")) == (dataset.name, dataset.checksum)
