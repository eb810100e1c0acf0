"""A study's result files without a study, and what tests ask of a report's page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd

from albench.results.layout import GALLERY
from albench.results.pictures import save_gallery
from albench.results.tables import ANNOTATED, write_table
from albench.units.view import UnitView

N_POOL_CASES, N_TEST_CASES, N_SLICES = 20, 12, 30
GAIN = {"random": 0.30, "entropy": 0.31, "usim-f": 0.36, "full": 0.42}


def write_study(
    folder: Path,
    *,
    dataset: str = "phantom",
    strategies: tuple[str, ...] = ("random", "entropy", "usim-f", "full"),
    n_seeds: int = 2,
    n_rounds: int = 4,
    first_seed: int = 0,
    budget: int = 40,
    device: str = "cpu",
    draw: int = 11,
    empty_queries: bool = False,
    with_pictures: bool = False,
    n_slices: int = N_SLICES,
) -> Path:
    """Run folder with curves that rise with the budget, drawn from the generator `draw`."""
    rng = np.random.default_rng(draw)
    results, runs = [], []
    hardness = rng.normal(0, 0.05, size=N_TEST_CASES)
    for strategy in strategies:
        for seed in range(first_seed, first_seed + n_seeds):
            for index in [n_rounds - 1] if strategy == "full" else range(n_rounds):
                n_units = N_POOL_CASES * n_slices if strategy == "full" else 40 * (index + 1)
                rise = 1 - np.exp(-n_units / 80)
                # strategies share the first round
                gain = GAIN["random"] if index == 0 else GAIN.get(strategy, 0.3)
                key = {
                    "dataset": dataset,
                    "protocol": "quick",
                    "strategy": strategy,
                    "seed": seed,
                    "round": index,
                }
                key |= dict(zip(ANNOTATED, (n_units, 6400 * n_units, 300 * n_units), strict=True))
                for case, hard in enumerate(hardness):
                    for label, base in [(1, 0.40), (2, 0.25)]:
                        dice = np.clip(base + gain * rise + hard + rng.normal(0, 0.02), 0, 1)
                        absent = label == 2 and case == 0
                        row = {"case": f"test_{case:03d}", "label": label, "label_name": f"structure {label}"}
                        results.append({**key, **row, "dice": np.nan if absent else dice})
                stages = {"startup_s": 1, "score_s": 2, "select_s": 3, "train_setup_s": 4, "evaluate_s": 5}
                runs.append(
                    {
                        **key,
                        **stages,
                        "n_pool_units": N_POOL_CASES * n_slices,
                        "iterations": 600,
                        "train_loss": 0.3,
                        "train_s": 60.0,
                        "overhead_s": 15.0,
                        "peak_rss_mib": 2100.0 + index,
                        "shared": index == 0,
                        "code_version": "0.1.0+abc1234",
                        "config_hash": "0123456789ab",
                        "device": "cpu",
                        "hardware": "Example CPU, 2 cores",
                        "versions": json.dumps({"torch": "2.13.0", "nnunetv2": "2.8.1"}),
                        "started_at": f"2025-01-0{seed + 1}T10:00:00+00:00",
                    }
                )
                middle = n_slices / 2
                width = 2 if strategy == "usim-f" and index else 8
                cases = rng.integers(0, N_POOL_CASES // 2 if strategy == "entropy" else N_POOL_CASES, size=40)
                units = [
                    {
                        "case": f"pool_{case:03d}",
                        "index": int(np.clip(rng.normal(middle, width), 0, n_slices - 1)),
                        "axis": 0,
                        "score": 0.5,
                        "gain": None,
                    }
                    for case in (range(N_POOL_CASES) if strategy == "full" else cases)
                ]
                query = {"dataset": dataset, "strategy": strategy, "seed": seed, "round": index}
                query["units"] = [] if empty_queries else units
                file = folder / dataset / strategy / f"seed-{seed}" / f"round-{index}" / "query.json"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(query))
                if with_pictures and index and strategy != "full":
                    save_gallery(file.with_name(GALLERY), [view(rng) for _ in range(3)], n_labels=3)
    if with_pictures:
        for seed in range(first_seed, first_seed + n_seeds):
            file = folder / dataset / "_shared" / f"seed-{seed}" / "pool.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            units = [(f"pool_{case:03d}", index) for case in range(N_POOL_CASES) for index in range(n_slices)]
            pool = pd.DataFrame(units, columns=["case", "index"])
            pool = pool.assign(n_voxels_0=900, n_voxels_1=100, n_voxels_2=pool["index"] % 2)
            pool.to_parquet(file, index=False)
    write_table(pd.DataFrame(results), folder / "results.parquet")
    write_table(pd.DataFrame(runs), folder / "rounds.parquet")
    protocol = {"name": "quick", "rounds": n_rounds, "budget": budget}
    settings = {"dataset": dataset, "device": device, "protocol": protocol, "config_hash": "0123456789ab"}
    (folder / "config.json").write_text(json.dumps({"datasets": {dataset: settings}}))
    return folder


def view(rng: np.random.Generator, shape: tuple[int, int] = (40, 30)) -> UnitView:
    """A disc of one class in noise, half of it predicted as another."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    disc = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) < min(shape) / 4
    image = (rng.normal(size=shape) + 3 * disc).astype(np.float32)
    prediction = (disc * (1 + (rows > shape[0] / 2))).astype(np.uint8)
    return UnitView(image, prediction, disc.astype(np.uint8), (disc * np.log(3)).astype(np.float32), (1.0, 1.0))


class Page(HTMLParser):
    """What the tests ask of a page: attributes of every tag, open tags left over, cells by table row."""

    VOID = frozenset({"meta", "img", "source", "br", "link"})

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: dict[str, list[str]] = {}
        self.text = ""
        self._row: list[str] | None = None
        self.feed(file.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr" and attributes.get("data-strategy"):
            self._row = self.rows.setdefault(str(attributes["data-strategy"]), [])
        if tag in ("td", "th") and self._row is not None:
            self._row.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        if tag == "tr":
            self._row = None

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data
        if self._row:
            self._row[-1] += data
