"""Training and scoring take no more memory for many large cases than for few."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration import training_memory

CASE_MIB = math.prod(training_memory.SHAPE) * (4 + 2) / 2**20  # image and labels
FEW, MANY = 2, 10
BOUND = 2 * CASE_MIB * 2**20


def run(*arguments: str) -> str:
    script = Path(__file__).with_name("training_memory.py")
    done = subprocess.run([sys.executable, str(script), *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_number_of_cases(tmp_path: Path) -> None:
    run("prepare", str(tmp_path), str(MANY + 1))

    def peak_mib(n: int, memory_bytes: float) -> float:
        return float(run("train", str(tmp_path), str(n), str(int(memory_bytes))))

    few, many, held = peak_mib(FEW, BOUND), peak_mib(MANY, BOUND), peak_mib(MANY, 2**40)
    data_mib = (MANY - FEW) * CASE_MIB
    assert many - few < data_mib / 4
    assert held - few > data_mib / 2  # that much it is where the bound allows
