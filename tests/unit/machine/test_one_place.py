"""Deletes and readers that could run something stand in the one module that holds them to their rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import albench

ROOT = Path(albench.__file__).parent
HOMES = {
    r"\brmtree\(": {"machine/removal.py"},
    r"\btorch\.load\(": {"training/checkpoint.py"},
    r"\bnp\.load\(|\bread_array\(stream": {"machine/foreign.py"},
    r"\bread_parquet\(|\bParquetFile\(": {"machine/foreign.py"},
    r"\bload_pickle\(|\bjoblib\.load|\bread_pickle\(|allow_pickle=True|weights_only=False": {
        "training/checkpoint.py"
    },  # --trust-checkpoint
    r"\bblosc2\.open\(": set(),
    r"\bpickle\.loads?\(": {"study/processes.py"},  # between processes of one run, nothing from a file
}


@pytest.mark.parametrize("call", HOMES)
def test_it_is_called_in_one_place(call: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if any(re.search(call, line.split("#")[0]) for line in path.read_text(encoding="utf-8").splitlines())
    }
    assert found == HOMES[call]
