"""Galleries, coverage of classes and LaTeX on the page and beside it."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from albench.report import build_report
from albench.report.cells import Cells
from albench.report.galleries import galleries, render, tile
from albench.report.inputs import read_inputs
from albench.report.latex import escape, latex
from albench.report.palette import SKY, VERMILLION
from albench.results.pictures import picture
from tests.support.report_fixtures import Page, view, write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), n_rounds=3, with_pictures=True)


def test_panels_show_outline_prediction_and_uncertainty() -> None:
    made = picture(view(np.random.default_rng(0)), 3)
    outlined, predicted, doubt = render(made)
    assert outlined.shape == predicted.shape == doubt.shape == (112, 84, 3)
    red, blue = (np.array([round(255 * part) for part in to_rgb(color)]) for color in (VERMILLION, SKY))
    on_outline = (np.abs(outlined.astype(int) - red) <= 1).all(axis=2)
    assert made.reference is not None
    assert 50 < on_outline.sum() < 0.5 * (made.reference > 0).mean() * on_outline.size
    assert (np.abs(predicted.astype(int) - blue) <= 1).all(axis=2).any()
    assert not (np.abs(outlined.astype(int) - blue) <= 1).all(axis=2).any(), "the annotator has one class here"
    assert doubt[56, 42].sum() > 500
    assert doubt[0, 0].sum() < 100


def test_without_an_annotation_the_image_is_bare() -> None:
    made = picture(view(np.random.default_rng(0)), 3)
    bare = replace(made, reference=None)
    plain, *others = render(bare)
    assert (plain == plain[..., :1]).all(), "nothing but grey"
    for found, expected in zip(others, render(made)[1:], strict=True):
        assert (found == expected).all()
    assert tile(bare, "c1, slice 3", "1.").alt == "c1, slice 3: image, prediction, uncertainty"


def test_tiles_are_in_the_order_of_the_query_and_of_the_first_seed(study: Path) -> None:
    inputs = read_inputs([study])
    (gallery,), note = galleries(inputs)
    assert note == ""
    assert (gallery.seed, gallery.n_seeds) == (0, 2)
    assert [number for number, _ in gallery.rounds] == [1, 2]
    for number, strategies in gallery.rounds:
        assert [name for name, _ in strategies] == ["random", "entropy", "usim-f"]
        for name, tiles in strategies:
            queries = inputs.queries
            own = queries[(queries[["strategy", "seed", "round"]] == [name, 0, number]).all(axis=1)]
            assert [tile.caption.split(". ")[1] for tile in tiles] == [
                f"{case}, slice {index}, score 0.5" for case, index in own[["case", "index"]].head(3).to_numpy()
            ]
            for drawn in tiles:
                image = Image.open(io.BytesIO(base64.b64decode(drawn.url.partition(",")[2])))
                assert image.size == drawn.size
    page = Page(build_report(study))
    assert "One of 2 seeds is shown." in page.text
    images = [attributes for tag, attributes in page.tags if tag == "img" and "webp" in str(attributes["src"])[:30]]
    assert len(images) == 2 * 3 * 3
    assert all("annotation outlined" in str(attributes["alt"]) for attributes in images)


def test_too_many_pictures_are_cut_and_it_is_said(study: Path) -> None:
    inputs = read_inputs([study])
    (whole,), _ = galleries(inputs)
    tiles = [tile for _, strategies in whole.rounds for _, own in strategies for tile in own]
    total = sum(len(tile.url) for tile in tiles)
    (fewer,), note = galleries(inputs, max_bytes=int(0.75 * total))
    assert note == "To keep this page small: the first 2 of 3 pictures of a query."
    assert {len(own) for _, strategies in fewer.rounds for _, own in strategies} == {2}
    (first,), note = galleries(inputs, max_bytes=int(0.2 * total))
    assert note.endswith("the first 1 of 3 pictures of a query. Later rounds are left out.")
    assert [number for number, _ in first.rounds] == [1]


def test_class_coverage_is_what_the_pool_says(study: Path) -> None:
    build_report(study)
    table = pd.read_csv(study / "report" / "classes.csv").set_index(["strategy", "label"])
    assert len(table) == 3 * 2
    assert "times the pool" in (study / "report" / "index.html").read_text(), "what batches hold stands beside it"
    # every unit of the fixture's pool holds 100 voxels of class 1, and odd ones a voxel of class 2
    inputs = read_inputs([study])
    own = inputs.queries.query("strategy == 'usim-f'")
    n_units = len(own) / 2
    assert table.loc[("usim-f", 1), "units"] == pytest.approx(n_units)
    assert table.loc[("usim-f", 1), "pool_share"] == pytest.approx(n_units / 600)
    odd = (own["index"] % 2 == 1).sum() / 2
    assert table.loc[("usim-f", 2), "units"] == pytest.approx(odd)
    assert table.loc[("usim-f", 2), "voxels"] == pytest.approx(odd)
    assert f"{100 * n_units / 600:.1f} [{n_units:.0f} slices]" in Page(study / "report" / "index.html").text


def test_latex_escapes_and_marks() -> None:
    cells = Cells(["strategy", "% of"], [["a_b&c", "-0.012 [-0.020, +0.004]"], ["x†", "–"]], frozenset({(0, 1)}))
    text = latex("50 % {of} it", cells)
    assert r"\caption{50 \% \{of\} it}" in text
    assert r"a\_b\&c & \textbf{$-$0.012} {\scriptsize [$-$0.020, +0.004]} \\" in text
    assert r"x\textsuperscript{\textdagger} & -- \\" in text
    assert "reads ground truth" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert escape("a\\b~c") == r"a\textbackslash{}b\textasciitilde{}c"


def test_latex_tables_hold_the_numbers_of_the_page(study: Path) -> None:
    page = Page(build_report(study))
    text = (study / "report" / "summary.tex").read_text()
    for strategy in ("random", "usim-f"):
        line = next(line for line in text.splitlines() if line.startswith(strategy))
        for cell in page.rows[strategy][1:5]:
            assert cell in line
