"""``python -m albench.terminal.joined STUDY.YAML ...``: ``al-bench run`` that ends with whoever started it."""

from __future__ import annotations

import sys

from albench.machine.parent import stop_with_input
from albench.terminal import cli

if __name__ == "__main__":
    stop_with_input()
    cli.main(["run", *sys.argv[1:]])
