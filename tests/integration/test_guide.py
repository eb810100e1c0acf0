"""CONTRIBUTING.md: files that it names are there, and its examples do what it says."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from albench.data import Dataset, load_dataset
from albench.data import registry as data_registry
from albench.machine.files import read_json
from albench.results.tables import read_results
from albench.strategies import get_strategy, register
from albench.strategies import registry as strategy_registry
from albench.strategies.describe import describe
from albench.study.workers import run_studies
from tests.support.fake_study import fake_study

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def example(heading: str) -> str:
    """The one Python block below a heading of the guide."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    (found,) = re.findall(r"^ *```python\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    return textwrap.dedent(found)


def test_every_file_that_the_guide_names_is_there() -> None:
    new = {"python/albench/strategies/neglected.py"}
    named = {
        name
        for name in re.findall(r"`([\w./*-]+)`", TEXT)
        if re.search(r"/|\.(py|yaml|hpp|cpp|md|txt|toml|pyi)$", name) and not name.startswith("build/")
    }
    folders = (ROOT / name for name in ("python", "cpp", "tests", "docs", "benchmarks", "requirements"))
    paths = [path for folder in folders for path in folder.rglob("*")]
    there = ["/" + path.relative_to(ROOT).as_posix() for path in [*paths, *ROOT.glob("*"), *ROOT.glob(".ci/*")]]
    missing = {name for name in named - new if not fnmatch.filter(there, f"*/{name.rstrip('/')}")}
    assert len(named) > 40
    assert not missing


@pytest.fixture
def strategy_module(tmp_path: Path) -> Path:
    path = tmp_path / "neglected.py"
    path.write_text(example("A strategy"), encoding="utf-8")
    return path


def test_the_strategy_runs_a_study(
    strategy_module: Path, phantom: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy_registry, "_REGISTRY", dict(strategy_registry._REGISTRY))
    monkeypatch.syspath_prepend(strategy_module.parent)
    monkeypatch.delitem(sys.modules, "neglected", raising=False)
    import neglected  # type: ignore[import-not-found]

    register(neglected.Neglected)
    assert describe(get_strategy("neglected")).name == "neglected"
    out = tmp_path / "out"
    out.mkdir()
    run_studies([fake_study(phantom, out)], ["neglected"], [0], n_processes=1)
    folder = out / phantom.name / "neglected" / "seed-0"
    start, chosen = (
        [unit["case"] for unit in read_json(folder / f"round-{number}" / "query.json")["units"]] for number in (0, 1)
    )
    annotated = {case: start.count(case) for case in set(start) | set(chosen)}
    assert annotated[chosen[0]] == min(annotated.values())
    assert set(read_results(out)["strategy"]) == {"neglected"}


@pytest.mark.slow
def test_the_strategy_keeps_the_contract(strategy_module: Path) -> None:
    """In a process of its own, in which it is registered before tests are collected."""
    plugin = strategy_module.with_name("registers_neglected.py")
    plugin.write_text("from neglected import Neglected\nfrom albench.strategies import register\nregister(Neglected)\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugin.stem]
    command += ["tests/contract", "-k", "neglected", "-rN"]
    environment = os.environ | {"PYTHONPATH": str(strategy_module.parent)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    n_passed = re.search(r"(\d+) passed", done.stdout)
    assert n_passed is not None
    assert int(n_passed[1]) > 20


def test_the_data_set_is_found_by_its_name(phantom_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = eval(example("A data set"), vars(data_registry).copy())
    monkeypatch.setattr(data_registry, "REGISTRY", data_registry.REGISTRY | {entry.name: entry})
    shutil.copytree(phantom_root, tmp_path / "here" / entry.msd_folder)
    dataset = load_dataset("knee", data_dir=tmp_path / "here", cache_dir=tmp_path / "cache")
    assert dataset.title == entry.title
    assert dataset.kind == "patients"
    assert dataset.nsd_tolerance_mm is None


def test_the_metric_is_what_its_docstring_says() -> None:
    names: dict[str, object] = {}
    exec("import numpy as np\nfrom numpy.typing import NDArray\n" + example("A metric"), names)
    difference = names["volume_difference"]
    assert callable(difference)
    nothing, less, some, more = (np.arange(8) < n for n in (0, 2, 4, 6))
    assert difference(less, some) == difference(more, some) == 0.5
    assert difference(some, some) == 0
    assert np.isnan(difference(some, nothing))
