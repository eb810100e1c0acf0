"""The one list of options: what a request takes, and what the command line makes of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from albench.errors import InputError
from albench.study.request import RunRequest, request_fields


def test_texts_become_names_and_paths() -> None:
    request = RunRequest("a, b,a", strategy=["random,usim-f", "full"], out="there", data="data")  # type: ignore[arg-type]
    assert request.dataset == ("a", "b")
    assert request.strategy == ("random", "usim-f", "full")
    assert (request.out, request.data, request.cache) == (Path("there"), Path("data"), None)
    assert RunRequest(("a",), set="x=1,2").set == ("x=1,2",)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": 0}, "seeds: expected a whole number from 1 up, got 0"),
        ({"first_seed": -1}, "first_seed: expected a whole number from 0 up, got -1"),
        ({"seeds": 3, "first_seed": 3}, "first_seed: expected a seed below seeds, which are 3, got 3"),
        ({"seeds": True}, "seeds: expected a whole number from 1 up, got True"),
        ({"seeds": None}, "seeds: expected a whole number from 1 up, got None"),
        ({"rounds": 2.0}, "rounds: expected a whole number from 1 up, got 2.0"),
        ({"gallery": -1}, "gallery: expected a whole number from 0 up, got -1"),
        ({"resume": 1}, "resume: expected true or false, got 1"),
        ({"protocol": ["quick"]}, "protocol: expected a text, got ['quick']"),
        ({"out": ""}, "out: expected a path, got ''"),
        ({"set": {"a": 1}}, "set: expected a list of texts, got {'a': 1}"),
        ({"dataset": " ,"}, "dataset: expected one or more names separated by commas, got ' ,'"),
        ({"strategy": ("random", 1)}, "strategy: expected one or more names separated by commas, got ('random', 1)"),
        ({"strategy": 3}, "strategy: expected one or more names separated by commas, got 3"),
    ],
)
def test_other_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        RunRequest(**{"dataset": ("phantom",)} | values)
    assert str(caught.value) == message


def test_every_field_is_an_option() -> None:
    assert list(request_fields()) == [field.name for field in fields(RunRequest)]
    assert {name: field.kind for name, field in request_fields().items()} == {
        "dataset": tuple, "strategy": tuple, "protocol": str, "seeds": int, "first_seed": int, "rounds": int,
        "budget": int, "set": tuple, "start": str, "split_by": str, "group_by": str, "trust_image_geometry": bool,
        "device": str, "data": Path, "out": Path, "cache": Path,
        "jobs": int, "join": bool, "claim_ttl": int, "checkpoint_minutes": int, "scheduler": str, "cluster": Path,
        "scratch": Path, "resume": bool, "tensorboard": bool, "gallery": int, "claims": tuple,
    }  # fmt: skip


def test_the_command_line_loads_neither_torch_nor_pandas() -> None:
    code = "import sys, albench.terminal.cli; print(*{'torch', 'pandas', 'pydantic', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
