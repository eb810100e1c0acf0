"""Plans, descriptions and models of somebody else: exported as what they have to be, or refused in one line."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from albench.errors import InputError
from albench.machine.files import write_json
from albench.results.stages import run_stage
from albench.study.export import export_round
from albench.training.checkpoint import read_checkpoint
from albench.training.export import prepared_in
from tests.support.hostile import (
    DESCRIPTION,
    PLANS,
    Bomb,
    bombs,
    changed,
    hostile_plans,
    planned,
    sign,
    write_model,
)

pytestmark = pytest.mark.timeout(120)  # what waits for a pipe, or reads a device to its end, fails


@pytest.fixture
def exportable(tmp_path: Path) -> Path:
    """A folder with one round's real model of a tiny network."""
    folder = tmp_path / "study"
    write_json(folder / "config.json", {"datasets": {"d": {"protocol": {"training": {"folds": 1}}}}})
    here = folder / "d/random/seed-0/round-1"
    store = planned(folder / "d/_shared/seed-0")
    run_stage(here, "train", ["model.pth"], lambda: write_model(here / "model.pth", store) or {})
    return folder


def export(folder: Path) -> Path:
    return export_round(
        folder, dataset=None, strategy="random", seed=0, round_number=None, results=folder.with_name("to") / "results"
    )


def test_a_sound_model_is_exported_as_it_was(exportable: Path) -> None:
    folder = export(exportable)
    stored = torch.load(folder / "fold_0/checkpoint_final.pth", weights_only=True)
    own = torch.load(exportable / "d/random/seed-0/round-1/model.pth", weights_only=True)
    assert {**stored, "network_weights": None} == {**own, "network_weights": None}
    assert stored["network_weights"].keys() == own["network_weights"].keys()
    assert all(
        torch.equal(stored["network_weights"][name], own["network_weights"][name]) for name in own["network_weights"]
    )
    assert json.loads((folder / "plans.json").read_text()) == PLANS
    assert json.loads((folder / "dataset.json").read_text()) == DESCRIPTION


PLANS_KINDS = sorted(hostile_plans(""))


@pytest.mark.parametrize("kind", PLANS_KINDS)
def test_hostile_plans_are_refused_and_nothing_is_written(exportable: Path, kind: str) -> None:
    canary = exportable.with_name("canary")
    store = prepared_in(exportable / "d/_shared/seed-0")
    (store.folder / "nnUNetPlans.json").write_text(json.dumps(hostile_plans(str(canary))[kind]))
    before = sorted(exportable.parent.rglob("*"))
    with pytest.raises(InputError, match=r"nnUNetPlans\.json: "):
        export(exportable)
    assert sorted(exportable.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file_ending", "/../../x"),
        ("file_ending", ""),
        ("labels", {"../x\x1b": 1}),
        ("labels", {"organ": 10**30}),
        ("channel_names", {}),
        ("channel_names", {"../x": "CT"}),
        ("overwrite_image_reader_writer", "os.system"),
        ("regions_class_order", [1]),
    ],
)
def test_hostile_descriptions_are_refused(exportable: Path, key: str, value: Any) -> None:
    store = prepared_in(exportable / "d/_shared/seed-0")
    write_json(store.folder / "dataset.json", changed(DESCRIPTION, key, to=value))
    with pytest.raises(InputError, match=r"dataset\.json: "):
        export(exportable)
    assert not exportable.with_name("to").exists()


def damage_model(path: Path, kind: str) -> None:
    """Put another model, or no model, in place of one."""
    content = torch.load(path, weights_only=True)
    weights = content["network_weights"]
    name = next(iter(weights))
    canary = path.parents[4] / "canary"
    if kind in bombs(canary):
        path.write_bytes(bombs(canary)[kind])
        return
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02}." + bytes(10**7))
        return
    if kind == "empty":
        path.write_bytes(b"")
        return
    if kind == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return
    weight = weights[name]
    other: dict[str, Callable[[], object]] = {
        "nan": lambda: weight * float("nan"),
        "shape": lambda: weight[:1],
        "whole numbers": lambda: weight.to(torch.int32),
        "huge": lambda: torch.zeros(1).expand(10**12),
        "no memory": lambda: torch.empty(10**12, device="meta"),
        "sparse": lambda: torch.sparse_coo_tensor(size=(10**9, 10**9), check_invariants=True),
        "text": lambda: "weight",
        "object": lambda: Bomb(canary),
    }
    if kind in other:
        weights[name] = other[kind]()
    elif kind == "another":
        weights["more"] = weight
    elif kind == "lacking":
        del weights[name]
    elif kind == "keys":
        content["optimizer_state"] = {}
    elif kind == "trainer":
        content["trainer_name"] = "../x"
    elif kind == "configuration":
        content["init_args"]["configuration"] = "../../x"
    elif kind == "axes":
        content["inference_allowed_mirroring_axes"] = [10**9]
    elif kind == "list":
        content = [content]
    torch.save(content, path)


MODELS = [
    "pickle", "protocol 0", "torch", "old torch", "npz", "blosc2", "zip", "empty", "half", "nan", "shape", "huge",
    "whole numbers", "no memory", "sparse", "text", "object", "another", "lacking", "keys", "trainer", "configuration",
    "axes", "list",
]  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_hostile_models_are_named_in_one_line(exportable: Path, kind: str) -> None:
    model = exportable / "d/random/seed-0/round-1/model.pth"
    store = prepared_in(exportable / "d/_shared/seed-0")
    damage_model(model, kind)
    sign(exportable)
    for read in (lambda: export(exportable), lambda: read_checkpoint(model, store)):
        with pytest.raises(InputError, match=r"model\.pth: expected a model") as found:
            read()
        assert "\n" not in str(found.value)
    assert not exportable.with_name("canary").exists() and not exportable.with_name("to").exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_model_that_is_no_file_is_refused(exportable: Path, kind: str) -> None:
    model = exportable / "d/random/seed-0/round-1/model.pth"
    store = prepared_in(exportable / "d/_shared/seed-0")
    elsewhere = exportable.with_name("model.pth")
    model.rename(elsewhere)
    if kind == "link":
        model.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(model)
    else:
        model.mkdir()
    for read in (lambda: export(exportable), lambda: read_checkpoint(model, store)):
        with pytest.raises(InputError, match=r"model\.pth"):
            read()
    assert not exportable.with_name("to").exists()


def test_strategies_and_seeds_of_the_command_are_names(exportable: Path) -> None:
    for strategy in ("..", "../random", "_shared/../random", "", "x" * 300, "a\0"):
        with pytest.raises(InputError):
            export_round(
                exportable,
                dataset=None,
                strategy=strategy,
                seed=0,
                round_number=None,
                results=exportable.with_name("to"),
            )
