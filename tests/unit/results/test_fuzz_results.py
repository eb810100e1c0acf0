"""Every format of a results folder, damaged by Hypothesis: read with a meaning, or refused in one line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albench.check.baseline import load_baseline
from albench.errors import InputError
from albench.results.layout import CONFIG_FILE, RESULTS_FILE, ROUNDS_FILE, RunFolder
from albench.results.pictures import EDGE, Picture, load_gallery
from albench.results.query import Query
from albench.results.settings import Settings
from albench.results.tables import read_pool, read_results, read_rounds
from albench.scoring.cache import ScoreCache
from albench.scoring.request import Need, Scores, ScoringRequest
from albench.study.file import read_study
from albench.units.pool import Pool, Unit
from tests.support.damage import attempt, print_outcomes
from tests.support.report_fixtures import write_study

SHAPE = (6, 7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("fuzz")
    print_outcomes()


CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4)
CUTS = st.none() | st.integers(0, 1 << 20)


def harmed(content: bytes, changes: list[tuple[int, int]], cut: int | None) -> bytes:
    """Other bytes at some places, or the beginning alone."""
    if cut is not None:
        return content[: cut % len(content)]
    made = bytearray(content)
    for place, value in changes:
        made[place % len(made)] = value
    return bytes(made)


# --- JSON

TEXTS = st.sampled_from(["", ".", "..", "a/b", "\x1b[2J", "\ud800", "\0", "$x_1$", "[/b]", "=1+1"]) | st.text(
    max_size=5
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
UNIT = {"case": "a", "index": 1, "axis": 0, "score": 0.5, "gain": None}
QUERY: dict[str, Any] = {"format": 1, "dataset": "d", "strategy": "s", "parameters": {}, "seed": 0, "round": 1}
QUERY |= {"units": [UNIT]}
CONFIG: dict[str, Any] = {"datasets": {"d": {"protocol": {"name": "quick", "training": {"folds": 2}}, "device": "cpu"}}}
BASELINE: dict[str, Any] = {"format": 2, "studies": {"d": {}}, "cells": [], "queries": []}


def places(value: Any) -> list[Any]:
    """All objects and lists in a JSON value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(place for each in inner for place in places(each))] if isinstance(value, dict | list) else []


@st.composite
def json_bytes(draw: st.DrawFn, whole: dict[str, Any]) -> bytes:
    """A value with one in it replaced or gone; or other bytes."""
    made = json.loads(json.dumps(whole))
    place = draw(st.sampled_from(places(made)))
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    if keys and draw(st.booleans()):
        del place[draw(st.sampled_from(keys))]
    elif keys:
        place[draw(st.sampled_from(keys))] = draw(VALUES)
    text = json.dumps(made).encode()
    return harmed(text, draw(CHANGES), draw(CUTS)) if draw(st.booleans()) else text


@given(json_bytes(QUERY))
def test_query(folder: Path, content: bytes) -> None:
    path = folder / "query.json"
    path.write_bytes(content)
    found = attempt("query.json", lambda: Query.read(path))
    if found is not None:
        assert all(isinstance(unit, Unit) and 0 <= unit.index < 2**31 for unit in found.chosen)
        json.dumps([unit.as_json() for unit in found.units], ensure_ascii=False).encode()


@given(json_bytes(CONFIG))
def test_config(folder: Path, content: bytes) -> None:
    (folder / CONFIG_FILE).write_bytes(content)
    found = attempt("config.json", lambda: Settings.read(RunFolder(folder)))
    for study in found.studies if found else ():
        assert study.n_folds >= 1
        texts = [study.dataset, study.protocol, study.device, study.config_hash]
        assert all(isinstance(text, str) for text in texts)
        assert isinstance(study.is_phantom, bool) and isinstance(study.portable(), dict)


@given(json_bytes(BASELINE))
def test_baseline(folder: Path, content: bytes) -> None:
    (folder / "baseline.json").write_bytes(content)
    attempt("baseline", lambda: load_baseline(folder / "baseline.json"))


TOKENS = st.sampled_from(["dataset: ", "phantom\n", "seeds: ", "3\n", "strategy: ", "random\n", "out: ", "set: ", "- "])
TOKENS |= st.sampled_from(
    ["&a ", "*a", "<<: ", "{", "}", "[", "]", "!!python/object ", "1e999", "\x1b", "? ", "\ud800"]
)


@given(st.lists(TOKENS | st.text(max_size=3), max_size=12).map("".join))
def test_study_yaml(folder: Path, text: str) -> None:
    path = folder / "study.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    attempt("study.yaml", lambda: read_study(path))


def test_an_alias_bomb_is_no_study(folder: Path) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    (folder / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"bomb\.yaml: expected YAML, found"):
        read_study(folder / "bomb.yaml")


# --- tables


def table_bytes(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


POOL = Pool(
    (Unit("a", 0), Unit("a", 1)),
    {"a": 0},
    np.ones((2, 3), dtype=np.int64),
    np.ones((2, 3), dtype=np.int64),
    np.array([[0, 0, 0], [1, 0, 0]]),
    np.array([[1, 3, 1], [2, 3, 1]]),
)
CELLS: list[Any] = [
    None,
    "x",
    b"\xff",
    [1, 2],
    {"a": 1},
    np.inf,
    -1.0,
    np.nan,
    1e300,
    True,
    pd.Timestamp("2020"),
    2**62,
]


@pytest.fixture(scope="module")
def tables(folder: Path) -> dict[str, pd.DataFrame]:
    POOL.save(folder / "whole.parquet")
    write_study(folder / "study")
    return {name: pd.read_parquet(folder / "study" / name) for name in (RESULTS_FILE, ROUNDS_FILE)} | {
        "pool.parquet": pd.read_parquet(folder / "whole.parquet")
    }


READERS = {RESULTS_FILE: [read_results], ROUNDS_FILE: [read_rounds], "pool.parquet": [Pool.load, read_pool]}


@given(st.sampled_from(list(READERS)), CHANGES, CUTS, st.none() | st.sampled_from(CELLS), st.integers(0, 99))
def test_tables(
    folder: Path,
    tables: dict[str, pd.DataFrame],
    name: str,
    changes: list[tuple[int, int]],
    cut: int | None,
    cell: Any,
    number: int,
) -> None:
    path, table = folder / name, tables[name]
    column = table.columns[number % len(table.columns)]
    if cell is not None:
        content = table_bytes(table.assign(**{column: [cell] * len(table)}))
    elif number % 2:
        content = table_bytes(table.drop(columns=column))
    else:
        content = harmed(table_bytes(table), changes, cut)
    path.write_bytes(content)
    for read in READERS[name]:
        attempt(name, lambda read=read: read(path))  # type: ignore[misc]


# --- arrays


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


PLANES = {
    f"{name}_{number}": np.arange(42, dtype=np.uint8).reshape(SHAPE)
    for number in range(2)
    for name in ("image", "prediction", "reference", "uncertainty")
}
ARRAYS = [np.zeros(3), np.zeros((0, 4), np.uint8), np.zeros((5, 5, 5), np.uint8), np.array("x"), np.zeros(SHAPE)]
ARRAYS += [np.zeros((EDGE + 1, 2), np.uint8), np.zeros((6, 8), np.uint8)]


@given(CHANGES, CUTS, st.none() | st.sampled_from(ARRAYS), st.sampled_from(list(PLANES)))
def test_gallery(folder: Path, changes: list[tuple[int, int]], cut: int | None, other: Any, name: str) -> None:
    path = folder / "gallery.npz"
    path.write_bytes(harmed(npz(**PLANES), changes, cut) if other is None else npz(**(PLANES | {name: other})))
    for picture in attempt("gallery.npz", lambda: load_gallery(path)) or ():
        assert isinstance(picture, Picture)
        assert {plane.shape for plane in vars(picture).values()} == {SHAPE}


@given(CHANGES, CUTS, st.none() | st.sampled_from(ARRAYS))
def test_score_cache(folder: Path, changes: list[tuple[int, int]], cut: int | None, other: Any) -> None:
    """Whatever the file holds, scores are those that were computed."""
    expected = np.array([0.25, 0.5, 0.75])
    cache = ScoreCache(folder / "scores", "c", ScoringRequest(2, 0.1, 16, False, np.ones(2), ("k",)))

    def scores() -> Any:
        return cache.scores(Need.ENTROPY, lambda needs, known: Scores(entropy=expected))[0].entropy

    path = folder / "scores" / "entropy.npz"
    path.unlink(missing_ok=True)
    scores()
    whole = path.read_bytes()
    context = np.load(path)["context"]
    if other is None or other.dtype.kind == "f":
        path.write_bytes(harmed(whole, changes, cut))
    else:
        path.write_bytes(npz(context=context, values=other))
    np.testing.assert_array_equal(scores(), expected)
