"""What the container installs is what was tested: requirements/runtime.txt against the lock and the package."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TORCH = {"torch", "torchvision"}  # from an index of their own
OURS = "albench-core"  # built from this repository, beside al-bench
REMEDY = "run requirements/hash"


def pinned(path: Path) -> dict[str, str]:
    """Version by name."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


@pytest.fixture(scope="module")
def runtime() -> dict[str, str]:
    return pinned(ROOT / "requirements/runtime.txt")


def project() -> dict[str, object]:
    parsed: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return parsed


def test_versions_are_those_of_the_lock(runtime: dict[str, str]) -> None:
    lock = pinned(ROOT / "requirements/lock.txt")
    other = {name: version for name, version in runtime.items() if lock.get(name, version) != version}
    assert not other, REMEDY
    assert not TORCH & set(runtime)
    assert set(lock) >= TORCH


def test_every_file_has_a_hash() -> None:
    entries = (ROOT / "requirements/runtime.txt").read_text().replace("\\\n", " ").splitlines()[1:]
    assert all(re.fullmatch(r"\S+==\S+( +--hash=sha256:[0-9a-f]{64})+", entry.strip()) for entry in entries)


def test_nothing_that_the_package_needs_is_missing(runtime: dict[str, str]) -> None:
    dependencies = project()["dependencies"]
    assert isinstance(dependencies, list)
    waiting = [Requirement(text) for text in dependencies]
    needed: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in needed or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        needed.add(name)
        if name == OURS:
            waiting += map(Requirement, distribution(name).requires or ())
        elif name not in TORCH:
            assert name in runtime, f"{name}: {REMEDY}"
            assert requirement.specifier.contains(runtime[name], prereleases=True), f"{name}: {REMEDY}"
            waiting += map(Requirement, distribution(name).requires or ())


def test_the_image_is_labelled_with_the_version() -> None:
    assert f"\nARG VERSION={distribution('al-bench').version}\n" in (ROOT / "docker/Dockerfile").read_text()
