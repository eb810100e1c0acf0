"""Protocols and settings that are wrong or hostile: one line, in about a second."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from albench.errors import InputError
from albench.protocols import load_protocol
from albench.protocols.settings_text import parse_yaml
from tests.support.damage import attempt


def _levels(line: str) -> str:
    return "a0: &a0 {x: 1}\n" + "".join(line.format(this=f"a{n}", last=f"a{n - 1}") for n in range(1, 30))


FILES: dict[str, bytes] = {
    "laughs": _levels("{this}: &{this} [*{last}, *{last}, *{last}, *{last}]\n").encode(),
    "merges": _levels("{this}: &{this} {{<<: [*{last}, *{last}, *{last}]}}\n").encode(),
    "alias of itself": b"&a {extends: quick, pool: *a}",
    "key that is itself": b"&a {*a : b}",
    "nested lists": b"[" * 30_000,
    "nested objects": b"{a: " * 5_000,
    "nested keys": b"? " * 10_000,
    "many values": b"a: [" + b"1, " * 10_000 + b"]",
    "10 MB": b"a: b\n" * 2_000_000,
    "not UTF-8": b"name: \xff",
    "UTF-16": "name: a".encode("utf-16"),
    "null": b"name: \0",
    "a million digits": b"extends: quick\nrounds: " + b"9" * 5_000,
    "sexagesimal": b"extends: quick\nrounds: " + b"1:" * 10_000 + b"1",
    "date that is none": b"extends: quick\nname: 2001-99-99",
    "tag that is none": b"extends: quick\nname: !!timestamp x",
    "tag of Python": b"extends: quick\nname: !!python/object/apply:os.getcwd []",
    "empty integer": b"extends: quick\nname: !!int ''",
    "datasets that are a list": b"extends: quick\nname: a\ndatasets: [phantom]",
    "data set that is a text": b"extends: quick\nname: a\ndatasets: {phantom: fast}",
    "extends a list": b"extends: [quick]\nname: a",
    "extends a null": b'extends: "a\\0.yaml"\nname: a',
    "extends a long name": b"extends: " + b"a" * 300 + b".yaml\nname: a",
    "number as a key": b"extends: quick\nname: a\n1: 2",
    "list for a section": b"extends: quick\nname: a\npool: [1]",
    "escape in the name": b'extends: quick\nname: "\\e[2J"',
    "no name": b'extends: quick\nname: " "',
    "long name": b"extends: quick\nname: " + b"a" * 20_000,
    "long key": b"extends: quick\n" + b"a" * 20_000 + b": 1",
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_protocol_is_refused_at_once(tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(FILES[name])
    start = time.process_time()
    assert attempt("protocol YAML, wrong files", lambda: load_protocol(str(file), dataset="phantom")) is None
    assert time.process_time() - start < 2


def test_files_that_extend_each_other_without_end_are_refused(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {tmp_path}/{number + 1}.yaml\n")
    with pytest.raises(InputError, match="expected an end of protocols that extend each other"):
        load_protocol(str(tmp_path / "0.yaml"))


@pytest.mark.parametrize(
    "setting",
    [
        "training.initial_lr=.inf",
        "training.initial_lr=.nan",
        "training.initial_lr=-.inf",
        "training.initial_lr=1e300",
        "training.initial_lr='1e999'",
        "training.dice_smooth=.inf",
        "training.momentum=.nan",
        "annotation_cost.slice_s=.inf",
        "annotation_cost.border_voxel_s=1e308",
        "evaluation.tolerance_mm=.inf",
        "pool.test_share=.nan",
        "training.first_iterations=1e300",
        "training.first_iterations=999999999999999999999",
        "rounds=1000000000",
        "budget=99999999999999999999",
        "budget=[1, .inf]",
        "network.base_features=10000000000",
        'pool.group_by="\\e[2J"',
        "pool.patch_size=[1, .nan, 1]",
        "name=" + "a" * 10_000,
        "training.initial_lr=" + "9" * 10_000,
        "training.initial_lr=" + "1:" * 5_000 + "1",
        "training.initial_lr=&a [*a]",
        "training.initial_lr=" + "[" * 10_000,
        "a" * 10_000,
        "\x1b[2J=3",
    ],
)
def test_a_setting_out_of_bounds_is_refused(setting: str) -> None:
    assert attempt("--set, wrong values", lambda: load_protocol("quick", [setting])) is None


def test_aliases_are_fine_in_moderation() -> None:
    assert parse_yaml("here", "a: &a [1, 2]\nb: *a\nc: {<<: {d: 3}}") == {"a": [1, 2], "b": [1, 2], "c": {"d": 3}}
    assert parse_yaml("here", "") is None
