"""The public face: what `import albench` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import albench
from albench.results.tables import read_results
from albench.study import request
from tests.support.report_fixtures import write_study

IMPORT = """
import time
begin = time.perf_counter()
import albench
seconds = time.perf_counter() - begin
import sys
print(seconds, *{"torch", "numpy", "pandas", "pydantic"} & set(sys.modules))
"""


def test_importing_it_is_fast_and_loads_nothing_else() -> None:
    seconds = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
        spent, *loaded = done.stdout.split()
        assert not loaded
        seconds.append(float(spent))
    assert min(seconds) < 0.2


def test_every_name_is_there_and_no_other(tmp_path: Path) -> None:
    assert set(albench.__all__) <= set(dir(albench))
    assert all(getattr(albench, name) is not None for name in albench.__all__)
    assert albench.core is sys.modules["albench.core"]
    assert albench.RunRequest is request.RunRequest
    assert albench.load_results(write_study(tmp_path)).equals(read_results(tmp_path))
    assert albench.load_results(str(tmp_path)).equals(read_results(tmp_path))
    with pytest.raises(AttributeError, match="module 'albench' has no attribute 'runs'"):
        albench.runs  # noqa: B018


@pytest.mark.parametrize("module", [albench, request])
def test_examples_are_true(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 2
    assert result.failed == 0
