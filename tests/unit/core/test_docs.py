"""The examples of docs/core.md and of the docstrings are run; every public function and class has some."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import albench_core

FUNCTIONS = [name for name in albench_core.__all__ if callable(getattr(albench_core, name))]
WITHOUT = {"InputError", "Selection", "SetFunction"}  # nothing that one calls


def test_examples_in_the_documentation():
    found = doctest.testfile(str(Path(__file__).parents[3] / "docs" / "core.md"), module_relative=False)
    assert found.attempted > 10
    assert found.failed == 0


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - WITHOUT))
def test_examples_in_docstrings(name):
    names = {each: getattr(albench_core, each) for each in albench_core.__all__}
    tests = doctest.DocTestFinder(recurse=False).find(names[name], name, globs=names)
    results = [doctest.DocTestRunner().run(test) for test in tests]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0
