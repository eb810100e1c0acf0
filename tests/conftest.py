"""Fixtures that several test modules share."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

from albench.data import Dataset, load_dataset
from albench.data.phantom import build_phantom

N_PHANTOM_CASES = 8

# A busy machine is no failure.
settings.register_profile("albench", deadline=None)
settings.load_profile("albench")


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small phantom data set in MSD layout."""
    return build_phantom("pair", tmp_path_factory.mktemp("phantoms"), n_cases=N_PHANTOM_CASES)


@pytest.fixture(scope="session")
def phantom(phantom_root: Path) -> Dataset:
    """A phantom data set of 8 cases."""
    return load_dataset(str(phantom_root), data_dir=None, cache_dir=phantom_root.parent / "cache")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets, or a skip with the reason."""
    place = os.environ.get("ALBENCH_DATA")
    if not place:
        pytest.skip("ALBENCH_DATA names no folder of real data")
    folder = Path(place)
    if not (folder / "Task04_Hippocampus.tar").is_file() and not (folder / "Task04_Hippocampus").is_dir():
        pytest.skip(f"no Task04_Hippocampus in {folder.resolve()}; ALBENCH_DATA names the folder that has it")
    return folder


def pytest_collection_finish() -> None:
    """Keep thousands of tests and all of torch out of every later garbage collection (statsmodels forces some)."""
    gc.collect()
    gc.freeze()
