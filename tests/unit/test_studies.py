"""The committed studies: each can be asked for as it stands, and their kept results make their tables."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

from albench.protocols import load_protocol
from albench.results.layout import RunFolder
from albench.results.registered import parse_claims, read_registered, register
from albench.results.settings import Settings
from albench.results.tables import RESULT_KEYS, RUN_KEYS
from albench.strategies import label_of, make_strategy
from albench.study.file import read_study
from albench.study.request import RunRequest
from albench.study.run import require_asked
from tests.support.report_fixtures import write_study

ROOT = Path(__file__).parents[2] / "benchmarks"
FILES = sorted((ROOT / "studies").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_committed_study_can_be_asked_for(file: Path) -> None:
    request = RunRequest(**read_study(file))
    load_protocol(request.protocol, request.set, dataset=request.dataset[0], split_by=request.split_by)
    require_asked(request.claims, [label_of(make_strategy(text)) for text in request.strategy])
    assert request.claims, "a study says beforehand what it asks"
    assert request.seeds >= request.claims[0].looks[0]
    assert f"| {file.name} |" in (ROOT / "studies/README.md").read_text()


def test_what_is_kept_of_a_study_makes_its_tables(tmp_path: Path) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept"
    out.mkdir()
    claim = {"strategy": "usim-f", "endpoint": "final", "smallest": 0.01, "looks": [3, 6]}
    register(out, parse_claims([claim], "claims"))
    write_study(out, n_seeds=3, n_rounds=2, with_pictures=True)
    script = runpy.run_path(str(ROOT / "studies.py"))
    script["main"]([str(out), str(kept)])
    text = (kept / "tables.md").read_text()
    assert "usim-f over random, final Dice" in text
    assert "### What the batches hold" in text
    assert str(tmp_path) not in text
    assert read_registered(kept) == read_registered(out)
    assert Settings.read(RunFolder(kept)).study(None).root is None
    script["main"]([str(kept)])
    assert (kept / "tables.md").read_text() == text


def test_seeds_of_another_machine_join_those_kept(tmp_path: Path) -> None:
    claim = {"strategy": "usim-f", "endpoint": "final", "smallest": 0.01, "looks": [3, 6]}
    script, kept = runpy.run_path(str(ROOT / "studies.py")), tmp_path / "kept"
    for name, n_seeds, first_seed in (("here", 2, 0), ("there", 3, 2), ("overlapping", 2, 4)):
        (tmp_path / name).mkdir()
        register(tmp_path / name, parse_claims([claim], "claims"))
        write_study(tmp_path / name, n_seeds=n_seeds, first_seed=first_seed, n_rounds=2, with_pictures=True)
        if name != "overlapping":
            script["keep"](tmp_path / name, kept)
            script["keep"](tmp_path / name, tmp_path / f"{name}-alone")
    alone = [tmp_path / "here-alone", tmp_path / "there-alone"]
    for file, keys in (("results.parquet", RESULT_KEYS), ("rounds.parquet", RUN_KEYS)):
        both = pd.concat([pd.read_parquet(folder / file) for folder in alone]).sort_values(keys, ignore_index=True)
        joined = pd.read_parquet(kept / file).sort_values(keys, ignore_index=True)
        pd.testing.assert_frame_equal(joined, both, check_like=True)
    here, there, joined = (pd.read_csv(folder / "batches.csv") for folder in (*alone, kept))
    assert (joined["n_seeds"] == 5).all()
    pd.testing.assert_series_equal(joined["fg_share"], (2 * here["fg_share"] + 3 * there["fg_share"]) / 5)
    assert "3 of 3, 6 seeds" in script["tables"](kept).replace("\u00a0", " ")
    before = {path: path.read_bytes() for path in kept.iterdir()}
    with pytest.raises(SystemExit, match=r"both have \[4\]"):
        script["main"]([str(tmp_path / "overlapping"), str(kept)])
    assert {path: path.read_bytes() for path in kept.iterdir()} == before


def test_what_a_setting_changes_is_told_seed_by_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(ROOT / "settings.py"))
    for name in ("base", "other"):
        (tmp_path / name).mkdir()
        write_study(tmp_path / name, n_seeds=4, n_rounds=2)
    table = tmp_path / "other" / "results.parquet"
    results = pd.read_parquet(table)
    later = (results["strategy"] == "usim-f") & (results["round"] == 1) & (results["label"] > 0)
    results.loc[later, "dice"] += 0.02
    results[results["seed"] > 0].to_parquet(table, index=False)
    script["main"]([str(tmp_path / "base"), str(tmp_path / "other")])
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].split("|")[1:-1]]
    same, more = "+0.000 [+0.000, +0.000]", "+0.020 [+0.020, +0.020]"
    assert cells[:5] == ["[other](other/tables.md)", "3", same, same, more]
    assert cells[6] == more
    pd.read_parquet(table).assign(dataset="heart").to_parquet(table, index=False)
    with pytest.raises(SystemExit, match="other: expected data set "):
        script["main"]([str(tmp_path / "base"), str(tmp_path / "other")])
