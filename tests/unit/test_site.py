"""The picture of the rooms is that of the code, and the documentation site has every page."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_picture_of_the_rooms_is_the_codes() -> None:
    made = runpy.run_path(str(ROOT / "docs/site/rooms.py"))
    drawn = made["draw"]()
    assert drawn == (ROOT / "docs/figures/rooms.svg").read_text(encoding="utf-8"), "run python docs/site/rooms.py"
    rooms = {path.parent.name for path in (ROOT / "python/albench").glob("*/__init__.py")}
    assert rooms <= {room for row in made["layers"]() for room in row}


def test_every_page_stands_in_the_navigation() -> None:
    named = set(re.findall(r"\S+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
    assert {path.relative_to(ROOT).as_posix() for path in pages} == named
