"""The packaged protocols say what their sources say, data set by data set."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from pathlib import Path

import pytest

from albench.config import Protocol
from albench.data.registry import REGISTRY
from albench.errors import InputError
from albench.protocols import dataset_settings, load_protocol, protocol_names
from albench.strategies.registry import strategy_names

ROOT = Path(__file__).parents[2]
EPOCH = 250  # nnU-Net's iterations


def annotated(protocol: Protocol) -> list[int]:
    """Units annotated at each training."""
    return list(accumulate(protocol.budgets, initial=protocol.pool.start))


@pytest.mark.parametrize(
    ("dataset", "units"),
    [  # the axes of Föllmer et al. 2024, figure 2
        ("spleen", [100, 200, 300, 400, 500, 600]),
        ("liver", [100, 200, 300, 400, 500, 2400, 4400]),
        ("hippocampus", [100, 200, 300, 400, 500, 600, 1500, 2400]),
        ("pancreas", list(range(100, 1101, 100))),  # not of the paper: what its code does
    ],
)
def test_the_paper_annotates_as_much_as_its_figure_shows(dataset: str, units: list[int]) -> None:
    assert annotated(load_protocol("paper", dataset=dataset)) == units


def test_the_paper_trains_as_its_code_does() -> None:
    protocol = load_protocol("paper", dataset="hippocampus")
    training = protocol.training
    assert training.first_iterations == training.round_iterations == 300 * EPOCH
    assert protocol.ceiling_iterations == 1000 * EPOCH
    assert training.warm_start
    assert training.reinitialise_heads
    assert (training.case_sampling, training.window_offset, training.dice_smooth) == ("uniform", False, 1e-5)


@pytest.mark.parametrize(
    ("dataset", "patch", "sizes"),
    [
        ("hippocampus", (20, 20, 20), (20, 40, 60)),
        ("acdc", (4, 40, 40), (30, 60, 90)),
        ("liver", (28, 44, 39), (150, 150, 150)),
        ("phantom", None, (20, 40, 60)),  # not of nnActive
    ],
)
def test_nnactive_has_three_budgets(dataset: str, patch: tuple[int, ...] | None, sizes: tuple[int, ...]) -> None:
    for name, size in zip(("nnactive-low", "nnactive", "nnactive-high"), sizes, strict=True):
        protocol = load_protocol(name, dataset=dataset)
        assert protocol.name == name
        assert protocol.pool.patch_size == patch
        assert annotated(protocol) == [size * number for number in range(1, 6)]
        same = load_protocol("nnactive", dataset=dataset)
        assert (protocol.training, protocol.network, protocol.scoring) == (same.training, same.network, same.scoring)


def test_nnactive_trains_and_places_patches_as_its_code_does() -> None:
    protocol = load_protocol("nnactive", dataset="hippocampus")
    training, pool = protocol.training, protocol.pool
    assert training.first_iterations == training.round_iterations == protocol.ceiling_iterations == 200 * EPOCH
    assert (training.case_sampling, training.window_offset, training.dice_smooth) == ("uniform", True, 0.0)
    assert (training.folds, training.warm_start) == (5, False)
    assert (pool.patch_grid, pool.start_method, pool.max_per_case) == ("overlapping", "all-classes", 20)


def test_sections_are_of_known_data_sets() -> None:
    for name in REGISTRY:
        for protocol in dataset_settings(name):
            load_protocol(protocol, dataset=name)
    # what no data set of the name could ever use would be a slip
    used = {protocol for name in REGISTRY for protocol in dataset_settings(name)}
    assert used == {"paper", "nnactive", "nnactive-low", "nnactive-high"} <= set(protocol_names())


def test_quick_is_as_it_was() -> None:
    """Each setting that came later has the value that changes nothing."""
    quick = load_protocol("quick", dataset="hippocampus")
    assert quick.budgets == (40, 40, 40)
    assert quick.ceiling_iterations == quick.chain_iterations == 600 + 3 * 350
    training, pool = quick.training, quick.pool
    assert (training.case_sampling, training.window_offset, training.dice_smooth) == ("units", False, 1e-5)
    assert not training.reinitialise_heads
    assert (pool.patch_grid, pool.start_method) == ("tiling", "random")


def test_the_demo_is_quick_but_smaller() -> None:
    demo, quick = load_protocol("demo", dataset="phantom-gland"), load_protocol("quick")
    assert annotated(demo) == [24, 40, 56]
    small = {"base_features": 8, "max_edge": 48}
    assert demo.network == quick.network.model_copy(update=small)
    assert demo.training == quick.training.model_copy(update={"oversample_foreground": 0.5})
    assert (demo.scoring, demo.cpu_threads) == (quick.scoring, quick.cpu_threads)


def test_every_demo_is_the_same_study() -> None:
    """`make demo`, the container's default and what the docs tell to type."""
    make = re.search(r"al-bench run (--dataset .*)\n\t\t--out out/demo", (ROOT / "Makefile").read_text())
    compose = re.search(r"command: (\[.*\])", (ROOT / "docker" / "compose.yaml").read_text())
    assert make
    assert compose
    words = make[1].rstrip("\\ ").split()
    assert json.loads(compose[1]) == words
    for page in ("README.md", "docs/docker.md"):
        text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", "")
        assert " ".join(words) in " ".join(text.split()), page
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options["--dataset"] in REGISTRY
    assert options["--protocol"] in protocol_names()
    assert set(options["--strategy"].split(",")) <= set(strategy_names())


def test_a_protocol_may_extend_another(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("{extends: paper, name: mine, pool: {start: 7}, datasets: {liver: {rounds: 2}}}")
    mine, paper = load_protocol(str(file), dataset="liver"), load_protocol("paper", dataset="liver")
    assert (mine.name, mine.pool.start, mine.rounds, mine.budget) == ("mine", 7, 2, paper.budget)
    assert mine.pool.model_copy(update={"start": 100}) == paper.pool
    assert load_protocol(str(file), dataset="spleen").rounds == 6
    file.write_text("{extends: papyrus, name: mine}")
    with pytest.raises(InputError, match=r"unknown protocol 'papyrus'; did you mean paper"):
        load_protocol(str(file))
    file.write_text(f"{{extends: {file}, name: mine}}")
    with pytest.raises(InputError, match=r"expected an end of protocols that extend each other, got .*mine.yaml again"):
        load_protocol(str(file))
