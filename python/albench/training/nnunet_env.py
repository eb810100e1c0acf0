"""nnU-Net's folders and console output, kept inside a block."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path


def nnunet_base(work: Path) -> Path:
    """Folder of nnU-Net's own folders, for a trainer that works in `work`."""
    return work / "nnunet"


@contextlib.contextmanager
def nnunet_folders(base: Path, results: Path | None = None) -> Iterator[None]:
    """Point nnU-Net at `base`/{raw,preprocessed} and at `results` inside the block, then restore what was set.

    nnU-Net reads its folders from environment variables at the moment it needs them.
    """
    values = {
        "nnUNet_raw": str(base / "raw"),
        "nnUNet_preprocessed": str(base / "preprocessed"),
        "nnUNet_results": str(results or base / "results"),
    }
    saved = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Capture what nnU-Net prints; errors travel as exceptions."""
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured):
        yield captured
