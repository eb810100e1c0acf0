"""The core is a distribution of its own, and `albench.core` is that distribution."""

from __future__ import annotations

import subprocess
import sys

import albench_core
from albench import core, errors

TOP_LEVEL = """
import sys
before = set(sys.modules)
from albench_core import *
names = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(*sorted(name for name in names if not name.startswith("_")))
"""


def test_albench_has_the_whole_core_unchanged():
    assert core.__all__ == albench_core.__all__
    assert all(getattr(core, name) is getattr(albench_core, name) for name in albench_core.__all__)


def test_what_the_core_refuses_is_an_error_of_albench():
    assert errors.InputError is albench_core.InputError


def test_it_imports_nothing_but_numpy():
    found = subprocess.run([sys.executable, "-c", TOP_LEVEL], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["albench_core", "numpy"]
