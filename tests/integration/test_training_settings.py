"""Settings of a training that sources differ in reach nnU-Net: the loss's smooth term, whose cases, fresh heads."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

from albench.data import Dataset
from albench.training.annotated import AnnotatedDataset
from albench.training.nnunet import NnunetTrainer
from albench.training.runtime import configure_cpu
from albench.training.sampling import OffsetLoader
from albench.training.trainer import ALTrainer, TrainingRequest
from albench.units.pool import Pool, Split, Unit
from tests.support.fake_study import fake_protocol

pytestmark = pytest.mark.slow
PLAN = TrainingRequest(
    1, batch_size=4, initial_lr=0.01, momentum=0.9, mirroring=False, oversample_foreground=0.33, key=("settings",)
)


@pytest.fixture(scope="module")
def trainer(phantom: Dataset, tmp_path_factory: pytest.TempPathFactory) -> NnunetTrainer:
    configure_cpu(1)
    return NnunetTrainer(phantom, fake_protocol(), torch.device("cpu"), tmp_path_factory.mktemp("nnunet"), 0)


@pytest.fixture(scope="module")
def pool(trainer: NnunetTrainer, phantom: Dataset) -> Pool:
    split = Split(phantom.case_names[:3], phantom.case_names[3:4])
    pool = trainer.scan(split, lambda: None).pool
    trainer.preprocess(split, pool, pool.units[::5], lambda: None)
    return pool


def made(trainer: NnunetTrainer, units: tuple[Unit, ...], plan: TrainingRequest, scratch: Path) -> ALTrainer:
    return ALTrainer.create(
        trainer.store, AnnotatedDataset(trainer.store, units), plan, torch.device("cpu"), scratch / "results"
    )


def test_the_smooth_term_is_the_losss(
    trainer: NnunetTrainer, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = (
        torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - torch.tensor([0.0, 50, 50])[:, None, None]
    )
    target = torch.zeros(1, 1, 8, 8)
    for smooth, dice in ((1e-5, -1.0), (0.0, 0.0)):  # of classes that are neither there nor predicted
        trained = made(trainer, pool.units[:4], replace(PLAN, dice_smooth=smooth), tmp_path)
        (part,) = (part for part in trained.loss.modules() if isinstance(part, MemoryEfficientSoftDiceLoss))
        assert part.smooth == smooth
        assert float(part(output, target)) == pytest.approx(dice, abs=1e-3)
        with monkeypatch.context() as patch:  # on a GPU it is within torch.compile's wrapper
            patch.setattr(ALTrainer, "_do_i_compile", lambda self: True)
            parts = trained._build_loss().modules()
            assert [p.smooth for p in parts if isinstance(p, MemoryEfficientSoftDiceLoss)] == [smooth]


def test_cases_are_drawn_by_their_units_or_alike(trainer: NnunetTrainer, pool: Pool, tmp_path: Path) -> None:
    first, second, _ = pool.cases
    units = (*[unit for unit in pool.units if unit.case == first][:9], next(u for u in pool.units if u.case == second))
    for sampling, share in (("units", 0.9), ("uniform", 0.5)):
        source = made(trainer, units, replace(PLAN, case_sampling=sampling), tmp_path).source()
        drawn = Counter(case for _ in range(100) for case in source.get_indices())
        assert drawn[first] / drawn.total() == pytest.approx(share, abs=0.08)


def test_windows_are_nnactives_where_asked_for(trainer: NnunetTrainer, pool: Pool, tmp_path: Path) -> None:
    plain = made(trainer, pool.units[:4], PLAN, tmp_path).source()
    offset = made(trainer, pool.units[:4], replace(PLAN, window_offset=True), tmp_path).source()
    assert not isinstance(plain, OffsetLoader)
    assert isinstance(offset, OffsetLoader)
    assert offset.generate_train_batch()["data"].shape == plain.generate_train_batch()["data"].shape


def test_a_warm_start_keeps_all_but_the_heads_where_asked_to(
    trainer: NnunetTrainer, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights(path: Path) -> dict[str, torch.Tensor]:
        return dict(trainer.load(path).network.state_dict())

    def train(name: str, key: str, initial: Path | None, *, fresh_heads: bool = False) -> dict[str, torch.Tensor]:
        settings = trainer._protocol.training.model_copy(
            # too small a step to be seen: what is written is what training began with
            update={"initial_lr": 1e-12, "reinitialise_heads": fresh_heads}
        )
        monkeypatch.setattr(trainer, "_protocol", trainer._protocol.model_copy(update={"training": settings}))
        trainer.train(
            pool.units[:4],
            iterations=1,
            key=(key,),
            initial=initial,
            target=tmp_path / name,
            on_iteration=lambda loss: None,
        )
        return weights(tmp_path / name)

    first, other = train("first", "a", None), train("other", "b", None)
    warm = train("warm", "b", tmp_path / "first")
    fresh = train("fresh", "b", tmp_path / "first", fresh_heads=True)
    heads = {name for name in first if "seg_layers" in name}
    assert any(name.endswith("weight") for name in heads)
    for name, value in first.items():
        torch.testing.assert_close(warm[name], value)
        torch.testing.assert_close(fresh[name], other[name] if name in heads else value)
        if name.endswith("conv.weight") or (name in heads and name.endswith("weight")):
            assert not torch.allclose(value, other[name])
