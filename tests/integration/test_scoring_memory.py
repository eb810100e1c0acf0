"""The largest pool that usim-f is meant for fits a small machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_thousand_units_with_ten_thousand_gradients_stay_below_2_gb() -> None:
    script = Path(__file__).with_name("scoring_memory.py")
    done = subprocess.run([sys.executable, str(script), "20000", "10000"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak_mib = float(done.stdout)
    assert 20_000 * 10_000 * 4 / 2**20 < peak_mib < 2e9 / 2**20
