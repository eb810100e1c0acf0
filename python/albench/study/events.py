"""Losses and Dice as TensorBoard shows them, for those who watch their runs there; needs the extra ``tensorboard``."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

from albench.errors import InputError

Log = Callable[[str, float, int], None]
"""Takes the name of a curve, a value and its place on the abscissa."""


def require_tensorboard() -> None:
    """Refuse where the package is missing.

    Raises
    ------
    InputError
        TensorBoard is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError(
            "--tensorboard: expected the package tensorboard, found none; pip install 'al-bench[tensorboard]'"
        )


@contextlib.contextmanager
def event_log(folder: Path | None) -> Iterator[Log]:
    """Open an event file in `folder` for the block; without a folder, what is logged goes nowhere.

    The run that resumes an interrupted stage logs its values again, in a file of its own.
    """
    if folder is None:
        yield lambda name, value, step: None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))
    try:
        yield writer.add_scalar
    finally:
        writer.close()
