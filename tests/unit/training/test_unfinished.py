"""Trainings that are stopped and go on: equal to ones that were left alone, whatever became of what was saved."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from albench.machine import files
from albench.machine.files import fenced
from albench.machine.removal import set_aside
from albench.training.base import Saving
from albench.training.unfinished import Keeper, Unfinished
from tests.support.tiny_trainer import TinyTrainer

N = 9


class KilledError(Exception):
    """Stands for a kill: nothing is written after it."""


class Place:
    """Where a training is saved, and what it says."""

    def __init__(self, folder: Path, saved_at: Sequence[int] = range(1, N + 1)) -> None:
        self.folder, self.file, self._saved_at = folder, folder / "train.unfinished", saved_at
        self.said: list[str] = []
        self.begun: list[int] = []
        self.done = 0

    @property
    def saving(self) -> Saving:
        return Saving(
            file=self.file,
            of="cases",
            set_aside=lambda path: set_aside(path, self.folder),
            say=self.said.append,
            begin=self.begun.append,
            every_s=0.0,
            share=math.inf,
        )

    def keeper(self, of: str = "tiny", n_iterations: int = N, batch_size: int = 4) -> Keeper:
        keeper = Keeper(self.saving, of, n_iterations, batch_size)
        asked = keeper.is_due
        keeper.is_due = lambda is_last: asked(is_last) and self.done in self._saved_at  # type: ignore[method-assign]
        return keeper

    def train(
        self, kill_at: int = 0, *, scaled: bool = False, do: Callable[[int], None] = lambda n: None, **options: Any
    ) -> tuple[float, dict[str, torch.Tensor]]:
        """Train, from what is saved; nothing of it is left after `kill_at` iterations of this attempt."""
        trainer, keeper = TinyTrainer(N, scaled=scaled), self.keeper()
        unfinished = keeper.read(trainer.network.state_dict())
        keeper.begin(unfinished)
        self.done = begun = self.begun[-1]

        def on_iteration(loss: float) -> None:
            self.done += 1
            do(self.done)
            if self.done - begun == kill_at:
                raise KilledError

        loss = trainer.fit(n_workers=0, on_iteration=on_iteration, keeper=keeper, unfinished=unfinished, **options)
        return loss, trainer.values


def require_equal(found: tuple[float, dict[str, torch.Tensor]], scaled: bool = False) -> None:
    trainer = TinyTrainer(N, scaled=scaled)
    assert found[0] == trainer.fit(n_workers=0)
    assert found[1].keys() == trainer.values.keys()
    for name, value in trainer.values.items():
        assert torch.equal(found[1][name], value), name


@given(
    kills=st.lists(st.integers(1, N), max_size=4),
    saved_at=st.sets(st.integers(1, N)),
    scaled=st.booleans(),
    noise=st.integers(0, 2**32 - 1),
)
@settings(max_examples=12)
def test_wherever_it_is_killed_it_ends_as_if_left_alone(
    kills: list[int], saved_at: set[int], scaled: bool, noise: int
) -> None:
    with TemporaryDirectory() as folder:
        place = Place(Path(folder), sorted(saved_at))
        for kill_at in kills:
            random.seed(noise)  # another process begins with other states
            np.random.seed(noise)  # noqa: NPY002
            torch.manual_seed(noise)
            with contextlib.suppress(KilledError):
                place.train(kill_at, scaled=scaled)
        require_equal(place.train(scaled=scaled), scaled)
        assert all(begun == 0 or begun in saved_at for begun in place.begun)
        assert [f"goes on at iteration {begun}" for begun in place.begun if begun] == place.said


def test_what_is_saved_after_the_last_iteration_needs_none_more(tmp_path: Path) -> None:
    place = Place(tmp_path)
    keeper = Keeper(replace(place.saving, at_end=True), "tiny", N, 4)
    trainer = TinyTrainer(N)
    loss = trainer.fit(n_workers=0, keeper=keeper)
    found = place.train(do=lambda n: pytest.fail("an iteration"))
    require_equal(found)
    assert found[0] == loss and place.begun == [N]


def test_asked_to_end_it_is_saved_after_that_very_iteration(tmp_path: Path) -> None:
    place = Place(tmp_path)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            place.train(do=lambda n: os.kill(os.getpid(), signal.SIGTERM) if n == 4 else None)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert place.said == ["saved at iteration 4"] and place.done == 4
    require_equal(place.train())
    assert place.begun == [0, 4]


def test_what_takes_long_is_done_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("albench.training.unfinished.time.monotonic", lambda: now[0])
    keeper = Keeper(replace(Place(tmp_path).saving, every_s=600, share=0.01), "tiny", N, 4)

    def slow(unfinished: Unfinished) -> None:
        now[0] += 9

    monkeypatch.setattr(keeper, "_write", slow)
    now[0] = 599
    assert not keeper.is_due(is_last=False)
    now[0] = 600
    assert keeper.is_due(is_last=False) and not keeper.is_due(is_last=True)
    trainer = TinyTrainer(N)
    keeper.write(trainer._unfinished(torch.zeros(3).double(), 0.0, ()))
    now[0] += 899
    assert not keeper.is_due(is_last=False)
    now[0] += 1
    assert keeper.is_due(is_last=False)


def stopped(place: Place, at: int = 5) -> bytes:
    with pytest.raises(KilledError):
        place.train(at)
    place.said.clear()
    return place.file.read_bytes()


def _link(file: Path) -> None:
    file.rename(file.with_name("other"))
    file.symlink_to("other")


def _rewritten(file: Path, change: Callable[[Unfinished], Any]) -> None:
    """Replace what a file holds, with a digest that fits."""
    place = Place(file.parent)
    keeper = place.keeper()
    unfinished = keeper.read(TinyTrainer(N).network.state_dict())
    assert unfinished is not None
    changed = change(unfinished)
    keeper.write(changed if isinstance(changed, Unfinished) else replace(unfinished, **changed))
    assert place.said == []


def _values(unfinished: Unfinished, **changes: Any) -> dict[str, Any]:
    return {"weights": {**unfinished.weights, **changes}}


SPOILT = {
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-1000]),
    "flipped": lambda file: file.write_bytes(file.read_bytes().replace(b"momentum", b"Momentum", 1)),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "huge": lambda file: os.truncate(file, 2**40),
    "another format": lambda file: file.write_bytes(file.read_bytes().replace(b"training 1", b"training 2", 1)),
    "noise": lambda file: file.write_bytes(random.Random(1).randbytes(5000)),
    "a link": _link,
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "no weight": lambda file: _rewritten(file, lambda old: {"weights": {}}),
    "other shape": lambda file: _rewritten(file, lambda old: _values(old, **{"0.bias": torch.zeros(3)})),
    "other type": lambda file: _rewritten(file, lambda old: _values(old, **{"0.bias": torch.zeros(8).double()})),
    "not finite": lambda file: _rewritten(file, lambda old: _values(old, **{"0.bias": torch.full((8,), torch.nan)})),
    "too far": lambda file: _rewritten(file, lambda old: {"losses": torch.zeros(N + 1).double()}),
    "no losses": lambda file: _rewritten(file, lambda old: {"losses": 3}),
    "larger batches": lambda file: _rewritten(file, lambda old: {"batch_size": 5}),
    "scaler": lambda file: _rewritten(file, lambda old: {"scaler": {"scale": 2.0}}),
    "no time": lambda file: _rewritten(file, lambda old: {"seconds": float("nan")}),
    "warnings": lambda file: _rewritten(file, lambda old: {"warnings": (3,)}),
    "generators": lambda file: _rewritten(file, lambda old: {"generators": {**old.generators, "torch": 1}}),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_damaged_is_set_aside_and_the_training_starts_over(
    spoil: Callable[[Path], Any], tmp_path: Path
) -> None:
    place = Place(tmp_path)
    stopped(place)
    spoil(place.file)
    require_equal(place.train())
    (line,) = place.said
    assert line.startswith(f"starts over: {place.file} is ") and "\n" not in line
    assert line.endswith(f"; it is {tmp_path / 'set-aside' / 'train.unfinished-1'} now")
    assert os.path.lexists(tmp_path / "set-aside" / "train.unfinished-1")
    assert place.begun == [0, 0]


def test_what_runs_code_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    place = Place(tmp_path)
    stopped(place)
    _rewritten(place.file, lambda old: {"warnings": (Bomb(),)})
    require_equal(place.train())
    assert not (tmp_path / "ran").exists() and place.begun == [0, 0]


def test_another_training_is_not_gone_on_with(tmp_path: Path) -> None:
    place = Place(tmp_path)
    stopped(place)
    assert place.keeper(of="other units").read(TinyTrainer(N).network.state_dict()) is None
    assert "of another training" in place.said[0]


def test_a_full_disk_is_said_and_the_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, [2, 3])
    sync, n_calls = files.sync, iter(range(100))

    def full(path: Path) -> None:
        if next(n_calls) > 1:  # the file of the second iteration, and its folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    monkeypatch.setattr(files, "sync", full)
    require_equal(place.train())
    (line,) = place.said
    assert line.startswith("not saved at iteration 3: ") and "no space left on the device" in line
    assert [path.name for path in tmp_path.iterdir()] == ["train.unfinished"]  # the one before, whole
    place.said.clear()
    monkeypatch.undo()
    require_equal(place.train())
    assert place.said == ["goes on at iteration 2"]


def test_who_lost_the_claim_neither_writes_nor_moves_anything(tmp_path: Path) -> None:
    class LostError(RuntimeError):
        pass

    def lost() -> None:
        raise LostError

    place = Place(tmp_path)
    before = stopped(place)
    with fenced(lost), pytest.raises(LostError):
        place.train()
    assert place.file.read_bytes() == before
    place.file.write_bytes(b"damaged")
    with fenced(lost), pytest.raises(LostError):
        place.train()
    assert place.file.read_bytes() == b"damaged"


@pytest.mark.parametrize("name", ["weights", "momentum", "scaler", "generators"])
def test_every_part_of_the_state_matters(name: str, tmp_path: Path) -> None:
    """Else a part could be lost, and the tests above would not notice."""
    place = Place(tmp_path)
    with pytest.raises(KilledError):
        place.train(5, scaled=True)
    fresh, unfinished = TinyTrainer(N, scaled=True), place.keeper().read(TinyTrainer(N).network.state_dict())
    assert unfinished is not None
    at_first = Unfinished.of(
        fresh.network, fresh.optimizer, fresh.grad_scaler, batch_size=4, warnings=(), seconds=0.0, losses=torch.empty(0)
    )
    changed = replace(unfinished, **{name: getattr(at_first, name)})
    fresh.fit(n_workers=0, unfinished=changed)
    whole = TinyTrainer(N, scaled=True)
    whole.fit(n_workers=0)
    assert not all(torch.equal(value, fresh.values[key]) for key, value in whole.values.items())
