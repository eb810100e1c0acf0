"""The core under attack: an answer that is one, or a refusal; never a crash. Slow: all of it; else a share.

`.ci/attack` does the same on a build with sanitizers.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.core_attack.groups import GROUPS

_FEWEST = {"arguments": 2000, "poisoned": 150}


def attack(group: str, *options: str) -> int:
    """Number of attempts of a group, none of which may have ended badly."""
    command = [sys.executable, "-m", "tests.support.core_attack", group, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("bad") == []
    assert found.pop("group") == group
    return sum(found.values())


@pytest.mark.parametrize("group", GROUPS)
def test_some_of_it(group):
    assert attack(group, "--some") >= _FEWEST.get(group, 1)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("group", GROUPS)
def test_all_of_it(group):
    attack(group)
