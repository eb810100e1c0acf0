"""The computer underneath: files, scratch memory, limits, and how processes share it out."""

import sys

from albench.errors import InputError

if sys.platform == "win32":  # no locks on files, no resource usage, folders that cannot be synced
    raise InputError("expected Linux or macOS, got Windows, whose Linux subsystem (WSL) will do")
