"""Settings of a results folder: as stored, checked before they become paths."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from albench.config import StudyConfig
from albench.errors import InputError
from albench.results.folder import claim_folder
from albench.results.layout import RunFolder
from albench.results.settings import Settings, StudySettings
from tests.support.fake_study import fake_protocol


def config(dataset: str, **changes: Any) -> StudyConfig:
    fixed = {"dataset_checksum": "0", "trainer": "fake", "device": "cpu", "protocol": fake_protocol()}
    return StudyConfig(dataset=dataset, **(fixed | changes))


def stored(tmp_path: Path, datasets: object) -> RunFolder:
    (tmp_path / "config.json").write_text(json.dumps({"datasets": datasets}))
    return RunFolder(tmp_path)


def test_settings_survive_their_file_in_the_order_they_came(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    Settings().updated([config("b"), config("a")]).write(run)
    Settings.read(run).updated([config("b", device="cuda"), config("c")]).write(run)
    found = Settings.read(run)
    assert found.datasets == ["b", "a", "c"]
    assert [study.device for study in found.studies] == ["cuda", "cpu", "cpu"]
    study = found.study("a")
    assert StudyConfig.model_validate(study.values) == config("a")
    assert study.config_hash == config("a").digest()
    assert (study.protocol, study.n_folds) == (fake_protocol().name, 1)


def test_what_belongs_to_the_machine_is_left_out(tmp_path: Path) -> None:
    here, there = StudySettings.of(config("d")), StudySettings.of(config("d", device="cuda"))
    assert here.values != there.values
    assert here.portable() == there.portable()
    assert "config_hash" not in here.portable()
    assert "precision" not in here.portable()["protocol"]["scoring"]
    assert here.portable()["protocol"]["training"]["initial_lr"] == here.values["protocol"]["training"]["initial_lr"]


def test_what_the_images_are_of_is_noted_and_no_setting(tmp_path: Path) -> None:
    told = config("mine", dataset_kind="phantom")
    assert told.digest() == config("mine").digest()
    assert StudySettings.of(told).values == StudySettings.of(config("mine")).values
    claim_folder(tmp_path, [told])
    assert Settings.read(RunFolder(tmp_path)).study("mine").is_phantom
    # a finished study of 0.1, which did not say
    (tmp_path / "mine/random/seed-0/round-0").mkdir(parents=True)
    (tmp_path / "mine/random/seed-0/round-0/train.stage.json").touch()
    values = StudySettings.of(told).stored
    stored(tmp_path, {"mine": {key: value for key, value in values.items() if key != "dataset_kind"}})
    assert not Settings.read(RunFolder(tmp_path)).study("mine").is_phantom
    claim_folder(tmp_path, [told])
    assert Settings.read(RunFolder(tmp_path)).study("mine").is_phantom


@pytest.mark.parametrize("values", [{}, {"protocol": None}, {"protocol": {"training": {}}}, {"device": "cpu"}])
def test_settings_of_other_versions_may_lack_some(tmp_path: Path, values: dict[str, Any]) -> None:
    study = Settings.read(stored(tmp_path, {"d": values})).study(None)
    assert (study.protocol, study.n_folds, study.config_hash) == ("", 1, "")
    assert "device" not in study.portable()


@pytest.mark.parametrize("name", ["", ".", "..", "../elsewhere", "/etc"])
def test_a_data_set_that_leads_elsewhere_is_refused_before_anything_is_removed(tmp_path: Path, name: str) -> None:
    run = stored(tmp_path, {name: {}})
    with pytest.raises(InputError, match=r"config\.json: data set: expected a plain name"):
        Settings.read(run)
    with pytest.raises(InputError, match=r"config\.json: data set: expected a plain name"):
        claim_folder(tmp_path, [config("d")])


def test_the_data_set_that_is_asked_for(tmp_path: Path) -> None:
    one, two = Settings().updated([config("d")]), Settings().updated([config("d"), config("e")])
    assert one.study(None) == one.study("d") == two.study("d")
    for settings, name in ((two, None), (one, "e"), (Settings(), None)):
        with pytest.raises(InputError, match="unknown data set of this study"):
            settings.study(name)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seeds": 1}', '{"datasets": [1]}', '{"datasets": {"d": 1}}'])
def test_damaged_settings_are_named_in_one_line_and_kept(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    for read in (lambda: Settings.read(RunFolder(tmp_path)), lambda: claim_folder(tmp_path, [config("d")])):
        with pytest.raises(InputError) as found:
            read()
        assert str(found.value).startswith(f"{file}: expected ")
        assert "\n" not in str(found.value)
    assert file.read_text() == text


def test_missing_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"config\.json: expected a file written by `al-bench run`, found no such file"
    ):
        Settings.read(RunFolder(tmp_path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"protocol": 3}, "mine: protocol: expected settings by name, found 3"),
        ({"protocol": {"training": 3}}, "protocol.training: expected settings by name, found 3"),
        ({"protocol": {"pool": ["a"]}}, "protocol.pool: expected settings by name, found"),
        ({"protocol": {"name": []}}, "protocol.name: expected a text, found"),
        ({"protocol": {"training": {"folds": "2"}}}, "protocol.training.folds: expected 1 to 10000 folds, found '2'"),
        ({"protocol": {"training": {"folds": 10**9}}}, "protocol.training.folds: expected 1 to 10000 folds"),
        ({"device": {}}, "mine: device: expected a text"),
        ({"protocol": {"rounds": "4"}}, "protocol.rounds: expected 1 to 10000 rounds, found '4'"),
        ({"protocol": {"rounds": 0}}, "protocol.rounds: expected 1 to 10000 rounds, found 0"),
        ({"protocol": {"budget": {}}}, "protocol.budget: expected 1 to 1000000000 units, found {}"),
        ({"protocol": {"budget": [3, True]}}, "protocol.budget: expected 1 to 1000000000 units, found [3, True]"),
    ],
)
def test_settings_that_no_version_wrote(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    stored(tmp_path, {"mine": values})
    with pytest.raises(InputError, match=f"config.json: .*{re.escape(message)}"):
        Settings.read(RunFolder(tmp_path))


def test_another_data_set_of_the_same_name_is_refused_with_both_places(tmp_path: Path) -> None:
    there = config("organ", dataset_checksum="1", dataset_root="/site_b/organ")
    here = config("organ", dataset_checksum="0", dataset_root="/site_a/organ")
    assert StudySettings.of(here).values == StudySettings.of(config("organ")).values
    claim_folder(tmp_path, [here])
    (tmp_path / "organ/random/seed-0/round-0").mkdir(parents=True)
    (tmp_path / "organ/random/seed-0/round-0/train.stage.json").touch()
    with pytest.raises(InputError, match=r"another data set called organ, .* was /site_a/organ, and is /site_b/organ"):
        claim_folder(tmp_path, [there])
    assert Settings.read(RunFolder(tmp_path)).study("organ").root == "/site_a/organ"
    moved = config("organ", dataset_root="/site_b/organ")
    claim_folder(tmp_path, [moved])
    assert Settings.read(RunFolder(tmp_path)).study("organ").root == "/site_b/organ"
