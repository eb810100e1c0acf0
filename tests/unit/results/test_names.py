"""Names of result files are said in results/layout.py and nowhere else in the package."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import albench
from albench.results import layout

FILES = [
    layout.CONFIG_FILE,
    layout.RESULTS_FILE,
    layout.ROUNDS_FILE,
    layout.POOL,
    layout.DESCRIPTORS,
    layout.START,
    layout.QUERY,
    layout.GALLERY,
    layout.EVALUATION,
    layout.SHARED,
    "model.pth",
    ".stage.json",
]
NAMES = re.compile("|".join([*map(re.escape, FILES), r"(^|/)(seed|round)-($|[\d*/])", r"model-\d*\.pth"]))
# A table of its own, in the trainer's folder of preprocessed cases.
OTHER_FILES = {("training/preprocess.py", layout.POOL)}


def names_in(source: str) -> list[str]:
    """String constants, parts of f-strings too, that name a result file; docstrings are left out."""
    tree = ast.parse(source)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said)
    return [node.value for node in strings if isinstance(node.value, str) and NAMES.search(node.value)]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('path / "query.json"', ["query.json"]),
        ('f"round-{number}"', ["round-"]),
        ('x = f"{strategy}/seed-{seed}/round-*/evaluation.parquet"', ["/seed-", "/round-*/evaluation.parquet"]),
        ('name = "_shared"', ["_shared"]),
        ('f"{stage}.stage.json"', [".stage.json"]),
        ('"""Writes query.json."""\n"--seed", "per seed-and-round", "query"', []),
    ],
)
def test_such_a_name_is_found(source: str, names: list[str]) -> None:
    assert names_in(source) == names


def test_no_other_room_knows_these_names() -> None:
    root = Path(albench.__file__).parent
    files = [path for path in sorted(root.rglob("*.py")) if path.parent.name != "results"]
    assert len(files) > 100
    found = {(str(path.relative_to(root)), name) for path in files for name in names_in(path.read_text("utf-8"))}
    assert found == OTHER_FILES


def test_the_report_needs_neither_the_study_nor_the_check() -> None:
    root = Path(albench.__file__).parent
    modules = {
        node.module
        for path in (*(root / "report").glob("*.py"), *(root / "results").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert "albench.results.layout" in modules
    assert not [name for name in modules if re.match(r"albench\.(study|check|terminal)\b", name)]
