"""The page in a real browser: its script runs, answers, complains of nothing and asks nobody for anything."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from albench.report import build_report, summary_table
from albench.results.tables import read_results
from tests.support.report_fixtures import write_study

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
]

# Runs after the page's own script; what it finds is left in the document for --dump-dom.
PROBE = """
<script>
(() => {
  const found = {};
  const all = (selector) => [...document.querySelectorAll(selector)];
  const curves = () => all(".curve").map((curve) => curve.dataset.strategy);
  const plot = document.querySelector(".plot");
  const tip = () => document.querySelector(".tip");
  const press = (key) => plot.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const title = () => all(".plot .title")[0].textContent;
  found.curves = curves();
  found.stillHidden = document.querySelector(".still").hidden;
  found.bands = all(".band").length;
  found.seeds = all(".seed").length;
  found.wide = document.documentElement.scrollWidth > window.innerWidth;
  const button = document.querySelector('.legend button[data-strategy="entropy"]');
  button.click();
  found.toggled = [curves(), button.getAttribute("aria-pressed")];
  button.click();
  found.back = [curves(), button.getAttribute("aria-pressed")];
  const marks = all('.curve[data-strategy="usim-f"] .mark');
  const box = marks[marks.length - 1].getBoundingClientRect();
  plot.dispatchEvent(new PointerEvent("pointermove", { bubbles: true,
    clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 }));
  found.hover = [tip().hidden, tip().textContent, all(".faded").map((curve) => curve.dataset.strategy)];
  plot.dispatchEvent(new PointerEvent("pointerleave", { pointerType: "mouse" }));
  found.left = tip().hidden;
  press("ArrowRight"); press("ArrowRight"); press("ArrowDown");
  found.keys = tip().textContent;
  press("Escape");
  found.escaped = tip().hidden;
  found.before = title();
  const axes = all(".controls input[type=radio]");
  axes[2].click();
  found.after = title();
  press("ArrowRight");
  found.voxels = tip().textContent;
  press("Escape");
  axes[0].click();
  document.querySelector(".spread input").click();
  found.withoutSpread = [all(".band").length, all(".seed").length];
  document.querySelector(".spread input").click();
  const table = document.querySelector("table.sortable");
  const order = () => [...table.tBodies[0].rows].map((row) => row.dataset.strategy);
  const heading = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === "final Dice");
  const sort = table.tHead.rows[0].cells[heading].querySelector("button");
  sort.click();
  found.sorted = [order(), table.tHead.rows[0].cells[heading].getAttribute("aria-sort")];
  sort.click();
  found.reversed = order();
  const area = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === "AUBC");
  table.tHead.rows[0].cells[area].querySelector("button").click();
  found.gapsLast = order();
  const requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  found.requests = requests.filter((name) => !name.startsWith("data:"));
  const note = document.createElement("pre");
  note.id = "found";
  note.textContent = JSON.stringify(found);
  document.body.append(note);
})();
</script>
</body>"""


@pytest.fixture(scope="module")
def browser() -> str:
    """Path of Chromium, or a skip with the reason."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is installed, and CHROMIUM names none")
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), with_pictures=True, n_rounds=3)


def look(browser: str, page: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Open a page from disk; no proxy and no resolver, so that a request would fail loudly."""
    profile = page.parent / "profile"
    command = [browser, *FLAGS, f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND", *arguments]
    done = subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True, cwd=page.parent
    )
    shutil.rmtree(profile, ignore_errors=True)
    return done


def probe(browser: str, study: Path, folder: Path, width: int) -> tuple[dict[str, Any], str]:
    """Return what the probe found in the report's page, and what the browser logged."""
    page = folder / "probed.html"
    text = build_report(study, folder).read_text()
    page.write_text(text.replace("</body>", PROBE))
    done = look(browser, page, f"--window-size={width},900", "--dump-dom")
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found.group(1))), done.stderr


@pytest.mark.parametrize("width", [1200, 500], ids=["desktop", "narrow"])
def test_curves_and_tables_answer(browser: str, study: Path, tmp_path: Path, width: int) -> None:
    found, log = probe(browser, study, tmp_path, width)
    assert "CONSOLE" not in log
    assert found["requests"] == []
    assert not found["wide"], "only tables may scroll sideways"
    table = summary_table(read_results(study)).set_index("strategy")
    everyone = ["random", "entropy", "usim-f"]
    assert found["curves"] == everyone
    assert found["stillHidden"]
    assert (found["bands"], found["seeds"]) == (3, 6)
    assert found["toggled"] == [["random", "usim-f"], "false"]
    assert found["back"] == [everyone, "true"]
    hidden, text, faded = found["hover"]
    assert not hidden
    assert sorted(faded) == ["entropy", "random"]
    assert text.startswith("usim-f, round 2\n120 slices (20 % of the pool)\n")
    assert f"Dice {table.loc['usim-f', 'final_dice']:.3f} ± " in text
    assert "n = 2 seeds" in text
    assert found["left"] and found["escaped"]
    assert found["keys"].startswith("entropy, round 1\n")
    assert f"Dice {table.loc['entropy', 'dice@80']:.3f}" in found["keys"]
    assert (found["before"], found["after"]) == ("annotated slices", "annotated foreground voxels")
    assert found["voxels"].startswith("random, round 0\n12,000 foreground voxels\n")
    assert found["withoutSpread"] == [0, 0]
    by_dice = list(table["final_dice"].sort_values(ascending=False).index)
    assert found["sorted"] == [by_dice, "descending"]
    assert found["reversed"] == by_dice[::-1]
    assert found["gapsLast"][-1] == "full", "the ceiling has no area"


def test_the_page_prints_and_shows_itself(browser: str, study: Path, tmp_path: Path) -> None:
    page = build_report(study, tmp_path)
    printed, shot = tmp_path / "page.pdf", tmp_path / "page.png"
    log = look(browser, page, f"--print-to-pdf={printed}").stderr
    log += look(browser, page, f"--screenshot={shot}", "--window-size=1200,1600").stderr
    assert "CONSOLE" not in log
    assert printed.read_bytes().startswith(b"%PDF")
    assert 20_000 < printed.stat().st_size < 5_000_000
    assert shot.stat().st_size > 50_000


def test_a_probe_would_notice_an_error_and_a_request(browser: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><body><img src='http://example.invalid/x.png'><script>missing()</script></body>")
    log = look(browser, page, "--dump-dom").stderr
    assert "CONSOLE" in log
    assert "missing is not defined" in log
