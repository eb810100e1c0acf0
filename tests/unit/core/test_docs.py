"""The examples of docs/core.md are run."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_examples_in_the_documentation():
    found = doctest.testfile(str(Path(__file__).parents[3] / "docs" / "core.md"), module_relative=False)
    assert found.attempted > 10
    assert found.failed == 0
