"""Data sets whose folders have one name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from albench.errors import InputError
from albench.progress import Silent
from albench.study.request import RunRequest
from albench.study.run import resolve
from tests.support.msd_fixtures import make_msd


@pytest.fixture
def sites(tmp_path: Path) -> tuple[Path, Path]:
    first = make_msd(tmp_path / "site_a" / "organ", n_cases=6, volume=(4, 12, 12))
    second = tmp_path / "site_b" / "organ"
    shutil.copytree(first, second)
    return first, second


def request(sites: tuple[Path, Path], tmp_path: Path) -> RunRequest:
    return RunRequest(
        tuple(map(str, sites)), strategy=("random",), device="cpu", out=tmp_path / "out", cache=tmp_path / "cache"
    )


def test_other_data_under_one_name_are_refused_with_both_paths(sites: tuple[Path, Path], tmp_path: Path) -> None:
    image, other = sorted((sites[1] / "imagesTr").iterdir())[:2]
    shutil.copyfile(other, image)
    with pytest.raises(InputError, match=r"found two called organ, .*/site_a/organ and .*/site_b/organ") as refusal:
        resolve(request(sites, tmp_path), Silent())
    assert "\n" not in str(refusal.value)


def test_a_copy_of_the_same_data_is_one_study(sites: tuple[Path, Path], tmp_path: Path) -> None:
    said: list[str] = []

    class Listener(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    (study,) = resolve(request(sites, tmp_path), Listener()).studies
    assert study.dataset.root == sites[0]
    assert f"{sites[1]}: the same data as {sites[0]}, which is one study" in said
