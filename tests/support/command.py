"""The command line in this process."""

from __future__ import annotations

import pytest

from albench.terminal import cli


def al_bench(*arguments: object) -> None:
    """Run a command that has to succeed."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    assert not stop.value.code, arguments
