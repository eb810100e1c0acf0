"""Protocols load, refuse what they do not know, and digest what decides a result."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from albench.config import StudyConfig, difference
from albench.errors import InputError
from albench.protocols import load_protocol, protocol_names


def config(**changes: object) -> StudyConfig:
    values = {
        "dataset": "phantom",
        "dataset_checksum": "0" * 64,
        "trainer": "fake",
        "device": "cpu",
        "protocol": load_protocol("quick"),
    }
    return StudyConfig.model_validate(values | changes)


@pytest.mark.parametrize("name", protocol_names())
def test_packaged_protocols_are_valid(name: str) -> None:
    assert load_protocol(name).name == name


def test_overrides_replace_and_none_keeps() -> None:
    protocol = load_protocol("quick", rounds=2, budget=None)
    assert protocol.rounds == 2
    assert protocol.budget == load_protocol("quick").budget
    assert protocol.chain_iterations == protocol.training.first_iterations + protocol.training.round_iterations


def test_single_settings_are_replaced_by_their_path() -> None:
    protocol = load_protocol("quick", ["training.initial_lr=1e-3", "pool.max_cases=null", "budget=7"], budget=3)
    assert (protocol.training.initial_lr, protocol.pool.max_cases, protocol.budget) == (0.001, None, 7)
    assert protocol.training.momentum == load_protocol("quick").training.momentum


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.initial_rl=1", "unknown setting 'training.initial_rl'; did you mean training.initial_lr"),
        ("training.initial_lr=fast", "setting training.initial_lr: .* got 'fast'"),
        ("budget", "--set budget: expected setting=value"),
        ("budget.size=3", "--set budget.size=3: expected setting=value"),
        ("budget=[", "--set budget=\\[: expected a value"),
    ],
)
def test_a_bad_setting_is_named(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_protocol("quick", [setting])


def test_the_start_method_is_a_setting_of_the_pool(tmp_path: Path) -> None:
    quick = load_protocol("quick")
    assert quick.pool.start_method == "random"
    typical = load_protocol("quick", start_method="typical")
    assert difference(quick.model_dump(), typical.model_dump()) == ["pool.start_method: 'random' -> 'typical'"]
    path = tmp_path / "mine.yaml"
    pool = {key: value for key, value in quick.pool.model_dump().items() if key != "start_method"}
    path.write_text(yaml.safe_dump(quick.model_dump() | {"pool": pool}))  # as written before the setting existed
    assert load_protocol(str(path)) == quick
    path.write_text(yaml.safe_dump(quick.model_dump() | {"pool": pool | {"start_method": "first"}}))
    with pytest.raises(InputError, match=r"setting pool.start_method: .* got 'first'"):
        load_protocol(str(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "quik"}, "unknown protocol 'quik'; did you mean quick"),
        ({"name": "quick", "start_method": "k-center"}, "unknown start method 'k-center'; did you mean k-centre"),
        ({"name": "quick", "rounds": 0}, "protocol 'quick', setting rounds: .* got 0"),
        ({"name": "quick", "epochs": 3}, "protocol 'quick', setting epochs: .* got 3"),
    ],
)
def test_bad_protocols_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_protocol(**arguments)  # type: ignore[arg-type]


def test_digest_follows_content() -> None:
    assert config().digest() == config().digest()
    assert config().digest() != config(protocol=load_protocol("quick", budget=7)).digest()
    assert config().digest() != config(dataset_checksum="1" * 64).digest()


def test_difference_names_leaves() -> None:
    old, new = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5}
    assert difference(old, new) == ["a.c: 2 -> 4", "d: 3 -> None", "e: None -> 5"]


def test_a_file_is_a_protocol_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(load_protocol("quick").model_dump() | {"name": "mine", "budget": 3}))
    assert load_protocol(str(path)).budget == 3


def test_a_data_set_has_settings_of_its_own() -> None:
    plain, hippocampus, acdc = (load_protocol("nnactive", dataset=name) for name in (None, "hippocampus", "acdc"))
    assert plain.pool.patch_size is None
    assert (hippocampus.pool.patch_size, hippocampus.budget) == ((20, 20, 20), 40)
    assert (acdc.pool.patch_size, acdc.pool.start, acdc.budget) == ((4, 40, 40), 60, 60)
    assert acdc.pool.test_share == plain.pool.test_share
    assert load_protocol("nnactive", dataset="acdc", budget=7).budget == 7
    assert load_protocol("nnactive", dataset="unheard-of") == plain


def test_settings_of_a_data_set_are_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    datasets = {"datasets": {"spleen": {"training": {"folds": 0}}}}
    path.write_text(yaml.safe_dump(load_protocol("quick").model_dump() | datasets))
    assert load_protocol(str(path)).training.folds == 1
    with pytest.raises(InputError, match=r"setting training.folds: .* got 0"):
        load_protocol(str(path), dataset="spleen")


@pytest.mark.parametrize(
    ("section", "setting", "value", "message"),
    [
        ("pool", "patch_size", [4, 4, 4], r"setting pool.patch_size: expected null with network.configuration 2d"),
        (
            "pool",
            "patch_grid",
            "overlapping",
            r"setting pool.patch_grid: expected tiling with network.configuration 2d",
        ),
        ("scoring", "source", "ensemble", r"setting scoring.source: expected training.folds of at least 2 .*, got 1"),
        ("evaluation", "mirroring", True, r"setting evaluation.mirroring: expected training.mirroring true as well"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(section: str, setting: str, value: object, message: str) -> None:
    values = getattr(load_protocol("quick"), section).model_dump() | {setting: value}
    with pytest.raises(InputError, match=message):
        load_protocol("quick", **{section: values})


def test_settings_that_a_file_leaves_out_can_be_set(tmp_path: Path) -> None:
    found = load_protocol("quick", ["training.folds=3", "scoring.source=ensemble", "pool.max_per_case=2"])
    assert (found.training.folds, found.scoring.source, found.pool.max_per_case) == (3, "ensemble", 2)
    with pytest.raises(InputError, match=r"unknown setting 'training.fold'; did you mean training.folds"):
        load_protocol("quick", ["training.fold=3"])


def test_2d_protocols_need_not_know_of_patches_and_folds(tmp_path: Path) -> None:
    quick = load_protocol("quick").model_dump()
    for section, settings in (
        ("pool", ("patch_size", "max_per_case")),
        ("training", ("folds",)),
        ("scoring", ("source",)),
    ):
        for setting in settings:
            del quick[section][setting]
    del quick["evaluation"]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(quick))
    assert load_protocol(str(path)) == load_protocol("quick")


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "expected a YAML file, found none"), ("a: [", "expected YAML"), ("- 1", "expected settings by name")],
)
def test_a_bad_protocol_file_is_named(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_protocol(str(path))
