"""A folder that a real trainer worked in, with a bomb in every file: resuming, predicting and exporting run none."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from albench.data import Dataset
from albench.errors import InputError
from albench.training.export import export_model, prepared_in
from albench.training.nnunet import NnunetTrainer
from albench.training.preprocess import is_whole
from albench.training.runtime import configure_cpu
from albench.units.pool import Pool, Split
from tests.support.fake_study import fake_protocol
from tests.support.hostile import Bomb, bombs, hostile_plans

pytestmark = pytest.mark.slow
KINDS = ("pickle", "torch", "blosc2")


@pytest.fixture(scope="module")
def split(phantom: Dataset) -> Split:
    return Split(pool=phantom.case_names[:2], test=phantom.case_names[2:3])


def trainer_in(work: Path, phantom: Dataset) -> NnunetTrainer:
    return NnunetTrainer(phantom, fake_protocol(), torch.device("cpu"), work, 0)


def train(trainer: NnunetTrainer, pool: Pool, target: Path, initial: Path | None = None) -> None:
    trainer.train(
        pool.units[:6], iterations=2, key=("test",), initial=initial, target=target, on_iteration=lambda loss: None
    )


@pytest.fixture(scope="module")
def made(phantom: Dataset, split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trainer's folder with a pool and a model."""
    configure_cpu(1)
    work = tmp_path_factory.mktemp("made") / "work"
    trainer = trainer_in(work, phantom)
    pool = trainer.scan(split, lambda: None).pool
    trainer.preprocess(split, pool, pool.units[:6], lambda: None)
    train(trainer, pool, work / "model.pth")
    return work


def use(work: Path, phantom: Dataset, split: Split) -> int:
    """Do with a folder what commands do; return how many of the four steps were refused."""
    n_refused = 0
    trainer = trainer_in(work, phantom)
    pool = Pool.load(next(work.rglob("pool.parquet"))) if next(work.rglob("pool.parquet"), None) else None

    def export() -> None:
        folder = export_model(prepared_in(work), [work / "model.pth"], work / "to")
        nnUNetPredictor(device=torch.device("cpu")).initialize_from_trained_model_folder(str(folder), (0,))

    steps = [
        lambda: [is_whole(trainer.store, case) for case in split.pool],
        lambda: trainer.load(work / "model.pth").predict(split.test[0]),
        lambda: train(trainer, pool, work / "next.pth", work / "model.pth"),  # type: ignore[arg-type]
        export,
    ]
    for step in steps:
        try:
            step()
        except InputError:
            n_refused += 1
    return n_refused


@pytest.mark.long
def test_a_bomb_in_every_file(made: Path, phantom: Dataset, split: Split, tmp_path: Path) -> None:
    assert use(Path(shutil.copytree(made, tmp_path / "sound", symlinks=True)), phantom, split) == 0
    canary, n_refused = tmp_path / "canary", 0
    files = [path.relative_to(made) for path in sorted(made.rglob("*")) if path.is_file() and not path.is_symlink()]
    files += [path.with_suffix(".pkl") for path in files if path.suffix == ".b2nd"]
    for file in files:
        for kind, content in bombs(canary).items():
            if kind in KINDS:
                work = Path(shutil.copytree(made, tmp_path / "work", symlinks=True))
                (work / file).write_bytes(content)
                with contextlib.suppress(InputError):  # the pool itself is the file
                    n_refused += use(work, phantom, split)
                assert not canary.exists(), f"{kind} in {file}"
                shutil.rmtree(work)
    assert len(files) >= 12 and n_refused > len(files)


@pytest.mark.parametrize("kind", ["activation", "dropout", "network", "convolution", "name"])
def test_plans_that_name_functions(made: Path, phantom: Dataset, split: Split, tmp_path: Path, kind: str) -> None:
    work = Path(shutil.copytree(made, tmp_path / "work", symlinks=True))
    plans = next(work.rglob("nnUNetPlans.json"))
    hostile = hostile_plans(str(tmp_path / "canary"), json.loads(plans.read_text()))[kind]
    plans.write_text(json.dumps(hostile))
    assert use(work, phantom, split) == 3
    assert not (tmp_path / "canary").exists() and not (work / "to").exists()


def test_pickles_of_an_earlier_version_are_removed_unread(
    made: Path, phantom: Dataset, split: Split, tmp_path: Path
) -> None:
    work = Path(shutil.copytree(made, tmp_path / "work", symlinks=True))
    trainer = trainer_in(work, phantom)
    store = trainer.store
    for case in (*split.pool, *split.test):
        store.properties_file(case).unlink()
        (store.case_folder / f"{case}.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))
    trainer.preprocess(split, store.pool, store.pool.units[:6], lambda: None)
    assert use(work, phantom, split) == 0
    assert not list(work.rglob("*.pkl")) and not (tmp_path / "canary").exists()
