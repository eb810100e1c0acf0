"""Protocols load, refuse what they do not know, and digest what decides a result."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from albench.config import StudyConfig, difference, load_protocol, protocol_names
from albench.errors import InputError


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
