"""Peak memory is that of the process, not of the one that started it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from albench.machine.facts import peak_rss_mib


def test_a_child_does_not_start_with_its_parents_peak() -> None:
    ballast = np.ones(2**26)  # 512 MiB
    code = "from albench.machine.facts import peak_rss_mib; print(peak_rss_mib())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert peak_rss_mib() > 512
    assert 0 < float(done.stdout) < 400
    assert ballast[-1] == 1
