"""``python -m albench``."""

from albench.cli import main

if __name__ == "__main__":
    main()
