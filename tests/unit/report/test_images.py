"""A study of 2D images, each of them one unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from albench.report import build_report
from albench.report.figures import units_figure
from albench.report.inputs import read_inputs
from tests.support.report_fixtures import Page, write_study


@pytest.mark.parametrize("n_slices", [1, 30])
def test_images_are_no_slices_and_have_no_position(n_slices: int, tmp_path: Path) -> None:
    folder = write_study(tmp_path, n_seeds=1, n_rounds=2, with_pictures=True, n_slices=n_slices)
    text = " ".join(Page(build_report(folder)).text.split())
    figure = units_figure(read_inputs([folder]).queries)
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    if n_slices == 1:
        assert "annotated images" in text
        assert "slice" not in text.rpartition("How to read this")[0].lower()
        assert titles == ["Images by case"]
    else:
        assert "annotated images" not in text
        assert titles == ["Slices by case", "Slices by position"]
