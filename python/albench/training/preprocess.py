"""Images through nnU-Net's preprocessor, once."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from numpy.typing import NDArray

from albench.data import Case
from albench.errors import InputError
from albench.machine.files import HALF_WRITTEN, require_fence, sha256, sync, write_json
from albench.machine.foreign import require_regular
from albench.machine.text import read_json_text
from albench.training.grids import CaseGrid, require_voxels
from albench.training.kept import KeptImages, kept_images, link_or_copy, recipe_of
from albench.training.nnunet_env import quiet
from albench.training.properties import read_properties, write_properties
from albench.training.reading import read_label
from albench.training.stored_plans import PLANS_NAME, read_description, read_plans
from albench.units.pool import Pool, Unit, by_case

POOL_NAME = "pool.parquet"
_IMAGE, _LABELS = ".b2nd", "_seg.b2nd"
_PICKLE = ".pkl"  # nnU-Net's properties of a case: read by nobody, and not kept
_MAX_VOXELS = 2**36
_FULL_BYTES = 16 * 2**20  # with less than this left, a failed write is taken for a full disk


@dataclass(frozen=True)
class PreprocessedStore:
    """A planned and preprocessed data set on disk, in nnU-Net's own format but for the properties of cases.

    Attributes
    ----------
    folder
        ``preprocessed/DatasetXXX_Name`` with plans, dataset.json, the pool and one folder of cases.
    configuration
        Name of the planned configuration, e.g. ``"2d"``.
    """

    folder: Path
    configuration: str

    @cached_property
    def plans(self) -> dict[str, Any]:
        """The plans file."""
        return read_plans(self.folder / f"{PLANS_NAME}.json")

    @cached_property
    def dataset_json(self) -> dict[str, Any]:
        """nnU-Net's dataset.json, ignore label included."""
        return read_description(self.folder / "dataset.json")

    @cached_property
    def plans_manager(self) -> PlansManager:
        """nnU-Net's view of the plans."""
        return PlansManager(self.plans)

    @cached_property
    def configuration_manager(self) -> ConfigurationManager:
        """nnU-Net's view of the configuration."""
        return self.plans_manager.get_configuration(self.configuration)

    @cached_property
    def label_manager(self) -> LabelManager:
        """nnU-Net's view of the labels."""
        return self.plans_manager.get_label_manager(self.dataset_json)

    @cached_property
    def reader(self) -> BaseReaderWriter:
        """The reader that the plans name."""
        reader: BaseReaderWriter = self.plans_manager.image_reader_writer_class()
        return reader

    @property
    def base(self) -> Path:
        """Folder that holds nnU-Net's ``raw`` and ``preprocessed``."""
        return self.folder.parent.parent

    @property
    def case_folder(self) -> Path:
        """Folder of the preprocessed cases."""
        return self.folder / str(self.configuration_manager.data_identifier)

    def open_image(self, case: str) -> blosc2.NDArray:
        """Preprocessed image, float32 (channel, z, y, x) with axes transposed as planned; what is indexed is read."""
        return _opened(self.case_folder / f"{case}{_IMAGE}", np.float32)

    def open_reference(self, case: str) -> blosc2.NDArray:
        """Preprocessed complete label map, int16 (1, z, y, x) as the image; -1 outside the non-zero region.

        For cases of the pool: that of a test case is 0 inside the region.
        """
        return _opened(self.case_folder / f"{case}{_LABELS}", np.int16)

    def image(self, case: str) -> NDArray[np.float32]:
        """Return all of `open_image`."""
        return np.asarray(self.open_image(case)[:])

    def reference(self, case: str) -> NDArray[np.int16]:
        """Return all of `open_reference`."""
        return np.asarray(self.open_reference(case)[:])

    def properties(self, case: str) -> dict[str, Any]:
        """nnU-Net's record of how the case was cropped and resampled."""
        return read_properties(self.properties_file(case))

    def properties_file(self, case: str) -> Path:
        """Where `properties` are."""
        return self.folder / "properties" / f"{case}.json"

    def case_files(self, case: str) -> dict[str, Path]:
        """All files of a case, by what their checksums are noted under."""
        return {
            "image": self.case_folder / f"{case}{_IMAGE}",
            "labels": self.case_folder / f"{case}{_LABELS}",
            "properties": self.properties_file(case),
        }

    @cached_property
    def made_with(self) -> str:
        """Digest of all that decides what an image becomes: plans, channels and labels, and the units."""
        files = (f"{PLANS_NAME}.json", "dataset.json", POOL_NAME)
        return hashlib.sha256(" ".join(sha256(self.folder / name) for name in files).encode()).hexdigest()

    @cached_property
    def pool(self) -> Pool:
        """The units, with where they lie on the original grid."""
        return Pool.load(self.folder / POOL_NAME)

    @cached_property
    def _grids(self) -> dict[str, CaseGrid]:
        return {}

    def grid(self, case: str) -> CaseGrid:
        """How the case's original grid became its preprocessed one."""
        if case not in self._grids:
            shape = self.open_image(case).shape[1:]
            self._grids[case] = CaseGrid.read(self.plans_manager.transpose_forward, self.properties(case), shape)
        return self._grids[case]

    def box(self, unit: Unit) -> tuple[slice, ...]:
        """Where a unit of the pool lies on its case's preprocessed grid."""
        starts, stops = self.pool.boxes([unit])
        return self.grid(unit.case).box(starts[0], stops[0])

    def spacings(self, properties: Mapping[str, Any]) -> tuple[list[float], list[float]]:
        """Millimetres between voxels of a case before and after resampling, axes as planned.

        A 2d configuration has no spacing of its own along the slicing axis.
        """
        before = [properties["spacing"][axis] for axis in self.plans_manager.transpose_forward]
        planned = self.configuration_manager.spacing
        return before, [*before[: len(before) - len(planned)], *planned]

    def first_slice(self, case: str) -> int:
        """Index on the original grid of the first preprocessed slice: nnU-Net crops empty margins."""
        return int(self.properties(case)["bbox_used_for_cropping"][0][0])


def _opened(path: Path, dtype: type[np.generic]) -> blosc2.NDArray:
    """Open an array and nothing else: `blosc2.open` also makes what a file describes, expressions and code among it."""
    require_regular(path)
    try:
        # One thread: blosc2's own do not survive the fork of loader processes.
        found = blosc2.blosc2_ext.open(str(path), "r", 0, mmap_mode="r", dparams={"nthreads": 1})
        plain = type(found) is blosc2.NDArray and found.dtype == dtype and len(found.shape) == 4
        if plain and 0 < math.prod(found.shape) <= _MAX_VOXELS:
            return found
    except Exception as error:  # blosc2 raises what the damaged place happens to lead to
        raise InputError(f"{path}: expected a preprocessed image, found a damaged file ({error})") from None
    raise InputError(f"{path}: expected {np.dtype(dtype)} (channel, z, y, x), found another array or object")


class _Preprocessor(DefaultPreprocessor):  # type: ignore[misc]
    """nnU-Net's, for images alone; keeps which voxels of the crop lie outside the image's non-zero region.

    Given a label map, nnU-Net takes labelled voxels for inside and normalises over them, too: labels that nobody has
    drawn yet, and those of test cases, would change images, and the network would see others than nnU-Net's predictor,
    which knows no labels, shows it.
    """

    outside: NDArray[np.bool_]

    def _normalize(self, data: Any, seg: Any, *args: Any) -> Any:
        self.outside = seg < 0
        return super()._normalize(data, seg, *args)


def require_units(store: PreprocessedStore) -> None:
    """Raise InputError where a unit of the pool has no voxel left on the preprocessed grid."""
    for case, units in by_case(store.pool.units).items():
        require_voxels(case, [store.box(unit) for unit in units], store.grid(case))


def lost_units(store: PreprocessedStore) -> frozenset[Unit]:
    """Return units of the pool that have no voxel left on the preprocessed grid."""
    return frozenset(unit for unit in store.pool.units if any(part.stop <= part.start for part in store.box(unit)))


def preprocess(
    store: PreprocessedStore,
    cases: Sequence[Case],
    on_case: Callable[[], None] = lambda: None,
    kept: Path | None = None,
) -> None:
    """Run nnU-Net's preprocessor on every case that is not there yet, or not as it was written.

    Images are preprocessed as if there were no labels. Those of the pool's cases follow onto the same grid, a unit's
    from its own voxels; those of other cases are not read. A case is written beside its place and moved there file by
    file, checksums last.

    Parameters
    ----------
    kept
        Folder of preprocessed images that are taken again where they would become the same, whatever the labels; None:
        every image is preprocessed anew.

    Raises
    ------
    OSError
        No space left.
    """
    store.case_folder.mkdir(parents=True, exist_ok=True)
    preprocessor, units = _Preprocessor(verbose=False), by_case(store.pool.units)
    recipe = recipe_of(store.plans, store.configuration_manager.configuration)
    with kept_images(kept, recipe) as images:
        for case in cases:
            if not is_whole(store, case.name):
                with tempfile.TemporaryDirectory(prefix=HALF_WRITTEN, dir=store.folder) as temporary:
                    _run_case(preprocessor, store, case, units.get(case.name, ()), Path(temporary), images)
                    digests = {"made_with": store.made_with}
                    for part, target in store.case_files(case.name).items():
                        written = Path(temporary, target.name)
                        digests[part] = sha256(written)
                        sync(written)
                        target.parent.mkdir(exist_ok=True)
                        require_fence()
                        written.replace(target)
                    write_json(_checksums(store, case.name), digests)
                (store.case_folder / f"{case.name}{_PICKLE}").unlink(missing_ok=True)
            on_case()


def stored_files(store: PreprocessedStore, cases: Iterable[str]) -> dict[Path, str]:
    """SHA-256 of all that trainings and predictions read of the store, by path; of cases as `preprocess` noted it."""
    plans = store.folder / f"{PLANS_NAME}.json"
    described = [plans, *(store.folder / name for name in ("dataset.json", "dataset_fingerprint.json", POOL_NAME))]
    digests = {path: sha256(path) for path in described}
    for case in cases:
        noted = read_json_text(_checksums(store, case))
        digests |= {path: noted[part] for part, path in store.case_files(case).items()}
    return digests


def _checksums(store: PreprocessedStore, case: str) -> Path:
    return store.folder / "checksums" / f"{case}.json"


def is_whole(store: PreprocessedStore, case: str) -> bool:
    """Whether a case's preprocessed files are there with the content they were written with."""
    try:
        digests = read_json_text(_checksums(store, case))
        present = {part: sha256(path) for part, path in store.case_files(case).items()}
    except (FileNotFoundError, InputError):
        return False
    return bool(digests == {"made_with": store.made_with, **present})


def _run_case(
    preprocessor: _Preprocessor,
    store: PreprocessedStore,
    case: Case,
    units: Sequence[Unit],
    folder: Path,
    images: KeptImages | None = None,
) -> None:
    plans, configuration = store.plans_manager, store.configuration_manager
    image_file, patch_size = folder / f"{case.name}{_IMAGE}", tuple(configuration.patch_size)
    found = images.find(case) if images is not None and units else None
    if found is not None:
        link_or_copy(found.image, image_file)
        shape, outside, properties = _opened(image_file, np.float32).shape, found.outside, found.properties
    else:
        with quiet():
            image, labels, properties = preprocessor.run_case(
                [str(path) for path in case.images], None, plans, configuration, store.dataset_json
            )
        shape, outside = image.shape, preprocessor.outside
    if units:
        grid = CaseGrid.read(plans.transpose_forward, properties, shape[1:])
        labels = _labels(case, outside, store, properties, grid, units)
    try:
        if found is None:
            _save(image, image_file, patch_size)
        _save(labels.astype(np.int16, copy=False), folder / f"{case.name}{_LABELS}", patch_size)
        write_properties(folder / store.properties_file(case.name).name, properties)
    except RuntimeError as error:
        # blosc2 says that a write failed, but not why.
        if shutil.disk_usage(folder).free < _FULL_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise
    if images is not None and units and found is None:
        images.keep(case, image_file, outside, properties)


def _labels(
    case: Case,
    outside: NDArray[np.bool_],
    store: PreprocessedStore,
    properties: Mapping[str, Any],
    grid: CaseGrid,
    units: Sequence[Unit],
) -> NDArray[Any]:
    """Label map (1, z, y, x) on the preprocessed grid: nnU-Net's steps, but for voxels that would mix units.

    nnU-Net interpolates labels. Near the face of a patch a voxel's label would then come in part from the patch beside
    it, which may not have been drawn: there it is that of the original voxel that the centre lies in. All is the ignore
    label where the case has no label.
    """
    plans, configuration = store.plans_manager, store.configuration_manager
    crop = tuple(slice(low, high) for low, high in grid.crop)
    if case.label is None:
        return np.full((1, *grid.shape), store.label_manager.ignore_label)
    labels = read_label(case.label, store.reader).transpose(plans.transpose_forward)[crop][None].astype(np.int16)
    labels[(labels == 0) & outside] = -1  # as nnU-Net's crop_to_nonzero
    resampled: NDArray[Any] = configuration.resampling_fn_seg(labels, grid.shape, *store.spacings(properties))
    for start, stop in zip(*store.pool.boxes(units), strict=True):
        sources = grid.sources(start, stop)
        mixed = ~np.logical_and.outer(np.logical_and.outer(*(axis.inside for axis in sources[:2])), sources[2].inside)
        if mixed.any():
            own = labels[0][np.ix_(*(axis.nearest for axis in sources))]
            resampled[0][grid.box(start, stop)][mixed] = own[mixed]
    return resampled


def _save(array: NDArray[Any], path: Path, patch_size: tuple[int, ...]) -> None:
    """Write an array (channel, z, y, x) as nnU-Net's `nnUNetDatasetBlosc2.save_case` does."""
    blocks, chunks = comp_blosc2_params(array.shape, patch_size, array.itemsize)
    blosc2.set_nthreads(1)
    codec, level = blosc2.Codec.LZ4HC, 5
    kind = nnUNetDatasetBlosc2._select_filter(array, blocks, chunks, codec, level)
    parameters = {"codec": codec, "filters": [kind], "nthreads": 4, "clevel": level}
    blosc2.asarray(np.ascontiguousarray(array), urlpath=str(path), chunks=chunks, blocks=blocks, cparams=parameters)
