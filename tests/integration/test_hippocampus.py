"""Real images end to end: the whole MSD Task04 archive in, curves out. Few batches: this is about the path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from albench.config import load_protocol
from albench.results import read_results, read_runs

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(900)]


def test_hippocampus_end_to_end(real_data: Path, tmp_path: Path) -> None:
    quick = load_protocol("quick")
    training = quick.training.model_dump() | {"first_iterations": 150, "round_iterations": 30}
    pool = quick.pool.model_dump() | {"max_cases": 10, "max_test_cases": 10}
    protocol = tmp_path / "small.yaml"
    protocol.write_text(
        yaml.safe_dump(quick.model_dump() | {"training": training, "pool": pool, "rounds": 2, "budget": 20})
    )
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "albench", "--dataset", "hippocampus", "--data", str(real_data), "--out", str(out),
        "--strategy", "random,usim-f,full", "--protocol", str(protocol), "--cache", str(tmp_path / "cache"),
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usim-f" in done.stdout
    results, runs = read_results(out), read_runs(out)
    assert set(results["label_name"]) == {"Anterior", "Posterior"}
    assert results["case"].nunique() == 10
    assert len(runs) == 5
    assert results.groupby("strategy")["dice"].mean()["full"] > 0.2
    assert (runs["peak_rss_mib"] < 6 * 1024).all()
    for name in ("index.html", "curves.png", "curves.svg"):
        assert (out / "report" / name).stat().st_size > 1000
