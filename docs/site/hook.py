"""Lays the site out as the repository is, so that every link of a page holds on the site and in the checkout alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md", "benchmarks/*/**/*.md")
LINKED = ("docs/figures/*", "benchmarks/results/**/*.png", "benchmarks/results/**/*.svg", "docker/compose.yaml")


def on_files(files: Files, config: Any) -> Files:
    """Replace the pages of ``docs`` by all of the repository, under their paths in it."""
    for file in list(files.documentation_pages()) + list(files.media_files()):
        if file.abs_src_path and Path(file.abs_src_path).is_relative_to(ROOT):
            files.remove(file)
    for pattern in (*PAGES, *LINKED):
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if path.is_file() and "/site/" not in name:
                files.append(File.generated(config, name, abs_src_path=str(path)))
    return files
