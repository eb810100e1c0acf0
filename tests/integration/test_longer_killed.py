"""Killed while a study is made longer, a folder has the old settings or the new ones."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from albench.config import Protocol
from albench.data import Dataset
from albench.results.tables import read_results
from albench.study.file import read_study
from tests.support.longer_study import claim, copy, finished_studies, protocol_of, require_same, run


@pytest.fixture(scope="module")
def studies(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    return finished_studies(phantom, tmp_path_factory)


def _claim_and_die(dataset: Dataset, out: Path, protocol: Protocol, n: int) -> None:
    """Claim, and be killed at the `n`-th change to the folder."""
    left = n

    def deadly(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **names: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **names)

        return changed

    for name in ("replace", "rename", "unlink", "mkdir"):
        setattr(Path, name, deadly(getattr(Path, name)))
    claim(dataset, out, protocol)


def killed_at(dataset: Dataset, out: Path, protocol: Protocol, n: int) -> bool:
    """Whether there was an `n`-th change."""
    process = multiprocessing.get_context("fork").Process(target=_claim_and_die, args=(dataset, out, protocol, n))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def require_old_or_new(out: Path, old: Path, new: Path) -> None:
    """Settings are those of one of them, and tables, where there are any, have nothing that these do not ask for."""
    settings = (out / "config.json").read_bytes()
    assert settings in [(each / "config.json").read_bytes() for each in (old, new)]
    if not all((out / name).exists() for name in ("results.parquet", "rounds.parquet")):
        return
    of = old if settings == (old / "config.json").read_bytes() else new
    rows, known = (
        read_results(each).set_index(["strategy", "seed", "round", "case", "label"])["dice"] for each in (out, of)
    )
    pd.testing.assert_series_equal(rows, known.loc[rows.index])


def kill_everywhere(
    studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path, step: int, *, finish: bool
) -> int:
    old, new, n = studies(3), studies(4), 1
    while True:
        out = copy(old, tmp_path / str(n))
        killed = killed_at(phantom, out, protocol_of(4), n)
        require_old_or_new(out, old, new)
        if finish:
            back = copy(out, tmp_path / f"{n}-back")
            run(phantom, back, protocol_of(3))
            require_same(back, old)
            request = read_study(out / "study.yaml")
            assert request["rounds"] in (3, 4)
            run(phantom, out, protocol_of(4))
            require_same(out, new, [f"{phantom.name}/full/seed-0/round-2/"])
        if not killed:
            return n
        n += step


def test_killed_while_it_changes_a_folder_has_the_old_settings_or_the_new(
    studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path
) -> None:
    kill_everywhere(studies, phantom, tmp_path, 4, finish=False)


@pytest.mark.slow
@pytest.mark.long
def test_killed_at_any_change_either_study_can_be_had(
    studies: Callable[[int], Path], phantom: Dataset, tmp_path: Path
) -> None:
    assert kill_everywhere(studies, phantom, tmp_path, 1, finish=True) > 10
