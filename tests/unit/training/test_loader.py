from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.training.dataloading import data_loader
from threadpoolctl import threadpool_info

from albench.seeding import seed_for, seeded
from albench.training.loader import batches
from albench.training.nnunet_env import nnunet_folders, quiet

FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


def draw_all() -> tuple[float, float, float]:
    """One number from each global generator."""
    return random.random(), float(np.random.random()), float(torch.rand(1))  # noqa: NPY002


def reset_all() -> None:
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)


def test_inside_all_three_generators_follow_the_key() -> None:
    with seeded("a", 1):
        first = draw_all()
    with seeded("a", 1):
        assert draw_all() == first
    with seeded("a", 2):
        other = draw_all()
    assert all(x != y for x, y in zip(first, other, strict=True))
    seed = seed_for("a", 1)
    assert first[0] == random.Random(seed).random()
    assert first[1] == np.random.RandomState(seed % 2**32).random_sample()
    assert first[2] == float(torch.rand(1, generator=torch.Generator().manual_seed(seed)))


def test_afterwards_the_generators_go_on_as_if_nothing_had_been() -> None:
    reset_all()
    expected = draw_all(), draw_all()
    reset_all()
    first = draw_all()
    with seeded("a", 1):
        draw_all()
    assert (first, draw_all()) == expected


def test_an_error_inside_restores_them_too() -> None:
    reset_all()
    expected = draw_all()
    reset_all()
    with pytest.raises(KeyError), seeded("a", 1):
        draw_all()
        raise KeyError
    assert draw_all() == expected


def test_blocks_nest() -> None:
    with seeded("outer"):
        expected = draw_all(), draw_all()
    with seeded("outer"):
        first = draw_all()
        with seeded("inner"):
            draw_all()
        assert (first, draw_all()) == expected


class DrawingSource:
    """Stands for nnU-Net's loader: draws from all three generators."""

    def generate_train_batch(self) -> dict[str, Any]:
        return {"data": torch.tensor(draw_all()), "target": [torch.rand(2)], "keys": ["case"]}


def loaded(
    n_workers: int, key: tuple[str, int] = ("d", 0), n_batches: int = 5, shared_memory: bool = True
) -> list[list[float]]:
    source: Any = DrawingSource()
    found = []
    for batch in batches(source, n_batches=n_batches, key=key, n_workers=n_workers, shared_memory=shared_memory):
        assert set(batch) == {"data", "target"}
        found.append([*batch["data"].tolist(), *batch["target"][0].tolist()])
    return found


def test_batches_do_not_depend_on_the_number_of_processes() -> None:
    alone = loaded(0)
    assert len(alone) == 5
    assert len({tuple(row) for row in alone}) == 5
    for n_workers in (1, 2):
        assert loaded(n_workers) == alone
    for n_workers in (0, 2):
        assert loaded(n_workers, shared_memory=False) == alone


class LargeSource:
    """Batches of 4 MB."""

    def generate_train_batch(self) -> dict[str, Any]:
        return {"data": torch.ones(2**20), "target": [torch.ones(3, dtype=torch.int16)]}


@pytest.mark.parametrize("shared_memory", [True, False])
def test_pipes_leave_shared_memory_alone(shared_memory: bool) -> None:
    source: Any = LargeSource()
    for batch in batches(source, n_batches=3, key=("d", 0), n_workers=1, shared_memory=shared_memory):
        assert batch["data"].is_shared() is batch["target"][0].is_shared() is shared_memory
        assert batch["target"][0].dtype == torch.int16
        assert float(batch["data"].add_(1).sum()) == 2**21  # the training step may write as well


def test_batches_depend_on_the_key_and_not_on_their_number() -> None:
    alone = loaded(0)
    assert loaded(0, n_batches=3) == alone[:3]
    assert all(a != b for a, b in zip(loaded(0, ("d", 1)), alone, strict=True))


def test_loading_leaves_python_and_numpy_generators_alone() -> None:
    reset_all()
    expected = draw_all()[:2]
    reset_all()
    loaded(0)
    assert draw_all()[:2] == expected


def test_folders_are_set_inside_and_restored_after(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("nnUNet_raw", "before")
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    monkeypatch.delenv("nnUNet_results", raising=False)
    with pytest.raises(KeyError), nnunet_folders(tmp_path):
        assert [os.environ[name] for name in FOLDERS] == [
            str(tmp_path / name) for name in ("raw", "preprocessed", "results")
        ]
        raise KeyError
    assert [os.environ.get(name) for name in FOLDERS] == ["before", None, None]
    with nnunet_folders(tmp_path, results=tmp_path / "elsewhere"):
        assert os.environ[FOLDERS[2]] == str(tmp_path / "elsewhere")


def test_quiet_captures_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet() as captured:
        print("chatter")
    print("heard")
    assert captured.getvalue() == "chatter\n"
    assert capsys.readouterr().out == "heard\n"


def test_batches_are_made_on_one_thread_and_pools_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info()]

    before = threads()
    with data_loader.threadpool_limits(limits=1, user_api=None):
        assert set(threads()) == {1}
        monkeypatch.setattr("builtins.open", None)  # looking for libraries reads /proc/self/maps
        with data_loader.threadpool_limits(limits=1, user_api=None):
            pass
        monkeypatch.undo()
    assert threads() == before
