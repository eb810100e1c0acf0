"""``python -m albench``."""

from albench.terminal.cli import main

if __name__ == "__main__":
    main()
