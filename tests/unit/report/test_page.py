from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from albench.errors import InputError
from albench.report import build_report, print_summary, summary_table
from albench.report.chart import budget_columns
from albench.report.coverage import coverage_table
from albench.report.inputs import read_inputs
from albench.report.palette import order, style, swatch_path
from albench.report.summary import timing_table
from albench.results.tables import RUN_KEYS, read_results, write_table
from tests.support.report_fixtures import N_POOL_CASES, N_SLICES, Page, write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def page(study: Path) -> Page:
    return Page(build_report(study))


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Page of a data set of patients with one seed."""
    folder = tmp_path_factory.mktemp("one-seed")
    return Page(build_report(write_study(folder, dataset="hippocampus", n_seeds=1, n_rounds=2)))


def test_the_page_is_well_formed_and_needs_no_network(study: Path, page: Page) -> None:
    file = study / "report" / "index.html"
    assert page.open == []
    assert file.stat().st_size < 10_000_000
    assert not {tag for tag, _ in page.tags} & {"iframe", "object", "embed"}
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "href"):
            value = attributes.get(name) or ""
            assert not re.match(r"(https?:)?//", value), f"<{tag} {name}> leaves the page"
            if tag in ("img", "source") and name in attributes:
                assert value.startswith("data:image/")
    policies = [attributes["content"] for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes]
    assert str(policies[0]).startswith("default-src 'none'; img-src data:;")
    css = re.search("<style>(.*)</style>", file.read_text(), re.DOTALL)
    assert css
    assert "url(" not in css.group(1)
    assert "@import" not in css.group(1)


def test_every_link_leads_to_a_section_or_a_file_beside_the_page(study: Path, page: Page) -> None:
    anchors = {attributes.get("id") for _, attributes in page.tags}
    links = [str(attributes["href"]) for tag, attributes in page.tags if tag == "a"]
    assert len(links) >= 10
    for link in links:
        found = link[1:] in anchors if link.startswith("#") else (study / "report" / link).stat().st_size > 0
        assert found, link


def test_figures_carry_a_text_with_their_first_and_last_values(page: Page, study: Path) -> None:
    texts = [attributes.get("alt") for tag, attributes in page.tags if tag == "img"]
    assert len(texts) == 3
    assert all(text and len(text) > 40 for text in texts)
    row = summary_table(read_results(study)).set_index("strategy").loc["usim-f"]
    assert f"usim-f from {row['dice@40']:.3f} to {row['dice@160']:.3f}" in str(texts[0])


def test_numbers_on_the_page_are_those_of_the_table(page: Page, study: Path) -> None:
    table = summary_table(read_results(study)).set_index("strategy")
    for strategy, row in table.iterrows():
        cells = page.rows[str(strategy)]
        assert cells[0] == strategy
        assert cells[1] == "2"
        if strategy == "full":
            assert cells[2:6] == ["–"] * 4
        else:
            assert cells[2:6] == [f"{row[f'dice@{budget}']:.3f}" for budget in (40, 80, 120, 160)]
            assert cells[7] == f"{row['aubc']:.3f} [{row['aubc_low']:.3f}, {row['aubc_high']:.3f}]"
            assert cells[8] == f"{100 * row['ceiling_share']:.1f}"
        assert cells[6] == f"{row['final_dice']:.3f} [{row['final_low']:.3f}, {row['final_high']:.3f}]"
    best = table.loc["usim-f"]
    assert page.rows["usim-f"][9] == f"{best['diff']:+.3f}", "2 seeds have no interval of a difference"
    assert page.rows["usim-f"][10:12] == ["– [not tested]", "2\u00a0seeds, 12\u00a0cases"]
    assert best["diff_pairs"] == 46, "12 cases x 2 classes x 2 seeds, less one class that is absent in one case"
    assert f"{100 * best['ceiling_share']:.1f} % of what training on all labels reaches" in page.text


def test_summary_table_agrees_with_the_rows_it_is_made_from(study: Path) -> None:
    results = read_results(study)
    table = summary_table(results).set_index("strategy")
    last = results[(results["strategy"] == "entropy") & (results["round"] == 3)]
    by_seed = last.groupby(["seed", "label"])["dice"].mean().groupby("seed").mean()
    assert table.loc["entropy", "final_dice"] == pytest.approx(by_seed.mean())
    assert table.loc["entropy", "dice@160"] == pytest.approx(by_seed.mean())
    assert table.loc["entropy", "final_units"] == 160
    assert table.loc["full", "final_units"] == N_POOL_CASES * N_SLICES
    share = table.loc["entropy", "final_dice"] / table.loc["full", "final_dice"]
    assert table.loc["entropy", "ceiling_share"] == pytest.approx(share)
    difference = table.loc["entropy", "aubc"] - table.loc["random", "aubc"]
    assert table.loc["entropy", "diff"] == pytest.approx(difference)
    assert list(table.index) == ["random", "entropy", "usim-f", "full"]


def test_phantoms_are_named_as_such_and_patients_are_not(page: Page, one_seed: Page) -> None:
    assert "procedural phantoms, not patients" in page.text
    assert "phantom" not in one_seed.text.lower()


@pytest.mark.parametrize(
    ("dataset", "kind", "phantom"),
    [
        ("phantom-limbs", "patients", False),
        ("mine", "phantom", True),
        # folders of 0.1, which do not say
        ("phantom-limbs", None, False),
        ("phantom-organ", None, True),
        ("phantom-pair-seed0-n8-v1", None, True),
    ],
)
def test_phantoms_are_known_by_their_kind(tmp_path: Path, dataset: str, kind: str | None, phantom: bool) -> None:
    write_study(tmp_path, dataset=dataset, n_seeds=1, n_rounds=2)
    if kind:
        config = json.loads((tmp_path / "config.json").read_text())
        config["datasets"][dataset]["dataset_kind"] = kind
        (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_inputs([tmp_path]).phantoms == ({dataset} if phantom else set())


def test_one_seed_is_said_to_be_one_and_has_no_interval_over_seeds(one_seed: Page) -> None:
    page = one_seed
    assert "1 seed: how much training noise moves these numbers was not measured" in page.text
    assert "[" not in page.rows["usim-f"][4], "final Dice"
    assert "[" not in page.rows["usim-f"][5], "AUBC"
    assert "standard deviation" not in page.text


def test_without_ceiling_and_reference_the_page_claims_neither(tmp_path: Path) -> None:
    """The name of one strategy is markup besides: a name from a file must not become a part of the page."""
    name = "<script>x</script>"
    page = Page(build_report(write_study(tmp_path, strategies=("entropy", name), n_rounds=2)))
    assert page.rows[name][6:9] == ["–", "–", "–"]
    # the curves' data and the page's own code
    assert [attributes.get("type") for tag, attributes in page.tags if tag == "script"] == ["application/json", None]
    assert "of what training on all labels reaches" not in page.text
    assert "Against random" not in page.text


def test_the_ceiling_alone_is_reported_as_no_curve(tmp_path: Path) -> None:
    folder = write_study(tmp_path, strategies=("full",), n_seeds=1)
    page = Page(build_report(folder))
    value = f"{summary_table(read_results(folder))['final_dice'].iloc[0]:.3f}"
    assert f"Training on all labels of the pool reaches a mean Dice of {value}." in page.text
    stream = io.StringIO()
    print_summary(read_results(folder), Console(file=stream, width=60))
    assert stream.getvalue().split()[-7:] == ["full", "1", value, "–", "100", *"––"]


def test_two_data_sets_in_two_folders_make_one_report(tmp_path: Path) -> None:
    folders = [
        write_study(tmp_path / "a", n_rounds=2, n_seeds=1),
        write_study(tmp_path / "b", dataset="spleen", n_rounds=3, n_seeds=1),
    ]
    with pytest.raises(InputError, match="report of 2 run folders: expected a report folder"):
        build_report(folders)
    file = build_report(folders, tmp_path / "both")
    table = pd.read_csv(tmp_path / "both" / "summary.csv").set_index(["dataset", "strategy"])
    assert len(table) == 8
    assert np.isnan(table.loc[("phantom", "random"), "dice@120"])
    assert table.loc[("spleen", "random"), "dice@120"] > 0
    page = Page(file)
    options = "--strategy random,entropy,usim-f,full --protocol quick --seeds 1 --rounds {} --budget 40"
    assert f"al-bench run --dataset phantom {options.format(2)} --device cpu" in page.text
    assert f"al-bench run --dataset spleen {options.format(3)} --device cpu" in page.text
    assert (tmp_path / "both" / "summary.md").read_text().count("### ") == 2
    assert not (tmp_path / "a" / "report").exists()


def test_empty_queries_are_no_selection(tmp_path: Path) -> None:
    page = Page(build_report(write_study(tmp_path, n_seeds=1, n_rounds=2, empty_queries=True)))
    assert "The run folders hold no queries" in page.text
    assert sum(tag == "img" for tag, _ in page.tags) == 2


def test_a_study_still_running_is_reported_as_far_as_it_goes(study: Path, tmp_path: Path) -> None:
    folder = write_study(tmp_path, n_seeds=1)
    results = read_results(folder)
    unfinished = (results["strategy"] == "usim-f") & (results["round"] > 1)
    write_table(results[~unfinished], folder / "results.parquet")
    page = Page(build_report(folder))
    cells = page.rows["usim-f"]
    assert cells[3] != "–"
    assert cells[4:12] == ["–"] * 8
    assert "usim-f, 0." not in page.text, "no finding may rest on an unfinished curve"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "results.parquet").unlink(), r"results\.parquet: expected a table"),
        (lambda d: (d / "rounds.parquet").unlink(), r"rounds\.parquet: expected a table"),
        (lambda d: (d / "config.json").unlink(), r"config\.json: expected a file"),
        (lambda d: (d / "config.json").write_text("[]"), r"config\.json: expected a JSON object, found list"),
        (lambda d: (d / "config.json").write_text('{"seeds": 1}'), "expected key 'datasets' .*, found seeds"),
        (
            lambda d: next(d.glob("phantom/random/*/*/query.json")).write_text('{"dataset": "phantom"}'),
            r"query\.json: expected key 'strategy', found dataset",
        ),
    ],
    ids=[
        "no results",
        "no runs",
        "no config",
        "config no object",
        "config without data sets",
        "query without keys",
    ],
)
def test_bad_run_folders_are_named_and_leave_no_report(tmp_path: Path, damage, message: str) -> None:
    folder = write_study(tmp_path, n_seeds=1, n_rounds=2)
    damage(folder)
    with pytest.raises(InputError, match=message):
        build_report(folder)
    assert not (folder / "report").exists()


def test_a_report_is_the_same_each_time(study: Path, page: Page, tmp_path: Path) -> None:
    first, second = study / "report", build_report(study, tmp_path).parent
    names = {file.name for file in first.iterdir()}
    assert names >= {"index.html", "curves.png", "curves.svg", "summary.csv", "summary.md", "timing.csv"}
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_terminal_shows_the_same_numbers(study: Path, page: Page) -> None:
    stream = io.StringIO()
    print_summary(read_results(study), Console(file=stream, width=220))
    printed = stream.getvalue()
    assert "phantom, quick protocol" in printed
    for cell in page.rows["usim-f"][:10]:
        assert cell in printed


def test_a_narrow_terminal_drops_columns_but_cuts_no_number(tmp_path: Path) -> None:
    results = read_results(write_study(tmp_path, n_seeds=1, n_rounds=10))
    table = summary_table(results).set_index("strategy")
    stream = io.StringIO()
    print_summary(results, Console(file=stream, width=80))
    lines = stream.getvalue().splitlines()
    assert "…" not in stream.getvalue()
    assert max(map(len, lines)) <= 80
    cells = next(line for line in lines if "usim-f" in line).split()
    row = table.loc["usim-f"]
    assert cells == [
        *("usim-f", "1", f"{row['dice@40']:.3f}", f"{row['final_dice']:.3f}"),
        *(f"{row['aubc']:.3f}", f"{100 * row['ceiling_share']:.1f}", f"{row['diff']:+.3f}"),
        "–",
    ]


def test_timing_is_per_seed_and_overhead_a_share_of_training(study: Path) -> None:
    runs = read_inputs([study]).runs
    table = timing_table(runs).set_index("strategy")
    assert table.loc["usim-f", "train_s"] == pytest.approx(4 * 60)
    assert table.loc["usim-f", "overhead_share"] == pytest.approx(0.25)
    assert table.loc["usim-f", "peak_rss_mib"] == 2103
    assert table.loc["full", "n_rounds"] == 2
    assert not runs.duplicated(subset=RUN_KEYS).any()


def test_coverage_counts_cases_of_the_pool() -> None:
    columns = ["dataset", "protocol", "strategy", "seed", "round", "case", "index"]
    chosen = [
        ("d", "p", "usim-f", 0, 0, "a", 1),
        ("d", "p", "usim-f", 0, 1, "a", 2),
        ("d", "p", "usim-f", 0, 1, "b", 2),
    ]
    pool = [("d", "p", "full", 0, 3, case, 0) for case in "abcd"]
    with_pool = coverage_table(pd.DataFrame(chosen + pool, columns=columns)).iloc[0]
    assert (with_pool["units"], with_pool["cases"], with_pool["pool_cases"]) == (3, 2, 4)
    assert with_pool["case_share"] == pytest.approx(0.5)
    assert with_pool["most_units_in_a_case"] == 2
    without = coverage_table(pd.DataFrame(chosen, columns=columns)).iloc[0]
    assert without["pool_cases"] == 2


def test_budgets_to_choose_from_are_whole_and_differ() -> None:
    curves = pd.DataFrame({"dice": [0.1, 0.2], "n_annotated_units": [40, 80], "n_annotated_voxels": [400, 900]})
    curves = curves.assign(
        n_annotated_slices=curves["n_annotated_units"],
        n_annotated_border_voxels=[7, 9],
        n_annotated_fg_voxels=[3.0, np.nan],
        annotation_s=[1.5, 3.5],
    )
    assert budget_columns(curves) == {
        "n_annotated_units": "units",
        "n_annotated_voxels": "voxels",
        "annotation_s": "seconds by the cost model",
        "n_annotated_border_voxels": "border voxels",
    }


def test_strategies_look_the_same_everywhere_and_known_ones_differ() -> None:
    known = ["random", "entropy", "mcd", "stb", "bald", "power-bald", "coreset", "badge", "usim-f", "usim-c"]
    looks = [(style(name).color, style(name).marker) for name in known]
    assert len(set(looks)) == len(known)
    assert style("somebody-elses") == style("somebody-elses")
    assert order(["full", "zeta", "usim-f", "random"]) == ["random", "usim-f", "zeta", "full"]
    assert swatch_path("random").startswith("M")
