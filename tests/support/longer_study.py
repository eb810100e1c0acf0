"""Studies that are made longer or shorter: what a run does to a folder, and whether two folders hold the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from albench.config import Protocol
from albench.data import Dataset
from albench.machine.files import read_json
from albench.results.folder import output_folder
from albench.results.layout import RunFolder
from albench.results.query import queried_rounds
from albench.results.tables import read_results, read_rounds
from albench.study.claim import claim_results
from albench.study.request import RunRequest
from albench.study.workers import run_studies
from tests.support.fake_study import Listening, fake_protocol, unclaimed_study

STRATEGIES = ("random", "mcd", "claspe", "usim-f", "full")
# What clocks say, and which chain was the first to ask for scores that several share.
TIMES = ("seconds", "score_s", "select_s", "setup_s", "fit_s", "started_at", "peak_rss_mib", "cached_scores", "digest")


def protocol_of(rounds: int, budget: int | tuple[int, ...] = 4, full_iterations: int | None = None) -> Protocol:
    plain = fake_protocol(rounds=rounds)
    training = plain.training.model_copy(update={"full_iterations": full_iterations})
    return plain.model_copy(update={"budget": budget, "training": training})


def claim(
    dataset: Dataset, out: Path, protocol: Protocol, strategies: Sequence[str] = STRATEGIES, seeds: int = 1
) -> list[str]:
    """What a run does before it computes; the lines that it says."""
    said = Listening()
    with output_folder(out, fresh=False):
        request = RunRequest(str(dataset.root), strategy=strategies, seeds=seeds, rounds=protocol.rounds, out=out)
        claim_results(request, [unclaimed_study(dataset, out, protocol)], None, said)
    return said.heard


def run(
    dataset: Dataset, out: Path, protocol: Protocol, strategies: Sequence[str] = STRATEGIES, seeds: int = 1
) -> list[str]:
    """Run a study, or what is left of it."""
    lines = claim(dataset, out, protocol, strategies, seeds)
    run_studies([unclaimed_study(dataset, out, protocol)], strategies, range(seeds), 1)
    return lines


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in TIMES}
    return value


def content(out: Path, wanted: Callable[[str], bool] = lambda place: True) -> dict[str, Any]:
    """Every file of the folder but tables and requests, by its place; records without what clocks say."""
    files = {}
    for path in sorted(out.rglob("*")):
        place = path.relative_to(out).as_posix()
        if (
            path.is_file()
            and path.suffix not in (".parquet", ".csv", ".yaml")
            and wanted(place)
            and path.name[0] != "."
        ):
            files[place] = timeless(read_json(path)) if path.name.endswith(".stage.json") else path.read_bytes()
    return files


def rounds_of(out: Path) -> pd.DataFrame:
    table = read_rounds(out)
    measured = [name for name in table.columns if name.endswith("_s") or name in TIMES]
    return table.drop(columns=measured)


def require_same(out: Path, at_once: Path, left_over: Sequence[str] = ()) -> None:
    """All files the same, but for folders that the first has beside them."""
    known = content(out, lambda place: not place.startswith(("set-aside/", *left_over)))
    expected = content(at_once)
    assert known.keys() == expected.keys()
    assert [place for place in expected if known[place] != expected[place]] == []
    pd.testing.assert_frame_equal(read_results(out), read_results(at_once))
    pd.testing.assert_frame_equal(rounds_of(out), rounds_of(at_once))
    asked = [
        [folder.path.relative_to(root) for folder, _ in queried_rounds(RunFolder(root))] for root in (out, at_once)
    ]
    assert asked[0] == asked[1]


def finished_studies(dataset: Dataset, factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Finished studies by their number of rounds, for copies."""
    made: dict[int, Path] = {}

    def study(rounds: int) -> Path:
        if rounds not in made:
            made[rounds] = factory.mktemp(f"rounds-{rounds}")
            run(dataset, made[rounds], protocol_of(rounds))
        return made[rounds]

    return study


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))
