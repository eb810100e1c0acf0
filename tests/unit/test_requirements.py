"""One list of dependencies: requirements holds, with versions and hashes, what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LISTS = ("build", "runtime", "cpu", "cu130", "page", "dev")
TORCH = {"torch", "torchvision"}
OURS = {"al-bench", "albench-core"}
REMEDY = "run requirements/lock"
ENTRY = re.compile(r"([a-z0-9.-]+)==(\S+)( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+")


def toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text())


def entries(name: str) -> list[str]:
    return (ROOT / f"requirements/{name}.txt").read_text().replace(" \\\n", " ").splitlines()[1:]


def pinned(name: str) -> dict[str, str]:
    """Version by name of what this machine would install of a list."""
    matches = [ENTRY.fullmatch(entry) for entry in entries(name)]
    return {each[1]: each[2] for each in matches if each and (not each[3] or Marker(each[3].strip(" ;")).evaluate())}


def of_group(name: str) -> list[Requirement]:
    members = toml("pyproject.toml")["dependency-groups"][name]
    own = [Requirement(each) for each in members if isinstance(each, str)]
    return own + [one for each in members if isinstance(each, dict) for one in of_group(each["include-group"])]


def needed(asked: list[Requirement]) -> dict[str, list[Requirement]]:
    """What is asked for and all that it needs, by the metadata of what is installed."""
    waiting = [(each, frozenset({""})) for each in asked]
    wanted: dict[str, list[Requirement]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, extras = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        wanted.setdefault(name, []).append(requirement)
        below = frozenset({"", *requirement.extras})
        if (name, below) in seen:
            continue
        seen.add((name, below))
        try:
            waiting += [(Requirement(text), below) for text in distribution(name).requires or ()]
        except PackageNotFoundError:
            assert name.startswith(("nvidia", "cuda", "triton")), name  # PyTorch for CPUs has none of these
    return wanted


@pytest.mark.parametrize("name", LISTS)
def test_every_entry_has_a_version_and_hashes(name: str) -> None:
    assert entries(name)
    assert [entry for entry in entries(name) if not ENTRY.fullmatch(entry)] == []


def test_a_version_is_the_same_in_every_list() -> None:
    versions: dict[str, set[str]] = {}
    for name in LISTS:
        for key, version in pinned(name).items():
            versions.setdefault(key, set()).add(version.partition("+")[0])
    assert [key for key, own in versions.items() if len(own) > 1] == []


def asked(name: str) -> list[Requirement]:
    if name == "build":
        return of_group("build")
    if name == "runtime":
        projects = [toml("pyproject.toml")["project"], toml("python/core/pyproject.toml")["project"]]
        annotate = projects[0]["optional-dependencies"]["annotate"]  # the image has it
        return [Requirement(text) for text in [*annotate, *(each for own in projects for each in own["dependencies"])]]
    if name == "page":
        return of_group("page")
    groups = set(toml("pyproject.toml")["dependency-groups"]) - {"page"}  # only where there is no npm
    return [each for group in sorted(groups) for each in of_group(group)]


@pytest.mark.parametrize("name", ["runtime", "build", "page", "dev"])
def test_what_pyproject_asks_for_is_in_the_lists(name: str) -> None:
    available: dict[str, str] = {}
    for each in LISTS if name == "dev" else (name, "cu130"):
        available |= pinned(each)
    for requirement in asked(name):
        key = canonicalize_name(requirement.name)
        if key not in OURS:
            assert requirement.specifier.contains(available.get(key, "0"), prereleases=True), f"{key}: {REMEDY}"


@pytest.mark.parametrize("name", ["runtime", "build", "dev"])
def test_a_list_has_all_that_is_needed_and_nothing_else(name: str) -> None:
    available = pinned(name) | pinned("cu130")
    if name == "dev":
        available |= pinned("runtime") | pinned("build")
    try:
        differing = [key for key in pinned(name) if distribution(key).version != pinned(name)[key]]
    except PackageNotFoundError as error:
        differing = [str(error)]
    if differing:
        pytest.skip(f"not installed from requirements: {differing[0]}")
    wanted = needed(asked(name))
    for key, requirements in wanted.items():
        if key not in OURS:
            fits = [each.specifier.contains(available.get(key, "0"), prereleases=True) for each in requirements]
            assert all(fits), f"{key}: {REMEDY}"
    assert set(pinned(name)) - set(wanted) == set(), REMEDY


def test_the_build_needs_nothing_else() -> None:
    systems = [toml("pyproject.toml")["build-system"], toml("python/core/pyproject.toml")["build-system"]]
    group = {each.name for each in of_group("build")}
    assert {Requirement(text).name for system in systems for text in system["requires"]} <= group
    optional = toml("pyproject.toml")["project"]["optional-dependencies"]
    # tests of other programs are skipped where those are absent
    extras = [text for name, own in optional.items() if name != "interop" for text in own]
    assert set(map(str, map(Requirement, extras))) <= set(map(str, of_group("test")))


def test_pytorch_has_lists_of_its_own() -> None:
    assert set(pinned("cpu")) == TORCH
    assert pinned("cpu")["torch"].endswith("+cpu")  # PyPI's needs CUDA
    assert set(pinned("cu130")) > TORCH
    assert pinned("runtime").keys().isdisjoint(pinned("cu130"))


@pytest.mark.parametrize("path", ["Makefile", "docker/Dockerfile"])
def test_nothing_is_installed_unchecked(path: str) -> None:
    text = (ROOT / path).read_text().replace("\\\n", " ")
    parts = [part for line in text.splitlines() if not line.startswith("#") for part in re.split(r"&&|\|\|", line)]
    commands = [part for part in parts if re.search(r"\bpip\b.* (install|wheel)\b", part)]
    assert len(commands) > 1
    for command in commands:
        # hashes, or what lies here already
        assert re.search(r"--require-hashes|--no-index|\./python/core|-e python/core", command), command
        assert "--no-deps" in command, command


def test_the_image_is_built_on_a_digest_and_labelled_with_the_version() -> None:
    text = (ROOT / "docker/Dockerfile").read_text()
    assert re.search(r"^ARG BASE_DIGEST=sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert "\nFROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}} AS base\n" in text
    assert f"\nARG VERSION={distribution('al-bench').version}\n" in text
