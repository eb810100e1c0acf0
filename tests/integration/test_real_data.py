"""Real images end to end: archives in, curves out, with the quick protocol. Few batches: this is about the path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from albench.data import get_entry, load_dataset
from albench.results.tables import read_results, read_rounds

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(900)]

SETTINGS = (
    "training.first_iterations=100", "training.round_iterations=20", "pool.max_cases=8", "pool.max_test_cases=3",
    "pool.start=40", "scoring.passes=4",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "strategies", "lowest"),
    [
        ("hippocampus", "random,usim-f,full", 0.2),
        pytest.param("openkbp", "random,usim-f", 0.03, marks=pytest.mark.long),
        pytest.param("acdc", "random,usim-f", 0.1, marks=pytest.mark.long),
    ],
)
def test_a_data_set_end_to_end(name: str, strategies: str, lowest: float, real_data: Path, tmp_path: Path) -> None:
    entry = get_entry(name)
    if not any((real_data / f"{entry.msd_folder}{ending}").exists() for ending in ("", ".tar")):
        pytest.skip(f"no {entry.msd_folder} in {real_data}")
    out, cache = tmp_path / "out", tmp_path / "cache"
    command = [
        sys.executable, "-m", "albench", "--dataset", name, "--data", str(real_data), "--out", str(out),
        "--strategy", strategies, "--protocol", "quick", "--rounds", "2", "--budget", "20",
        "--cache", str(cache), *(word for setting in SETTINGS for word in ("--set", setting)),
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usim-f" in done.stdout
    results, runs = read_results(out), read_rounds(out)
    assert set(results["label_name"]) == set(entry.labels.values()) - {"background"}
    assert results["case"].nunique() == 3
    assert len(runs) == 4 + ("full" in strategies)
    assert sorted(runs["n_annotated_units"].unique())[:2] == [40, 60]
    assert (results[results["round"] == 1].groupby("strategy")["dice"].mean() > lowest).all()
    assert (runs["peak_rss_mib"] < 6 * 1024).all()
    for file in ("index.html", "curves.png", "curves.svg"):
        assert (out / "report" / file).stat().st_size > 1000
    assert len(load_dataset(name, data_dir=real_data, cache_dir=cache).cases) == entry.n_cases
