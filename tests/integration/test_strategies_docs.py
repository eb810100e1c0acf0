"""docs/strategies.md: the table is complete, and the example is a plug-in that works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from albench.data import Dataset
from albench.machine.files import read_json
from albench.results.tables import read_rounds
from albench.strategies import get_strategy, label_of, make_strategy, registry, strategy_names
from albench.strategies.describe import describe
from albench.study.workers import run_studies
from albench.terminal import cli
from tests.support.fake_study import fake_study

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")


def test_the_table_has_every_strategy_with_its_parameters_and_marks() -> None:
    rows = {
        name: (aided == " †", parameters)
        for name, aided, parameters in re.findall(r"^\| `([a-z0-9-]+)`( †)? \|[^|]+\|([^|]+)\|[^|]+\|$", TEXT, re.M)
    }
    assert list(rows) == strategy_names()
    for name, (aided, parameters) in rows.items():
        told = describe(get_strategy(name))
        assert aided == told.oracle_aided
        assert parameters.strip() == (" ".join(f"`{p.setting()}`" for p in told.parameters) or "–")


def block(language: str) -> str:
    """The one block of that language in the document."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip leaves it: the example's module and its distribution's metadata."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "my_strategies.py").write_text(block("python"), encoding="utf-8")
    project = tomllib.loads(block("toml"))["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join([*lines, ""]))
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(site)

    def forget() -> None:
        registry._plugins.cache_clear()
        registry._load.cache_clear()
        sys.modules.pop("my_strategies", None)

    forget()
    yield
    monkeypatch.undo()
    forget()


def test_the_example_is_about_twenty_lines_long() -> None:
    code = re.sub(r'""".*?"""', "", block("python"), flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 22


@pytest.mark.usefixtures("installed")
def test_the_example_is_found_by_name() -> None:
    assert strategy_names()[-1] == "tail"
    assert get_strategy("tail").__module__ == "my_strategies"
    assert label_of(make_strategy("tail+share=0.5")) == "tail+share=0.5"
    with pytest.raises(ValueError, match=r"strategy 'tail', parameter share: expected a number in \(0, 1\], got 2\.0"):
        make_strategy("tail+share=2")


def test_the_example_keeps_the_contract(site: Path) -> None:
    """In a process of its own, where it is installed from the start."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract", "-k", "tail", "-rN"]
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    n_passed = re.search(r"(\d+) passed", done.stdout)
    assert n_passed is not None
    assert int(n_passed[1]) > 25


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["strategies"], "tail+share=0.25"), (["strategies", "tail"], "Share of the pool that is drawn from, in (0, 1]")],
)
def test_the_example_is_listed_and_explained(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert not stop.value.code
    assert expected in capsys.readouterr().out


@pytest.mark.usefixtures("installed")
def test_the_example_runs_a_study(phantom: Dataset, tmp_path: Path) -> None:
    run_studies([fake_study(phantom, tmp_path)], ["random", "tail+share=0.1"], [0], n_processes=1)
    runs = read_rounds(tmp_path)
    chain = runs[runs["strategy"] == "tail+share=0.1"].sort_values("round")
    assert list(chain["n_annotated_units"]) == [6, 12, 18]
    query = read_json(tmp_path / phantom.name / "tail+share=0.1" / "seed-0" / "round-1" / "query.json")
    assert query["parameters"] == {"share": 0.1}
    assert np.isfinite([unit["score"] for unit in query["units"]]).all()
